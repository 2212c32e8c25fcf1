#include "wire_test.h"

#include "mkto_cookie.h"

#define TOKEN "_mch-example.com-1374552656411-90718"
#define HEX_TOKEN "_mch-marketo.com-97bf4361ef4433921a6da262e8df45a"

struct row {
    const char *value;
    const char *id;
    const char *token; /* NULL: refused */
};

/* Contract munchkin-and-rest A1: the table "cookie as received", both token forms, the encoded
 * variant. */
/* clang-format off */
static const struct row rows[] = {
    {"id:561-HYG-937&token:" TOKEN, "561-HYG-937", TOKEN},
    {"id:561-HYG-937&token:" HEX_TOKEN, "561-HYG-937", HEX_TOKEN},
    {"id:561-HYG-937&token:_mch-k6.io-bf2d5c251532b11a405661707033a82", "561-HYG-937",
     "_mch-k6.io-bf2d5c251532b11a405661707033a82"},
    {"token:" TOKEN "&id:561-HYG-937&foo:bar", "561-HYG-937", TOKEN},
    {"id=561-HYG-937&token=" TOKEN, "561-HYG-937", TOKEN},
    {"id%3A561-HYG-937%26token%3A" TOKEN, "561-HYG-937", TOKEN},
    {"id%3a561-HYG-937%26token%3a" TOKEN, "561-HYG-937", TOKEN},
    {"id%3D561-HYG-937%26token%3D" TOKEN, "561-HYG-937", TOKEN},
    {"id:OTHER&token:" TOKEN, "OTHER", TOKEN},
    {"id:561-hyg-937&token:" TOKEN, "561-hyg-937", TOKEN},
    {"id:A&token:", "", NULL},
    {"id:A", "", NULL},
    {"garbage", "", NULL},
    {"", "", NULL},
    {"&&&", "", NULL},
    {":::", "", NULL},
    {"token:" TOKEN, "", TOKEN},
    {"\"id:A&token:" TOKEN "\"", "A", TOKEN},
    {"  id:A&token:" TOKEN "  ", "A", TOKEN},
    /* values may hold the separator; parts are percent-decoded; a malformed escape is kept */
    {"id:A&token:abc:def", "A", "abc:def"},
    {"id:A&token:abc%3Adef", "A", "abc:def"},
    {"id%3AA%26token%3Aabc%253Adef", "A", "abc:def"},
    {"id:A&token:abc%3", "A", "abc%3"},
    {"id:A&token:abc%zz%41", "A", "abc%zz%41"},
    {"id:A&%74oken:x", "", NULL},
    {"id:A&token:one&token:two", "A", "two"},
    {"id=A&token:" TOKEN, "", TOKEN},
    {"token=" TOKEN, "", NULL},
    {"id:&token:" TOKEN, "", TOKEN},
    /* nothing may be smuggled */
    {"id:A&token:a%0d%0aSet-Cookie", "", NULL},
    {"id:A&token:a%00b", "", NULL},
    {"id:A&token:a%3Bb", "", NULL},
    {"id:A&token:a;b", "", NULL},
    {"id:A&token:a%2Cb", "", NULL},
    {"id:A&token:a,b", "", NULL},
    {"id:A&token:a%20b", "", NULL},
    {"id:A&token:a b", "", NULL},
    {"id:A&token:a%09b", "", NULL},
    {"id:A&token:a%7Fb", "", NULL},
    {"id:A&token:a%C3%BCb", "", NULL},
    {"id:A&token:a\xc3\xbc", "", NULL},
    {"id:A%0a&token:" TOKEN, "", NULL},
    {"id%3AA%26token%3Aa%250Ab", "", NULL},
    {"id%3AA%26token%3Aa%0Ab", "", NULL},
};
/* clang-format on */

static void contract_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_cookie cookie;
        memset(&cookie, 0x55, sizeof(cookie));
        const int rc = mkto_cookie_parse(mkto_slice_str(rows[i].value), &cookie);
        if ((rc == 0) != (rows[i].token != NULL)) {
            fail_msg("%s: %d", rows[i].value, rc);
        }
        assert_string_equal(cookie.id, rows[i].id);
        assert_string_equal(cookie.token, rows[i].token == NULL ? "" : rows[i].token);
    }
    struct mkto_cookie cookie;
    assert_int_equal(mkto_cookie_parse(MKTO_SLICE_NONE, &cookie), -1);
    assert_int_equal(mkto_cookie_parse((struct mkto_slice){"id:A&token:a\0b", 14}, &cookie), -1);
}

static int parse_sized(size_t id, size_t token)
{
    static char value[4096];
    char *end = value + snprintf(value, sizeof(value), "id:");
    memset(end, 'A', id);
    end += id;
    end += snprintf(end, 8, "&token:");
    memset(end, 'x', token);
    struct mkto_cookie cookie;
    return mkto_cookie_parse((struct mkto_slice){value, (size_t)(end - value) + token}, &cookie);
}

static void longest_parts(void **state)
{
    (void)state;
    assert_int_equal(parse_sized(MKTO_COOKIE_ID_MAX, 10), 0);
    assert_int_equal(parse_sized(MKTO_COOKIE_ID_MAX + 1, 10), -1);
    assert_int_equal(parse_sized(11, MKTO_COOKIE_TOKEN_MAX), 0);
    assert_int_equal(parse_sized(11, MKTO_COOKIE_TOKEN_MAX + 1), -1);
}

static void longest_value(void **state)
{
    (void)state;
    static char value[MKTO_COOKIE_RAW_MAX + 2];
    struct mkto_cookie cookie;
    const int start = snprintf(value, sizeof(value), "id:A&token:x&more:");
    memset(value + start, 'y', sizeof(value) - (size_t)start);
    assert_int_equal(mkto_cookie_parse((struct mkto_slice){value, MKTO_COOKIE_RAW_MAX}, &cookie),
                     0);
    assert_int_equal(
        mkto_cookie_parse((struct mkto_slice){value, MKTO_COOKIE_RAW_MAX + 1}, &cookie), -1);
    value[0] = value[MKTO_COOKIE_RAW_MAX] = '"'; /* quotes count */
    assert_int_equal(
        mkto_cookie_parse((struct mkto_slice){value, MKTO_COOKIE_RAW_MAX + 1}, &cookie), -1);
    memset(value, '%', sizeof(value));
    assert_int_equal(mkto_cookie_parse((struct mkto_slice){value, MKTO_COOKIE_RAW_MAX}, &cookie),
                     -1);
}

static const char *pick(const char *const *headers, const char *host)
{
    static struct mkto_cookie_pick result;
    memset(&result, 0, sizeof(result));
    for (; *headers != NULL; headers++) {
        mkto_cookie_scan(&result, mkto_slice_str(*headers), MKTO_SLICE_LIT("561-HYG-937"),
                         mkto_slice_str(host));
    }
    return result.found ? result.best.token : NULL;
}

#define HEADERS(...)                                                                               \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define OURS(domain, n) "_mkto_trk=id:561-HYG-937&token:_mch-" domain "-1374552656411-" n

static void one_header(void **state)
{
    (void)state;
    assert_string_equal(pick(HEADERS("a=b; " OURS("example.com", "90718") "; c=d"), "example.com"),
                        TOKEN);
    assert_string_equal(pick(HEADERS(OURS("example.com", "90718")), "www.example.com:8080"), TOKEN);
    assert_string_equal(pick(HEADERS("a=b;" OURS("example.com", "90718") ";"), "other.org"), TOKEN);
    assert_null(pick(HEADERS("a=b; c=d"), "example.com"));
    assert_null(pick(HEADERS(""), "example.com"));
    assert_null(pick(HEADERS("x_mkto_trk=id:A&token:B; _mkto_trkx=id:A&token:B; _MKTO_TRK=id:A&"
                             "token:B; _mkto_trk; _mkto_trk="),
                     "example.com"));
    assert_string_equal(pick(HEADERS("_mkto_trk=junk; _mkto_trk=id:A&token:B"), "example.com"),
                        "B");
}

static void duplicates(void **state)
{
    (void)state;
    /* the shortest domain that covers the host wins over the order … */
    assert_string_equal(
        pick(HEADERS(OURS("www.example.com", "11111") "; " OURS("example.com", "22222")),
             "www.example.com"),
        "_mch-example.com-1374552656411-22222");
    /* … across headers too … */
    assert_string_equal(pick(HEADERS(OURS("www.example.com", "11111"), OURS("example.com", "22222"),
                                     OURS("com", "33333x")),
                             "www.example.com"),
                        "_mch-example.com-1374552656411-22222");
    /* … in any case of the host; a domain that only looks like a suffix does not count … */
    assert_string_equal(
        pick(HEADERS(OURS("ample.com", "11111"), OURS("Example.com", "22222")), "WWW.EXAMPLE.COM"),
        "_mch-Example.com-1374552656411-22222");
    /* … nor one of another subscription, … */
    assert_string_equal(pick(HEADERS("_mkto_trk=id:AAA-BBB-CCC&token:_mch-example.com-1-11111; "
                                     "_mkto_trk=id:561-hyg-937&token:_mch-www.example.com-1-22222"),
                             "www.example.com"),
                        "_mch-www.example.com-1-22222");
    /* … and without a best one the first that parses is taken. */
    assert_string_equal(
        pick(HEADERS("_mkto_trk=id:A&token:one; _mkto_trk=id:B&token:two"), "www.example.com"),
        "one");
    /* of equals the first */
    assert_string_equal(pick(HEADERS(OURS("example.com", "11111"), OURS("example.com", "22222")),
                             "www.example.com"),
                        "_mch-example.com-1374552656411-11111");
}

static void token_domains(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"_mch-example.com-1374552656411-90718", "example.com"},
        {"_mch-marketo.com-97bf4361ef4433921a6da262e8df45a", "marketo.com"},
        {"_mch-my-shop.co.uk-1374552656411-90718", "my-shop.co.uk"},
        {"_mch-my-shop.co.uk-97bf4361ef4433921a6da262e8df45a", "my-shop.co.uk"},
        {"_mch-localhost-1374552656411-90718", "localhost"},
        {"_mch-192.168.1.10-1374552656411-90718", "192.168.1.10"},
        {"_mch-example.com-0000", "example.com"},
        {"_mch-example.com-90718", "example.com"},
        {"_mch-example.com-000", NULL},
        {"_mch-example.com-0123456789abcdef0123456789abcdef", "example.com"},
        {"_mch-example.com-0123456789abcdef0123456789abcdef0", NULL},
        {"_mch-example.com-0123456789ABCDEF", NULL},
        {"_mch-example.com-1374552656411-907189", "example.com-1374552656411"},
        {"_mch--1374552656411-90718", NULL},
        {"_mch-exa/mple-1374552656411-90718", NULL},
        {"_mch-", NULL},
        {"mch-example.com-1374552656411-90718", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct mkto_slice domain = mkto_cookie_token_domain(mkto_slice_str(table[i][0]));
        if (table[i][1] == NULL) {
            assert_null(domain.data);
        } else {
            assert_slice(domain, table[i][1]);
        }
    }
}

/* Contract A1, "DOMAIN selection", column V2, with com.au mended. */
static void host_domains(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"www.example.com", "example.com"},
        {"example.com", "example.com"},
        {"www.example.co.uk", "example.co.uk"},
        {"www.example.io", "example.io"},
        {"a.b.example.com.au", "example.com.au"},
        {"192.168.1.10", "192.168.1.10"},
        {"localhost", "localhost"},
        {"www.example.com:8080", "example.com"},
        {"localhost:8080", "localhost"},
        {"192.168.1.10:80", "192.168.1.10"},
        {"[2001:db8::1]:80", "[2001:db8::1]"},
        {"[2001:db8::1]", "[2001:db8::1]"},
        {"www.example.com.", "example.com"},
        {"co.uk", "co.uk"},
        {"a.example.ac.uk", "example.ac.uk"},
        {"www.example.or.jp", "example.or.jp"},
        {"my.app.github.io", "app.github.io"},
        {"b.a.kawasaki.jp", "b.a.kawasaki.jp"},
        {"a.example.NET.NZ", "example.NET.NZ"},
        {"a.example.xx.uk", "xx.uk"},
        {"com.com", "com.com"},
        {"a.b.c", "b.c"},
        {"1.2.3.4.5", "4.5"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_slice(mkto_cookie_domain(mkto_slice_str(table[i][0])), table[i][1]);
    }
}

static void format(void **state)
{
    (void)state;
    char out[MKTO_COOKIE_MAX];
    const char *want = "id:561-HYG-937&token:" TOKEN;
    assert_int_equal(mkto_cookie_format("561-HYG-937", TOKEN, out, sizeof(out)), strlen(want));
    assert_string_equal(out, want);
    assert_int_equal(mkto_cookie_format("561-HYG-937", TOKEN, out, strlen(want) + 1), strlen(want));
    assert_int_equal(mkto_cookie_format("561-HYG-937", TOKEN, out, strlen(want)), 0);
    assert_int_equal(mkto_cookie_format("A", "B", out, 0), 0);
    mkto_cookie_format("A", "abc:d&e%f!~*'()", out, sizeof(out));
    assert_string_equal(out, "id:A&token:abc%3Ad%26e%25f!~*'()");
}

static void format_longest(void **state)
{
    (void)state;
    char id[MKTO_COOKIE_ID_MAX + 1] = {0};
    char token[MKTO_COOKIE_TOKEN_MAX + 1] = {0};
    char out[MKTO_COOKIE_MAX];
    struct mkto_cookie cookie;
    memset(id, 'A', MKTO_COOKIE_ID_MAX);
    memset(token, 'x', MKTO_COOKIE_TOKEN_MAX);
    const size_t len = mkto_cookie_format(id, token, out, sizeof(out));
    assert_true(len > 0 && len < MKTO_COOKIE_MAX);
    assert_int_equal(mkto_cookie_parse((struct mkto_slice){out, len}, &cookie), 0);
    assert_string_equal(cookie.id, id);
    assert_string_equal(cookie.token, token);
    memset(token, ':', MKTO_COOKIE_TOKEN_MAX); /* three bytes each when encoded */
    assert_int_equal(mkto_cookie_format(id, token, out, sizeof(out)), 0);
}

/* What is parsed can be formatted and parsed again to the same, and is always clean. */
static void random_values(void **state)
{
    (void)state;
    static const char alphabet[] = "id:token=&%3A26abz019-_.;, \"\\\x01\xc3";
    uint64_t seed = wire_seed();
    for (int round = 0; round < 50000; round++) {
        char value[128];
        size_t len = 0;
        if (wire_below(&seed, 2) == 0) {
            len = (size_t)snprintf(value, sizeof(value), "id:A&token:");
        }
        for (size_t left = wire_below(&seed, 40); left > 0; left--) {
            value[len++] = alphabet[wire_below(&seed, sizeof(alphabet))]; /* its NUL too */
        }
        struct mkto_cookie cookie;
        struct mkto_cookie again;
        char out[MKTO_COOKIE_MAX];
        if (mkto_cookie_parse((struct mkto_slice){value, len}, &cookie) != 0) {
            assert_string_equal(cookie.token, "");
            continue;
        }
        for (const char *c = cookie.token; *c != '\0'; c++) {
            assert_true(*c > ' ' && *c < 0x7f && *c != ';' && *c != ',');
        }
        const size_t written = mkto_cookie_format(cookie.id, cookie.token, out, sizeof(out));
        assert_true(written > 0);
        assert_int_equal(mkto_cookie_parse((struct mkto_slice){out, written}, &again), 0);
        assert_memory_equal(&cookie, &again, sizeof(cookie));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contract_table), cmocka_unit_test(longest_parts),
        cmocka_unit_test(longest_value),  cmocka_unit_test(one_header),
        cmocka_unit_test(duplicates),     cmocka_unit_test(token_domains),
        cmocka_unit_test(host_domains),   cmocka_unit_test(format),
        cmocka_unit_test(format_longest), cmocka_unit_test(random_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
