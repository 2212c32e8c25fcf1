/* mkto_hash: every vector of the contracts (munchkin A4, SOAP 1.6). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mkto_hash.h"

static void email_vectors(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"fortesting-key-0001", "lead@example.com", "218f23be7219da5437a183a4175f7a7b0ecd5e7c"},
        {"fortesting-key-0001", "Lead@Example.com", "ab3acc125c6f47af57c7ac661086c39053409242"},
        {"fortesting-key-0001", " lead@example.com", "65705f5493a683ac8f9651e9a5eb0002e0247a47"},
        {"k", "o'brien+tag@sub.example.co.uk", "08b534612428acfb0f2ea81395b32a8e2d0d8603"},
        {"Zm9vYmFyYmF6cXV4", "jos\xc3\xa9@example.com", "9d50fb53830489ff629cabd70a47e733dc60439b"},
        {"0123456789abcdef", "a@b.co", "9f114f5330c7019cd00d8c13a6b62cb813795444"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[MKTO_HASH_HEX];
        mkto_hash_email(mkto_slice_str(rows[i][0]), mkto_slice_str(rows[i][1]), out);
        assert_string_equal(out, rows[i][2]);
    }
}

#define DEMO17 "demo17_1_809934544BFABAE58E5D27"
#define DEMO1 "mktows_demo1_0123456789ABCDEF"
#define K10 "kkkkkkkkkk"

static void signature_vectors(void **state)
{
    (void)state;
    static const char *const rows[][4] = {
        {"bigcorp1_461839624B16E06BA2D663", "899756834129871744AAEE88DDCC77CDEEDEC1AAAD66",
         "2010-04-09T14:04:54-07:00", "ffbff4d4bef354807481e66dc7540f7890523a87"},
        {DEMO17, "27272727aa", "2013-08-01T18:22:30-07:00",
         "b5e21953ae9f1b263e644da5eccce9ff33802513"},
        {DEMO17, "27272727aa", "2013-08-05T16:34:19-07:00",
         "9890d974aa58ccb96d7a0a3166573f6436c883dd"},
        {DEMO17, "27272727aa", "2013-08-20T13:32:02-07:00",
         "cdea055214cc726b651dc44ef694e1db4babfcb1"},
        {DEMO1, "0123456789ABCDEF0123456789ABCDEF", "2026-01-02T03:04:05+00:00",
         "76076f22986d648dcdc18cec75df0e812e44a4b0"},
        {DEMO1, "0123456789ABCDEF0123456789ABCDEF", "2026-01-02T03:04:05-08:00",
         "64d8587d486219379581f1ad06ecb5ce1e14db8f"},
        {"u", K10 K10 K10 K10 K10 K10 K10 K10, "2026-01-02T03:04:05+00:00",
         "e40f765a169e75584adc72b257e5b6275c1a0364"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[MKTO_HASH_HEX];
        mkto_hash_signature(mkto_slice_str(rows[i][1]), mkto_slice_str(rows[i][2]),
                            mkto_slice_str(rows[i][0]), out);
        assert_string_equal(out, rows[i][3]);
    }
}

static void parts_are_one_text(void **state)
{
    (void)state;
    char out[MKTO_HASH_HEX];

    mkto_hash_parts(MKTO_SLICE_NONE, MKTO_SLICE_NONE, MKTO_SLICE_NONE, out);
    assert_string_equal(out, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    mkto_hash_parts(MKTO_SLICE_LIT("a"), MKTO_SLICE_LIT("b"), MKTO_SLICE_LIT("c"), out);
    assert_string_equal(out, "a9993e364706816aba3e25717850c26c9cd0d89d");
    mkto_hash_parts(MKTO_SLICE_LIT("abc"), MKTO_SLICE_NONE, MKTO_SLICE_LIT(""), out);
    assert_string_equal(out, "a9993e364706816aba3e25717850c26c9cd0d89d");
}

static void sixty_four_bits_are_the_first(void **state)
{
    (void)state;
    assert_int_equal(mkto_hash_64(MKTO_SLICE_LIT("a"), MKTO_SLICE_LIT("bc")), 0xa9993e364706816a);
    assert_int_equal(mkto_hash_64(MKTO_SLICE_NONE, MKTO_SLICE_NONE), 0xda39a3ee5e6b4b0d);
}

static void empty_key_and_message(void **state)
{
    (void)state;
    char out[MKTO_HASH_HEX];

    mkto_hash_signature(MKTO_SLICE_NONE, MKTO_SLICE_NONE, MKTO_SLICE_NONE, out);
    assert_string_equal(out, "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(email_vectors),         cmocka_unit_test(signature_vectors),
        cmocka_unit_test(parts_are_one_text),    cmocka_unit_test(sixty_four_bits_are_the_first),
        cmocka_unit_test(empty_key_and_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
