#include "wire_test.h"

#include "mkto_origin.h"

#define UNKNOWN MKTO_SITE_UNKNOWN
#define OWN MKTO_SITE_OWN
#define ALLOWED MKTO_SITE_ALLOWED
#define FOREIGN MKTO_SITE_FOREIGN

static const struct mkto_slice allowed[] = {{"https://app.example.com", 23},
                                            {"http://localhost:3000", 21}};

static enum mkto_site judge(const char *host, const char *origin, const char *site)
{
    struct mkto_request request = {.host = mkto_slice_str(host)};
    request.header[MKTO_HEADER_ORIGIN] = mkto_slice_str(origin);
    request.header[MKTO_HEADER_SEC_FETCH_SITE] = mkto_slice_str(site);
    return mkto_origin_judge(&request, allowed, sizeof(allowed) / sizeof(allowed[0]));
}

static void by_origin(void **state)
{
    (void)state;
    static const struct {
        const char *host, *origin;
        enum mkto_site site;
    } rows[] = {
        {"www.example.com", NULL, UNKNOWN},
        {"www.example.com", "", UNKNOWN},
        {"www.example.com", "https://www.example.com", OWN},
        {"www.example.com", "http://www.example.com", OWN},
        {"WWW.example.COM", "HTTPS://www.Example.com", OWN},
        {"www.example.com.", "https://www.example.com", OWN},
        {"www.example.com:443", "https://www.example.com", OWN},
        {"www.example.com:80", "http://www.example.com", OWN},
        {"www.example.com", "https://www.example.com:443", OWN},
        {"www.example.com:8443", "https://www.example.com:8443", OWN},
        {"www.example.com:8443", "https://www.example.com", FOREIGN},
        {"www.example.com", "https://www.example.com:8443", FOREIGN},
        {"www.example.com:8443", "https://www.example.com:8444", FOREIGN},
        {"[2001:db8::1]", "https://[2001:db8::1]", OWN},
        {"[2001:DB8::1]:8080", "http://[2001:db8::1]:8080", OWN},
        {"[2001:db8::1]:8080", "http://[2001:db8::1]", FOREIGN},
        {"[2001:db8::1]", "http://[2001:db8::2]", FOREIGN},
        {"192.0.2.1:81", "http://192.0.2.1:81", OWN},
        {"www.example.com", "null", FOREIGN},
        {"null", "null", FOREIGN},
        {"www.example.com", "https://example.com", FOREIGN},
        {"example.com", "https://www.example.com", FOREIGN},
        {"www.example.com", "https://www.example.com.evil.example", FOREIGN},
        {"www.example.com", "https://evil.example/www.example.com", FOREIGN},
        {"www.example.com", "https://www.example.com/", FOREIGN},
        {"www.example.com", "https://www.example.com@evil.example", FOREIGN},
        {"www.example.com", "https://evil@www.example.com", FOREIGN},
        {"www.example.com", "www.example.com", FOREIGN},
        {"www.example.com", "ionic://www.example.com", FOREIGN},
        {"www.example.com", "https://", FOREIGN},
        {NULL, "https://", FOREIGN},
        {"", "https://www.example.com", FOREIGN},
        {"www.example.com", "https://app.example.com", ALLOWED},
        {"www.example.com", "http://localhost:3000", ALLOWED},
        {"www.example.com", "http://app.example.com", FOREIGN},
        {"www.example.com", "https://app.example.com:444", FOREIGN},
        {"www.example.com", "http://localhost:3001", FOREIGN},
        {"www.example.com", "https://app.example.com, https://x.example", FOREIGN},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(judge(rows[i].host, rows[i].origin, NULL), rows[i].site);
        assert_int_equal(judge(rows[i].host, rows[i].origin, ""), rows[i].site);
    }
}

static void by_fetch_site(void **state)
{
    (void)state;
    static const struct {
        const char *value, *origin;
        enum mkto_site site;
    } rows[] = {
        {"same-origin", NULL, OWN},
        {"same-origin", "https://evil.example", OWN}, /* a browser never says both */
        {"none", NULL, OWN},
        {"same-site", NULL, FOREIGN},
        {"same-site", "https://app.example.com", ALLOWED},
        {"same-site", "https://other.example.com", FOREIGN},
        {"cross-site", NULL, FOREIGN}, /* an <img> */
        {"cross-site", "http://localhost:3000", ALLOWED},
        {"cross-site", "https://www.example.com", FOREIGN},
        {"cross-site", "null", FOREIGN},
        {"new-value", NULL, FOREIGN},
        {"new-value", "https://www.example.com", OWN},
        {"new-value", "https://app.example.com", ALLOWED},
        {"new-value", "https://evil.example", FOREIGN},
        {"Same-Origin", NULL, FOREIGN},
        {"same-origin, none", NULL, FOREIGN},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(judge("www.example.com", rows[i].origin, rows[i].value), rows[i].site);
    }
}

static void none_is_allowed(void **state)
{
    (void)state;
    struct mkto_request request = {.host = MKTO_SLICE_LIT("www.example.com")};
    request.header[MKTO_HEADER_ORIGIN] = MKTO_SLICE_LIT("https://app.example.com");
    assert_int_equal(mkto_origin_judge(&request, NULL, 0), FOREIGN);
}

static void values(void **state)
{
    (void)state;
    static const struct {
        const char *value, *origin;
    } rows[] = {
        {"https://app.example.com", "https://app.example.com"},
        {"app.example.com", "https://app.example.com"},
        {"HTTPS://App.Example.COM", "https://app.example.com"},
        {"https://app.example.com:443", "https://app.example.com"},
        {"app.example.com:443", "https://app.example.com"},
        {"http://app.example.com:80", "http://app.example.com"},
        {"http://app.example.com:443", "http://app.example.com:443"},
        {"https://app.example.com:80", "https://app.example.com:80"},
        {"http://localhost:3000", "http://localhost:3000"},
        {"https://app.example.com.", "https://app.example.com"},
        {"http://[2001:DB8::1]:8080", "http://[2001:db8::1]:8080"},
        {"192.0.2.1", "https://192.0.2.1"},
        {"https://a:65535", "https://a:65535"},
        {"a:1", "https://a:1"},
    };
    char out[MKTO_ORIGIN_MAX + 1];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_null(mkto_origin_read(mkto_slice_str(rows[i].value), out));
        assert_string_equal(out, rows[i].origin);
    }
}

static void bad_values(void **state)
{
    (void)state;
    static const char *const bad[] = {NULL,          "",           "https://",
                                      "https:///",   "https://a/", "https://a/b",
                                      "https://a?b", "https://a#", "https://a@b",
                                      "https://a b", " a",         "a\r\nb",
                                      "a\"b",        "a;b",        "ftp://a",
                                      "//a",         "a:",         "a:0",
                                      "a:65536",     "a:080",      "a:x",
                                      "a:-1",        "a:1:2",      ".a",
                                      "\xc3\xa4.de", "null",       "https://Null",
                                      "[::1",        "[]",         "[g::1]",
                                      "[::1]x",      "::1",        "https://https://a"};
    char out[MKTO_ORIGIN_MAX + 1];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *wrong = mkto_origin_read(mkto_slice_str(bad[i]), out);
        assert_non_null(wrong);
        assert_string_equal(wrong, "must be an origin like https://app.example.com");
    }
    static const char *const wild[] = {"*", "*.example.com", "https://*", "https://a.*"};
    for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
        assert_string_equal(mkto_origin_read(mkto_slice_str(wild[i]), out),
                            "must name one host; there are no wildcards");
    }
}

static void longest(void **state)
{
    (void)state;
    char value[MKTO_ORIGIN_MAX + 2], out[MKTO_ORIGIN_MAX + 1];
    memset(value, 'a', sizeof(value));
    assert_null(mkto_origin_read((struct mkto_slice){value, 255}, out));
    assert_int_equal(strlen(out), 263);
    assert_string_equal(mkto_origin_read((struct mkto_slice){value, 256}, out),
                        "must be an origin like https://app.example.com");
    assert_string_equal(mkto_origin_read((struct mkto_slice){value, MKTO_ORIGIN_MAX}, out),
                        "must be an origin like https://app.example.com");
    assert_string_equal(mkto_origin_read((struct mkto_slice){value, MKTO_ORIGIN_MAX + 1}, out),
                        "is longer than any origin");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_origin),       cmocka_unit_test(by_fetch_site),
        cmocka_unit_test(none_is_allowed), cmocka_unit_test(values),
        cmocka_unit_test(bad_values),      cmocka_unit_test(longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
