#include "mod_marketo.h"

#include "util_filter.h"

#include "mkto_script.h"

APLOG_USE_MODULE(marketo);

/* One request of a tracking location on its way to its answer. */
struct collect {
    struct marketo_request *request;
    struct mkto_route_result route;
    enum mkto_site site;
    size_t max_body;
    struct mkto_reply_more more; /* what all answers here have in common */
};

static struct mkto_slice header(const struct collect *collect, enum mkto_header which)
{
    return collect->request->view.header[which];
}

static void count(enum mkto_skip skip)
{
    if (skip != MKTO_SKIP_NONE && marketo_link_get() != NULL) {
        marketo_link_count(marketo_link_get(), skip);
    }
}

/* An answer of our own, without the courier: the calls that it refuses are counted. */
static int answer(const struct collect *collect, enum mkto_answer code)
{
    if (collect->route.endpoint == MKTO_ENDPOINT_CALL) {
        count(mkto_skip_refused(code));
    }
    return marketo_answer_code(collect->request->r, code, &collect->more);
}

static int send_reply(const struct collect *collect, const struct mkto_reply *reply)
{
    return marketo_answer_send(collect->request->r, reply);
}

static void note_verdict(const struct collect *collect, enum mkto_answer code)
{
    apr_table_setn(collect->request->r->notes, "marketo_verdict", mkto_answer_name(code));
}

/* Whether the visitor lets us; if not, that is the event's one count. */
static bool is_wanted(const struct collect *collect)
{
    const enum mkto_skip skip = marketo_request_privacy(collect->request);
    count(skip);
    return skip == MKTO_SKIP_NONE;
}

/* Hands in what was read, and waits. false: there are no random numbers. */
static bool hand_in(const struct collect *collect, struct mkto_slice body, uint32_t flags,
                    struct marketo_verdict *verdict)
{
    struct mkto_envelope envelope = {.call = collect->route.call};
    marketo_cookie_settle(collect->request);
    if (!marketo_event_fill(collect->request, &envelope)) {
        return false;
    }
    envelope.body = body;
    envelope.flags |= flags;
    envelope.text_max = collect->route.gzip ? (uint32_t)collect->max_body : 0;
    if (collect->site == MKTO_SITE_OWN) {
        envelope.flags |= MKTO_ENVELOPE_OWN;
    }
    marketo_event_call(collect->request, &envelope, verdict);
    return true;
}

static bool has_subscription(const struct collect *collect)
{
    if (collect->request->subscription == NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, collect->request->r,
                      "MKTO0107 no MarketoSubscription for this location and host");
        return false;
    }
    return true;
}

/* Endpoints */

static int take_body(struct collect *collect)
{
    struct marketo_verdict verdict;
    struct mkto_slice body;
    const int status = marketo_body_read(collect->request->r, collect->max_body, &body);
    if (status == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        return answer(collect, MKTO_ANSWER_TOO_LARGE);
    }
    if (status != OK) {
        return status;
    }
    if (!hand_in(collect, body, 0, &verdict)) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    struct mkto_reply_more more = collect->more;
    more.body = verdict.body;
    more.retry_after = verdict.retry_after;
    return marketo_answer_code(collect->request->r, verdict.answer, &more);
}

static int answer_call(struct collect *collect)
{
    if (collect->site == MKTO_SITE_FOREIGN) {
        return answer(collect, MKTO_ANSWER_FORBIDDEN);
    }
    if (!has_subscription(collect)) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return is_wanted(collect) ? take_body(collect) : answer(collect, MKTO_ANSWER_FILTERED);
}

/*
 * Only for a page of this very host: another site's cannot send that header, nor read an answer.
 * And of nobody who may not be tracked: a hash is there to say who he is.
 */
static int answer_hash(struct collect *collect)
{
    if (!has_subscription(collect)) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (collect->site != MKTO_SITE_OWN ||
        header(collect, MKTO_HEADER_X_MARKETO_HASH).data == NULL) {
        return answer(collect, MKTO_ANSWER_FORBIDDEN);
    }
    return is_wanted(collect) ? take_body(collect) : answer(collect, MKTO_ANSWER_FORBIDDEN);
}

/* The image is the answer, whatever became of the event. */
static int answer_pixel(struct collect *collect)
{
    struct marketo_verdict verdict = {.answer = MKTO_ANSWER_FILTERED};
    struct mkto_reply reply;
    if (!has_subscription(collect)) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (collect->site == MKTO_SITE_FOREIGN) {
        count(MKTO_SKIP_ORIGIN);
    } else if (is_wanted(collect) && !hand_in(collect, mkto_slice_str(collect->request->r->args),
                                              MKTO_ENVELOPE_PIXEL, &verdict)) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    note_verdict(collect, verdict.answer);
    mkto_reply_pixel(&reply);
    return send_reply(collect, &reply);
}

static int answer_settings(const struct collect *collect)
{
    struct mkto_reply reply;
    const char *prefix = collect->request->dir->prefix;
    mkto_reply_settings(&reply, &collect->request->view,
                        mkto_slice_str(prefix[0] != '\0' ? prefix : "/"), collect->route.key,
                        &collect->more);
    return send_reply(collect, &reply);
}

static int answer_script(const struct collect *collect)
{
    struct mkto_reply reply;
    const struct mkto_slice script = {(const char *)mkto_script, mkto_script_len};
    mkto_reply_script(&reply, script, mkto_script_etag, header(collect, MKTO_HEADER_IF_NONE_MATCH));
    return send_reply(collect, &reply);
}

static int answer_preflight(const struct collect *collect)
{
    struct mkto_reply reply;
    mkto_reply_preflight(&reply, collect->route.allow, &collect->more,
                         collect->site == MKTO_SITE_FOREIGN);
    return send_reply(collect, &reply);
}

static int answer_endpoint(struct collect *collect)
{
    switch (collect->route.endpoint) {
    case MKTO_ENDPOINT_CALL: return answer_call(collect);
    case MKTO_ENDPOINT_PIXEL: return answer_pixel(collect);
    case MKTO_ENDPOINT_HASH: return answer_hash(collect);
    case MKTO_ENDPOINT_METRICS: return answer(collect, MKTO_ANSWER_FILTERED);
    case MKTO_ENDPOINT_SETTINGS: return answer_settings(collect);
    case MKTO_ENDPOINT_SCRIPT: return answer_script(collect);
    case MKTO_ENDPOINT_PREFLIGHT: return answer_preflight(collect);
    case MKTO_ENDPOINT_NONE: break;
    }
    return answer(collect, MKTO_ANSWER_NOT_FOUND);
}

/* The request */

static bool has_hash(const struct collect *collect)
{
    const struct mkto_subscription *subscription = collect->request->subscription;
    return subscription == NULL || subscription->munchkin_private_key_file != NULL;
}

/* mod_deflate takes it off while the body is read, if it was told to. */
static struct mkto_slice encoding_left(const struct collect *collect)
{
    const ap_filter_t *filter = collect->request->r->input_filters;
    for (; filter != NULL; filter = filter->next) {
        if (ap_cstr_casecmp(filter->frec->name, "DEFLATE") == 0) {
            return MKTO_SLICE_NONE;
        }
    }
    return header(collect, MKTO_HEADER_CONTENT_ENCODING);
}

static void look_at_origin(struct collect *collect)
{
    const struct marketo_request *request = collect->request;
    const struct marketo_origins *origins = request->dir->origins;
    const size_t count = origins == NULL ? 0 : origins->count;
    collect->site = mkto_origin_judge(&request->view, origins == NULL ? NULL : origins->of, count);
    collect->more.varies = count > 0;
    if (collect->site == MKTO_SITE_ALLOWED) {
        collect->more.origin = header(collect, MKTO_HEADER_ORIGIN);
    }
}

int marketo_handler_run(request_rec *r)
{
    struct collect collect = {.request = marketo_request_get(r)};
    const struct marketo_dir *dir = collect.request->dir;
    const char *path = marketo_claim_path(r, dir, MARKETO_PLACE_COLLECT);
    if (path == NULL) {
        return DECLINED;
    }
    collect.max_body = (size_t)(dir->max_body >= 0 ? dir->max_body : MKTO_BODY_DEFAULT);
    const struct mkto_route_request question = {
        .path = mkto_slice_str(path),
        .method = collect.request->view.method,
        .content_type = header(&collect, MKTO_HEADER_CONTENT_TYPE),
        .content_encoding = encoding_left(&collect),
        .content_length = marketo_body_length(r),
        .max_body = (long long)collect.max_body,
    };
    collect.route = mkto_route_check(&question);
    look_at_origin(&collect);
    if (collect.route.endpoint == MKTO_ENDPOINT_HASH && !has_hash(&collect)) {
        return answer(&collect, MKTO_ANSWER_NOT_FOUND);
    }
    if (collect.route.answer != MKTO_ANSWER_STORED) {
        collect.more.allow = collect.route.allow;
        return answer(&collect, collect.route.answer);
    }
    return answer_endpoint(&collect);
}
