/*
 * mkto_dispatch: Marketo is away for 24 hours at 10 events a second, in simulated time. Afterwards
 * everything arrives once, at the rate that the budget allows, in little memory.
 *
 * A transport of its own: dispatch_bench keeps every call, and these are a million.
 */
#include "dispatch_model.h"

enum {
    PER_SECOND = 10,       /* every other one a visit */
    LEADS = 2000,          /* each with a cookie of its own, so that as many links follow */
    PENDING = 64,          /* calls at once: visits_at_once, calls_at_once, a token */
    WINDOW = 50,           /* calls_per_20s */
    LATENCY_MS = 100,      /* of every answer */
    MEMORY_KIB = 96 * 1024 /* DESIGN section 8 */
};

/* Memory and time under a sanitizer or valgrind say nothing: there a part of the day will do. */
static int seconds_away(void)
{
#ifdef __SANITIZE_ADDRESS__
    return 2 * 3600;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return 2 * 3600;
#endif
#endif
    return getenv("MKTO_VALGRIND") != NULL ? 600 : 24 * 3600;
}

struct pending {
    mkto_transport_done *done;
    void *ctx;
    uint64_t at;
    char *answer; /* body; owned */
};

struct outage {
    struct bench *bench;
    struct pending pending[PENDING];
    bool away;
    int said[LEADS];        /* highest seq that a lead was told */
    unsigned char *visited; /* by number of the event */
    unsigned visits;
    unsigned links;
    unsigned lead_calls; /* syncs and links, since Marketo is back */
    unsigned running;    /* of these */
    uint64_t first_call;
    uint64_t window[WINDOW + 1];
};

static struct outage outage;

/* ---- Marketo ---- */

static char *text_of_syncs(const struct mkto_http_request *request)
{
    const char *at = request->body.data;
    const char *end = at + request->body.len;
    const size_t size = 64 + 300 * 48;
    char *text = malloc(size);
    size_t len = (size_t)snprintf(text, size, "{\"requestId\":\"1\",\"success\":true,\"result\":[");

    while ((at = memmem(at, (size_t)(end - at), "\"email\":\"p", 10)) != NULL) {
        char *rest;
        long lead = strtol(at + 10, &rest, 10);
        const char *seq = memmem(rest, (size_t)(end - rest), "\"seq\":", 6);
        assert_in_range(lead, 0, LEADS - 1);
        assert_non_null(seq);
        int now = (int)strtol(seq + 6, NULL, 10);
        assert_true(now > outage.said[lead]); /* in order, and never again */
        outage.said[lead] = now;
        len += (size_t)snprintf(text + len, size - len, "%s{\"id\":%ld,\"status\":\"updated\"}",
                                text[len - 1] == '[' ? "" : ",", 1000 + lead);
        at = seq;
    }
    (void)snprintf(text + len, size - len, "]}");
    return text;
}

static char *take_visit(const char *url)
{
    const char *at = strstr(url, "%2Fv%2F");
    assert_non_null(at);
    long number = strtol(at + 7, NULL, 10);
    assert_int_equal(outage.visited[number], 0);
    outage.visited[number] = 1;
    outage.visits++;
    return strdup("OK");
}

/* A call that the budget counts. */
static void count_call(uint64_t now)
{
    unsigned at = outage.lead_calls++;

    if (at == 0) {
        outage.first_call = now;
    }
    if (at >= WINDOW) {
        assert_true(now - outage.window[(at - WINDOW) % (WINDOW + 1)] >= 20000);
    }
    outage.window[at % (WINDOW + 1)] = now;
    assert_true(++outage.running <= 5);
}

static char *take(const struct mkto_http_request *request)
{
    if (strstr(request->url, "/webevents/") != NULL) {
        return take_visit(request->url);
    }
    if (strstr(request->url, "/identity/") != NULL) {
        return strdup(bench_token());
    }
    count_call(outage.bench->mono);
    if (strstr(request->url, "/associate.json") != NULL) {
        outage.links++;
        return strdup("{\"requestId\":\"1\",\"success\":true}");
    }
    return text_of_syncs(request);
}

static void send_call(struct mkto_transport *self, const struct mkto_http_request *request,
                      int64_t connect_ms, int64_t total_ms, const char *ca_file,
                      mkto_transport_done *done, void *ctx)
{
    unsigned at = 0;

    (void)self;
    (void)connect_ms;
    (void)total_ms;
    (void)ca_file;
    while (outage.pending[at].done != NULL) {
        at++;
        assert_true(at < PENDING);
    }
    outage.pending[at] =
        (struct pending){done, ctx, outage.bench->mono + (outage.away ? 0 : LATENCY_MS),
                         outage.away ? NULL : take(request)};
}

static void cancel_calls(struct mkto_transport *self)
{
    (void)self;
    for (unsigned i = 0; i < PENDING; i++) {
        free(outage.pending[i].answer);
        outage.pending[i] = (struct pending){0};
    }
}

static void answer(struct pending *slot)
{
    struct pending one = *slot;
    struct mkto_http_answer said = {.date_ms = -1, .retry_after_ms = -1, .detail = "refused"};

    *slot = (struct pending){0};
    said.result = one.answer == NULL ? MKTO_TRANSPORT_REFUSED : MKTO_TRANSPORT_OK;
    if (one.answer != NULL) {
        said.status = 200;
        said.body = mkto_slice_str(one.answer);
        outage.running -= strstr(one.answer, "requestId") != NULL ? 1 : 0;
    }
    one.done(one.ctx, &said);
    free(one.answer);
}

/* ---- time ---- */

static uint64_t next_answer(void)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < PENDING; i++) {
        if (outage.pending[i].done != NULL && outage.pending[i].at < next) {
            next = outage.pending[i].at;
        }
    }
    return next;
}

static void answer_due(void)
{
    for (unsigned i = 0; i < PENDING; i++) {
        if (outage.pending[i].done != NULL && outage.pending[i].at <= outage.bench->mono) {
            answer(&outage.pending[i]);
        }
    }
}

static void run(struct bench *bench, uint64_t ms)
{
    uint64_t end = bench->mono + ms;

    for (;;) {
        bench_turn(bench);
        uint64_t next = mkto_dispatch_next(bench->dispatch);
        next = next_answer() < next ? next_answer() : next;
        if (next > end) {
            bench_advance(bench, end - bench->mono);
            return;
        }
        bench_advance(bench, next > bench->mono ? next - bench->mono : 0);
        answer_due();
    }
}

/* ---- the day ---- */

/* Odd numbers are identifies, even ones visits. */
static void add_event(struct bench *bench, int number)
{
    char body[160];
    char cookie[96];
    int lead = number / 2 * 7 % LEADS;

    snprintf(cookie, sizeof(cookie), BENCH_COOKIE, 10000 + lead);
    if (number % 2 == 1) {
        snprintf(body, sizeof(body), "{\"traits\":{\"email\":\"p%d@example.com\",\"seq\":%d}}",
                 lead, number);
        bench_event(bench, MKTO_CALL_IDENTIFY, cookie, body);
        return;
    }
    snprintf(body, sizeof(body), "{\"properties\":{\"url\":\"https://www.example.com/v/%d\"}}",
             number);
    bench_event(bench, MKTO_CALL_PAGE, cookie, body);
}

static long peak_kib(void)
{
    char line[128];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    fclose(file);
    return kib;
}

static int live_through(struct bench *bench, int seconds)
{
    int number = 0;

    for (int second = 0; second < seconds; second += 60) {
        bench_bulk(bench);
        for (int i = 0; i < 60 * PER_SECOND; i++) {
            add_event(bench, number++);
        }
        bench_bulk_end(bench);
        run(bench, 60000);
    }
    return number;
}

static void test_a_day_without_marketo(void **state)
{
    struct bench *bench = *state;
    const int seconds = seconds_away();

    outage = (struct outage){.bench = bench, .away = true};
    outage.visited = calloc((size_t)(seconds * PER_SECOND), 1);
    memset(outage.said, -1, sizeof(outage.said));
    bench->transport.send = send_call;
    bench->transport.cancel_all = cancel_calls;
    bench_start(bench);
    int events = live_through(bench, seconds);
    assert_int_equal(bench_waiting(bench), events);
    assert_int_equal(bench_dead(bench), 0);

    outage.away = false;
    uint64_t back = bench->mono;
    while (bench_waiting(bench) > 0) {
        run(bench, 10000);
        assert_true(bench->mono - back < 6 * 3600000);
    }
    unsigned last_of[LEADS] = {0};
    for (int number = 1; number < events; number += 2) {
        last_of[number / 2 * 7 % LEADS] = (unsigned)number;
    }
    for (int lead = 0; lead < LEADS; lead++) {
        assert_int_equal(outage.said[lead], last_of[lead]);
    }
    assert_int_equal(outage.visits, events / 2);
    assert_int_equal(outage.links, LEADS);
    assert_int_equal(bench_counter(bench, "delivered"), events);
    assert_int_equal(bench_counter(bench, "retried"), 0); /* a pause spends no attempt */
    /* its window was used up all the time: so many calls cannot be made faster */
    uint64_t took = outage.window[(outage.lead_calls - 1) % (WINDOW + 1)] - outage.first_call;
    assert_true(took <= (uint64_t)(outage.lead_calls / WINDOW + 4) * 20000);
    print_message(
        "%d events, %u calls in %llu s of which the budget asks for %u, %ld KiB at most\n", events,
        outage.lead_calls, (unsigned long long)(took / 1000), (outage.lead_calls - 1) / WINDOW * 20,
        peak_kib());
    if (seconds == 24 * 3600) {
        assert_true(peak_kib() < MEMORY_KIB);
    }
    free(outage.visited);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_day_without_marketo, bench_setup, bench_teardown),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
