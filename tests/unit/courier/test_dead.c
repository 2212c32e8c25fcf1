/* mkto_dead: the answers to "dead". */
#include "desk_bench.h"

#include <sqlite3.h>

#include "mkto_reason.h"

static const char *ids_of(struct bench *bench, const struct mkto_json *answer)
{
    const struct mkto_json *letters = mkto_json_get(answer, "letters");
    const char *out = "";
    assert_non_null(letters);
    for (const struct mkto_json *each = letters->first; each != NULL; each = each->next) {
        out = apr_psprintf(bench->pool, "%s%s%ld", out, out[0] == '\0' ? "" : " ",
                           number(each, "id"));
    }
    return out;
}

static const char *listed(struct bench *bench, const char *filter)
{
    const struct mkto_json *answer =
        ask_dead(bench, apr_psprintf(bench->pool, "{\"do\":\"list\"%s}", filter));
    assert_false(flag(answer, "more"));
    return ids_of(bench, answer);
}

static void fails(struct bench *bench, const char *question, const char *why)
{
    const struct mkto_json *answer = ask_dead(bench, question);
    assert_false(flag(answer, "success"));
    if (strstr(text(answer, "error"), why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", text(answer, "error"), why);
    }
}

/* ---- looking ---- */

static void lists_and_filters(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    assert_string_equal(listed(bench, ""), "");
    bury(bench, "ada@example.com", "gave_up", BENCH_NOW);
    bury(bench, "bob@example.com", "unknown_field", BENCH_NOW + 1000);
    bury(bench, "ada@example.com", "unknown_field", BENCH_NOW + 2000);
    assert_string_equal(listed(bench, ""), "1 2 3");
    assert_string_equal(listed(bench, ",\"reason\":\"unknown_field\""), "2 3");
    assert_string_equal(listed(bench, ",\"reason\":\"unknown\""), "");
    assert_string_equal(listed(bench, ",\"lead\":\"ADA@example.com\""), "1 3");
    assert_string_equal(listed(bench, ",\"lead\":\"da@example.com\""), "");
    assert_string_equal(listed(bench, ",\"subscription\":\"\""), "1 2 3");
    assert_string_equal(listed(bench, ",\"subscription\":\"b\""), "");
    assert_string_equal(listed(bench, ",\"before\":1790000001000"), "1");
    assert_string_equal(listed(bench, ",\"since\":1790000001000"), "2 3");
    assert_string_equal(listed(bench, ",\"since\":1790000001000,\"before\":1790000002000"), "2");
    assert_string_equal(listed(bench, ",\"after\":1,\"until\":2"), "2");
    assert_string_equal(listed(bench, ",\"reason\":\"gave_up\",\"lead\":\"bob@example.com\""), "");
}

/* A person's letter that does not name the person any more, but was on its lane. */
static void finds_a_lead_by_its_lane(void **state)
{
    struct bench *bench = *state;
    struct mkto_error err = MKTO_ERROR_INIT;
    bench_start(bench);
    const int64_t id = bench_page(bench, 1, "/");
    const struct mkto_spool_dead dead = {
        .id = id, .reason = "r", .lead = mkto_lane_of_email("/561-HYG-937", "ada@example.com")};
    assert_int_equal(mkto_spool_begin(bench->spool, &err), 0);
    assert_int_equal(mkto_spool_bury(bench->spool, &dead, &err), 0);
    assert_int_equal(mkto_spool_commit(bench->spool, &err), 0);
    assert_string_equal(listed(bench, ",\"lead\":\"Ada@Example.com\""), "1");
    assert_string_equal(listed(bench, ",\"lead\":\"bob@example.com\""), "");
}

static void shows_one(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    bury(bench, "ada@example.com", "unknown_field", BENCH_NOW);
    const struct mkto_json *letter =
        mkto_json_get(ask_dead(bench, "{\"do\":\"show\",\"ids\":[1]}"), "letter");
    assert_int_equal(number(letter, "id"), 1);
    assert_int_equal(number(letter, "dead"), BENCH_NOW);
    assert_int_equal(number(letter, "first"), BENCH_NOW - 5);
    assert_int_equal(number(letter, "received"), BENCH_NOW);
    assert_int_equal(number(letter, "attempts"), 2);
    assert_string_equal(text(letter, "kind"), "lead");
    assert_string_equal(text(letter, "type"), "identify");
    assert_string_equal(text(letter, "reason"), "unknown_field");
    assert_string_equal(text(letter, "answer"), "1006 Field 'n' not found");
    assert_string_equal(text(letter, "lead"), "1a2b3c4d");
    assert_false(flag(letter, "damaged"));
    assert_string_equal(text(letter, "event"), "{\"userId\":\"u-ada@example.com\",\"traits\":"
                                               "{\"email\":\"ada@example.com\",\"n\":\"1\"}}");
    assert_string_equal(text(mkto_json_get(letter, "request"), "host"), "www.example.com");
    assert_true(flag(mkto_json_get(letter, "request"), "https"));
    letter = mkto_json_get(ask_dead(bench, "{\"do\":\"show\",\"ids\":[2]}"), "letter");
    assert_int_equal(letter->type, MKTO_JSON_NULL);
    letter = mkto_json_get(ask_dead(bench, "{\"do\":\"show\",\"ids\":[]}"), "letter");
    assert_int_equal(letter->type, MKTO_JSON_NULL);
}

/* ---- dealing with them ---- */

static void plans_change_nothing(void **state)
{
    struct bench *bench = *state;
    static const char *const deeds[] = {"replay", "purge"};
    bench_start(bench);
    bury(bench, "ada@example.com", "gave_up", BENCH_NOW);
    bury(bench, "bob@example.com", "unknown_field", BENCH_NOW);
    bury(bench, "eve@example.com", "unknown_field", BENCH_NOW);
    for (size_t i = 0; i < 2; i++) {
        const struct mkto_json *plan =
            ask_dead(bench, apr_psprintf(bench->pool, "{\"do\":\"%s\"}", deeds[i]));
        assert_int_equal(number(plan, "count"), 3);
        assert_int_equal(number(mkto_json_get(plan, "reasons"), "unknown_field"), 2);
        assert_int_equal(number(mkto_json_get(plan, "reasons"), "gave_up"), 1);
        assert_int_equal(number(plan, "until"), 3);
    }
    assert_int_equal(bench_dead(bench), 3);
    assert_int_equal(bench_waiting(bench), 0);
}

static void purges(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    bury(bench, "ada@example.com", "gave_up", BENCH_NOW);
    bury(bench, "bob@example.com", "unknown_field", BENCH_NOW);
    const struct mkto_json *done =
        ask_dead(bench, "{\"do\":\"purge\",\"apply\":true,\"reason\":\"gave_up\"}");
    assert_int_equal(number(done, "count"), 1);
    assert_string_equal(listed(bench, ""), "2");
    done = ask_dead(bench, "{\"do\":\"purge\",\"apply\":true,\"ids\":[1,2,9]}");
    assert_int_equal(number(done, "count"), 1);
    const struct mkto_json *missing = mkto_json_get(done, "missing");
    assert_int_equal(missing->count, 2);
    assert_string_equal(missing->first->text.data, "1");
    assert_int_equal(bench_dead(bench), 0);
    assert_int_equal(bench_waiting(bench), 0);
}

/* Marketo refuses an event; when that is mended, the event is mapped again and delivered. */
static void replays_by_todays_config(void **state)
{
    struct bench *bench = *state;
    const struct mkto_config_field field = {.trait = "n", .name = "renamed"};
    bench_start(bench);
    const int64_t id = bury(bench, "ada@example.com", "unknown_field", BENCH_NOW);
    bench->model = bench_kind;
    bench_run(bench, 5000); /* its row is gone */
    bench->sub[0].fields = &field;
    bench->sub[0].field_count = 1;
    const struct mkto_json *done = ask_dead(bench, "{\"do\":\"replay\",\"apply\":true}");
    assert_int_equal(number(done, "count"), 1);
    assert_int_equal(bench_dead(bench), 0);
    assert_int_equal(bench_waiting(bench), 1);
    assert_int_equal(mkto_spool_last_id(bench->spool), id + 1);
    bench_run(bench, 5000);
    assert_int_equal(bench_waiting(bench), 0);
    const struct mkto_json *lead =
        mkto_json_get(bench_json(bench_nth(bench, bench_is_sync, 0)), "input")->first;
    assert_string_equal(text(lead, "renamed"), "1");
    assert_int_equal(bench_counter(bench, "delivered"), 1);
}

/* What dies again while a replay goes on is not replayed again: it is beyond "until". */
static void a_replay_ends(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    bury(bench, "ada@example.com", "gave_up", BENCH_NOW);
    const struct mkto_json *plan = ask_dead(bench, "{\"do\":\"replay\"}");
    bury(bench, "bob@example.com", "gave_up", BENCH_NOW);
    const struct mkto_json *done = ask_dead(
        bench, apr_psprintf(bench->pool, "{\"do\":\"replay\",\"apply\":true,\"until\":%ld}",
                            number(plan, "until")));
    assert_int_equal(number(done, "count"), 1);
    assert_string_equal(listed(bench, ""), "2");
}

static void damaged_ones_stay(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    bury(bench, "ada@example.com", "bad_row", BENCH_NOW);
    bury(bench, "bob@example.com", "gave_up", BENCH_NOW);
    mkto_dispatch_destroy(bench->dispatch);
    mkto_spool_close(bench->spool);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(apr_psprintf(bench->pool, "%s/spool.db", bench->path), &db),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "UPDATE dead SET envelope = substr(envelope, 1, 40)"
                                  " WHERE id = 1",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    bench_open(bench);
    bench_start(bench);
    const struct mkto_json *done = ask_dead(bench, "{\"do\":\"replay\",\"apply\":true}");
    assert_int_equal(number(done, "count"), 1);
    assert_int_equal(number(done, "damaged"), 1);
    const struct mkto_json *letter =
        mkto_json_get(ask_dead(bench, "{\"do\":\"show\",\"ids\":[1]}"), "letter");
    assert_true(flag(letter, "damaged"));
    assert_null(mkto_json_get(letter, "event"));
    assert_string_equal(listed(bench, ""), "1");
    done = ask_dead(bench, "{\"do\":\"purge\",\"apply\":true}");
    assert_int_equal(number(done, "count"), 1);
    assert_int_equal(bench_dead(bench), 0);
}

/* ---- parts ---- */

static void bury_many(struct bench *bench, unsigned count)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    const int64_t first = mkto_spool_last_id(bench->spool) + 1;
    bench_bulk(bench);
    for (unsigned i = 0; i < count; i++) {
        bench_identify(bench, "ada@example.com", "n", "1", 0);
        const struct mkto_spool_dead dead = {
            .id = first + i, .subscription = "", .reason = "gave_up", .dead_ms = BENCH_NOW};
        assert_int_equal(mkto_spool_bury(bench->spool, &dead, &err), 0);
    }
    bench_bulk_end(bench);
}

static unsigned in_parts(struct bench *bench, const char *question, long *total)
{
    unsigned parts = 0;
    long after = 0;
    bool more = true;
    for (*total = 0; more; parts++) {
        const struct mkto_json *answer =
            ask_dead(bench, apr_psprintf(bench->pool, "{%s,\"after\":%ld}", question, after));
        *total += number(answer, "count");
        after = number(answer, "after");
        more = flag(answer, "more");
    }
    return parts;
}

static void changes_come_in_parts(void **state)
{
    struct bench *bench = *state;
    long total = 0;
    bench_start(bench);
    bury_many(bench, MKTO_DESK_CHANGES_MAX);
    const struct mkto_json *done = ask_dead(bench, "{\"do\":\"purge\",\"apply\":true}");
    assert_int_equal(number(done, "count"), MKTO_DESK_CHANGES_MAX);
    bury_many(bench, MKTO_DESK_CHANGES_MAX + 1);
    done = ask_dead(bench, "{\"do\":\"purge\",\"apply\":true}");
    assert_int_equal(number(done, "count"), MKTO_DESK_CHANGES_MAX);
    assert_true(flag(done, "more"));
    assert_int_equal(bench_dead(bench), 1);
    bury_many(bench, 2 * MKTO_DESK_CHANGES_MAX);
    const long last = (long)mkto_spool_last_id(bench->spool);
    const char *replay =
        apr_psprintf(bench->pool, "\"do\":\"replay\",\"apply\":true,\"until\":%ld", last);
    assert_int_equal(in_parts(bench, replay, &total), 3);
    assert_int_equal(total, 2 * MKTO_DESK_CHANGES_MAX + 1);
    assert_int_equal(bench_waiting(bench), 2 * MKTO_DESK_CHANGES_MAX + 1);
}

static void lists_come_in_parts(void **state)
{
    struct bench *bench = *state;
    long total = 0;
    bench_start(bench);
    bury_many(bench, MKTO_DEAD_LIST_MAX);
    const struct mkto_json *answer = ask_dead(bench, "{\"do\":\"list\"}");
    assert_int_equal(mkto_json_get(answer, "letters")->count, MKTO_DEAD_LIST_MAX);
    bury_many(bench, 1);
    answer = ask_dead(bench, "{\"do\":\"list\"}");
    assert_int_equal(mkto_json_get(answer, "letters")->count, MKTO_DEAD_LIST_MAX);
    assert_true(flag(answer, "more"));
    assert_int_equal(in_parts(bench, "\"do\":\"list\"", &total), 2);
    assert_int_equal(total, MKTO_DEAD_LIST_MAX + 1);
}

/* Each look at the clock costs a millisecond here: a part must not hold up intake. */
static uint64_t tired_mono(void *ctx)
{
    return ((struct bench *)ctx)->mono++;
}

static void parts_are_short(void **state)
{
    struct bench *bench = *state;
    long total = 0;
    bench_start(bench);
    bury_many(bench, 10 * MKTO_DESK_ROWS);
    assert_int_equal(in_parts(bench, "\"do\":\"purge\"", &total), 1);
    bench->clock.mono_ms = tired_mono;
    const unsigned parts = in_parts(bench, "\"do\":\"purge\"", &total);
    assert_int_equal(parts, 10 / MKTO_DESK_MS + 1);
    assert_int_equal(total, 10 * MKTO_DESK_ROWS);
}

/* ---- many reasons ---- */

/* As many dead letters, each for a reason of its own; the last one's reason has two. */
static void bury_reasons(struct bench *bench, const char *subscription, int count)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    for (int i = 0; i <= count; i++) {
        const int64_t id = bench_identify(bench, "ada@example.com", "n", "1", 0);
        const struct mkto_spool_dead dead = {
            .id = id,
            .subscription = subscription,
            .reason = apr_psprintf(bench->pool, "r%d", i < count ? i : count - 1)};
        assert_int_equal(mkto_spool_begin(bench->spool, &err), 0);
        assert_int_equal(mkto_spool_bury(bench->spool, &dead, &err), 0);
        assert_int_equal(mkto_spool_commit(bench->spool, &err), 0);
    }
}

static void a_part_tells_so_many_reasons_apart(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    bury_reasons(bench, "", MKTO_DEAD_REASONS_MAX - 1);
    const struct mkto_json *plan = ask_dead(bench, "{\"do\":\"purge\"}");
    const struct mkto_json *reasons = mkto_json_get(plan, "reasons");
    assert_int_equal(reasons->count, MKTO_DEAD_REASONS_MAX - 1);
    assert_null(mkto_json_get(reasons, "other"));
    bury_reasons(bench, "", MKTO_DEAD_REASONS_MAX + 1);
    plan = ask_dead(bench, "{\"do\":\"purge\"}");
    reasons = mkto_json_get(plan, "reasons");
    assert_int_equal(reasons->count, MKTO_DEAD_REASONS_MAX);
    assert_int_equal(number(reasons, "other"), 3);
    assert_int_equal(number(plan, "count"), 2 * MKTO_DEAD_REASONS_MAX + 2);
}

static void the_status_names_the_most_frequent_reasons(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    bury_reasons(bench, "", MKTO_REASON_MAX);
    struct mkto_note note = mkto_reason_note(bench->spool, "", bench->pool);
    assert_int_equal(note.node->count, MKTO_REASON_MAX);
    assert_int_equal(number(note.node, "r63"), 2);
    bury_reasons(bench, "b", 3);
    note = mkto_reason_note(bench->spool, "b", bench->pool);
    assert_int_equal(note.node->count, 3);
    assert_int_equal(number(note.node, "r2"), 2);
    note = mkto_reason_note(bench->spool, NULL, bench->pool);
    assert_int_equal(number(note.node, "r2"), 3); /* of both */
    bury_reasons(bench, "", MKTO_REASON_MAX + 1);
    note = mkto_reason_note(bench->spool, "", bench->pool);
    assert_int_equal(note.node->count, MKTO_REASON_MAX);
    assert_int_equal(number(note.node, "r63"), 3);
}

/* ---- mistakes ---- */

static void bad_questions(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    fails(bench, "", "the text ends too soon");
    fails(bench, "[]", "no JSON object");
    fails(bench, "{}", "do is list, show, replay or purge");
    fails(bench, "{\"do\":1}", "do is list, show, replay or purge");
    fails(bench, "{\"do\":\"show\"}", "show which?");
    fails(bench, "{\"do\":\"purge\",\"ids\":1}", "ids is an array");
    fails(bench, "{\"do\":\"list\",\"lead\":\"ada\"}", "this is no e-mail");
    const char *ids = "1";
    for (int i = 1; i < MKTO_DEAD_IDS_MAX; i++) {
        ids = apr_pstrcat(bench->pool, ids, ",1", NULL);
    }
    const struct mkto_json *answer =
        ask_dead(bench, apr_psprintf(bench->pool, "{\"do\":\"purge\",\"ids\":[%s]}", ids));
    assert_int_equal(mkto_json_get(answer, "missing")->count, MKTO_DEAD_IDS_MAX);
    fails(bench, apr_psprintf(bench->pool, "{\"do\":\"purge\",\"ids\":[%s,1]}", ids),
          "at most 256 numbers");
}

static void a_failing_spool_changes_nothing(void **state)
{
    struct bench *bench = *state;
    struct mkto_error err = MKTO_ERROR_INIT;
    bench_start(bench);
    bury(bench, "ada@example.com", "gave_up", BENCH_NOW);
    assert_int_equal(mkto_spool_begin(bench->spool, &err), 0);
    fails(bench, "{\"do\":\"purge\",\"apply\":true}", "inside of a transaction");
    mkto_spool_rollback(bench->spool);
    assert_int_equal(bench_dead(bench), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lists_and_filters),
        TEST(finds_a_lead_by_its_lane),
        TEST(shows_one),
        TEST(plans_change_nothing),
        TEST(purges),
        TEST(replays_by_todays_config),
        TEST(a_replay_ends),
        TEST(damaged_ones_stay),
        TEST(changes_come_in_parts),
        TEST(lists_come_in_parts),
        TEST(parts_are_short),
        TEST(a_part_tells_so_many_reasons_apart),
        TEST(the_status_names_the_most_frequent_reasons),
        TEST(bad_questions),
        TEST(a_failing_spool_changes_nothing),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
