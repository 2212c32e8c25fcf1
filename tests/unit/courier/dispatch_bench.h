/*
 * A dispatch on a real spool, with a clock that the test moves and a transport whose other end is
 * the test: requests wait until the test, or its model of Marketo, answers them.
 */
#ifndef DISPATCH_BENCH_H
#define DISPATCH_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "mkto_budget.h"
#include "mkto_dispatch.h"
#include "mkto_envelope.h"
#include "mkto_json.h"
#include "mkto_soap.h"

#define BENCH_NOW INT64_C(1790000000000) /* 2026-09-21, summer time in Chicago */
#define BENCH_ID "561-HYG-937"
#define BENCH_COOKIE "id:561-HYG-937&token:_mch-example.com-1374552656411-%05d"

struct bench;

/* A request that waits for its answer. */
struct bench_call {
    struct mkto_http_request request;
    uint64_t at;     /* monotonic ms when it was sent */
    uint64_t answer; /* when the model answers it */
    mkto_transport_done *done;
    void *ctx;
    bool over;
    apr_pool_t *pool;
};

/* Writes the answer's body, returns the HTTP status. */
typedef int bench_model(struct bench *bench, const struct bench_call *call, const char **body,
                        struct mkto_http_answer *answer);

struct bench {
    apr_pool_t *pool;
    char path[64];
    struct mkto_spool *spool;
    struct mkto_config config;
    struct mkto_subscription sub[2];
    struct mkto_transport transport;
    struct mkto_clock clock;
    struct mkto_dispatch *dispatch;
    uint64_t mono;
    int64_t wall;
    apr_array_header_t *calls; /* struct bench_call *, all that were ever sent */
    unsigned first_open;
    bench_model *model;
    uint64_t latency;
    unsigned at_once;          /* now */
    unsigned most;             /* at once, of the lead API */
    apr_array_header_t *logs;  /* const char * */
    unsigned errors;           /* of these at error level */
    apr_array_header_t *tails; /* const char * */
    bool tailing;
    bool bulk;         /* many events in one commit */
    size_t events_max; /* in memory; 0: as it is */
    void *user;
    int64_t next_lead_id;
};

static inline uint64_t bench_mono(void *ctx)
{
    return ((struct bench *)ctx)->mono;
}

static inline int64_t bench_wall(void *ctx)
{
    return ((struct bench *)ctx)->wall;
}

/* ---- transport ---- */

static inline bool bench_is_visit(const struct bench_call *call)
{
    return strstr(call->request.url, "/webevents/") != NULL;
}

static inline bool bench_is_token(const struct bench_call *call)
{
    return strstr(call->request.url, "/identity/") != NULL;
}

static inline bool bench_is_link(const struct bench_call *call)
{
    return strstr(call->request.url, "/associate.json") != NULL;
}

static inline bool bench_is_sync(const struct bench_call *call)
{
    return strstr(call->request.url, "/leads.json") != NULL;
}

static inline void bench_send(struct mkto_transport *self, const struct mkto_http_request *request,
                              int64_t connect_ms, int64_t total_ms, const char *ca_file,
                              mkto_transport_done *done, void *ctx)
{
    struct bench *bench = self->impl;
    apr_pool_t *pool;

    (void)connect_ms;
    (void)total_ms;
    (void)ca_file;
    apr_pool_create(&pool, bench->pool);
    struct bench_call *call = apr_pcalloc(pool, sizeof(*call));
    struct mkto_http_header *headers =
        apr_palloc(pool, (request->header_count + 1) * sizeof(*headers));
    for (size_t i = 0; i < request->header_count; i++) {
        headers[i].name = apr_pstrdup(pool, request->headers[i].name);
        headers[i].value = apr_pstrdup(pool, request->headers[i].value);
    }
    call->request = *request;
    call->request.method = apr_pstrdup(pool, request->method);
    call->request.url = apr_pstrdup(pool, request->url);
    call->request.headers = headers;
    if (request->body.data != NULL) {
        call->request.body.data = apr_pstrmemdup(pool, request->body.data, request->body.len);
    }
    call->at = bench->mono;
    call->answer = bench->mono + bench->latency;
    call->done = done;
    call->ctx = ctx;
    call->pool = pool;
    APR_ARRAY_PUSH(bench->calls, struct bench_call *) = call;
    if (!bench_is_visit(call) && !bench_is_token(call)) {
        bench->at_once++;
        bench->most = bench->at_once > bench->most ? bench->at_once : bench->most;
    }
}

static inline struct bench_call *bench_call(struct bench *bench, unsigned at)
{
    assert_true((int)at < bench->calls->nelts);
    return APR_ARRAY_IDX(bench->calls, at, struct bench_call *);
}

static inline void bench_cancel(struct mkto_transport *self)
{
    struct bench *bench = self->impl;
    for (int i = 0; i < bench->calls->nelts; i++) {
        bench_call(bench, (unsigned)i)->over = true;
    }
    bench->at_once = 0;
}

static inline size_t bench_active(struct mkto_transport *self)
{
    struct bench *bench = self->impl;
    size_t count = 0;
    for (int i = 0; i < bench->calls->nelts; i++) {
        count += bench_call(bench, (unsigned)i)->over ? 0 : 1;
    }
    return count;
}

static inline void bench_answer_with(struct bench *bench, struct bench_call *call,
                                     struct mkto_http_answer *answer)
{
    call->over = true;
    if (!bench_is_visit(call) && !bench_is_token(call)) {
        bench->at_once--;
    }
    answer->took_ms = (int64_t)(bench->mono - call->at);
    call->done(call->ctx, answer);
}

static inline void bench_answer(struct bench *bench, struct bench_call *call, int status,
                                const char *body)
{
    struct mkto_http_answer answer = {
        .status = status, .body = mkto_slice_str(body), .date_ms = -1, .retry_after_ms = -1};
    bench_answer_with(bench, call, &answer);
}

static inline void bench_fail(struct bench *bench, struct bench_call *call,
                              enum mkto_transport_result result)
{
    struct mkto_http_answer answer = {
        .result = result, .date_ms = -1, .retry_after_ms = -1, .detail = "made up"};
    bench_answer_with(bench, call, &answer);
}

/* ---- hooks ---- */

static inline void bench_log(void *ctx, int level, const char *text)
{
    struct bench *bench = ctx;
    bench->errors += level == LOG_ERR ? 1 : 0;
    APR_ARRAY_PUSH(bench->logs, const char *) = apr_pstrdup(bench->pool, text);
}

static inline bool bench_tailing(void *ctx)
{
    return ((struct bench *)ctx)->tailing;
}

static inline void bench_tail(void *ctx, struct mkto_slice json)
{
    struct bench *bench = ctx;
    APR_ARRAY_PUSH(bench->tails, const char *) = apr_pstrmemdup(bench->pool, json.data, json.len);
}

static inline unsigned bench_logged(struct bench *bench, const char *part)
{
    unsigned count = 0;
    for (int i = 0; i < bench->logs->nelts; i++) {
        count += strstr(APR_ARRAY_IDX(bench->logs, i, const char *), part) != NULL ? 1 : 0;
    }
    return count;
}

/* A run fails on any warning that the test did not announce. */
static inline void bench_quiet(struct bench *bench)
{
    for (int i = 0; i < bench->logs->nelts; i++) {
        print_error("logged: %s\n", APR_ARRAY_IDX(bench->logs, i, const char *));
    }
    assert_int_equal(bench->logs->nelts, 0);
}

/* ---- life ---- */

static inline void bench_subscription(struct bench *bench, struct mkto_subscription *sub,
                                      const char *name)
{
    *sub = (struct mkto_subscription){
        .name = name,
        .munchkin_id = BENCH_ID,
        .api = MKTO_API_REST,
        .host = "www.example.com",
        .rest_endpoint = "https://561-hyg-937.mktorest.com",
        .rest_client_id = "CID",
        .rest_client_secret_file = apr_psprintf(bench->pool, "%s/secret", bench->path),
        .soap_endpoint = "https://561-HYG-937.mktoapi.com/soap/mktows/3_1",
        .soap_user_id = "user_1",
        .soap_encryption_key_file = apr_psprintf(bench->pool, "%s/secret", bench->path),
        .munchkin_endpoint = "https://561-hyg-937.mktoresp.com",
        .lead_interval_ms = 30000,
        .unchanged_for_ms = 24 * 3600000LL,
        .batch_wait_ms = 1000,
        .batch_size = 300,
        .calls_per_20s = 50,
        .calls_at_once = 5,
        .calls_per_day = 10000,
        .calls_reserve = 1000,
        .visits_at_once = 32,
        .retry_for_ms = 72 * 3600000LL,
        .connect_timeout_ms = 10000,
        .timeout_ms = 90000,
    };
}

static inline void bench_open(struct bench *bench)
{
    struct mkto_spool_options options = {
        .path = bench->path, .create = true, .max_size = INT64_C(2) << 30, .keep_free = 1};
    struct mkto_spool_opened opened = {0};
    struct mkto_error err = MKTO_ERROR_INIT;

    if (mkto_spool_open(&options, bench->wall, &bench->spool, &opened, &err, bench->pool) != 0) {
        fail_msg("%s", err.text);
    }
}

/* The dispatch begins: after setting up the subscription. */
static inline void bench_start(struct bench *bench)
{
    const struct mkto_dispatch_hooks hooks = {bench, bench_log, bench_tailing, bench_tail,
                                              bench->events_max};
    bench->dispatch = mkto_dispatch_create(&bench->config, bench->spool, &bench->transport,
                                           &bench->clock, &hooks, bench->pool);
}

static inline int bench_setup(void **state)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    FILE *secret;

    apr_pool_create(&bench->pool, NULL);
    apr_cpystrn(bench->path, "/tmp/mkto-dispatch-XXXXXX", sizeof(bench->path));
    assert_non_null(mkdtemp(bench->path));
    secret = fopen(apr_psprintf(bench->pool, "%s/secret", bench->path), "w");
    assert_non_null(secret);
    fputs("SEC+RET\n", secret);
    fclose(secret);
    chmod(apr_psprintf(bench->pool, "%s/secret", bench->path), 0600);
    bench_subscription(bench, &bench->sub[0], "");
    bench->config = (struct mkto_config){.file = "/tmp/none",
                                         .digest = 1,
                                         .spool_path = bench->path,
                                         .subscriptions = bench->sub,
                                         .subscription_count = 1};
    bench->mono = 1000000;
    bench->wall = BENCH_NOW;
    bench->latency = 50;
    bench->next_lead_id = 100;
    bench->clock = (struct mkto_clock){bench_mono, bench_wall, bench};
    bench->transport = (struct mkto_transport){bench_send, bench_cancel, bench_active, bench};
    bench->calls = apr_array_make(bench->pool, 64, sizeof(struct bench_call *));
    bench->logs = apr_array_make(bench->pool, 8, sizeof(const char *));
    bench->tails = apr_array_make(bench->pool, 8, sizeof(const char *));
    bench_open(bench);
    *state = bench;
    return 0;
}

static inline int bench_teardown(void **state)
{
    struct bench *bench = *state;
    char command[128];

    if (bench->dispatch != NULL) {
        mkto_dispatch_destroy(bench->dispatch);
    }
    mkto_spool_close(bench->spool);
    snprintf(command, sizeof(command), "rm -rf '%s'", bench->path);
    assert_int_equal(system(command), 0);
    apr_pool_destroy(bench->pool);
    free(bench);
    return 0;
}

/* The courier ends and begins again; calls under way are lost. */
static inline void bench_restart(struct bench *bench)
{
    mkto_dispatch_destroy(bench->dispatch);
    mkto_spool_close(bench->spool);
    bench_open(bench);
    bench_start(bench);
}

/* ---- events ---- */

static inline int64_t bench_append(struct bench *bench, const struct mkto_envelope *envelope)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    uint8_t out[65536];
    int64_t id = 0;

    assert_true(mkto_envelope_size(envelope) <= sizeof(out));
    size_t len = mkto_envelope_encode(envelope, out);
    if ((!bench->bulk && mkto_spool_begin(bench->spool, &err) != 0) ||
        mkto_spool_append(bench->spool, (struct mkto_slice){(const char *)out, len}, 0, bench->wall,
                          &id, &err) != 0 ||
        (!bench->bulk && mkto_spool_commit(bench->spool, &err) != 0)) {
        fail_msg("%s", err.text);
    }
    if (bench->dispatch != NULL && !bench->bulk) {
        mkto_dispatch_accepted(bench->dispatch, id);
    }
    return id;
}

/* Many events in one commit: between these two. */
static inline void bench_bulk(struct bench *bench)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    assert_int_equal(mkto_spool_begin(bench->spool, &err), 0);
    bench->bulk = true;
}

static inline void bench_bulk_end(struct bench *bench)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    assert_int_equal(mkto_spool_commit(bench->spool, &err), 0);
    bench->bulk = false;
    if (bench->dispatch != NULL) {
        mkto_dispatch_accepted(bench->dispatch, INT64_MAX);
    }
}

static inline int64_t bench_event(struct bench *bench, enum mkto_call call, const char *cookie,
                                  const char *body)
{
    struct mkto_envelope envelope = {
        .call = call,
        .flags = MKTO_ENVELOPE_HTTPS,
        .received_ms = bench->wall,
        .subscription = {"", 0},
        .remote_addr = MKTO_SLICE_LIT("192.0.2.1"),
        .host = MKTO_SLICE_LIT("www.example.com"),
        .user_agent = MKTO_SLICE_LIT("Test/1"),
        .request_id = MKTO_SLICE_LIT("r"),
        .body = mkto_slice_str(body),
    };
    if (cookie != NULL) {
        envelope.cookie = mkto_slice_str(cookie);
    }
    return bench_append(bench, &envelope);
}

static inline const char *bench_cookie(struct bench *bench, int number)
{
    return apr_psprintf(bench->pool, BENCH_COOKIE, number);
}

/* An identify with one trait; cookie number 0: none but the one made from the user id. */
static inline int64_t bench_identify(struct bench *bench, const char *email, const char *trait,
                                     const char *value, int cookie)
{
    const char *body = apr_psprintf(
        bench->pool, "{\"userId\":\"u-%s\",\"traits\":{\"email\":\"%s\",\"%s\":\"%s\"}}", email,
        email, trait, value);
    return bench_event(bench, MKTO_CALL_IDENTIFY, cookie == 0 ? NULL : bench_cookie(bench, cookie),
                       body);
}

/* One identify each of p0@example.com to the last, without a cookie, in one commit. */
static inline void bench_people(struct bench *bench, int count)
{
    bench_bulk(bench);
    for (int i = 0; i < count; i++) {
        bench_identify(bench, apr_psprintf(bench->pool, "p%d@example.com", i), "n", "1", 0);
    }
    bench_bulk_end(bench);
}

static inline int64_t bench_page(struct bench *bench, int cookie, const char *path)
{
    const char *body = apr_psprintf(
        bench->pool,
        "{\"anonymousId\":\"a\",\"properties\":{\"url\":\"https://www.example.com%s\"}}", path);
    return bench_event(bench, MKTO_CALL_PAGE, bench_cookie(bench, cookie), body);
}

/* ---- time ---- */

/* Turns until there is nothing more to do now. */
static inline void bench_turn(struct bench *bench)
{
    unsigned turns = 0;
    while (mkto_dispatch_turn(bench->dispatch, 2)) {
        if (++turns > 100000) {
            fail_msg("dispatch has no end of work");
        }
    }
}

static inline void bench_answer_due(struct bench *bench)
{
    for (unsigned i = bench->first_open; (int)i < bench->calls->nelts; i++) {
        struct bench_call *call = bench_call(bench, i);
        struct mkto_http_answer answer = {.date_ms = -1, .retry_after_ms = -1};
        const char *body = "";
        if (call->over || call->answer > bench->mono) {
            continue;
        }
        answer.status = bench->model(bench, call, &body, &answer);
        answer.body = mkto_slice_str(body);
        bench_answer_with(bench, call, &answer);
    }
    while ((int)bench->first_open < bench->calls->nelts &&
           bench_call(bench, bench->first_open)->over) {
        bench->first_open++;
    }
}

static inline uint64_t bench_next_answer(struct bench *bench)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = bench->first_open; (int)i < bench->calls->nelts; i++) {
        const struct bench_call *call = bench_call(bench, i);
        if (!call->over && call->answer < next) {
            next = call->answer;
        }
    }
    return next;
}

static inline void bench_advance(struct bench *bench, uint64_t ms)
{
    bench->mono += ms;
    bench->wall += (int64_t)ms;
}

/* Lets time pass: dispatch turns whenever it asks to, the model answers when it is time. */
static inline void bench_run(struct bench *bench, uint64_t ms)
{
    uint64_t end = bench->mono + ms;

    for (;;) {
        bench_turn(bench);
        uint64_t next = mkto_dispatch_next(bench->dispatch);
        if (bench->model != NULL && bench_next_answer(bench) < next) {
            next = bench_next_answer(bench);
        }
        if (next > end) {
            bench_advance(bench, end - bench->mono);
            bench_turn(bench);
            return;
        }
        if (next > bench->mono) {
            bench_advance(bench, next - bench->mono);
        }
        if (bench->model != NULL) {
            bench_answer_due(bench);
        }
    }
}

/* ---- looking ---- */

static inline unsigned bench_count(struct bench *bench, bool (*is)(const struct bench_call *))
{
    unsigned count = 0;
    for (int i = 0; i < bench->calls->nelts; i++) {
        count += is(bench_call(bench, (unsigned)i)) ? 1 : 0;
    }
    return count;
}

static inline struct bench_call *bench_nth(struct bench *bench,
                                           bool (*is)(const struct bench_call *), unsigned nth)
{
    for (int i = 0; i < bench->calls->nelts; i++) {
        if (is(bench_call(bench, (unsigned)i)) && nth-- == 0) {
            return bench_call(bench, (unsigned)i);
        }
    }
    fail_msg("no such call");
    return NULL;
}

static inline struct mkto_json *bench_json(const struct bench_call *call)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_json *root = NULL;
    if (mkto_json_parse(call->request.body, &root, &err, call->pool) != 0) {
        fail_msg("%s", err.text);
    }
    return root;
}

/* The status of the first subscription. */
static inline const struct mkto_json *bench_status(struct bench *bench)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_json *root = NULL;
    struct mkto_slice text = mkto_dispatch_status(bench->dispatch, bench->pool);
    if (mkto_json_parse(text, &root, &err, bench->pool) != 0) {
        fail_msg("%s in %.*s", err.text, (int)text.len, text.data);
    }
    return mkto_json_get(root, "subscriptions")->first;
}

static inline long bench_counter(struct bench *bench, const char *name)
{
    const struct mkto_json *counters = mkto_json_get(bench_status(bench), "counters");
    return strtol(mkto_json_get(counters, name)->text.data, NULL, 10);
}

static inline long bench_tallied(struct bench *bench, const char *tally, const char *word)
{
    const struct mkto_json *row = mkto_json_get(mkto_json_get(bench_status(bench), tally), word);
    return row == NULL ? 0 : strtol(row->text.data, NULL, 10);
}

static inline long bench_waiting(struct bench *bench)
{
    return (long)mkto_spool_waiting(bench->spool);
}

static inline long bench_dead(struct bench *bench)
{
    return (long)mkto_spool_dead_count(bench->spool);
}

#include "dispatch_model.h"

#endif
