#include "wire_test.h"

#include "mkto_page.h"
#include "mkto_view.h"

#define HEAD (MKTO_VIEW_HEAD - MKTO_FRAME_HEADER)
#define FIXED (8 + MKTO_VIEW_ID + 2)
#define TEXTS 12 /* without cookies */

static struct mkto_request whole_request(void)
{
    struct mkto_request request = {
        .uri = MKTO_SLICE_LIT("/a?b=c"),
        .host = MKTO_SLICE_LIT("www.example.com"),
        .remote_addr = MKTO_SLICE_LIT("192.0.2.1"),
        .https = true,
        .cookie_count = 2,
        .cookies = {MKTO_SLICE_LIT("id:A&token:B"), MKTO_SLICE_LIT("")},
    };
    request.header[MKTO_HEADER_REFERER] = MKTO_SLICE_LIT("https://r.example/");
    request.header[MKTO_HEADER_USER_AGENT] = MKTO_SLICE_LIT("Mozilla/5.0");
    request.header[MKTO_HEADER_ACCEPT_LANGUAGE] = MKTO_SLICE_LIT("de");
    request.header[MKTO_HEADER_DNT] = MKTO_SLICE_LIT("1");
    request.header[MKTO_HEADER_SEC_GPC] = MKTO_SLICE_LIT("");
    request.header[MKTO_HEADER_SEC_FETCH_SITE] = MKTO_SLICE_LIT("none");
    request.header[MKTO_HEADER_ACCEPT] = MKTO_SLICE_LIT("text/html"); /* does not go along */
    return request;
}

static const struct mkto_view whole_view = {
    .received_ms = 1700000000123,
    .id = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xff},
    .subscription = {"b", 1},
    .email = {"", 0},
};

#define SEQ UINT64_C(0x0102030405060708)

/* A frame with it, in memory of just its size. */
static uint8_t *written(struct mkto_view view, struct mkto_request request, size_t *len)
{
    *len = mkto_view_fit(&view, &request);
    assert_true(*len > 0);
    *len += MKTO_VIEW_HEAD;
    uint8_t *out = malloc(*len);
    assert_non_null(out);
    mkto_view_head(SEQ, 2000, *len, out);
    assert_ptr_equal(mkto_view_put(&view, &request, out + MKTO_VIEW_HEAD), out + *len);
    return out;
}

/* The one view of a frame. */
static int reread(const uint8_t *data, size_t len, struct mkto_view *view,
                  struct mkto_request *request, struct mkto_error *err)
{
    struct mkto_view_iter iter = {0};
    struct mkto_view none;
    struct mkto_request nobody;
    struct mkto_frame frame;
    assert_int_equal(mkto_frame_next(data, len, &frame, err), len);
    assert_int_equal(frame.type, MKTO_FRAME_VIEW);
    const int rc = mkto_views_next(&frame, &iter, view, request, err);
    if (rc == 1) {
        assert_int_equal(iter.seq, SEQ);
        assert_int_equal(mkto_views_next(&frame, &iter, &none, &nobody, err), 0);
    }
    return rc;
}

static void same(struct mkto_slice a, struct mkto_slice b)
{
    assert_true(mkto_slice_eq(a, b));
    assert_int_equal(a.data == NULL, b.data == NULL);
}

static void there_and_back(void **state)
{
    (void)state;
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_request request = whole_request(), back;
    struct mkto_view view;
    size_t len;
    uint8_t *data = written(whole_view, request, &len);
    assert_int_equal(reread(data, len, &view, &back, &err), 1);
    assert_int_equal(view.deadline_ms, 2000);
    assert_int_equal(view.received_ms, 1700000000123);
    assert_memory_equal(view.id, whole_view.id, MKTO_VIEW_ID);
    same(view.subscription, whole_view.subscription);
    same(view.email, whole_view.email);
    same(back.uri, request.uri);
    same(back.host, request.host);
    same(back.remote_addr, request.remote_addr);
    assert_true(back.https);
    assert_int_equal(back.cookie_count, 2);
    same(back.cookies[0], request.cookies[0]);
    same(back.cookies[1], request.cookies[1]);
    request.header[MKTO_HEADER_ACCEPT] = MKTO_SLICE_NONE;
    for (int i = 0; i < MKTO_HEADER_COUNT; i++) {
        same(back.header[i], request.header[i]);
    }
    free(data);
}

static void nothing_but_what_must_be(void **state)
{
    (void)state;
    struct mkto_error err = MKTO_ERROR_INIT;
    const struct mkto_request request = {.https = false};
    const struct mkto_view empty = {.received_ms = 0};
    struct mkto_request back;
    struct mkto_view view;
    size_t len;
    uint8_t *data = written(empty, request, &len);
    assert_int_equal(len, MKTO_VIEW_HEAD + FIXED + 2 * TEXTS);
    assert_int_equal(reread(data, len, &view, &back, &err), 1);
    assert_false(back.https);
    assert_null(view.email.data);
    assert_null(back.uri.data);
    assert_int_equal(back.cookie_count, 0);
    free(data);
}

static void longest_texts(void **state)
{
    (void)state;
    static char text[MKTO_VIEW_TEXT_MAX + 1];
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_request request = whole_request(), back;
    struct mkto_view view = whole_view;
    size_t len;
    memset(text, 'a', sizeof(text));
    request.header[MKTO_HEADER_USER_AGENT] = (struct mkto_slice){text, MKTO_VIEW_TEXT_MAX};
    request.header[MKTO_HEADER_DNT] = (struct mkto_slice){text, MKTO_VIEW_TEXT_MAX + 1};
    request.host = (struct mkto_slice){text, MKTO_VIEW_TEXT_MAX + 1};
    request.remote_addr = (struct mkto_slice){text, MKTO_VIEW_TEXT_MAX + 1};
    request.cookies[0] = (struct mkto_slice){text, MKTO_VIEW_TEXT_MAX};
    request.cookies[1] = (struct mkto_slice){text, MKTO_VIEW_TEXT_MAX + 1};
    uint8_t *data = written(whole_view, request, &len);
    assert_int_equal(reread(data, len, &view, &back, &err), 1);
    assert_int_equal(back.header[MKTO_HEADER_USER_AGENT].len, MKTO_VIEW_TEXT_MAX);
    assert_int_equal(back.header[MKTO_HEADER_DNT].len, MKTO_VIEW_TEXT_MAX);
    assert_int_equal(back.host.len, MKTO_VIEW_TEXT_MAX);
    assert_int_equal(back.remote_addr.len, MKTO_VIEW_TEXT_MAX);
    assert_int_equal(back.cookies[0].len, MKTO_VIEW_TEXT_MAX);
    assert_int_equal(back.cookies[1].len, MKTO_VIEW_TEXT_MAX);
    free(data);
    /* an address loses what its event would lose */
    request.uri = (struct mkto_slice){text, MKTO_PAGE_BODY_MAX};
    data = written(whole_view, request, &len);
    assert_int_equal(reread(data, len, &view, &back, &err), 1);
    assert_int_equal(back.uri.len, MKTO_PAGE_BODY_MAX);
    assert_int_equal(back.header[MKTO_HEADER_REFERER].len, 0);
    free(data);
    request.uri.len++;
    assert_int_equal(mkto_view_fit(&view, &request), 0);
}

static void refused(const uint8_t *payload, size_t len, const char *text)
{
    const struct mkto_frame frame = {MKTO_FRAME_VIEW, payload, len};
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_request request;
    struct mkto_view view;
    struct mkto_view_iter iter = {0};
    int rc;
    while ((rc = mkto_views_next(&frame, &iter, &view, &request, &err)) == 1) {
    }
    assert_int_equal(rc, -1);
    assert_true(err.text[0] != '\0');
    if (text != NULL) {
        assert_string_equal(err.text, text);
    }
}

static void malformed(void **state)
{
    (void)state;
    const struct mkto_request request = whole_request();
    size_t len;
    uint8_t *data = written(whole_view, request, &len);
    uint8_t *payload = data + MKTO_FRAME_HEADER;
    len -= MKTO_FRAME_HEADER;
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *copy = malloc(cut + 1);
        assert_non_null(copy);
        memcpy(copy, payload, cut);
        refused(copy, cut, NULL);
        free(copy);
    }
    payload += HEAD;
    payload[FIXED - 2] = 2;
    refused(payload - HEAD, len, "VIEW frame with https 2 and 2 cookies");
    payload[FIXED - 2] = 0;
    payload[FIXED - 1] = MKTO_REQUEST_COOKIES_MAX + 1;
    refused(payload - HEAD, len, "VIEW frame with https 0 and 9 cookies");
    payload[FIXED - 1] = 1;
    refused(payload - HEAD, len, "VIEW frame: a view is cut off"); /* the second cookie */
    free(data);
}

static void another_type(void **state)
{
    (void)state;
    const struct mkto_frame frame = {MKTO_FRAME_EVENT, (const uint8_t *)"", 0};
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_request request;
    struct mkto_view view;
    struct mkto_view_iter iter = {0};
    assert_int_equal(mkto_views_next(&frame, &iter, &view, &request, &err), -1);
    assert_string_equal(err.text, "no VIEW frame: type 4, 0 bytes");
}

static void a_text_over_its_length(void **state)
{
    (void)state;
    const size_t len = HEAD + FIXED + 2 * TEXTS + MKTO_VIEW_TEXT_MAX + 1;
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_view_iter iter = {0};
    struct mkto_request back;
    struct mkto_view view;
    uint8_t *payload = calloc(1, len);
    assert_non_null(payload);
    uint8_t *text = payload + HEAD + FIXED;
    text[0] = (MKTO_VIEW_TEXT_MAX + 2) & 0xff;
    text[1] = (MKTO_VIEW_TEXT_MAX + 2) >> 8;
    refused(payload, len, "VIEW frame: text 0 is cut off, or over 16384 bytes");
    text[0]--;
    const struct mkto_frame frame = {MKTO_FRAME_VIEW, payload, len - 1};
    assert_int_equal(mkto_views_next(&frame, &iter, &view, &back, &err), 1);
    assert_int_equal(view.subscription.len, MKTO_VIEW_TEXT_MAX);
    free(payload);
}

static void several_views(void **state)
{
    (void)state;
    const struct mkto_request request = whole_request();
    const struct mkto_request other = {.uri = MKTO_SLICE_LIT("/other")};
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_view_iter iter = {0};
    struct mkto_request back;
    struct mkto_view view;
    uint8_t out[4096];
    uint8_t *at = out + MKTO_VIEW_HEAD;
    at = mkto_view_put(&whole_view, &request, at);
    at = mkto_view_put(&whole_view, &other, at);
    const struct mkto_frame frame = {MKTO_FRAME_VIEW, out + MKTO_FRAME_HEADER,
                                     (size_t)(at - out - MKTO_FRAME_HEADER)};
    mkto_view_head(SEQ, 2000, (size_t)(at - out), out);
    assert_int_equal(mkto_views_next(&frame, &iter, &view, &back, &err), 1);
    assert_slice(back.uri, "/a?b=c");
    assert_int_equal(mkto_views_next(&frame, &iter, &view, &back, &err), 1);
    assert_slice(back.uri, "/other");
    assert_null(back.host.data);
    assert_int_equal(view.deadline_ms, 2000);
    assert_int_equal(mkto_views_next(&frame, &iter, &view, &back, &err), 0);
}

static void as_many_as_may_be(void **state)
{
    (void)state;
    const size_t one = FIXED + 2 * TEXTS;
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_view_iter iter = {0};
    struct mkto_request back;
    struct mkto_view view;
    uint8_t *payload = calloc(1, HEAD + (MKTO_VIEWS_MAX + 1) * one);
    assert_non_null(payload);
    struct mkto_frame frame = {MKTO_FRAME_VIEW, payload, HEAD + MKTO_VIEWS_MAX * one};
    while (mkto_views_next(&frame, &iter, &view, &back, &err) == 1) {
    }
    assert_int_equal(iter.count, MKTO_VIEWS_MAX);
    assert_int_equal(iter.offset, frame.len);
    frame.len += one;
    memset(&iter, 0, sizeof(iter));
    while (iter.count < MKTO_VIEWS_MAX) {
        assert_int_equal(mkto_views_next(&frame, &iter, &view, &back, &err), 1);
    }
    assert_int_equal(mkto_views_next(&frame, &iter, &view, &back, &err), -1);
    assert_string_equal(err.text, "VIEW frame with more than 1024");
    free(payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),         cmocka_unit_test(nothing_but_what_must_be),
        cmocka_unit_test(longest_texts),          cmocka_unit_test(malformed),
        cmocka_unit_test(a_text_over_its_length), cmocka_unit_test(another_type),
        cmocka_unit_test(several_views),          cmocka_unit_test(as_many_as_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
