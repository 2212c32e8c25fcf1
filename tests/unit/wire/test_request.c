#include <ctype.h>

#include "wire_test.h"

#include "mkto_origin.h"
#include "mkto_request.h"
#include "mkto_skip.h"

static const char *const names[MKTO_HEADER_COUNT] = {
    [MKTO_HEADER_ACCEPT] = "Accept",
    [MKTO_HEADER_ACCEPT_LANGUAGE] = "Accept-Language",
    [MKTO_HEADER_AUTHORIZATION] = "Authorization",
    [MKTO_HEADER_CONTENT_ENCODING] = "Content-Encoding",
    [MKTO_HEADER_CONTENT_TYPE] = "Content-Type",
    [MKTO_HEADER_COOKIE] = "Cookie",
    [MKTO_HEADER_DNT] = "DNT",
    [MKTO_HEADER_IF_NONE_MATCH] = "If-None-Match",
    [MKTO_HEADER_ORIGIN] = "Origin",
    [MKTO_HEADER_PURPOSE] = "Purpose",
    [MKTO_HEADER_REFERER] = "Referer",
    [MKTO_HEADER_SEC_FETCH_DEST] = "Sec-Fetch-Dest",
    [MKTO_HEADER_SEC_FETCH_MODE] = "Sec-Fetch-Mode",
    [MKTO_HEADER_SEC_FETCH_SITE] = "Sec-Fetch-Site",
    [MKTO_HEADER_SEC_GPC] = "Sec-GPC",
    [MKTO_HEADER_SEC_PURPOSE] = "Sec-Purpose",
    [MKTO_HEADER_USER_AGENT] = "User-Agent",
    [MKTO_HEADER_X_MARKETO_HASH] = "X-Marketo-Hash",
    [MKTO_HEADER_X_MOZ] = "X-Moz",
    [MKTO_HEADER_X_PURPOSE] = "X-Purpose",
    [MKTO_HEADER_X_REQUESTED_WITH] = "X-Requested-With",
};

static void add(struct mkto_request *request, const char *name, const char *value)
{
    mkto_request_header(request, mkto_slice_str(name), mkto_slice_str(value));
}

static void every_header_in_any_case(void **state)
{
    (void)state;
    for (int i = 0; i < MKTO_HEADER_COUNT; i++) {
        char lower[32], upper[32];
        const size_t len = strlen(names[i]);
        for (size_t k = 0; k <= len; k++) {
            lower[k] =
                (char)(names[i][k] >= 'A' && names[i][k] <= 'Z' ? names[i][k] + 32 : names[i][k]);
            upper[k] =
                (char)(names[i][k] >= 'a' && names[i][k] <= 'z' ? names[i][k] - 32 : names[i][k]);
        }
        assert_int_equal(mkto_header_find(mkto_slice_str(names[i])), i);
        assert_int_equal(mkto_header_find(mkto_slice_str(lower)), i);
        assert_int_equal(mkto_header_find(mkto_slice_str(upper)), i);
        assert_int_equal(mkto_header_find((struct mkto_slice){names[i], len - 1}),
                         MKTO_HEADER_COUNT);
        lower[len - 1] = (char)(lower[len - 1] + 1);
        assert_int_equal(mkto_header_find(mkto_slice_str(lower)), MKTO_HEADER_COUNT);
    }
}

/* Not even one that differs by the bit that tells a letter's case, as '-' and '\r' do. */
static void every_byte_counts(void **state)
{
    (void)state;
    for (int i = 0; i < MKTO_HEADER_COUNT; i++) {
        char name[32];
        const size_t len = strlen(names[i]);
        memcpy(name, names[i], len);
        for (size_t k = 0; k < len; k++) {
            for (int byte = 0; byte < 256; byte++) {
                name[k] = (char)byte;
                const bool known = tolower(byte) == tolower((unsigned char)names[i][k]);
                assert_int_equal(mkto_header_find((struct mkto_slice){name, len}) == (unsigned)i,
                                 known);
            }
            name[k] = names[i][k];
        }
    }
}

static void nothing_has_come(void **state)
{
    (void)state;
    struct mkto_request request;
    memset(&request, 0xff, sizeof(request));
    mkto_request_begin(&request);
    for (int i = 0; i < MKTO_HEADER_COUNT; i++) {
        assert_null(request.header[i].data);
    }
    assert_null(request.host.data);
    assert_false(request.https || request.opt_out || request.visitor.found);
    assert_int_equal(request.cookie_count, 0);
    assert_string_equal(request.visitor.best.id, "");
    assert_string_equal(request.visitor.best.token, "");
    add(&request, "Cookie", "_mkto_trk=id:561-HYG-937&token:_mch-example.com-1374552656411-90718");
    mkto_request_settle(&request);
    assert_string_equal(request.visitor.best.token, "_mch-example.com-1374552656411-90718");
}

static void scheme(void **state)
{
    (void)state;
    static const char *const nothing[] = {NULL, "", "https,http", "httpsx", "http ", "on", "wss"};
    assert_true(mkto_request_is_https(MKTO_SLICE_LIT("https"), false));
    assert_true(mkto_request_is_https(MKTO_SLICE_LIT("HTTPS"), true));
    assert_false(mkto_request_is_https(MKTO_SLICE_LIT("http"), true));
    assert_false(mkto_request_is_https(MKTO_SLICE_LIT("Http"), false));
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
        assert_true(mkto_request_is_https(mkto_slice_str(nothing[i]), true));
        assert_false(mkto_request_is_https(mkto_slice_str(nothing[i]), false));
    }
}

static void no_header(void **state)
{
    (void)state;
    static const char *const others[] = {"",
                                         "D",
                                         "Host",
                                         "\x44",
                                         "Sec-Fetch-User",
                                         "X-Requested-With1",
                                         "Accept-Encoding",
                                         "\xc1"
                                         "ccept",
                                         "X\xad"
                                         "Moz",
                                         "A-header-of-a-name-that-is-longer-than-any"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(mkto_header_find(mkto_slice_str(others[i])), MKTO_HEADER_COUNT);
    }
    assert_int_equal(mkto_header_find(MKTO_SLICE_NONE), MKTO_HEADER_COUNT);
}

static void first_of_two(void **state)
{
    (void)state;
    struct mkto_request request = {.host = MKTO_SLICE_LIT("www.example.com")};
    add(&request, "Referer", NULL);
    add(&request, "Referer", "https://c.example");
    assert_non_null(request.header[MKTO_HEADER_REFERER].data);
    assert_int_equal(request.header[MKTO_HEADER_REFERER].len, 0);
    assert_null(request.header[MKTO_HEADER_DNT].data);
    add(&request, "Content-Type", "application/json");
    assert_slice(request.header[MKTO_HEADER_CONTENT_TYPE], "application/json");
    add(&request, "content-type", "application/json"); /* httpd shows both as one: no type */
    assert_slice(request.header[MKTO_HEADER_CONTENT_TYPE], "");
}

/* No browser sends two; which of them counts is nobody's to choose. */
static void two_origins(void **state)
{
    (void)state;
    static const char *const sites[] = {"same-origin", "cross-site"};
    for (int i = 0; i < 2; i++) {
        struct mkto_request request = {.host = MKTO_SLICE_LIT("a.example")};
        add(&request, "origin", i == 0 ? "https://a.example" : "https://b.example");
        assert_int_equal(mkto_origin_judge(&request, NULL, 0),
                         i == 0 ? MKTO_SITE_OWN : MKTO_SITE_FOREIGN);
        add(&request, "Origin", i == 0 ? "https://b.example" : "https://a.example");
        assert_slice(request.header[MKTO_HEADER_ORIGIN], "null");
        assert_int_equal(mkto_origin_judge(&request, NULL, 0), MKTO_SITE_FOREIGN);

        struct mkto_request fetch = {.host = MKTO_SLICE_LIT("a.example")};
        add(&fetch, "Sec-Fetch-Site", sites[i]);
        add(&fetch, "Sec-Fetch-Site", sites[1 - i]);
        assert_int_equal(mkto_origin_judge(&fetch, NULL, 0), MKTO_SITE_FOREIGN);
    }
}

static void what_headers_ask(void **state)
{
    (void)state;
    static const struct {
        enum mkto_header header;
        const char *value;
        bool asks;
    } rows[] = {
        {MKTO_HEADER_SEC_GPC, "1", true},
        {MKTO_HEADER_SEC_GPC, "1, 1", true},
        {MKTO_HEADER_SEC_GPC, "0, 1", true},
        {MKTO_HEADER_SEC_GPC, "0,\t1 ,", true},
        {MKTO_HEADER_DNT, "1,0", true},
        {MKTO_HEADER_DNT, "0, 0", false},
        {MKTO_HEADER_DNT, "11, 01", false},
        {MKTO_HEADER_DNT, ",;, ", false},
        {MKTO_HEADER_DNT, NULL, false},
        {MKTO_HEADER_DNT, "prefetch", false},
        {MKTO_HEADER_SEC_PURPOSE, "prefetch", true},
        {MKTO_HEADER_SEC_PURPOSE, "Prefetch;prerender", true},
        {MKTO_HEADER_PURPOSE, "x, y; prerender", true},
        {MKTO_HEADER_X_PURPOSE, "a,preview", true},
        {MKTO_HEADER_X_MOZ, "instant , a", true},
        {MKTO_HEADER_X_MOZ, "1", false},
        {MKTO_HEADER_X_MOZ, "prefetched", false},
        {MKTO_HEADER_USER_AGENT, "1", false},
        {MKTO_HEADER_COUNT, "1", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(mkto_header_asks(rows[i].header, mkto_slice_str(rows[i].value)),
                         rows[i].asks);
    }
}

/* Whether a server joins the lines or not. */
static void one_of_two_asks(void **state)
{
    (void)state;
    struct mkto_request request = {.host = MKTO_SLICE_LIT("www.example.com")};
    struct mkto_envelope made = {.flags = 0};
    char cookie[MKTO_COOKIE_MAX];
    add(&request, "DNT", "0");
    add(&request, "DNT", "1");
    add(&request, "DNT", "0");
    add(&request, "Sec-GPC", "1, 1");
    add(&request, "Purpose", "x");
    add(&request, "Purpose", "prefetch");
    assert_slice(request.header[MKTO_HEADER_DNT], "1");
    assert_slice(request.header[MKTO_HEADER_PURPOSE], "prefetch");
    mkto_request_envelope(&request, &made, cookie);
    assert_slice(made.dnt, "1");
    assert_slice(made.gpc, "1");
}

static void visitor(void **state)
{
    (void)state;
    struct mkto_request request = {.host = MKTO_SLICE_LIT("www.example.com"),
                                   .munchkin_id = MKTO_SLICE_LIT("561-HYG-937")};
    add(&request, "Cookie", "");
    add(&request, "Cookie", "a=_mkto_trk=id:x&token:y; b=1");
    assert_false(request.visitor.found);
    add(&request, "cookie", "_mkto_trk=id:OTHER&token:_mch-example.com-1-12345; c=2");
    add(&request, "COOKIE",
        "x_mkto_trk=id:561-HYG-937&token:no;\t _mkto_trk "
        "=id:561-HYG-937&token:_mch-example.com-2-12345");
    assert_false(request.visitor.found);
    mkto_request_settle(&request);
    assert_true(request.visitor.found);
    assert_string_equal(request.visitor.best.token, "_mch-example.com-2-12345");
    assert_false(request.opt_out);
}

/* Those that may be ours, and of too many the best, wherever it stands. */
static void cookies_that_are_looked_at(void **state)
{
    (void)state;
    struct mkto_request request = {.host = MKTO_SLICE_LIT("www.example.com"),
                                   .munchkin_id = MKTO_SLICE_LIT("561-HYG-937")};
    char longest[16 + MKTO_COOKIE_RAW_MAX + 2] = "_mkto_trk=";
    const size_t name = strlen(longest);
    memset(longest + name, 'x', MKTO_COOKIE_RAW_MAX + 1);
    add(&request, "Cookie", longest);
    assert_int_equal(request.cookie_count, 0);
    longest[name + MKTO_COOKIE_RAW_MAX] = '\0';
    add(&request, "Cookie", longest);
    assert_int_equal(request.cookie_count, 1);
    assert_int_equal(request.cookies[0].len, MKTO_COOKIE_RAW_MAX);
    for (int i = 2; i < MKTO_REQUEST_COOKIES_MAX; i++) {
        add(&request, "Cookie", "_mkto_trk=id:OTHER&token:other");
    }
    struct mkto_request full = request;
    add(&request, "Cookie", "_mkto_trk=id:561-HYG-937&token:_mch-example.com-1-11111; x=y");
    assert_int_equal(request.cookie_count, MKTO_REQUEST_COOKIES_MAX);
    mkto_request_settle(&request);
    assert_string_equal(request.visitor.best.token, "_mch-example.com-1-11111");
    add(&full, "Cookie", "_mkto_trk=id:OTHER&token:last");
    add(&full, "Cookie", "_mkto_trk=id:561-HYG-937&token:_mch-example.com-1-11111");
    add(&full, "Cookie", "mkto_opt_out=1");
    assert_true(full.cookie_count <= MKTO_REQUEST_COOKIES_MAX);
    assert_true(full.opt_out); /* wherever it stands */
    mkto_request_settle(&full);
    assert_string_equal(full.visitor.best.token, "_mch-example.com-1-11111");
}

/* Before, between and behind more of another's than are kept. */
static void too_many_cookies(void **state)
{
    (void)state;
    static const char *const junk[] = {"_mkto_trk=x", "_mkto_trk=id:OTHER&token:_mch-a.b-1-11111"};
    for (size_t at = 0; at < 40; at++) {
        struct mkto_request request = {.host = MKTO_SLICE_LIT("www.example.com"),
                                       .munchkin_id = MKTO_SLICE_LIT("561-HYG-937")};
        for (size_t i = 0; i < 40; i++) {
            add(&request, "Cookie", junk[at % 2]);
            if (i == at) {
                add(&request, "Cookie",
                    "_mkto_trk=id:561-HYG-937&token:_mch-www.example.com-1-11111");
            }
            assert_true(request.cookie_count <= MKTO_REQUEST_COOKIES_MAX);
        }
        mkto_request_settle(&request);
        assert_string_equal(request.visitor.best.token, "_mch-www.example.com-1-11111");
    }
}

/* The first of equals, as with fewer. */
static void too_many_equal_cookies(void **state)
{
    (void)state;
    struct mkto_request request = {.host = MKTO_SLICE_LIT("www.example.com"),
                                   .munchkin_id = MKTO_SLICE_LIT("561-HYG-937")};
    char lines[3 * MKTO_REQUEST_COOKIES_MAX][64];
    for (int i = 0; i < 3 * MKTO_REQUEST_COOKIES_MAX; i++) {
        snprintf(lines[i], sizeof(lines[i]), "_mkto_trk=id:OTHER&token:t%d", i);
        add(&request, "Cookie", lines[i]);
    }
    mkto_request_settle(&request);
    assert_string_equal(request.visitor.best.token, "t0");
}

static void a_cookie_that_the_answer_brings(void **state)
{
    (void)state;
    const struct mkto_cookie cookie = {"561-HYG-937", "_mch-example.com-0123abcd"};
    struct mkto_request request = {.host = MKTO_SLICE_LIT("www.example.com"),
                                   .munchkin_id = MKTO_SLICE_LIT("561-HYG-937")};
    char text[MKTO_COOKIE_MAX];
    add(&request, "Cookie", "_mkto_trk=a; _mkto_trk=id:561-HYG-937&token:_mch-example.com-1-11111");
    mkto_request_settle(&request);
    mkto_request_keep(&request, &cookie, text);
    assert_true(request.visitor.found);
    assert_string_equal(request.visitor.best.token, cookie.token);
    assert_int_equal(request.cookie_count, 1);
    assert_slice(request.cookies[0], "id:561-HYG-937&token:_mch-example.com-0123abcd");
}

static void opt_out(void **state)
{
    (void)state;
    static const struct {
        const char *cookies;
        bool out;
    } rows[] = {
        {"mkto_opt_out=id:true", true}, {"a=b; mkto_opt_out=true; c=d", true},
        {" mkto_opt_out = x", true},    {"mkto_opt_out=", false},
        {"mkto_opt_out=\"\"", false},   {"mkto_opt_out", false},
        {"mkto_opt_out ;a=b", false},   {"xmkto_opt_out=1", false},
        {"mkto_opt_out1=1", false},     {"a=mkto_opt_out=1", false},
        {"MKTO_OPT_OUT=1", false},      {"mkto_opt_out=; mkto_opt_out=1", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_request request = {.method = MKTO_SLICE_LIT("GET")};
        add(&request, "Cookie", rows[i].cookies);
        assert_int_equal(request.opt_out, rows[i].out);
        add(&request, "Cookie", "other=1");
        assert_int_equal(request.opt_out, rows[i].out);
    }
}

static void queries(void **state)
{
    (void)state;
    assert_slice(mkto_request_query(mkto_slice_str("/a?b=c&d")), "b=c&d");
    assert_slice(mkto_request_query(mkto_slice_str("https://h/a?b?c")), "b?c");
    assert_slice(mkto_request_query(mkto_slice_str("/a?b#c?d")), "b");
    assert_null(mkto_request_query(mkto_slice_str("/a#b?c")).data);
    assert_null(mkto_request_query(mkto_slice_str("/a")).data);
    assert_null(mkto_request_query(MKTO_SLICE_NONE).data);
    const struct mkto_slice empty = mkto_request_query(mkto_slice_str("/a?"));
    assert_non_null(empty.data);
    assert_int_equal(empty.len, 0);
}

static void parameters(void **state)
{
    (void)state;
    const struct mkto_slice query = mkto_slice_str("a=1&&bc=x%20=y&b=2&flag&a=3&e=");
    assert_slice(mkto_request_parameter(query, "a"), "1");
    assert_slice(mkto_request_parameter(query, "b"), "2");
    assert_slice(mkto_request_parameter(query, "bc"), "x%20=y");
    assert_slice(mkto_request_parameter(query, "flag"), "");
    assert_slice(mkto_request_parameter(query, "e"), "");
    assert_null(mkto_request_parameter(query, "A").data);
    assert_null(mkto_request_parameter(query, "c").data);
    assert_null(mkto_request_parameter(MKTO_SLICE_NONE, "a").data);
}

static void envelope(void **state)
{
    (void)state;
    struct mkto_request request = {.host = MKTO_SLICE_LIT("www.example.com:8443"),
                                   .remote_addr = MKTO_SLICE_LIT("192.0.2.1"),
                                   .munchkin_id = MKTO_SLICE_LIT("561-HYG-937"),
                                   .https = true};
    struct mkto_envelope made = {.call = MKTO_CALL_PAGE, .flags = MKTO_ENVELOPE_SERVER};
    char cookie[MKTO_COOKIE_MAX];
    add(&request, "User-Agent", "ua");
    add(&request, "Accept-Language", "de");
    add(&request, "Referer", "https://r/");
    add(&request, "Origin", "https://o");
    add(&request, "DNT", "1");
    add(&request, "Sec-GPC", "0");
    add(&request, "Cookie", "_mkto_trk=id:&token:tok~1");
    mkto_request_settle(&request);
    mkto_request_envelope(&request, &made, cookie);
    assert_int_equal(made.flags,
                     MKTO_ENVELOPE_SERVER | MKTO_ENVELOPE_HTTPS | MKTO_ENVELOPE_BROWSER);
    assert_int_equal(made.call, MKTO_CALL_PAGE);
    assert_slice(made.host, "www.example.com:8443");
    assert_slice(made.remote_addr, "192.0.2.1");
    assert_slice(made.user_agent, "ua");
    assert_slice(made.accept_language, "de");
    assert_slice(made.referer, "https://r/");
    assert_slice(made.origin, "https://o");
    assert_slice(made.dnt, "1");
    assert_slice(made.gpc, "0");
    assert_slice(made.cookie, "id:561-HYG-937&token:tok~1");
}

static void envelope_of_a_server(void **state)
{
    (void)state;
    struct mkto_request request = {.host = MKTO_SLICE_LIT("h")};
    struct mkto_envelope made = {.flags = 0};
    char cookie[MKTO_COOKIE_MAX];
    mkto_request_envelope(&request, &made, cookie);
    assert_int_equal(made.flags, 0);
    assert_null(made.cookie.data);
    assert_null(made.remote_addr.data);
    assert_null(made.user_agent.data);
    add(&request, "Sec-Fetch-Site", "none");
    /* a token whose every byte grows to three does not fit */
    char large[MKTO_COOKIE_TOKEN_MAX + 32] = "_mkto_trk=id:a&token:";
    memset(large + strlen(large), '/', MKTO_COOKIE_TOKEN_MAX);
    add(&request, "Cookie", large);
    mkto_request_settle(&request);
    assert_true(request.visitor.found);
    mkto_request_envelope(&request, &made, cookie);
    assert_int_equal(made.flags, MKTO_ENVELOPE_BROWSER);
    assert_null(made.cookie.data);
}

static void skips(void **state)
{
    (void)state;
    static const char *const words[MKTO_SKIP_COUNT] = {
        "none",       "consent", "opt_out",        "gpc",
        "dnt",        "bot",     "prefetch",       "no_visitor",
        "not_stored", "origin",  "bad_media_type", "too_large",
        "forbidden"};
    for (int i = 0; i < MKTO_SKIP_COUNT; i++) {
        const enum mkto_answer answer = mkto_skip_answer((enum mkto_skip)i);
        assert_string_equal(mkto_skip_name((enum mkto_skip)i), words[i]);
        assert_int_equal(answer == MKTO_ANSWER_FILTERED, i <= MKTO_SKIP_ORIGIN);
        assert_int_equal(mkto_skip_refused(answer), i <= MKTO_SKIP_ORIGIN ? 0 : i);
    }
    assert_int_equal(mkto_skip_refused(MKTO_ANSWER_STORED), MKTO_SKIP_NONE);
    assert_int_equal(mkto_skip_refused(MKTO_ANSWER_NOT_FOUND), MKTO_SKIP_NONE);
    assert_int_equal(mkto_skip_answer(MKTO_SKIP_COUNT), MKTO_ANSWER_FILTERED);
    assert_string_equal(mkto_skip_name(MKTO_SKIP_COUNT), "none");
    assert_string_equal(mkto_skip_name((enum mkto_skip) - 1), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_header_in_any_case),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(nothing_has_come),
        cmocka_unit_test(no_header),
        cmocka_unit_test(scheme),
        cmocka_unit_test(first_of_two),
        cmocka_unit_test(two_origins),
        cmocka_unit_test(what_headers_ask),
        cmocka_unit_test(one_of_two_asks),
        cmocka_unit_test(too_many_cookies),
        cmocka_unit_test(too_many_equal_cookies),
        cmocka_unit_test(visitor),
        cmocka_unit_test(cookies_that_are_looked_at),
        cmocka_unit_test(a_cookie_that_the_answer_brings),
        cmocka_unit_test(opt_out),
        cmocka_unit_test(queries),
        cmocka_unit_test(parameters),
        cmocka_unit_test(envelope),
        cmocka_unit_test(envelope_of_a_server),
        cmocka_unit_test(skips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
