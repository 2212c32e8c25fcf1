#include "mkto_map.h"

#include "mkto_map_filter.h"
#include "mkto_map_lead.h"
#include "mkto_map_rule.h"
#include "mkto_map_visit.h"

static void filter(struct mkto_delivery *delivery, const char *reason, const char *detail)
{
    delivery->kind = MKTO_DELIVERY_FILTERED;
    delivery->reason = reason;
    delivery->detail = detail;
}

/* Who asks. */
enum asks {
    DOOR,   /* may it come in? Nothing is built */
    PERSON, /* what would become of it, if it came in? */
    SENDER, /* it has come in: what is to be sent? */
};

/* One way for all: what is decided cannot differ from what is built. */
static void decide(const struct mkto_event *event, const struct mkto_subscription *subscription,
                   enum mkto_api api, enum asks asks, struct mkto_delivery *delivery,
                   apr_pool_t *pool)
{
    const bool build = asks != DOOR;
    memset(delivery, 0, sizeof(*delivery));
    delivery->api = api == MKTO_API_SOAP ? MKTO_API_SOAP : MKTO_API_REST;
    if (!mkto_map_filter_enabled(event)) {
        filter(delivery, "integrations", "integrations: the sender has switched Marketo off");
        return;
    }
    if (mkto_map_filter_bundled(event)) {
        filter(delivery, "bundled", "_metadata.bundled: Marketo runs in the page itself");
        return;
    }
    if (!mkto_map_rule_event(event, subscription, delivery) ||
        (asks != SENDER && !mkto_map_rule_sender(event, subscription, delivery))) {
        return;
    }
    switch (event->call) {
    case MKTO_CALL_IDENTIFY:
        mkto_map_lead_identify(event, subscription, build, delivery, pool);
        return;
    case MKTO_CALL_GROUP: mkto_map_lead_group(event, subscription, build, delivery, pool); return;
    case MKTO_CALL_PAGE:
    case MKTO_CALL_SCREEN: mkto_map_visit_page(event, subscription, build, delivery, pool); return;
    case MKTO_CALL_TRACK: mkto_map_visit_track(event, subscription, build, delivery, pool); return;
    case MKTO_CALL_ALIAS:
    case MKTO_CALL_NONE:
    case MKTO_CALL_BATCH:
    case MKTO_CALL_HASH:
    case MKTO_CALL_STATUS:
    case MKTO_CALL_COUNT: break;
    }
    filter(delivery, "alias", "alias: Marketo has nothing that it could change");
}

void mkto_map(const struct mkto_event *event, const struct mkto_subscription *subscription,
              enum mkto_api api, struct mkto_delivery *delivery, apr_pool_t *pool)
{
    decide(event, subscription, api, PERSON, delivery, pool);
}

void mkto_map_stored(const struct mkto_event *event, const struct mkto_subscription *subscription,
                     enum mkto_api api, struct mkto_delivery *delivery, apr_pool_t *pool)
{
    decide(event, subscription, api, SENDER, delivery, pool);
}

void mkto_map_check(const struct mkto_event *event, const struct mkto_subscription *subscription,
                    enum mkto_api api, struct mkto_delivery *delivery, apr_pool_t *pool)
{
    decide(event, subscription, api, DOOR, delivery, pool);
}
