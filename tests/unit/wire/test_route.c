#include "wire_test.h"

#include "mkto_route.h"

static struct mkto_route_result check(const char *path, const char *method, const char *type,
                                      long long length)
{
    const struct mkto_route_request request = {
        .path = mkto_slice_str(path),
        .method = mkto_slice_str(method),
        .content_type = mkto_slice_str(type),
        .content_length = length,
        .max_body = MKTO_BODY_DEFAULT,
    };
    return mkto_route_check(&request);
}

static void paths(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum mkto_call call;
    } rows[] = {
        {"v1/identify", MKTO_CALL_IDENTIFY}, {"v1/i", MKTO_CALL_IDENTIFY},
        {"v1/track", MKTO_CALL_TRACK},       {"v1/t", MKTO_CALL_TRACK},
        {"v1/page", MKTO_CALL_PAGE},         {"v1/p", MKTO_CALL_PAGE},
        {"v1/screen", MKTO_CALL_SCREEN},     {"v1/s", MKTO_CALL_SCREEN},
        {"v1/group", MKTO_CALL_GROUP},       {"v1/g", MKTO_CALL_GROUP},
        {"v1/alias", MKTO_CALL_ALIAS},       {"v1/a", MKTO_CALL_ALIAS},
        {"v1/batch", MKTO_CALL_BATCH},       {"v1/b", MKTO_CALL_BATCH},
        {"v1/import", MKTO_CALL_BATCH},      {"/v1/identify", MKTO_CALL_IDENTIFY},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mkto_route_result result = check(rows[i].path, "POST", NULL, 10);
        assert_int_equal(result.answer, MKTO_ANSWER_STORED);
        assert_int_equal(result.endpoint, MKTO_ENDPOINT_CALL);
        assert_int_equal(result.call, rows[i].call);
        assert_null(result.allow);
    }
}

static void unknown_paths(void **state)
{
    (void)state;
    static const char *const unknown[] = {"",
                                          "/",
                                          "v1",
                                          "v1/",
                                          "v1/x",
                                          "v2/track",
                                          "v1/track/",
                                          "//v1/track",
                                          "V1/track",
                                          "v1/Track",
                                          "v1/trackx",
                                          "v1/trac",
                                          "v1/track?x",
                                          "identify",
                                          "v1//track",
                                          "v1/pixel",
                                          "v1/pixel/",
                                          "v1/pixel/group",
                                          "v1/pixel/track/",
                                          "v1/pixel/t",
                                          "v1/hash",
                                          "hash/",
                                          "Marketo.js",
                                          "marketo.js/",
                                          "marketo.js.map",
                                          "v1/m/",
                                          "v1/projects/settings",
                                          "v1/projects//settings",
                                          "v1/projects/a/settings/",
                                          "v1/projects/a/b/settings",
                                          "v1/projects/a.b/settings",
                                          "v1/projects/%41/settings",
                                          "v1/projects/\xc3\xa4/settings",
                                          "v1/projects/a\"/settings"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_int_equal(check(unknown[i], "POST", NULL, 1).answer, MKTO_ANSWER_NOT_FOUND);
        assert_int_equal(check(unknown[i], "GET", NULL, -1).answer, MKTO_ANSWER_NOT_FOUND);
    }
}

static void methods(void **state)
{
    (void)state;
    static const char *const others[] = {"GET", "HEAD", "PUT", "DELETE", "options", "post", ""};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        const struct mkto_route_result result = check("v1/track", others[i], NULL, -1);
        assert_int_equal(result.answer, MKTO_ANSWER_BAD_METHOD);
        assert_string_equal(result.allow, "OPTIONS, POST");
    }
}

static void endpoints(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum mkto_endpoint endpoint;
        enum mkto_call call;
        const char *methods;
    } rows[] = {
        {"v1/track", MKTO_ENDPOINT_CALL, MKTO_CALL_TRACK, "OPTIONS, POST"},
        {"v1/m", MKTO_ENDPOINT_METRICS, MKTO_CALL_NONE, "OPTIONS, POST"},
        {"hash", MKTO_ENDPOINT_HASH, MKTO_CALL_HASH, "POST"},
        {"v1/pixel/identify", MKTO_ENDPOINT_PIXEL, MKTO_CALL_IDENTIFY, "GET, HEAD, OPTIONS"},
        {"v1/pixel/track", MKTO_ENDPOINT_PIXEL, MKTO_CALL_TRACK, "GET, HEAD, OPTIONS"},
        {"v1/pixel/page", MKTO_ENDPOINT_PIXEL, MKTO_CALL_PAGE, "GET, HEAD, OPTIONS"},
        {"marketo.js", MKTO_ENDPOINT_SCRIPT, MKTO_CALL_NONE, "GET, HEAD, OPTIONS"},
        {"/v1/projects/a-B_9/settings", MKTO_ENDPOINT_SETTINGS, MKTO_CALL_NONE,
         "GET, HEAD, OPTIONS"},
    };
    static const char *const methods[] = {"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", ""};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t k = 0; k < sizeof(methods) / sizeof(methods[0]); k++) {
            const struct mkto_route_result result = check(rows[i].path, methods[k], NULL, -1);
            const bool taken = methods[k][0] != '\0' && strstr(rows[i].methods, methods[k]) != NULL;
            const bool preflight = taken && strcmp(methods[k], "OPTIONS") == 0;
            assert_int_equal(result.answer, taken ? MKTO_ANSWER_STORED : MKTO_ANSWER_BAD_METHOD);
            if (!taken || preflight) {
                assert_string_equal(result.allow, rows[i].methods);
            } else {
                assert_null(result.allow);
            }
            if (taken) {
                assert_int_equal(result.endpoint,
                                 preflight ? MKTO_ENDPOINT_PREFLIGHT : rows[i].endpoint);
                assert_int_equal(result.call, preflight ? MKTO_CALL_NONE : rows[i].call);
            }
        }
    }
    assert_slice(check("/v1/projects/a-B_9/settings", "GET", NULL, -1).key, "a-B_9");
    assert_null(check("/v1/projects/a-B_9/settings", "OPTIONS", NULL, -1).key.data);
}

static void longest_key(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof(path), "v1/projects/%0*d/settings", MKTO_ROUTE_KEY_MAX, 7);
    const struct mkto_route_result fits = check(path, "GET", NULL, -1);
    assert_int_equal(fits.endpoint, MKTO_ENDPOINT_SETTINGS);
    assert_int_equal(fits.key.len, MKTO_ROUTE_KEY_MAX);
    snprintf(path, sizeof(path), "v1/projects/%0*d/settings", MKTO_ROUTE_KEY_MAX + 1, 7);
    assert_int_equal(check(path, "GET", NULL, -1).answer, MKTO_ANSWER_NOT_FOUND);
}

/* What a GET says of a body does not count. */
static void gets_have_no_body(void **state)
{
    (void)state;
    assert_int_equal(check("marketo.js", "GET", "text/xml", 5000000).answer, MKTO_ANSWER_STORED);
    assert_int_equal(check("v1/m", "POST", "text/xml", 1).answer, MKTO_ANSWER_BAD_MEDIA_TYPE);
    assert_int_equal(check("hash", "POST", NULL, MKTO_BODY_DEFAULT + 1).answer,
                     MKTO_ANSWER_TOO_LARGE);
}

static void media_types(void **state)
{
    (void)state;
    static const char *const taken[] = {"application/json",
                                        "text/plain",
                                        "Application/JSON",
                                        "application/json; charset=utf-8",
                                        "text/plain;charset=UTF-8",
                                        "text/plain ; Charset=\"utf-8\"",
                                        "application/json; a=\"b,c\"",
                                        "application/json; profile=x",
                                        "application/json;",
                                        " application/json "};
    static const char *const refused[] = {"",
                                          "application/x-www-form-urlencoded",
                                          "application/jsonp",
                                          "text/html",
                                          "multipart/form-data; boundary=x",
                                          "application/json; charset=iso-8859-1",
                                          "application/json, application/json",
                                          "application/json; a=b, text/xml",
                                          "application/json; a=\"b\", text/xml",
                                          "text/plain; x=y; charset=latin1",
                                          "text/plain; charset"};
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        assert_int_equal(check("v1/track", "POST", taken[i], 1).answer, MKTO_ANSWER_STORED);
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_int_equal(check("v1/track", "POST", refused[i], 1).answer,
                         MKTO_ANSWER_BAD_MEDIA_TYPE);
    }
}

static void encodings(void **state)
{
    (void)state;
    static const char *const taken[] = {NULL,   "",     "identity", "Identity", " identity ",
                                        "gzip", "GZip", "x-gzip",   "X-GZIP",   " gzip "};
    static const char *const refused[] = {"deflate",        "br",         "zstd", "compress",
                                          "identity, gzip", "gzip, gzip", "gzi",  "gzipped"};
    struct mkto_route_request request = {
        .path = MKTO_SLICE_LIT("v1/track"),
        .method = MKTO_SLICE_LIT("POST"),
        .content_length = 1,
        .max_body = MKTO_BODY_DEFAULT,
    };
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        request.content_encoding = mkto_slice_str(taken[i]);
        const struct mkto_route_result result = mkto_route_check(&request);
        assert_int_equal(result.answer, MKTO_ANSWER_STORED);
        assert_int_equal(result.gzip, i >= 5);
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        request.content_encoding = mkto_slice_str(refused[i]);
        assert_int_equal(mkto_route_check(&request).answer, MKTO_ANSWER_BAD_MEDIA_TYPE);
    }
}

static void lengths(void **state)
{
    (void)state;
    assert_int_equal(check("v1/b", "POST", NULL, -1).answer, MKTO_ANSWER_STORED);
    assert_int_equal(check("v1/b", "POST", NULL, 0).answer, MKTO_ANSWER_STORED);
    assert_int_equal(check("v1/b", "POST", NULL, MKTO_BODY_DEFAULT).answer, MKTO_ANSWER_STORED);
    assert_int_equal(check("v1/b", "POST", NULL, MKTO_BODY_DEFAULT + 1).answer,
                     MKTO_ANSWER_TOO_LARGE);
}

static void names(void **state)
{
    (void)state;
    for (int i = MKTO_CALL_NONE + 1; i <= MKTO_CALL_BATCH; i++) {
        const char *name = mkto_call_name((enum mkto_call)i);
        assert_int_equal(mkto_call_find(mkto_slice_str(name)), i);
    }
    assert_string_equal(mkto_call_name(MKTO_CALL_NONE), "none");
    assert_string_equal(mkto_call_name(MKTO_CALL_COUNT), "none");
    assert_int_equal(mkto_call_find(MKTO_SLICE_LIT("none")), MKTO_CALL_NONE);
    assert_int_equal(mkto_call_find(MKTO_SLICE_LIT("Identify")), MKTO_CALL_NONE);
    assert_int_equal(mkto_call_find(MKTO_SLICE_NONE), MKTO_CALL_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),       cmocka_unit_test(unknown_paths),
        cmocka_unit_test(methods),     cmocka_unit_test(endpoints),
        cmocka_unit_test(longest_key), cmocka_unit_test(gets_have_no_body),
        cmocka_unit_test(media_types), cmocka_unit_test(lengths),
        cmocka_unit_test(names),       cmocka_unit_test(encodings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
