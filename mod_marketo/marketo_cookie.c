#include "mod_marketo.h"

#include "apr_general.h"
#include "apr_strings.h"
#include "http_protocol.h"
#include "http_request.h"
#include "util_filter.h"

/*
 * Behind everything that makes a response what it is (mod_headers, mod_expires, mod_deflate), and
 * behind CACHE_SAVE: what mod_cache keeps of a response has no cookie in it. In front of what
 * writes the headers down.
 */
#define FILTER_PLACE (AP_FTYPE_PROTOCOL - 1)
#define READ "marketo_read" /* a note: the headers came whole */

static ap_filter_rec_t *filter;

/* The values of one header in both tables of a response. */
struct joined {
    apr_pool_t *pool;
    const char *text; /* NULL: there is none */
};

static int join(void *data, const char *name, const char *value)
{
    struct joined *joined = data;
    (void)name;
    joined->text =
        joined->text == NULL ? value : apr_pstrcat(joined->pool, joined->text, ", ", value, NULL);
    return 1;
}

/* All values of a header, and of another one when it is not NULL. */
static struct mkto_slice header_out(const request_rec *r, const char *name, const char *other)
{
    struct joined joined = {.pool = r->pool};
    apr_table_do(join, &joined, r->headers_out, name, other, NULL);
    apr_table_do(join, &joined, r->err_headers_out, name, other, NULL);
    return mkto_slice_str(joined.text);
}

static int is_other(void *data, const char *name, const char *value)
{
    (void)data;
    (void)name;
    return !mkto_cookie_is_ours(mkto_slice_str(value));
}

static bool sets_cookie(const request_rec *r)
{
    return apr_table_do(is_other, NULL, r->headers_out, "Set-Cookie", NULL) == 0 ||
           apr_table_do(is_other, NULL, r->err_headers_out, "Set-Cookie", NULL) == 0;
}

/* A part of a page is cut out behind this filter. */
static int status_of(const request_rec *r)
{
    const bool part = r->status == HTTP_OK && apr_table_get(r->headers_in, "Range") != NULL;
    return part ? HTTP_PARTIAL_CONTENT : r->status;
}

static enum mkto_cookie_step step_of(const struct marketo_request *request)
{
    request_rec *r = request->r;
    const struct mkto_cookie_response response = {
        .status = status_of(r),
        .ours = request->place == MARKETO_PLACE_COLLECT,
        .has_cookie = sets_cookie(r),
        .expires = header_out(r, "Expires", NULL).data != NULL,
        .content_type = mkto_slice_str(r->content_type),
        .cache_control = header_out(r, "Cache-Control", NULL),
        .cdn_control = header_out(r, "CDN-Cache-Control", "Surrogate-Control"),
    };
    return mkto_cookie_may_set(&request->view, request->dir->cookie, &response);
}

/* A page may bring a new visitor's cookie. A call may for a browser on our own pages: an SDK would
 * get another one each time, and its people are known by their ids. */
static bool may_mint(const struct marketo_request *request)
{
    return request->place == MARKETO_PLACE_SITE ||
           mkto_origin_judge(&request->view, NULL, 0) == MKTO_SITE_OWN;
}

void marketo_cookie_settle(struct marketo_request *request)
{
    uint8_t random[MKTO_COOKIE_RANDOM] = {0};
    struct mkto_cookie cookie;
    if (request->has_cookie || request->dir->cookie == NULL || request->subscription == NULL ||
        marketo_request_privacy(request) != MKTO_SKIP_NONE) {
        return;
    }
    struct mkto_cookie_rule rule = *request->dir->cookie;
    if (rule.mode == MKTO_COOKIE_MINT &&
        (!may_mint(request) || apr_generate_random_bytes(random, sizeof(random)) != APR_SUCCESS)) {
        rule.mode = MKTO_COOKIE_REFRESH;
    }
    request->has_cookie = mkto_cookie_keep(&request->view, &rule, random, &cookie);
    if (request->has_cookie) {
        mkto_request_keep(&request->view, &cookie, apr_palloc(request->r->pool, MKTO_COOKIE_MAX));
    }
}

static void set(request_rec *r, const char *value, size_t len)
{
    apr_table_addn(r->headers_out, "Set-Cookie", apr_pstrmemdup(r->pool, value, len));
}

static bool set_visitor(struct marketo_request *request)
{
    char value[MKTO_SET_COOKIE_MAX];
    const size_t len = mkto_cookie_set_format(&request->view, request->dir->cookie,
                                              &request->view.visitor.best, value, sizeof(value));
    if (len > 0) {
        set(request->r, value, len);
    }
    return len > 0;
}

static bool set_opt_out(struct marketo_request *request)
{
    char values[2][MKTO_SET_COOKIE_MAX];
    const int count = mkto_cookie_opt_out(&request->view, request->dir->cookie, values);
    for (int i = 0; i < count; i++) {
        set(request->r, values[i], strlen(values[i]));
    }
    return count > 0;
}

/* In the place of all that caches are told. */
static void make_uncached(request_rec *r)
{
    static const char *const said[] = {"Cache-Control", "CDN-Cache-Control", "Surrogate-Control",
                                       "Expires"};
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        apr_table_unset(r->headers_out, said[i]);
        apr_table_unset(r->err_headers_out, said[i]);
    }
    apr_table_setn(r->headers_out, "Cache-Control", MKTO_COOKIE_UNCACHED);
}

static void give(struct marketo_request *request)
{
    const enum mkto_cookie_step step = step_of(request);
    if (step == MKTO_COOKIE_LEAVE) {
        return;
    }
    if (step == MKTO_COOKIE_SET_OPT_OUT) {
        set_opt_out(request);
        make_uncached(request->r);
        return;
    }
    bool given = set_opt_out(request);
    marketo_cookie_settle(request);
    if (request->has_cookie) {
        given |= set_visitor(request);
    }
    if (given && step == MKTO_COOKIE_SET_PRIVATE) {
        apr_table_mergen(request->r->headers_out, "Cache-Control", "private");
    }
}

static bool is_error(const apr_bucket_brigade *brigade)
{
    for (const apr_bucket *bucket = APR_BRIGADE_FIRST(brigade);
         bucket != APR_BRIGADE_SENTINEL(brigade); bucket = APR_BUCKET_NEXT(bucket)) {
        if (AP_BUCKET_IS_ERROR(bucket)) {
            return true;
        }
    }
    return false;
}

/* httpd tells nobody of a request that it refuses while its headers come. */
static int note_read(request_rec *r)
{
    if (r->prev == NULL) {
        apr_table_setn(r->notes, READ, "");
    }
    return DECLINED;
}

/* Whether it tells who asks, and whether he has opted out. */
static bool is_read(const request_rec *r)
{
    while (r->prev != NULL) {
        r = r->prev;
    }
    return apr_table_get(r->notes, READ) != NULL;
}

static bool is_wanted(request_rec *r)
{
    if (marketo_get()->config == NULL || r->main != NULL || !is_read(r)) {
        return false;
    }
    const struct marketo_request *known = marketo_request_known(r);
    const struct mkto_cookie_rule *rule = marketo_request_dir(r)->cookie;
    return rule != NULL && rule->mode != MKTO_COOKIE_OFF &&
           (known == NULL || known->place != MARKETO_PLACE_STATUS);
}

/* Once, before the first byte. Of an error httpd makes another response. Somebody may have named
 * the filter himself (SetOutputFilter), so it looks again whether it is wanted. */
static apr_status_t run(ap_filter_t *self, apr_bucket_brigade *brigade)
{
    ap_filter_t *next = self->next;
    request_rec *r = self->r;
    ap_remove_output_filter(self);
    if (!is_error(brigade) && is_wanted(r)) {
        give(marketo_request_get(r));
    }
    return ap_pass_brigade(next, brigade);
}

static void insert(request_rec *r)
{
    if (is_wanted(r)) {
        ap_add_output_filter_handle(filter, NULL, r, r->connection);
    }
}

void marketo_cookie_hooks(void)
{
    filter = ap_register_output_filter("MARKETO_COOKIE", run, NULL, FILTER_PLACE);
    ap_hook_post_read_request(note_read, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_insert_filter(insert, NULL, NULL, APR_HOOK_LAST);
    ap_hook_insert_error_filter(insert, NULL, NULL, APR_HOOK_LAST);
}
