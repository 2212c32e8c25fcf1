/*
 * mkto_map: what an event means (DESIGN section 5; contract segment-api-and-mapping). A pure
 * function.
 */
#ifndef MKTO_MAP_H
#define MKTO_MAP_H

#include <apr_pools.h>

#include "mkto_event.h"
#include "mkto_lead.h"

enum mkto_delivery_kind {
    MKTO_DELIVERY_LEAD,
    MKTO_DELIVERY_VISIT,
    MKTO_DELIVERY_REJECTED, /* cannot be delivered: reason and detail say why */
    MKTO_DELIVERY_FILTERED, /* must not be delivered, or means nothing to Marketo */
};

/* Stable words: no_email, no_page, no_identity / integrations, bundled, alias, no_company,
 * unknown_lead … */
struct mkto_delivery {
    enum mkto_delivery_kind kind;
    enum mkto_api api;       /* of a lead: REST or SOAP; of a visit: MUNCHKIN */
    struct mkto_lead lead;   /* kind LEAD */
    struct mkto_visit visit; /* kind VISIT */
    const char *reason;      /* kinds REJECTED and FILTERED: static word */
    const char *detail;      /* one sentence for a person; no personal data */
    unsigned dropped;        /* traits that were left out: objects, arrays, no name, over a limit */
};

/* What an event becomes in this subscription through that API: exactly one delivery. */
void mkto_map(const struct mkto_event *event, const struct mkto_subscription *subscription,
              enum mkto_api api, struct mkto_delivery *delivery, apr_pool_t *pool);

/* The token that an id gets when the visitor has no cookie: the same id in a subscription always
 * gets the same token. */
const char *mkto_map_made_token(const struct mkto_subscription *subscription, struct mkto_slice id,
                                apr_pool_t *pool);

#endif
