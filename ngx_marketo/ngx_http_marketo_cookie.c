/*
 * The visitor's cookie, sent with an answer. Our header filter runs behind all that change the
 * answer's status or what a cache may do with it (not_modified, headers; see config).
 */
#include "ngx_http_marketo.h"

static ngx_http_output_header_filter_pt ngx_http_marketo_next_header_filter;

void ngx_http_marketo_cookie_keep(ngx_http_marketo_view_t *view,
                                  const struct mkto_cookie_rule *rule, bool mint)
{
    struct mkto_cookie_rule allowed = *rule;
    uint8_t random[NGX_HTTP_MARKETO_RANDOM] = {0};
    if (view->has_cookie) {
        return;
    }
    if (allowed.mode == MKTO_COOKIE_MINT && (!mint || ngx_http_marketo_random(random) != NGX_OK)) {
        allowed.mode = MKTO_COOKIE_REFRESH;
    }
    view->has_cookie = mkto_cookie_keep(&view->request, &allowed, random, &view->cookie);
    if (view->has_cookie) {
        mkto_request_keep(&view->request, &view->cookie, view->cookie_text);
    }
}

/* What the response says of caches and of our cookie. */

static bool ngx_http_marketo_is(const ngx_table_elt_t *h, const char *name)
{
    const size_t len = ngx_strlen(name);
    return h->key.len == len && ngx_strncasecmp(h->key.data, (u_char *)(uintptr_t)name, len) == 0;
}

static ngx_int_t ngx_http_marketo_join(ngx_http_request_t *r, struct mkto_slice *all,
                                       const ngx_str_t *more)
{
    if (all->data == NULL) {
        *all = ngx_http_marketo_slice(*more);
        return NGX_OK;
    }
    u_char *text = ngx_pnalloc(r->pool, all->len + 2 + more->len);
    if (text == NULL) {
        return NGX_ERROR;
    }
    u_char *end = ngx_cpymem(text, all->data, all->len);
    end = ngx_cpymem(end, ", ", 2);
    end = ngx_cpymem(end, more->data, more->len);
    *all = (struct mkto_slice){(const char *)text, (size_t)(end - text)};
    return NGX_OK;
}

/* *first becomes the first Cache-Control, or NULL. */
static ngx_int_t ngx_http_marketo_read_response(ngx_http_request_t *r,
                                                struct mkto_cookie_response *response,
                                                ngx_table_elt_t **first)
{
    *first = NULL;
    for (ngx_list_part_t *part = &r->headers_out.headers.part; part != NULL; part = part->next) {
        ngx_table_elt_t *headers = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            ngx_table_elt_t *h = &headers[i];
            if (h->hash == 0) {
                continue;
            }
            if (ngx_http_marketo_is(h, "Cache-Control")) {
                *first = *first == NULL ? h : *first;
                if (ngx_http_marketo_join(r, &response->cache_control, &h->value) != NGX_OK) {
                    return NGX_ERROR;
                }
            } else if (ngx_http_marketo_is(h, "CDN-Cache-Control") ||
                       ngx_http_marketo_is(h, "Surrogate-Control")) {
                if (ngx_http_marketo_join(r, &response->cdn_control, &h->value) != NGX_OK) {
                    return NGX_ERROR;
                }
            } else if (ngx_http_marketo_is(h, "Expires")) {
                response->expires = true;
            } else if (ngx_http_marketo_is(h, "Set-Cookie") &&
                       mkto_cookie_is_ours(ngx_http_marketo_slice(h->value))) {
                response->has_cookie = true;
            }
        }
    }
    return NGX_OK;
}

/* What is written. */

static ngx_int_t ngx_http_marketo_make_private(ngx_http_request_t *r, ngx_table_elt_t *control)
{
    static const ngx_str_t word = ngx_string("private");
    if (control == NULL) {
        return ngx_http_marketo_add_header(r, "Cache-Control", word) == NULL ? NGX_ERROR : NGX_OK;
    }
    struct mkto_slice value = ngx_http_marketo_slice(control->value);
    if (ngx_http_marketo_join(r, &value, &word) != NGX_OK) {
        return NGX_ERROR;
    }
    control->value = ngx_http_marketo_str(value);
    return NGX_OK;
}

/* In the place of all that caches are told. */
static ngx_int_t ngx_http_marketo_make_uncached(ngx_http_request_t *r)
{
    static const char *const said[] = {"Cache-Control", "CDN-Cache-Control", "Surrogate-Control",
                                       "Expires"};
    static const ngx_str_t uncached = ngx_string(MKTO_COOKIE_UNCACHED);
    for (ngx_list_part_t *part = &r->headers_out.headers.part; part != NULL; part = part->next) {
        ngx_table_elt_t *headers = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            for (size_t k = 0; k < sizeof(said) / sizeof(said[0]); k++) {
                if (ngx_http_marketo_is(&headers[i], said[k])) {
                    headers[i].hash = 0;
                }
            }
        }
    }
    return ngx_http_marketo_add_header(r, "Cache-Control", uncached) == NULL ? NGX_ERROR : NGX_OK;
}

/* A page may always bring a new visitor's cookie; a call only from a browser on our own pages: an
 * SDK would get another one each time, and its people are known by their ids. */
static bool ngx_http_marketo_may_mint(ngx_http_request_t *r)
{
    const ngx_http_marketo_loc_conf_t *mlcf =
        ngx_http_get_module_loc_conf(r, ngx_http_marketo_module);
    const ngx_http_marketo_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_marketo_module);
    return mlcf->use == NULL || (ctx != NULL && ctx->site == MKTO_SITE_OWN);
}

static ngx_int_t ngx_http_marketo_set_cookies(ngx_http_request_t *r, ngx_http_marketo_view_t *view,
                                              const struct mkto_cookie_rule *rule, bool visitors,
                                              int *count)
{
    char text[3][MKTO_SET_COOKIE_MAX];
    *count = mkto_cookie_opt_out(&view->request, rule, text);
    if (visitors && ngx_http_marketo_privacy(r, view) == MKTO_SKIP_NONE) {
        const bool mint = ngx_http_marketo_may_mint(r);
        ngx_http_marketo_cookie_keep(view, rule, mint);
        if (view->has_cookie && mkto_cookie_set_format(&view->request, rule, &view->cookie,
                                                       text[*count], sizeof(text[0])) > 0) {
            (*count)++;
        }
    }
    for (int i = 0; i < *count; i++) {
        ngx_str_t value = ngx_http_marketo_str(mkto_slice_str(text[i]));
        value.data = ngx_pstrdup(r->pool, &value);
        if (value.data == NULL || ngx_http_marketo_add_header(r, "Set-Cookie", value) == NULL) {
            return NGX_ERROR;
        }
    }
    return NGX_OK;
}

static ngx_int_t ngx_http_marketo_send_cookie(ngx_http_request_t *r,
                                              const ngx_http_marketo_loc_conf_t *mlcf)
{
    const struct mkto_cookie_rule *rule = &mlcf->cookie->rule;
    const struct mkto_request nobody = {.method = ngx_http_marketo_method(r),
                                        .uri = ngx_http_marketo_slice(r->main->unparsed_uri)};
    struct mkto_cookie_response response = {
        .status = (int)r->headers_out.status,
        .ours = mlcf->use != NULL,
        .content_type = ngx_http_marketo_slice(r->headers_out.content_type),
    };
    ngx_table_elt_t *control;
    int count = 0;
    /* Asked twice: most answers are no documents, and need no look at all the headers. */
    if (mkto_cookie_may_set(&nobody, rule, &response) == MKTO_COOKIE_LEAVE) {
        return NGX_OK;
    }
    ngx_http_marketo_view_t *view = ngx_http_marketo_view(r);
    if (view == NULL || ngx_http_marketo_read_response(r, &response, &control) != NGX_OK) {
        return NGX_ERROR;
    }
    const enum mkto_cookie_step step = mkto_cookie_may_set(&view->request, rule, &response);
    if (step == MKTO_COOKIE_LEAVE) {
        return NGX_OK;
    }
    const bool visitors = step != MKTO_COOKIE_SET_OPT_OUT;
    if (ngx_http_marketo_set_cookies(r, view, rule, visitors, &count) != NGX_OK) {
        return NGX_ERROR;
    }
    if (!visitors) {
        return ngx_http_marketo_make_uncached(r);
    }
    return count > 0 && step == MKTO_COOKIE_SET_PRIVATE ? ngx_http_marketo_make_private(r, control)
                                                        : NGX_OK;
}

/* Refused while its headers came, a request does not tell who asks, nor what he forbids. */
static bool ngx_http_marketo_is_read(const ngx_http_request_t *r)
{
    return r->http_state != NGX_HTTP_READING_REQUEST_STATE;
}

static ngx_int_t ngx_http_marketo_header_filter(ngx_http_request_t *r)
{
    const ngx_http_marketo_loc_conf_t *mlcf =
        ngx_http_get_module_loc_conf(r, ngx_http_marketo_module);
    if (r == r->main && mlcf->cookie != NULL && mlcf->status == NULL &&
        ngx_http_marketo_is_read(r) && ngx_http_marketo_send_cookie(r, mlcf) != NGX_OK) {
        return NGX_ERROR;
    }
    return ngx_http_marketo_next_header_filter(r);
}

void ngx_http_marketo_cookie_install(void)
{
    ngx_http_marketo_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_marketo_header_filter;
}
