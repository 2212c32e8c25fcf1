#include "ngx_http_marketo.h"
#include "mkto_route.h"
#include "mkto_script.h"

/* Handing in. */

static void ngx_http_marketo_cleanup(void *data)
{
    ngx_http_marketo_ctx_t *ctx = data;
    ngx_http_marketo_free_body(ctx);
    ngx_http_marketo_link_forget(&ngx_http_marketo_events, ctx);
}

ngx_http_marketo_ctx_t *ngx_http_marketo_create_ctx(ngx_http_request_t *r)
{
    ngx_http_marketo_ctx_t *ctx = ngx_pcalloc(r->pool, sizeof(*ctx));
    ngx_http_marketo_view_t *view = ngx_http_marketo_view(r);
    ngx_http_cleanup_t *cleanup = ngx_http_cleanup_add(r, 0);
    if (ctx == NULL || view == NULL || cleanup == NULL ||
        ngx_http_marketo_make_id(ctx->id) != NGX_OK) {
        return NULL;
    }
    ctx->request = r;
    ctx->view = view;
    ctx->answer = MKTO_ANSWER_COUNT;
    cleanup->handler = ngx_http_marketo_cleanup;
    cleanup->data = ctx;
    ngx_http_set_ctx(r, ctx, ngx_http_marketo_module);
    return ctx;
}

static void ngx_http_marketo_fill(ngx_http_marketo_ctx_t *ctx, char *cookie,
                                  struct mkto_envelope *envelope)
{
    ngx_http_marketo_envelope(ctx->request, ctx->view, cookie, envelope);
    envelope->call = ctx->call;
    envelope->request_id = (struct mkto_slice){(const char *)ctx->id, sizeof(ctx->id)};
    envelope->body = (struct mkto_slice){(const char *)ctx->body, ctx->body_len};
    if (ctx->gzip) {
        const ngx_http_marketo_loc_conf_t *mlcf =
            ngx_http_get_module_loc_conf(ctx->request, ngx_http_marketo_module);
        envelope->text_max = (uint32_t)mlcf->max_body;
    }
    if (ctx->site == MKTO_SITE_OWN) {
        envelope->flags |= MKTO_ENVELOPE_OWN;
    }
    if (ctx->endpoint == MKTO_ENDPOINT_PIXEL) {
        envelope->flags |= MKTO_ENVELOPE_PIXEL;
    }
}

void ngx_http_marketo_decide(ngx_http_marketo_ctx_t *ctx, enum mkto_answer answer)
{
    const enum mkto_skip skip = mkto_skip_refused(answer);
    if (skip != MKTO_SKIP_NONE && ctx->endpoint == MKTO_ENDPOINT_CALL) {
        ngx_http_marketo_count(skip);
    }
    ctx->answer = answer;
}

void ngx_http_marketo_body_whole(ngx_http_request_t *r)
{
    ngx_http_marketo_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_marketo_module);
    const ngx_http_marketo_loc_conf_t *mlcf =
        ngx_http_get_module_loc_conf(r, ngx_http_marketo_module);
    const struct mkto_slice authorization = ctx->view->request.header[MKTO_HEADER_AUTHORIZATION];
    const uint64_t now = ngx_http_marketo_now();
    char cookie[MKTO_COOKIE_MAX];
    struct mkto_envelope envelope = {0};
    struct mkto_event_frame event = {
        .deadline_ms = now + mlcf->timeout,
        .ack = (uint8_t)mlcf->ack,
    };
    if (authorization.len <= MKTO_AUTHORIZATION_MAX) {
        event.authorization = authorization;
    }
    ngx_http_marketo_fill(ctx, cookie, &envelope);
    const enum mkto_answer answer =
        ngx_http_marketo_link_submit(&ngx_http_marketo_events, ctx, &event, &envelope, now);
    ngx_http_marketo_free_body(ctx); /* the client has its own copy */
    if (answer != MKTO_ANSWER_STORED) {
        ctx->answer = answer;
        ngx_http_marketo_finish(ctx);
        return;
    }
    if (!r->discard_body) {
        r->read_event_handler = ngx_http_test_reading; /* sees the visitor leave */
    }
}

ngx_int_t ngx_http_marketo_hand_in(ngx_http_marketo_ctx_t *ctx)
{
    ngx_http_request_t *r = ctx->request;
    const ngx_int_t rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }
    r->main->count++;
    ngx_http_marketo_body_whole(r);
    return NGX_DONE;
}

/* The paths. */

static ngx_int_t ngx_http_marketo_answer_now(ngx_http_marketo_ctx_t *ctx, enum mkto_answer answer)
{
    const ngx_int_t rc = ngx_http_discard_request_body(ctx->request);
    ngx_http_marketo_decide(ctx, answer);
    return rc == NGX_OK ? ngx_http_marketo_answer(ctx) : rc;
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

static struct mkto_route_result ngx_http_marketo_route(const ngx_http_marketo_ctx_t *ctx,
                                                       const ngx_http_marketo_loc_conf_t *mlcf)
{
    const ngx_http_request_t *r = ctx->request;
    const struct mkto_slice *header = ctx->view->request.header;
    const struct mkto_route_request request = {
        .path = ngx_http_marketo_path(r, &mlcf->use->location->name),
        .method = ngx_http_marketo_slice(r->method_name),
        .content_type = header[MKTO_HEADER_CONTENT_TYPE],
        .content_encoding = header[MKTO_HEADER_CONTENT_ENCODING],
        .content_length = r->headers_in.content_length_n,
        .max_body = (long long)mlcf->max_body,
    };
    return mkto_route_check(&request);
}

/* Who may ask for it; STORED means: go on. */
static enum mkto_answer ngx_http_marketo_admit(const ngx_http_marketo_ctx_t *ctx,
                                               const struct mkto_route_result *route)
{
    const struct mkto_request *request = &ctx->view->request;
    if (route->endpoint == MKTO_ENDPOINT_HASH &&
        ctx->view->subscription->munchkin_private_key_file == NULL) {
        return MKTO_ANSWER_NOT_FOUND;
    }
    if (route->answer != MKTO_ANSWER_STORED) {
        return route->answer;
    }
    if (route->endpoint == MKTO_ENDPOINT_CALL && ctx->site == MKTO_SITE_FOREIGN) {
        return MKTO_ANSWER_FORBIDDEN;
    }
    if (route->endpoint == MKTO_ENDPOINT_HASH &&
        (ctx->site != MKTO_SITE_OWN || request->header[MKTO_HEADER_X_MARKETO_HASH].data == NULL)) {
        return MKTO_ANSWER_FORBIDDEN;
    }
    return MKTO_ANSWER_STORED;
}

/* A call that says something of the visitor. */
static ngx_int_t ngx_http_marketo_collect(ngx_http_marketo_ctx_t *ctx)
{
    ngx_http_request_t *r = ctx->request;
    const ngx_http_marketo_loc_conf_t *mlcf =
        ngx_http_get_module_loc_conf(r, ngx_http_marketo_module);
    const bool pixel = ctx->endpoint == MKTO_ENDPOINT_PIXEL;
    const enum mkto_skip skip = pixel && ctx->site == MKTO_SITE_FOREIGN
                                    ? MKTO_SKIP_ORIGIN
                                    : ngx_http_marketo_privacy(r, ctx->view);
    if (skip != MKTO_SKIP_NONE) {
        ngx_http_marketo_count(skip);
        return ngx_http_marketo_answer_now(ctx, ctx->endpoint == MKTO_ENDPOINT_HASH
                                                    ? MKTO_ANSWER_FORBIDDEN
                                                    : MKTO_ANSWER_FILTERED);
    }
    if (mlcf->cookie != NULL && r == r->main) {
        ngx_http_marketo_cookie_keep(ctx->view, &mlcf->cookie->rule, ctx->site == MKTO_SITE_OWN);
    }
    if (!pixel) {
        return ngx_http_marketo_read_body(r);
    }
    ctx->body = r->args.data;
    ctx->body_len = r->args.len;
    return ngx_http_marketo_hand_in(ctx);
}

/* What is answered here, without the courier. */
static ngx_int_t ngx_http_marketo_serve(ngx_http_marketo_ctx_t *ctx,
                                        const struct mkto_route_result *route)
{
    ngx_http_request_t *r = ctx->request;
    const ngx_http_marketo_loc_conf_t *mlcf =
        ngx_http_get_module_loc_conf(r, ngx_http_marketo_module);
    const struct mkto_request *request = &ctx->view->request;
    struct mkto_reply reply;
    const ngx_int_t rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }
    switch (route->endpoint) {
    case MKTO_ENDPOINT_SCRIPT:
        mkto_reply_script(&reply, (struct mkto_slice){(const char *)mkto_script, mkto_script_len},
                          mkto_script_etag, request->header[MKTO_HEADER_IF_NONE_MATCH]);
        break;
    case MKTO_ENDPOINT_SETTINGS:
        mkto_reply_settings(&reply, request, ngx_http_marketo_slice(mlcf->use->location->name),
                            route->key, &ctx->more);
        break;
    case MKTO_ENDPOINT_PREFLIGHT:
        mkto_reply_preflight(&reply, route->allow, &ctx->more, ctx->site == MKTO_SITE_FOREIGN);
        break;
    default:
        ctx->answer = MKTO_ANSWER_FILTERED;
        mkto_reply_answer(&reply, ctx->answer, &ctx->more);
        break;
    }
    return ngx_http_marketo_reply(r, &reply);
}

ngx_int_t ngx_http_marketo_handler(ngx_http_request_t *r)
{
    const ngx_http_marketo_loc_conf_t *mlcf =
        ngx_http_get_module_loc_conf(r, ngx_http_marketo_module);
    const struct mkto_slice *origins = mlcf->origins == NULL ? NULL : mlcf->origins->elts;
    const size_t count = mlcf->origins == NULL ? 0 : mlcf->origins->nelts;
    ngx_http_marketo_ctx_t *ctx = ngx_http_marketo_create_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    ctx->site = mkto_origin_judge(&ctx->view->request, origins, count);
    ctx->more.varies = count > 0;
    if (ctx->site == MKTO_SITE_ALLOWED) {
        ctx->more.origin = ctx->view->request.header[MKTO_HEADER_ORIGIN];
    }
    const struct mkto_route_result route = ngx_http_marketo_route(ctx, mlcf);
    const enum mkto_answer answer = ngx_http_marketo_admit(ctx, &route);
    if (answer != MKTO_ANSWER_STORED) {
        if (route.endpoint == MKTO_ENDPOINT_CALL) { /* refused, and counted; others are no call */
            ctx->endpoint = route.endpoint;
        }
        ctx->more.allow = route.allow;
        return ngx_http_marketo_answer_now(ctx, answer);
    }
    ctx->endpoint = route.endpoint;
    ctx->call = route.call;
    ctx->gzip = route.gzip;
    switch (route.endpoint) {
    case MKTO_ENDPOINT_CALL:
    case MKTO_ENDPOINT_PIXEL:
    case MKTO_ENDPOINT_HASH: return ngx_http_marketo_collect(ctx);
    default: return ngx_http_marketo_serve(ctx, &route);
    }
}
