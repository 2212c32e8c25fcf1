#include "mod_marketo.h"

#include "apr_general.h"
#include "apr_strings.h"
#include "http_core.h"
#include "http_protocol.h"
#include "http_request.h"
#include "http_ssl.h"

#include "mkto_cookie.h"

APLOG_USE_MODULE(marketo);

#define ID_BYTES 16     /* of a request id; twice as many hex digits */
#define BODY_FIRST 8192 /* bytes of room for a body whose length nobody told */

/* What a claimed request carries in its request_config. */
static char claim;

struct collect {
    request_rec *r;
    const struct marketo_dir *dir;
    const struct mkto_subscription *subscription;
    struct mkto_cookie_pick pick;
};

static const struct marketo_dir *dir_of(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &marketo_module);
}

static struct mkto_slice header(const request_rec *r, const char *name)
{
    return mkto_slice_str(apr_table_get(r->headers_in, name));
}

/* What stands behind the prefix of the tracking location, or NULL when the request is not below. */
static const char *path_below(const request_rec *r, const struct marketo_dir *dir)
{
    if (dir == NULL || dir->collect != 1 || r->uri == NULL) {
        return NULL;
    }
    const size_t len = strlen(dir->prefix);
    if (strncmp(r->uri, dir->prefix, len) != 0 || (r->uri[len] != '/' && r->uri[len] != '\0')) {
        return NULL;
    }
    return r->uri + len;
}

/*
 * The claim. httpd walks the locations before it asks anybody to translate the name, so our
 * directive is known first of all; from here on nobody else is asked what the request is, and no
 * directory or .htaccess is looked at. Authentication and `Require` of the location are not
 * touched.
 */
static int is_claimed(const request_rec *r)
{
    return ap_get_module_config(r->request_config, &marketo_module) == &claim;
}

/* Before mod_proxy, which maps encoded paths here. */
static int claim_encoded(request_rec *r)
{
    return r->proxyreq != PROXYREQ_PROXY && path_below(r, dir_of(r)) != NULL ? OK : DECLINED;
}

static int claim_name(request_rec *r)
{
    if (r->proxyreq == PROXYREQ_PROXY || path_below(r, dir_of(r)) == NULL) {
        return DECLINED;
    }
    ap_set_module_config(r->request_config, &marketo_module, &claim);
    r->proxyreq = PROXYREQ_NONE;
    r->handler = MARKETO_HANDLER;
    r->filename = apr_pstrcat(r->pool, "marketo:", r->uri, NULL); /* no file, but never NULL */
    return OK;
}

static int claim_storage(request_rec *r)
{
    return is_claimed(r) ? OK : DECLINED;
}

static int claim_type(request_rec *r)
{
    return is_claimed(r) ? OK : DECLINED;
}

/* After everybody else: a rewrite in the location may have set another handler. */
static int claim_fixup(request_rec *r)
{
    if (!is_claimed(r)) {
        return DECLINED;
    }
    r->proxyreq = PROXYREQ_NONE;
    r->handler = MARKETO_HANDLER;
    return OK;
}

/* Answers */

/* The answer tells of the event; it is no document of which a visitor could want a part. */
static void forget_ranges(request_rec *r)
{
    apr_table_unset(r->headers_in, "Range");
    apr_table_unset(r->headers_in, "Request-Range");
    apr_table_unset(r->headers_in, "If-Range");
}

static int send_answer(request_rec *r, const struct marketo_reply *reply, const char *allow)
{
    const struct mkto_slice body =
        reply->body.len > 0 ? reply->body : mkto_answer_body(reply->answer);
    const int retry_after =
        reply->retry_after > 0 ? reply->retry_after : mkto_answer_retry_after(reply->answer);
    forget_ranges(r);
    apr_table_setn(r->notes, "marketo_verdict", mkto_answer_name(reply->answer));
    r->status = mkto_answer_status(reply->answer);
    ap_set_content_type(r, "application/json");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    if (retry_after > 0) {
        apr_table_setn(r->headers_out, "Retry-After", apr_itoa(r->pool, retry_after));
    }
    if (allow != NULL) {
        apr_table_setn(r->headers_out, "Allow", allow);
    }
    ap_set_content_length(r, (apr_off_t)body.len);
    ap_rwrite(body.data, (int)body.len, r);
    return OK;
}

static int send_plain(request_rec *r, enum mkto_answer answer, const char *allow)
{
    const struct marketo_reply reply = {.answer = answer};
    return send_answer(r, &reply, allow);
}

/* The body */

struct body {
    char *data;
    apr_size_t len, room, max;
};

static long long content_length(const request_rec *r)
{
    const char *text = apr_table_get(r->headers_in, "Content-Length");
    return text == NULL ? -1 : (long long)apr_atoi64(text); /* httpd has checked it */
}

static int append(request_rec *r, struct body *body, const char *data, apr_size_t len)
{
    if (len > body->max - body->len) {
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    }
    if (len > body->room - body->len) {
        while (len > body->room - body->len) {
            body->room *= 2;
        }
        char *larger = apr_palloc(r->pool, body->room);
        memcpy(larger, body->data, body->len);
        body->data = larger;
    }
    memcpy(body->data + body->len, data, len);
    body->len += len;
    return OK;
}

static int append_brigade(request_rec *r, struct body *body, apr_bucket_brigade *brigade,
                          bool *ended)
{
    for (apr_bucket *bucket = APR_BRIGADE_FIRST(brigade);
         bucket != APR_BRIGADE_SENTINEL(brigade) && !*ended; bucket = APR_BUCKET_NEXT(bucket)) {
        const char *data;
        apr_size_t len;
        if (APR_BUCKET_IS_EOS(bucket)) {
            *ended = true;
        } else if (!APR_BUCKET_IS_METADATA(bucket)) {
            if (apr_bucket_read(bucket, &data, &len, APR_BLOCK_READ) != APR_SUCCESS) {
                return HTTP_BAD_REQUEST;
            }
            const int status = append(r, body, data, len);
            if (status != OK) {
                return status;
            }
        }
    }
    return OK;
}

/* Returns OK or an HTTP status; over the limit it stops reading. */
static int read_body(request_rec *r, apr_size_t max, struct mkto_slice *out)
{
    const long long told = content_length(r);
    struct body body = {.max = max, .room = told > 0 ? (apr_size_t)told : BODY_FIRST};
    body.data = apr_palloc(r->pool, body.room);
    apr_bucket_brigade *brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    bool ended = false;
    int status = OK;
    while (!ended && status == OK) {
        const apr_status_t got = ap_get_brigade(r->input_filters, brigade, AP_MODE_READBYTES,
                                                APR_BLOCK_READ, HUGE_STRING_LEN);
        status = got == APR_SUCCESS ? append_brigade(r, &body, brigade, &ended)
                                    : ap_map_http_request_error(got, HTTP_BAD_REQUEST);
        apr_brigade_cleanup(brigade);
    }
    *out = (struct mkto_slice){body.data, body.len};
    return status;
}

/* The event */

static const char *request_id(request_rec *r)
{
    unsigned char random[ID_BYTES];
    char *id = apr_palloc(r->pool, ID_BYTES * 2 + 1);
    if (apr_generate_random_bytes(random, sizeof(random)) != APR_SUCCESS) {
        return NULL;
    }
    ap_bin2hex(random, sizeof(random), id);
    apr_table_setn(r->notes, "marketo_event_id", id);
    return id;
}

static int scan_cookie(void *data, const char *name, const char *value)
{
    struct collect *collect = data;
    (void)name;
    mkto_cookie_scan(&collect->pick, mkto_slice_str(value),
                     mkto_slice_str(collect->subscription->munchkin_id),
                     header(collect->r, "Host"));
    return 1;
}

static struct mkto_slice find_cookie(struct collect *collect)
{
    apr_table_do(scan_cookie, collect, collect->r->headers_in, "Cookie", NULL);
    if (!collect->pick.found) {
        return MKTO_SLICE_NONE;
    }
    const struct mkto_cookie *best = &collect->pick.best;
    const char *id = best->id[0] != '\0' ? best->id : collect->subscription->munchkin_id;
    char *text = apr_palloc(collect->r->pool, MKTO_COOKIE_MAX);
    return (struct mkto_slice){text, mkto_cookie_format(id, best->token, text, MKTO_COOKIE_MAX)};
}

static uint32_t flags_of(request_rec *r)
{
    uint32_t flags = 0;
    if (ap_ssl_conn_is_ssl(r->connection) || strcmp(ap_http_scheme(r), "https") == 0) {
        flags |= MKTO_ENVELOPE_HTTPS;
    }
    if (apr_table_get(r->headers_in, "Origin") != NULL ||
        apr_table_get(r->headers_in, "Sec-Fetch-Site") != NULL) {
        flags |= MKTO_ENVELOPE_BROWSER;
    }
    return flags;
}

static void view_request(struct collect *collect, struct mkto_envelope *envelope)
{
    request_rec *r = collect->r;
    envelope->flags = flags_of(r);
    envelope->received_ms = (int64_t)apr_time_as_msec(r->request_time);
    envelope->subscription = mkto_slice_str(collect->subscription->name);
    envelope->remote_addr = mkto_slice_str(r->useragent_ip);
    envelope->host = header(r, "Host");
    envelope->user_agent = header(r, "User-Agent");
    envelope->accept_language = header(r, "Accept-Language");
    envelope->referer = header(r, "Referer");
    envelope->origin = header(r, "Origin");
    envelope->dnt = header(r, "DNT");
    envelope->gpc = header(r, "Sec-GPC");
    envelope->cookie = find_cookie(collect);
    envelope->request_id = mkto_slice_str(request_id(r));
}

static int send_event(struct collect *collect, struct mkto_envelope *envelope)
{
    request_rec *r = collect->r;
    const int timeout =
        collect->dir->timeout >= 0 ? collect->dir->timeout : MARKETO_TIMEOUT_DEFAULT;
    struct marketo_reply reply;
    view_request(collect, envelope);
    if (envelope->request_id.data == NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "MKTO0105 no random numbers");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    const struct mkto_event_frame event = {
        .deadline_ms = marketo_now() + (uint64_t)timeout,
        .ack = collect->dir->ack == MKTO_ACK_MEMORY ? MKTO_ACK_MEMORY : MKTO_ACK_DISK,
        .authorization = header(r, "Authorization"),
    };
    marketo_link_call(marketo_link_get(), &event, envelope, r->pool, &reply);
    if (reply.complaint != NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "MKTO0106 no answer from the courier: %s",
                      reply.complaint);
    }
    return send_answer(r, &reply, NULL);
}

static int collect_event(struct collect *collect, enum mkto_call call, apr_size_t max)
{
    struct mkto_envelope envelope = {.call = call};
    const struct marketo *marketo = marketo_get();
    collect->subscription =
        mkto_config_subscription(marketo->config, mkto_slice_str(collect->dir->subscription));
    if (collect->subscription == NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, collect->r,
                      "MKTO0107 no MarketoSubscription for this location and host");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (marketo_link_get() == NULL) {
        return send_plain(collect->r, MKTO_ANSWER_AWAY, NULL);
    }
    const int status = read_body(collect->r, max, &envelope.body);
    if (status == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        return send_plain(collect->r, MKTO_ANSWER_TOO_LARGE, NULL);
    }
    return status != OK ? status : send_event(collect, &envelope);
}

/* mod_deflate takes it off while the body is read, if it was told to. */
static struct mkto_slice encoding_left(const request_rec *r)
{
    for (const ap_filter_t *filter = r->input_filters; filter != NULL; filter = filter->next) {
        if (ap_cstr_casecmp(filter->frec->name, "DEFLATE") == 0) {
            return MKTO_SLICE_NONE;
        }
    }
    return header(r, "Content-Encoding");
}

static int handle(request_rec *r)
{
    struct collect collect = {.r = r, .dir = dir_of(r)};
    const char *path = path_below(r, collect.dir);
    if (r->handler == NULL || strcmp(r->handler, MARKETO_HANDLER) != 0 || path == NULL) {
        return DECLINED;
    }
    const int max = collect.dir->max_body >= 0 ? collect.dir->max_body : MKTO_BODY_DEFAULT;
    const struct mkto_route_request request = {
        .path = mkto_slice_str(path),
        .method = mkto_slice_str(r->method),
        .content_type = header(r, "Content-Type"),
        .content_encoding = encoding_left(r),
        .content_length = content_length(r),
        .max_body = max,
    };
    const struct mkto_route_result route = mkto_route_check(&request);
    if (route.answer != MKTO_ANSWER_STORED) {
        return send_plain(r, route.answer, route.allow);
    }
    return collect_event(&collect, route.call, (apr_size_t)max);
}

void marketo_handler_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_pre_translate_name(claim_encoded, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_translate_name(claim_name, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_map_to_storage(claim_storage, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_type_checker(claim_type, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_fixups(claim_fixup, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_handler(handle, NULL, NULL, APR_HOOK_REALLY_FIRST);
}
