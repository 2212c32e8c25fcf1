/* mkto_json: what is taken, what is refused and at which byte, the limits at their edges. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <stdlib.h>

#include "mkto_json.h"
#include "mkto_utf8.h"

static apr_pool_t *pool;

static int make_pool(void **state)
{
    (void)state;
    apr_pool_create(&pool, NULL);
    return 0;
}

static int drop_pool(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

/* The text lies in memory of exactly its size, so that a sanitizer sees any step beyond it. */
static struct mkto_slice exact(const char *text, size_t len)
{
    char *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(copy);
    memcpy(copy, text, len);
    return (struct mkto_slice){copy, len};
}

static struct mkto_json *taken(const char *text)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_json *root = NULL;
    if (mkto_json_parse(mkto_slice_str(text), &root, &err, pool) != 0) {
        fail_msg("%s: %s", text, err.text);
    }
    return root;
}

static void refused_bytes(const char *text, size_t len, const char *why)
{
    struct mkto_slice input = exact(text, len);
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_json *root = NULL;
    assert_int_equal(mkto_json_parse(input, &root, &err, pool), -1);
    assert_string_equal(err.text, why);
    free((void *)(uintptr_t)input.data);
}

static void refused(const char *text, const char *why)
{
    refused_bytes(text, strlen(text), why);
}

static void test_tree(void **state)
{
    (void)state;
    const char *text = " {\"a\":[1,-2.50e+10,\"x\\n\\u00e9\\ud83d\\ude00\"], \"b\" : {\"c\":null},"
                       "\"d\":true,\"e\":false,\"\":\"\"} ";
    struct mkto_json *root = taken(text);
    assert_int_equal(root->type, MKTO_JSON_OBJECT);
    assert_int_equal(root->count, 5);
    assert_ptr_equal(root->source.data, text + 1);
    assert_int_equal(root->source.len, strlen(text) - 2);

    const struct mkto_json *a = root->first;
    assert_string_equal(a->key.data, "a");
    assert_int_equal(a->type, MKTO_JSON_ARRAY);
    assert_int_equal(a->count, 3);
    assert_null(a->text.data);
    assert_string_equal(a->first->text.data, "1");
    assert_null(a->first->key.data);
    assert_string_equal(a->first->next->text.data, "-2.50e+10");
    assert_string_equal(a->first->next->next->text.data, "x\n\xc3\xa9\xf0\x9f\x98\x80");

    const struct mkto_json *b = mkto_json_get(root, "b");
    assert_true(mkto_slice_is(b->source, "{\"c\":null}"));
    assert_int_equal(mkto_json_get(b, "c")->type, MKTO_JSON_NULL);
    assert_int_equal(mkto_json_get(root, "d")->type, MKTO_JSON_TRUE);
    assert_int_equal(mkto_json_get(root, "e")->type, MKTO_JSON_FALSE);
    assert_int_equal(mkto_json_string(mkto_json_get(root, "")).len, 0);
    assert_non_null(mkto_json_string(mkto_json_get(root, "")).data);
}

static void test_scalars(void **state)
{
    (void)state;
    assert_string_equal(taken("12")->text.data, "12");
    assert_string_equal(taken("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"")->text.data, "\"\\/\b\f\n\r\t");
    assert_string_equal(taken("123456789012345678901234567890.10")->text.data,
                        "123456789012345678901234567890.10");
    assert_int_equal(taken("\t\r\n null ")->type, MKTO_JSON_NULL);
    assert_int_equal(taken("[]")->count, 0);
    assert_int_equal(taken("{}")->count, 0);
}

/* Numbers and strings at the very end of the buffer: the copies must fit. */
static void test_copies_fit(void **state)
{
    (void)state;
    const char *texts[] = {
        "7", "[7]", "\"\"", "\"abc\"", "[\"\",\"\",\"\"]", "[1,2,3,4,5,6,7,8,9]", "{\"\":\"\"}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct mkto_slice input = exact(texts[i], strlen(texts[i]));
        struct mkto_error err = MKTO_ERROR_INIT;
        struct mkto_json *root = NULL;
        assert_int_equal(mkto_json_parse(input, &root, &err, pool), 0);
        assert_string_equal(mkto_json_text(root, pool).data, texts[i]);
        free((void *)(uintptr_t)input.data);
    }
}

static void test_syntax(void **state)
{
    (void)state;
    refused("", "the text ends too soon at byte 0");
    refused("  ", "the text ends too soon at byte 2");
    refused("{", "the text ends too soon at byte 1");
    refused("{\"a\":\"b", "the text ends too soon at byte 7");
    refused("tru", "the text ends too soon at byte 3");
    refused("-", "the text ends too soon at byte 1");
    refused("[\"\\u00", "the text ends too soon at byte 6");
    refused("@", "unexpected character at byte 0");
    refused("[@]", "unexpected character at byte 1");
    refused("{\"a\":1}\x7f", "text after the end of the JSON value at byte 7");
    refused("[.5]", "unexpected character at byte 1");
    refused("/**/1", "unexpected character at byte 0");
    refused("\xef\xbb\xbf{}", "unexpected character at byte 0");
    refused("[\xc3\xa9]", "unexpected character at byte 1");
    refused("[trux]", "unknown word at byte 4");
    refused("[nul]", "unknown word at byte 4");
    refused("]", "unexpected token at byte 0");
    refused("[ }", "unexpected token at byte 2");
    refused("[1, ]", "unexpected token at byte 4");
    refused("{\"a\"::1}", "unexpected token at byte 5");
    refused("{,}", "a key must be a string at byte 1");
    refused("{1:2}", "a key must be a string at byte 1");
    refused("{\"a\":1,,}", "a key must be a string at byte 7");
    refused("{\"a\":1, }", "a key must be a string at byte 8");
    refused("{\"a\" 1}", "expected ':' at byte 5");
    refused("{\"a\"}", "expected ':' at byte 4");
    refused("{\"a\":1 \"b\":2}", "expected ',' or '}' at byte 7");
    refused("{\"a\":\"b\" true}", "expected ',' or '}' at byte 9");
    refused("[1 22]", "expected ',' or ']' at byte 3");
    refused("[01]", "expected ',' or ']' at byte 2");
    refused("[1]x", "text after the end of the JSON value at byte 3");
    refused("[1] [2]", "text after the end of the JSON value at byte 4");
    refused("{} ,", "text after the end of the JSON value at byte 3");
    refused("{}\"", "text after the end of the JSON value at byte 2");
    refused("{} tru", "text after the end of the JSON value at byte 3");
    refused("1 -", "text after the end of the JSON value at byte 2");
    refused("1 2", "text after the end of the JSON value at byte 2");
    refused("[1.]", "malformed number, a digit is required after the decimal point at byte 3");
    refused("[-x]", "malformed number, a digit is required after the minus sign at byte 2");
    refused("[\"a\\qb\"]",
            "inside a string, '\\' occurs before a character which it may not at byte 4");
    refused("[\"a\\u12g4\"]",
            "invalid (non-hex) character occurs after '\\u' inside string at byte 7");
}

static void test_control_and_nul(void **state)
{
    (void)state;
    refused("[\"a\nz\"]", "control character in a string at byte 3");
    refused_bytes("[\"a\0z\"]", 7, "control character in a string at byte 3");
    refused_bytes("{}\0", 3, "text after the end of the JSON value at byte 2");
    refused_bytes("\0", 1, "unexpected character at byte 0");
    refused("[\"a\\u0000\"]", "NUL character at byte 3");
    refused("{\"\\n\\u0000\":1}", "NUL character at byte 4");
    assert_string_equal(taken("\"\\\\u0000\"")->text.data, "\\u0000");
    assert_string_equal(taken("\"\\u0001\\u007f\"")->text.data, "\x01\x7f");
}

static void test_surrogates(void **state)
{
    (void)state;
    refused("[1, \"\\ud800\"]", "half a surrogate pair at byte 5");
    refused("[\"\\udc00\"]", "half a surrogate pair at byte 2");
    refused("[\"\\uD800\\u0041\"]", "half a surrogate pair at byte 2");
    refused("[\"\\uD800\\uD800\\uDC00\"]", "half a surrogate pair at byte 2");
    refused("[\"\\ud83d\\ude00\\udbff\"]", "half a surrogate pair at byte 14");
    refused("{\"\\ud800x\":1}", "half a surrogate pair at byte 2");
    assert_string_equal(taken("\"\\uDBFF\\uDFFF\\ud7ff\\ue000\"")->text.data,
                        "\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80");
}

static void test_utf8(void **state)
{
    (void)state;
    refused("\xff{}", "invalid UTF-8 at byte 0");
    refused("{\"a\":\"\xc3(\"}", "invalid UTF-8 at byte 6");
    refused("[\"\xe2\x82\"]", "invalid UTF-8 at byte 2");
    refused("[\"\xc3\xa9\xe2\x28\xa1\"]", "invalid UTF-8 at byte 4");
    refused("[\"0123456789abcdef\x80\"]", "invalid UTF-8 at byte 18");
    refused("[\"\xc0\x80\"]", "invalid UTF-8 at byte 2");         /* overlong NUL */
    refused("[\"\xe0\x9f\xbf\"]", "invalid UTF-8 at byte 2");     /* overlong */
    refused("[\"\xed\xa0\x80\"]", "invalid UTF-8 at byte 2");     /* surrogate */
    refused("[\"\xf4\x90\x80\x80\"]", "invalid UTF-8 at byte 2"); /* over U+10FFFF */
    refused("[\"\xf5\x80\x80\x80\"]", "invalid UTF-8 at byte 2");
    refused("[1]\xc3", "invalid UTF-8 at byte 3");
    const char *good = "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xef\xbf\xbf\xf0\x90\x80\x80"
                       "\xf4\x8f\xbf\xbf";
    assert_int_equal(mkto_utf8_valid(mkto_slice_str(good)), strlen(good));
    const uint32_t wanted[] = {0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xffff, 0x10000, 0x10ffff};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        uint32_t character;
        good += mkto_utf8_next(good, &character);
        assert_int_equal(character, wanted[i]);
    }
}

static const char *nested(int depth, const char *innermost)
{
    char *text = apr_psprintf(pool, "%s", innermost);
    for (int i = 0; i < depth; i++) {
        text =
            i % 2 == 0 ? apr_psprintf(pool, "[%s]", text) : apr_psprintf(pool, "{\"k\":%s}", text);
    }
    return text;
}

static const char *members(int count)
{
    char *text = "";
    for (int i = 0; i < count; i++) {
        text = apr_psprintf(pool, "%s%s\"k%03d\":%d", text, i == 0 ? "" : ",", i, i);
    }
    return apr_psprintf(pool, "{%s}", text);
}

static void test_depth(void **state)
{
    (void)state;
    taken(nested(MKTO_JSON_DEPTH_MAX, "1"));
    refused(apr_psprintf(pool, "[%s]", nested(MKTO_JSON_DEPTH_MAX, "1")),
            "nested deeper than 16 at byte 48");
    refused("[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "nested deeper than 16 at byte 16");
}

static void test_members(void **state)
{
    (void)state;
    struct mkto_json *root = taken(members(MKTO_JSON_KEYS_MAX));
    assert_int_equal(root->count, 256);
    assert_string_equal(mkto_json_get(root, "k255")->text.data, "255");
    const char *text = members(MKTO_JSON_KEYS_MAX + 1);
    refused(text, apr_psprintf(pool, "more than 256 members at byte %d",
                               (int)(strstr(text, "\"k256\"") - text)));
}

/* A repeated key is found in small objects, at the change to the table, and in large ones; inner
 * objects do not disturb their outer ones' table. */
static void test_repeated_keys(void **state)
{
    (void)state;
    refused("{\"a\":1, \"a\":2}", "repeated key at byte 8");
    refused("{\"a\":1,\"\\u0061\":2}", "repeated key at byte 7");
    taken("{\"a\":1,\"A\":2,\"b\":{\"a\":1}}");
    for (int count = 1; count < 40; count++) {
        const char *all = members(count);
        size_t len = strlen(all) - 1;
        for (int again = 0; again < count; again++) {
            const char *text = apr_psprintf(pool, "%.*s,\"x\":%s,\"k%03d\":0}", (int)len, all,
                                            members(count), again);
            size_t at = strlen(text) - strlen("\"k000\":0}");
            refused(text, apr_psprintf(pool, "repeated key at byte %d", (int)at));
        }
    }
}

static struct mkto_json *list(const char *text, struct mkto_error *err)
{
    struct mkto_json *root = NULL;
    *err = (struct mkto_error)MKTO_ERROR_INIT;
    return mkto_json_parse_list(mkto_slice_str(text), "batch", &root, err, pool) == 0 ? root : NULL;
}

static void test_list(void **state)
{
    (void)state;
    struct mkto_error err;
    const char *deep = nested(MKTO_JSON_DEPTH_MAX, "1");
    const char *text =
        apr_psprintf(pool,
                     "{\"x\":{\"y\":{}},\"batch\":[%s,[%s],{\"a\":1,\"a\":{\"b\":2}},"
                     "{\"a\":[\"\\u0000\",[1,{\"c\":2}]]},\"s\",{\"ok\":%s}],\"z\":1}",
                     deep, deep, "true");
    const struct mkto_json *root = list(text, &err);
    assert_non_null(root);
    const struct mkto_json *item = mkto_json_get(root, "batch")->first;
    assert_null(item->text.data);
    assert_int_equal(item->count, 1);

    item = item->next;
    assert_int_equal(strncmp(item->text.data, "nested deeper than 16 at byte ", 30), 0);
    assert_null(item->first);
    assert_true(mkto_slice_is(item->source, apr_psprintf(pool, "[%s]", deep)));

    item = item->next;
    assert_string_equal(item->text.data, apr_psprintf(pool, "repeated key at byte %d",
                                                      (int)(strstr(text, "\"a\":{\"b\"") - text)));
    assert_int_equal(item->count, 0);
    assert_true(mkto_slice_is(item->source, "{\"a\":1,\"a\":{\"b\":2}}"));

    item = item->next;
    assert_int_equal(strncmp(item->text.data, "NUL character", 13), 0);
    item = item->next;
    assert_string_equal(item->text.data, "s");
    item = item->next;
    assert_null(item->text.data);
    assert_int_equal(mkto_json_get(item, "ok")->type, MKTO_JSON_TRUE);
    assert_null(item->next);
    assert_string_equal(mkto_json_get(root, "z")->text.data, "1");
}

/* Elsewhere a limit holds for the whole; so does syntax everywhere. */
static void test_list_as_a_whole(void **state)
{
    (void)state;
    struct mkto_error err;
    assert_null(list("{\"batch\":[{}],\"x\":{\"a\":{\"b\":1,\"b\":2}}}", &err));
    assert_string_equal(err.text, "repeated key at byte 30");
    assert_null(list("{\"other\":[{\"b\":1,\"b\":2}]}", &err));
    assert_null(list("[[{\"b\":1,\"b\":2}]]", &err));
    assert_null(list("{\"batch\":[{\"a\":1,\"a\":}]}", &err));
    assert_string_equal(err.text, "unexpected token at byte 21");
    char open[140];
    memset(open, '[', sizeof(open) - 1);
    open[sizeof(open) - 1] = '\0';
    assert_null(list(apr_psprintf(pool, "{\"batch\":[%s", open), &err));
    assert_string_equal(err.text, "nested deeper than 16 at byte 136");
}

static void test_find(void **state)
{
    (void)state;
    const struct mkto_json *root =
        taken("{\"First Name\":1,\"first_name\":2,\"LAST-NAME\":3,\"lastName\":4,\"e\":5}");
    assert_string_equal(mkto_json_find(root, "firstName")->text.data, "1");
    assert_string_equal(mkto_json_find(root, "lastName")->text.data, "4");
    assert_null(mkto_json_find(root, "email"));
    assert_null(mkto_json_find(root->first, "email"));
    assert_null(mkto_json_find(NULL, "email"));
    assert_null(mkto_json_get(NULL, "email"));
    assert_null(mkto_json_string(NULL).data);
    assert_null(mkto_json_string(root->first).data);
    assert_true(mkto_json_key_like(MKTO_SLICE_LIT("_e-Mail "), "email"));
    assert_false(mkto_json_key_like(MKTO_SLICE_LIT("emails"), "email"));
    assert_false(mkto_json_key_like(MKTO_SLICE_LIT("emai"), "email"));
    assert_false(mkto_json_key_like(MKTO_SLICE_LIT(""), "email"));
}

static void test_text(void **state)
{
    (void)state;
    const char *compact = "{\"a\":[1,-2.50e+10,\"x\\n\\u0001\xc3\xa9/\"],\"b\":{\"c\":null},"
                          "\"d\":[true,false,{}]}";
    struct mkto_slice text = mkto_json_text(taken(compact), pool);
    assert_string_equal(text.data, compact);
    assert_int_equal(text.len, strlen(compact));
    assert_string_equal(mkto_json_text(taken(" [ 1 , \"\\u00e9\" ] "), pool).data,
                        "[1,\"\xc3\xa9\"]");
    char *many = apr_palloc(pool, 100003);
    memset(many, 'x', 100002);
    many[0] = many[100001] = '"';
    many[100002] = '\0';
    assert_string_equal(mkto_json_text(taken(many), pool).data, many);
}

int main(void)
{
    apr_initialize();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tree, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_scalars, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_copies_fit, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_syntax, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_control_and_nul, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_surrogates, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_utf8, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_depth, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_members, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_repeated_keys, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_list, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_list_as_a_whole, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_find, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_text, make_pool, drop_pool),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
