#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mkto_status.h"

static bool has(const unsigned char *text, size_t len, const char *words)
{
    return memmem(text, len, words, strlen(words)) != NULL;
}

/* The page names its parts as the servers serve them, and has nothing that its policy forbids. */
static void test_parts(void **state)
{
    (void)state;
    assert_true(has(mkto_status_html, mkto_status_html_len, "href=\"?css\""));
    assert_true(has(mkto_status_html, mkto_status_html_len, "src=\"?js\""));
    assert_false(has(mkto_status_html, mkto_status_html_len, "<style"));
    assert_false(has(mkto_status_html, mkto_status_html_len, " style="));
    assert_false(has(mkto_status_html, mkto_status_html_len, " onload="));
    assert_true(has(mkto_status_js, mkto_status_js_len, "fetch(\"?json\""));
    assert_false(has(mkto_status_js, mkto_status_js_len, "innerHTML"));
    assert_true(mkto_status_css_len > 0 && mkto_status_css[mkto_status_css_len - 1] == '\n');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
