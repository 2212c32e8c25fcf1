/* Which URLs may be the address of an API. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "mkto_config_endpoint.h"

static void test_good(void **state)
{
    static const struct {
        const char *url;
        const char *kept;
    } table[] = {
        {"https://561-hyg-937.mktorest.com", "https://561-hyg-937.mktorest.com"},
        {"https://561-hyg-937.mktorest.com/", "https://561-hyg-937.mktorest.com"},
        {"https://a.b/soap/mktows/3_1//", "https://a.b/soap/mktows/3_1"},
        {"https://a:1", "https://a:1"},
        {"https://a:65535/x", "https://a:65535/x"},
        {"https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443/x"},
        {"https://10.0.0.1", "https://10.0.0.1"},
        {"http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"},
        {"http://127.255.255.254", "http://127.255.255.254"},
        {"http://localhost:1", "http://localhost:1"},
        {"http://[::1]", "http://[::1]"},
        {"https://a_b-c.d/%20~x", "https://a_b-c.d/%20~x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct mkto_error err = MKTO_ERROR_INIT;
        size_t len = 0;

        assert_int_equal(mkto_config_endpoint_check(table[i].url, &len, &err), 0);
        assert_int_equal(len, strlen(table[i].kept));
        assert_memory_equal(table[i].url, table[i].kept, len);
    }
}

static void test_bad(void **state)
{
    static const char scheme[] = "must be a URL that begins with https://";
    static const char local[] =
        "must begin with https://; http:// is for 127.0.0.0/8, ::1 and localhost only";
    static const char host[] = "has no valid host";
    static const char port[] = "has no valid port (1..65535)";
    static const struct {
        const char *url;
        const char *said;
    } table[] = {
        {"", scheme},
        {"https", scheme},
        {"https://", scheme},
        {"http://", scheme},
        {"ftp://a", scheme},
        {"HTTPS://a", scheme},
        {"a.b/c", scheme},
        {"http://a.b", local},
        {"http://128.0.0.1", local},
        {"http://127.0.0.1.example.com", local},
        {"http://localhost.example.com", local},
        {"http://[::2]", local},
        {"http://127.1", local},
        {"https://user:pw@a.b", "must not hold credentials before the host"},
        {"https://user@a.b/x", "must not hold credentials before the host"},
        {"https://a.b/?x=1", "must not have a query or fragment ('?', '#')"},
        {"https://a.b/#x", "must not have a query or fragment ('?', '#')"},
        {"https:///x", host},
        {"https://:8", host},
        {"https://a..b", host},
        {"https://.a", host},
        {"https://a.", host},
        {"https://[::1", host},
        {"https://[::1]x", host},
        {"https://[g]", host},
        {"https://[]", host},
        {"https://::1", host},
        {"https://a:", port},
        {"https://a:0", port},
        {"https://a:65536", port},
        {"https://a:x", port},
        {"https://a:100000", port},
        {"https://a.b/c//d", "must not hold '//' in its path"},
        {"https://a.b/c d", "holds a character that no URL may hold"},
        {"https://a.b/\xc3\xa4", "holds a character that no URL may hold"},
        {"https://a.b/\\", "holds a character that no URL may hold"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct mkto_error err = MKTO_ERROR_INIT;
        size_t len = 0;

        if (mkto_config_endpoint_check(table[i].url, &len, &err) == 0) {
            print_error("accepted: %s\n", table[i].url);
        }
        assert_string_equal(err.text, table[i].said);
    }
}

static void test_name_length(void **state)
{
    char name[255];

    (void)state;
    memset(name, 'a', sizeof(name));
    assert_true(mkto_config_endpoint_is_name((struct mkto_slice){name, 253}));
    assert_false(mkto_config_endpoint_is_name((struct mkto_slice){name, 254}));
    assert_false(mkto_config_endpoint_is_name(MKTO_SLICE_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_name_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
