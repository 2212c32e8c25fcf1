#include <apr_strings.h>

#include "mkto_event.h"
#include "mkto_event_build.h"

/* The batch-level members that hold for each item. */
static const char *const shared[] = {"context", "integrations", "sentAt"};

/* An object of the shared members, as text; absent when there are none. */
static int read_defaults(const struct mkto_json *batch, struct mkto_json *defaults,
                         struct mkto_slice *text, struct mkto_event_fault *fault, apr_pool_t *pool)
{
    struct mkto_json **tail = &defaults->first;
    for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
        const struct mkto_json *member = mkto_json_get(batch, shared[i]);
        if (member == NULL || member->type == MKTO_JSON_NULL) {
            continue;
        }
        bool object = strcmp(shared[i], "sentAt") != 0;
        if (member->type != (object ? MKTO_JSON_OBJECT : MKTO_JSON_STRING)) {
            return mkto_event_refuse(fault, MKTO_ANSWER_BAD_REQUEST, "%s: must be %s", shared[i],
                                     object ? "an object" : "a string");
        }
        *tail = apr_pmemdup(pool, member, sizeof(*member));
        (*tail)->next = NULL;
        tail = &(*tail)->next;
        defaults->count++;
    }
    *text = defaults->count == 0 ? MKTO_SLICE_NONE : mkto_json_text(defaults, pool);
    if (text->len > MKTO_EVENT_DEFAULTS_MAX) {
        return mkto_event_refuse(fault, MKTO_ANSWER_TOO_LARGE,
                                 "context, integrations and sentAt of the batch have %zu bytes, "
                                 "the limit is %d",
                                 text->len, MKTO_EVENT_DEFAULTS_MAX);
    }
    return 0;
}

static int read_item(const struct mkto_envelope *envelope, struct mkto_json *node,
                     const struct mkto_json *defaults, struct mkto_event_item *item,
                     struct mkto_event_fault *fault, apr_pool_t *pool)
{
    if (node->type != MKTO_JSON_OBJECT) {
        return mkto_event_refuse(fault, MKTO_ANSWER_BAD_REQUEST, "must be an object");
    }
    item->text = node->source;
    if (node->source.len > MKTO_EVENT_MAX) {
        return mkto_event_refuse(fault, MKTO_ANSWER_TOO_LARGE, "has %zu bytes, the limit is %d",
                                 node->source.len, MKTO_EVENT_MAX);
    }
    if (node->text.data != NULL) {
        return mkto_event_refuse(fault, MKTO_ANSWER_BAD_REQUEST, "%s", node->text.data);
    }
    enum mkto_call call = mkto_call_find(mkto_json_string(mkto_json_get(node, "type")));
    if (call <= MKTO_CALL_NONE || call >= MKTO_CALL_BATCH) {
        return mkto_event_refuse(fault, MKTO_ANSWER_BAD_REQUEST,
                                 "type: must be identify, track, page, screen, group or alias");
    }
    item->call = call;
    return mkto_event_build(envelope, call, node, defaults, &item->event, fault, pool);
}

static struct mkto_event_fault *item_fault(const struct mkto_event_fault *fault, size_t index,
                                           apr_pool_t *pool)
{
    struct mkto_event_fault *kept = apr_palloc(pool, sizeof(*kept));
    mkto_event_refuse(kept, fault->answer, "batch[%zu]: %s", index, fault->error.text);
    return kept;
}

static int read_list(const struct mkto_envelope *envelope, struct mkto_json **batch,
                     const struct mkto_json **list, struct mkto_event_fault *fault,
                     apr_pool_t *pool)
{
    if (envelope->body.len > MKTO_BODY_MAX) {
        return mkto_event_refuse(fault, MKTO_ANSWER_TOO_LARGE,
                                 "the batch has %zu bytes, the limit is %d", envelope->body.len,
                                 MKTO_BODY_MAX);
    }
    fault->answer = MKTO_ANSWER_BAD_REQUEST;
    fault->error.text[0] = '\0';
    if (mkto_json_parse_list(envelope->body, "batch", batch, &fault->error, pool) != 0) {
        return -1;
    }
    if ((*batch)->type != MKTO_JSON_OBJECT) {
        return mkto_event_refuse(fault, MKTO_ANSWER_BAD_REQUEST, "the batch must be an object");
    }
    *list = mkto_json_get(*batch, "batch");
    if (*list == NULL || (*list)->type != MKTO_JSON_ARRAY || (*list)->count == 0) {
        return mkto_event_refuse(fault, MKTO_ANSWER_BAD_REQUEST,
                                 "batch: must be a non-empty array");
    }
    if ((*list)->count > MKTO_EVENT_BATCH_MAX) {
        return mkto_event_refuse(fault, MKTO_ANSWER_TOO_LARGE,
                                 "batch: has %u events, the limit is %d", (*list)->count,
                                 MKTO_EVENT_BATCH_MAX);
    }
    return 0;
}

int mkto_event_read_batch(const struct mkto_envelope *envelope, struct mkto_event_item **items,
                          size_t *count, struct mkto_slice *defaults,
                          struct mkto_event_fault *fault, apr_pool_t *pool)
{
    const struct mkto_json none = {.type = MKTO_JSON_ARRAY};
    struct mkto_json *batch = NULL;
    const struct mkto_json *list = &none;
    struct mkto_json *shared_members = apr_pcalloc(pool, sizeof(*shared_members));
    shared_members->type = MKTO_JSON_OBJECT;
    if (read_list(envelope, &batch, &list, fault, pool) != 0 ||
        read_defaults(batch, shared_members, defaults, fault, pool) != 0) {
        return -1;
    }
    struct mkto_event_item *made = apr_pcalloc(pool, list->count * sizeof(*made));
    size_t index = 0;
    for (struct mkto_json *node = list->first; node != NULL; node = node->next, index++) {
        struct mkto_event_fault why;
        made[index].batch = batch;
        if (read_item(envelope, node, shared_members, &made[index], &why, pool) != 0) {
            made[index].event = NULL;
            made[index].fault = item_fault(&why, index, pool);
        }
    }
    *items = made;
    *count = index;
    return 0;
}
