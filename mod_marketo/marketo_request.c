#include "mod_marketo.h"

#include "apr_strings.h"
#include "http_core.h"
#include "http_protocol.h"
#include "http_request.h"
#include "http_ssl.h"

APLOG_USE_MODULE(marketo);

/*
 * A request that nobody has walked through the locations: mod_cache answered it from its quick
 * handler, or it failed early. The walk is made up for on a copy, for what it would do to r is not
 * wanted any more. <Directory> cannot be made up for: nobody has found the file.
 */
static ap_conf_vector_t *walked(request_rec *r)
{
    if (r->filename != NULL || r->uri == NULL || r->per_dir_config != r->server->lookup_defaults) {
        return r->per_dir_config;
    }
    request_rec copy = *r;
    copy.uri = apr_pstrdup(r->pool, r->uri);
    if (!ap_normalize_path(copy.uri, AP_NORMALIZE_MERGE_SLASHES | AP_NORMALIZE_NOT_ABOVE_ROOT) ||
        ap_unescape_url(copy.uri) != OK || ap_location_walk(&copy) != OK) {
        return r->per_dir_config;
    }
    return copy.per_dir_config;
}

const struct marketo_dir *marketo_request_dir(request_rec *r)
{
    return ap_get_module_config(walked(r), &marketo_module);
}

/* mod_mime looks at a copy that has no filters, for it would add some. A proxied request's
 * filename is an address. */
struct mkto_slice marketo_request_mapped_type(request_rec *r)
{
    request_rec copy = *r;
    if (r->proxyreq != PROXYREQ_NONE || r->filename == NULL) {
        copy.filename = r->uri;
    }
    copy.finfo = (apr_finfo_t){.filetype = APR_NOFILE}; /* nobody is to open it */
    copy.per_dir_config = walked(r);
    copy.content_type = NULL;
    copy.handler = NULL;
    copy.output_filters = copy.proto_output_filters = NULL;
    copy.input_filters = copy.proto_input_filters = NULL;
    ap_run_type_checker(&copy);
    return mkto_slice_str(copy.content_type);
}

struct marketo_request *marketo_request_known(const request_rec *r)
{
    return ap_get_module_config(r->request_config, &marketo_module);
}

/* Path and query as the client sent them, whatever the request was redirected to. */
static struct mkto_slice uri_of(const request_rec *r)
{
    const char *uri = r->unparsed_uri == NULL ? "/" : r->unparsed_uri;
    if (uri[0] != '/') { /* http://host/path, as a proxy asks; or no path: http://host?query */
        const char *host = strstr(uri, "://");
        uri = host == NULL ? "" : host + 3 + strcspn(host + 3, "/?");
    }
    return mkto_slice_str(uri[0] == '\0' ? "/" : uri);
}

/* An ErrorDocument turns a POST into a GET; the request line tells what the visitor did. */
static struct mkto_slice method_of(const request_rec *r)
{
    const char *line = r->the_request;
    const char *space = line == NULL ? NULL : strchr(line, ' ');
    return space == NULL ? mkto_slice_str(r->method)
                         : (struct mkto_slice){line, (size_t)(space - line)};
}

/* httpd joins two Cookie lines of HTTP/1.1 by ", ". None of our cookies has that in it, and the
 * parts of others are not looked at. */
static void view_cookies(struct mkto_request *view, struct mkto_slice name, const char *lines)
{
    const char *end;
    while ((end = strstr(lines, ", ")) != NULL) {
        mkto_request_header(view, name, (struct mkto_slice){lines, (size_t)(end - lines)});
        lines = end + 2;
    }
    mkto_request_header(view, name, mkto_slice_str(lines));
}

static int view_header(void *data, const char *name, const char *value)
{
    const struct mkto_slice header = mkto_slice_str(name);
    if (value != NULL && mkto_header_find(header) == MKTO_HEADER_COOKIE) {
        view_cookies(data, header, value);
    } else {
        mkto_request_header(data, header, mkto_slice_str(value));
    }
    return 1;
}

struct mkto_slice marketo_request_expr(request_rec *r, const ap_expr_info_t *expr)
{
    const char *wrong = NULL;
    const char *text = ap_expr_str_exec(r, expr, &wrong);
    if (wrong != NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "MKTO0110 an expression failed: %s", wrong);
        return MKTO_SLICE_NONE;
    }
    return mkto_slice_str(text);
}

static bool is_https(const struct marketo_request *request)
{
    request_rec *r = request->r;
    const ap_expr_info_t *scheme = request->dir->scheme;
    const bool own = ap_ssl_conn_is_ssl(r->connection) || strcmp(ap_http_scheme(r), "https") == 0;
    return scheme == NULL ? own : mkto_request_is_https(marketo_request_expr(r, scheme), own);
}

static void view(struct marketo_request *request)
{
    request_rec *r = request->r;
    request_rec *first = r;
    while (first->prev != NULL) {
        first = first->prev;
    }
    const char *host = apr_table_get(r->headers_in, "Host");
    request->view = (struct mkto_request){
        .method = method_of(first),
        .uri = uri_of(first),
        .host = mkto_slice_str(host != NULL ? host : r->hostname),
        .remote_addr = mkto_slice_str(r->useragent_ip),
        .https = is_https(request),
    };
    if (request->subscription != NULL) {
        request->view.munchkin_id = mkto_slice_str(request->subscription->munchkin_id);
    }
    apr_table_do(view_header, &request->view, r->headers_in, NULL);
    mkto_request_settle(&request->view); /* the notes for access logs tell the visitor anyway */
}

struct marketo_request *marketo_request_get(request_rec *r)
{
    struct marketo_request *request = marketo_request_known(r);
    if (request == NULL) {
        request = apr_pcalloc(r->pool, sizeof(*request));
        request->r = r;
        request->dir = marketo_request_dir(r);
        request->subscription = mkto_config_subscription(
            marketo_get()->config, mkto_slice_str(request->dir->subscription));
        view(request);
        ap_set_module_config(r->request_config, &marketo_module, request);
    }
    return request;
}

enum mkto_skip marketo_request_privacy(struct marketo_request *request)
{
    const struct marketo_consent *consent = request->dir->consent;
    if (request->judged) {
        return request->skip;
    }
    struct mkto_privacy_rule rule = {
        .respect = request->subscription == NULL ? 0 : request->subscription->respect,
    };
    if (consent != NULL) {
        rule.asks = true;
        rule.absent_grants = consent->absent_grants;
        rule.consent = mkto_consent_read(marketo_request_expr(request->r, consent->expr));
    }
    request->judged = true;
    request->skip = mkto_privacy_judge(&request->view, &rule);
    return request->skip;
}
