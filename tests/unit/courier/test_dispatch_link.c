/* mkto_dispatch and Associate Lead: its share of the calls, and lead ids that Marketo no longer
 * has. */
#include "dispatch_bench.h"

static const char GONE[] = "{\"requestId\":\"1\",\"success\":false,\"errors\":[{\"code\":\"1004\","
                           "\"message\":\"Lead '100' not found\"}]}";
static const char SKIPPED[] =
    "{\"requestId\":\"1\",\"success\":true,\"result\":[{\"status\":\"skipped\",\"reasons\":"
    "[{\"code\":\"1004\",\"message\":\"Lead not found\"}]}]}";

static const char BUSY[] = "{\"requestId\":\"1\",\"success\":false,\"errors\":[{\"code\":\"611\","
                           "\"message\":\"System error\"}]}";

/* A Marketo that merged leads away: it knows none of an id below `first`. */
struct merged {
    long first;
    uint64_t busy_until;    /* for updates by id, and for cookie 2 */
    int64_t retry_after_ms; /* and says so, if it is not 0 */
    unsigned not_found;     /* how often it said so */
};

static long id_of_link(const struct bench_call *call)
{
    return strtol(strstr(call->request.url, "/leads/") + 7, NULL, 10);
}

static bool is_update(const struct bench_call *call)
{
    return bench_is_sync(call) &&
           memmem(call->request.body.data, call->request.body.len, "updateOnly", 10) != NULL;
}

static bool is_upsert(const struct bench_call *call)
{
    return bench_is_sync(call) && !is_update(call);
}

static int merged_away(struct bench *bench, const struct bench_call *call, const char **body,
                       struct mkto_http_answer *answer)
{
    struct merged *merged = bench->user;

    if (bench->mono < merged->busy_until &&
        (is_update(call) || (bench_is_link(call) && strstr(call->request.url, "-00002") != NULL))) {
        answer->retry_after_ms = merged->retry_after_ms == 0 ? -1 : merged->retry_after_ms;
        *body = BUSY;
        return 200;
    }
    if (bench_is_link(call) && id_of_link(call) < merged->first) {
        merged->not_found++;
        *body = GONE;
        return 200;
    }
    if (is_update(call)) {
        const struct mkto_json *lead = mkto_json_get(bench_json(call), "input")->first;
        if (strtol(mkto_json_get(lead, "id")->text.data, NULL, 10) < merged->first) {
            merged->not_found++;
            *body = SKIPPED;
            return 200;
        }
    }
    return bench_kind(bench, call, body, answer);
}

/* Ada comes, and has so many ms. */
static void begin(struct bench *bench, struct merged *merged, uint64_t ms)
{
    bench->model = merged_away;
    bench->user = merged;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_run(bench, ms);
}

static const struct mkto_json *record_of(struct bench *bench, unsigned nth)
{
    return mkto_json_get(bench_json(bench_nth(bench, is_upsert, nth)), "input")->first;
}

static void check_dead(struct bench *bench, const char *kind, const char *reason)
{
    struct mkto_spool_dead dead;
    struct mkto_error err = MKTO_ERROR_INIT;

    assert_int_equal(mkto_spool_dead_read(bench->spool, 0, 1, &dead, &err, bench->pool), 1);
    assert_string_equal(dead.kind, kind);
    assert_string_equal(dead.reason, reason);
    assert_int_not_equal(dead.attempts, 0);
    assert_int_not_equal(dead.first_ms, 0);
}

/* ---- fair shares ---- */

/* So many people come at once, each a call of its own, and have so many ms. */
static void crowd(struct bench *bench, int people, uint64_t ms)
{
    bench->model = bench_kind;
    bench->sub[0].batch_size = 1;
    bench_start(bench);
    bench_people(bench, people);
    bench_run(bench, ms);
}

static void test_links_get_their_share_of_the_slots(void **state)
{
    struct bench *bench = *state;
    bench->latency = 1000;
    bench->sub[0].calls_per_20s = 100;
    crowd(bench, 400, 25000);
    unsigned leads = bench_count(bench, bench_is_sync);
    unsigned links = bench_count(bench, bench_is_link);
    assert_in_range(leads, 45, 65);
    assert_in_range(links, 40, leads);
    bench_quiet(bench);
}

static void test_links_get_their_share_of_the_window(void **state)
{
    struct bench *bench = *state;
    bench->sub[0].calls_per_20s = 10;
    crowd(bench, 200, 100000);
    assert_in_range(bench_count(bench, bench_is_link), 20, 30);
    assert_in_range(bench_count(bench, bench_is_sync), 25, 40);
    bench_quiet(bench);
}

/* The reserve of the day is identify's alone, however many links wait. */
static void test_links_leave_the_reserve(void **state)
{
    struct bench *bench = *state;
    bench->sub[0].calls_per_day = 60;
    bench->sub[0].calls_reserve = 40;
    crowd(bench, 100, 120000);
    assert_in_range(bench_count(bench, bench_is_link), 5, 10);
    assert_int_equal(bench_count(bench, bench_is_link) + bench_count(bench, bench_is_sync), 60);
}

/* ---- lead ids that Marketo no longer has ---- */

static void test_link_learns_the_new_id(void **state)
{
    struct bench *bench = *state;
    struct merged merged = {0};
    begin(bench, &merged, 60000);
    assert_int_equal(id_of_link(bench_nth(bench, bench_is_link, 0)), 100);
    merged.first = bench->next_lead_id = 500;              /* 100 was merged away */
    bench_identify(bench, "ada@example.com", "n", "1", 2); /* unchanged: a link of the known id */
    bench_run(bench, 60000);
    assert_int_equal(merged.not_found, 1);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    assert_int_equal(bench_count(bench, bench_is_link), 3);
    assert_int_equal(id_of_link(bench_nth(bench, bench_is_link, 2)), 500);
    bench_identify(bench, "ada@example.com", "n", "1", 3); /* told anew, and found at once */
    bench_run(bench, 60000);
    assert_true(id_of_link(bench_nth(bench, bench_is_link, 3)) >= 500);
    assert_int_equal(merged.not_found, 1);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), 0);
    assert_int_equal(bench_counter(bench, "delivered"), 2); /* each event once */
    assert_int_equal(bench_counter(bench, "unchanged"), 1);
    bench_quiet(bench);
}

/* What the event said was delivered long ago: to learn the id, its old values are not told again.
 */
static void test_learning_tells_no_old_values(void **state)
{
    struct bench *bench = *state;
    struct merged merged = {0};
    begin(bench, &merged, 60000);
    merged.first = bench->next_lead_id = 500;
    bench_identify(bench, "ada@example.com", "n", "1", 2);
    bench_identify(bench, "ada@example.com", "n", "2", 2);
    bench_run(bench, 1100);
    bench_identify(bench, "ada@example.com", "n", "3", 2);
    bench_run(bench, 120000);
    unsigned last = bench_count(bench, is_upsert) - 1;
    const char *n = "";
    for (unsigned i = 0; i <= last; i++) {
        const struct mkto_json *field = mkto_json_get(record_of(bench, i), "n");
        n = field == NULL ? n : mkto_json_string(field).data;
    }
    assert_string_equal(n, "3");
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), 0);
    bench_quiet(bench);
}

/* The second cookie wants the lead's id while it is asked for already: then its lead is unchanged,
 * and its event was counted when it was delivered. */
static void test_learning_counts_nothing_again(void **state)
{
    struct bench *bench = *state;
    struct merged merged = {
        .first = 101, .busy_until = bench->mono + 20000, .retry_after_ms = 45000};
    bench->model = merged_away;
    bench->user = &merged;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_identify(bench, "ada@example.com", "n", "2", 2);
    bench_run(bench, 20000);
    bench->latency = 40000; /* the lead is synced again after 30 s; the cookie comes in between */
    bench_run(bench, 60000);
    bench->latency = 50;
    bench_run(bench, 600000);
    assert_int_equal(bench_count(bench, is_upsert), 2);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), 0);
    assert_int_equal(bench_counter(bench, "linked"), 2);
    assert_int_equal(bench_counter(bench, "delivered"), 2);
    assert_int_equal(bench_counter(bench, "unchanged"), 0);
    bench_quiet(bench);
}

/* A Marketo that names an id and then denies it gets no endless loop. */
static void test_learning_ends(void **state)
{
    struct bench *bench = *state;
    struct merged merged = {.first = 1000000};
    begin(bench, &merged, 600000);
    assert_int_equal(merged.not_found, 2);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), 1);
    check_dead(bench, "associate", "lead_not_found");
    assert_int_equal(bench_logged(bench, "MKTO0310"), 1);
}

static void test_learning_survives_a_restart(void **state)
{
    struct bench *bench = *state;
    struct merged merged = {.first = 1000000};
    begin(bench, &merged, 5000);
    assert_int_equal(merged.not_found, 1);
    bench_restart(bench);
    bench_run(bench, 600000);
    assert_int_equal(merged.not_found, 2);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    assert_int_equal(bench_dead(bench), 1);
}

static void add_group(struct bench *bench, const char *name)
{
    bench_event(
        bench, MKTO_CALL_GROUP, bench_cookie(bench, 1),
        apr_psprintf(bench->pool,
                     "{\"anonymousId\":\"a\",\"groupId\":\"g\",\"traits\":{\"name\":\"%s\"}}",
                     name));
}

/* An event that only its cookie names waits for whoever is known to have it next. */
static void test_update_learns_the_new_id(void **state)
{
    struct bench *bench = *state;
    struct merged merged = {0};
    begin(bench, &merged, 60000);
    merged.first = bench->next_lead_id = 500;
    add_group(bench, "Acme");
    add_group(bench, "Acme 2");
    bench_run(bench, 60000);
    assert_int_equal(merged.not_found, 1);
    assert_int_equal(bench_waiting(bench), 2);
    bench_identify(bench, "ada@example.com", "n", "2", 1);
    bench_run(bench, 120000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), 0);
    assert_int_equal(merged.not_found, 1);
    const struct mkto_json *lead =
        mkto_json_get(bench_json(bench_nth(bench, is_update, 1)), "input")->first;
    assert_string_equal(mkto_json_get(lead, "id")->text.data, "500");
    assert_string_equal(mkto_json_string(mkto_json_get(lead, "company")).data, "Acme 2");
    bench_quiet(bench);
}

/* It was tried for longer than the lead may take to become known, before Marketo said that it is
 * gone. */
static void test_update_that_was_tried_for_long(void **state)
{
    struct bench *bench = *state;
    struct merged merged = {0};
    bench->model = merged_away;
    bench->user = &merged;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_run(bench, 60000);
    merged.first = bench->next_lead_id = 500;
    merged.busy_until = bench->mono + 900000;
    add_group(bench, "Acme");
    for (int i = 0; i < 3600 && merged.not_found == 0; i++) {
        bench_run(bench, 1000);
    }
    assert_int_equal(merged.not_found, 1);
    bench_run(bench, 200000);
    assert_int_equal(bench_waiting(bench), 1);
    bench_restart(bench); /* since when is the event's */
    bench_run(bench, 60000);
    assert_int_equal(bench_waiting(bench), 1);
    bench_identify(bench, "ada@example.com", "n", "2", 1);
    bench_run(bench, 120000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), 0);
    bench_quiet(bench);
}

static void test_update_whom_nobody_names(void **state)
{
    struct bench *bench = *state;
    struct merged merged = {0};
    begin(bench, &merged, 60000);
    merged.first = 500;
    add_group(bench, "Acme");
    bench_run(bench, 700000);
    assert_int_equal(merged.not_found, 1);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), 1);
    check_dead(bench, "lead", "lead_not_found");
}

/* ---- another Marketo ---- */

static void test_waiting_link_and_another_marketo(void **state)
{
    struct bench *bench = *state;
    struct mkto_config config;
    struct mkto_subscription sub;
    bench->model = bench_kind;
    bench->sub[0].calls_per_day = 2; /* a call for the lead alone */
    bench->sub[0].calls_reserve = 1;
    bench_start(bench);
    bench_identify(bench, "a@example.com", "n", "1", 1);
    bench_run(bench, 2000);
    bench_identify(bench, "ada@example.com", "n", "1", 2);
    bench_run(bench, 60000);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    assert_int_equal(bench_count(bench, bench_is_link), 0);
    assert_int_equal(bench_waiting(bench), 2);

    sub = bench->sub[0];
    sub.munchkin_id = "AAA-BBB-CCC";
    sub.calls_per_day = 10000;
    config = bench->config;
    config.subscriptions = &sub;
    bench->next_lead_id = 900; /* its ids are others */
    mkto_dispatch_reload(bench->dispatch, &config);
    bench_run(bench, 120000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), 0);
    assert_int_not_equal(bench_count(bench, bench_is_link), 0);
    for (unsigned i = 0; i < bench_count(bench, bench_is_link); i++) {
        assert_true(id_of_link(bench_nth(bench, bench_is_link, i)) >= 900);
    }
    /* whole, as it has been told nothing yet */
    assert_non_null(mkto_json_get(record_of(bench, bench_count(bench, is_upsert) - 1), "n"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_links_get_their_share_of_the_slots),
        TEST(test_links_get_their_share_of_the_window),
        TEST(test_links_leave_the_reserve),
        TEST(test_link_learns_the_new_id),
        TEST(test_learning_tells_no_old_values),
        TEST(test_learning_counts_nothing_again),
        TEST(test_learning_ends),
        TEST(test_learning_survives_a_restart),
        TEST(test_update_learns_the_new_id),
        TEST(test_update_that_was_tried_for_long),
        TEST(test_update_whom_nobody_names),
        TEST(test_waiting_link_and_another_marketo),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
