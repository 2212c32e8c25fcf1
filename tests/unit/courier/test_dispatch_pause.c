/* mkto_dispatch when Marketo says no: tokens, pauses, backoff, budgets, a spool that fails. */
#include "dispatch_bench.h"

#include "mkto_backoff.h"
#include "mkto_gate.h"

static const char ERROR_BODY[] =
    "{\"requestId\":\"1\",\"success\":false,\"errors\":[{\"code\":\"%d\",\"message\":\"No\"}]}";

/* What the model answers to calls of the lead API while `left` is not used up. */
struct plan {
    int code;   /* Marketo's error code */
    int left;   /* how many calls it is answered to */
    int status; /* of token calls; 0: 200 */
    int visits; /* status of visits; 0: 200 */
    int64_t retry_after_ms;
};

static int by_plan(struct bench *bench, const struct bench_call *call, const char **body,
                   struct mkto_http_answer *answer)
{
    struct plan *plan = bench->user;

    if (bench_is_token(call) && plan->status != 0) {
        *body = "{\"error\":\"unauthorized\",\"error_description\":\"No client\"}";
        return plan->status;
    }
    if (bench_is_visit(call)) {
        answer->retry_after_ms = plan->visits == 0 ? -1 : plan->retry_after_ms;
        return plan->visits == 0 ? 200 : plan->visits;
    }
    if (!bench_is_token(call) && plan->left > 0) {
        plan->left--;
        *body = apr_psprintf(call->pool, ERROR_BODY, plan->code);
        return 200;
    }
    return bench_kind(bench, call, body, answer);
}

static void begin(struct bench *bench, struct plan *plan)
{
    bench->model = by_plan;
    bench->user = plan;
    bench_start(bench);
}

static void some_identify(struct bench *bench)
{
    bench_identify(bench, "ada@example.com", "n", "1", 0);
}

/* ---- the token ---- */

static void test_token_is_renewed_once(void **state)
{
    struct bench *bench = *state;
    struct plan plan = {.code = 602, .left = 1};
    begin(bench, &plan);
    some_identify(bench);
    bench_run(bench, 1200);
    assert_int_equal(bench_count(bench, bench_is_token), 2);
    bench_run(bench, 2000);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    assert_int_equal(bench_counter(bench, "delivered"), 1);
    assert_int_equal(bench_counter(bench, "retried"), 0);
    bench_quiet(bench);
}

static void test_token_refused_twice_is_a_retry(void **state)
{
    struct bench *bench = *state;
    struct plan plan = {.code = 601, .left = 2};
    begin(bench, &plan);
    some_identify(bench);
    bench_run(bench, 5000);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    assert_int_equal(bench_counter(bench, "retried"), 1);
    bench_run(bench, 60000);
    assert_int_equal(bench_counter(bench, "delivered"), 1);
    bench_quiet(bench);
}

static void test_token_ends_before_its_time(void **state)
{
    struct bench *bench = *state;
    struct plan plan = {0};
    begin(bench, &plan);
    some_identify(bench);
    bench_run(bench, 5000);
    bench_run(bench, (3599 - 60 - 10) * 1000);
    bench_identify(bench, "b@example.com", "n", "1", 0);
    bench_run(bench, 3000);
    assert_int_equal(bench_count(bench, bench_is_token), 1);
    bench_run(bench, 20000);
    bench_identify(bench, "c@example.com", "n", "1", 0);
    bench_run(bench, 5000);
    assert_int_equal(bench_count(bench, bench_is_token), 2);
    assert_int_equal(bench_counter(bench, "delivered"), 3);
    bench_quiet(bench);
}

/* The first time it is a kept connection that was closed; after that the API is down. */
static void test_token_that_never_came(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    some_identify(bench);
    bench_run(bench, 1100);
    bench_fail(bench, bench_call(bench, 0), MKTO_TRANSPORT_BROKEN);
    bench_run(bench, 1100);
    assert_int_equal(bench_count(bench, bench_is_token), 2);
    bench_fail(bench, bench_call(bench, 1), MKTO_TRANSPORT_BROKEN);
    bench_run(bench, 29000);
    assert_int_equal(bench_count(bench, bench_is_token), 2);
    assert_int_equal(bench_logged(bench, "MKTO0301"), 1);
    bench->model = bench_kind;
    bench_run(bench, 31000);
    assert_int_equal(bench_counter(bench, "delivered"), 1);
    assert_int_equal(bench_logged(bench, "MKTO0302"), 1);
}

static void test_token_is_asked_for_by_one_call(void **state)
{
    struct bench *bench = *state;
    struct plan plan = {0};
    bench->sub[0].batch_size = 1;
    begin(bench, &plan);
    bench_people(bench, 20);
    bench_run(bench, 10000);
    assert_int_equal(bench_count(bench, bench_is_token), 1);
    assert_int_equal(bench->most, 5);
    bench_quiet(bench);
}

/* ---- pauses ---- */

static void test_rate_pause_spends_no_attempt(void **state)
{
    struct bench *bench = *state;
    struct plan plan = {.code = 606, .left = 1};
    begin(bench, &plan);
    some_identify(bench);
    bench_run(bench, 15000);
    assert_int_equal(bench_count(bench, bench_is_sync), 1);
    bench_run(bench, 10000);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    uint64_t apart =
        bench_nth(bench, bench_is_sync, 1)->at - bench_nth(bench, bench_is_sync, 0)->at;
    assert_true(apart >= 20000 && apart < 21500);
    assert_int_equal(bench_counter(bench, "retried"), 0);
    assert_int_equal(bench_counter(bench, "delivered"), 1);
    assert_int_equal(bench_logged(bench, "MKTO0306"), 1);
    assert_int_equal(bench_logged(bench, "MKTO0301"), 0);
}

static void test_concurrency_pause_is_short(void **state)
{
    struct bench *bench = *state;
    struct plan plan = {.code = 615, .left = 3};
    begin(bench, &plan);
    some_identify(bench);
    bench_run(bench, 10000);
    assert_int_equal(bench_count(bench, bench_is_sync), 4);
    assert_int_equal(bench_counter(bench, "delivered"), 1);
    bench_quiet(bench);
}

static void test_quota_waits_for_midnight_and_visits_go_on(void **state)
{
    struct bench *bench = *state;
    struct plan plan = {.code = 607, .left = 1};
    int64_t reset;
    begin(bench, &plan);
    some_identify(bench);
    bench_run(bench, 5000);
    bench_page(bench, 1, "/");
    bench_run(bench, 5000);
    assert_int_equal(bench_count(bench, bench_is_visit), 1);
    assert_int_equal(bench_waiting(bench), 1);
    (void)mkto_budget_day(bench->wall, &reset);
    const struct mkto_json *pause = mkto_json_get(bench_status(bench), "paused")->first;
    assert_string_equal(mkto_json_string(mkto_json_get(pause, "kind")).data, "quota");
    assert_int_equal(strtoll(mkto_json_get(pause, "until")->text.data, NULL, 10), reset);
    bench_run(bench, (uint64_t)(reset - bench->wall) - 1000);
    assert_int_equal(bench_count(bench, bench_is_sync), 1);
    bench_run(bench, 10000);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    assert_int_equal(bench_counter(bench, "delivered"), 2);
    assert_true(bench_logged(bench, "MKTO0301") >= 2);
    assert_int_equal(bench_logged(bench, "MKTO0302"), 1);
}

static void test_credentials_pause_and_recover(void **state)
{
    struct bench *bench = *state;
    struct plan plan = {.status = 401};
    begin(bench, &plan);
    some_identify(bench);
    bench_run(bench, 3600000);
    const struct mkto_json *pause = mkto_json_get(bench_status(bench), "paused")->first;
    assert_string_equal(mkto_json_string(mkto_json_get(pause, "kind")).data, "credentials");
    assert_int_equal(bench->errors, bench_logged(bench, "MKTO0301"));
    /* 30 s, 60, 120, 240, then every 5 minutes */
    assert_in_range(bench_count(bench, bench_is_token), 12, 17);
    assert_int_equal(bench_count(bench, bench_is_sync), 0);
    assert_in_range(bench_logged(bench, "MKTO0301"), 55, 61);
    assert_int_equal(bench_logged(bench, "credentials"), bench_logged(bench, "MKTO0301"));
    plan.status = 0;
    bench_run(bench, 310000);
    assert_int_equal(bench_counter(bench, "delivered"), 1);
    assert_int_equal(bench_counter(bench, "retried"), 0);
    assert_int_equal(bench_logged(bench, "MKTO0302"), 1);
    assert_int_equal(mkto_json_get(bench_status(bench), "paused")->count, 0);
}

static void test_denied_calls_probe_slower_and_slower(void **state)
{
    struct bench *bench = *state;
    struct plan plan = {.code = 603, .left = 1000};
    begin(bench, &plan);
    bench_people(bench, 10);
    bench_run(bench, 3600000);
    assert_in_range(bench_count(bench, bench_is_sync), 12, 17);
    plan.left = 0;
    bench_run(bench, 310000);
    assert_int_equal(bench_counter(bench, "delivered"), 10);
    assert_int_equal(bench_dead(bench), 0);
}

static void test_secret_that_cannot_be_read(void **state)
{
    struct bench *bench = *state;
    struct plan plan = {0};
    chmod(bench->sub[0].rest_client_secret_file, 0644);
    begin(bench, &plan);
    some_identify(bench);
    bench_run(bench, 10000);
    assert_int_equal(bench->calls->nelts, 0);
    assert_int_equal(bench_logged(bench, "MKTO0301"), 1);
    chmod(bench->sub[0].rest_client_secret_file, 0600);
    bench_run(bench, 60000);
    assert_int_equal(bench_counter(bench, "delivered"), 1);
}

static void test_reload_asks_again(void **state)
{
    struct bench *bench = *state;
    struct plan plan = {.status = 401};
    begin(bench, &plan);
    some_identify(bench);
    bench_run(bench, 3600000);
    plan.status = 0;
    mkto_dispatch_reload(bench->dispatch, &bench->config);
    bench_run(bench, 3000);
    assert_int_equal(bench_counter(bench, "delivered"), 1);
}

/* ---- retries ---- */

static void test_backoff_is_kept_over_a_restart(void **state)
{
    struct bench *bench = *state;
    struct plan plan = {.visits = 503, .retry_after_ms = 600000};
    begin(bench, &plan);
    bench_page(bench, 1, "/");
    bench_run(bench, 1000);
    assert_int_equal(bench_count(bench, bench_is_visit), 1);
    bench_restart(bench);
    bench_run(bench, 590000);
    assert_int_equal(bench_count(bench, bench_is_visit), 1);
    bench_run(bench, 20000);
    assert_int_equal(bench_count(bench, bench_is_visit), 2);
    struct mkto_spool_row row;
    struct mkto_error err = MKTO_ERROR_INIT;
    assert_int_equal(mkto_spool_get(bench->spool, 1, &row, &err, bench->pool), 1);
    assert_true(row.has_retry);
    assert_int_equal(row.retry.attempts, 2);
    assert_int_equal(row.retry.first_ms, BENCH_NOW);
    assert_string_equal(row.retry.answer, "HTTP 503");
}

static void test_give_up_after_retry_for(void **state)
{
    struct bench *bench = *state;
    struct plan plan = {.visits = 503, .retry_after_ms = -1};
    begin(bench, &plan);
    bench_page(bench, 1, "/");
    bench_run(bench, 71 * 3600000ULL);
    assert_int_equal(bench_waiting(bench), 1);
    unsigned tries = bench_count(bench, bench_is_visit);
    assert_in_range(tries, 71 * 4, 71 * 4 * 4);
    bench_run(bench, 2 * 3600000ULL);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_tallied(bench, "dead_by_reason", "gave_up"), 1);
    struct mkto_spool_dead dead;
    struct mkto_error err = MKTO_ERROR_INIT;
    assert_int_equal(mkto_spool_dead_read(bench->spool, 0, 1, &dead, &err, bench->pool), 1);
    assert_string_equal(dead.kind, "visit");
    assert_int_equal(dead.first_ms, BENCH_NOW);
    assert_int_equal(dead.attempts, bench_count(bench, bench_is_visit));
}

static void test_lock_waits_for_30_s(void **state)
{
    struct bench *bench = *state;
    struct plan plan = {.code = 719, .left = 1};
    bench->sub[0].lead_interval_ms = 0;
    begin(bench, &plan);
    some_identify(bench);
    bench_run(bench, 3000);
    assert_int_equal(bench_counter(bench, "retried"), 1);
    bench_run(bench, 60000);
    assert_int_equal(bench_counter(bench, "delivered"), 1);
    bench_quiet(bench);
}

static void test_answer_that_never_came(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    bench_page(bench, 1, "/");
    bench_run(bench, 10);
    bench_fail(bench, bench_call(bench, 0), MKTO_TRANSPORT_TIMEOUT);
    bench->model = bench_kind;
    bench_run(bench, 60000);
    assert_int_equal(bench_count(bench, bench_is_visit), 2);
    assert_int_equal(bench_waiting(bench), 0);
    bench_quiet(bench);
}

static void test_refused_connection_pauses_without_attempts(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    bench_page(bench, 1, "/");
    bench_page(bench, 2, "/");
    bench_run(bench, 10);
    bench_fail(bench, bench_call(bench, 0), MKTO_TRANSPORT_REFUSED);
    bench_fail(bench, bench_call(bench, 1), MKTO_TRANSPORT_REFUSED);
    bench_run(bench, 29000);
    assert_int_equal(bench->calls->nelts, 2);
    bench_run(bench, 2000);
    assert_int_equal(bench->calls->nelts, 3); /* the probe alone */
    bench->model = bench_kind;
    bench_run(bench, 60000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_counter(bench, "retried"), 0);
    assert_int_equal(bench_logged(bench, "MKTO0301"), 1);
    assert_int_equal(bench_logged(bench, "MKTO0302"), 1);
}

/* ---- budgets ---- */

static void test_day_budget_and_its_reserve(void **state)
{
    struct bench *bench = *state;
    struct plan plan = {0};
    bench->sub[0].batch_size = 1;
    bench->sub[0].calls_per_day = 10;
    bench->sub[0].calls_reserve = 4;
    bench->sub[0].calls_at_once = 1;
    begin(bench, &plan);
    for (int i = 0; i < 8; i++) {
        bench_identify(bench, apr_psprintf(bench->pool, "p%d@example.com", i), "n", "1", i + 1);
    }
    bench_run(bench, 600000);
    assert_int_equal(bench_count(bench, bench_is_sync), 7); /* 3 of the shared 6, and the reserve */
    assert_int_equal(bench_count(bench, bench_is_link), 3);
    bench_restart(bench); /* what was spent stays spent */
    for (int i = 8; i < 12; i++) {
        bench_identify(bench, apr_psprintf(bench->pool, "p%d@example.com", i), "n", "1", 0);
    }
    bench_run(bench, 600000);
    assert_int_equal(bench_count(bench, bench_is_sync), 7);
    assert_int_equal(bench_count(bench, bench_is_link), 3);
    bench_run(bench, 24 * 3600000ULL);
    assert_int_equal(bench_count(bench, bench_is_sync), 12);
    assert_in_range(bench_count(bench, bench_is_link), 5, 8);
    bench_run(bench, 48 * 3600000ULL);
    assert_int_equal(bench_count(bench, bench_is_link), 12);
    assert_int_equal(bench_waiting(bench), 0);
    /* named on each day that it was used up, and once more by the courier that began anew */
    assert_in_range(bench_logged(bench, "MKTO0314"), 2, 3);
    assert_int_equal(bench_logged(bench, "the 10 calls of today are used up"), bench->logs->nelts);
}

static unsigned worst_window(struct bench *bench)
{
    unsigned worst = 0;
    for (int i = 0; i < bench->calls->nelts; i++) {
        const struct bench_call *first = bench_call(bench, (unsigned)i);
        unsigned count = 0;
        for (int k = i; k < bench->calls->nelts; k++) {
            const struct bench_call *call = bench_call(bench, (unsigned)k);
            if (call->at < first->at + 20000 && !bench_is_visit(call) && !bench_is_token(call)) {
                count++;
            }
        }
        worst = count > worst ? count : worst;
    }
    return worst;
}

static void test_window_holds_over_restarts(void **state)
{
    struct bench *bench = *state;
    struct plan plan = {0};
    bench->sub[0].batch_size = 1;
    bench->sub[0].calls_per_20s = 10;
    begin(bench, &plan);
    bench_people(bench, 60);
    for (int i = 0; i < 30; i++) {
        bench_run(bench, 2700);
        if (i % 4 == 3) {
            bench_restart(bench);
        }
    }
    bench_run(bench, 1000000);
    assert_true(worst_window(bench) <= 10);
    assert_int_equal(bench_waiting(bench), 0);
    bench_quiet(bench);
}

/* ---- a spool that cannot be written ---- */

static void test_answers_survive_a_failing_commit(void **state)
{
    struct bench *bench = *state;
    struct mkto_error err = MKTO_ERROR_INIT;
    bench_start(bench);
    bench_page(bench, 1, "/one");
    bench_page(bench, 1, "/two");
    bench_run(bench, 10);
    assert_int_equal(bench_count(bench, bench_is_visit), 1);
    /* a transaction that somebody else has open makes begin fail */
    assert_int_equal(mkto_spool_begin(bench->spool, &err), 0);
    bench_answer(bench, bench_call(bench, 0), 200, "OK");
    bench_run(bench, 120000);
    assert_int_equal(bench_count(bench, bench_is_visit), 1);
    assert_in_range(bench_logged(bench, "MKTO0303"), 2, 3);
    mkto_spool_rollback(bench->spool);
    bench->model = bench_kind;
    bench_run(bench, 5000);
    assert_int_equal(bench_count(bench, bench_is_visit), 2);
    assert_non_null(strstr(bench_nth(bench, bench_is_visit, 1)->request.url, "two"));
    assert_int_equal(bench_waiting(bench), 0);
}

/* ---- backoff and gate by themselves ---- */

static void test_backoff_bounds(void **state)
{
    struct mkto_backoff backoff = {42};
    int64_t most = 0;
    (void)state;
    for (unsigned attempts = 0; attempts < 100; attempts++) {
        for (int i = 0; i < 200; i++) {
            int64_t wait = mkto_backoff_next(&backoff, attempts, 0);
            assert_true(wait >= MKTO_BACKOFF_MIN_MS && wait <= MKTO_BACKOFF_MAX_MS);
            assert_true(attempts > 9 || wait <= (int64_t)MKTO_BACKOFF_MIN_MS << attempts);
            most = wait > most ? wait : most;
        }
    }
    assert_true(most > MKTO_BACKOFF_MAX_MS / 10 * 9);
    assert_int_equal(mkto_backoff_next(&backoff, 3, 7200000), 7200000);
    assert_int_equal(mkto_backoff_random(&backoff, 0), 0);
}

static void test_gate_steps(void **state)
{
    struct mkto_gate gate = {0};
    const struct mkto_verdict_decision down = {
        .kind = MKTO_VERDICT_PAUSE, .pause = MKTO_PAUSE_DOWN, .reason = "refused"};
    uint64_t now = 1000;
    int64_t steps[] = {30000, 60000, 120000, 240000, 300000, 300000};
    (void)state;
    assert_int_equal(mkto_gate_when(&gate, now), 0);
    assert_false(mkto_gate_enter(&gate));
    mkto_gate_close(&gate, &down, false, 0, now);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        assert_int_equal(mkto_gate_when(&gate, now), now + (uint64_t)steps[i]);
        mkto_gate_close(&gate, &down, false, 0, now + 5); /* an older call changes nothing */
        now += (uint64_t)steps[i];
        assert_int_equal(mkto_gate_when(&gate, now), now);
        assert_true(mkto_gate_enter(&gate));
        assert_true(mkto_gate_when(&gate, now) == UINT64_MAX);
        mkto_gate_close(&gate, &down, true, 0, now);
    }
    assert_false(mkto_gate_answered(&gate, false));
    assert_false(mkto_gate_expire(&gate, now + 3600000));
    assert_true(mkto_gate_enter(&gate));
    assert_true(mkto_gate_answered(&gate, true));
    assert_int_equal(mkto_gate_when(&gate, now), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_token_is_renewed_once),
        TEST(test_token_refused_twice_is_a_retry),
        TEST(test_token_ends_before_its_time),
        TEST(test_token_that_never_came),
        TEST(test_token_is_asked_for_by_one_call),
        TEST(test_rate_pause_spends_no_attempt),
        TEST(test_concurrency_pause_is_short),
        TEST(test_quota_waits_for_midnight_and_visits_go_on),
        TEST(test_credentials_pause_and_recover),
        TEST(test_denied_calls_probe_slower_and_slower),
        TEST(test_secret_that_cannot_be_read),
        TEST(test_reload_asks_again),
        TEST(test_backoff_is_kept_over_a_restart),
        TEST(test_give_up_after_retry_for),
        TEST(test_lock_waits_for_30_s),
        TEST(test_answer_that_never_came),
        TEST(test_refused_connection_pauses_without_attempts),
        TEST(test_day_budget_and_its_reserve),
        TEST(test_window_holds_over_restarts),
        TEST(test_answers_survive_a_failing_commit),
        cmocka_unit_test(test_backoff_bounds),
        cmocka_unit_test(test_gate_steps),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
