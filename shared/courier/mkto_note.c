#include "mkto_note.h"

#include <apr_strings.h>
#include <inttypes.h>

static struct mkto_note make(enum mkto_json_type type, apr_pool_t *pool)
{
    struct mkto_note note = {apr_pcalloc(pool, sizeof(*note.node)), NULL, pool};
    note.node->type = type;
    return note;
}

struct mkto_note mkto_note_object(apr_pool_t *pool)
{
    return make(MKTO_JSON_OBJECT, pool);
}

struct mkto_note mkto_note_array(apr_pool_t *pool)
{
    return make(MKTO_JSON_ARRAY, pool);
}

static void append(struct mkto_note *note, const char *key, struct mkto_json *child)
{
    child->key = mkto_slice_str(key);
    if (note->last == NULL) {
        note->node->first = child;
    } else {
        note->last->next = child;
    }
    note->last = child;
    note->node->count++;
}

static void scalar(struct mkto_note *note, const char *key, enum mkto_json_type type,
                   const char *text)
{
    struct mkto_json *child = apr_pcalloc(note->pool, sizeof(*child));
    child->type = type;
    child->text = mkto_slice_str(text);
    append(note, key, child);
}

void mkto_note_text(struct mkto_note *note, const char *key, const char *text)
{
    if (text == NULL) {
        scalar(note, key, MKTO_JSON_NULL, NULL);
        return;
    }
    scalar(note, key, MKTO_JSON_STRING, apr_pstrdup(note->pool, text));
}

void mkto_note_number(struct mkto_note *note, const char *key, int64_t number)
{
    scalar(note, key, MKTO_JSON_NUMBER, apr_psprintf(note->pool, "%" PRId64, number));
}

void mkto_note_digits(struct mkto_note *note, const char *key, const char *digits)
{
    scalar(note, key, MKTO_JSON_NUMBER, apr_pstrdup(note->pool, digits));
}

void mkto_note_bool(struct mkto_note *note, const char *key, bool value)
{
    scalar(note, key, value ? MKTO_JSON_TRUE : MKTO_JSON_FALSE, NULL);
}

void mkto_note_add(struct mkto_note *note, const char *key, const struct mkto_note *child)
{
    append(note, key, child->node);
}

struct mkto_slice mkto_note_json(const struct mkto_note *note)
{
    return mkto_json_text(note->node, note->pool);
}
