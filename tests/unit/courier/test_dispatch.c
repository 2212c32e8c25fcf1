/* mkto_dispatch over REST and Munchkin: lanes, merging, batches, links, restarts. */
#include "dispatch_bench.h"

/* ---- delivery ---- */

static void test_one_identify(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "firstName", "Ada", 1);
    bench_run(bench, 5000);
    assert_int_equal(bench_count(bench, bench_is_token), 1);
    assert_int_equal(bench_count(bench, bench_is_sync), 1);
    assert_int_equal(bench_count(bench, bench_is_link), 1);
    const struct bench_call *sync = bench_nth(bench, bench_is_sync, 0);
    const struct mkto_json *lead = mkto_json_get(bench_json(sync), "input")->first;
    assert_string_equal(mkto_json_string(mkto_json_get(lead, "email")).data, "ada@example.com");
    assert_string_equal(mkto_json_string(mkto_json_get(lead, "firstName")).data, "Ada");
    assert_non_null(strstr(bench_nth(bench, bench_is_link, 0)->request.url,
                           "/rest/v1/leads/100/associate.json?cookie=id%3A561-HYG-937%26token"));
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_counter(bench, "delivered"), 1);
    bench_quiet(bench);
}

static void test_batch_waits_for_age_or_size(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench->sub[0].batch_size = 3;
    bench_start(bench);
    bench_identify(bench, "a@example.com", "x", "1", 0);
    bench_identify(bench, "b@example.com", "x", "1", 0);
    bench_run(bench, 990);
    assert_int_equal(bench_count(bench, bench_is_sync), 0);
    bench_run(bench, 300);
    assert_int_equal(bench_count(bench, bench_is_sync), 1);
    bench_identify(bench, "c@example.com", "x", "1", 0);
    bench_identify(bench, "d@example.com", "x", "1", 0);
    bench_identify(bench, "e@example.com", "x", "1", 0);
    bench_identify(bench, "f@example.com", "x", "1", 0);
    bench_run(bench, 10);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    const struct bench_call *second = bench_nth(bench, bench_is_sync, 1);
    assert_int_equal(mkto_json_get(bench_json(second), "input")->count, 3);
    bench_run(bench, 30000);
    assert_int_equal(bench_waiting(bench), 0);
    bench_quiet(bench);
}

static void test_merge_latest_value_wins(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "plan", "free", 0);
    bench_identify(bench, "ADA@example.com", "city", "London", 0);
    bench_identify(bench, "ada@example.com", "plan", "pro", 0);
    bench_run(bench, 60000);
    assert_int_equal(bench_count(bench, bench_is_sync), 1);
    const struct mkto_json *input =
        mkto_json_get(bench_json(bench_nth(bench, bench_is_sync, 0)), "input");
    assert_int_equal(input->count, 1);
    assert_string_equal(mkto_json_string(mkto_json_get(input->first, "plan")).data, "pro");
    assert_string_equal(mkto_json_string(mkto_json_get(input->first, "city")).data, "London");
    assert_int_equal(bench_counter(bench, "delivered"), 3);
    assert_int_equal(bench_counter(bench, "merged"), 2);
    assert_int_equal(bench_waiting(bench), 0);
    bench_quiet(bench);
}

static void test_interval_between_syncs(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bench_run(bench, 2000);
    bench_identify(bench, "ada@example.com", "n", "2", 0);
    bench_run(bench, 20000);
    assert_int_equal(bench_count(bench, bench_is_sync), 1);
    bench_restart(bench); /* the interval is remembered */
    bench_run(bench, 7000);
    assert_int_equal(bench_count(bench, bench_is_sync), 1);
    bench_run(bench, 5000);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    uint64_t apart =
        bench_nth(bench, bench_is_sync, 1)->at - bench_nth(bench, bench_is_sync, 0)->at;
    assert_true(apart >= 30000 && apart < 32000);
    bench_quiet(bench);
}

/* The last sync is an hour to come: one interval from now, not from then. */
static void test_interval_when_the_clock_is_set_back(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bench_run(bench, 40000);
    bench->wall -= 3600000;
    const uint64_t back = bench->mono;
    bench_identify(bench, "ada@example.com", "n", "2", 0);
    bench_run(bench, 35000);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    assert_in_range(bench_nth(bench, bench_is_sync, 1)->at - back, 30000, 32000);
    bench_quiet(bench);
}

static void test_unchanged_costs_nothing(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bench_run(bench, 40000);
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bench_run(bench, 40000);
    assert_int_equal(bench_count(bench, bench_is_sync), 1);
    assert_int_equal(bench_counter(bench, "unchanged"), 1);
    assert_int_equal(bench_waiting(bench), 0);
    /* the same again with a new cookie is one call, not two */
    unsigned links = bench_count(bench, bench_is_link);
    bench_identify(bench, "ada@example.com", "n", "1", 7);
    bench_run(bench, 40000);
    assert_int_equal(bench_count(bench, bench_is_sync), 1);
    assert_int_equal(bench_count(bench, bench_is_link), links + 1);
    assert_int_equal(bench_waiting(bench), 0);
    /* and after unchanged_for it is told anew */
    bench_run(bench, 24 * 3600000ULL);
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bench_run(bench, 40000);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    bench_quiet(bench);
}

static void test_link_once_also_after_a_restart(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_identify(bench, "ada@example.com", "n", "2", 1);
    bench_identify(bench, "ada@example.com", "n", "3", 2);
    bench_run(bench, 60000);
    assert_int_equal(bench_count(bench, bench_is_link), 2);
    bench_restart(bench);
    bench_identify(bench, "ada@example.com", "n", "4", 1);
    bench_run(bench, 60000);
    assert_int_equal(bench_count(bench, bench_is_link), 2);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    assert_int_equal(bench_waiting(bench), 0);
    bench_quiet(bench);
}

static void test_crash_between_sync_and_link(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_run(bench, 100);
    bench_run(bench, 2000);
    bench_answer(bench, bench_nth(bench, bench_is_token, 0), 200, bench_token());
    bench_run(bench, 2000);
    struct bench_call *sync = bench_nth(bench, bench_is_sync, 0);
    bench_answer(bench, sync, 200, bench_synced(bench, sync));
    bench_run(bench, 1000);
    assert_int_equal(bench_count(bench, bench_is_link), 1); /* sent, never answered */
    bench->model = bench_kind;
    bench_restart(bench);
    bench_run(bench, 40000);
    assert_int_equal(bench_count(bench, bench_is_sync), 1);
    assert_int_equal(bench_count(bench, bench_is_link), 2);
    assert_int_equal(bench_waiting(bench), 0);
    bench_quiet(bench);
}

/* ---- lanes ---- */

static int answers_503_to_slow(struct bench *bench, const struct bench_call *call,
                               const char **body, struct mkto_http_answer *answer)
{
    if (bench_is_visit(call) && strstr(call->request.url, "slow") != NULL) {
        return 503;
    }
    return bench_kind(bench, call, body, answer);
}

static void test_waiting_head_holds_only_its_lane(void **state)
{
    struct bench *bench = *state;
    bench->model = answers_503_to_slow;
    bench_start(bench);
    bench_page(bench, 1, "/slow");
    bench_page(bench, 1, "/after");
    bench_page(bench, 2, "/other");
    bench_run(bench, 30000);
    assert_int_equal(bench_waiting(bench), 2);
    for (int i = 0; i < bench->calls->nelts; i++) {
        assert_null(strstr(bench_call(bench, (unsigned)i)->request.url, "after"));
    }
    bench->model = bench_kind;
    bench_run(bench, 1000000);
    assert_int_equal(bench_waiting(bench), 0);
    const char *last = bench_call(bench, (unsigned)bench->calls->nelts - 1)->request.url;
    assert_non_null(strstr(last, "after"));
    bench_quiet(bench);
}

static void test_visits_in_order_and_at_once(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench->sub[0].visits_at_once = 4;
    bench_start(bench);
    for (int i = 0; i < 30; i++) {
        bench_page(bench, 1 + i % 10, apr_psprintf(bench->pool, "/p%02d", i));
    }
    bench_turn(bench);
    assert_int_equal(bench_count(bench, bench_is_visit), 4);
    bench_run(bench, 10000);
    assert_int_equal(bench_count(bench, bench_is_visit), 30);
    assert_int_equal(bench_waiting(bench), 0);
    int last[10] = {0};
    for (int i = 0; i < bench->calls->nelts; i++) {
        const char *url = bench_call(bench, (unsigned)i)->request.url;
        const char *at = strstr(url, "%2Fp");
        assert_non_null(at);
        int page = atoi(at + 4);
        assert_true(page >= last[page % 10]);
        last[page % 10] = page;
    }
    bench_quiet(bench);
}

/* ---- records ---- */

static int refuses_poison(struct bench *bench, const struct bench_call *call, const char **body,
                          struct mkto_http_answer *answer)
{
    if (bench_is_sync(call) &&
        memmem(call->request.body.data, call->request.body.len, "poison", 6) != NULL) {
        *body = "{\"requestId\":\"1\",\"success\":false,\"errors\":[{\"code\":\"609\","
                "\"message\":\"Invalid JSON\"}]}";
        return 200;
    }
    return bench_kind(bench, call, body, answer);
}

static void test_split_finds_the_poison(void **state)
{
    struct bench *bench = *state;
    bench->model = refuses_poison;
    bench_start(bench);
    for (int i = 0; i < 40; i++) {
        bench_identify(bench, apr_psprintf(bench->pool, "p%d@example.com", i), "x",
                       i == 27 ? "poison" : "fine", 0);
    }
    bench_run(bench, 60000);
    assert_int_equal(bench_dead(bench), 1);
    assert_int_equal(bench_counter(bench, "delivered"), 39);
    assert_int_equal(bench_waiting(bench), 0);
    assert_true(bench_count(bench, bench_is_sync) <= 1 + 2 * 6);
    assert_int_equal(bench_logged(bench, "MKTO0310"), 1);
}

static int skips_poison(struct bench *bench, const struct bench_call *call, const char **body,
                        struct mkto_http_answer *answer)
{
    if (!bench_is_sync(call)) {
        return bench_kind(bench, call, body, answer);
    }
    const struct mkto_json *input = mkto_json_get(bench_json(call), "input");
    const char *out = "{\"requestId\":\"1\",\"success\":true,\"result\":[";
    for (const struct mkto_json *lead = input->first; lead != NULL; lead = lead->next) {
        bool bad = mkto_slice_is(mkto_json_string(mkto_json_get(lead, "x")), "poison");
        out = apr_pstrcat(call->pool, out, lead == input->first ? "" : ",",
                          bad ? "{\"status\":\"skipped\",\"reasons\":[{\"code\":\"1003\","
                                "\"message\":\"Value for ada@example.com is bad\"}]}"
                              : "{\"id\":7,\"status\":\"updated\"}",
                          NULL);
    }
    *body = apr_pstrcat(call->pool, out, "]}", NULL);
    return 200;
}

static void test_poison_among_merged_events(void **state)
{
    struct bench *bench = *state;
    bench->model = skips_poison;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "a", "1", 0);
    bench_identify(bench, "ada@example.com", "b", "2", 0);
    int64_t poison = bench_identify(bench, "ada@example.com", "x", "poison", 0);
    bench_identify(bench, "ada@example.com", "c", "3", 0);
    bench_identify(bench, "bob@example.com", "x", "fine", 0);
    bench_run(bench, 200000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), 1);
    assert_int_equal(bench_counter(bench, "delivered"), 4);
    struct mkto_spool_dead dead;
    struct mkto_error err = MKTO_ERROR_INIT;
    assert_int_equal(mkto_spool_dead_read(bench->spool, 0, 1, &dead, &err, bench->pool), 1);
    assert_string_equal(dead.reason, "invalid_data");
    assert_string_equal(dead.kind, "lead");
    assert_non_null(strstr(dead.answer, "1003"));
    assert_true(dead.attempts >= 1);
    (void)poison;
}

static int knows_no_pants(struct bench *bench, const struct bench_call *call, const char **body,
                          struct mkto_http_answer *answer)
{
    if (bench_is_sync(call) &&
        memmem(call->request.body.data, call->request.body.len, "\"pants\"", 7) != NULL) {
        *body = "{\"requestId\":\"1\",\"success\":false,\"errors\":[{\"code\":\"1006\","
                "\"message\":\"Field 'pants' not found\"}]}";
        return 200;
    }
    return bench_kind(bench, call, body, answer);
}

static void test_strip_once_and_remember(void **state)
{
    struct bench *bench = *state;
    bench->model = knows_no_pants;
    bench_start(bench);
    bench_identify(bench, "a@example.com", "pants", "long", 0);
    bench_identify(bench, "b@example.com", "city", "Rome", 0);
    bench_run(bench, 3000);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    assert_int_equal(bench_counter(bench, "delivered"), 2);
    bench_identify(bench, "c@example.com", "pants", "short", 0);
    bench_run(bench, 3000);
    assert_int_equal(bench_count(bench, bench_is_sync), 3);
    assert_int_equal(bench_counter(bench, "delivered"), 3);
    assert_int_equal(bench_counter(bench, "stripped"), 2);
    assert_int_equal(bench_logged(bench, "MKTO0305"), 1);
    mkto_dispatch_reload(bench->dispatch, &bench->config);
    bench_identify(bench, "d@example.com", "pants", "none", 0);
    bench_run(bench, 30000);
    assert_int_equal(bench_counter(bench, "delivered"), 4);
    assert_int_equal(bench_logged(bench, "MKTO0305"), 2);
    assert_int_equal(bench_dead(bench), 0);
}

/* ---- rows ---- */

static void test_filtered_and_rejected(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench_start(bench);
    bench_event(bench, MKTO_CALL_ALIAS, NULL, "{\"userId\":\"a\",\"previousId\":\"b\"}");
    struct mkto_envelope lost = {.call = MKTO_CALL_PAGE,
                                 .received_ms = bench->wall,
                                 .body = MKTO_SLICE_LIT("{\"userId\":1"),
                                 .request_id = MKTO_SLICE_LIT("r")};
    bench_append(bench, &lost);
    bench_run(bench, 1000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_tallied(bench, "filtered_by_reason", "alias"), 1);
    assert_int_equal(bench_tallied(bench, "dead_by_reason", "bad_event"), 1);
    assert_int_equal(bench_dead(bench), 1);
}

static void test_subscription_leaves_the_config(void **state)
{
    struct bench *bench = *state;
    bench_subscription(bench, &bench->sub[1], "b");
    bench->config.subscription_count = 2;
    bench_start(bench);
    struct mkto_envelope envelope = {
        .call = MKTO_CALL_IDENTIFY,
        .received_ms = bench->wall,
        .subscription = MKTO_SLICE_LIT("b"),
        .request_id = MKTO_SLICE_LIT("r"),
        .body = MKTO_SLICE_LIT("{\"userId\":\"u\",\"traits\":{\"email\":\"x@example.com\"}}")};
    bench_append(bench, &envelope);
    bench_run(bench, 100);
    struct mkto_config one = bench->config;
    one.subscription_count = 1;
    mkto_dispatch_reload(bench->dispatch, &one);
    bench_append(bench, &envelope);
    bench_run(bench, 2000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), 2);
}

static int refuses_for_now(struct bench *bench, const struct bench_call *call, const char **body,
                           struct mkto_http_answer *answer)
{
    if (bench_is_sync(call)) {
        *body = "{\"requestId\":\"1\",\"success\":false,\"errors\":[{\"code\":\"611\","
                "\"message\":\"System error\"}]}";
        return 200;
    }
    return bench_kind(bench, call, body, answer);
}

/* The dead letters of a subscription that left say what was tried before. */
static void test_orphans_keep_their_attempts(void **state)
{
    struct bench *bench = *state;
    struct mkto_config none;
    struct mkto_spool_dead dead;
    struct mkto_error err = MKTO_ERROR_INIT;
    bench->model = refuses_for_now;
    bench_start(bench);
    int64_t first_ms = bench->wall;
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bench_run(bench, 600000);
    assert_int_not_equal(bench_count(bench, bench_is_sync), 0);
    none = bench->config;
    none.subscription_count = 0;
    mkto_dispatch_reload(bench->dispatch, &none);
    bench_run(bench, 24 * 3600000);
    assert_int_equal(mkto_spool_dead_read(bench->spool, 0, 1, &dead, &err, bench->pool), 1);
    assert_string_equal(dead.reason, "no_subscription");
    assert_int_equal(dead.attempts, bench_count(bench, bench_is_sync));
    assert_in_range(dead.first_ms, first_ms, first_ms + 5000);
}

static void test_group_of_a_known_cookie(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_event(bench, MKTO_CALL_GROUP, bench_cookie(bench, 1),
                "{\"anonymousId\":\"a\",\"groupId\":\"g\",\"traits\":{\"name\":\"Acme\"}}");
    bench_event(bench, MKTO_CALL_GROUP, bench_cookie(bench, 2),
                "{\"anonymousId\":\"b\",\"groupId\":\"g\",\"traits\":{\"name\":\"Nobody\"}}");
    bench_run(bench, 120000);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    const struct mkto_json *body = bench_json(bench_nth(bench, bench_is_sync, 1));
    assert_string_equal(mkto_json_string(mkto_json_get(body, "action")).data, "updateOnly");
    assert_string_equal(mkto_json_string(mkto_json_get(body, "lookupField")).data, "id");
    const struct mkto_json *lead = mkto_json_get(body, "input")->first;
    assert_string_equal(mkto_json_get(lead, "id")->text.data, "100");
    assert_string_equal(mkto_json_string(mkto_json_get(lead, "company")).data, "Acme");
    assert_int_equal(bench_waiting(bench), 1); /* the other may still become known */
    bench_run(bench, 300000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_tallied(bench, "filtered_by_reason", "unknown_lead"), 1);
    bench_quiet(bench);
}

/* ---- tail ---- */

static void test_tail_and_no_address_in_it(void **state)
{
    struct bench *bench = *state;
    bench->model = skips_poison;
    bench->tailing = true;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "x", "poison", 0);
    bench_page(bench, 3, "/");
    bench_run(bench, 3000);
    assert_int_equal(bench->tails->nelts, 2);
    const char *visit = APR_ARRAY_IDX(bench->tails, 0, const char *);
    const char *lead = APR_ARRAY_IDX(bench->tails, 1, const char *);
    assert_non_null(strstr(visit, "\"type\":\"visit\""));
    assert_non_null(strstr(lead, "\"verdict\":\"dead\""));
    assert_non_null(strstr(lead, "\"reason\":\"invalid_data\""));
    assert_non_null(strstr(lead, "\"code\":1003"));
    assert_null(strstr(lead, "ada@"));
}

static void test_hold(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench_start(bench);
    mkto_dispatch_hold(bench->dispatch, true);
    bench_page(bench, 1, "/");
    bench_run(bench, 10000);
    assert_int_equal(bench->calls->nelts, 0);
    assert_true(mkto_dispatch_next(bench->dispatch) == UINT64_MAX);
    mkto_dispatch_hold(bench->dispatch, false);
    bench_run(bench, 10000);
    assert_int_equal(bench_waiting(bench), 0);
    bench_quiet(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_identify, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_batch_waits_for_age_or_size, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_merge_latest_value_wins, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_interval_between_syncs, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_interval_when_the_clock_is_set_back, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_unchanged_costs_nothing, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_link_once_also_after_a_restart, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_crash_between_sync_and_link, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_waiting_head_holds_only_its_lane, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_visits_in_order_and_at_once, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_split_finds_the_poison, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_poison_among_merged_events, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_strip_once_and_remember, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_filtered_and_rejected, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_subscription_leaves_the_config, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_orphans_keep_their_attempts, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_group_of_a_known_cookie, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_tail_and_no_address_in_it, bench_setup,
                                        bench_teardown),
        cmocka_unit_test_setup_teardown(test_hold, bench_setup, bench_teardown),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
