#include "ngx_http_marketo.h"
#include "mkto_status.h"

static struct mkto_slice ngx_http_marketo_status_text(enum mkto_reply_part part)
{
    switch (part) {
    case MKTO_REPLY_STYLE:
        return (struct mkto_slice){(const char *)mkto_status_css, mkto_status_css_len};
    case MKTO_REPLY_CODE:
        return (struct mkto_slice){(const char *)mkto_status_js, mkto_status_js_len};
    default: return (struct mkto_slice){(const char *)mkto_status_html, mkto_status_html_len};
    }
}

static ngx_int_t ngx_http_marketo_status_answer(ngx_http_marketo_ctx_t *ctx,
                                                const struct mkto_reply *reply)
{
    const ngx_int_t rc = ngx_http_discard_request_body(ctx->request);
    return rc == NGX_OK ? ngx_http_marketo_reply(ctx->request, reply) : rc;
}

ngx_int_t ngx_http_marketo_status_handler(ngx_http_request_t *r)
{
    ngx_http_marketo_ctx_t *ctx = ngx_http_marketo_create_ctx(r);
    struct mkto_reply reply;
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        ctx->more.allow = "GET";
        mkto_reply_answer(&reply, MKTO_ANSWER_BAD_METHOD, &ctx->more);
        return ngx_http_marketo_status_answer(ctx, &reply);
    }
    const enum mkto_reply_part part = mkto_reply_part(&ctx->view->request);
    if (part == MKTO_REPLY_STATUS) {
        ctx->call = MKTO_CALL_STATUS;
        return ngx_http_marketo_hand_in(ctx);
    }
    mkto_reply_document(&reply, part, ngx_http_marketo_status_text(part));
    return ngx_http_marketo_status_answer(ctx, &reply);
}
