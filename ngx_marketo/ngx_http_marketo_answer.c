/*
 * Writes a mkto_reply down. What it points to may be gone before nginx has sent it or shown it in a
 * log, but for static memory and the request's: the rest is copied.
 */
#include "ngx_http_marketo.h"

ngx_table_elt_t *ngx_http_marketo_add_header(ngx_http_request_t *r, const char *name,
                                             ngx_str_t value)
{
    ngx_table_elt_t *h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }
    ngx_memzero(h, sizeof(*h)); /* from 1.23 on it has a next */
    h->hash = 1;
    h->key = ngx_http_marketo_str(mkto_slice_str(name));
    h->value = value;
    return h;
}

static ngx_int_t ngx_http_marketo_keep(ngx_http_request_t *r, const struct mkto_reply *reply,
                                       struct mkto_slice from, ngx_str_t *to)
{
    *to = ngx_http_marketo_str(from);
    const bool within = from.data >= (const char *)reply && from.data < (const char *)(reply + 1);
    if (!within || from.len == 0) {
        return NGX_OK;
    }
    to->data = ngx_pstrdup(r->pool, to);
    return to->data == NULL ? NGX_ERROR : NGX_OK;
}

static ngx_int_t ngx_http_marketo_reply_headers(ngx_http_request_t *r,
                                                const struct mkto_reply *reply)
{
    r->headers_out.status = (ngx_uint_t)reply->status;
    ngx_str_null(&r->headers_out.content_type);
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.content_length_n = -1;
    if (reply->content_type.data != NULL) {
        r->headers_out.content_type = ngx_http_marketo_str(reply->content_type);
        r->headers_out.content_length_n = (off_t)reply->body.len;
    }
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    for (size_t i = 0; i < reply->header_count; i++) {
        const struct mkto_reply_header *header = &reply->headers[i];
        ngx_str_t value;
        if (ngx_http_marketo_keep(r, reply, header->value, &value) != NGX_OK) {
            return NGX_ERROR;
        }
        ngx_table_elt_t *h = ngx_http_marketo_add_header(r, header->name, value);
        if (h == NULL) {
            return NGX_ERROR;
        }
        if (ngx_strcmp(header->name, "ETag") == 0) {
            r->headers_out.etag = h; /* gzip makes a weak one of it */
        }
    }
    return NGX_OK;
}

ngx_int_t ngx_http_marketo_reply(ngx_http_request_t *r, const struct mkto_reply *reply)
{
    ngx_str_t body;
    if (ngx_http_marketo_reply_headers(r, reply) != NGX_OK ||
        ngx_http_marketo_keep(r, reply, reply->body, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    r->disable_not_modified = 1; /* If-Match would turn the answer to a stored event into 412 */
    r->header_only = r->header_only || body.len == 0;
    const ngx_int_t rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }
    ngx_buf_t *b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }
    b->pos = body.data;
    b->last = body.data + body.len;
    b->memory = 1;
    b->last_buf = r == r->main;
    b->last_in_chain = 1;
    ngx_chain_t out = {b, NULL};
    return ngx_http_output_filter(r, &out);
}

ngx_int_t ngx_http_marketo_answer(ngx_http_marketo_ctx_t *ctx)
{
    ngx_http_request_t *r = ctx->request;
    struct mkto_reply reply;
    if (r->reading_body || ctx->answer == MKTO_ANSWER_TOO_LARGE) {
        r->keepalive = 0; /* the rest of the body is not worth reading */
    }
    if (ctx->endpoint == MKTO_ENDPOINT_PIXEL) {
        mkto_reply_pixel(&reply);
    } else {
        mkto_reply_answer(&reply, ctx->answer, &ctx->more);
    }
    return ngx_http_marketo_reply(r, &reply);
}

void ngx_http_marketo_finish(ngx_http_marketo_ctx_t *ctx)
{
    ngx_http_finalize_request(ctx->request, ngx_http_marketo_answer(ctx));
}
