/*
 * mkto_munchkin: the visitWebPage request of Munchkin 164, byte for byte (contract
 * munchkin-and-rest A3; golden URLs there).
 */
#ifndef MKTO_MUNCHKIN_H
#define MKTO_MUNCHKIN_H

#include <apr_pools.h>

#include "mkto_config.h"
#include "mkto_http.h"
#include "mkto_lead.h"

#define MKTO_MUNCHKIN_VERSION "164"
#define MKTO_MUNCHKIN_URL_MAX                                                                      \
    8192 /* bytes; referrer, then query, are cut at a whole escape to stay within it */

void mkto_munchkin_visit(const struct mkto_subscription *subscription,
                         const struct mkto_visit *visit, struct mkto_http_request *request,
                         apr_pool_t *pool);

/* JavaScript's encodeURIComponent. */
const char *mkto_munchkin_encode(struct mkto_slice text, apr_pool_t *pool);

/* "Decode-safe" of the contract, then encodeURIComponent. */
const char *mkto_munchkin_recode(struct mkto_slice text, apr_pool_t *pool);

#endif
