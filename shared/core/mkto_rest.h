/*
 * mkto_rest: token, Sync Leads, Associate Lead and Describe of the REST API (contract
 * munchkin-and-rest B).
 */
#ifndef MKTO_REST_H
#define MKTO_REST_H

#include <apr_pools.h>

#include "mkto_config.h"
#include "mkto_http.h"
#include "mkto_lead.h"
#include "mkto_result.h"

#define MKTO_REST_BATCH_MAX 300
#define MKTO_REST_BODY_MAX 1000000    /* bytes, under the documented 1 MB */
#define MKTO_REST_DEPTH_MAX 16        /* nesting of an answer; a deeper one is not understood */
#define MKTO_REST_FIELDS_MAX 20000    /* names of describe2; the rest is left out */
#define MKTO_REST_LEAD_NOT_FOUND 1004 /* code: the lead of that id was merged away or deleted */

/* POST with a form body, so that the secret is in no URL. */
void mkto_rest_token(const struct mkto_subscription *subscription, struct mkto_slice client_secret,
                     struct mkto_http_request *request, apr_pool_t *pool);

/*
 * createOrUpdate by email. Writes as many of the leads as fit MKTO_REST_BODY_MAX and returns how
 * many that is (≥ 1 when count is): the caller sends the rest in another call.
 */
size_t mkto_rest_sync(const struct mkto_subscription *subscription, const char *token,
                      const struct mkto_lead *const *leads, size_t count,
                      struct mkto_http_request *request, apr_pool_t *pool);

/*
 * updateOnly by lead id, for an event that only a cookie names: the lead is known, its e-mail need
 * not be. A lead's email, when there is one, is written like a field.
 */
void mkto_rest_update(const struct mkto_subscription *subscription, const char *token,
                      int64_t lead_id, const struct mkto_lead *lead,
                      struct mkto_http_request *request, apr_pool_t *pool);

void mkto_rest_associate(const struct mkto_subscription *subscription, const char *token,
                         int64_t lead_id, const char *cookie, struct mkto_http_request *request,
                         apr_pool_t *pool);

/* describe2: the field names that the subscription has. */
void mkto_rest_describe(const struct mkto_subscription *subscription, const char *token,
                        struct mkto_http_request *request, apr_pool_t *pool);

/*
 * Reads any answer of the calls above, streaming: records beyond MKTO_REST_BATCH_MAX are left out.
 * An OAuth error has its word ("invalid_client") as status and its description as text.
 */
void mkto_rest_read(struct mkto_slice body, struct mkto_call_result *result, apr_pool_t *pool);

/* Names of describe2's fields; returns how many, 0 when the body is not such an answer. */
size_t mkto_rest_read_fields(struct mkto_slice body, const char ***names, apr_pool_t *pool);

#endif
