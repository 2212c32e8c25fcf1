/* The network of an address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mkto_net.h"

static void test_networks(void **state)
{
    static const struct {
        const char *address;
        const char *network;
        bool loopback;
    } table[] = {
        {"192.0.2.77", "192.0.2.0", false},
        {"255.255.255.255", "255.255.255.0", false},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1::", false},
        {"2001:DB8::1", "2001:db8::", false},
        {"fe80::1%eth0", "fe80::", false},
        {"::ffff:192.0.2.77", "192.0.2.0", false},
        {"127.0.0.1", "127.0.0.0", true},
        {"127.255.1.2", "127.255.1.0", true},
        {"::ffff:127.0.0.1", "127.0.0.0", true},
        {"::1", "::", true},
        {"::", "::", false},
    };
    struct mkto_net net;
    char text[MKTO_NET_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_true(mkto_net_read(mkto_slice_str(table[i].address), &net));
        assert_int_equal(mkto_net_format(&net, text), strlen(table[i].network));
        assert_string_equal(text, table[i].network);
        assert_int_equal(net.loopback, table[i].loopback);
    }
}

static void test_no_addresses(void **state)
{
    static const char *const table[] = {
        "",           "192.0.2", "192.0.2.256",
        "unix:",      "::1::",   "%eth0",
        "1.2.3.4:80", "[::1]",   "2001:db8:1:2:3:4:5:6:7:8:9:a:b:c:d"};
    struct mkto_net net;
    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_false(mkto_net_read(mkto_slice_str(table[i]), &net));
    }
    assert_false(mkto_net_read(MKTO_SLICE_NONE, &net));
    assert_false(mkto_net_read((struct mkto_slice){"1.2.3.4\0x", 9}, &net));
}

static uint64_t key_of(const char *address)
{
    struct mkto_net net;
    assert_true(mkto_net_read(mkto_slice_str(address), &net));
    return mkto_net_key(&net);
}

static void test_keys(void **state)
{
    (void)state;
    assert_true(key_of("192.0.2.1") == key_of("192.0.2.254"));
    assert_true(key_of("192.0.2.1") == key_of("::ffff:192.0.2.9"));
    assert_true(key_of("192.0.2.1") != key_of("192.0.3.1"));
    assert_true(key_of("2001:db8:1::1") == key_of("2001:db8:1:ffff::"));
    assert_true(key_of("2001:db8:1::1") != key_of("2001:db8:2::1"));
    assert_true(key_of("c000:200::") != key_of("192.0.2.0"));
    assert_true(key_of("0.0.0.0") > 0);
    assert_true(key_of("ffff:ffff:ffff::") < UINT64_C(1) << MKTO_NET_KEY_BITS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_no_addresses),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
