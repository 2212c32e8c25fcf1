/*
 * mkto_json: JSON text to a small tree, by yajl's streaming parser, with limits; and back.
 *
 * UTF-8 is checked; a NUL (raw or \u0000), a repeated key, trailing text, and anything over a limit
 * are errors that name the byte offset. Numbers keep their text, so that no digit is lost. The tree
 * lives in the pool.
 */
#ifndef MKTO_JSON_H
#define MKTO_JSON_H

#include <apr_pools.h>

#include "mkto_error.h"
#include "mkto_slice.h"

#define MKTO_JSON_DEPTH_MAX 16 /* nested objects and arrays */
#define MKTO_JSON_KEYS_MAX 256 /* members of one object */

enum mkto_json_type {
    MKTO_JSON_NULL,
    MKTO_JSON_FALSE,
    MKTO_JSON_TRUE,
    MKTO_JSON_NUMBER,
    MKTO_JSON_STRING,
    MKTO_JSON_ARRAY,
    MKTO_JSON_OBJECT,
};

struct mkto_json {
    enum mkto_json_type type;
    struct mkto_slice key;    /* of an object member, decoded; NUL-terminated */
    struct mkto_slice text;   /* STRING: decoded; NUMBER: as written. NUL-terminated */
    struct mkto_slice source; /* OBJECT and ARRAY: their text in the input, brackets included */
    struct mkto_json *first;  /* children, in input order */
    struct mkto_json *next;
    unsigned count; /* children */
};

/* Returns 0, or -1 with err like `unexpected character at byte 17`. `depth` counts from the root
 * (1). */
int mkto_json_parse(struct mkto_slice text, struct mkto_json **root, struct mkto_error *err,
                    apr_pool_t *pool);

/* Member by exact key, or NULL (also when object is NULL or not an object). */
const struct mkto_json *mkto_json_get(const struct mkto_json *object, const char *key);

/*
 * Member as Segment's facade finds it: case and every non-alphanumeric byte of the keys are ignored
 * (`first_name`, `firstName`, `First Name`); an exact match wins, else the first in order
 * (contract 1.4 step 4).
 */
const struct mkto_json *mkto_json_find(const struct mkto_json *object, const char *key);

/* Text of a STRING, absent slice for anything else or NULL. */
struct mkto_slice mkto_json_string(const struct mkto_json *value);

/* The tree as compact JSON (yajl generator), NUL-terminated. */
struct mkto_slice mkto_json_text(const struct mkto_json *value, apr_pool_t *pool);

#endif
