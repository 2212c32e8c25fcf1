#include "mkto_event_mask.h"

#include <apr_strings.h>

#include "mkto_net.h"

bool mkto_event_mask_wanted(const struct mkto_event *event)
{
    return mkto_json_find(event->context, "ip") != NULL;
}

static struct mkto_slice masked(struct mkto_slice address, apr_pool_t *pool)
{
    struct mkto_net net;
    char text[MKTO_NET_MAX];
    if (!mkto_net_read(address, &net)) {
        return MKTO_SLICE_LIT("");
    }
    const size_t len = mkto_net_format(&net, text);
    return (struct mkto_slice){apr_pstrmemdup(pool, text, len), len};
}

/* Spelt in any way: one of them is what the mapping finds. */
static bool mask_members(struct mkto_json *context, apr_pool_t *pool)
{
    bool changed = false;
    for (struct mkto_json *node = context->first; node != NULL; node = node->next) {
        if (node->type == MKTO_JSON_STRING && mkto_json_key_like(node->key, "ip")) {
            node->text = masked(node->text, pool);
            changed = true;
        }
    }
    return changed;
}

struct mkto_slice mkto_event_mask(struct mkto_slice text, apr_pool_t *pool)
{
    struct mkto_json *root = NULL;
    bool changed = false;
    if (text.len == 0 || mkto_json_parse(text, &root, NULL, pool) != 0 ||
        root->type != MKTO_JSON_OBJECT) {
        return text;
    }
    for (struct mkto_json *node = root->first; node != NULL; node = node->next) {
        if (node->type == MKTO_JSON_OBJECT && mkto_slice_is(node->key, "context")) {
            changed = mask_members(node, pool) || changed;
        }
    }
    return changed ? mkto_json_text(root, pool) : text;
}
