/* Token buckets, and what happens when there are too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mkto_rate.h"

static int setup(void **state)
{
    *state = mkto_rate_create();
    return *state == NULL;
}

static int teardown(void **state)
{
    mkto_rate_destroy(*state);
    return 0;
}

static void burst_then_rate(void **state)
{
    struct mkto_rate *rate = *state;
    uint64_t now = 5000;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(mkto_rate_take(rate, 1, 5, 10, 1, now), 0);
    }
    assert_int_equal(mkto_rate_take(rate, 1, 5, 10, 1, now), 200);
    assert_int_equal(mkto_rate_take(rate, 1, 5, 10, 1, now + 150), 50);
    assert_int_equal(mkto_rate_take(rate, 1, 5, 10, 1, now + 199), 1);
    assert_int_equal(mkto_rate_take(rate, 1, 5, 10, 1, now + 200), 0);
    assert_int_equal(mkto_rate_take(rate, 2, 5, 10, 1, now + 200), 0); /* another's */
    now += 3600000;
    for (int i = 0; i < 10; i++) { /* no more than burst, however long the rest was */
        assert_int_equal(mkto_rate_take(rate, 1, 5, 10, 1, now), 0);
    }
    assert_int_equal(mkto_rate_take(rate, 1, 5, 10, 1, now), 200);
}

static void a_batch_is_owed(void **state)
{
    struct mkto_rate *rate = *state;
    assert_int_equal(mkto_rate_take(rate, 1, 25, 500, 2500, 0), 0);
    assert_int_equal(mkto_rate_take(rate, 1, 25, 500, 1, 0), (2000 + 1) * 1000 / 25);
    assert_int_equal(mkto_rate_take(rate, 1, 25, 500, 1, 80039), 1);
    assert_int_equal(mkto_rate_take(rate, 1, 25, 500, 1, 80040), 0);
}

static void extremes(void **state)
{
    struct mkto_rate *rate = *state;
    assert_int_equal(mkto_rate_take(rate, 1, 100000, 1000000, 2500, 0), 0);
    assert_int_equal(mkto_rate_take(rate, 1, 100000, 1000000, 1, UINT64_MAX / 2), 0);
    assert_int_equal(mkto_rate_take(rate, 2, 1, 1, 1, 0), 0);
    assert_int_equal(mkto_rate_take(rate, 2, 1, 1, 1, 0), 1000);
}

static void room_for_so_many(void **state)
{
    struct mkto_rate *rate = *state;
    for (uint64_t key = 1; key <= MKTO_RATE_BUCKETS_MAX; key++) {
        assert_int_equal(mkto_rate_take(rate, key, 1, 1, 1, 0), 0);
    }
    assert_int_equal(mkto_rate_count(rate), MKTO_RATE_BUCKETS_MAX);
    assert_int_not_equal(mkto_rate_take(rate, 1, 1, 1, 1, 0), 0); /* used: now the newest */
    assert_int_equal(mkto_rate_take(rate, MKTO_RATE_BUCKETS_MAX + 1, 1, 1, 1, 0), 0);
    assert_int_equal(mkto_rate_count(rate), MKTO_RATE_BUCKETS_MAX);
    assert_int_not_equal(mkto_rate_take(rate, 1, 1, 1, 1, 0), 0);
    assert_int_not_equal(mkto_rate_take(rate, 3, 1, 1, 1, 0), 0);
    assert_int_equal(mkto_rate_take(rate, 2, 1, 1, 1, 0), 0); /* it had made room */
}

static void cleared(void **state)
{
    struct mkto_rate *rate = *state;
    assert_int_equal(mkto_rate_take(rate, 1, 1, 1, 1, 0), 0);
    assert_int_not_equal(mkto_rate_take(rate, 1, 1, 1, 1, 0), 0);
    mkto_rate_clear(rate);
    assert_int_equal(mkto_rate_count(rate), 0);
    assert_int_equal(mkto_rate_take(rate, 1, 1, 1, 1, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(burst_then_rate, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_is_owed, setup, teardown),
        cmocka_unit_test_setup_teardown(extremes, setup, teardown),
        cmocka_unit_test_setup_teardown(room_for_so_many, setup, teardown),
        cmocka_unit_test_setup_teardown(cleared, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
