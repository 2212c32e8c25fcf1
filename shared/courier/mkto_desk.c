#include "mkto_desk.h"

#include <apr_strings.h>
#include <inttypes.h>
#include <stdlib.h>

int mkto_desk_read(struct mkto_slice args, const struct mkto_json **question,
                   struct mkto_error *err, apr_pool_t *pool)
{
    struct mkto_json *root = NULL;
    if (mkto_json_parse(args, &root, err, pool) != 0) {
        return -1;
    }
    if (root->type != MKTO_JSON_OBJECT) {
        return mkto_error_set(err, "the question is no JSON object");
    }
    *question = root;
    return 0;
}

const char *mkto_desk_text(const struct mkto_json *question, const char *key)
{
    return mkto_json_string(mkto_json_get(question, key)).data;
}

int64_t mkto_desk_number(const struct mkto_json *question, const char *key, int64_t fallback)
{
    const struct mkto_json *value = mkto_json_get(question, key);
    return value == NULL || value->type != MKTO_JSON_NUMBER ? fallback
                                                            : strtoll(value->text.data, NULL, 10);
}

bool mkto_desk_flag(const struct mkto_json *question, const char *key)
{
    const struct mkto_json *value = mkto_json_get(question, key);
    return value != NULL && value->type == MKTO_JSON_TRUE;
}

struct mkto_slice mkto_desk_fail(const struct mkto_error *err, apr_pool_t *pool)
{
    struct mkto_note note = mkto_note_object(pool);
    mkto_note_bool(&note, "success", false);
    mkto_note_text(&note, "error", err->text);
    return mkto_note_json(&note);
}

uint64_t mkto_desk_deadline(const struct mkto_desk *desk)
{
    return desk->clock->mono_ms(desk->clock->ctx) + MKTO_DESK_MS;
}

bool mkto_desk_late(const struct mkto_desk *desk, uint64_t deadline)
{
    return desk->clock->mono_ms(desk->clock->ctx) >= deadline;
}

const char *mkto_desk_lead(uint64_t lead, apr_pool_t *pool)
{
    return lead == 0 ? NULL : apr_psprintf(pool, "%08" PRIx64, lead >> 32);
}
