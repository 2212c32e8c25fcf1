/* mkto_budget: windows, days, reserve, and what a restart remembers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mkto_budget.h"

#define WALL INT64_C(1790000000000)

static struct mkto_budget budget_of(unsigned window, unsigned at_once, unsigned day,
                                    unsigned reserve)
{
    const struct mkto_budget_limits limits = {window, at_once, day, reserve};
    struct mkto_budget budget;
    mkto_budget_init(&budget, &limits);
    return budget;
}

static void call(struct mkto_budget *budget, uint64_t mono)
{
    mkto_budget_spend(budget, mono, WALL + (int64_t)mono);
    mkto_budget_end(budget);
}

static uint64_t when(struct mkto_budget *budget, uint64_t mono)
{
    return mkto_budget_when(budget, MKTO_BUDGET_IDENTIFY, mono, WALL + (int64_t)mono);
}

static void test_window_edge(void **state)
{
    struct mkto_budget budget = budget_of(3, 5, 1000, 0);
    (void)state;
    call(&budget, 100);
    call(&budget, 200);
    assert_int_equal(when(&budget, 300), 300);
    call(&budget, 300);
    assert_int_equal(when(&budget, 301), 20100);
    assert_int_equal(when(&budget, 20099), 20100);
    assert_true(when(&budget, 20100) <= 20100);
    assert_int_equal(mkto_budget_in_window(&budget, 20099), 3);
    assert_int_equal(mkto_budget_in_window(&budget, 20100), 2);
    call(&budget, 20100);
    assert_int_equal(when(&budget, 20101), 20200);
}

static void test_largest_window(void **state)
{
    struct mkto_budget budget = budget_of(MKTO_BUDGET_WINDOW_MAX + 1, 5, 1000, 0);
    (void)state;
    assert_int_equal(budget.limits.per_window, MKTO_BUDGET_WINDOW_MAX);
    for (uint64_t i = 0; i < MKTO_BUDGET_WINDOW_MAX; i++) {
        assert_true(when(&budget, i + 1) <= i + 1);
        call(&budget, i + 1);
    }
    assert_int_equal(when(&budget, 500), 20001);
}

static void test_no_window_ever_holds_more(void **state)
{
    struct mkto_budget budget = budget_of(7, 100, 100000, 0);
    uint64_t times[2000];
    size_t count = 0;
    (void)state;
    srand(7);
    for (uint64_t now = 1; count < 2000; now += (uint64_t)(rand() % 900)) {
        if (when(&budget, now) <= now) {
            call(&budget, now);
            times[count++] = now;
        }
    }
    for (size_t i = 7; i < count; i++) {
        assert_true(times[i] - times[i - 7] >= MKTO_BUDGET_WINDOW_MS);
    }
}

static void test_at_once(void **state)
{
    struct mkto_budget budget = budget_of(50, 2, 1000, 0);
    (void)state;
    mkto_budget_spend(&budget, 1, WALL);
    assert_true(when(&budget, 2) <= 2);
    mkto_budget_spend(&budget, 2, WALL);
    assert_true(when(&budget, 3) == UINT64_MAX);
    mkto_budget_end(&budget);
    assert_true(when(&budget, 3) <= 3);
}

static void test_day_and_reserve(void **state)
{
    struct mkto_budget budget = budget_of(100, 5, 5, 2);
    int64_t next;
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mkto_budget_when(&budget, MKTO_BUDGET_OTHER, 10, WALL), 10);
        call(&budget, 10);
    }
    (void)mkto_budget_day(WALL, &next);
    assert_int_equal(mkto_budget_when(&budget, MKTO_BUDGET_OTHER, 10, WALL),
                     10 + (uint64_t)(next - WALL));
    call(&budget, 10);
    assert_int_equal(when(&budget, 10), 10);
    call(&budget, 10);
    assert_true(when(&budget, 10) > 10);
    assert_int_equal(mkto_budget_today(&budget, WALL), 5);
    assert_int_equal(mkto_budget_today(&budget, next - 1), 5);
    assert_int_equal(mkto_budget_today(&budget, next), 0);
    assert_int_equal(mkto_budget_when(&budget, MKTO_BUDGET_OTHER, 99999, next), 99999);
    /* a reserve that is larger than the day leaves nothing to others, and does not wrap */
    budget = budget_of(100, 5, 5, 9);
    assert_true(mkto_budget_when(&budget, MKTO_BUDGET_OTHER, 10, WALL) > 10);
    assert_int_equal(when(&budget, 10), 10);
}

/* No calls are given back, and none are withheld for longer than until the next midnight but one.
 */
static void test_clock_that_is_set_back(void **state)
{
    struct mkto_budget budget = budget_of(100, 5, 2, 0);
    const int64_t day = 24 * 3600000;
    int64_t next;
    (void)state;
    call(&budget, 10);
    call(&budget, 10);
    (void)mkto_budget_day(WALL, &next);
    /* across one midnight: the day that was counted goes on until its end */
    assert_true(mkto_budget_when(&budget, MKTO_BUDGET_IDENTIFY, 10, WALL - day) > 10);
    (void)mkto_budget_day(WALL - day, &next);
    assert_true(mkto_budget_when(&budget, MKTO_BUDGET_IDENTIFY, 10, next) > 10);
    (void)mkto_budget_day(WALL, &next);
    assert_int_equal(mkto_budget_when(&budget, MKTO_BUDGET_IDENTIFY, 10, next), 10);
    /* by a month: until the clock's own next midnight */
    int64_t past = WALL - 30 * day;
    (void)mkto_budget_day(past, &next);
    assert_int_equal(mkto_budget_when(&budget, MKTO_BUDGET_IDENTIFY, 10, past),
                     10 + (uint64_t)(next - past));
    assert_int_equal(mkto_budget_today(&budget, past), 2);
    assert_int_equal(mkto_budget_when(&budget, MKTO_BUDGET_IDENTIFY, 10, next), 10);
    mkto_budget_spend(&budget, 10, next);
    assert_int_equal(mkto_budget_today(&budget, next), 1);
}

/* What waited for the disk counts from when it went, not from when it was planned. */
/* Each goes to another day and comes back: no call is given back. */
static void test_clock_that_comes_back(void **state)
{
    const int64_t day = 24 * 3600000;
    const int64_t days[] = {-30, -3, -2, -1, 1, 2, 3, 30};
    (void)state;
    for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
        struct mkto_budget budget = budget_of(100, 5, 1000, 0);
        const int64_t there = WALL + days[i] * day;
        mkto_budget_spend(&budget, 10, WALL - 5 * day);
        for (int calls = 1; calls <= 3; calls++) {
            mkto_budget_spend(&budget, 10, WALL);
        }
        mkto_budget_spend(&budget, 10, there);
        mkto_budget_spend(&budget, 10, there);
        (void)mkto_budget_when(&budget, MKTO_BUDGET_IDENTIFY, 10, WALL);
        assert_int_equal(mkto_budget_today(&budget, WALL), days[i] == 1 ? 2 : 5);
        mkto_budget_spend(&budget, 10, WALL);
        assert_int_equal(mkto_budget_today(&budget, WALL), days[i] == 1 ? 3 : 6);
        /* midnights are counted as before */
        int64_t next;
        (void)mkto_budget_day(WALL + day, &next);
        assert_int_equal(mkto_budget_today(&budget, next), 0);
        mkto_budget_spend(&budget, 10, next);
        assert_int_equal(mkto_budget_today(&budget, next), 1);
    }
}

static void test_clock_that_comes_back_after_a_restart(void **state)
{
    const int64_t day = 24 * 3600000;
    struct mkto_budget budget = budget_of(100, 5, 1000, 0);
    struct mkto_budget again = budget_of(100, 5, 1000, 0);
    char text[MKTO_BUDGET_TEXT_MAX];
    (void)state;
    mkto_budget_spend(&budget, 10, WALL);
    mkto_budget_save(&budget, text);
    mkto_budget_restore(&again, text, 10, WALL - 3 * day);
    mkto_budget_spend(&again, 10, WALL - 3 * day);
    mkto_budget_spend(&again, 10, WALL);
    assert_int_equal(mkto_budget_today(&again, WALL), 3);
}

static void test_held_up(void **state)
{
    struct mkto_budget budget = budget_of(3, 5, 1000, 0);
    (void)state;
    call(&budget, 1000);
    call(&budget, 1000);
    call(&budget, 1000);
    mkto_budget_held_up(&budget, 2, 30000);
    assert_int_equal(mkto_budget_in_window(&budget, 30000), 2);
    assert_true(when(&budget, 30000) <= 30000); /* the first one was not held up */
    call(&budget, 30000);
    assert_int_equal(when(&budget, 30000), 50000);
    mkto_budget_held_up(&budget, 200, 31000);
    assert_int_equal(when(&budget, 31000), 51000);
}

static void test_restart_counts_as_full(void **state)
{
    struct mkto_budget budget = budget_of(3, 5, 1000, 0);
    struct mkto_budget after = budget_of(3, 5, 1000, 0);
    char text[MKTO_BUDGET_TEXT_MAX];
    (void)state;
    mkto_budget_spend(&budget, 100000, WALL);
    mkto_budget_save(&budget, text);
    /* 4 s later, and the monotonic clock began anew */
    mkto_budget_restore(&after, text, 9000, WALL + 4000);
    assert_int_equal(mkto_budget_in_window(&after, 9000), MKTO_BUDGET_WINDOW_MAX);
    assert_int_equal(mkto_budget_when(&after, MKTO_BUDGET_IDENTIFY, 9000, WALL + 4000), 25000);
    assert_int_equal(mkto_budget_today(&after, WALL + 4000), 1);
    /* a window later it is empty */
    after = budget_of(3, 5, 1000, 0);
    mkto_budget_restore(&after, text, 9000, WALL + 20000);
    assert_int_equal(mkto_budget_in_window(&after, 9000), 0);
    /* a clock that was set back: as if the call had just been made */
    after = budget_of(3, 5, 1000, 0);
    mkto_budget_restore(&after, text, 9000, WALL - 86400000 * 3);
    assert_int_equal(mkto_budget_when(&after, MKTO_BUDGET_IDENTIFY, 9000, WALL), 29000);
}

static void test_text_that_is_no_state(void **state)
{
    const char *const texts[] = {NULL, "", "x", "1 2", "-1 2 3", "1 2 0", "1 2 -3"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct mkto_budget budget = budget_of(3, 5, 1000, 0);
        mkto_budget_restore(&budget, texts[i], 10, WALL);
        assert_int_equal(mkto_budget_today(&budget, WALL), 0);
        assert_int_equal(when(&budget, 10), 10);
    }
}

/* Against the time zone database: each day of 40 years, around midnight and around 2:00. */
static void test_day_is_chicagos(void **state)
{
    static const int64_t around[] = {-7200, -3600, -1, 0, 1, 3600, 7199, 7200, 43200};
    (void)state;
    setenv("TZ", "America/Chicago", 1);
    tzset();
    struct tm probe;
    time_t summer = 1783000000;
    localtime_r(&summer, &probe);
    if (probe.tm_gmtoff != -5 * 3600) {
        puts("skipped test_day_is_chicagos: no time zones (tzdata) on this machine");
        skip();
    }
    for (int64_t day = 0; day < 40 * 365; day++) {
        for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
            time_t at = (time_t)(1577858400 + day * 86400 + around[i]); /* 2020-01-01 0:00 CST */
            struct tm here;
            struct tm there;
            int64_t next;
            localtime_r(&at, &here);
            int64_t number = mkto_budget_day((int64_t)at * 1000, &next);
            assert_int_equal(number, ((int64_t)at + here.tm_gmtoff) / 86400);
            time_t after = (time_t)(next / 1000);
            localtime_r(&after, &there);
            assert_int_equal(there.tm_hour * 3600 + there.tm_min * 60 + there.tm_sec, 0);
            assert_int_equal(mkto_budget_day(next, NULL), number + 1);
            assert_int_equal(mkto_budget_day(next - 1, NULL), number);
        }
    }
}

static void test_known_midnights(void **state)
{
    int64_t next;
    (void)state;
    /* 2026-03-08 is 23 hours long, 2026-11-01 is 25 */
    (void)mkto_budget_day(INT64_C(1772949600000), &next); /* 2026-03-08 00:00 CST */
    assert_int_equal(next, INT64_C(1772949600000) + 23 * 3600000);
    (void)mkto_budget_day(INT64_C(1793509200000), &next); /* 2026-11-01 00:00 CDT */
    assert_int_equal(next, INT64_C(1793509200000) + 25 * 3600000);
    (void)mkto_budget_day(-5, &next); /* no clock at all */
    assert_true(next > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_edge),
        cmocka_unit_test(test_largest_window),
        cmocka_unit_test(test_no_window_ever_holds_more),
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_day_and_reserve),
        cmocka_unit_test(test_clock_that_is_set_back),
        cmocka_unit_test(test_clock_that_comes_back),
        cmocka_unit_test(test_clock_that_comes_back_after_a_restart),
        cmocka_unit_test(test_held_up),
        cmocka_unit_test(test_restart_counts_as_full),
        cmocka_unit_test(test_text_that_is_no_state),
        cmocka_unit_test(test_day_is_chicagos),
        cmocka_unit_test(test_known_midnights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
