#include "wire_test.h"

#include "mkto_host.h"

static void parts(void **state)
{
    (void)state;
    static const struct {
        const char *host, *name, *port;
    } rows[] = {
        {"www.example.com", "www.example.com", NULL},
        {"www.example.com:8080", "www.example.com", "8080"},
        {"www.example.com.", "www.example.com", NULL},
        {"www.example.com.:80", "www.example.com", "80"},
        {"a:", "a", ""},
        {"[::1]", "[::1]", NULL},
        {"[::1]:80", "[::1]", "80"},
        {"[::1", "[::1", NULL},
        {".", ".", NULL},
        {"", "", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mkto_slice host = mkto_slice_str(rows[i].host);
        assert_slice(mkto_host_name(host), rows[i].name);
        if (rows[i].port == NULL) {
            assert_null(mkto_host_port(host).data);
        } else {
            assert_slice(mkto_host_port(host), rows[i].port);
        }
    }
}

static void clean(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a",    "www.example.com", "www.example.com.",      "a.:80",  "A_b-1.c", "192.0.2.1:1",
        "[::]", "[::1]:65535",     "[2001:DB8::192.0.2.1]", "a:00001"};
    static const char *const bad[] = {NULL,     "",         ".",
                                      "..a",    "a..",      "a b",
                                      "a:",     "a:0",      "a:65536",
                                      "a:x",    "a:1x",     "a:1:1",
                                      "a:-1",   "a/b",      "a@b",
                                      "a\"",    "a\\",      "a;",
                                      "a,b",    "a%20",     "a\r\n",
                                      "a<b",    "a?b",      "a#b",
                                      "a*",     "\xc3\xa4", "[::1",
                                      "[]",     "[:]",      "[::1]x",
                                      "[::1].", "::1",      "[fe80::1%eth0]",
                                      "[g::]",  "x[::1]"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(mkto_host_is_clean(mkto_slice_str(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(mkto_host_is_clean(mkto_slice_str(bad[i])));
    }
    const struct mkto_slice nul = MKTO_SLICE_LIT("a\0b");
    assert_false(mkto_host_is_clean(nul));
    char longest[MKTO_HOST_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    assert_true(mkto_host_is_clean((struct mkto_slice){longest, MKTO_HOST_MAX}));
    assert_false(mkto_host_is_clean((struct mkto_slice){longest, MKTO_HOST_MAX + 1}));
}

static void same(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"a.com", "A.COM", true},        {"a.com", "a.com.", true},
        {"a.com:80", "a.com", true},     {"a.com:443", "a.com:80", true},
        {"a.com:81", "a.com:81", true},  {"a.com:81", "a.com", false},
        {"a.com:81", "a.com:82", false}, {"a.com", "b.com", false},
        {"a.com", "www.a.com", false},   {"[::1]:8080", "[::1]:8080", true},
        {"[::1]", "[::2]", false},       {"", "", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mkto_slice a = mkto_slice_str(rows[i].a), b = mkto_slice_str(rows[i].b);
        assert_int_equal(mkto_host_same(a, b), rows[i].same);
        assert_int_equal(mkto_host_same(b, a), rows[i].same);
    }
}

static void addresses(void **state)
{
    (void)state;
    assert_true(mkto_host_is_address(MKTO_SLICE_LIT("192.0.2.1")));
    assert_true(mkto_host_is_address(MKTO_SLICE_LIT("[::1]")));
    assert_false(mkto_host_is_address(MKTO_SLICE_LIT("192.0.2")));
    assert_false(mkto_host_is_address(MKTO_SLICE_LIT("1.2.3.4.5")));
    assert_false(mkto_host_is_address(MKTO_SLICE_LIT("1.2.3.x")));
    assert_false(mkto_host_is_address(MKTO_SLICE_LIT("1.2.3.1234")));
    assert_false(mkto_host_is_address(MKTO_SLICE_LIT("1..3.4")));
    assert_false(mkto_host_is_address(MKTO_SLICE_NONE));
}

static void shared_levels(void **state)
{
    (void)state;
    static const char *const shared[] = {"co.uk", "com.au", "EDU.au",    "or.jp",
                                         "gv.at", "uk",     "github.io", "azurewebsites.net"};
    static const char *const own[] = {"example.com", "com.com", "a.co.uk", "x.uk", "me.github.io"};
    for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
        assert_true(mkto_host_is_shared(mkto_slice_str(shared[i])));
    }
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        assert_false(mkto_host_is_shared(mkto_slice_str(own[i])));
    }
}

static void cookie_domains(void **state)
{
    (void)state;
    static const struct {
        const char *host, *domain;
        bool taken;
    } rows[] = {
        {"www.example.com", "example.com", true},
        {"www.example.com", "www.example.com", true},
        {"example.com", "www.example.com", false},
        {"www.example.com", "com", false},
        {"www.example.com", "xample.com", false},
        {"WWW.Example.COM", "exAMPLE.com", true},
        {"a.example.or.jp", "or.jp", false},
        {"a.example.or.jp", "example.or.jp", true},
        {"my.github.io", "github.io", false},
        {"my.github.io", "my.github.io", true},
        {"b.a.kawasaki.jp", "kawasaki.jp", false},
        {"localhost", "localhost", false},
        {"", "", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(
            mkto_host_may_set(mkto_slice_str(rows[i].host), mkto_slice_str(rows[i].domain)),
            rows[i].taken);
    }
}

static void covered(void **state)
{
    (void)state;
    const struct mkto_slice host = MKTO_SLICE_LIT("www.example.com");
    assert_true(mkto_host_covers(MKTO_SLICE_LIT("www.example.com"), host));
    assert_true(mkto_host_covers(MKTO_SLICE_LIT("Example.com"), host));
    assert_true(mkto_host_covers(MKTO_SLICE_LIT("com"), host));
    assert_false(mkto_host_covers(MKTO_SLICE_LIT("ample.com"), host));
    assert_false(mkto_host_covers(MKTO_SLICE_LIT("a.www.example.com"), host));
    assert_false(mkto_host_covers(MKTO_SLICE_NONE, host));
}

static void urls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host;
    } rows[] = {
        {"https://a.com", "a.com"},
        {"HTTP://a.com:80/x?y", "a.com:80"},
        {"https://a.com?x", "a.com"},
        {"https://a.com#x", "a.com"},
        {"https://a.com\\x", "a.com"},
        {"https://u@a.com/", "u@a.com"},
        {"http://[::1]:80/", "[::1]:80"},
        {"https://", NULL},
        {"https:///a", NULL},
        {"ftp://a.com", NULL},
        {"//a.com", NULL},
        {"a.com", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mkto_slice host = mkto_host_of_url(mkto_slice_str(rows[i].url));
        if (rows[i].host == NULL) {
            assert_null(host.data);
        } else {
            assert_slice(host, rows[i].host);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts),         cmocka_unit_test(clean),
        cmocka_unit_test(same),          cmocka_unit_test(addresses),
        cmocka_unit_test(shared_levels), cmocka_unit_test(cookie_domains),
        cmocka_unit_test(covered),       cmocka_unit_test(urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
