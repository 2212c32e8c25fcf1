/*
 * mkto_preview: what a delivery would be, on stdout: a JSON line of a stable shape, or the HTTP
 * requests as they would go over the wire.
 *
 *   {"kind":"lead","api":"soap","key":{"email":"…","cookie":"…"},"fields":{"FirstName":"…"}}
 *   {"kind":"visit","url":"https://…/webevents/visitWebPage?…","headers":{…}}  or /clickLink?…
 *   {"kind":"rejected","reason":"no_email","detail":"…"}
 *   {"kind":"filtered","reason":"integrations"}
 *   {"kind":"request","method":"POST","url":"…","headers":{…},"body":"…"}      with wire and json
 *
 * "dropped" is added to a lead when traits were left out. Field values have the JSON type that the
 * API gets: SOAP knows text only.
 */
#ifndef MKTO_PREVIEW_H
#define MKTO_PREVIEW_H

#include <apr_pools.h>
#include <stdbool.h>
#include <stdint.h>

#include "mkto_config.h"
#include "mkto_event.h"
#include "mkto_map.h"
#include "mkto_soap.h"

/* What only Marketo can give: the token that the courier has asked for, and the id that Sync Leads
 * answers with. */
#define MKTO_PREVIEW_TOKEN "<token>"
#define MKTO_PREVIEW_LEAD_ID "<id>"

struct mkto_preview {
    const struct mkto_subscription *subscription;
    struct mkto_soap_credentials credentials; /* with wire and SOAP */
    int64_t now_ms;                           /* when SOAP requests are signed */
    bool wire;                                /* requests, not deliveries */
    bool json;                                /* requests as JSON lines, not as HTTP text */
};

void mkto_preview_delivery(const struct mkto_preview *preview, const struct mkto_delivery *delivery,
                           apr_pool_t *pool);

/* An event that cannot be taken: a rejected line whose reason is the answer's word. */
void mkto_preview_fault(const struct mkto_preview *preview, const struct mkto_event_fault *fault,
                        apr_pool_t *pool);

#endif
