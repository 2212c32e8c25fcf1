/* mkto_http: a request as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <apr_general.h>
#include <cmocka.h>

#include "mkto_http.h"

static int setup(void **state)
{
    apr_initialize();
    apr_pool_t *pool;
    if (apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return -1;
    }
    *state = pool;
    return 0;
}

static int teardown(void **state)
{
    apr_pool_destroy(*state);
    apr_terminate();
    return 0;
}

static void post_with_body(void **state)
{
    static const struct mkto_http_header headers[] = {{"Content-Type", "text/plain"},
                                                      {"Accept", "*/*"}};
    const struct mkto_http_request request = {"POST", "http://127.0.0.1:8080/a/b?c=d", headers, 2,
                                              MKTO_SLICE_LIT("hello")};

    assert_string_equal(
        mkto_http_text(&request, *state),
        "POST /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
        "Content-Type: text/plain\r\nAccept: */*\r\nContent-Length: 5\r\n\r\nhello");
}

static void post_without_body_has_a_length(void **state)
{
    const struct mkto_http_request request = {"POST", "https://example.com", NULL, 0,
                                              MKTO_SLICE_NONE};

    assert_string_equal(mkto_http_text(&request, *state),
                        "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n");
}

static void get_has_none(void **state)
{
    const struct mkto_http_request request = {"GET", "https://example.com/x", NULL, 0,
                                              MKTO_SLICE_NONE};

    assert_string_equal(mkto_http_text(&request, *state),
                        "GET /x HTTP/1.1\r\nHost: example.com\r\n\r\n");
}

static void odd_urls(void **state)
{
    static const char *const rows[][3] = {
        {"https://example.com?a=b", "/?a=b", "example.com"},
        {"https://user:pw@example.com/x#top", "/x", "example.com"},
        {"https://[::1]:8443/x@y", "/x@y", "[::1]:8443"},
        {"example.com/x", "/x", "example.com"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mkto_http_request request = {"GET", rows[i][0], NULL, 0, MKTO_SLICE_NONE};
        char expected[100];
        snprintf(expected, sizeof(expected), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", rows[i][1],
                 rows[i][2]);
        assert_string_equal(mkto_http_text(&request, *state), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(post_with_body),
        cmocka_unit_test(post_without_body_has_a_length),
        cmocka_unit_test(get_has_none),
        cmocka_unit_test(odd_urls),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
