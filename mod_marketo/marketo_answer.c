#include "mod_marketo.h"

#include "apr_strings.h"
#include "http_protocol.h"

/* The answer tells of the event; it is no document of which a visitor could want a part. */
static void forget_ranges(request_rec *r)
{
    apr_table_unset(r->headers_in, "Range");
    apr_table_unset(r->headers_in, "Request-Range");
    apr_table_unset(r->headers_in, "If-Range");
}

static const char *text_of(apr_pool_t *pool, struct mkto_slice slice)
{
    return apr_pstrmemdup(pool, slice.data, slice.len);
}

int marketo_answer_send(request_rec *r, const struct mkto_reply *reply)
{
    forget_ranges(r);
    r->status = reply->status;
    for (size_t i = 0; i < reply->header_count; i++) {
        apr_table_addn(r->headers_out, reply->headers[i].name,
                       text_of(r->pool, reply->headers[i].value));
    }
    if (reply->content_type.data != NULL) {
        ap_set_content_type(r, text_of(r->pool, reply->content_type));
        ap_set_content_length(r, (apr_off_t)reply->body.len);
        ap_rwrite(reply->body.data, (int)reply->body.len, r);
    }
    return OK;
}

int marketo_answer_code(request_rec *r, enum mkto_answer answer, const struct mkto_reply_more *more)
{
    struct mkto_reply reply;
    apr_table_setn(r->notes, "marketo_verdict", mkto_answer_name(answer));
    mkto_reply_answer(&reply, answer, more);
    return marketo_answer_send(r, &reply);
}
