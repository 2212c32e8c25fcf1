/* mkto_person and mkto_mask: who is named in a text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <string.h>

#include "mkto_mask.h"
#include "mkto_person.h"

static apr_pool_t *pool;

static bool names(const char *email, const char *text)
{
    struct mkto_person person;
    struct mkto_error err = MKTO_ERROR_INIT;
    if (mkto_person_init(&person, mkto_slice_str(email), &err) != 0) {
        fail_msg("%s: %s", email, err.text);
    }
    return mkto_person_in_text(&person, mkto_slice_str(text), pool);
}

static void addresses(void **state)
{
    static const char *const bad[] = {
        "",        " ", "ada", "@", "ada@", "@example.com", "a da@example.com", "ada@exam\tple.com",
        "ada@\x7f"};
    char longest[MKTO_PERSON_EMAIL_MAX + 2];
    struct mkto_person person;
    struct mkto_error err = MKTO_ERROR_INIT;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(mkto_person_init(&person, mkto_slice_str(bad[i]), &err), -1);
        assert_null(person.email.data);
    }
    assert_int_equal(mkto_person_init(&person, MKTO_SLICE_NONE, NULL), -1);
    assert_int_equal(mkto_person_init(&person, MKTO_SLICE_LIT(" Ada@Example.com\n"), NULL), 0);
    assert_true(mkto_slice_is(person.email, "Ada@Example.com"));
    assert_int_equal(person.at, 3);
    memset(longest, 'a', sizeof(longest));
    longest[1] = '@';
    const struct mkto_slice most = {longest, MKTO_PERSON_EMAIL_MAX};
    const struct mkto_slice more = {longest, MKTO_PERSON_EMAIL_MAX + 1};
    assert_int_equal(mkto_person_init(&person, most, NULL), 0);
    err.text[0] = '\0';
    assert_int_equal(mkto_person_init(&person, more, &err), -1);
    assert_string_equal(err.text, "an e-mail has 320 bytes at most");
}

static void nobody_is_named(void **state)
{
    const struct mkto_person nobody = {.email = MKTO_SLICE_NONE};
    (void)state;
    assert_false(mkto_person_in_text(&nobody, MKTO_SLICE_LIT("a@b"), pool));
}

static void whole_addresses_only(void **state)
{
    static const char *const named[] = {
        "ada@example.com",        "ADA@EXAMPLE.COM",      "{\"email\":\"Ada@example.com\"}",
        "mailto:ada@example.com", "<ada@example.com>",    "to ada@example.com.",
        "ada@example.com-",       "'ada@example.com'",    "x=ada@example.com&y",
        "a@b ada@example.com",    "@ada@example.com",     "bada@example.com,ada@example.com",
        "...ada@example.com",     "ada@example.com, bob", "/ada@example.com/",
    };
    static const char *const not_named[] = {
        "",
        "@",
        "ada@example.co",
        "ada@example",
        "bada@example.com",
        "b.ada@example.com",
        "b+ada@example.com",
        "b-_ada@example.com",
        "ada@example.com.au",
        "ada@example.com-x",
        "ada@example.com1",
        ("\xc3\xa4"
         "ada@example.com"),
        "ada@example.com\xc3\xa4",
        "ada at example.com",
        "ada%example.com",
        "da@example.com",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        if (!names("ada@example.com", named[i])) {
            fail_msg("not found in %s", named[i]);
        }
    }
    for (size_t i = 0; i < sizeof(not_named) / sizeof(not_named[0]); i++) {
        if (names("ada@example.com", not_named[i])) {
            fail_msg("found in %s", not_named[i]);
        }
    }
}

static void encoded_addresses(void **state)
{
    (void)state;
    assert_true(names("ada@example.com", "{\"email\":\"ada\\u0040example.com\"}"));
    assert_true(names("ada@example.com", "\\u0041d\\u0061\\u0040example\\u002ecom"));
    assert_true(names("a/b@example.com", "{\"email\":\"a\\/b@example.com\"}"));
    assert_true(names("ada@example.com", "line\\nada@example.com\\tand"));
    assert_false(names("nada@example.com", "line\\nada@example.com"));
    assert_true(names("\xc3\xa4@example.com", "\\u00e4@example.com"));
    assert_true(names("\xe2\x82\xac@example.com", "\\u20AC@example.com"));
    assert_true(names("\xf0\x9f\x98\x80@example.com", "\\ud83d\\ude00@example.com"));
    assert_false(names("\xf0\x9f\x98\x80@example.com", "\\ud83d\\u0041@example.com"));
    assert_true(names("ada@example.com", "https://x/?email=ada%40example.com&a=1"));
    assert_true(names("ada@example.com", "next=%2Fpage%3Femail%3Dada%2540example.com"));
    assert_true(names("ada@example.com", "%252520ada%252540example.com%252520"));
    assert_false(
        names("ada@example.com", "ada%25252540example.com")); /* once more than is undone */
    assert_true(names("a+b@example.com", "https://x/?e=a%2Bb%40example.com"));
    assert_true(names("ada@example.com", "u=%41DA@example.com"));
    assert_false(names("ada@example.com", "u=%42ada@example.com"));
    assert_true(names("a%41@example.com", "a%41@example.com"));
    assert_true(names("ada@example.com", "% %4 %zz \\u12 \\ ada%40example.com \\"));
    assert_false(names("ada@example.com", "\\"));
    assert_false(names("ada@example.com", "%4"));
    assert_false(names("ada@example.com", "ada\\u004"));
}

static void envelopes(void **state)
{
    struct mkto_person person;
    struct mkto_envelope envelope = {
        .call = MKTO_CALL_PAGE,
        .body = MKTO_SLICE_LIT("{}"),
        .user_agent = MKTO_SLICE_LIT("a"),
    };
    uint8_t out[256];
    (void)state;
    assert_int_equal(mkto_person_init(&person, MKTO_SLICE_LIT("ada@example.com"), NULL), 0);
    assert_false(mkto_person_in_envelope(&person, &envelope, pool));
    envelope.referer = MKTO_SLICE_LIT("https://x/?e=ada%40example.com");
    assert_true(mkto_person_in_envelope(&person, &envelope, pool));
    envelope.referer = MKTO_SLICE_NONE;
    envelope.defaults =
        MKTO_SLICE_LIT("{\"context\":{\"traits\":{\"email\":\"ada@example.com\"}}}");
    assert_true(mkto_person_in_envelope(&person, &envelope, pool));
    const size_t len = mkto_envelope_encode(&envelope, out);
    const struct mkto_slice whole = {(const char *)out, len};
    const struct mkto_slice cut = {(const char *)out, len - 1};
    assert_true(mkto_person_in_event(&person, whole, MKTO_SLICE_NONE, pool));
    assert_true(mkto_person_in_event(&person, cut, MKTO_SLICE_NONE, pool));
    assert_true(mkto_person_in_event(&person, MKTO_SLICE_NONE, cut, pool));
    assert_false(mkto_person_in_event(&person, MKTO_SLICE_NONE, MKTO_SLICE_NONE, pool));
}

static void masked(const char *text, const char *want)
{
    char copy[128];
    memcpy(copy, text, strlen(text) + 1);
    mkto_mask_addresses(copy);
    assert_string_equal(copy, want);
}

static void addresses_are_masked(void **state)
{
    (void)state;
    masked("", "");
    masked("no address", "no address");
    masked("ada@example.com", "***************");
    masked("Lead 'a@b' and <c@d>, e@f.", "Lead '***' and <***>, ****");
    masked("a@b@c x", "***** x");
    masked("@", "*");
    mkto_mask_addresses(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(nobody_is_named),
        cmocka_unit_test(whole_addresses_only),
        cmocka_unit_test(encoded_addresses),
        cmocka_unit_test(envelopes),
        cmocka_unit_test(addresses_are_masked),
    };
    apr_initialize();
    apr_pool_create(&pool, NULL);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    return failed;
}
