#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mkto_script.h"

/* Bytes of UTF-8 text, as a server puts them into an answer. */
static void test_text(void **state)
{
    (void)state;
    assert_true(mkto_script_len > 1000 && mkto_script_len < 65536);
    assert_null(memchr(mkto_script, '\0', mkto_script_len));
    assert_int_equal(mkto_script[mkto_script_len - 1], '\n');
}

static void test_etag(void **state)
{
    (void)state;
    assert_int_equal(strlen(mkto_script_etag), MKTO_SCRIPT_ETAG_LEN);
    assert_int_equal(mkto_script_etag[0], '"');
    assert_int_equal(mkto_script_etag[MKTO_SCRIPT_ETAG_LEN - 1], '"');
    assert_int_equal(strspn(mkto_script_etag + 1, "0123456789abcdef"), MKTO_SCRIPT_ETAG_LEN - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_etag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
