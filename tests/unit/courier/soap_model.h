/* A SOAP Marketo for the dispatch tests: enough of one to see who was told what. */
#ifndef SOAP_MODEL_H
#define SOAP_MODEL_H

#include "dispatch_bench.h"

#define SOAP_HEAD                                                                                  \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SOAP-ENV:Envelope "                                \
    "xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\" "                                \
    "xmlns:ns1=\"http://www.marketo.com/mktows/\"><SOAP-ENV:Body>"
#define SOAP_TAIL "</SOAP-ENV:Body></SOAP-ENV:Envelope>"

static inline bool soap_has(const struct bench_call *call, const char *part)
{
    return call->request.body.len > 0 &&
           memmem(call->request.body.data, call->request.body.len, part, strlen(part)) != NULL;
}

static inline bool soap_is_batch(const struct bench_call *call)
{
    return soap_has(call, "paramsSyncMultipleLeads");
}

static inline bool soap_is_single(const struct bench_call *call)
{
    return soap_has(call, "paramsSyncLead");
}

static inline bool soap_is_any(const struct bench_call *call)
{
    return soap_is_batch(call) || soap_is_single(call);
}

/* Text between two marks from `from` on; moves from behind it. NULL: no more. */
static inline const char *soap_between(const char **from, const char *open, const char *close,
                                       apr_pool_t *pool)
{
    const char *start = *from == NULL ? NULL : strstr(*from, open);
    const char *end = start == NULL ? NULL : strstr(start, close);
    if (end == NULL) {
        return NULL;
    }
    start += strlen(open);
    *from = end + strlen(close);
    return apr_pstrmemdup(pool, start, (size_t)(end - start));
}

static inline const char *soap_text(const struct bench_call *call)
{
    return apr_pstrmemdup(call->pool, call->request.body.data, call->request.body.len);
}

static inline const char *soap_fault(const struct bench_call *call, int code, const char *message)
{
    return apr_psprintf(call->pool,
                        SOAP_HEAD
                        "<SOAP-ENV:Fault><faultcode>SOAP-ENV:Client</faultcode><faultstring>%d - "
                        "No</faultstring><detail><ns1:serviceException><name>e</name>"
                        "<message>%s (%d)</message><code>%d</code></ns1:serviceException></detail>"
                        "</SOAP-ENV:Fault>" SOAP_TAIL,
                        code, message, code, code);
}

static inline const char *soap_status(struct bench *bench, const struct bench_call *call,
                                      const char *error)
{
    if (error != NULL) {
        return apr_psprintf(call->pool,
                            "<syncStatus><leadId>0</leadId><status>FAILED</status>"
                            "<error>%s</error></syncStatus>",
                            error);
    }
    return apr_psprintf(
        call->pool, "<syncStatus><leadId>%" PRId64 "</leadId><status>UPDATED</status></syncStatus>",
        bench->next_lead_id++);
}

/* Puts the statuses of a call into its answer. */
static inline const char *soap_answer(const struct bench_call *call, const char *statuses)
{
    if (soap_is_single(call)) {
        return apr_pstrcat(call->pool, SOAP_HEAD, "<ns1:successSyncLead><result><leadId>1</leadId>",
                           statuses, "</result></ns1:successSyncLead>", SOAP_TAIL, NULL);
    }
    return apr_pstrcat(
        call->pool, SOAP_HEAD, "<ns1:successSyncMultipleLeads><result><syncStatusList>", statuses,
        "</syncStatusList></result></ns1:successSyncMultipleLeads>", SOAP_TAIL, NULL);
}

static inline int soap_kind(struct bench *bench, const struct bench_call *call, const char **body,
                            struct mkto_http_answer *answer)
{
    (void)answer;
    if (soap_is_any(call)) {
        const char *at = soap_text(call);
        const char *statuses = "";
        while (soap_between(&at, "<leadRecord>", "</leadRecord>", call->pool) != NULL) {
            statuses = apr_pstrcat(call->pool, statuses, soap_status(bench, call, NULL), NULL);
        }
        *body = soap_answer(call, statuses);
    }
    return 200;
}

#endif
