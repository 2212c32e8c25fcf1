/*
 * The body, as it comes: nginx would write one over client_body_buffer_size (16 KB) to disk with a
 * warning, so it is read unbuffered. It arrives in nginx's buffers, or in a temporary file when
 * somebody else has had it read before (mirror, an internal redirect).
 */
#include "ngx_http_marketo.h"

#define BODY_FIRST_SIZE 16384 /* bytes of the first buffer; it doubles */

static size_t ngx_http_marketo_bodies; /* bytes gathered in this worker just now */

void ngx_http_marketo_free_body(ngx_http_marketo_ctx_t *ctx)
{
    if (ctx->gathered != NULL) {
        ngx_free(ctx->gathered);
        ngx_http_marketo_bodies -= ctx->gathered_size;
    }
    ctx->gathered = NULL;
    ctx->gathered_size = 0;
    ctx->body = NULL;
    ctx->body_len = 0;
}

/* Room for len more bytes. */
static enum mkto_answer ngx_http_marketo_make_room(ngx_http_marketo_ctx_t *ctx, size_t len,
                                                   size_t max)
{
    const size_t need = ctx->body_len + len;
    if (need <= ctx->gathered_size) {
        return MKTO_ANSWER_STORED;
    }
    size_t size = ngx_max(ngx_max(need, ctx->gathered_size * 2), BODY_FIRST_SIZE);
    size = ngx_max(need, ngx_min(size, max));
    if (ngx_http_marketo_bodies + size - ctx->gathered_size > NGX_HTTP_MARKETO_BODIES_MAX) {
        return MKTO_ANSWER_BUSY;
    }
    u_char *gathered = realloc(ctx->gathered, size);
    if (gathered == NULL) {
        return MKTO_ANSWER_BUSY;
    }
    ngx_http_marketo_bodies += size - ctx->gathered_size;
    ctx->gathered = gathered;
    ctx->gathered_size = size;
    ctx->body = gathered;
    return MKTO_ANSWER_STORED;
}

static enum mkto_answer ngx_http_marketo_take_buffer(ngx_http_marketo_ctx_t *ctx, ngx_buf_t *b)
{
    u_char *to = ctx->gathered + ctx->body_len;
    const size_t size = (size_t)ngx_buf_size(b);
    if (ngx_buf_in_memory(b)) {
        ngx_memcpy(to, b->pos, size);
    } else if (ngx_read_file(b->file, to, size, b->file_pos) != (ssize_t)size) {
        return MKTO_ANSWER_BUSY; /* nginx has logged why */
    }
    ctx->body_len += size;
    return MKTO_ANSWER_STORED;
}

/* Takes what nginx has read so far. STORED here means: go on. */
static enum mkto_answer ngx_http_marketo_take(ngx_http_marketo_ctx_t *ctx, size_t max,
                                              bool unbuffered)
{
    ngx_http_request_body_t *rb = ctx->request->request_body;
    ngx_chain_t *cl = rb == NULL ? NULL : rb->bufs;
    if (!unbuffered && cl != NULL && cl->next == NULL && ngx_buf_in_memory(cl->buf)) {
        ctx->body = cl->buf->pos; /* the usual case: whole, and in one piece */
        ctx->body_len = (size_t)ngx_buf_size(cl->buf);
        return ctx->body_len > max ? MKTO_ANSWER_TOO_LARGE : MKTO_ANSWER_STORED;
    }
    for (; cl != NULL; cl = cl->next) {
        const size_t size = (size_t)ngx_buf_size(cl->buf);
        if (size > max - ctx->body_len) {
            return MKTO_ANSWER_TOO_LARGE;
        }
        enum mkto_answer answer = ngx_http_marketo_make_room(ctx, size, max);
        if (answer == MKTO_ANSWER_STORED && size > 0) {
            answer = ngx_http_marketo_take_buffer(ctx, cl->buf);
        }
        if (answer != MKTO_ANSWER_STORED) {
            return answer;
        }
        if (unbuffered) { /* nginx reuses it; otherwise it may be somebody else's too */
            cl->buf->pos = cl->buf->last;
        }
    }
    if (unbuffered) {
        rb->bufs = NULL;
    }
    return MKTO_ANSWER_STORED;
}

static void ngx_http_marketo_body_continue(ngx_http_request_t *r)
{
    const ngx_http_marketo_loc_conf_t *mlcf =
        ngx_http_get_module_loc_conf(r, ngx_http_marketo_module);
    ngx_http_marketo_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_marketo_module);
    const bool unbuffered = r->reading_body;
    for (;;) {
        const enum mkto_answer answer = ngx_http_marketo_take(ctx, mlcf->max_body, unbuffered);
        if (answer != MKTO_ANSWER_STORED) {
            ngx_http_marketo_decide(ctx, answer);
            ngx_http_marketo_finish(ctx);
            return;
        }
        if (!r->reading_body) {
            ngx_http_marketo_body_whole(r);
            return;
        }
        const ngx_int_t rc = ngx_http_read_unbuffered_request_body(r);
        if (rc >= NGX_HTTP_SPECIAL_RESPONSE || rc == NGX_ERROR) {
            ngx_http_finalize_request(r, rc);
            return;
        }
        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            return;
        }
    }
}

static void ngx_http_marketo_body_begin(ngx_http_request_t *r)
{
    if (r->reading_body) {
        r->read_event_handler = ngx_http_marketo_body_continue;
    }
    ngx_http_marketo_body_continue(r);
}

ngx_int_t ngx_http_marketo_read_body(ngx_http_request_t *r)
{
    r->request_body_no_buffering = 1;
    const ngx_int_t rc = ngx_http_read_client_request_body(r, ngx_http_marketo_body_begin);
    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}
