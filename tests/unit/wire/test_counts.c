#include "wire_test.h"

#include "mkto_counts.h"

static void stops_at_the_end(void **state)
{
    (void)state;
    struct mkto_counts counts = {.any = false};
    mkto_counts_add(&counts, MKTO_SKIP_BOT, 0);
    assert_false(counts.any);
    mkto_counts_add(&counts, MKTO_SKIP_BOT, UINT32_MAX - 1);
    mkto_counts_add(&counts, MKTO_SKIP_BOT, 1);
    assert_int_equal(counts.waiting.of[MKTO_SKIP_BOT], UINT32_MAX);
    mkto_counts_add(&counts, MKTO_SKIP_BOT, 1);
    assert_int_equal(counts.waiting.of[MKTO_SKIP_BOT], UINT32_MAX);
    mkto_counts_tick(&counts, 10, 0);
    struct iovec iov;
    assert_int_equal(mkto_counts_output(&counts, true, &iov), 1);
    mkto_counts_add(&counts, MKTO_SKIP_BOT, 5);
    mkto_counts_rewind(&counts);
    assert_int_equal(counts.waiting.of[MKTO_SKIP_BOT], UINT32_MAX);
}

static void sent_by_the_byte(void **state)
{
    (void)state;
    struct mkto_counts counts = {.any = false};
    struct iovec iov;
    assert_int_equal(mkto_counts_output(&counts, true, &iov), 0);
    assert_int_equal(mkto_counts_sent(&counts, 7), 7);
    mkto_counts_add(&counts, MKTO_SKIP_DNT, 3);
    assert_int_equal(mkto_counts_output(&counts, true, &iov), 0); /* not due */
    mkto_counts_tick(&counts, 10, 0);
    assert_int_equal(mkto_counts_output(&counts, false, &iov), 0);
    assert_int_equal(mkto_counts_output(&counts, true, &iov), 1);
    const size_t len = iov.iov_len;
    for (size_t sent = 0; sent < len; sent++) {
        assert_true(mkto_counts_have_output(&counts));
        assert_int_equal(mkto_counts_output(&counts, false, &iov), 1);
        assert_int_equal(iov.iov_len, len - sent);
        assert_int_equal(mkto_counts_sent(&counts, 1), 0);
    }
    assert_false(mkto_counts_have_output(&counts));
    mkto_counts_add(&counts, MKTO_SKIP_DNT, 1);
    assert_int_equal(mkto_counts_deadline(&counts), 10);
    mkto_counts_tick(&counts, 10, 9);
    assert_false(mkto_counts_have_output(&counts));
    mkto_counts_tick(&counts, 10, 10);
    assert_int_equal(mkto_counts_output(&counts, true, &iov), 1);
    assert_int_equal(mkto_counts_sent(&counts, iov.iov_len + 4), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_at_the_end),
        cmocka_unit_test(sent_by_the_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
