/* mkto_dispatch and calls that are refused as a whole: what it costs to find out why. */
#include "soap_model.h"

#include "mkto_backoff.h"
#include "mkto_verdict.h"

static const char REFUSED[] =
    "{\"requestId\":\"1\",\"success\":false,\"errors\":[{\"code\":\"609\","
    "\"message\":\"Invalid JSON\"}]}";

/* Refuses every call that carries one of them; with none, every call. */
struct poison {
    const char *mark;
    const char *says; /* NULL: REFUSED */
};

static bool has(const struct bench_call *call, const char *text)
{
    return memmem(call->request.body.data, call->request.body.len, text, strlen(text)) != NULL;
}

static int refuses(struct bench *bench, const struct bench_call *call, const char **body,
                   struct mkto_http_answer *answer)
{
    const struct poison *poison = bench->user;

    if (bench_is_sync(call) && (poison->mark == NULL || has(call, poison->mark))) {
        *body = poison->says == NULL ? REFUSED : poison->says;
        return 200;
    }
    return bench_kind(bench, call, body, answer);
}

static void add(struct bench *bench, int from, int count, const char *value)
{
    for (int i = from; i < from + count; i++) {
        char body[128];
        snprintf(body, sizeof(body), "{\"traits\":{\"email\":\"p%d@example.com\",\"x\":\"%s\"}}", i,
                 value);
        bench_event(bench, MKTO_CALL_IDENTIFY, NULL, body);
    }
}

static void begin(struct bench *bench, struct poison *poison)
{
    bench->model = refuses;
    bench->user = poison;
    bench_start(bench);
    bench_bulk(bench);
}

static void test_a_request_that_is_at_fault(void **state)
{
    struct bench *bench = *state;
    struct poison poison = {0};
    begin(bench, &poison);
    add(bench, 0, 300, "fine");
    bench_bulk_end(bench);
    bench_run(bench, 600000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), 300);
    assert_in_range(bench_count(bench, bench_is_sync), 5, 200); /* 599 to ask for each */
}

/* 2 log2(300) calls and a few from elsewhere, wherever the record is. */
static void test_one_record_that_is_at_fault(void **state)
{
    struct bench *bench = *state;
    struct poison poison = {.mark = "poison"};
    begin(bench, &poison);
    add(bench, 0, 1, "poison");
    add(bench, 1, 299, "fine");
    bench_bulk_end(bench);
    bench_run(bench, 600000);
    assert_int_equal(bench_dead(bench), 1);
    assert_int_equal(bench_counter(bench, "delivered"), 299);
    assert_in_range(bench_count(bench, bench_is_sync), 10, 24);
}

/* Bad neighbours are no proof against all the others. */
static void test_many_records_side_by_side(void **state)
{
    struct bench *bench = *state;
    struct poison poison = {.mark = "poison"};
    begin(bench, &poison);
    add(bench, 0, 40, "poison");
    add(bench, 40, 260, "fine");
    bench_bulk_end(bench);
    bench_run(bench, 600000);
    assert_int_equal(bench_dead(bench), 40);
    assert_int_equal(bench_counter(bench, "delivered"), 260);
}

/* Whichever records are asked for alone, all of them may be bad by chance: the good ones arrive. */
static void check_some_bad(struct bench *bench, int count, unsigned bad_of_8, int rounds)
{
    struct poison poison = {.mark = "poison"};
    struct mkto_backoff chance = {.state = 1};
    int bad = 0;
    bench->sub[0].calls_at_once = 1; /* no part is asked before another is answered */
    begin(bench, &poison);
    for (int i = 0; i < rounds * count; i++) {
        const bool is_bad = mkto_backoff_random(&chance, 8) < bad_of_8;
        bad += is_bad ? 1 : 0;
        add(bench, i, 1, is_bad ? "poison" : "fine");
        if (i % count == count - 1) {
            bench_bulk_end(bench);
            bench_run(bench, 3600000);
            bench_bulk(bench);
        }
    }
    bench_bulk_end(bench);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_counter(bench, "delivered"), rounds * count - bad);
    assert_int_equal(bench_dead(bench), bad);
}

static void test_half_of_the_records(void **state)
{
    check_some_bad(*state, 300, 4, 20);
}

static void test_most_of_a_few_records(void **state)
{
    check_some_bad(*state, 8, 6, 100);
}

/* ---- parts of parts ---- */

#define PEOPLE 300

/* A few looks at the clock take a millisecond: a call is put together over many turns. */
static uint64_t slow_mono(void *ctx)
{
    struct bench *bench = ctx;
    static unsigned looks;

    bench->mono += ++looks % 8 == 0 ? 1 : 0;
    return bench->mono;
}

static void who_is_in(const struct bench_call *call, bool in[PEOPLE])
{
    const struct mkto_json *input = mkto_json_get(bench_json(call), "input");

    memset(in, 0, PEOPLE * sizeof(*in));
    for (const struct mkto_json *lead = input->first; lead != NULL; lead = lead->next) {
        in[strtol(mkto_json_string(mkto_json_get(lead, "email")).data + 1, NULL, 10)] = true;
    }
}

/* One within the other, or nobody in both. */
static bool is_part(const bool a[PEOPLE], const bool b[PEOPLE])
{
    bool both = false, only_a = false, only_b = false;

    for (int i = 0; i < PEOPLE; i++) {
        both = both || (a[i] && b[i]);
        only_a = only_a || (a[i] && !b[i]);
        only_b = only_b || (b[i] && !a[i]);
    }
    return !both || !only_a || !only_b;
}

static void test_parts_of_two_calls_are_not_mixed(void **state)
{
    struct bench *bench = *state;
    struct poison poison = {.mark = "poison"};
    static bool in[4 * PEOPLE][PEOPLE];
    bench->clock.mono_ms = slow_mono;
    begin(bench, &poison);
    for (int i = 0; i < PEOPLE; i++) {
        add(bench, i, 1, i % 8 == 0 ? "poison" : "fine");
    }
    bench_bulk_end(bench);
    while (bench_waiting(bench) > 0 || bench_count(bench, bench_is_sync) == 0) {
        if (!mkto_dispatch_turn(bench->dispatch, 2)) {
            bench_advance(bench, 10);
        }
        bench_answer_due(bench); /* also while a call is being put together */
    }
    unsigned calls = bench_count(bench, bench_is_sync);
    assert_in_range(calls, 2, 4 * PEOPLE);
    for (unsigned i = 0; i < calls; i++) {
        who_is_in(bench_nth(bench, bench_is_sync, i), in[i]);
        for (unsigned k = 0; k < i; k++) {
            assert_true(is_part(in[k], in[i]));
        }
    }
}

static void test_merged_events_of_a_bad_request(void **state)
{
    struct bench *bench = *state;
    struct poison poison = {0};
    begin(bench, &poison);
    for (int i = 0; i < 16; i++) {
        add(bench, 0, 20, apr_psprintf(bench->pool, "%d", i));
    }
    bench_bulk_end(bench);
    bench_run(bench, 3600000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), 320);
    assert_in_range(bench_count(bench, bench_is_sync), 5, 320); /* fewer than events */
}

/* A record that Marketo stumbles over, with a code that outages have, too: it is tried as long as
 * these are, and its neighbours do not wait for it. */
static void test_one_record_that_611_is_said_of(void **state)
{
    struct bench *bench = *state;
    struct poison poison = {"poison",
                            "{\"requestId\":\"1\",\"success\":false,\"errors\":[{\"code\":\"611\","
                            "\"message\":\"System error\"}]}"};
    struct mkto_spool_dead dead;
    struct mkto_error err = MKTO_ERROR_INIT;
    begin(bench, &poison);
    add(bench, 0, 1, "poison");
    add(bench, 1, 299, "fine");
    bench_bulk_end(bench);
    bench_run(bench, 1800000); /* nine halvings, each after a longer wait: mostly under 600 s */
    assert_int_equal(bench_counter(bench, "delivered"), 299);
    assert_int_equal(bench_waiting(bench), 1);
    bench_run(bench, 73 * 3600000LL);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(mkto_spool_dead_read(bench->spool, 0, 1, &dead, &err, bench->pool), 1);
    assert_string_equal(dead.reason, "gave_up");
}

/* One lead's events that are all refused: each is asked for about once, however many were merged.
 */
static void test_merged_events_of_one_lead(void **state)
{
    struct bench *bench = *state;
    struct poison poison = {.mark = "poison"};
    begin(bench, &poison);
    for (int i = 0; i < 64; i++) {
        add(bench, 0, 1, apr_psprintf(bench->pool, "poison %d", i));
    }
    bench_bulk_end(bench);
    bench_run(bench, 3600000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), 64);
    assert_in_range(bench_count(bench, bench_is_sync), 64, 80); /* 64 * 7 to begin anew each time */
}

/* The subscription leaves the config while its call is out: no lane stays behind. */
static void test_refused_after_its_subscription_left(void **state)
{
    struct bench *bench = *state;
    struct poison poison = {0};
    struct mkto_config config;
    bench->latency = 1000;
    begin(bench, &poison);
    add(bench, 0, 4, "fine");
    bench_bulk_end(bench);
    while (mkto_dispatch_in_flight(bench->dispatch) == 0 ||
           bench_count(bench, bench_is_sync) == 0) {
        bench_run(bench, 100);
    }
    config = bench->config;
    config.subscription_count = 0;
    mkto_dispatch_reload(bench->dispatch, &config);
    bench_run(bench, 600000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), 4);
}

/* ---- limited tries ---- */

struct tries {
    int code;
    int left; /* how often it is answered */
};

static int refuses_a_while(struct bench *bench, const struct bench_call *call, const char **body,
                           struct mkto_http_answer *answer)
{
    struct tries *tries = bench->user;

    (void)answer;
    if (tries->left > 0) {
        tries->left--;
        *body = soap_fault(call, tries->code, "No");
        return 500;
    }
    *body = soap_answer(call, soap_status(bench, call, NULL));
    return 200;
}

static void check_tries(struct bench *bench, int code, int left, const char *reason)
{
    struct tries tries = {code, left};
    struct mkto_spool_dead dead;
    struct mkto_error err = MKTO_ERROR_INIT;

    bench->sub[0].api = MKTO_API_SOAP;
    bench->model = refuses_a_while;
    bench->user = &tries;
    bench_start(bench);
    add(bench, 0, 1, "fine");
    bench_run(bench, 1800000);
    bench_restart(bench); /* the count is the event's, not the courier's */
    bench_run(bench, 6 * 3600000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), reason == NULL ? 0 : 1);
    if (reason != NULL) {
        assert_int_equal(mkto_spool_dead_read(bench->spool, 0, 1, &dead, &err, bench->pool), 1);
        assert_string_equal(dead.reason, reason);
        assert_int_equal(dead.attempts, left);
    }
}

static void test_20106_twice(void **state)
{
    check_tries(*state, 20106, MKTO_VERDICT_SYNC_TRIES - 1, NULL);
}

static void test_20106_three_times(void **state)
{
    check_tries(*state, 20106, MKTO_VERDICT_SYNC_TRIES, "sync_failed");
}

/* Events that came later than one that is given up have their own tries. */
static void test_tries_of_events_that_came_later(void **state)
{
    struct bench *bench = *state;
    struct tries tries = {20106, 1000000};
    struct mkto_spool_dead dead[100];
    struct mkto_error err = MKTO_ERROR_INIT;

    bench->sub[0].api = MKTO_API_SOAP;
    bench->model = refuses_a_while;
    bench->user = &tries;
    bench_start(bench);
    bench_bulk(bench);
    add(bench, 0, 40, "old");
    bench_bulk_end(bench);
    for (int i = 0; i < 200 && bench_dead(bench) == 0; i++) {
        bench_bulk(bench);
        add(bench, 0, 40, apr_psprintf(bench->pool, "%d", i));
        bench_bulk_end(bench);
        bench_run(bench, 10000);
    }
    int count = mkto_spool_dead_read(bench->spool, 0, 100, dead, &err, bench->pool);
    assert_in_range(count, 1, 100);
    for (int i = 0; i < count; i++) {
        assert_in_range(dead[i].attempts, MKTO_VERDICT_SYNC_TRIES, 100);
    }
}

/* What has no such limit goes on, however often. */
static void test_20011_very_often(void **state)
{
    check_tries(*state, 20011, 15, NULL);
}

/* Marketo says it to all while it is out, too. */
static void test_10001_very_often(void **state)
{
    check_tries(*state, 10001, 15, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_request_that_is_at_fault),
        TEST(test_one_record_that_is_at_fault),
        TEST(test_many_records_side_by_side),
        TEST(test_half_of_the_records),
        TEST(test_most_of_a_few_records),
        TEST(test_parts_of_two_calls_are_not_mixed),
        TEST(test_merged_events_of_a_bad_request),
        TEST(test_one_record_that_611_is_said_of),
        TEST(test_merged_events_of_one_lead),
        TEST(test_refused_after_its_subscription_left),
        TEST(test_20106_twice),
        TEST(test_20106_three_times),
        TEST(test_tries_of_events_that_came_later),
        TEST(test_20011_very_often),
        TEST(test_10001_very_often),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
