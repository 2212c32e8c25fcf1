#include "mod_marketo.h"

#include <stdatomic.h>

#include "apr_strings.h"
#include "http_protocol.h"

#include "mkto_page.h"

APLOG_USE_MODULE(marketo);

#define PATIENCE 60000 /* ms that a page view may wait for a courier that is away */

static void complain(request_rec *r)
{
    static atomic_flag complained = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&complained)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "MKTO0107 no MarketoSubscription for this location and host");
    }
}

/* Why this page view is not recorded, or NONE; false: it is none. Access logs may show it, so it is
 * found out here, whoever reads them. */
static bool judge(struct marketo_request *request, enum mkto_skip *skip)
{
    struct mkto_page_response response = {.status = request->r->status};
    if (response.status == HTTP_NOT_MODIFIED) { /* httpd gives it the type of an error page */
        response.mapped_type = marketo_request_mapped_type(request->r);
    } else {
        response.content_type = mkto_slice_str(request->r->content_type);
    }
    if (!mkto_page_judge(&request->view, &response, skip)) {
        return *skip != MKTO_SKIP_NONE;
    }
    *skip = mkto_page_visitor(&request->view, marketo_request_privacy(request));
    return true;
}

static enum mkto_skip keep_away(enum mkto_skip skip)
{
    marketo_link_count(marketo_link_get(), skip);
    return skip;
}

/* Counts what it could not hand in. */
static enum mkto_skip record(struct marketo_request *request)
{
    struct mkto_view view = {.deadline_ms = marketo_now() + PATIENCE};
    if (!marketo_event_view(request, &view)) {
        return keep_away(MKTO_SKIP_NOT_STORED);
    }
    return marketo_link_view(marketo_link_get(), &view, &request->view) == MKTO_ANSWER_STORED
               ? MKTO_SKIP_NONE
               : MKTO_SKIP_NOT_STORED;
}

static void look(struct marketo_request *request)
{
    request_rec *r = request->r;
    enum mkto_skip skip = MKTO_SKIP_NONE;
    if (!judge(request, &skip)) {
        return;
    }
    if (request->subscription == NULL) {
        complain(r);
        skip = MKTO_SKIP_NOT_STORED;
    }
    skip = skip == MKTO_SKIP_NONE ? record(request) : keep_away(skip);
    apr_table_setn(r->notes, "marketo_verdict",
                   skip == MKTO_SKIP_NONE ? "queued" : mkto_skip_name(skip));
}

/* Runs when the response is out; once for a chain of internal redirects, so that they are one page
 * view. What was shown is the last of them. */
static int log_request(request_rec *r)
{
    while (r->next != NULL) {
        r = r->next;
    }
    if (marketo_get()->config == NULL || marketo_link_get() == NULL) {
        return DECLINED;
    }
    const bool tracks = marketo_request_dir(r)->track_pages == 1;
    if (!tracks && marketo_request_known(r) == NULL) {
        return DECLINED;
    }
    struct marketo_request *request = marketo_request_get(r);
    if (tracks && request->place == MARKETO_PLACE_SITE) {
        look(request);
    }
    if (request->view.visitor.found && marketo_request_privacy(request) == MKTO_SKIP_NONE) {
        apr_table_setn(r->notes, "marketo_visitor", request->view.visitor.best.token);
    }
    return DECLINED;
}

/* Before the access log, so that it has our notes. */
void marketo_page_hooks(void)
{
    static const char *const later[] = {"mod_log_config.c", NULL};
    ap_hook_log_transaction(log_request, NULL, later, APR_HOOK_FIRST);
}
