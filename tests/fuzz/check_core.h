/*
 * check_core.h: what must hold for whatever core/ makes of an event: JSON that is read again, XML
 * that libxml2 reads, a visit's URL that curl takes apart, a delivery with one meaning.
 */
#ifndef CHECK_CORE_H
#define CHECK_CORE_H

#include <apr_pools.h>

#include "check.h"
#include "mkto_config.h"
#include "mkto_event.h"
#include "mkto_http.h"
#include "mkto_json.h"
#include "mkto_lead.h"
#include "mkto_result.h"

/* A pool whose blocks are freed with it, so that ASan sees what is used afterwards. */
apr_pool_t *check_pool(void);
void check_pool_end(apr_pool_t *pool);

/* A subscription with all that requests need. */
extern const struct mkto_subscription check_subscription;

/* Valid UTF-8 without control characters but for tab and line ends? NULL is. */
bool check_clean(const char *text);

/* The tree as text is JSON, and reads as the same tree. */
void check_json(const struct mkto_json *root, apr_pool_t *pool);

/* An event maps to exactly one delivery for each API, and that is written as it should. */
void check_deliveries(const struct mkto_event *event, apr_pool_t *pool);

/* The request of a visit: its URL and its headers. */
void check_visit(const struct mkto_visit *visit, apr_pool_t *pool);

/* The value of a parameter of a URL, decoded and NUL-terminated; NULL when there is none. */
const char *check_parameter(const char *url, const char *name, apr_pool_t *pool);

/* What was read of an answer is bounded and clean, and there is a verdict on it. */
void check_result(enum mkto_api api, struct mkto_slice body, const struct mkto_call_result *result,
                  size_t records_max, apr_pool_t *pool);

#endif
