#include "wire_test.h"

#include "mkto_writer.h"

static void folds(void **state)
{
    (void)state;
    assert_true(mkto_slice_is_fold(MKTO_SLICE_LIT("AbC-1"), "aBc-1"));
    assert_true(mkto_slice_is_fold(MKTO_SLICE_NONE, ""));
    assert_false(mkto_slice_is_fold(MKTO_SLICE_LIT("abc"), "ab"));
    assert_false(mkto_slice_is_fold(MKTO_SLICE_LIT("abc"), "abd"));
    assert_false(mkto_slice_is_fold(MKTO_SLICE_LIT("a\r"), "a-"));
    char out[8];
    *mkto_slice_lower(MKTO_SLICE_LIT("AZ@[\xc4z"), out) = '\0';
    assert_string_equal(out, "az@[\xc4z");
}

static void begins(void **state)
{
    (void)state;
    assert_true(mkto_slice_begins_fold(MKTO_SLICE_LIT("HTTPS://x"), "https:"));
    assert_true(mkto_slice_begins_fold(MKTO_SLICE_LIT("tel:"), "tel:"));
    assert_true(mkto_slice_begins_fold(MKTO_SLICE_NONE, ""));
    assert_false(mkto_slice_begins_fold(MKTO_SLICE_LIT("tel"), "tel:"));
    assert_false(mkto_slice_begins_fold(MKTO_SLICE_LIT("xtel:"), "tel:"));
    assert_false(mkto_slice_begins_fold(MKTO_SLICE_NONE, "a"));
}

static void trims(void **state)
{
    (void)state;
    assert_slice(mkto_slice_trim(MKTO_SLICE_LIT(" \ta b\t ")), "a b");
    assert_slice(mkto_slice_trim(MKTO_SLICE_LIT(" \t ")), "");
    assert_slice(mkto_slice_trim(MKTO_SLICE_LIT("\na")), "\na");
    assert_null(mkto_slice_trim(MKTO_SLICE_NONE).data);
}

static void cuts(void **state)
{
    (void)state;
    struct mkto_slice rest = MKTO_SLICE_LIT("a,,b,");
    assert_slice(mkto_slice_cut(&rest, ','), "a");
    assert_slice(mkto_slice_cut(&rest, ','), "");
    assert_slice(mkto_slice_cut(&rest, ','), "b");
    assert_int_equal(rest.len, 0);
    assert_non_null(rest.data);
    assert_slice(mkto_slice_cut(&rest, ','), "");
    assert_null(rest.data);
    assert_null(mkto_slice_cut(&rest, ',').data);
}

static void unquotes(void **state)
{
    (void)state;
    assert_slice(mkto_slice_unquote(MKTO_SLICE_LIT("\"a\"")), "a");
    assert_slice(mkto_slice_unquote(MKTO_SLICE_LIT("\"\"")), "");
    assert_slice(mkto_slice_unquote(MKTO_SLICE_LIT("\"")), "\"");
    assert_slice(mkto_slice_unquote(MKTO_SLICE_LIT("\"a")), "\"a");
    assert_slice(mkto_slice_unquote(MKTO_SLICE_LIT("a\"")), "a\"");
}

/* What each set leaves as it is. */
static void sets(void **state)
{
    (void)state;
    static const struct {
        const struct mkto_writer_set *set;
        const char *plain; /* beside letters and digits */
    } rows[] = {
        {&mkto_writer_url, "!#$%&'()*+,-./:;=?@[]_~"},
        {&mkto_writer_path, "!$%&'()*+,-./:;=@_~"},
        {&mkto_writer_component, "-_.!~*'()"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int c = 0; c < 256; c++) {
            const bool alnum =
                (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
            const bool plain = alnum || (c != 0 && strchr(rows[i].plain, c) != NULL);
            char out[3], want[4];
            const char in = (char)c;
            struct mkto_writer writer = {out, sizeof(out), 0};
            mkto_writer_put_encoded(&writer, (struct mkto_slice){&in, 1}, rows[i].set);
            snprintf(want, sizeof(want), "%%%02X", (unsigned)c);
            assert_int_equal(writer.len, plain ? 1 : 3);
            assert_memory_equal(out, plain ? &in : want, writer.len);
        }
    }
}

static void never_past_the_end(void **state)
{
    (void)state;
    char out[5] = "....";
    struct mkto_writer writer = {out, 3, 0};
    mkto_writer_put(&writer, MKTO_SLICE_LIT("ab"));
    mkto_writer_put(&writer, MKTO_SLICE_NONE);
    mkto_writer_put(&writer, MKTO_SLICE_LIT("cd"));
    mkto_writer_put(&writer, MKTO_SLICE_LIT("e")); /* too late: a gap would not be the text */
    assert_int_equal(writer.len, 5);
    assert_memory_equal(out, "ab..", 4);
    writer = (struct mkto_writer){NULL, 0, 0};
    mkto_writer_put_encoded(&writer, MKTO_SLICE_LIT("a b"), &mkto_writer_url);
    assert_int_equal(writer.len, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folds),
        cmocka_unit_test(begins),
        cmocka_unit_test(trims),
        cmocka_unit_test(cuts),
        cmocka_unit_test(unquotes),
        cmocka_unit_test(sets),
        cmocka_unit_test(never_past_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
