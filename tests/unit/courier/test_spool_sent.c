/* mkto_spool_sent: who was told something a short while ago, mostly without a look into the file.
 */
#include "spool_bench.h"

#include "full_disk.h"

static void put(struct bench *bench, uint64_t lead, int64_t at)
{
    begin(bench);
    assert_int_equal(mkto_spool_sent_put(bench->spool, lead, 1, at, &bench->err), 0);
    commit(bench);
}

static void reopen(struct bench *bench, const char *sql, int64_t now)
{
    mkto_spool_close(bench->spool);
    if (sql != NULL) {
        tamper(bench, sql);
    }
    open_spool(bench, now);
}

/* When the lead was sent, or 0. */
static int64_t since(struct bench *bench, uint64_t lead, int64_t since_ms)
{
    int64_t at = 0;
    return mkto_spool_sent_since(bench->spool, lead, since_ms, &at) ? at : 0;
}

static void says_when(void **state)
{
    struct bench *bench = *state;
    open_spool(bench, NOW);
    assert_int_equal(since(bench, 7, NOW), 0);
    put(bench, 7, NOW);
    assert_int_equal(since(bench, 7, NOW), NOW); /* the edge */
    assert_int_equal(since(bench, 7, NOW + 1), 0);
    assert_int_equal(since(bench, 8, NOW), 0);
    put(bench, 7, NOW + MINUTE);
    assert_int_equal(since(bench, 7, NOW + 1), NOW + MINUTE);
    put(bench, 7, NOW); /* the clock was set back */
    assert_int_equal(since(bench, 7, NOW), NOW);
    assert_int_equal(since(bench, 7, NOW + 1), 0);
}

/* Leads whose hashes end alike share a mark: the file tells them apart. */
static void hashes_that_end_alike(void **state)
{
    struct bench *bench = *state;
    const uint64_t other = 7 + (UINT64_C(1) << 40);
    open_spool(bench, NOW);
    put(bench, 7, NOW);
    assert_int_equal(since(bench, other, NOW), 0);
    put(bench, other, NOW - MINUTE); /* an earlier one hides nothing */
    assert_int_equal(since(bench, 7, NOW), NOW);
    put(bench, other, NOW + 5);
    assert_int_equal(since(bench, 7, NOW), NOW);
    assert_int_equal(since(bench, 7, NOW + 1), 0);
    assert_int_equal(since(bench, other, NOW + 5), NOW + 5);
}

static void over_a_restart(void **state)
{
    struct bench *bench = *state;
    open_spool(bench, NOW);
    put(bench, 7, NOW);
    put(bench, 8, NOW - MINUTE); /* an answer that came late */
    reopen(bench, NULL, NOW + 10);
    assert_int_equal(since(bench, 7, NOW), NOW);
    assert_int_equal(since(bench, 8, NOW - MINUTE), NOW - MINUTE);
    assert_int_equal(since(bench, 8, NOW), 0);
    put(bench, 9, NOW + MINUTE);
    assert_int_equal(since(bench, 7, NOW), NOW);
    assert_int_equal(since(bench, 9, NOW), NOW + MINUTE);
}

/* A row of which the newest time does not know shows that the file is not asked. */
static void asks_the_file_only_when_it_may_know(void **state)
{
    struct bench *bench = *state;
    open_spool(bench, NOW);
    put(bench, 7, NOW);
    reopen(bench, "INSERT INTO sent VALUES (8, 1, 1700000060000)", NOW + 2 * MINUTE);
    assert_int_equal(since(bench, 8, NOW), NOW + MINUTE);
    assert_int_equal(since(bench, 8, NOW + 1), 0);
    put(bench, 9, NOW + 2 * MINUTE);
    assert_int_equal(since(bench, 8, NOW + 1), 0);
}

/* A version that did not write the newest time, or a state that a salvage could not read. */
static void without_the_newest_time(void **state)
{
    struct bench *bench = *state;
    open_spool(bench, NOW);
    put(bench, 7, NOW);
    reopen(bench, "DELETE FROM state", NOW + MINUTE);
    assert_int_equal(since(bench, 7, NOW), NOW);
    reopen(bench, "DELETE FROM sent", NOW + MINUTE);
    assert_int_equal(since(bench, 7, NOW), 0);
    put(bench, 8, NOW + MINUTE);
    reopen(bench, "UPDATE state SET value = 'x'", NOW + MINUTE);
    assert_int_equal(since(bench, 8, NOW + MINUTE), NOW + MINUTE);
}

/* The clock was a day ahead when the last one was sent. */
static void a_newest_time_to_come(void **state)
{
    struct bench *bench = *state;
    open_spool(bench, NOW);
    put(bench, 7, NOW + 24 * 60 * MINUTE);
    reopen(bench, NULL, NOW);
    assert_int_equal(since(bench, 7, NOW - MINUTE), NOW + 24 * 60 * MINUTE);
    assert_int_equal(since(bench, 7, NOW + MINUTE), NOW + 24 * 60 * MINUTE); /* or it was behind */
    put(bench, 8, NOW + MINUTE);
    reopen(bench, NULL, NOW + 2 * MINUTE);
    assert_int_equal(since(bench, 8, NOW + MINUTE), NOW + MINUTE);
    assert_int_equal(since(bench, 7, NOW + MINUTE + 1), 0); /* a lead of the past by now */
}

static void what_was_rolled_back(void **state)
{
    struct bench *bench = *state;
    open_spool(bench, NOW);
    begin(bench);
    mkto_spool_sent_put(bench->spool, 7, 1, NOW, &bench->err);
    assert_int_equal(since(bench, 7, NOW), NOW);
    mkto_spool_rollback(bench->spool);
    assert_int_equal(since(bench, 7, NOW), 0);
}

/* The newest time is of a commit that failed, and of the next one that did not. */
static void a_commit_that_failed(void **state)
{
    struct bench *bench = *state;
    open_spool(bench, NOW);
    put(bench, 7, NOW);
    begin(bench);
    assert_int_equal(mkto_spool_sent_put(bench->spool, 7, 1, NOW + MINUTE, &bench->err), 0);
    const struct rlimit old = full_disk_begin(0);
    const int failed = mkto_spool_commit(bench->spool, &bench->err);
    full_disk_end(old);
    assert_int_equal(failed, -1);
    assert_int_equal(since(bench, 7, NOW), NOW);
    put(bench, 8, NOW + MINUTE);
    reopen(bench, NULL, NOW + 2 * MINUTE);
    assert_int_equal(since(bench, 8, NOW + MINUTE), NOW + MINUTE);
    assert_int_equal(since(bench, 7, NOW + MINUTE), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPOOL_TEST(says_when),
        SPOOL_TEST(hashes_that_end_alike),
        SPOOL_TEST(over_a_restart),
        SPOOL_TEST(asks_the_file_only_when_it_may_know),
        SPOOL_TEST(without_the_newest_time),
        SPOOL_TEST(a_newest_time_to_come),
        SPOOL_TEST(what_was_rolled_back),
        SPOOL_TEST(a_commit_that_failed),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
