#include "wire_test.h"

#include "mkto_error.h"

static void first_error_is_kept(void **state)
{
    (void)state;
    struct mkto_error err = MKTO_ERROR_INIT;
    assert_int_equal(mkto_error_set(&err, "byte %d", 7), -1);
    assert_int_equal(mkto_error_set(&err, "later"), -1);
    assert_string_equal(err.text, "byte 7");
    assert_int_equal(mkto_error_set(NULL, "nobody listens"), -1);
}

static void longest_text(void **state)
{
    (void)state;
    struct mkto_error err = MKTO_ERROR_INIT;
    mkto_error_set(&err, "%*s", MKTO_ERROR_MAX - 1, "x");
    assert_int_equal(strlen(err.text), MKTO_ERROR_MAX - 1);
    assert_int_equal(err.text[MKTO_ERROR_MAX - 2], 'x');

    struct mkto_error cut = MKTO_ERROR_INIT;
    mkto_error_set(&cut, "%*s", MKTO_ERROR_MAX, "x");
    assert_int_equal(strlen(cut.text), MKTO_ERROR_MAX - 1);
    assert_int_equal(cut.text[MKTO_ERROR_MAX - 2], ' ');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_error_is_kept),
        cmocka_unit_test(longest_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
