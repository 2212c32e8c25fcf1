/* The pixel's query as the call that it means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_base64.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <stdio.h>

#include "mkto_json.h"
#include "mkto_pixel.h"

static apr_pool_t *pool;

static int setup(void **state)
{
    (void)state;
    return apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int teardown(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static void means(const char *query, const char *json)
{
    struct mkto_slice body;
    struct mkto_error err = MKTO_ERROR_INIT;
    if (mkto_pixel_read(mkto_slice_str(query), &body, &err, pool) != 0) {
        fail_msg("%s: %s", query, err.text);
    }
    if (!mkto_slice_is(body, json)) {
        fail_msg("%s: %.*s", query, (int)body.len, body.data);
    }
}

static void refused(const char *query, const char *why)
{
    struct mkto_slice body;
    struct mkto_error err = MKTO_ERROR_INIT;
    if (mkto_pixel_read(mkto_slice_str(query), &body, &err, pool) == 0) {
        fail_msg("%s: taken as %.*s", query, (int)body.len, body.data);
    }
    assert_string_equal(err.text, why);
}

static void test_dotted(void **state)
{
    (void)state;
    means("userId=u1&event=Opened", "{\"userId\":\"u1\",\"event\":\"Opened\"}");
    means("properties.subject=Hello+World%21&userId=7&properties.n=1.50",
          "{\"properties\":{\"subject\":\"Hello World!\",\"n\":\"1.50\"},\"userId\":\"7\"}");
    means("context.page.url=https%3A%2F%2Fa.b%2F%3Fx%3D1%26y%3D2&a=b=c",
          "{\"context\":{\"page\":{\"url\":\"https://a.b/?x=1&y=2\"}},\"a\":\"b=c\"}");
    means("integrations.All=false&integrations.Marketo=true&traits.vip=true",
          "{\"integrations\":{\"All\":false,\"Marketo\":true},\"traits\":{\"vip\":\"true\"}}");
    means("", "{}");
    means("&&=x&a&b=", "{\"a\":\"\",\"b\":\"\"}");
    means("name=%E6%B3%A8", "{\"name\":\"\xe6\xb3\xa8\"}");
    means("writeKey=wk_1&a=%22%5c", "{\"writeKey\":\"wk_1\",\"a\":\"\\\"\\\\\"}");
}

#define CALL "{\"event\":\"a>b?c\",\"userId\":\"u\"}"

static void test_data(void **state)
{
    (void)state;
    means("data=eyJldmVudCI6ImE-Yj9jIiwidXNlcklkIjoidSJ9", CALL);
    means("data=eyJldmVudCI6ImE+Yj9jIiwidXNlcklkIjoidSJ9", CALL);
    means("_=123&data=eyJldmVudCI6ImE%2BYj9jIiwidXNlcklkIjoidSJ9", CALL);
    means("data=e30", "{}");
    means("data=e30%3D", "{}");
    means("data=e30=", "{}");
    means("data=eyJhIjoiPz8_In0&writeKey=wk", "{\"a\":\"\?\?\?\",\"writeKey\":\"wk\"}");
    means("data=eyJ3cml0ZUtleSI6ImEifQ&writeKey=b", "{\"writeKey\":\"a\"}");
}

static void test_refused(void **state)
{
    (void)state;
    refused("a=%4", "the query has a '%' without two hexadecimal digits");
    refused("a=%zz", "the query has a '%' without two hexadecimal digits");
    refused("a=%ff", "the query is not UTF-8");
    refused("%c0%af=1", "the query is not UTF-8");
    refused("a=1&a=2", "a: stands there twice");
    refused("a=1&a.b=2", "a.b: is below a value");
    refused("a.b=1&a=2", "a: stands there twice");
    refused("a..b=1", "a..b: has an empty part");
    refused(".a=1", ".a: has an empty part");
    refused("a.=1", "a.: has an empty part");
    refused("%0d%0aa..=1", "??a..: has an empty part");
    refused("0123456789012345678901234567890123456789%C3%A4.=1",
            "0123456789012345678901234567890123456789: has an empty part");
    refused("012345678901234567890123456789012345678%C3%A4.=1",
            "012345678901234567890123456789012345678: has an empty part");
    refused("data=e", "data: must be base64");
    refused("data=e30*", "data: must be base64");
    refused("data=", "data: the text ends too soon at byte 0");
    refused("data=WzFd", "data: must be an object");
    refused("data=eyJhIjp9", "data: unexpected token at byte 5");
}

static char *repeated(const char *text, int count, const char *end)
{
    char *out = apr_pstrdup(pool, "");
    for (int i = 0; i < count; i++) {
        out = apr_pstrcat(pool, out, text, NULL);
    }
    return apr_pstrcat(pool, out, end, NULL);
}

static void test_limits(void **state)
{
    struct mkto_slice body;
    struct mkto_error err = MKTO_ERROR_INIT;
    char *list = apr_pstrdup(pool, "");
    (void)state;
    assert_int_equal(mkto_pixel_read(mkto_slice_str(repeated("a.", MKTO_JSON_DEPTH_MAX - 1, "a=1")),
                                     &body, &err, pool),
                     0);
    refused(repeated("a.", MKTO_JSON_DEPTH_MAX, "a=1"),
            "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a: has too many parts");
    for (int i = 0; i < MKTO_PIXEL_PARAMETERS_MAX; i++) {
        list = apr_psprintf(pool, "%s&p%d=x", list, i);
    }
    assert_int_equal(mkto_pixel_read(mkto_slice_str(list), &body, &err, pool), 0);
    refused(apr_pstrcat(pool, list, "&q=1", NULL), "the query has more than 256 parameters");
    list = apr_palloc(pool, MKTO_PIXEL_QUERY_MAX + 2);
    memset(list, 'x', MKTO_PIXEL_QUERY_MAX + 1);
    memcpy(list, "a=", 2);
    list[MKTO_PIXEL_QUERY_MAX + 1] = '\0';
    refused(list, "the query has 16385 bytes, the limit is 16384");
    list[MKTO_PIXEL_QUERY_MAX] = '\0';
    assert_int_equal(mkto_pixel_read(mkto_slice_str(list), &body, &err, pool), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dotted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_data, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
