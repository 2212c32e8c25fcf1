/*
 * mkto_dispatch within Marketo's limits, in simulated time: 100 000 identifies of 1 000 leads in
 * 60 s, against a Marketo that refuses whatever breaks a limit. It never has to.
 *
 * Its limits are the courier's own, half of what Marketo allows: 50 calls in any 20 s, 5 at once, a
 * lead once in 30 s. Calls take from 50 ms to 3 s.
 */
#include "soap_model.h"

enum { LEADS = 1000, TICKS = 120, WINDOW = 50, AT_ONCE = 5, LOCK_MS = 30000 };

/* Identifies of a lead; valgrind takes minutes for all of them. */
static int per_lead(void)
{
    return getenv("MKTO_VALGRIND") != NULL ? 10 : 100;
}

struct strict {
    uint64_t began;
    uint64_t synced[LEADS]; /* when it was last; 0: never */
    unsigned early[LEADS];  /* syncs in the first 60 s */
    int seq[LEADS];         /* last one that was told */
    unsigned refused;
    unsigned seed;
    bool soap;
};

static struct strict strict;

static bool is_counted(const struct bench_call *call)
{
    return !bench_is_visit(call) && !bench_is_token(call);
}

/* "606", "615" or "20023", "20024"; 0: welcome. Judged by when calls came, however they end. */
static int limit_of(struct bench *bench, const struct bench_call *call)
{
    unsigned recent = 0;
    unsigned running = 0;

    for (int i = 0; i < bench->calls->nelts; i++) {
        const struct bench_call *other = bench_call(bench, (unsigned)i);
        if (other == call) {
            break;
        }
        recent += is_counted(other) && other->at + 20000 > call->at ? 1 : 0;
        running += is_counted(other) && other->answer > call->at ? 1 : 0;
    }
    if (running >= AT_ONCE) {
        return strict.soap ? 20024 : 615;
    }
    if (recent >= WINDOW) {
        return strict.soap ? 20023 : 606;
    }
    return 0;
}

/* Returns false when the lead is still locked. */
static bool sync_lead(const struct bench_call *call, int lead, int seq)
{
    assert_in_range(lead, 0, LEADS - 1);
    if (strict.synced[lead] != 0 && call->at - strict.synced[lead] < LOCK_MS) {
        strict.refused++;
        return false;
    }
    assert_true(seq > strict.seq[lead]);
    strict.seq[lead] = seq;
    strict.synced[lead] = call->at;
    strict.early[lead] += call->at < strict.began + 60000 ? 1 : 0;
    return true;
}

static const char *rest_records(struct bench *bench, const struct bench_call *call)
{
    const struct mkto_json *input = mkto_json_get(bench_json(call), "input");
    const char *out = "{\"requestId\":\"1\",\"success\":true,\"result\":[";

    assert_true(input->count <= 300);
    for (const struct mkto_json *lead = input->first; lead != NULL; lead = lead->next) {
        int number = atoi(mkto_json_string(mkto_json_get(lead, "email")).data + 1);
        bool taken = sync_lead(call, number, atoi(mkto_json_get(lead, "seq")->text.data));
        out = apr_pstrcat(
            call->pool, out, lead == input->first ? "" : ",",
            taken ? apr_psprintf(call->pool, "{\"id\":%" PRId64 ",\"status\":\"updated\"}",
                                 bench->next_lead_id++)
                  : "{\"status\":\"skipped\",\"reasons\":[{\"code\":\"719\",\"message\":"
                    "\"Exceeded lock attempts\"}]}",
            NULL);
    }
    return apr_pstrcat(call->pool, out, "]}", NULL);
}

static int strict_rest(struct bench *bench, const struct bench_call *call, const char **body,
                       struct mkto_http_answer *answer)
{
    int limit = is_counted(call) ? limit_of(bench, call) : 0;

    if (limit != 0) {
        strict.refused++;
        *body = apr_psprintf(call->pool,
                             "{\"requestId\":\"1\",\"success\":false,\"errors\":[{\"code\":\"%d\","
                             "\"message\":\"No\"}]}",
                             limit);
        return 200;
    }
    if (!bench_is_sync(call)) {
        return bench_kind(bench, call, body, answer);
    }
    *body = rest_records(bench, call);
    return 200;
}

static const char *soap_records(struct bench *bench, const struct bench_call *call)
{
    const char *at = soap_text(call);
    const char *statuses = "";
    const char *record;
    unsigned count = 0;

    while ((record = soap_between(&at, "<leadRecord>", "</leadRecord>", call->pool)) != NULL) {
        const char *from = record;
        const char *email = soap_between(&from, "<Email>", "</", call->pool);
        from = strstr(record, "<attrName>Seq<");
        assert_non_null(from);
        bool taken = sync_lead(call, atoi(email + 1),
                               atoi(soap_between(&from, "<attrValue>", "</", call->pool)));
        statuses =
            apr_pstrcat(call->pool, statuses,
                        soap_status(bench, call, taken ? NULL : "Exceeded lock attempts"), NULL);
        count++;
    }
    assert_in_range(count, 1, 300);
    return statuses;
}

static int strict_soap(struct bench *bench, const struct bench_call *call, const char **body,
                       struct mkto_http_answer *answer)
{
    int limit = limit_of(bench, call);

    (void)answer;
    if (limit != 0) {
        strict.refused++;
        *body = soap_fault(call, limit, "No");
        return 500;
    }
    *body = soap_answer(call, soap_records(bench, call));
    return 200;
}

/* Calls take different times, so that they end in another order than they began. */
static void send_slowly(struct mkto_transport *self, const struct mkto_http_request *request,
                        int64_t connect_ms, int64_t total_ms, const char *ca_file,
                        mkto_transport_done *done, void *ctx)
{
    struct bench *bench = self->impl;
    bench->latency = 50 + (unsigned)rand_r(&strict.seed) % 2950;
    bench_send(self, request, connect_ms, total_ms, ca_file, done, ctx);
}

/* One lead in ten has a browser's cookie: over SOAP a call of its own each time. */
static void add_identify(struct bench *bench, int number)
{
    int lead = number * 7 % LEADS;
    char body[160];

    snprintf(body, sizeof(body), "{\"traits\":{\"email\":\"p%d@example.com\",\"seq\":%d}}", lead,
             number + 1);
    bench_event(bench, MKTO_CALL_IDENTIFY,
                lead % 10 == 0 ? bench_cookie(bench, 10000 + lead) : NULL, body);
}

static void check_window(struct bench *bench)
{
    uint64_t window[WINDOW] = {0};
    unsigned at = 0;

    for (int i = 0; i < bench->calls->nelts; i++) {
        const struct bench_call *call = bench_call(bench, (unsigned)i);
        if (is_counted(call)) {
            assert_true(at < WINDOW || call->at - window[at % WINDOW] >= 20000);
            window[at++ % WINDOW] = call->at;
        }
    }
}

static void run_strict(struct bench *bench, enum mkto_api api, bench_model *model)
{
    strict = (struct strict){.seed = 1, .soap = api == MKTO_API_SOAP, .began = bench->mono};
    bench->sub[0].api = api;
    bench->model = model;
    bench->transport.send = send_slowly;
    bench_start(bench);
    const int identifies = LEADS * per_lead();
    int number = 0;
    for (int tick = 0; tick < TICKS; tick++) {
        bench_bulk(bench);
        for (int i = 0; i < identifies / TICKS + 1 && number < identifies; i++) {
            add_identify(bench, number++);
        }
        bench_bulk_end(bench);
        bench_run(bench, 60000 / TICKS);
    }
    assert_int_equal(number, identifies);
    bench_run(bench, 900000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(strict.refused, 0);
    assert_in_range(bench->most, 1, AT_ONCE);
    check_window(bench);
    for (int i = 0; i < LEADS; i++) {
        assert_in_range(strict.early[i], api == MKTO_API_REST ? 1 : 0, 2);
        assert_in_range(strict.seq[i], identifies - LEADS, identifies);
    }
    assert_int_equal(bench_counter(bench, "delivered"), identifies);
    assert_int_equal(mkto_json_get(bench_status(bench), "errors")->count, 0);
    print_message("%d calls for %d identifies\n", bench->calls->nelts, identifies);
    bench_quiet(bench);
}

static void test_identifies_over_rest(void **state)
{
    run_strict(*state, MKTO_API_REST, strict_rest);
}

static void test_identifies_over_soap(void **state)
{
    run_strict(*state, MKTO_API_SOAP, strict_soap);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_identifies_over_rest),
        TEST(test_identifies_over_soap),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
