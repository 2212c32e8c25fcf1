/*
 * mkto_note: a JSON object made member by member: lines of `marketo tail`, the status. Texts are
 * copied into the pool; keys are not.
 */
#ifndef MKTO_NOTE_H
#define MKTO_NOTE_H

#include <apr_pools.h>
#include <stdbool.h>
#include <stdint.h>

#include "mkto_json.h"

struct mkto_note {
    struct mkto_json *node;
    struct mkto_json *last; /* child */
    apr_pool_t *pool;
};

struct mkto_note mkto_note_object(apr_pool_t *pool);
struct mkto_note mkto_note_array(apr_pool_t *pool);

void mkto_note_text(struct mkto_note *note, const char *key, const char *text); /* NULL: null */
void mkto_note_number(struct mkto_note *note, const char *key, int64_t number);
/* A number as its text. */
void mkto_note_digits(struct mkto_note *note, const char *key, const char *digits);
void mkto_note_bool(struct mkto_note *note, const char *key, bool value);
void mkto_note_add(struct mkto_note *note, const char *key, const struct mkto_note *child);

/* As JSON text. */
struct mkto_slice mkto_note_json(const struct mkto_note *note);

#endif
