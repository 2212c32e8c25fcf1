/*
 * mkto_transport: how a request leaves the house. One implementation on libcurl's multi interface
 * (mkto_transport_curl), one in the tests that answers from a script with a clock that the test
 * moves. The seam for a relay to a queue is here, too.
 */
#ifndef MKTO_TRANSPORT_H
#define MKTO_TRANSPORT_H

#include <apr_pools.h>
#include <stdint.h>

#include "mkto_config.h"
#include "mkto_http.h"

/* Called once for each send, never from inside send. The answer lives until the callback returns.
 */
typedef void mkto_transport_done(void *ctx, const struct mkto_http_answer *answer);

struct mkto_transport {
    /* Takes a copy of what it needs. connect_ms and total_ms bound the call. ca_file may be NULL.
     */
    void (*send)(struct mkto_transport *self, const struct mkto_http_request *request,
                 int64_t connect_ms, int64_t total_ms, const char *ca_file,
                 mkto_transport_done *done, void *ctx);
    /* Ends all calls without callbacks. */
    void (*cancel_all)(struct mkto_transport *self);
    size_t (*active)(struct mkto_transport *self);
    void *impl;
};

struct event_base;

/* TLS verified (http only where the config allowed it), keep-alive, HTTP/2 where offered, no
 * redirects, no proxy from the environment, http and https only, answers bounded by
 * MKTO_HTTP_ANSWER_MAX. Ends with the pool, which must go before the base. NULL: out of memory. */
struct mkto_transport *mkto_transport_curl(struct event_base *base, apr_pool_t *pool);

#endif
