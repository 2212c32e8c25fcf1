#include <sys/random.h>

#include "ngx_http_marketo.h"
#include "mkto_host.h"

#define RANDOM_DRAWS 16 /* of one getrandom; 256 bytes come whole, whatever signals do */

/* Random numbers. */

ngx_int_t ngx_http_marketo_random(u_char *bytes)
{
    static u_char pool[RANDOM_DRAWS * NGX_HTTP_MARKETO_RANDOM];
    static size_t used = sizeof(pool);
    if (used == sizeof(pool)) {
        if (getrandom(pool, sizeof(pool), 0) != (ssize_t)sizeof(pool)) {
            return NGX_ERROR;
        }
        used = 0;
    }
    ngx_memcpy(bytes, pool + used, NGX_HTTP_MARKETO_RANDOM);
    used += NGX_HTTP_MARKETO_RANDOM;
    return NGX_OK;
}

ngx_int_t ngx_http_marketo_make_id(u_char *id)
{
    u_char bytes[NGX_HTTP_MARKETO_RANDOM];
    if (ngx_http_marketo_random(bytes) != NGX_OK) {
        return NGX_ERROR;
    }
    ngx_hex_dump(id, bytes, sizeof(bytes));
    return NGX_OK;
}

ngx_int_t ngx_http_marketo_number_id(u_char *id)
{
    static u_char first[NGX_HTTP_MARKETO_RANDOM];
    static uint64_t count;
    uint64_t low;
    if (count == 0 && ngx_http_marketo_random(first) != NGX_OK) {
        return NGX_ERROR;
    }
    ngx_memcpy(&low, first, sizeof(low));
    low += count++;
    ngx_memcpy(id, first, sizeof(first));
    ngx_memcpy(id, &low, sizeof(low));
    return NGX_OK;
}

/* The visitor's request. */

/* An error page turns a POST into a GET; the request line tells what the visitor did. nginx writes
 * one for HTTP/2, too. Mostly the method is still the line's own word. */
struct mkto_slice ngx_http_marketo_method(const ngx_http_request_t *r)
{
    const ngx_str_t line = r->main->request_line;
    if (r->main->method_name.data == line.data) {
        return ngx_http_marketo_slice(r->main->method_name);
    }
    const u_char *space = line.len == 0 ? NULL : ngx_strlchr(line.data, line.data + line.len, ' ');
    if (space == NULL) {
        return ngx_http_marketo_slice(r->main->method_name);
    }
    return (struct mkto_slice){(const char *)line.data, (size_t)(space - line.data)};
}

static void ngx_http_marketo_view_headers(const ngx_http_request_t *main,
                                          struct mkto_request *request)
{
    for (const ngx_list_part_t *part = &main->headers_in.headers.part; part != NULL;
         part = part->next) {
        const ngx_table_elt_t *headers = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            mkto_request_header(request, ngx_http_marketo_slice(headers[i].key),
                                ngx_http_marketo_slice(headers[i].value));
        }
    }
}

/* As RFC 9112 has it (3.2.2): a whole URL in the request line wins over Host. Only the line has the
 * port, too. */
static struct mkto_slice ngx_http_marketo_host(const ngx_http_request_t *main)
{
    const ngx_table_elt_t *host = main->headers_in.host;
    if (main->host_start != NULL) {
        struct mkto_slice line = ngx_http_marketo_slice(main->request_line);
        mkto_slice_cut(&line, ' ');
        const struct mkto_slice named = mkto_host_of_url(mkto_slice_cut(&line, ' '));
        if (named.len > 0) {
            return named;
        }
    }
    return ngx_http_marketo_slice(host != NULL ? host->value : main->headers_in.server);
}

static bool ngx_http_marketo_is_https(ngx_http_request_t *r, ngx_http_complex_value_t *scheme)
{
    bool own = false;
    ngx_str_t said = ngx_null_string;
#if (NGX_SSL || NGX_COMPAT)
    own = r->main->connection->ssl != NULL;
#endif
    if (scheme != NULL && ngx_http_complex_value(r, scheme, &said) != NGX_OK) {
        return own;
    }
    return mkto_request_is_https(ngx_http_marketo_slice(said), own);
}

void ngx_http_marketo_view_fill(ngx_http_marketo_view_t *view, ngx_http_request_t *r)
{
    const ngx_http_marketo_loc_conf_t *mlcf =
        ngx_http_get_module_loc_conf(r, ngx_http_marketo_module);
    const ngx_http_request_t *main = r->main;
    const ngx_connection_t *c = main->connection;
    struct mkto_request *request = &view->request;

    mkto_request_begin(request);
    view->subscription = mlcf->subscription;
    view->has_cookie = false;
    view->id[0] = '\0';
    view->verdict = NULL;
    request->method = ngx_http_marketo_method(r);
    request->uri = ngx_http_marketo_slice(main->unparsed_uri);
    request->host = ngx_http_marketo_host(main);
    request->munchkin_id = mkto_slice_str(view->subscription->munchkin_id);
    if (c->sockaddr->sa_family != AF_UNIX) { /* then there is no address */
        request->remote_addr = ngx_http_marketo_slice(c->addr_text);
    }
    request->https = ngx_http_marketo_is_https(r, mlcf->scheme);
    ngx_http_marketo_view_headers(main, request);
}

/* Only marks the view in the list of the pool. */
static void ngx_http_marketo_view_cleanup(void *data)
{
    (void)data;
}

ngx_http_marketo_view_t *ngx_http_marketo_view_find(const ngx_http_request_t *r)
{
    for (const ngx_pool_cleanup_t *cleanup = r->pool->cleanup; cleanup != NULL;
         cleanup = cleanup->next) {
        if (cleanup->handler == ngx_http_marketo_view_cleanup) {
            return cleanup->data;
        }
    }
    return NULL;
}

ngx_http_marketo_view_t *ngx_http_marketo_view(ngx_http_request_t *r)
{
    const ngx_http_marketo_loc_conf_t *mlcf =
        ngx_http_get_module_loc_conf(r, ngx_http_marketo_module);
    ngx_http_marketo_view_t *view = ngx_http_marketo_view_find(r);
    if (mlcf->subscription == NULL || (view != NULL && view->subscription == mlcf->subscription)) {
        return view;
    }
    if (view == NULL) {
        ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, sizeof(*view));
        if (cleanup == NULL) {
            return NULL;
        }
        cleanup->handler = ngx_http_marketo_view_cleanup;
        view = cleanup->data;
    }
    ngx_http_marketo_view_fill(view, r);
    mkto_request_settle(&view->request);
    return view;
}

/* What a server adds to it. */

enum mkto_skip ngx_http_marketo_privacy(ngx_http_request_t *r, const ngx_http_marketo_view_t *view)
{
    const ngx_http_marketo_loc_conf_t *mlcf =
        ngx_http_get_module_loc_conf(r, ngx_http_marketo_module);
    struct mkto_privacy_rule rule = {.respect = view->subscription->respect};
    if (mlcf->consent != NULL) {
        ngx_str_t value;
        if (ngx_http_complex_value(r, &mlcf->consent->value, &value) != NGX_OK) {
            return MKTO_SKIP_CONSENT; /* no memory: nobody knows that he may */
        }
        rule.asks = true;
        rule.absent_grants = mlcf->consent->absent_grants;
        rule.consent = mkto_consent_read(ngx_http_marketo_slice(value));
    }
    return mkto_privacy_judge(&view->request, &rule);
}

struct mkto_slice ngx_http_marketo_email(ngx_http_request_t *r)
{
    const ngx_http_marketo_loc_conf_t *mlcf =
        ngx_http_get_module_loc_conf(r, ngx_http_marketo_module);
    ngx_str_t email;
    if (mlcf->email == NULL) {
        return MKTO_SLICE_NONE;
    }
    const ngx_int_t rc = ngx_http_complex_value(r, mlcf->email, &email);
    return rc == NGX_OK && email.len > 0 ? ngx_http_marketo_slice(email) : MKTO_SLICE_LIT("");
}

void ngx_http_marketo_envelope(ngx_http_request_t *r, const ngx_http_marketo_view_t *view,
                               char *cookie, struct mkto_envelope *envelope)
{
    const ngx_time_t *now = ngx_timeofday();
    mkto_request_envelope(&view->request, envelope, cookie);
    envelope->subscription = mkto_slice_str(view->subscription->name);
    envelope->received_ms = (int64_t)now->sec * 1000 + (int64_t)now->msec;
    envelope->email = ngx_http_marketo_email(r);
}
