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

/* Why this page view is not recorded, or NONE; false: it is none. */
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
    *skip = marketo_request_privacy(request);
    if (*skip == MKTO_SKIP_NONE && !request->view.visitor.found) {
        *skip = MKTO_SKIP_NO_VISITOR;
    }
    return true;
}

static enum mkto_skip record(struct marketo_request *request)
{
    char *body = apr_palloc(request->r->pool, MKTO_PAGE_BODY_MAX);
    struct mkto_envelope envelope = {.call = MKTO_CALL_PAGE};
    const size_t len = mkto_page_body(&request->view, body, MKTO_PAGE_BODY_MAX);
    const struct mkto_event_frame event = {
        .deadline_ms = marketo_now() + PATIENCE, .ack = MKTO_ACK_MEMORY, /* nobody waits for it */
    };
    if (len == 0 || !marketo_event_fill(request, &envelope)) {
        return MKTO_SKIP_NOT_STORED;
    }
    envelope.body = (struct mkto_slice){body, len};
    envelope.flags |= MKTO_ENVELOPE_SERVER;
    envelope.referer = MKTO_SLICE_NONE; /* it stands in the body */
    marketo_link_post(marketo_link_get(), &event, &envelope);
    return MKTO_SKIP_NONE;
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
    } else if (skip == MKTO_SKIP_NONE) {
        skip = record(request);
    }
    if (skip != MKTO_SKIP_NONE) {
        marketo_link_count(marketo_link_get(), skip);
    }
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
    if (request->view.visitor.found) {
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
