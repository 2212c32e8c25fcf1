/* mkto_dispatch: a lead whose call came to no known end is not "unchanged", and waits its time. */
#include "dispatch_bench.h"

/* The value of n in the last sync. */
static const char *last_told(struct bench *bench)
{
    const struct bench_call *call =
        bench_nth(bench, bench_is_sync, bench_count(bench, bench_is_sync) - 1);
    const struct mkto_json *lead = mkto_json_get(bench_json(call), "input")->first;
    return mkto_json_string(mkto_json_get(lead, "n")).data;
}

static int times_out(struct bench *bench, const struct bench_call *call, const char **body,
                     struct mkto_http_answer *answer)
{
    if (bench_is_sync(call)) {
        answer->result = MKTO_TRANSPORT_TIMEOUT;
        answer->detail = "no answer in time";
        return 0;
    }
    return bench_kind(bench, call, body, answer);
}

static int gateway(struct bench *bench, const struct bench_call *call, const char **body,
                   struct mkto_http_answer *answer)
{
    return bench_is_sync(call) ? 504 : bench_kind(bench, call, body, answer);
}

/* Marketo may have done what it was told: the old value must be told again. */
static void back_to_the_old_value(struct bench *bench, bench_model *model)
{
    bench->model = bench_kind;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bench_run(bench, 40000);
    bench->model = model;
    bench_identify(bench, "ada@example.com", "n", "2", 0);
    bench_run(bench, 1200);
    assert_string_equal(last_told(bench), "2");
    bench->model = bench_kind;
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bench_run(bench, 120000);
    assert_string_equal(last_told(bench), "1");
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_counter(bench, "unchanged"), 0);
    /* and now it is known again */
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bench_run(bench, 40000);
    assert_int_equal(bench_counter(bench, "unchanged"), 1);
}

static void after_a_timeout(void **state)
{
    back_to_the_old_value(*state, times_out);
    bench_quiet(*state);
}

static void after_a_gateways_answer(void **state)
{
    back_to_the_old_value(*state, gateway);
}

static void after_a_crash(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bench_run(bench, 40000);
    bench->model = NULL;
    bench_identify(bench, "ada@example.com", "n", "2", 0);
    bench_run(bench, 1200);
    assert_string_equal(last_told(bench), "2"); /* Marketo does it, and nobody hears of it */
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bench->model = bench_kind;
    bench_restart(bench);
    bench_run(bench, 60000);
    assert_string_equal(last_told(bench), "1");
    assert_int_equal(bench_waiting(bench), 0);
    bench_quiet(bench);
}

/* The first call may still be at work in Marketo: two at once would make two people of one. */
static void a_crash_keeps_the_interval(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bench_run(bench, 100);
    bench_run(bench, 1000);
    bench_answer(bench, bench_nth(bench, bench_is_token, 0), 200, bench_token());
    bench_run(bench, 1000);
    assert_int_equal(bench_count(bench, bench_is_sync), 1);
    uint64_t first = bench_nth(bench, bench_is_sync, 0)->at;
    bench->model = bench_kind;
    bench_restart(bench);
    const struct mkto_json *budget = mkto_json_get(bench_status(bench), "budget");
    assert_string_equal(mkto_json_get(budget, "window_used")->text.data,
                        "50"); /* full, and no more */
    assert_string_equal(mkto_json_get(budget, "window_left")->text.data, "0");
    bench_run(bench, 20000);
    assert_int_equal(bench_count(bench, bench_is_sync), 1);
    bench_run(bench, 20000);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    assert_true(bench_nth(bench, bench_is_sync, 1)->at >= first + 30000);
    assert_int_equal(bench_waiting(bench), 0);
    bench_quiet(bench);
}

/* What one Marketo was told says nothing of another: its lead ids are other people's. */
static void another_marketo_knows_nothing(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_run(bench, 40000);
    assert_int_equal(bench_count(bench, bench_is_link), 1);
    bench->sub[0].munchkin_id = "AAA-BBB-CCC";
    mkto_dispatch_reload(bench->dispatch, &bench->config);
    bench->next_lead_id = 7000;
    bench_event(bench, MKTO_CALL_IDENTIFY,
                "id:AAA-BBB-CCC&token:_mch-example.com-1374552656411-00001",
                "{\"userId\":\"u\",\"traits\":{\"email\":\"ada@example.com\",\"n\":\"1\"}}");
    bench_run(bench, 40000);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    assert_int_equal(bench_count(bench, bench_is_link), 2);
    assert_non_null(strstr(bench_nth(bench, bench_is_link, 1)->request.url, "/7000/associate"));
    assert_int_equal(bench_waiting(bench), 0);
    bench_quiet(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(after_a_timeout, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(after_a_gateways_answer, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(after_a_crash, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(a_crash_keeps_the_interval, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(another_marketo_knows_nothing, bench_setup, bench_teardown),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
