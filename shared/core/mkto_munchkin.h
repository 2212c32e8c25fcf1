/*
 * mkto_munchkin: the visitWebPage and clickLink requests of Munchkin 164, byte for byte (contract
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
    8192 /* bytes; referrer, query, hash, link, path, then the rest are cut to stay within it,     \
            each at a whole character; both copies of a link stay alike */
#define MKTO_MUNCHKIN_HEADER_MAX 2048 /* bytes of a header's value; a longer one is cut */

/*
 * POST without a body, as sendBeacon does: clickLink when the visit has an href, else visitWebPage.
 * mkt_tok is found in the page's query, else in the
 * referrer's. Header values are cleaned of control characters, X-Forwarded-For is an address or
 * left out.
 */
void mkto_munchkin_visit(const struct mkto_subscription *subscription,
                         const struct mkto_visit *visit, struct mkto_http_request *request,
                         apr_pool_t *pool);

/* JavaScript's encodeURIComponent. */
const char *mkto_munchkin_encode(struct mkto_slice text, apr_pool_t *pool);

/* "Decode-safe" of the contract, then encodeURIComponent. */
const char *mkto_munchkin_recode(struct mkto_slice text, apr_pool_t *pool);

#endif
