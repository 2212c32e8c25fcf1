/* mkto_dispatch with more leads than there is room for in memory: visits do not wait behind them.
 */
#include "dispatch_bench.h"

enum { MAX = 400, REACH = 16 * MAX, LEADS = 1000, COOKIES = 7, VISITS = 2000, SEEN = 8000 };

static int leads; /* as many as there were */
static int visits;

static void lead(struct bench *bench)
{
    bench_event(bench, MKTO_CALL_IDENTIFY, NULL,
                apr_psprintf(bench->pool, "{\"traits\":{\"email\":\"p%d@example.com\"}}", leads++));
}

/* Each cookie's are numbered upwards. */
static void visit(struct bench *bench)
{
    bench_event(bench, MKTO_CALL_PAGE, bench_cookie(bench, 1 + visits % COOKIES),
                apr_psprintf(bench->pool,
                             "{\"properties\":{\"url\":\"https://www.example.com/seq-%d-\"}}",
                             visits));
    visits++;
}

static void many(struct bench *bench, int count, void (*event)(struct bench *))
{
    bench_bulk(bench);
    for (int i = 0; i < count; i++) {
        event(bench);
    }
    bench_bulk_end(bench);
}

/* Both kinds mixed. */
static void either(struct bench *bench)
{
    if ((leads + visits) % 3 == 0) {
        visit(bench);
    } else {
        lead(bench);
    }
}

/* Ten leads in 20 s. */
static int setup(void **state)
{
    bench_setup(state);
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench->events_max = MAX;
    bench->sub[0].calls_per_20s = 1;
    bench->sub[0].batch_size = 10;
    leads = visits = 0;
    return 0;
}

static unsigned leads_sent(struct bench *bench)
{
    static bool seen[SEEN];
    unsigned count = 0;
    memset(seen, 0, sizeof(seen));
    for (int i = 0; i < bench->calls->nelts; i++) {
        struct bench_call *call = bench_call(bench, (unsigned)i);
        const struct mkto_json *each =
            bench_is_sync(call) ? mkto_json_get(bench_json(call), "input")->first : NULL;
        for (; each != NULL; each = each->next) {
            const int number = atoi(mkto_json_string(mkto_json_get(each, "email")).data + 1);
            assert_in_range(number, 0, SEEN - 1);
            assert_false(seen[number]);
            seen[number] = true;
            count++;
        }
    }
    return count;
}

/* Each once, and each cookie's in order. */
static unsigned visits_sent(struct bench *bench)
{
    int last[COOKIES];
    unsigned count = 0;
    memset(last, 0xff, sizeof(last));
    for (int i = 0; i < bench->calls->nelts; i++) {
        struct bench_call *call = bench_call(bench, (unsigned)i);
        if (bench_is_visit(call)) {
            const char *seq = strstr(call->request.url, "seq-");
            assert_non_null(seq);
            const int number = atoi(seq + 4);
            assert_int_equal(number, last[number % COOKIES] < 0 ? number % COOKIES
                                                                : last[number % COOKIES] + COOKIES);
            last[number % COOKIES] = number;
            count++;
        }
    }
    return count;
}

static void all_arrive(struct bench *bench)
{
    bench_run(bench, 4 * 3600000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(leads_sent(bench), leads);
    assert_int_equal(visits_sent(bench), visits);
    bench_quiet(bench);
}

static void behind_leads(void **state)
{
    struct bench *bench = *state;
    many(bench, LEADS, lead);
    many(bench, 70, visit);
    bench_start(bench);
    bench_run(bench, 10000);
    assert_int_equal(visits_sent(bench), 70);
    assert_true(leads_sent(bench) <= 10);
    for (int i = 0; i < 20; i++) { /* and those that come now */
        lead(bench);
        visit(bench);
        bench_run(bench, 2000);
        assert_int_equal(visits_sent(bench), visits);
    }
    assert_true(bench_waiting(bench) > LEADS - 50);
    all_arrive(bench);
}

/* The loader comes to what was loaded ahead while some of it still waits. */
static void among_leads(void **state)
{
    struct bench *bench = *state;
    many(bench, 3 * LEADS, either);
    bench_start(bench);
    bench_run(bench, 60000);
    assert_int_equal(visits_sent(bench), visits);
    many(bench, 300, either);
    bench_run(bench, 600000);
    assert_int_equal(visits_sent(bench), visits);
    bench_restart(bench);
    all_arrive(bench);
}

static int in_memory(struct bench *bench)
{
    static const char name[] = "\"in_memory\":";
    const char *status = mkto_dispatch_status(bench->dispatch, bench->pool).data;
    return atoi(strstr(status, name) + strlen(name));
}

/* Visits that wait themselves fill what is left of the memory, and no more. */
static void visits_wait_too(void **state)
{
    struct bench *bench = *state;
    many(bench, LEADS, lead);
    many(bench, VISITS, visit);
    bench->sub[0].visits_at_once = 1;
    bench->latency = 10000;
    bench_start(bench);
    bench_run(bench, 3600000);
    assert_in_range(visits_sent(bench), 300, 370);
    assert_in_range(in_memory(bench), MAX / 2, MAX);
    bench->latency = 50;
    bench->sub[0].visits_at_once = 32;
    all_arrive(bench);
}

/* The loader takes nothing again that was loaded ahead and still waits. */
static void none_is_loaded_twice(void **state)
{
    struct bench *bench = *state;
    many(bench, LEADS, lead);
    many(bench, 250, visit);
    bench->sub[0].visits_at_once = 1;
    bench->latency = 30000;
    bench_start(bench);
    bench_run(bench, 10000);
    assert_true(in_memory(bench) > MAX - 50); /* some are ahead */
    while (leads_sent(bench) < LEADS) {
        bench_run(bench, 60000);
    }
    bench_run(bench, 60000);
    assert_in_range(bench_waiting(bench), 100, 250);
    assert_int_equal(in_memory(bench), bench_waiting(bench));
    all_arrive(bench);
}

/* So far ahead and no further; the others come with the loader. Leads that are so far behind visits
 * that were ahead are not taken for these. */
static void too_far_behind_leads(void **state)
{
    struct bench *bench = *state;
    many(bench, MAX, lead);
    many(bench, 70, visit);
    many(bench, REACH + 100, lead);
    many(bench, 70, visit);
    bench_start(bench);
    bench_run(bench, 10000);
    assert_int_equal(visits_sent(bench), 70);
    uint64_t waited = 0;
    while (visits_sent(bench) < 140 && waited++ < 3600) {
        bench_run(bench, 1000);
    }
    assert_in_range(bench_waiting(bench), REACH - MAX, REACH + MAX);
    many(bench, 70, visit);
    all_arrive(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(behind_leads, setup, bench_teardown),
        cmocka_unit_test_setup_teardown(among_leads, setup, bench_teardown),
        cmocka_unit_test_setup_teardown(visits_wait_too, setup, bench_teardown),
        cmocka_unit_test_setup_teardown(none_is_loaded_twice, setup, bench_teardown),
        cmocka_unit_test_setup_teardown(too_far_behind_leads, setup, bench_teardown),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
