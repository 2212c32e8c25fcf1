/*
 * What the spool does for dead letters and forgetting: reasons, lookups, and files without a trace.
 */
#include "spool_bench.h"

#include <apr_strings.h>
#include <inttypes.h>
#include <stdlib.h>

#define TRACE "forget.me@example.com"

/* ---- dead letters by reason ---- */

static void bury(struct bench *bench, int64_t id, const char *subscription, const char *reason)
{
    const struct mkto_spool_dead dead = {
        .id = id, .subscription = subscription, .kind = "lead", .reason = reason, .dead_ms = NOW};
    if (mkto_spool_bury(bench->spool, &dead, &bench->err) != 0) {
        fail_msg("%s", bench->err.text);
    }
}

static const char *reasons(struct bench *bench, const char *subscription, int max)
{
    struct mkto_spool_reason rows[8];
    const char *text = "";
    const int count =
        mkto_spool_dead_reasons(bench->spool, subscription, max, rows, &bench->err, bench->pool);
    assert_true(count >= 0 && count <= max);
    for (int i = 0; i < count; i++) {
        text = apr_psprintf(bench->pool, "%s%s/%s %" PRId64 ";", text, rows[i].subscription,
                            rows[i].reason, rows[i].letters);
    }
    return text;
}

static void reasons_are_counted(void **state)
{
    struct bench *bench = *state;
    int64_t id = 0;
    open_spool(bench, NOW);
    begin(bench);
    for (int i = 0; i < 6; i++) {
        append(bench, "x", 0, NOW);
    }
    bury(bench, 1, "", "gave_up");
    bury(bench, 2, "", "unknown_field");
    bury(bench, 3, "", "unknown_field");
    bury(bench, 4, "b", "unknown_field");
    commit(bench);
    assert_string_equal(reasons(bench, "", 8), "/unknown_field 2;/gave_up 1;");
    assert_string_equal(reasons(bench, "b", 8), "b/unknown_field 1;");
    assert_string_equal(reasons(bench, "c", 8), "");
    assert_string_equal(reasons(bench, NULL, 1), "/unknown_field 2;");
    begin(bench);
    bury(bench, 5, NULL, NULL); /* damaged: nobody knows whose it was */
    commit(bench);
    begin(bench);
    bury(bench, 6, "", "gave_up");
    mkto_spool_rollback(bench->spool);
    begin(bench);
    assert_int_equal(mkto_spool_dead_purge(bench->spool, 3, &bench->err), 0);
    assert_int_equal(mkto_spool_dead_replay(bench->spool, 1, &id, &bench->err), 0);
    commit(bench);
    mkto_spool_close(bench->spool);
    open_spool(bench, NOW);
    assert_string_equal(reasons(bench, "", 8), "/ 1;/unknown_field 1;");
    assert_int_equal(mkto_spool_dead_count(bench->spool), 3);
}

/* ---- looking ---- */

static void ids_are_known(void **state)
{
    struct bench *bench = *state;
    open_spool(bench, NOW);
    assert_int_equal(mkto_spool_last_id(bench->spool), 0);
    assert_false(mkto_spool_has(bench->spool, 1));
    store(bench, "one", 0);
    assert_true(mkto_spool_has(bench->spool, 1));
    begin(bench);
    assert_int_equal(mkto_spool_done(bench->spool, 1, &bench->err), 0);
    commit(bench);
    assert_false(mkto_spool_has(bench->spool, 1));
    assert_int_equal(mkto_spool_last_id(bench->spool), 1);
}

static void damaged_rows_show_their_bytes(void **state)
{
    struct bench *bench = *state;
    struct mkto_spool_row rows[2];
    struct mkto_spool_dead dead;
    open_spool(bench, NOW);
    store(bench, "one", 0);
    store(bench, "two", 0);
    mkto_spool_close(bench->spool);
    tamper(bench, "UPDATE event SET envelope = substr(envelope, 1, 4) || 'twO' WHERE id = 2");
    open_spool(bench, NOW);
    assert_int_equal(mkto_spool_read(bench->spool, 0, 2, rows, &bench->err, bench->pool), 2);
    assert_true(rows[0].raw.data == NULL && mkto_slice_is(rows[0].envelope, "one"));
    assert_true(rows[1].envelope.data == NULL && mkto_slice_is(rows[1].raw, "twO"));
    begin(bench);
    bury(bench, 2, "", "bad_row");
    commit(bench);
    assert_int_equal(mkto_spool_dead_read(bench->spool, 0, 1, &dead, &bench->err, bench->pool), 1);
    assert_true(dead.envelope.data == NULL && mkto_slice_is(dead.raw, "twO"));
}

static void a_tool_sets_nothing_aside(void **state)
{
    struct bench *bench = *state;
    char name[128];
    struct stat st;
    bench->options.create = false;
    file_name(bench, "spool.db", name);
    write_file(name, "this is not a database", 22, 0);
    open_fails(bench, "cannot be read as a database");
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(st.st_size, 22);
    assert_string_equal(bench->opened.set_aside, "");
}

static void a_tool_leaves_a_torn_schema(void **state)
{
    struct bench *bench = *state;
    char name[128];
    static char noise[8192];
    open_spool(bench, NOW);
    store(bench, "one", 1);
    mkto_spool_close(bench->spool);
    memset(noise, 0xa5, sizeof(noise));
    file_name(bench, "spool.db", name);
    write_file(name, noise, sizeof(noise) - 100, 100);
    bench->options.create = false;
    open_fails(bench, "cannot be read as a database");
    assert_string_equal(bench->opened.set_aside, "");
}

/* ---- what is remembered of a lead ---- */

static unsigned forget_known(struct bench *bench, uint64_t lead, bool drop, unsigned *steps)
{
    int64_t cursor = INT64_MIN;
    unsigned found = 0;
    for (*steps = 0; cursor != INT64_MAX; (*steps)++) {
        begin(bench);
        const int count = mkto_spool_known_forget(bench->spool, lead, drop, &cursor, &bench->err);
        assert_true(count >= 0);
        found += (unsigned)count;
        commit(bench);
    }
    return found;
}

static void known_cookies_are_forgotten(void **state)
{
    struct bench *bench = *state;
    unsigned steps = 0;
    uint64_t lead = 0;
    open_spool(bench, NOW);
    assert_int_equal(forget_known(bench, 7, true, &steps), 0);
    begin(bench);
    for (uint64_t i = 0; i < MKTO_SPOOL_KNOWN_LOOK + 10; i++) {
        const uint64_t token = i * 0x9e3779b97f4a7c15ULL;
        mkto_spool_known_put(bench->spool, i % 100 == 0 ? 7 : 8, token, 1, NOW, NULL);
        mkto_spool_known_put(bench->spool, 9, token, 1, NOW, NULL); /* two leads a cookie */
    }
    commit(bench);
    const unsigned all = MKTO_SPOOL_KNOWN_LOOK / 100 + 1;
    assert_int_equal(forget_known(bench, 7, false, &steps), all);
    assert_true(steps >= 2);
    assert_int_equal(forget_known(bench, 7, true, &steps), all);
    assert_int_equal(forget_known(bench, 7, false, &steps), 0);
    assert_int_equal(mkto_spool_known_get(bench->spool, 7, 0), 0);
    assert_int_equal(mkto_spool_known_get(bench->spool, 9, 0), 1);
    assert_int_equal(mkto_spool_known_lead(bench->spool, 0, &lead), 1);
    assert_true(lead == 9);
    assert_int_equal(forget_known(bench, 9, false, &steps), MKTO_SPOOL_KNOWN_LOOK + 10);
}

static void sent_is_forgotten(void **state)
{
    struct bench *bench = *state;
    uint64_t digest = 0;
    int64_t at = 0;
    open_spool(bench, NOW);
    assert_int_equal(mkto_spool_sent_drop(bench->spool, 7, &bench->err), -1);
    begin(bench);
    mkto_spool_sent_put(bench->spool, 7, 1, NOW, NULL);
    mkto_spool_sent_put(bench->spool, 8, 1, NOW, NULL);
    assert_int_equal(mkto_spool_sent_drop(bench->spool, 7, &bench->err), 1);
    assert_int_equal(mkto_spool_sent_drop(bench->spool, 7, &bench->err), 0);
    commit(bench);
    assert_false(mkto_spool_sent_get(bench->spool, 7, &digest, &at));
    assert_true(mkto_spool_sent_get(bench->spool, 8, &digest, &at));
}

/* ---- no trace in the files ---- */

static unsigned traces(const struct bench *bench, const char *file)
{
    char name[128];
    struct stat st;
    unsigned found = 0;
    file_name(bench, file, name);
    const int fd = open(name, O_RDONLY);
    if (fd < 0) {
        return 0;
    }
    assert_int_equal(fstat(fd, &st), 0);
    char *bytes = malloc((size_t)st.st_size + 1);
    assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
    close(fd); /* as a process of its own would: the spool is not used between these calls */
    const char *end = bytes + st.st_size;
    for (const char *at = bytes; (at = memmem(at, (size_t)(end - at), TRACE, strlen(TRACE)));
         at++) {
        found++;
    }
    free(bytes);
    return found;
}

/* Returns in how many pieces. */
static unsigned scrub_all(struct bench *bench)
{
    int64_t page = 0;
    unsigned pieces = 0;
    for (; page != MKTO_SPOOL_SCRUB_DONE; pieces++) {
        if (mkto_spool_scrub(bench->spool, &page, &bench->err) != 0) {
            fail_msg("%s", bench->err.text);
        }
    }
    return pieces;
}

#define EVENTS 6000

struct churn {
    bool waits[EVENTS + 1];
    bool dead[EVENTS + 1];
    bool traced[EVENTS + 1];
    unsigned seed;
};

static unsigned below(struct churn *churn, unsigned max)
{
    churn->seed = churn->seed * 1103515245u + 12345u;
    return (churn->seed >> 8) % max;
}

static void churn_in(struct bench *bench, struct churn *churn, unsigned id)
{
    static char text[30000];
    const unsigned len =
        below(churn, 20) == 0 ? 100 + below(churn, 25000) : 100 + below(churn, 900);
    for (unsigned i = 0; i < len; i++) {
        text[i] = (char)('a' + below(churn, 26));
    }
    text[len] = '\0';
    churn->traced[id] = below(churn, 50) == 0;
    if (churn->traced[id]) {
        memcpy(text + below(churn, len - 30), TRACE, strlen(TRACE));
    }
    assert_int_equal(append(bench, text, 0, NOW), id);
    churn->waits[id] = true;
}

/* One of those that came before is delivered, or becomes a dead letter; some of these are purged.
 */
static void churn_out(struct bench *bench, struct churn *churn, unsigned newest)
{
    const unsigned id = 1 + below(churn, newest);
    const unsigned letter = 1 + below(churn, newest);
    if (churn->waits[id] && below(churn, 8) == 0) {
        bury(bench, id, "", "r");
        churn->waits[id] = false;
        churn->dead[id] = true;
    } else if (churn->waits[id] && !churn->traced[id]) {
        assert_int_equal(mkto_spool_done(bench->spool, id, &bench->err), 0);
        churn->waits[id] = false;
    }
    if (churn->dead[letter] && !churn->traced[letter]) {
        assert_int_equal(mkto_spool_dead_purge(bench->spool, letter, &bench->err), 0);
        churn->dead[letter] = false;
    }
}

static void churn_forget(struct bench *bench, struct churn *churn)
{
    begin(bench);
    for (unsigned id = 1; id <= EVENTS; id++) {
        if (churn->traced[id] && churn->waits[id]) {
            assert_int_equal(mkto_spool_done(bench->spool, id, &bench->err), 0);
            churn->waits[id] = false;
        } else if (churn->traced[id] && churn->dead[id]) {
            assert_int_equal(mkto_spool_dead_purge(bench->spool, id, &bench->err), 0);
            churn->dead[id] = false;
        }
    }
    commit(bench);
}

/* All others are there, and whole. */
static void churn_check(struct bench *bench, const struct churn *churn)
{
    struct mkto_spool_row row;
    apr_pool_t *pool;
    apr_pool_create(&pool, bench->pool);
    for (unsigned id = 1; id <= EVENTS; id++) {
        const int found = mkto_spool_get(bench->spool, id, &row, &bench->err, pool);
        assert_int_equal(found, churn->waits[id] ? 1 : 0);
        assert_true(found == 0 || !row.bad);
        apr_pool_clear(pool);
    }
    apr_pool_destroy(pool);
}

static unsigned churn(struct bench *bench, unsigned seed)
{
    struct churn *churn = calloc(1, sizeof(*churn));
    churn->seed = seed;
    open_spool(bench, NOW);
    for (unsigned id = 1; id <= EVENTS; id += 20) {
        begin(bench);
        for (unsigned i = 0; i < 20; i++) {
            churn_in(bench, churn, id + i);
            churn_out(bench, churn, id + i);
            churn_out(bench, churn, id + i);
        }
        commit(bench);
    }
    assert_true(traces(bench, "spool.db") > 10);
    churn_forget(bench, churn);
    int64_t page = INT64_C(1) << 40; /* the WAL alone: how much does secure_delete leave? */
    assert_int_equal(mkto_spool_scrub(bench->spool, &page, &bench->err), 0);
    const unsigned left = traces(bench, "spool.db");
    assert_true(scrub_all(bench) >= 2);
    assert_int_equal(traces(bench, "spool.db"), 0);
    assert_int_equal(traces(bench, "spool.db-wal"), 0);
    churn_check(bench, churn);
    begin(bench); /* and it goes on from pages without a trace */
    for (unsigned i = 0; i < 50; i++) {
        append(bench, "after", 0, NOW);
    }
    commit(bench);
    mkto_spool_close(bench->spool);
    tamper(bench, "CREATE TEMP TABLE ok AS SELECT 1 / (integrity_check = 'ok') AS fine FROM"
                  " pragma_integrity_check; SELECT fine FROM ok");
    assert_int_equal(traces(bench, "spool.db"), 0);
    free(churn);
    return left;
}

static void forgotten_rows_leave_no_trace(void **state)
{
    struct bench *bench = *state;
    const unsigned seeds = getenv("MKTO_VALGRIND") == NULL ? 6 : 1;
    unsigned left = 0;
    bench->options.max_size = INT64_C(512) << 20;
    for (unsigned seed = 1; seed <= seeds; seed++) {
        char name[128];
        left += churn(bench, seed);
        file_name(bench, "spool.db", name);
        assert_int_equal(unlink(name), 0);
    }
    print_message("secure_delete alone left %u traces\n", left);
}

static void scrub_wants_no_transaction(void **state)
{
    struct bench *bench = *state;
    int64_t page = 0;
    open_spool(bench, NOW);
    begin(bench);
    assert_int_equal(mkto_spool_scrub(bench->spool, &page, &bench->err), -1);
    assert_non_null(strstr(bench->err.text, "inside of a transaction"));
    commit(bench);
    assert_int_equal(scrub_all(bench), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPOOL_TEST(reasons_are_counted),
        SPOOL_TEST(ids_are_known),
        SPOOL_TEST(damaged_rows_show_their_bytes),
        SPOOL_TEST(a_tool_sets_nothing_aside),
        SPOOL_TEST(a_tool_leaves_a_torn_schema),
        SPOOL_TEST(known_cookies_are_forgotten),
        SPOOL_TEST(sent_is_forgotten),
        SPOOL_TEST(forgotten_rows_leave_no_trace),
        SPOOL_TEST(scrub_wants_no_transaction),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
