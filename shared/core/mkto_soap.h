/*
 * mkto_soap: syncLead and syncMultipleLeads of the mktows API (contract marketo-soap). libxml2
 * writes and reads; no network, no DTD, no entities, depth and size bounded.
 */
#ifndef MKTO_SOAP_H
#define MKTO_SOAP_H

#include <apr_pools.h>

#include "mkto_config.h"
#include "mkto_http.h"
#include "mkto_lead.h"
#include "mkto_result.h"

#define MKTO_SOAP_BATCH_MAX 300
#define MKTO_SOAP_DEPTH_MAX 32 /* nesting of an answer; a deeper one is not understood */

struct mkto_soap_credentials {
    struct mkto_slice user_id;
    struct mkto_slice encryption_key;
};

/* Both sign at call time: make the request when it is sent, never when it is queued. now_ms:
 * corrected wall clock. */
void mkto_soap_sync_lead(const struct mkto_subscription *subscription,
                         const struct mkto_soap_credentials *credentials, int64_t now_ms,
                         const struct mkto_lead *lead, struct mkto_http_request *request,
                         apr_pool_t *pool);
void mkto_soap_sync_multiple(const struct mkto_subscription *subscription,
                             const struct mkto_soap_credentials *credentials, int64_t now_ms,
                             const struct mkto_lead *const *leads, size_t count,
                             struct mkto_http_request *request, apr_pool_t *pool);

/* The cheapest call that proves the credentials: listMObjects. */
void mkto_soap_probe(const struct mkto_subscription *subscription,
                     const struct mkto_soap_credentials *credentials, int64_t now_ms,
                     struct mkto_http_request *request, apr_pool_t *pool);

/* Reads any answer of the three calls above: success, mixed results, every fault shape, and what is
 * no SOAP at all. */
void mkto_soap_read(struct mkto_slice body, struct mkto_call_result *result, apr_pool_t *pool);

#endif
