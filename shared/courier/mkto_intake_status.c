/*
 * The courier's status for a web server's status page. It is made once for all that ask in a turn.
 */
#include "mkto_intake_state.h"

#include <apr_strings.h>

#include "mkto_json.h"

void mkto_intake_ask_status(struct mkto_intake_call *call)
{
    const struct mkto_due due = {
        .verdict = {.seq = call->frame.seq}, .aside = true, .status = true};
    call->peer->intake->turn.asked = true;
    mkto_peer_verdict(call->peer, &due);
}

/* ---- making it fit ---- */

static struct mkto_json *member(struct mkto_json *object, const char *key)
{
    struct mkto_json *node = object->first;
    while (node != NULL && !mkto_slice_is(node->key, key)) {
        node = node->next;
    }
    return node;
}

/* The list that grows with the subscriptions, wherever it stands. */
static struct mkto_json *find_list(struct mkto_json *object, struct mkto_json **holder)
{
    struct mkto_json *list = member(object, "subscriptions");
    *holder = object;
    if (list != NULL && list->type == MKTO_JSON_ARRAY) {
        return list;
    }
    for (struct mkto_json *node = object->first; node != NULL; node = node->next) {
        list = node->type == MKTO_JSON_OBJECT ? find_list(node, holder) : NULL;
        if (list != NULL) {
            return list;
        }
    }
    return NULL;
}

static void add_total(struct mkto_json *holder, unsigned total, apr_pool_t *pool)
{
    struct mkto_json **tail = &holder->first;
    while (*tail != NULL) {
        tail = &(*tail)->next;
    }
    *tail = apr_pcalloc(pool, sizeof(**tail));
    (*tail)->type = MKTO_JSON_NUMBER;
    (*tail)->key = mkto_slice_str("subscriptions_total");
    (*tail)->text = mkto_slice_str(apr_psprintf(pool, "%u", total));
    holder->count++;
}

static void keep_first(struct mkto_json *list, unsigned count)
{
    struct mkto_json **tail = &list->first;
    for (unsigned i = 0; i < count; i++) {
        tail = &(*tail)->next;
    }
    *tail = NULL;
    list->count = count;
}

struct mkto_slice mkto_intake_fit_status(struct mkto_slice json, size_t max, apr_pool_t *pool)
{
    struct mkto_json *root = NULL;
    struct mkto_json *holder = NULL;
    if (json.data == NULL || json.len <= max) {
        return json;
    }
    struct mkto_json *list =
        mkto_json_parse(json, &root, NULL, pool) == 0 ? find_list(root, &holder) : NULL;
    if (list == NULL) {
        return MKTO_SLICE_NONE;
    }
    add_total(holder, list->count, pool);
    /* By halves: each try writes the whole text. */
    for (unsigned count = list->count / 2;; count /= 2) {
        keep_first(list, count);
        const struct mkto_slice text = mkto_json_text(root, pool);
        if (text.len <= max || count == 0) {
            return text.len <= max ? text : MKTO_SLICE_NONE;
        }
    }
}

void mkto_intake_make_status(struct mkto_intake *intake)
{
    const struct mkto_ask ask = {.what = MKTO_SLICE_LIT("status")};
    const struct mkto_slice json = intake->hooks.ask(intake->hooks.ctx, &ask, intake->turn_pool);
    intake->turn.status = mkto_intake_fit_status(json, MKTO_VERDICT_BODY_MAX, intake->turn_pool);
}
