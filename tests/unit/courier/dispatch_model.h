/*
 * dispatch_model: how the Marketo of the dispatch tests answers when a test scripts nothing else.
 */
#ifndef DISPATCH_MODEL_H
#define DISPATCH_MODEL_H

#include "dispatch_bench.h"

static inline const char *bench_token(void)
{
    return "{\"access_token\":\"T1:ab\",\"token_type\":\"bearer\",\"expires_in\":3599}";
}

/* "updated" with a new lead id for each record of a REST sync. */
static inline const char *bench_synced(struct bench *bench, const struct bench_call *call)
{
    const struct mkto_json *input = mkto_json_get(bench_json(call), "input");
    const char *out = "{\"requestId\":\"1\",\"success\":true,\"result\":[";

    for (unsigned i = 0; i < input->count; i++) {
        out = apr_psprintf(call->pool, "%s%s{\"id\":%" PRId64 ",\"status\":\"updated\"}", out,
                           i == 0 ? "" : ",", bench->next_lead_id++);
    }
    return apr_pstrcat(call->pool, out, "]}", NULL);
}

static inline int bench_kind(struct bench *bench, const struct bench_call *call, const char **body,
                             struct mkto_http_answer *answer)
{
    (void)answer;
    if (bench_is_token(call)) {
        *body = bench_token();
    } else if (bench_is_link(call)) {
        *body = "{\"requestId\":\"1\",\"success\":true}";
    } else if (bench_is_sync(call)) {
        *body = bench_synced(bench, call);
    }
    return 200;
}

#endif
