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
    if (r->method != NGX_HTTP_GET) {
        return false;
    }
    return status == NGX_HTTP_OK
               ? mkto_page_is_document(ngx_http_marketo_slice(r->headers_out.content_type))
               : status == NGX_HTTP_NOT_MODIFIED;
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

/* Counts what it could not hand in. */
static enum mkto_skip ngx_http_marketo_page_hand_in(ngx_http_request_t *r,
                                                    ngx_http_marketo_view_t *view, bool shown)
{
    const uint64_t now = ngx_http_marketo_turn();
    struct mkto_view it = {
        .deadline_ms = now + PAGE_PATIENCE,
        .received_ms = (int64_t)r->start_sec * 1000 + (int64_t)r->start_msec,
        .subscription = mkto_slice_str(view->subscription->name),
        .email = ngx_http_marketo_email(r),
    };
    if (ngx_http_marketo_number_id(it.id) != NGX_OK) {
        ngx_http_marketo_count(MKTO_SKIP_NOT_STORED);
        return MKTO_SKIP_NOT_STORED;
    }
    if (shown) {
        ngx_hex_dump(view->id, it.id, sizeof(it.id));
    }
    return ngx_http_marketo_link_view(&ngx_http_marketo_events, &it, &view->request, now) ==
                   MKTO_ANSWER_STORED
               ? MKTO_SKIP_NONE
               : MKTO_SKIP_NOT_STORED;
}

/*
 * What becomes of a page view: NONE when the courier gets it, which finds out who has seen it. When
 * a variable shows the verdict that is found out here, by the same rule.
 */
static enum mkto_skip ngx_http_marketo_page_record(ngx_http_request_t *r,
                                                   ngx_http_marketo_view_t *view, bool shown)
{
    enum mkto_skip skip = ngx_http_marketo_privacy(r, view);
    if (skip != MKTO_SKIP_NONE || shown) {
        skip = mkto_page_visitor(&view->request, skip);
    }
    if (skip != MKTO_SKIP_NONE) {
        ngx_http_marketo_count(skip);
        return skip;
    }
    return ngx_http_marketo_page_hand_in(r, view, shown);
}

static void ngx_http_marketo_page_look(ngx_http_request_t *r, ngx_http_marketo_view_t *view,
                                       bool shown)
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
        skip = ngx_http_marketo_page_record(r, view, shown);
        view->verdict = "queued";
    } else if (skip != MKTO_SKIP_NONE) {
        ngx_http_marketo_count(skip);
    }
    if (skip != MKTO_SKIP_NONE) {
        view->verdict = mkto_skip_name(skip);
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
    const bool shown = mmcf->shows_variables;
    ngx_http_marketo_view_t *view =
        shown ? ngx_http_marketo_view(r) : ngx_http_marketo_view_find(r);
    if (view == NULL || view->subscription != mlcf->subscription) {
        view = &on_stack;
        ngx_http_marketo_view_fill(view, r);
        if (shown) { /* there is no memory for a view that stays */
            mkto_request_settle(&view->request);
        }
    }
    ngx_http_marketo_page_look(r, view, shown);
    return NGX_OK;
}
