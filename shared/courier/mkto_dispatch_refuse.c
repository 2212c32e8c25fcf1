/* Fields that Marketo does not take: remembered, and said once an hour. */
#include <string.h>

#include "mkto_dispatch_state.h"

static bool has_field(const struct errand *errand, const char *name)
{
    for (unsigned i = 0; i < errand->count; i++) {
        const struct parcel *parcel = &errand->parcels[i];
        for (size_t k = 0; k < parcel->field_count; k++) {
            if (strcmp(parcel->fields[k].name, name) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void say_refused(const struct errand *errand, const char *name, const char *reason)
{
    struct mkto_dispatch *dispatch = errand->dispatch;
    struct channel *channel = errand->channel;

    if (mkto_refused_say(&channel->refused, mkto_dispatch_mono(dispatch))) {
        mkto_dispatch_log(dispatch, LOG_WARNING,
                          "MKTO0305 %s: Marketo does not take the field %s (%s); it is left out "
                          "until the config is read again, %u fields in all",
                          channel->label, name, reason, channel->refused.count);
    }
}

bool mkto_dispatch_refuse(struct errand *errand, const struct mkto_verdict_decision *decision)
{
    struct mkto_refused *refused = &errand->channel->refused;
    bool news = false;

    for (const char *const *name = decision->fields; name != NULL && *name != NULL; name++) {
        if (!has_field(errand, *name)) {
            continue;
        }
        if (mkto_refused_add(refused, *name)) {
            say_refused(errand, *name, decision->reason);
            news = true;
        } else {
            /* refused meanwhile by another call's answer: this one was sent before */
            news = news || mkto_refused_has(refused, *name);
        }
    }
    return news;
}
