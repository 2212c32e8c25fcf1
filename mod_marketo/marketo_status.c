#include "mod_marketo.h"

#include "mkto_status.h"

static bool is_get(const struct marketo_request *request)
{
    return mkto_slice_is(request->view.method, "GET") ||
           mkto_slice_is(request->view.method, "HEAD");
}

/* What the courier says of itself. */
static int send_state(struct marketo_request *request)
{
    struct mkto_envelope envelope = {.call = MKTO_CALL_STATUS};
    struct marketo_verdict verdict;
    if (!marketo_event_fill(request, &envelope)) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    marketo_event_call(request, &envelope, &verdict);
    const struct mkto_reply_more more = {.body = verdict.body, .retry_after = verdict.retry_after};
    return marketo_answer_code(request->r, verdict.answer, &more);
}

static struct mkto_slice text_of(enum mkto_reply_part part)
{
    switch (part) {
    case MKTO_REPLY_STYLE:
        return (struct mkto_slice){(const char *)mkto_status_css, mkto_status_css_len};
    case MKTO_REPLY_CODE:
        return (struct mkto_slice){(const char *)mkto_status_js, mkto_status_js_len};
    case MKTO_REPLY_PAGE:
    case MKTO_REPLY_STATUS: break;
    }
    return (struct mkto_slice){(const char *)mkto_status_html, mkto_status_html_len};
}

int marketo_status_run(request_rec *r)
{
    struct marketo_request *request = marketo_request_get(r);
    const char *path = marketo_claim_path(r, request->dir, MARKETO_PLACE_STATUS);
    if (path == NULL) {
        return DECLINED;
    }
    if (strcmp(path, "") != 0 && strcmp(path, "/") != 0) {
        return HTTP_NOT_FOUND;
    }
    if (!is_get(request)) {
        const struct mkto_reply_more more = {.allow = "GET"};
        return marketo_answer_code(r, MKTO_ANSWER_BAD_METHOD, &more);
    }
    const enum mkto_reply_part part = mkto_reply_part(&request->view);
    if (part == MKTO_REPLY_STATUS) {
        return send_state(request);
    }
    struct mkto_reply reply;
    mkto_reply_document(&reply, part, text_of(part));
    return marketo_answer_send(r, &reply);
}
