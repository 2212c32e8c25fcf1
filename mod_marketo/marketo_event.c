#include "mod_marketo.h"

#include "apr_general.h"
#include "apr_strings.h"

APLOG_USE_MODULE(marketo);

#define ID_BYTES MKTO_VIEW_ID /* of a request id; twice as many hex digits */

/* Its hex digits; NULL without random numbers. */
static const char *request_id(request_rec *r, unsigned char random[ID_BYTES])
{
    char *id = apr_palloc(r->pool, ID_BYTES * 2 + 1);
    if (apr_generate_random_bytes(random, ID_BYTES) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "MKTO0105 no random numbers");
        return NULL;
    }
    ap_bin2hex(random, ID_BYTES, id);
    apr_table_setn(r->notes, "marketo_event_id", id);
    return id;
}

/* What marketo_email says; absent when it is not set. */
static struct mkto_slice email_of(const struct marketo_request *request)
{
    if (request->dir->email == NULL) {
        return MKTO_SLICE_NONE;
    }
    const struct mkto_slice email = marketo_request_expr(request->r, request->dir->email);
    return email.len > 0 ? email : MKTO_SLICE_LIT("");
}

bool marketo_event_fill(struct marketo_request *request, struct mkto_envelope *envelope)
{
    request_rec *r = request->r;
    unsigned char random[ID_BYTES];
    const char *id = request_id(r, random);
    if (id == NULL) {
        return false;
    }
    mkto_request_envelope(&request->view, envelope, apr_palloc(r->pool, MKTO_COOKIE_MAX));
    envelope->received_ms = (int64_t)apr_time_as_msec(r->request_time);
    envelope->subscription =
        mkto_slice_str(request->subscription == NULL ? NULL : request->subscription->name);
    envelope->request_id = mkto_slice_str(id);
    envelope->email = email_of(request);
    return true;
}

bool marketo_event_view(struct marketo_request *request, struct mkto_view *view)
{
    if (request_id(request->r, view->id) == NULL) {
        return false;
    }
    view->received_ms = (int64_t)apr_time_as_msec(request->r->request_time);
    view->subscription = mkto_slice_str(request->subscription->name);
    view->email = email_of(request);
    return true;
}

uint64_t marketo_event_deadline(const struct marketo_dir *dir)
{
    return marketo_now() + (uint64_t)(dir->timeout >= 0 ? dir->timeout : MARKETO_TIMEOUT_DEFAULT);
}

void marketo_event_call(struct marketo_request *request, const struct mkto_envelope *envelope,
                        struct marketo_verdict *verdict)
{
    request_rec *r = request->r;
    const struct mkto_event_frame event = {
        .deadline_ms = marketo_event_deadline(request->dir),
        .ack = request->dir->ack == MKTO_ACK_MEMORY ? MKTO_ACK_MEMORY : MKTO_ACK_DISK,
        .authorization = request->view.header[MKTO_HEADER_AUTHORIZATION],
    };
    if (marketo_link_get() == NULL) {
        *verdict = (struct marketo_verdict){.answer = MKTO_ANSWER_AWAY};
        return;
    }
    marketo_link_call(marketo_link_get(), &event, envelope, r->pool, verdict);
    if (verdict->complaint != NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "MKTO0106 no answer from the courier: %s",
                      verdict->complaint);
    }
}
