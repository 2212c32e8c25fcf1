/* mkto_dispatch and events that are forgotten while it has them. */
#include "dispatch_bench.h"

/* As mkto_forget does it. Returns false when its lane is in a call. */
static bool forget(struct bench *bench, int64_t id)
{
    struct mkto_spool_row row;
    struct mkto_error err = MKTO_ERROR_INIT;

    assert_int_equal(mkto_spool_get(bench->spool, id, &row, &err, bench->pool), 1);
    if (mkto_dispatch_busy(bench->dispatch, &row)) {
        return false;
    }
    assert_int_equal(mkto_spool_begin(bench->spool, &err), 0);
    assert_int_equal(mkto_spool_done(bench->spool, id, &err), 0);
    assert_int_equal(mkto_spool_commit(bench->spool, &err), 0);
    mkto_dispatch_forget(bench->dispatch, &row);
    return true;
}

static void remove_behind_its_back(struct bench *bench, int64_t id)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    assert_int_equal(mkto_spool_begin(bench->spool, &err), 0);
    assert_int_equal(mkto_spool_done(bench->spool, id, &err), 0);
    assert_int_equal(mkto_spool_commit(bench->spool, &err), 0);
}

static long queued(struct bench *bench, const char *kind)
{
    const struct mkto_json *one = mkto_json_get(mkto_json_get(bench_status(bench), "queue"), kind);
    return strtol(mkto_json_get(one, "events")->text.data, NULL, 10);
}

static long lanes(struct bench *bench)
{
    struct mkto_json *root = NULL;
    struct mkto_slice text = mkto_dispatch_status(bench->dispatch, bench->pool);
    assert_int_equal(mkto_json_parse(text, &root, NULL, bench->pool), 0);
    return strtol(mkto_json_get(root, "lanes")->text.data, NULL, 10);
}

static void a_lead_that_waits(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bench_run(bench, 2000);
    int64_t second = bench_identify(bench, "ada@example.com", "n", "2", 0);
    int64_t third = bench_identify(bench, "ada@example.com", "n", "3", 0);
    int64_t fourth = bench_identify(bench, "ada@example.com", "m", "4", 0);
    bench_run(bench, 100); /* their lane waits for its interval */
    assert_int_equal(queued(bench, "lead"), 3);
    assert_true(forget(bench, third));
    assert_int_equal(queued(bench, "lead"), 2);
    bench_run(bench, 40000);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    const struct mkto_json *lead =
        mkto_json_get(bench_json(bench_nth(bench, bench_is_sync, 1)), "input")->first;
    assert_string_equal(mkto_json_string(mkto_json_get(lead, "n")).data, "2");
    assert_string_equal(mkto_json_string(mkto_json_get(lead, "m")).data, "4");
    assert_int_equal(bench_waiting(bench), 0);
    (void)second;
    (void)fourth;
    bench_quiet(bench);
}

static void all_of_a_lead(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench_start(bench);
    int64_t first = bench_identify(bench, "ada@example.com", "n", "1", 0);
    int64_t second = bench_identify(bench, "ada@example.com", "n", "2", 0);
    bench_run(bench, 100); /* a batch that still fills */
    assert_true(forget(bench, second));
    assert_true(forget(bench, first));
    assert_int_equal(queued(bench, "lead"), 0);
    bench_run(bench, 60000);
    assert_int_equal(bench_count(bench, bench_is_sync), 0);
    assert_int_equal(lanes(bench), 0);
    bench_identify(bench, "ada@example.com", "n", "3", 0);
    bench_run(bench, 60000);
    assert_int_equal(bench_count(bench, bench_is_sync), 1);
    bench_quiet(bench);
}

static void a_call_under_way_is_waited_for(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    int64_t id = bench_identify(bench, "ada@example.com", "n", "1", 0);
    int64_t other = bench_identify(bench, "bob@example.com", "n", "1", 0);
    bench_run(bench, 2000);
    bench_answer(bench, bench_nth(bench, bench_is_token, 0), 200, bench_token());
    bench_run(bench, 2000);
    assert_int_equal(bench_count(bench, bench_is_sync), 1);
    assert_false(forget(bench, id));
    assert_false(forget(bench, other));
    bench_answer(bench, bench_nth(bench, bench_is_sync, 0), 500, "");
    assert_false(forget(bench, id)); /* its answer is not recorded yet */
    bench_run(bench, 100);
    assert_true(forget(bench, id));
    bench->model = bench_kind;
    bench_run(bench, 1000000);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    const struct mkto_json *input =
        mkto_json_get(bench_json(bench_nth(bench, bench_is_sync, 1)), "input");
    assert_int_equal(input->count, 1);
    assert_int_equal(bench_waiting(bench), 0);
    bench_quiet(bench);
}

/* A call that Marketo refused as a whole goes out in halves: until they do, they are only lanes. */
static void a_call_that_is_not_sent_yet_is_undone(void **state)
{
    struct bench *bench = *state;
    int64_t ids[4];
    bench_start(bench);
    for (int i = 0; i < 4; i++) {
        const char *email = apr_psprintf(bench->pool, "p%d@example.com", i);
        ids[i] = bench_identify(bench, email, "n", "1", 0);
    }
    bench_run(bench, 2000);
    bench_answer(bench, bench_nth(bench, bench_is_token, 0), 200, bench_token());
    bench_run(bench, 2000);
    bench_answer(bench, bench_nth(bench, bench_is_sync, 0), 200,
                 "{\"requestId\":\"1\",\"success\":false,\"errors\":[{\"code\":\"609\","
                 "\"message\":\"Invalid JSON\"}]}");
    assert_true(forget(bench, ids[1]));
    bench->model = bench_kind;
    bench_run(bench, 60000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_counter(bench, "delivered"), 3);
}

static void visits_of_a_cookie(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench->sub[0].visits_at_once = 1;
    bench_start(bench);
    bench_page(bench, 1, "/first");
    bench_turn(bench); /* it is under way: nothing else can be sent */
    int64_t one = bench_page(bench, 2, "/?email=ada%40example.com");
    int64_t two = bench_page(bench, 2, "/two");
    bench_turn(bench);
    assert_int_equal(queued(bench, "visit"), 3);
    assert_true(forget(bench, one));
    assert_true(forget(bench, two));
    assert_int_equal(queued(bench, "visit"), 1);
    bench_run(bench, 5000);
    assert_int_equal(bench_count(bench, bench_is_visit), 1);
    assert_int_equal(lanes(bench), 0);
    bench_page(bench, 2, "/three");
    bench_run(bench, 5000);
    assert_int_equal(bench_count(bench, bench_is_visit), 2);
    assert_int_equal(bench_waiting(bench), 0);
    bench_quiet(bench);
}

static void a_link_that_waits(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    int64_t id = bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_run(bench, 2000);
    bench_answer(bench, bench_nth(bench, bench_is_token, 0), 200, bench_token());
    bench_run(bench, 2000);
    struct bench_call *sync = bench_nth(bench, bench_is_sync, 0);
    bench_answer(bench, sync, 200, bench_synced(bench, sync));
    bench_run(bench, 100);
    bench_answer(bench, bench_nth(bench, bench_is_link, 0), 500, "");
    bench_run(bench, 100);
    assert_int_equal(queued(bench, "associate"), 1);
    assert_true(forget(bench, id));
    assert_int_equal(queued(bench, "associate"), 0);
    bench->model = bench_kind;
    bench_run(bench, 1000000);
    assert_int_equal(bench_count(bench, bench_is_link), 1);
    assert_int_equal(lanes(bench), 0);
    bench_quiet(bench);
}

/* An event may leave while it is in a call all the same; what the call says of it is nobody's. */
static void outcomes_of_events_that_are_gone(void **state)
{
    struct bench *bench = *state;
    struct mkto_spool_row row;
    struct mkto_error err = MKTO_ERROR_INIT;
    bench_start(bench);
    int64_t one = bench_identify(bench, "ada@example.com", "n", "1", 0);
    int64_t two = bench_identify(bench, "bob@example.com", "n", "1", 0);
    bench_run(bench, 2000);
    bench_answer(bench, bench_nth(bench, bench_is_token, 0), 200, bench_token());
    bench_run(bench, 2000);
    remove_behind_its_back(bench, one);
    bench_answer(bench, bench_nth(bench, bench_is_sync, 0), 200,
                 "{\"requestId\":\"1\",\"success\":true,\"result\":["
                 "{\"status\":\"skipped\",\"reasons\":[{\"code\":\"1003\",\"message\":\"no\"}]},"
                 "{\"status\":\"skipped\",\"reasons\":[{\"code\":\"1003\",\"message\":\"no\"}]}]}");
    bench_run(bench, 100);
    assert_int_equal(bench_dead(bench), 1);
    assert_int_equal(mkto_spool_get(bench->spool, two, &row, &err, bench->pool), 0);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_logged(bench, "MKTO0303"), 0);
    /* the same with a retry */
    int64_t three = bench_identify(bench, "eve@example.com", "n", "1", 0);
    bench_run(bench, 2000);
    remove_behind_its_back(bench, three);
    bench_answer(bench, bench_nth(bench, bench_is_sync, 1), 500, "");
    bench_run(bench, 100);
    assert_int_equal(bench_logged(bench, "MKTO0303"), 0);
    bench_restart(bench);
    assert_int_equal(bench_waiting(bench), 0);
}

/* What Marketo says is kept without the addresses in it: the call was of many people. */
static void answers_name_nobody(void **state)
{
    struct bench *bench = *state;
    struct mkto_spool_dead row;
    struct mkto_error err = MKTO_ERROR_INIT;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bench_run(bench, 2000);
    bench_answer(bench, bench_nth(bench, bench_is_token, 0), 200, bench_token());
    bench_run(bench, 2000);
    bench_answer(bench, bench_nth(bench, bench_is_sync, 0), 200,
                 "{\"requestId\":\"1\",\"success\":true,\"result\":[{\"status\":\"skipped\","
                 "\"reasons\":[{\"code\":\"1003\",\"message\":\"Value 'bob@example.com' is bad\"}]"
                 "}]}");
    bench_run(bench, 100);
    assert_int_equal(mkto_spool_dead_read(bench->spool, 0, 1, &row, &err, bench->pool), 1);
    assert_string_equal(row.answer, "1003 Value '***************' is bad");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lead_that_waits),
        TEST(all_of_a_lead),
        TEST(a_call_under_way_is_waited_for),
        TEST(a_call_that_is_not_sent_yet_is_undone),
        TEST(visits_of_a_cookie),
        TEST(a_link_that_waits),
        TEST(outcomes_of_events_that_are_gone),
        TEST(answers_name_nobody),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
