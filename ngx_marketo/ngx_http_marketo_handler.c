#include <sys/random.h>

#include "ngx_http_marketo.h"
#include "mkto_cookie.h"
#include "mkto_route.h"

#define ID_BYTES 16   /* random bytes of a request id */
#define RANDOM_IDS 16 /* ids from one getrandom; 256 bytes come whole, whatever signals do */

/* Answers. */

static ngx_int_t ngx_http_marketo_add_header(ngx_http_request_t *r, const char *name,
                                             ngx_str_t value)
{
    ngx_table_elt_t *h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }
    ngx_memzero(h, sizeof(*h)); /* from 1.23 on it has a next */
    h->hash = 1;
    h->key.data = (u_char *)(uintptr_t)name;
    h->key.len = ngx_strlen(name);
    h->value = value;
    return NGX_OK;
}

static ngx_int_t ngx_http_marketo_add_headers(const ngx_http_marketo_ctx_t *ctx)
{
    ngx_http_request_t *r = ctx->request;
    const ngx_str_t no_store = ngx_string("no-store");
    const ngx_uint_t seconds =
        ctx->retry_after != 0 ? ctx->retry_after : (ngx_uint_t)mkto_answer_retry_after(ctx->answer);
    if (ngx_http_marketo_add_header(r, "Cache-Control", no_store) != NGX_OK) {
        return NGX_ERROR;
    }
    if (seconds > 0) {
        ngx_str_t value = {0, ngx_pnalloc(r->pool, NGX_INT_T_LEN)};
        if (value.data == NULL) {
            return NGX_ERROR;
        }
        value.len = (size_t)(ngx_sprintf(value.data, "%ui", seconds) - value.data);
        if (ngx_http_marketo_add_header(r, "Retry-After", value) != NGX_OK) {
            return NGX_ERROR;
        }
    }
    if (ctx->allow != NULL) {
        const ngx_str_t value = {ngx_strlen(ctx->allow), (u_char *)(uintptr_t)ctx->allow};
        return ngx_http_marketo_add_header(r, "Allow", value);
    }
    return NGX_OK;
}

static ngx_int_t ngx_http_marketo_send(const ngx_http_marketo_ctx_t *ctx)
{
    ngx_http_request_t *r = ctx->request;
    const struct mkto_slice table = mkto_answer_body(ctx->answer);
    u_char *text = ctx->text.len > 0 ? ctx->text.data : (u_char *)(uintptr_t)table.data;
    const size_t len = ctx->text.len > 0 ? ctx->text.len : table.len;

    if (r->reading_body || ctx->answer == MKTO_ANSWER_TOO_LARGE) {
        r->keepalive = 0; /* the rest of the body is not worth reading */
    }
    r->disable_not_modified = 1; /* If-Match would turn the answer to a stored event into 412 */
    r->headers_out.status = (ngx_uint_t)mkto_answer_status(ctx->answer);
    r->headers_out.content_length_n = (off_t)len;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    if (ngx_http_marketo_add_headers(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    const ngx_int_t rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }
    ngx_buf_t *b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }
    b->pos = text;
    b->last = text + len;
    b->memory = 1;
    b->last_buf = r == r->main;
    b->last_in_chain = 1;
    ngx_chain_t out = {b, NULL};
    return ngx_http_output_filter(r, &out);
}

void ngx_http_marketo_finish(ngx_http_marketo_ctx_t *ctx)
{
    ngx_http_finalize_request(ctx->request, ngx_http_marketo_send(ctx));
}

/* The envelope: what nginx knows of the request. */

struct ngx_http_marketo_header {
    ngx_str_t name;
    size_t offset; /* in struct mkto_envelope */
};

static const struct ngx_http_marketo_header ngx_http_marketo_headers[] = {
    {ngx_string("user-agent"), offsetof(struct mkto_envelope, user_agent)},
    {ngx_string("accept-language"), offsetof(struct mkto_envelope, accept_language)},
    {ngx_string("referer"), offsetof(struct mkto_envelope, referer)},
    {ngx_string("origin"), offsetof(struct mkto_envelope, origin)},
    {ngx_string("dnt"), offsetof(struct mkto_envelope, dnt)},
    {ngx_string("sec-gpc"), offsetof(struct mkto_envelope, gpc)},
};

static bool ngx_http_marketo_is_header(const ngx_table_elt_t *h, const ngx_str_t *name)
{
    return h->key.len == name->len && ngx_strncasecmp(h->key.data, name->data, name->len) == 0;
}

static void ngx_http_marketo_read_header(const ngx_table_elt_t *h, struct mkto_envelope *envelope)
{
    static const ngx_str_t fetch_site = ngx_string("sec-fetch-site");
    for (size_t i = 0; i < sizeof(ngx_http_marketo_headers) / sizeof(*ngx_http_marketo_headers);
         i++) {
        const struct ngx_http_marketo_header *row = &ngx_http_marketo_headers[i];
        if (ngx_http_marketo_is_header(h, &row->name)) {
            struct mkto_slice *slice = (struct mkto_slice *)((char *)envelope + row->offset);
            if (slice->data == NULL) {
                *slice = ngx_http_marketo_slice(h->value);
            }
            return;
        }
    }
    if (ngx_http_marketo_is_header(h, &fetch_site)) {
        envelope->flags |= MKTO_ENVELOPE_BROWSER;
    }
}

/* nginx keeps them in its list under any version, and as one header with HTTP/2. */
static void ngx_http_marketo_read_headers(ngx_http_request_t *r, struct mkto_envelope *envelope,
                                          struct mkto_cookie_pick *pick, struct mkto_slice id)
{
    static const ngx_str_t cookie = ngx_string("cookie");
    for (const ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL;
         part = part->next) {
        const ngx_table_elt_t *headers = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (ngx_http_marketo_is_header(&headers[i], &cookie)) {
                mkto_cookie_scan(pick, ngx_http_marketo_slice(headers[i].value), id,
                                 envelope->host);
            } else {
                ngx_http_marketo_read_header(&headers[i], envelope);
            }
        }
    }
    if (envelope->origin.data != NULL) {
        envelope->flags |= MKTO_ENVELOPE_BROWSER;
    }
}

static struct mkto_slice ngx_http_marketo_host(const ngx_http_request_t *r)
{
    const ngx_table_elt_t *host = r->headers_in.host;
    return ngx_http_marketo_slice(host != NULL ? host->value : r->headers_in.server);
}

/* `cookie` has room for MKTO_COOKIE_MAX bytes; the rest points into the request. */
static void ngx_http_marketo_fill(ngx_http_marketo_ctx_t *ctx,
                                  const struct mkto_subscription *subscription, char *cookie,
                                  struct mkto_envelope *envelope)
{
    ngx_http_request_t *r = ctx->request;
    const ngx_connection_t *c = r->connection;
    const ngx_time_t *now = ngx_timeofday();
    const struct mkto_slice id = mkto_slice_str(subscription->munchkin_id);
    struct mkto_cookie_pick pick = {0};

    envelope->call = ctx->call;
    envelope->received_ms = (int64_t)now->sec * 1000 + (int64_t)now->msec;
    envelope->subscription = mkto_slice_str(subscription->name);
    envelope->host = ngx_http_marketo_host(r);
    envelope->request_id = (struct mkto_slice){(const char *)ctx->id, sizeof(ctx->id)};
    envelope->body = (struct mkto_slice){(const char *)ctx->body, ctx->body_len};
    if (c->sockaddr->sa_family != AF_UNIX) { /* then there is no address */
        envelope->remote_addr = ngx_http_marketo_slice(c->addr_text);
    }
#if (NGX_SSL || NGX_COMPAT)
    if (c->ssl != NULL) {
        envelope->flags |= MKTO_ENVELOPE_HTTPS;
    }
#endif
    ngx_http_marketo_read_headers(r, envelope, &pick, id);
    if (pick.found) {
        const char *cookie_id = pick.best.id[0] != '\0' ? pick.best.id : subscription->munchkin_id;
        envelope->cookie.len =
            mkto_cookie_format(cookie_id, pick.best.token, cookie, MKTO_COOKIE_MAX);
        envelope->cookie.data = envelope->cookie.len > 0 ? cookie : NULL;
    }
}

/* Handing in. */

static void ngx_http_marketo_cleanup(void *data)
{
    ngx_http_marketo_ctx_t *ctx = data;
    ngx_http_marketo_free_body(ctx);
    ngx_http_marketo_link_forget(&ngx_http_marketo_events, ctx);
}

void ngx_http_marketo_body_whole(ngx_http_request_t *r)
{
    ngx_http_marketo_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_marketo_module);
    const ngx_http_marketo_loc_conf_t *mlcf =
        ngx_http_get_module_loc_conf(r, ngx_http_marketo_module);
    const ngx_table_elt_t *authorization = r->headers_in.authorization;
    const uint64_t now = ngx_http_marketo_now();
    char cookie[MKTO_COOKIE_MAX];
    struct mkto_envelope envelope = {0};
    struct mkto_event_frame event = {
        .deadline_ms = now + mlcf->timeout,
        .ack = (uint8_t)mlcf->ack,
    };
    if (authorization != NULL && authorization->value.len <= MKTO_AUTHORIZATION_MAX) {
        event.authorization = ngx_http_marketo_slice(authorization->value);
    }
    ngx_http_marketo_fill(ctx, mlcf->use->subscription, cookie, &envelope);
    const enum mkto_answer answer =
        ngx_http_marketo_link_submit(&ngx_http_marketo_events, ctx, &event, &envelope, now);
    ngx_http_marketo_free_body(ctx); /* the client has its own copy */
    if (answer != MKTO_ANSWER_STORED) {
        ctx->answer = answer;
        ngx_http_marketo_finish(ctx);
        return;
    }
    r->read_event_handler = ngx_http_test_reading; /* sees the visitor leave */
}

/* The beginning. */

static ngx_int_t ngx_http_marketo_make_id(u_char *id)
{
    static u_char pool[RANDOM_IDS * ID_BYTES];
    static size_t used = sizeof(pool);
    if (used == sizeof(pool)) {
        if (getrandom(pool, sizeof(pool), 0) != (ssize_t)sizeof(pool)) {
            return NGX_ERROR;
        }
        used = 0;
    }
    ngx_hex_dump(id, pool + used, ID_BYTES);
    used += ID_BYTES;
    return NGX_OK;
}

static ngx_http_marketo_ctx_t *ngx_http_marketo_create_ctx(ngx_http_request_t *r)
{
    ngx_http_marketo_ctx_t *ctx = ngx_pcalloc(r->pool, sizeof(*ctx));
    ngx_http_cleanup_t *cleanup = ngx_http_cleanup_add(r, 0);
    if (ctx == NULL || cleanup == NULL || ngx_http_marketo_make_id(ctx->id) != NGX_OK) {
        return NULL;
    }
    ctx->request = r;
    ctx->answer = MKTO_ANSWER_COUNT;
    cleanup->handler = ngx_http_marketo_cleanup;
    cleanup->data = ctx;
    ngx_http_set_ctx(r, ctx, ngx_http_marketo_module);
    return ctx;
}

/* What follows the location's prefix; absent when nothing can. */
static struct mkto_slice ngx_http_marketo_path(const ngx_http_request_t *r, const ngx_str_t *prefix)
{
    if (r->uri.len < prefix->len ||
        ngx_strncmp(r->uri.data, prefix->data, prefix->len) != 0) { /* rewritten in the location */
        return MKTO_SLICE_NONE;
    }
    const struct mkto_slice path = {(const char *)r->uri.data + prefix->len,
                                    r->uri.len - prefix->len};
    const bool cut = prefix->len > 0 && prefix->data[prefix->len - 1] != '/' && path.len > 0 &&
                     path.data[0] != '/'; /* /mktov1/track below /mkto */
    return cut ? MKTO_SLICE_NONE : path;
}

static struct mkto_slice ngx_http_marketo_encoding(const ngx_http_request_t *r)
{
    static const ngx_str_t name = ngx_string("content-encoding");
    for (const ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL;
         part = part->next) {
        const ngx_table_elt_t *headers = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (ngx_http_marketo_is_header(&headers[i], &name)) {
                return ngx_http_marketo_slice(headers[i].value);
            }
        }
    }
    return MKTO_SLICE_NONE;
}

ngx_int_t ngx_http_marketo_handler(ngx_http_request_t *r)
{
    const ngx_http_marketo_loc_conf_t *mlcf =
        ngx_http_get_module_loc_conf(r, ngx_http_marketo_module);
    const ngx_table_elt_t *type = r->headers_in.content_type;
    const struct mkto_route_request request = {
        .path = ngx_http_marketo_path(r, &mlcf->use->location->name),
        .method = ngx_http_marketo_slice(r->method_name),
        .content_type = type == NULL ? MKTO_SLICE_NONE : ngx_http_marketo_slice(type->value),
        .content_encoding = ngx_http_marketo_encoding(r),
        .content_length = r->headers_in.content_length_n,
        .max_body = (long long)mlcf->max_body,
    };
    ngx_http_marketo_ctx_t *ctx = ngx_http_marketo_create_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    const struct mkto_route_result route = mkto_route_check(&request);
    if (route.answer == MKTO_ANSWER_STORED) {
        ctx->call = route.call;
        return ngx_http_marketo_read_body(r);
    }
    ctx->answer = route.answer;
    ctx->allow = route.allow;
    const ngx_int_t rc = ngx_http_discard_request_body(r);
    return rc == NGX_OK ? ngx_http_marketo_send(ctx) : rc;
}
