/*
 * mkto_dispatch under load, in simulated time: many identifies of few leads within Marketo's
 * limits, and every mix of answers at random (MKTO_TEST_SEED sets the seed, which is printed).
 */
#include "soap_model.h"

#include <time.h>

/* ---- 100 000 identifies of 1 000 leads in 60 s ---- */

enum { LEADS = 1000, SECONDS = 60, TICKS = 100 };

/* Identifies of a lead; valgrind takes minutes for all of them. */
static int per_lead(void)
{
    return getenv("MKTO_VALGRIND") != NULL ? 10 : 100;
}

struct strict {
    uint64_t last_sync[LEADS];
    unsigned syncs[LEADS];
    unsigned in_time[LEADS]; /* syncs in the first 60 s */
    uint64_t calls[4096];
    unsigned call_count;
    uint64_t began;
};

/* Complains as Marketo does when its limits are not kept. */
static int strict_model(struct bench *bench, const struct bench_call *call, const char **body,
                        struct mkto_http_answer *answer)
{
    struct strict *strict = bench->user;

    if (!bench_is_sync(call)) {
        return bench_kind(bench, call, body, answer);
    }
    const struct mkto_json *input = mkto_json_get(bench_json(call), "input");
    assert_true(input->count <= 300);
    assert_true(strict->call_count < 4096);
    strict->calls[strict->call_count++] = call->at;
    for (const struct mkto_json *lead = input->first; lead != NULL; lead = lead->next) {
        int number = atoi(mkto_json_string(mkto_json_get(lead, "email")).data + 1);
        assert_in_range(number, 0, LEADS - 1);
        if (strict->last_sync[number] != 0) {
            assert_true(call->at - strict->last_sync[number] >= 30000);
        }
        strict->last_sync[number] = call->at;
        strict->syncs[number]++;
        strict->in_time[number] += call->at < strict->began + SECONDS * 1000 ? 1 : 0;
    }
    return bench_kind(bench, call, body, answer);
}

static void test_many_identifies_of_few_leads(void **state)
{
    struct bench *bench = *state;
    static struct strict strict;
    int number = 0;

    bench->user = &strict;
    bench->model = strict_model;
    bench->latency = 700;
    strict.began = bench->mono;
    bench_start(bench);
    for (int tick = 0; tick < TICKS; tick++) {
        bench_bulk(bench);
        for (int i = 0; i < LEADS * per_lead() / TICKS; i++, number++) {
            char body[160];
            snprintf(body, sizeof(body),
                     "{\"anonymousId\":\"a\",\"traits\":{\"email\":\"p%d@example.com\","
                     "\"seq\":%d}}",
                     number * 7 % LEADS, number);
            bench_event(bench, MKTO_CALL_IDENTIFY, bench_cookie(bench, 1 + number * 7 % LEADS),
                        body);
        }
        bench_bulk_end(bench);
        bench_run(bench, SECONDS * 1000 / TICKS);
    }
    bench_run(bench, 600000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_true(bench->most <= 5);
    for (int i = 0; i < LEADS; i++) {
        assert_in_range(strict.in_time[i], 1, 2);
    }
    print_message("%u sync calls for %d identifies, %u links\n", strict.call_count,
                  LEADS * per_lead(), bench_count(bench, bench_is_link));
    /* links share the window */
    uint64_t window[51] = {0};
    unsigned at = 0;
    for (int i = 0; i < bench->calls->nelts; i++) {
        const struct bench_call *call = bench_call(bench, (unsigned)i);
        if (bench_is_token(call)) {
            continue;
        }
        assert_true(window[at % 50] == 0 || call->at - window[at % 50] >= 20000);
        window[at++ % 50] = call->at;
    }
    assert_int_equal(bench_counter(bench, "delivered") + bench_counter(bench, "unchanged"),
                     LEADS * per_lead());
    bench_quiet(bench);
}

/* ---- every mix of answers ---- */

enum { MIX_LEADS = 50, MIX_EVENTS = 40 };

struct mix {
    unsigned seed;
    int last[MIX_LEADS];                      /* highest seq that was applied */
    unsigned applied[MIX_LEADS * MIX_EVENTS]; /* how often an event's own field arrived */
    bool calm;                                /* no more failures */
};

static unsigned roll(struct mix *mix, unsigned below)
{
    return (unsigned)rand_r(&mix->seed) % below;
}

/* One record's fate: NULL applied, else a code. */
static int record_code(struct mix *mix)
{
    if (mix->calm) {
        return 0;
    }
    switch (roll(mix, 12)) {
    case 0: return 713;
    case 1: return 1003;
    case 2: return 719;
    default: return 0;
    }
}

static void apply(struct mix *mix, int lead, int seq)
{
    assert_in_range(lead, 0, MIX_LEADS - 1);
    assert_true(seq > mix->last[lead]);
    mix->last[lead] = seq;
}

static void apply_mark(struct mix *mix, int mark)
{
    assert_in_range(mark, 0, MIX_LEADS * MIX_EVENTS - 1);
    mix->applied[mark]++;
}

/* Failures of whole calls; 0: none. */
static int call_code(struct mix *mix)
{
    static const int codes[] = {601, 606, 611, 615, 502, 608, 609};
    return mix->calm || roll(mix, 4) != 0 ? 0 : codes[roll(mix, 7)];
}

static const char *rest_record(struct bench *bench, const struct bench_call *call,
                               const struct mkto_json *lead)
{
    struct mix *mix = bench->user;
    int code = record_code(mix);

    if (code != 0) {
        return apr_psprintf(call->pool,
                            "{\"status\":\"skipped\",\"reasons\":[{\"code\":\"%d\",\"message\":"
                            "\"No\"}]}",
                            code);
    }
    apply(mix, atoi(mkto_json_string(mkto_json_get(lead, "email")).data + 1),
          atoi(mkto_json_get(lead, "seq")->text.data));
    for (const struct mkto_json *field = lead->first; field != NULL; field = field->next) {
        if (field->key.data[0] == 'm' && field->key.data[1] >= '0' && field->key.data[1] <= '9') {
            apply_mark(mix, atoi(field->key.data + 1));
        }
    }
    return apr_psprintf(call->pool, "{\"id\":%" PRId64 ",\"status\":\"updated\"}",
                        bench->next_lead_id++);
}

static int rest_mix(struct bench *bench, const struct bench_call *call, const char **body,
                    struct mkto_http_answer *answer)
{
    struct mix *mix = bench->user;
    int code = bench_is_token(call) ? 0 : call_code(mix);

    if (code != 0) {
        *body = apr_psprintf(call->pool,
                             "{\"requestId\":\"1\",\"success\":false,\"errors\":[{\"code\":\"%d\","
                             "\"message\":\"No\"}]}",
                             code);
        return 200;
    }
    if (!bench_is_sync(call)) {
        return bench_kind(bench, call, body, answer);
    }
    const char *out = "{\"requestId\":\"1\",\"success\":true,\"result\":[";
    const struct mkto_json *input = mkto_json_get(bench_json(call), "input");
    for (const struct mkto_json *lead = input->first; lead != NULL; lead = lead->next) {
        out = apr_pstrcat(call->pool, out, lead == input->first ? "" : ",",
                          rest_record(bench, call, lead), NULL);
    }
    *body = apr_pstrcat(call->pool, out, "]}", NULL);
    return 200;
}

static const char *soap_record(struct bench *bench, const struct bench_call *call,
                               const char *record)
{
    struct mix *mix = bench->user;
    const char *at = record;
    const char *name;
    const char *email = soap_between(&at, "<Email>", "</", call->pool);
    int code = record_code(mix);

    if (code != 0) {
        return soap_status(bench, call,
                           code == 1003 ? "Bad parameter (20110)" : "Exceeded lock attempts");
    }
    at = record;
    while ((name = soap_between(&at, "<attrName>", "</", call->pool)) != NULL) {
        const char *value = soap_between(&at, "<attrValue>", "</", call->pool);
        if (strcmp(name, "Seq") == 0) {
            apply(mix, atoi(email + 1), atoi(value));
        } else if (name[0] == 'M' && name[1] >= '0' && name[1] <= '9') {
            apply_mark(mix, atoi(name + 1));
        }
    }
    return soap_status(bench, call, NULL);
}

static int soap_mix(struct bench *bench, const struct bench_call *call, const char **body,
                    struct mkto_http_answer *answer)
{
    static const int codes[] = {20016, 20023, 20011, 20024, 10001, 20110, 20106};
    struct mix *mix = bench->user;
    const char *statuses = "";
    const char *at = soap_text(call);
    const char *record;

    (void)answer;
    if (!mix->calm && roll(mix, 4) == 0) {
        *body = soap_fault(call, codes[roll(mix, 7)], "No");
        return 500;
    }
    while ((record = soap_between(&at, "<leadRecord>", "</leadRecord>", call->pool)) != NULL) {
        statuses = apr_pstrcat(call->pool, statuses, soap_record(bench, call, record), NULL);
    }
    *body = soap_answer(call, statuses);
    return 200;
}

static void add_mix(struct bench *bench, struct mix *mix, int from, int to)
{
    bench_bulk(bench);
    for (int i = from; i < to; i++) {
        int lead = i % MIX_LEADS;
        /* some have a browser's cookie, some one of several */
        int cookie = lead % 3 == 0 ? 0 : 1 + lead + (lead % 3 == 1 ? 0 : (int)roll(mix, 2) * 100);
        bench_event(bench, MKTO_CALL_IDENTIFY, cookie == 0 ? NULL : bench_cookie(bench, cookie),
                    apr_psprintf(bench->pool,
                                 "{\"userId\":\"u%d\",\"traits\":{\"email\":\"p%d@example.com\","
                                 "\"seq\":%d,\"m%d\":1}}",
                                 lead, lead, i + 1, i));
    }
    bench_bulk_end(bench);
}

static void check_mix(struct bench *bench, struct mix *mix)
{
    static bool dead[MIX_LEADS * MIX_EVENTS];
    struct mkto_spool_dead rows[64];
    struct mkto_error err = MKTO_ERROR_INIT;
    int64_t after = 0;
    int count;

    memset(dead, 0, sizeof(dead));
    while ((count = mkto_spool_dead_read(bench->spool, after, 64, rows, &err, bench->pool)) > 0) {
        for (int i = 0; i < count; i++) {
            /* an associate is dead after its lead was told */
            if (strcmp(rows[i].kind, "lead") == 0) {
                dead[rows[i].id - 1] = true;
            }
            after = rows[i].id;
        }
    }
    int expected[MIX_LEADS] = {0};
    for (int i = 0; i < MIX_LEADS * MIX_EVENTS; i++) {
        assert_int_equal(mix->applied[i], dead[i] ? 0 : 1);
        expected[i % MIX_LEADS] = dead[i] ? expected[i % MIX_LEADS] : i + 1;
    }
    for (int lead = 0; lead < MIX_LEADS; lead++) {
        assert_int_equal(mix->last[lead], expected[lead]);
    }
}

static void run_mix(struct bench *bench, enum mkto_api api, bench_model *model)
{
    const char *seed = getenv("MKTO_TEST_SEED");
    struct mix mix = {.seed = seed != NULL ? (unsigned)atoi(seed) : (unsigned)time(NULL)};

    print_message("MKTO_TEST_SEED=%u\n", mix.seed);
    bench->user = &mix;
    bench->model = model;
    bench->sub[0].api = api;
    bench->sub[0].batch_size = 20;
    bench->sub[0].calls_per_day = 1000000;
    bench_start(bench);
    int from = 0;
    while (from < MIX_LEADS * MIX_EVENTS) {
        int to = from + 1 + (int)roll(&mix, 150);
        to = to > MIX_LEADS * MIX_EVENTS ? MIX_LEADS * MIX_EVENTS : to;
        add_mix(bench, &mix, from, to);
        from = to;
        bench_run(bench, roll(&mix, 40000));
        if (roll(&mix, 5) == 0 && bench->at_once == 0) {
            bench_restart(bench); /* with nothing on its way, nothing may be told twice */
        }
    }
    bench_run(bench, 4 * 3600000);
    mix.calm = true;
    bench_run(bench, 4 * 3600000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_true(bench->most <= 5);
    check_mix(bench, &mix);
}

static void test_every_mix_over_rest(void **state)
{
    run_mix(*state, MKTO_API_REST, rest_mix);
}

static void test_every_mix_over_soap(void **state)
{
    run_mix(*state, MKTO_API_SOAP, soap_mix);
}

/* ---- limits ---- */

static void test_merge_has_a_limit(void **state)
{
    enum { MERGE_MAX = 256 };
    struct bench *bench = *state;

    bench_bulk(bench);
    for (int i = 0; i <= MERGE_MAX; i++) {
        bench_event(
            bench, MKTO_CALL_IDENTIFY, NULL,
            apr_psprintf(bench->pool, "{\"traits\":{\"email\":\"p@example.com\",\"seq\":%d}}", i));
    }
    bench_bulk_end(bench);
    bench->model = bench_kind;
    bench_start(bench);
    bench_run(bench, 5000);
    assert_int_equal(bench_counter(bench, "delivered"), MERGE_MAX);
    assert_int_equal(bench_waiting(bench), 1);
    bench_run(bench, 31000);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    assert_int_equal(bench_waiting(bench), 0);
    bench_quiet(bench);
}

static void test_events_behind_a_call_have_a_limit(void **state)
{
    enum { EVENTS_MAX = 10000, EACH = 200 };
    struct bench *bench = *state;

    bench_bulk(bench);
    for (int i = 0; i < EVENTS_MAX + EACH; i++) {
        bench_event(bench, MKTO_CALL_IDENTIFY, NULL,
                    apr_psprintf(bench->pool,
                                 "{\"traits\":{\"email\":\"p%d@example.com\",\"seq\":%d}}",
                                 i / EACH, i));
    }
    bench_bulk_end(bench);
    bench->model = bench_kind;
    bench->sub[0].batch_wait_ms = 60000; /* all of it is there when the call is put together */
    bench_start(bench);
    bench_run(bench, 61000);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    assert_int_equal(mkto_json_get(bench_json(bench_nth(bench, bench_is_sync, 0)), "input")->count,
                     EVENTS_MAX / EACH);
    bench_run(bench, 100000);
    assert_int_equal(bench_waiting(bench), 0);
    bench_quiet(bench);
}

/* ---- a day without Marketo ---- */

static void test_backlog_drains_at_the_budgets_rate(void **state)
{
    struct bench *bench = *state;
    const int backlog = getenv("MKTO_VALGRIND") != NULL ? 3000 : 30000;
    int number = 0;

    bench_bulk(bench);
    for (; number < backlog; number++) {
        bench_event(
            bench, MKTO_CALL_IDENTIFY, NULL,
            apr_psprintf(bench->pool, "{\"traits\":{\"email\":\"p%d@example.com\"}}", number));
    }
    bench_bulk_end(bench);
    bench->model = bench_kind;
    bench_start(bench);
    bench_run(bench, 100);
    assert_true(bench_count(bench, bench_is_sync) >= 1); /* long before all of it is loaded */
    bench_run(bench, 3600000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_count(bench, bench_is_sync), backlog / 300);
    bench_quiet(bench);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_many_identifies_of_few_leads),
        TEST(test_every_mix_over_rest),
        TEST(test_every_mix_over_soap),
        TEST(test_merge_has_a_limit),
        TEST(test_events_behind_a_call_have_a_limit),
        TEST(test_backlog_drains_at_the_budgets_rate),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
