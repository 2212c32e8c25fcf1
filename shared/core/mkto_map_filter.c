#include "mkto_map_filter.h"

static const char *const integration_names[] = {"Marketo", "Marketo V2"};

static const struct mkto_json *if_type(const struct mkto_json *value, enum mkto_json_type type)
{
    return value != NULL && value->type == type ? value : NULL;
}

/* The switch for all integrations: only a real boolean is one. */
static const struct mkto_json *all_switch(const struct mkto_json *object)
{
    const struct mkto_json *value = mkto_json_find(object, "all");
    bool is_switch =
        value != NULL && (value->type == MKTO_JSON_TRUE || value->type == MKTO_JSON_FALSE);
    return is_switch ? value : NULL;
}

bool mkto_map_filter_enabled(const struct mkto_event *event)
{
    /* Before there was `integrations`, `options` (later called `context`) had all this. */
    const struct mkto_json *options =
        if_type(mkto_json_get(event->root, "options"), MKTO_JSON_OBJECT);
    if (options == NULL) {
        options = event->context;
    }
    const struct mkto_json *providers =
        if_type(mkto_json_get(options, "providers"), MKTO_JSON_OBJECT);

    const struct mkto_json *all = all_switch(providers);
    all = all != NULL ? all : all_switch(options);
    all = all != NULL ? all : all_switch(event->integrations);
    bool enabled = all == NULL || all->type == MKTO_JSON_TRUE;

    const struct mkto_json *places = event->integrations;
    places = places != NULL ? places : providers;
    places = places != NULL ? places : options;
    const struct mkto_json *own = mkto_json_get(places, "Marketo");
    return own == NULL ? enabled : own->type != MKTO_JSON_FALSE;
}

static bool lists_marketo(const struct mkto_json *list)
{
    if (if_type(list, MKTO_JSON_ARRAY) == NULL) {
        return false;
    }
    for (const struct mkto_json *node = list->first; node != NULL; node = node->next) {
        for (size_t i = 0; i < sizeof(integration_names) / sizeof(integration_names[0]); i++) {
            if (mkto_slice_is(mkto_json_string(node), integration_names[i])) {
                return true;
            }
        }
    }
    return false;
}

static bool from_browser(const struct mkto_event *event)
{
    if ((event->envelope->flags & MKTO_ENVELOPE_BROWSER) != 0) {
        return true;
    }
    struct mkto_slice channel = mkto_json_string(mkto_json_get(event->root, "channel"));
    if (channel.len == 0) {
        channel = mkto_json_string(mkto_json_get(event->context, "channel"));
    }
    return mkto_slice_is(channel, "client") || mkto_slice_is(channel, "browser");
}

bool mkto_map_filter_bundled(const struct mkto_event *event)
{
    const struct mkto_json *metadata = mkto_json_get(event->root, "_metadata");
    return metadata != NULL && lists_marketo(mkto_json_get(metadata, "bundled")) &&
           !lists_marketo(mkto_json_get(metadata, "unbundled")) && from_browser(event);
}
