/*
 * fuzz_frame: a stream of frames, as a courier or a server reads it. What is read is written again
 * as the same bytes; an event's envelope survives encoding; a page view can be judged.
 */
#include <stdlib.h>

#include "check.h"
#include "mkto_page.h"
#include "mkto_view.h"

static void check_same(const struct mkto_frame *frame, const uint8_t *out, size_t len)
{
    HOLDS(len == frame->len + MKTO_FRAME_HEADER);
    HOLDS(memcmp(out, frame->payload - MKTO_FRAME_HEADER, len) == 0);
}

/* Writes what was read with the type's own writer, and compares. */
#define CHECK_WRITTEN(frame, write, value)                                                         \
    do {                                                                                           \
        const size_t len = write(value, NULL);                                                     \
        uint8_t *out = malloc(len + 1);                                                            \
        HOLDS(out != NULL && len > 0 && write(value, out) == len);                                 \
        check_same(frame, out, len);                                                               \
        free(out);                                                                                 \
    } while (0)

static void same_text(struct mkto_slice a, struct mkto_slice b)
{
    HOLDS(mkto_slice_eq(a, b) && (a.data == NULL) == (b.data == NULL));
}

static void same_envelope(const struct mkto_envelope *a, const struct mkto_envelope *b)
{
    HOLDS(a->call == b->call && a->flags == b->flags && a->received_ms == b->received_ms);
    HOLDS(a->text_max == b->text_max);
    same_text(a->subscription, b->subscription);
    same_text(a->remote_addr, b->remote_addr);
    same_text(a->host, b->host);
    same_text(a->user_agent, b->user_agent);
    same_text(a->accept_language, b->accept_language);
    same_text(a->referer, b->referer);
    same_text(a->origin, b->origin);
    same_text(a->dnt, b->dnt);
    same_text(a->gpc, b->gpc);
    same_text(a->cookie, b->cookie);
    same_text(a->request_id, b->request_id);
    same_text(a->body, b->body);
    same_text(a->defaults, b->defaults);
    same_text(a->source, b->source);
    same_text(a->email, b->email);
}

static void check_envelope(struct mkto_slice text)
{
    struct mkto_envelope envelope;
    struct mkto_envelope again;
    struct mkto_error err = MKTO_ERROR_INIT;

    if (mkto_envelope_decode((const uint8_t *)text.data, text.len, &envelope, &err) != 0) {
        check_error(&err, text.len);
        return;
    }
    HOLDS(check_within(envelope.body, text.data, text.len));
    HOLDS(check_within(envelope.cookie, text.data, text.len));
    const size_t size = mkto_envelope_size(&envelope);
    HOLDS(size - envelope.body.len - envelope.defaults.len <= MKTO_ENVELOPE_OVERHEAD);
    uint8_t *out = malloc(size + 1);
    HOLDS(out != NULL && mkto_envelope_encode(&envelope, out) == size);
    HOLDS_FOR(mkto_envelope_decode(out, size, &again, &err) == 0, err.text);
    same_envelope(&envelope, &again);
    free(out);
}

static int check_verdicts(const struct mkto_frame *frame, struct mkto_error *err)
{
    struct mkto_verdict_iter iter = {0, 0};
    struct mkto_verdict_frame *verdicts = calloc(MKTO_VERDICTS_MAX + 1, sizeof(*verdicts));
    int rc = 1;

    HOLDS(verdicts != NULL);
    while ((rc = mkto_verdicts_next(frame, &iter, &verdicts[iter.count], err)) == 1) {
        HOLDS(iter.count <= MKTO_VERDICTS_MAX);
    }
    if (rc == 0) {
        const size_t len = mkto_verdicts_write(verdicts, iter.count, NULL);
        uint8_t *out = malloc(len + 1);
        HOLDS(out != NULL && mkto_verdicts_write(verdicts, iter.count, out) == len);
        check_same(frame, out, len);
        free(out);
    }
    free(verdicts);
    return rc;
}

static int check_event(const struct mkto_frame *frame, struct mkto_error *err)
{
    struct mkto_event_frame event;
    if (mkto_event_frame_read(frame, &event, err) != 0) {
        return -1;
    }
    HOLDS(check_within(event.authorization, frame->payload, frame->len));
    HOLDS(check_within(event.envelope, frame->payload, frame->len));
    HOLDS(event.authorization.len <= MKTO_AUTHORIZATION_MAX);
    check_envelope(event.envelope);
    return 0;
}

static int check_greeting(const struct mkto_frame *frame, struct mkto_error *err)
{
    struct mkto_hello hello;
    struct mkto_welcome welcome;

    if (frame->type == MKTO_FRAME_HELLO) {
        if (mkto_hello_read(frame, &hello, err) != 0) {
            return -1;
        }
        if (hello.version == MKTO_WIRE_VERSION) { /* another version's may be longer */
            CHECK_WRITTEN(frame, mkto_hello_write, &hello);
        }
        return 0;
    }
    if (mkto_welcome_read(frame, &welcome, err) != 0) {
        return -1;
    }
    if (welcome.version == MKTO_WIRE_VERSION) {
        CHECK_WRITTEN(frame, mkto_welcome_write, &welcome);
    }
    return 0;
}

/* Rows of reasons that are not known here, and of nothing, are not written again. */
static int check_counts(const struct mkto_frame *frame, struct mkto_error *err)
{
    struct mkto_counts_frame counts;
    struct mkto_counts_frame again;
    struct mkto_frame written;

    if (mkto_counts_frame_read(frame, &counts, err) != 0) {
        return -1;
    }
    const size_t len = mkto_counts_frame_write(&counts, NULL);
    uint8_t *out = malloc(len + 1);
    HOLDS(out != NULL && len > 0 && mkto_counts_frame_write(&counts, out) == len);
    HOLDS(mkto_frame_next(out, len, &written, err) == (long)len);
    HOLDS(mkto_counts_frame_read(&written, &again, err) == 0);
    HOLDS(memcmp(&counts, &again, sizeof(counts)) == 0);
    free(out);
    return 0;
}

/* One that is too long for an event is cut when it is written again. */
static void check_view(const struct mkto_frame *frame, size_t from, size_t to,
                       struct mkto_view *view, struct mkto_request *request)
{
    static char body[MKTO_PAGE_BODY_MAX];
    HOLDS(check_within(request->uri, frame->payload, frame->len));
    HOLDS(check_within(view->email, frame->payload, frame->len));
    HOLDS(request->cookie_count <= MKTO_REQUEST_COOKIES_MAX);
    const bool long_address =
        request->uri.len + request->header[MKTO_HEADER_REFERER].len > MKTO_PAGE_BODY_MAX;
    const size_t len = mkto_view_fit(view, request);
    if (len == to - from) {
        uint8_t *out = malloc(len);
        HOLDS(out != NULL && mkto_view_put(view, request, out) == out + len);
        HOLDS(memcmp(out, frame->payload + from, len) == 0);
        free(out);
    } else {
        HOLDS(long_address);
    }
    request->munchkin_id = MKTO_SLICE_LIT("561-HYG-937");
    mkto_request_settle(request);
    HOLDS(!request->visitor.found || request->visitor.best.token[0] != '\0');
    mkto_page_visitor(request, MKTO_SKIP_NONE);
    HOLDS(mkto_page_body(request, body, sizeof(body)) <= sizeof(body));
}

static int check_views(const struct mkto_frame *frame, struct mkto_error *err)
{
    struct mkto_view_iter iter = {0};
    struct mkto_request request;
    struct mkto_view view;
    size_t at = MKTO_VIEW_HEAD - MKTO_FRAME_HEADER;
    int rc;

    while ((rc = mkto_views_next(frame, &iter, &view, &request, err)) == 1) {
        HOLDS(iter.count <= MKTO_VIEWS_MAX && iter.offset > at && iter.offset <= frame->len);
        check_view(frame, at, iter.offset, &view, &request);
        at = iter.offset;
    }
    HOLDS(rc < 0 || (iter.count > 0 && at == frame->len));
    return rc;
}

#define READ_AND_WRITE(type, read, write)                                                          \
    do {                                                                                           \
        struct type value;                                                                         \
        if (read(frame, &value, err) != 0) {                                                       \
            return -1;                                                                             \
        }                                                                                          \
        CHECK_WRITTEN(frame, write, &value);                                                       \
        return 0;                                                                                  \
    } while (0)

static int check_frame(const struct mkto_frame *frame, struct mkto_error *err)
{
    switch (frame->type) {
    case MKTO_FRAME_HELLO:
    case MKTO_FRAME_WELCOME: return check_greeting(frame, err);
    case MKTO_FRAME_REFUSED: READ_AND_WRITE(mkto_refused, mkto_refused_read, mkto_refused_write);
    case MKTO_FRAME_EVENT: return check_event(frame, err);
    case MKTO_FRAME_VERDICTS: return check_verdicts(frame, err);
    case MKTO_FRAME_LOG: READ_AND_WRITE(mkto_log_frame, mkto_log_read, mkto_log_write);
    case MKTO_FRAME_ASK: READ_AND_WRITE(mkto_ask, mkto_ask_read, mkto_ask_write);
    case MKTO_FRAME_TELL: READ_AND_WRITE(mkto_tell, mkto_tell_read, mkto_tell_write);
    case MKTO_FRAME_COUNTS: return check_counts(frame, err);
    case MKTO_FRAME_VIEW: return check_views(frame, err);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_frame frame;
    size_t at = 0;
    long taken;

    while ((taken = mkto_frame_next(data + at, size - at, &frame, &err)) > 0) {
        HOLDS((size_t)taken <= size - at && (size_t)taken == frame.len + MKTO_FRAME_HEADER);
        if (check_frame(&frame, &err) != 0) {
            check_error(&err, size);
            return 0;
        }
        at += (size_t)taken;
    }
    if (taken < 0) {
        check_error(&err, size);
    }
    check_envelope((struct mkto_slice){(const char *)data, size});
    return 0;
}
