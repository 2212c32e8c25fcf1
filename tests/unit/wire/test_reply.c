#include "wire_test.h"

#include "mkto_reply.h"

static const struct mkto_reply_more nothing = {.retry_after = 0};

static const char *header(const struct mkto_reply *reply, const char *name)
{
    static char value[512];
    const char *found = NULL;
    for (size_t i = 0; i < reply->header_count; i++) {
        if (strcmp(reply->headers[i].name, name) == 0) {
            assert_null(found); /* none twice */
            snprintf(value, sizeof(value), "%.*s", (int)reply->headers[i].value.len,
                     reply->headers[i].value.data);
            found = value;
        }
    }
    return found;
}

#define assert_header(reply, name, want)                                                           \
    do {                                                                                           \
        const char *value_ = header((reply), (name));                                              \
        assert_non_null(value_);                                                                   \
        assert_string_equal(value_, (want));                                                       \
    } while (0)

static void every_answer(void **state)
{
    (void)state;
    for (int i = 0; i <= MKTO_ANSWER_COUNT; i++) {
        struct mkto_reply reply;
        const enum mkto_answer answer = (enum mkto_answer)i;
        mkto_reply_answer(&reply, answer, &nothing);
        assert_int_equal(reply.status, mkto_answer_status(answer));
        assert_slice(reply.content_type, "application/json");
        assert_true(mkto_slice_eq(reply.body, mkto_answer_body(answer)));
        assert_header(&reply, "Cache-Control", "no-store");
        assert_null(header(&reply, "Vary"));
        assert_null(header(&reply, "Allow"));
        assert_null(header(&reply, "Access-Control-Allow-Origin"));
        const char *retry = header(&reply, "Retry-After");
        assert_int_equal(retry == NULL ? 0 : atoi(retry), mkto_answer_retry_after(answer));
    }
}

static void answer_with_more(void **state)
{
    (void)state;
    struct mkto_reply reply;
    const struct mkto_reply_more more = {.retry_after = 2147483647,
                                         .allow = "OPTIONS, POST",
                                         .body = MKTO_SLICE_LIT("{}"),
                                         .origin = MKTO_SLICE_LIT("https://app.example.com"),
                                         .varies = true};
    mkto_reply_answer(&reply, MKTO_ANSWER_FULL, &more);
    assert_slice(reply.body, "{}");
    assert_header(&reply, "Retry-After", "2147483647");
    assert_header(&reply, "Vary", "Origin");
    assert_header(&reply, "Access-Control-Allow-Origin", "https://app.example.com");
    assert_header(&reply, "Access-Control-Allow-Credentials", "true");
    assert_header(&reply, "Access-Control-Expose-Headers", "Retry-After");
    assert_null(header(&reply, "Allow"));
    mkto_reply_answer(&reply, MKTO_ANSWER_BAD_METHOD, &more);
    assert_header(&reply, "Allow", "OPTIONS, POST");
    assert_null(header(&reply, "Retry-After")); /* nothing to wait for */
}

static void varies_without_origin(void **state)
{
    (void)state;
    struct mkto_reply reply;
    const struct mkto_reply_more more = {.varies = true};
    mkto_reply_answer(&reply, MKTO_ANSWER_STORED, &more);
    assert_header(&reply, "Vary", "Origin");
    assert_null(header(&reply, "Access-Control-Allow-Origin"));
}

static void hostile_origin(void **state)
{
    (void)state;
    static const char *const hostile[] = {"https://a\r\nSet-Cookie: x=y", "https://a b", "\x7f",
                                          "https://\xc3\xa4"};
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        struct mkto_reply reply;
        const struct mkto_reply_more more = {.origin = mkto_slice_str(hostile[i])};
        mkto_reply_answer(&reply, MKTO_ANSWER_STORED, &more);
        assert_null(header(&reply, "Access-Control-Allow-Origin"));
        assert_null(header(&reply, "Access-Control-Allow-Credentials"));
        mkto_reply_preflight(&reply, "OPTIONS, POST", &more, false);
        assert_null(header(&reply, "Access-Control-Allow-Origin"));
    }
}

static void gif(void **state)
{
    (void)state;
    struct mkto_reply reply;
    mkto_reply_pixel(&reply);
    assert_int_equal(reply.status, 200);
    assert_slice(reply.content_type, "image/gif");
    assert_int_equal(reply.body.len, 43);
    assert_memory_equal(reply.body.data, "GIF89a\1\0\1\0", 10);
    assert_int_equal(reply.body.data[42], ';');
    assert_header(&reply, "Cache-Control", "no-store");
}

static void preflight(void **state)
{
    (void)state;
    struct mkto_reply reply;
    const struct mkto_reply_more more = {.origin = MKTO_SLICE_LIT("https://app.example.com"),
                                         .varies = true};
    mkto_reply_preflight(&reply, "OPTIONS, POST", &more, false);
    assert_int_equal(reply.status, 204);
    assert_null(reply.content_type.data);
    assert_int_equal(reply.body.len, 0);
    assert_header(&reply, "Vary", "Origin");
    assert_header(&reply, "Access-Control-Allow-Origin", "https://app.example.com");
    assert_header(&reply, "Access-Control-Allow-Credentials", "true");
    assert_header(&reply, "Access-Control-Allow-Methods", "OPTIONS, POST");
    assert_header(&reply, "Access-Control-Allow-Headers",
                  "Authorization, Content-Type, X-Retry-Count");
    assert_header(&reply, "Access-Control-Max-Age", "7200");
    mkto_reply_preflight(&reply, "OPTIONS, POST", &nothing, false);
    assert_int_equal(reply.status, 204);
    assert_header(&reply, "Allow", "OPTIONS, POST");
    assert_null(header(&reply, "Access-Control-Allow-Methods"));
    mkto_reply_preflight(&reply, "OPTIONS, POST", &nothing, true);
    assert_int_equal(reply.status, 403);
    assert_null(header(&reply, "Access-Control-Allow-Methods"));
}

static void script(void **state)
{
    (void)state;
    static const char etag[] = "\"0123\"";
    static const struct {
        const char *given;
        int status;
    } rows[] = {
        {NULL, 200},
        {"", 200},
        {"\"0123\"", 304},
        {"W/\"0123\"", 304},
        {"*", 304},
        {"\"a\", \"0123\"", 304},
        {"\"a\",W/\"0123\" ", 304},
        {"0123", 200},
        {"\"012\"", 200},
        {"\"0123\"x", 200},
        {"w/\"0123\"", 200},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_reply reply;
        mkto_reply_script(&reply, MKTO_SLICE_LIT("x()"), etag, mkto_slice_str(rows[i].given));
        assert_int_equal(reply.status, rows[i].status);
        assert_header(&reply, "ETag", etag);
        assert_header(&reply, "Cache-Control", "public, max-age=3600");
        if (rows[i].status == 200) {
            assert_slice(reply.content_type, "text/javascript; charset=utf-8");
            assert_slice(reply.body, "x()");
        } else {
            assert_null(reply.content_type.data);
            assert_int_equal(reply.body.len, 0);
        }
    }
}

static void settings_of(struct mkto_reply *reply, const char *host, bool https, const char *prefix)
{
    const struct mkto_request request = {.host = mkto_slice_str(host), .https = https};
    mkto_reply_settings(reply, &request, mkto_slice_str(prefix), MKTO_SLICE_LIT("wk_1"), &nothing);
}

static void settings(void **state)
{
    (void)state;
    struct mkto_reply reply;
    settings_of(&reply, "www.example.com", true, "/mkto/");
    assert_int_equal(reply.status, 200);
    assert_slice(reply.content_type, "application/json");
    assert_header(&reply, "Cache-Control", "private, max-age=300");
    assert_slice(
        reply.body,
        "{\"integrations\":{\"Segment.io\":{\"apiKey\":\"wk_1\",\"apiHost\":\"www.example.com/mkto/"
        "v1\",\"protocol\":\"https\",\"unbundledIntegrations\":[],\"addBundledMetadata\":true,"
        "\"maybeBundledConfigIds\":{},\"versionSettings\":{\"version\":\"4.4.7\","
        "\"componentTypes\":[\"browser\"]}}},\"plan\":{\"track\":{\"__default\":{\"enabled\":true,"
        "\"integrations\":{}}},\"identify\":{\"__default\":{\"enabled\":true}},\"group\":{"
        "\"__default\":{\"enabled\":true}}},\"edgeFunction\":{},\"analyticsNextEnabled\":true,"
        "\"middlewareSettings\":{},\"enabledMiddleware\":{},\"metrics\":{\"sampleRate\":0},"
        "\"legacyVideoPluginsEnabled\":false,\"remotePlugins\":[]}");
}

static bool body_has(const struct mkto_reply *reply, const char *text)
{
    return memmem(reply->body.data, reply->body.len, text, strlen(text)) != NULL;
}

/* TLS ends at a proxy: what the page is, its calls must be. */
static void settings_of_pages(void **state)
{
    (void)state;
    static const struct {
        enum mkto_header header;
        const char *value;
        bool https;
    } rows[] = {
        {MKTO_HEADER_REFERER, "https://h/page?q", true},
        {MKTO_HEADER_REFERER, "HTTPS://h", true},
        {MKTO_HEADER_REFERER, "http://h/https://", false},
        {MKTO_HEADER_REFERER, "https:/", false},
        {MKTO_HEADER_REFERER, "", false},
        {MKTO_HEADER_ORIGIN, "https://app.example.com", true},
        {MKTO_HEADER_ORIGIN, "http://localhost:8080", false},
        {MKTO_HEADER_ORIGIN, "null", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_reply reply;
        struct mkto_request request = {.host = MKTO_SLICE_LIT("h")};
        request.header[rows[i].header] = mkto_slice_str(rows[i].value);
        mkto_reply_settings(&reply, &request, MKTO_SLICE_LIT("/m"), MKTO_SLICE_LIT("k"), &nothing);
        assert_true(
            body_has(&reply, rows[i].https ? "\"protocol\":\"https\"" : "\"protocol\":\"http\""));
    }
}

static void settings_of_places(void **state)
{
    (void)state;
    static const struct {
        const char *host, *prefix, *want;
    } rows[] = {
        {"h:8080", "/mkto", "\"apiHost\":\"h:8080/mkto/v1\",\"protocol\":\"http\""},
        {"[::1]:80", "/", "\"apiHost\":\"[::1]:80/v1\""},
        {"h", "", "\"apiHost\":\"h/v1\""},
        {"h", "/a\"\\\n\xc3\xa4 b/", "\"apiHost\":\"h/a%22%5C%0A%C3%A4%20b/v1\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_reply reply;
        settings_of(&reply, rows[i].host, false, rows[i].prefix);
        assert_int_equal(reply.status, 200);
        assert_true(body_has(&reply, rows[i].want));
    }
}

static void settings_of_hostile_hosts(void **state)
{
    (void)state;
    static const char *const hostile[] = {NULL,      "",         "a\"b", "a b",      "a\r\nb",
                                          "a/b",     "a\\b",     "a@b",  "a:b",      "a:0",
                                          "a:65536", "\xc3\xa4", "[::1", "<script>", "a:80:80"};
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        struct mkto_reply reply;
        settings_of(&reply, hostile[i], true, "/mkto/");
        assert_int_equal(reply.status, 400);
        assert_true(body_has(&reply, "Host"));
        assert_header(&reply, "Cache-Control", "no-store");
    }
}

/* The longest prefix with which the document fits. */
static void largest_settings(void **state)
{
    (void)state;
    char prefix[MKTO_SETTINGS_MAX + 1];
    struct mkto_reply reply;
    settings_of(&reply, "h", true, "");
    const size_t room = MKTO_SETTINGS_MAX - reply.body.len;
    memset(prefix, 'a', sizeof(prefix));
    prefix[0] = '/';
    prefix[room] = '\0';
    settings_of(&reply, "h", true, prefix);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body.len, MKTO_SETTINGS_MAX);
    prefix[room] = 'a';
    prefix[room + 1] = '\0';
    settings_of(&reply, "h", true, prefix);
    assert_int_equal(reply.status, 400);
}

static void settings_for_another_host(void **state)
{
    (void)state;
    struct mkto_reply reply;
    const struct mkto_request request = {.host = MKTO_SLICE_LIT("h")};
    const struct mkto_reply_more more = {.origin = MKTO_SLICE_LIT("https://app.example.com"),
                                         .varies = true};
    mkto_reply_settings(&reply, &request, MKTO_SLICE_LIT("/m"), MKTO_SLICE_LIT("k"), &more);
    assert_header(&reply, "Access-Control-Allow-Origin", "https://app.example.com");
    assert_header(&reply, "Vary", "Origin");
}

static enum mkto_reply_part part_of(const char *uri, const char *accept)
{
    struct mkto_request request = {.uri = mkto_slice_str(uri)};
    request.header[MKTO_HEADER_ACCEPT] = mkto_slice_str(accept);
    return mkto_reply_part(&request);
}

static void parts_of_the_status_page(void **state)
{
    (void)state;
    assert_int_equal(part_of("/mkto-status", NULL), MKTO_REPLY_PAGE);
    assert_int_equal(part_of("/mkto-status", "text/html,*/*;q=0.8"), MKTO_REPLY_PAGE);
    assert_int_equal(part_of("/mkto-status?refresh", NULL), MKTO_REPLY_PAGE);
    assert_int_equal(part_of("/mkto-status?css", "text/css,*/*"), MKTO_REPLY_STYLE);
    assert_int_equal(part_of("/mkto-status?js", "*/*"), MKTO_REPLY_CODE);
    assert_int_equal(part_of("/mkto-status?json", "text/html"), MKTO_REPLY_STATUS);
    assert_int_equal(part_of("/mkto-status", "application/json, */*"), MKTO_REPLY_STATUS);
}

static void status_documents(void **state)
{
    (void)state;
    static const char *const types[] = {[MKTO_REPLY_PAGE] = "text/html; charset=utf-8",
                                        [MKTO_REPLY_STYLE] = "text/css; charset=utf-8",
                                        [MKTO_REPLY_CODE] = "text/javascript; charset=utf-8"};
    for (int i = MKTO_REPLY_PAGE; i < MKTO_REPLY_STATUS; i++) {
        struct mkto_reply reply;
        mkto_reply_document(&reply, (enum mkto_reply_part)i, MKTO_SLICE_LIT("text"));
        assert_int_equal(reply.status, 200);
        assert_slice(reply.content_type, types[i]);
        assert_slice(reply.body, "text");
        assert_header(&reply, "Cache-Control", "no-store");
        assert_header(&reply, "X-Content-Type-Options", "nosniff");
        assert_non_null(strstr(header(&reply, "Content-Security-Policy"), "default-src 'none'"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer),
        cmocka_unit_test(answer_with_more),
        cmocka_unit_test(varies_without_origin),
        cmocka_unit_test(hostile_origin),
        cmocka_unit_test(gif),
        cmocka_unit_test(parts_of_the_status_page),
        cmocka_unit_test(status_documents),
        cmocka_unit_test(preflight),
        cmocka_unit_test(script),
        cmocka_unit_test(settings),
        cmocka_unit_test(settings_of_pages),
        cmocka_unit_test(settings_of_places),
        cmocka_unit_test(settings_of_hostile_hosts),
        cmocka_unit_test(largest_settings),
        cmocka_unit_test(settings_for_another_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
