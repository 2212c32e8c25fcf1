#include "mkto_view.h"

#include "mkto_bytes.h"
#include "mkto_page.h"

#define FIXED (8 + MKTO_VIEW_ID + 1 + 1) /* bytes of a view in front of its texts */
#define USUAL 320                        /* bytes of a whole one, often */
#define CACHE_LINE 64                    /* bytes; of most machines */

static const enum mkto_header headers[] = {
    MKTO_HEADER_REFERER, MKTO_HEADER_USER_AGENT, MKTO_HEADER_ACCEPT_LANGUAGE, MKTO_HEADER_DNT,
    MKTO_HEADER_SEC_GPC, MKTO_HEADER_ORIGIN,     MKTO_HEADER_SEC_FETCH_SITE,
};

#define HEADER_COUNT (sizeof(headers) / sizeof(headers[0]))

/* In the order of the payload. */
enum place { SUBSCRIPTION, EMAIL, ADDRESS, HOST, URI, HEADERS, COOKIES = HEADERS + HEADER_COUNT };

#define TEXTS_MAX (COOKIES + MKTO_REQUEST_COOKIES_MAX)

_Static_assert(MKTO_VIEW_HEAD + FIXED + TEXTS_MAX * (2 + MKTO_VIEW_TEXT_MAX) <= MKTO_FRAME_MAX,
               "a frame has room for the longest texts");
_Static_assert(MKTO_PAGE_BODY_MAX <= MKTO_VIEW_TEXT_MAX, "what mkto_page_fit leaves is not cut");
_Static_assert(MKTO_VIEW_TEXT_MAX < UINT16_MAX, "a length and one");

/* Writing. */

static size_t bytes_of_texts(const struct mkto_view *view, const struct mkto_request *request)
{
    size_t bytes = view->subscription.len + view->email.len + request->remote_addr.len +
                   request->host.len + request->uri.len;
    for (size_t i = 0; i < HEADER_COUNT; i++) {
        bytes += request->header[headers[i]].len;
    }
    for (size_t i = 0; i < request->cookie_count; i++) {
        bytes += request->cookies[i].len;
    }
    return bytes;
}

static void cut(struct mkto_slice *text)
{
    text->len = text->len < MKTO_VIEW_TEXT_MAX ? text->len : MKTO_VIEW_TEXT_MAX;
}

static bool cut_all(struct mkto_view *view, struct mkto_request *request)
{
    if (!mkto_page_fit(&request->uri, &request->header[MKTO_HEADER_REFERER])) {
        return false;
    }
    cut(&view->subscription);
    cut(&view->email);
    cut(&request->remote_addr);
    cut(&request->host);
    for (size_t i = 0; i < HEADER_COUNT; i++) {
        cut(&request->header[headers[i]]);
    }
    for (size_t i = 0; i < request->cookie_count; i++) {
        cut(&request->cookies[i]);
    }
    return true;
}

size_t mkto_view_fit(struct mkto_view *view, struct mkto_request *request)
{
    size_t bytes = bytes_of_texts(view, request);
    if (bytes > MKTO_PAGE_BODY_MAX) { /* else none of them can be too long; nearly never */
        if (!cut_all(view, request)) {
            return 0;
        }
        bytes = bytes_of_texts(view, request);
    }
    return FIXED + 2 * (COOKIES + request->cookie_count) + bytes;
}

static inline uint8_t *put_text(uint8_t *out, struct mkto_slice text)
{
    if (text.data == NULL) {
        return mkto_bytes_put16(out, 0);
    }
    out = mkto_bytes_put16(out, (uint16_t)(text.len + 1));
    return mkto_bytes_put(out, text.data, text.len);
}

/* Where the next view goes: until then the server does much else, and would wait for memory that is
 * in no near cache any more. A prefetch beyond the frame's end does nothing. */
static void fetch_ahead(const uint8_t *out)
{
    for (size_t i = CACHE_LINE; i <= USUAL; i += CACHE_LINE) {
        __builtin_prefetch(out + i, 1);
    }
}

uint8_t *mkto_view_put(const struct mkto_view *view, const struct mkto_request *request,
                       uint8_t *out)
{
    out = mkto_bytes_put64(out, (uint64_t)view->received_ms);
    out = mkto_bytes_put(out, view->id, sizeof(view->id));
    out = mkto_bytes_put8(out, request->https ? 1 : 0);
    out = mkto_bytes_put8(out, (uint8_t)request->cookie_count);
    out = put_text(out, view->subscription);
    out = put_text(out, view->email);
    out = put_text(out, request->remote_addr);
    out = put_text(out, request->host);
    out = put_text(out, request->uri);
    for (size_t i = 0; i < HEADER_COUNT; i++) {
        out = put_text(out, request->header[headers[i]]);
    }
    for (size_t i = 0; i < request->cookie_count; i++) {
        out = put_text(out, request->cookies[i]);
    }
    fetch_ahead(out);
    return out;
}

void mkto_view_head(uint64_t seq, uint64_t deadline_ms, size_t len, uint8_t *out)
{
    out = mkto_bytes_put32(out, (uint32_t)(len - MKTO_FRAME_HEADER));
    out = mkto_bytes_put32(out, MKTO_FRAME_VIEW); /* and three zero bytes */
    out = mkto_bytes_put64(out, seq);
    mkto_bytes_put64(out, deadline_ms);
}

/* Reading. */

struct reader {
    const uint8_t *at;
    size_t left;
};

/* false: the payload ends before the text does, or it is too long. */
static bool take_text(struct reader *reader, struct mkto_slice *text)
{
    if (reader->left < 2) {
        return false;
    }
    const size_t size = mkto_bytes_get16(reader->at);
    const size_t len = size == 0 ? 0 : size - 1;
    if (len > reader->left - 2 || len > MKTO_VIEW_TEXT_MAX) {
        return false;
    }
    *text = size == 0 ? MKTO_SLICE_NONE : (struct mkto_slice){(const char *)reader->at + 2, len};
    reader->at += 2 + len;
    reader->left -= 2 + len;
    return true;
}

static void place_texts(const struct mkto_slice texts[TEXTS_MAX], struct mkto_view *view,
                        struct mkto_request *request)
{
    view->subscription = texts[SUBSCRIPTION];
    view->email = texts[EMAIL];
    request->remote_addr = texts[ADDRESS];
    request->host = texts[HOST];
    request->uri = texts[URI];
    for (size_t i = 0; i < HEADER_COUNT; i++) {
        request->header[headers[i]] = texts[HEADERS + i];
    }
    memcpy(request->cookies, texts + COOKIES, request->cookie_count * sizeof(texts[0]));
}

static int read_texts(struct reader *reader, struct mkto_view *view, struct mkto_request *request,
                      struct mkto_error *err)
{
    struct mkto_slice texts[TEXTS_MAX] = {{NULL, 0}};
    const size_t count = COOKIES + request->cookie_count;
    for (size_t i = 0; i < count; i++) {
        if (!take_text(reader, &texts[i])) {
            return mkto_error_set(err, "VIEW frame: text %zu is cut off, or over %d bytes", i,
                                  MKTO_VIEW_TEXT_MAX);
        }
    }
    place_texts(texts, view, request);
    return 0;
}

static int read_view(struct reader *reader, struct mkto_view *view, struct mkto_request *request,
                     struct mkto_error *err)
{
    const uint8_t *at = reader->at;
    if (reader->left < FIXED) {
        return mkto_error_set(err, "VIEW frame: a view is cut off");
    }
    view->received_ms = (int64_t)mkto_bytes_get64(at);
    memcpy(view->id, at + 8, sizeof(view->id));
    at += 8 + MKTO_VIEW_ID;
    if (at[0] > 1 || at[1] > MKTO_REQUEST_COOKIES_MAX) {
        return mkto_error_set(err, "VIEW frame with https %u and %u cookies", at[0], at[1]);
    }
    request->https = at[0] == 1;
    request->cookie_count = at[1];
    reader->at += FIXED;
    reader->left -= FIXED;
    return read_texts(reader, view, request, err);
}

int mkto_views_next(const struct mkto_frame *frame, struct mkto_view_iter *iter,
                    struct mkto_view *view, struct mkto_request *request, struct mkto_error *err)
{
    if (frame->type != MKTO_FRAME_VIEW || frame->len < MKTO_VIEW_HEAD - MKTO_FRAME_HEADER) {
        return mkto_error_set(err, "no VIEW frame: type %d, %zu bytes", (int)frame->type,
                              frame->len);
    }
    if (iter->count == 0) {
        iter->seq = mkto_bytes_get64(frame->payload);
        iter->offset = MKTO_VIEW_HEAD - MKTO_FRAME_HEADER;
    } else if (iter->offset == frame->len) {
        return 0;
    }
    if (iter->count == MKTO_VIEWS_MAX) {
        return mkto_error_set(err, "VIEW frame with more than %d", MKTO_VIEWS_MAX);
    }
    struct reader reader = {frame->payload + iter->offset, frame->len - iter->offset};
    memset(view, 0, sizeof(*view));
    mkto_request_begin(request);
    view->deadline_ms = mkto_bytes_get64(frame->payload + 8);
    if (read_view(&reader, view, request, err) != 0) {
        return -1;
    }
    iter->offset = frame->len - reader.left;
    iter->count++;
    return 1;
}
