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

/*
 * Returns 0, or -1 with err like `unexpected character at byte 17`: the offset, counted from 0, of
 * the first byte that cannot stand there; the length of the text when it ends too soon. Half a
 * surrogate pair is refused too: no API of Marketo could be given it.
 */
int mkto_json_parse(struct mkto_slice text, struct mkto_json **root, struct mkto_error *err,
                    apr_pool_t *pool);

/*
 * As mkto_json_parse, for an object whose array member `list` holds values that are judged one by
 * one (a batch): depth counts from each of its objects and arrays, and one of them that breaks a
 * limit (depth, members, a repeated key, NUL, half a surrogate pair) spoils only itself. It stays
 * in the tree without children, and its `text`, which no other OBJECT or ARRAY has, says why.
 * Syntax errors and bad UTF-8 still fail the whole text.
 */
int mkto_json_parse_list(struct mkto_slice text, const char *list, struct mkto_json **root,
                         struct mkto_error *err, apr_pool_t *pool);

/* Member by exact key, or NULL (also when object is NULL or not an object). */
const struct mkto_json *mkto_json_get(const struct mkto_json *object, const char *key);

/*
 * Member as Segment's facade finds it: case and every non-alphanumeric byte of the keys are ignored
 * (`first_name`, `firstName`, `First Name`); an exact match wins, else the first in order
 * (contract 1.4 step 4).
 */
const struct mkto_json *mkto_json_find(const struct mkto_json *object, const char *key);

/* Is the key that word, by the rule of mkto_json_find? */
bool mkto_json_key_like(struct mkto_slice key, const char *wanted);

/* Text of a STRING, absent slice for anything else or NULL. */
struct mkto_slice mkto_json_string(const struct mkto_json *value);

/* The tree as compact JSON (yajl generator), NUL-terminated. */
struct mkto_slice mkto_json_text(const struct mkto_json *value, apr_pool_t *pool);

#endif
