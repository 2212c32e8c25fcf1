/*
 * Page views, recorded when the response is logged: the visitor has it by then. Most requests of a
 * site are no page views, so what tells that at once is looked at before the headers are.
 */
#include "ngx_http_marketo.h"
#include "mkto_page.h"

#define PAGE_PATIENCE 60000 /* ms that a page view may wait for a courier that is away */
#define EXTENSION_MAX 32    /* bytes of a path's extension; no type is mapped to a longer one */

void ngx_http_marketo_count(enum mkto_skip skip)
{
    ngx_http_marketo_link_count(&ngx_http_marketo_events, skip);
}

static ngx_uint_t ngx_http_marketo_status_of(const ngx_http_request_t *r)
{
    return r->err_status != 0 ? r->err_status : r->headers_out.status;
}

/* No more than a sieve before mkto_page_judge. */
static bool ngx_http_marketo_may_be_page(ngx_http_request_t *r)
{
    const ngx_uint_t status = ngx_http_marketo_status_of(r);
    const ngx_str_t type = r->headers_out.content_type;
    if (r->method != NGX_HTTP_GET) {
        return false;
    }
    if (status == NGX_HTTP_OK) {
        return type.len >= sizeof("text/html") - 1 &&
               (type.data[0] == 't' || type.data[0] == 'T' || type.data[0] == 'a' ||
                type.data[0] == 'A') &&
               ngx_strlcasestrn(type.data, type.data + type.len, (u_char *)(uintptr_t) "html", 3) !=
                   NULL;
    }
    return status == NGX_HTTP_NOT_MODIFIED;
}

/* nginx takes the type off a 304, and a proxied one hardly ever has one: as the static module finds
 * it, but without default_type. */
static struct mkto_slice ngx_http_marketo_mapped_type(ngx_http_request_t *r)
{
    ngx_http_core_loc_conf_t *clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    u_char lower[EXTENSION_MAX];
    if (r->exten.len == 0 || r->exten.len > sizeof(lower)) {
        return MKTO_SLICE_NONE;
    }
    const ngx_uint_t hash = ngx_hash_strlow(lower, r->exten.data, r->exten.len);
    const ngx_str_t *type = ngx_hash_find(&clcf->types_hash, hash, lower, r->exten.len);
    return type == NULL ? MKTO_SLICE_NONE : ngx_http_marketo_slice(*type);
}

static enum mkto_skip ngx_http_marketo_page_hand_in(ngx_http_request_t *r,
                                                    const ngx_http_marketo_view_t *view)
{
    static char body[MKTO_PAGE_BODY_MAX];
    const uint64_t now = ngx_http_marketo_now();
    const size_t len = mkto_page_body(&view->request, body, sizeof(body));
    char cookie[MKTO_COOKIE_MAX];
    struct mkto_envelope envelope = {0};
    const struct mkto_event_frame event = {
        .deadline_ms = now + PAGE_PATIENCE, .ack = MKTO_ACK_MEMORY, /* nobody waits for the disk */
    };
    if (len == 0) {
        ngx_http_marketo_count(MKTO_SKIP_NOT_STORED);
        return MKTO_SKIP_NOT_STORED;
    }
    ngx_http_marketo_envelope(r, view, cookie, &envelope);
    envelope.call = MKTO_CALL_PAGE;
    envelope.flags |= MKTO_ENVELOPE_SERVER;
    envelope.received_ms = (int64_t)r->start_sec * 1000 + (int64_t)r->start_msec;
    envelope.request_id = (struct mkto_slice){(const char *)view->id, sizeof(view->id)};
    envelope.body = (struct mkto_slice){body, len};
    envelope.referer = MKTO_SLICE_NONE; /* it stands in the body */
    /* The client counts what it refuses. */
    return ngx_http_marketo_link_post(&ngx_http_marketo_events, &event, &envelope, now) ==
                   MKTO_ANSWER_STORED
               ? MKTO_SKIP_NONE
               : MKTO_SKIP_NOT_STORED;
}

/* What becomes of a page view: NONE when the courier gets it. NOT_STORED is counted already. */
static enum mkto_skip ngx_http_marketo_page_record(ngx_http_request_t *r,
                                                   ngx_http_marketo_view_t *view)
{
    const enum mkto_skip skip = ngx_http_marketo_privacy(r, view);
    if (skip != MKTO_SKIP_NONE) {
        return skip;
    }
    if (!view->request.visitor.found) {
        return MKTO_SKIP_NO_VISITOR;
    }
    if (ngx_http_marketo_make_id(view->id) != NGX_OK) {
        ngx_http_marketo_count(MKTO_SKIP_NOT_STORED);
        return MKTO_SKIP_NOT_STORED;
    }
    return ngx_http_marketo_page_hand_in(r, view);
}

static void ngx_http_marketo_page_look(ngx_http_request_t *r, ngx_http_marketo_view_t *view)
{
    struct mkto_page_response response = {
        .status = (int)ngx_http_marketo_status_of(r),
        .content_type = ngx_http_marketo_slice(r->headers_out.content_type),
    };
    if (response.status == NGX_HTTP_NOT_MODIFIED) {
        response.mapped_type = ngx_http_marketo_mapped_type(r);
    }
    enum mkto_skip skip = MKTO_SKIP_NONE;
    if (mkto_page_judge(&view->request, &response, &skip)) {
        skip = ngx_http_marketo_page_record(r, view);
        view->verdict = "queued";
    }
    if (skip != MKTO_SKIP_NONE) {
        view->verdict = mkto_skip_name(skip);
        if (skip != MKTO_SKIP_NOT_STORED) { /* counted where it was found */
            ngx_http_marketo_count(skip);
        }
    }
}

ngx_int_t ngx_http_marketo_page_handler(ngx_http_request_t *r)
{
    const ngx_http_marketo_loc_conf_t *mlcf =
        ngx_http_get_module_loc_conf(r, ngx_http_marketo_module);
    const ngx_http_marketo_main_conf_t *mmcf;
    ngx_http_marketo_view_t on_stack;
    if (!mlcf->track_pages || r != r->main || mlcf->use != NULL || mlcf->status != NULL ||
        !ngx_http_marketo_may_be_page(r)) {
        return NGX_OK;
    }
    mmcf = ngx_http_get_module_main_conf(r, ngx_http_marketo_module);
    ngx_http_marketo_view_t *view =
        mmcf->shows_variables ? ngx_http_marketo_view(r) : ngx_http_marketo_view_find(r);
    if (view == NULL || view->subscription != mlcf->subscription) {
        view = &on_stack;
        ngx_http_marketo_view_fill(view, r);
    }
    ngx_http_marketo_page_look(r, view);
    return NGX_OK;
}
