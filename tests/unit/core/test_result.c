/* mkto_result: Marketo's texts made fit for a log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <apr_general.h>
#include <cmocka.h>

#include "mkto_result.h"

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

static void cleaned(void **state)
{
    static const char *const rows[][2] = {
        {"plain", "plain"},      {"jos\xc3\xa9", "jos\xc3\xa9"},    {"a\r\nb\x7f", "a  b "},
        {"caf\xe9 x", "caf? x"}, {"\xc0\xaf\xed\xa0\x80", "?????"}, {"cut \xe4\xb8", "cut ??"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_string_equal(mkto_result_text(rows[i][0], strlen(rows[i][0]), *state), rows[i][1]);
    }
    assert_null(mkto_result_text("", 0, *state));
    assert_null(mkto_result_text(NULL, 0, *state));
}

static void cut_at_the_limit(void **state)
{
    static char text[MKTO_RESULT_TEXT_MAX + 2];
    memset(text, 'a', sizeof(text));

    assert_int_equal(strlen(mkto_result_text(text, MKTO_RESULT_TEXT_MAX, *state)),
                     MKTO_RESULT_TEXT_MAX);
    assert_int_equal(strlen(mkto_result_text(text, MKTO_RESULT_TEXT_MAX + 1, *state)),
                     MKTO_RESULT_TEXT_MAX);
    /* A character across the edge goes as a whole. */
    memcpy(text + MKTO_RESULT_TEXT_MAX - 1, "\xc3\xa9", 2);
    assert_int_equal(strlen(mkto_result_text(text, MKTO_RESULT_TEXT_MAX + 1, *state)),
                     MKTO_RESULT_TEXT_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cleaned),
        cmocka_unit_test(cut_at_the_limit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
