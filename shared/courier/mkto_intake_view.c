/*
 * A page view as a web server saw it: whether a person saw the page, and who, by the rules that the
 * servers have, too. What remains is a page event like any other.
 */
#include "mkto_intake_state.h"

#include <apr_escape.h>

#include "mkto_host.h"
#include "mkto_page.h"

/* Nobody waits for the answer but the server's own list of what it has not told yet. */
static void keep_out(struct mkto_intake_call *call, enum mkto_skip skip)
{
    mkto_intake_filter(call, MKTO_CALL_PAGE, NULL, mkto_skip_name(skip));
    mkto_intake_answer(call, MKTO_ANSWER_FILTERED, NULL);
}

/* All but the body. */
static void fill_envelope(struct mkto_intake_call *call, const struct mkto_view *view,
                          const struct mkto_request *request)
{
    apr_pool_t *pool = call->peer->intake->scratch;
    struct mkto_envelope *envelope = &call->envelope;
    char *id = apr_palloc(pool, 2 * MKTO_VIEW_ID + 1);
    apr_escape_hex(id, view->id, MKTO_VIEW_ID, 0, NULL);
    mkto_request_envelope(request, envelope, apr_palloc(pool, MKTO_COOKIE_MAX));
    envelope->flags |= MKTO_ENVELOPE_SERVER;
    envelope->received_ms = view->received_ms;
    envelope->request_id = (struct mkto_slice){id, 2 * MKTO_VIEW_ID};
    envelope->email = view->email;
    envelope->referer = MKTO_SLICE_NONE; /* it stands in the body */
}

void mkto_intake_view(struct mkto_peer *peer, const struct mkto_view *view,
                      struct mkto_request *request, uint64_t seq, bool last)
{
    struct mkto_intake *intake = peer->intake;
    struct mkto_intake_call call = {
        .peer = peer,
        .frame = {.seq = seq, .deadline_ms = view->deadline_ms, .ack = MKTO_ACK_MEMORY},
        .envelope = {.call = MKTO_CALL_PAGE,
                     .flags = MKTO_ENVELOPE_SERVER,
                     .subscription = view->subscription},
        .shares = !last,
    };
    apr_pool_clear(intake->scratch);
    if (!mkto_intake_in_time(&call) || !mkto_intake_subscription(&call)) {
        return;
    }
    request->munchkin_id = mkto_slice_str(call.subscription->munchkin_id);
    mkto_request_settle(request);
    fill_envelope(&call, view, request);
    const enum mkto_skip skip = mkto_page_visitor(request, MKTO_SKIP_NONE);
    if (skip != MKTO_SKIP_NONE) {
        keep_out(&call, skip);
        return;
    }
    char *body = apr_palloc(intake->scratch, MKTO_PAGE_BODY_MAX);
    const size_t len = mkto_page_body(request, body, MKTO_PAGE_BODY_MAX);
    if (len == 0) {
        /* browsers name the host, and one that can be */
        keep_out(&call, mkto_host_is_clean(request->host) ? MKTO_SKIP_NOT_STORED : MKTO_SKIP_BOT);
        return;
    }
    call.envelope.body = (struct mkto_slice){body, len};
    mkto_intake_single(&call);
}
