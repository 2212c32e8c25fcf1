/* mkto_forget: the answers to "forget", and what is left in the files. */
#include "desk_bench.h"

#include <dirent.h>
#include <fcntl.h>

struct sum {
    long events;
    long tried;
    long dead;
    long known;
    long sent;
    long passed;
    unsigned parts;
    bool busy; /* it ended there */
};

/* All parts, as the tool asks for them. */
static struct sum forget_all(struct bench *bench, const char *email, const char *more)
{
    struct sum sum = {0};
    const char *phase = "events";
    const char *after = "0";
    while (strcmp(phase, "done") != 0 && !sum.busy) {
        const struct mkto_json *answer = ask_forget(
            bench, apr_psprintf(bench->pool, "{\"email\":\"%s\",\"phase\":\"%s\",\"after\":%s%s}",
                                email, phase, after, more));
        if (mkto_json_get(answer, "error") != NULL) {
            fail_msg("%s", text(answer, "error"));
        }
        sum.events += number(answer, "events");
        sum.tried += number(answer, "tried");
        sum.dead += number(answer, "dead");
        sum.known += number(answer, "known");
        sum.sent += number(answer, "sent");
        sum.passed += number(answer, "passed");
        sum.busy = number(answer, "busy") > 0;
        sum.parts++;
        phase = text(answer, "phase");
        after = mkto_json_get(answer, "after")->text.data;
        assert_int_equal(flag(answer, "more"), strcmp(phase, "done") != 0);
    }
    return sum;
}

#define APPLY ",\"apply\":true"

/* How often the bytes stand in any file of the spool's directory, in any case. */
static unsigned traces(struct bench *bench, const char *bytes)
{
    unsigned found = 0;
    DIR *dir = opendir(bench->path);
    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct stat st;
        const char *name = apr_psprintf(bench->pool, "%s/%s", bench->path, entry->d_name);
        const int fd = open(name, O_RDONLY);
        if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
            close(fd);
            continue;
        }
        char *data = calloc(1, (size_t)st.st_size + 1);
        assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
        close(fd);
        for (off_t at = 0; at + (off_t)strlen(bytes) <= st.st_size; at++) {
            found += strncasecmp(data + at, bytes, strlen(bytes)) == 0 ? 1 : 0;
        }
        free(data);
    }
    closedir(dir);
    return found;
}

static void page_at(struct bench *bench, int cookie, const char *query)
{
    bench_page(bench, cookie, apr_psprintf(bench->pool, "/?%s", query));
}

/* ---- what is the person's ---- */

static void events_that_name_the_person(void **state)
{
    struct bench *bench = *state;
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_identify(bench, "ADA@Example.COM", "n", "2", 0);
    bench_identify(bench, "bob@example.com", "n", "1", 0);
    bench_identify(bench, "bada@example.com", "n", "1", 0);
    page_at(bench, 1, "email=ada%40example.com");
    page_at(bench, 1, "nobody"); /* the same cookie: it does not name her */
    bench_event(bench, MKTO_CALL_TRACK, bench_cookie(bench, 2),
                "{\"userId\":\"7\",\"event\":\"E\",\"context\":{\"traits\":{\"email\":"
                "\"ada\\u0040example.com\"}}}");
    bench_event(bench, MKTO_CALL_TRACK, bench_cookie(bench, 2),
                "{\"userId\":\"ada@example.com\",\"event\":\"E\"}");
    bury(bench, "ada@example.com", "gave_up", BENCH_NOW);
    bury(bench, "bob@example.com", "gave_up", BENCH_NOW);
    bench_start(bench);
    const struct sum plan = forget_all(bench, "ada@example.com", "");
    assert_int_equal(plan.events, 5);
    assert_int_equal(plan.dead, 1);
    assert_int_equal(bench_waiting(bench), 8);
    assert_int_equal(bench_dead(bench), 2);
    assert_true(traces(bench, "ada@example.com") > 0);
    const struct sum done = forget_all(bench, "ada@example.com", APPLY);
    assert_int_equal(done.events, 5);
    assert_int_equal(done.dead, 1);
    assert_int_equal(bench_waiting(bench), 3);
    assert_int_equal(bench_dead(bench), 1);
    /* what is left of these bytes is another's */
    assert_int_equal(traces(bench, "ada@example.com"), traces(bench, "bada@example.com"));
    assert_int_equal(traces(bench, "ada%40example.com"), 0);
    assert_int_equal(traces(bench, "ada\\u0040example.com"), 0);
    assert_true(traces(bench, "bob@example.com") > 0);
    bench->model = bench_kind;
    bench_run(bench, 60000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_count(bench, bench_is_visit), 1);
    bench_quiet(bench);
}

static void what_is_remembered(void **state)
{
    struct bench *bench = *state;
    uint64_t digest;
    int64_t at;
    bench->model = bench_kind;
    bench_subscription(bench, &bench->sub[1], "b");
    bench->config.subscription_count = 2;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_identify(bench, "bob@example.com", "n", "1", 2);
    bench_run(bench, 10000);
    struct mkto_error err = MKTO_ERROR_INIT;
    const uint64_t other = mkto_lane_of_email("b/561-HYG-937", "ada@example.com");
    assert_int_equal(mkto_spool_begin(bench->spool, &err), 0);
    mkto_spool_known_put(bench->spool, other, 99, 5, BENCH_NOW, &err);
    mkto_spool_sent_put(bench->spool, other, 1, BENCH_NOW, &err);
    assert_int_equal(mkto_spool_commit(bench->spool, &err), 0);
    const uint64_t ada = mkto_lane_of_email("/561-HYG-937", "ada@example.com");
    const uint64_t bob = mkto_lane_of_email("/561-HYG-937", "bob@example.com");
    assert_true(mkto_spool_sent_get(bench->spool, ada, &digest, &at));
    const struct sum plan = forget_all(bench, "Ada@example.com", "");
    const struct sum done = forget_all(bench, "Ada@example.com", APPLY);
    assert_int_equal(plan.known, 3); /* the cookie, the lead's id, the other subscription's */
    assert_int_equal(plan.sent, 2);
    assert_int_equal(done.known, 3);
    assert_int_equal(done.sent, 2);
    assert_false(mkto_spool_sent_get(bench->spool, ada, &digest, &at));
    assert_false(mkto_spool_sent_get(bench->spool, other, &digest, &at));
    assert_true(mkto_spool_sent_get(bench->spool, bob, &digest, &at));
    assert_int_equal(mkto_spool_known_get(bench->spool, ada, 0), 0);
    assert_true(mkto_spool_known_get(bench->spool, bob, 0) != 0);
    const struct sum again = forget_all(bench, "ada@example.com", APPLY);
    assert_int_equal(again.known + again.sent + again.events + again.dead, 0);
    assert_int_equal(traces(bench, "ada@example.com"), 0);
}

static void damaged_events(void **state)
{
    struct bench *bench = *state;
    struct mkto_error err = MKTO_ERROR_INIT;
    int64_t id = 0;
    /* no envelope at all, as far as anybody can tell */
    assert_int_equal(mkto_spool_begin(bench->spool, &err), 0);
    assert_int_equal(mkto_spool_append(bench->spool, MKTO_SLICE_LIT("\x01 \"ada@example.com\""), 0,
                                       BENCH_NOW, &id, &err),
                     0);
    assert_int_equal(mkto_spool_commit(bench->spool, &err), 0);
    const struct sum done = forget_all(bench, "ada@example.com", APPLY);
    assert_int_equal(done.events, 1);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(traces(bench, "ada@example.com"), 0);
}

/* ---- calls under way ---- */

static void waits_for_a_call(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bench_run(bench, 2000);
    bench_answer(bench, bench_nth(bench, bench_is_token, 0), 200, bench_token());
    bench_run(bench, 2000);
    bench_identify(bench, "eve@example.com", "n", "1", 0);
    bench_event(bench, MKTO_CALL_TRACK, bench_cookie(bench, 2),
                "{\"userId\":\"ada@example.com\",\"event\":\"E\"}");
    assert_false(forget_all(bench, "ada@example.com", "").busy); /* a plan waits for nobody */
    struct sum sum = forget_all(bench, "ada@example.com", APPLY);
    assert_true(sum.busy);
    assert_int_equal(sum.events, 0);
    assert_int_equal(bench_waiting(bench), 3);
    bench_answer(bench, bench_nth(bench, bench_is_sync, 0), 500, "");
    bench_run(bench, 100);
    assert_true(forget_all(bench, "ada@example.com", APPLY).busy); /* the visit still is */
    assert_int_equal(bench_waiting(bench), 2);
    bench_answer(bench, bench_nth(bench, bench_is_visit, 0), 500, "");
    bench_run(bench, 100);
    sum = forget_all(bench, "ada@example.com", APPLY);
    assert_false(sum.busy);
    assert_int_equal(sum.events, 1); /* the other one was removed by the part before */
    assert_int_equal(sum.tried, 1);
    assert_int_equal(bench_waiting(bench), 1);
    assert_int_equal(traces(bench, "ada@example.com"), 0);
}

static void passes_a_call(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bench_run(bench, 2000);
    bench_answer(bench, bench_nth(bench, bench_is_token, 0), 200, bench_token());
    bench_run(bench, 2000);
    bury(bench, "ada@example.com", "gave_up", BENCH_NOW);
    const struct sum sum = forget_all(bench, "ada@example.com", APPLY ",\"pass\":true");
    assert_false(sum.busy);
    assert_int_equal(sum.passed, 1);
    assert_int_equal(sum.events, 0);
    assert_int_equal(sum.dead, 1);
    struct bench_call *sync = bench_nth(bench, bench_is_sync, 0);
    bench_answer(bench, sync, 200, bench_synced(bench, sync));
    bench_run(bench, 100);
    assert_int_equal(bench_counter(bench, "delivered"), 1);
}

/* ---- parts ---- */

static uint64_t tired_mono(void *ctx)
{
    return ((struct bench *)ctx)->mono++;
}

static void comes_in_parts(void **state)
{
    struct bench *bench = *state;
    bench_bulk(bench);
    for (unsigned i = 0; i < 2 * MKTO_DESK_CHANGES_MAX + 1; i++) {
        bench_identify(bench, "ada@example.com", "n", "1", 0);
        bench_identify(bench, "bob@example.com", "n", "1", 0);
    }
    bench_bulk_end(bench);
    const struct mkto_json *part =
        ask_forget(bench, "{\"email\":\"ada@example.com\",\"apply\":true}");
    assert_int_equal(number(part, "events"), MKTO_DESK_CHANGES_MAX);
    assert_string_equal(text(part, "phase"), "events");
    struct sum sum = forget_all(bench, "ada@example.com", APPLY);
    assert_int_equal(sum.events, MKTO_DESK_CHANGES_MAX + 1);
    assert_int_equal(bench_waiting(bench), 2 * MKTO_DESK_CHANGES_MAX + 1);
    assert_int_equal(traces(bench, "ada@example.com"), 0);
    bench->clock.mono_ms = tired_mono;
    const unsigned reads = (2 * MKTO_DESK_CHANGES_MAX + 1) / MKTO_DESK_ROWS;
    sum = forget_all(bench, "bob@example.com", "");
    assert_int_equal(sum.events, 2 * MKTO_DESK_CHANGES_MAX + 1);
    assert_true(sum.parts >= reads / MKTO_DESK_MS);
    sum = forget_all(bench, "bob@example.com", APPLY);
    assert_int_equal(sum.events, 2 * MKTO_DESK_CHANGES_MAX + 1);
    assert_int_equal(bench_waiting(bench), 0);
}

/* What comes in meanwhile is not looked at. */
static void ends_where_it_began(void **state)
{
    struct bench *bench = *state;
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    const struct mkto_json *part = ask_forget(bench, "{\"email\":\"ada@example.com\"}");
    bench_identify(bench, "ada@example.com", "n", "2", 0);
    const char *more = apr_psprintf(bench->pool, APPLY ",\"until\":%ld", number(part, "until"));
    assert_int_equal(forget_all(bench, "ada@example.com", more).events, 1);
    assert_int_equal(bench_waiting(bench), 1);
}

/* ---- mistakes ---- */

static void bad_questions(void **state)
{
    struct bench *bench = *state;
    static const struct {
        const char *question;
        const char *why;
    } rows[] = {
        {"", "the text ends too soon"},
        {"{}", "this is no e-mail"},
        {"{\"email\":7}", "this is no e-mail"},
        {"{\"email\":\"ada\"}", "this is no e-mail"},
        {"{\"email\":\"a@b\",\"phase\":\"x\"}", "there is no such phase"},
        {"{\"email\":\"a@b\",\"phase\":\"done\"}", "there is no such phase"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mkto_json *answer = ask_forget(bench, rows[i].question);
        if (strstr(text(answer, "error"), rows[i].why) == NULL) {
            fail_msg("%s: %s", rows[i].question, text(answer, "error"));
        }
    }
}

static void events_in_memory_are_not_passed_over(void **state)
{
    struct bench *bench = *state;
    const struct mkto_desk desk = desk_of(bench);
    const struct mkto_slice plan = MKTO_SLICE_LIT("{\"email\":\"a@b\"}");
    const struct mkto_slice apply = MKTO_SLICE_LIT("{\"email\":\"a@b\",\"apply\":true}");
    const struct mkto_json *answer = parsed(bench, mkto_forget_answer(&desk, 3, plan, bench->pool));
    assert_null(mkto_json_get(answer, "error"));
    answer = parsed(bench, mkto_forget_answer(&desk, 3, apply, bench->pool));
    assert_non_null(strstr(text(answer, "error"), "3 events wait in memory"));
}

static void a_failing_spool_changes_nothing(void **state)
{
    struct bench *bench = *state;
    static const char *const phases[] = {"events", "dead", "known", "sent", "files"};
    struct mkto_error err = MKTO_ERROR_INIT;
    bench_identify(bench, "ada@example.com", "n", "1", 0);
    bury(bench, "ada@example.com", "gave_up", BENCH_NOW);
    assert_int_equal(mkto_spool_begin(bench->spool, &err), 0);
    for (size_t i = 0; i < 5; i++) {
        const struct mkto_json *answer = ask_forget(
            bench, apr_psprintf(bench->pool,
                                "{\"email\":\"ada@example.com\",\"apply\":true,\"phase\":\"%s\"}",
                                phases[i]));
        assert_non_null(strstr(text(answer, "error"), "inside of a transaction"));
    }
    mkto_spool_rollback(bench->spool);
    assert_int_equal(bench_waiting(bench), 1);
    assert_int_equal(bench_dead(bench), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_that_name_the_person),
        TEST(what_is_remembered),
        TEST(damaged_events),
        TEST(waits_for_a_call),
        TEST(passes_a_call),
        TEST(comes_in_parts),
        TEST(ends_where_it_began),
        TEST(bad_questions),
        TEST(events_in_memory_are_not_passed_over),
        TEST(a_failing_spool_changes_nothing),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
