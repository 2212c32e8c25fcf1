/*
 * Intake: what is stored and answered, and what is never answered although it was not stored.
 */
#include "intake_bench.h"

#include "full_disk.h"

static void stores_and_answers(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    const char *body = "{\"event\":\"Signed Up\",\"userId\":\"u1\"}";
    expect(bench, &(struct shot){.body = body, .request_id = "r1"}, MKTO_ANSWER_STORED, "");
    assert_int_equal(mkto_spool_waiting(bench->spool), 1);
    assert_int_equal(mkto_intake_last_id(bench->intake), 1);
    const struct mkto_envelope envelope = stored_at(bench, 1);
    assert_int_equal(envelope.call, MKTO_CALL_TRACK);
    assert_true(mkto_slice_is(envelope.body, body));
    assert_true(mkto_slice_is(envelope.request_id, "r1"));
    assert_true(mkto_slice_is(envelope.host, "www.example.com"));
}

static void one_commit_a_turn(void **state)
{
    struct bench *bench = *state;
    struct mkto_frame frame;
    struct mkto_verdict_frame verdict;
    char body[128];
    start_client(bench);
    for (int i = 0; i < 100; i++) {
        snprintf(body, sizeof(body), "{\"event\":\"E\",\"userId\":\"u%d\"}", i);
        shoot(bench, &(struct shot){.body = body});
    }
    turn(bench);
    receive(bench, bench->client);
    assert_true(next_frame(bench, &frame));
    struct mkto_verdict_iter iter = {0};
    for (uint64_t seq = 1; seq <= 100; seq++) {
        assert_int_equal(mkto_verdicts_next(&frame, &iter, &verdict, NULL), 1);
        assert_int_equal(verdict.seq, seq);
        assert_int_equal(verdict.answer, MKTO_ANSWER_STORED);
    }
    assert_false(next_frame(bench, &frame)); /* one frame for all */
    assert_int_equal(mkto_spool_waiting(bench->spool), 100);
}

static void duplicates_are_stored_once(void **state)
{
    struct bench *bench = *state;
    char body[128];
    start_client(bench);
    snprintf(body, sizeof(body), TRACK, "m1");
    expect(bench, &(struct shot){.body = body}, MKTO_ANSWER_STORED, NULL);
    expect(bench, &(struct shot){.body = body}, MKTO_ANSWER_STORED, NULL);
    shoot(bench, &(struct shot){.body = body});
    turn(bench);
    const char *no_id = "{\"event\":\"E\",\"userId\":\"u\"}";
    receive(bench, bench->client);
    bench->in_at = bench->in_len;
    expect(bench, &(struct shot){.body = no_id, .request_id = "r7"}, MKTO_ANSWER_STORED, NULL);
    expect(bench, &(struct shot){.body = no_id, .request_id = "r7"}, MKTO_ANSWER_STORED, NULL);
    expect(bench, &(struct shot){.body = no_id, .request_id = "r8"}, MKTO_ANSWER_STORED, NULL);
    assert_int_equal(mkto_spool_waiting(bench->spool), 3);
    test_wall += MKTO_SPOOL_SEEN_FOR_MS + 120000;
    assert_true(mkto_spool_trim(bench->spool, test_wall, NULL) >= 0);
    expect(bench, &(struct shot){.body = body}, MKTO_ANSWER_STORED, NULL);
    assert_int_equal(mkto_spool_waiting(bench->spool), 4);
}

static void past_its_deadline(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    const char *body = "{\"event\":\"E\",\"userId\":\"u\"}";
    expect(bench, &(struct shot){.body = body, .deadline_ms = test_mono}, MKTO_ANSWER_EXPIRED,
           NULL);
    assert_int_equal(mkto_spool_waiting(bench->spool), 0);
    expect(bench, &(struct shot){.body = body, .deadline_ms = test_mono + 1}, MKTO_ANSWER_STORED,
           NULL);
}

static void bad_events_are_refused(void **state)
{
    struct bench *bench = *state;
    static char big[MKTO_EVENT_MAX + 64];
    static const char *const bodies[] = {
        "",
        "{",
        "[]",
        "nonsense",
        "{\"event\":\"E\"}",
        "{\"userId\":\"u\"}",
        "{\"event\":7,\"userId\":\"u\"}",
    };
    start_client(bench);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        expect(bench, &(struct shot){.body = bodies[i]}, MKTO_ANSWER_BAD_REQUEST, NULL);
    }
    memset(big, ' ', sizeof(big));
    memcpy(big, "{\"event\":\"E\",\"userId\":\"u\"}", 26);
    expect(bench, &(struct shot){.body = big, .body_len = MKTO_EVENT_MAX}, MKTO_ANSWER_STORED,
           NULL);
    expect(bench, &(struct shot){.body = big, .body_len = MKTO_EVENT_MAX + 1},
           MKTO_ANSWER_TOO_LARGE, NULL);
    assert_int_equal(mkto_spool_waiting(bench->spool), 1);
}

static void what_can_never_be_delivered(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    expect(
        bench,
        &(struct shot){.call = MKTO_CALL_ALIAS, .body = "{\"userId\":\"u\",\"previousId\":\"v\"}"},
        MKTO_ANSWER_FILTERED, NULL);
    expect(bench,
           &(struct shot){
               .body = "{\"event\":\"E\",\"userId\":\"u\",\"integrations\":{\"Marketo\":false}}"},
           MKTO_ANSWER_FILTERED, NULL);
    expect(bench,
           &(struct shot){.call = MKTO_CALL_IDENTIFY,
                          .body = "{\"userId\":\"u\",\"traits\":{\"name\":\"Ann\"},"
                                  "\"integrations\":{\"Marketo\":false}}"},
           MKTO_ANSWER_FILTERED, NULL);
    assert_int_equal(mkto_spool_waiting(bench->spool), 0);
}

static void batches_are_taken_apart(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    expect(bench,
           &(struct shot){.call = MKTO_CALL_BATCH,
                          .request_id = "r",
                          .body = "{\"context\":{\"app\":{\"name\":\"x\"}},\"batch\":["
                                  "{\"type\":\"track\",\"event\":\"A\",\"userId\":\"u\"},"
                                  "{\"type\":\"track\",\"userId\":\"u\"},"
                                  "{\"type\":\"page\",\"userId\":\"u\",\"messageId\":\"m\","
                                  "\"properties\":{\"url\":\"https://www.example.com/a\"}}]}"},
           MKTO_ANSWER_STORED,
           "{\"success\":true,\"rejected\":[{\"index\":1,\"error\":\"batch[1]: event: must be a "
           "non-empty string\"}],\"rejected_total\":1}");
    assert_int_equal(mkto_spool_waiting(bench->spool), 2);
    const struct mkto_envelope first = stored_at(bench, 1);
    assert_int_equal(first.call, MKTO_CALL_TRACK);
    assert_true(mkto_slice_is(first.body, "{\"type\":\"track\",\"event\":\"A\",\"userId\":\"u\"}"));
    assert_true(mkto_slice_is(first.defaults, "{\"context\":{\"app\":{\"name\":\"x\"}}}"));
    assert_true(mkto_slice_is(first.request_id, "r:0"));
    const struct mkto_envelope second = stored_at(bench, 2);
    assert_int_equal(second.call, MKTO_CALL_PAGE);
    assert_true(mkto_slice_is(second.request_id, "r:2"));
}

static void batch_sent_again(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    const struct shot shot = {.call = MKTO_CALL_BATCH,
                              .request_id = "r",
                              .body = "{\"batch\":["
                                      "{\"type\":\"track\",\"event\":\"A\",\"userId\":\"u\"},"
                                      "{\"type\":\"track\",\"event\":\"A\",\"userId\":\"u\"}]}"};
    expect(bench, &shot, MKTO_ANSWER_STORED, "");
    expect(bench, &shot, MKTO_ANSWER_STORED, "");
    assert_int_equal(mkto_spool_waiting(bench->spool), 2);
}

static void batch_of_nothing_good(void **state)
{
    struct bench *bench = *state;
    static char body[8192];
    start_client(bench);
    expect(bench, &(struct shot){.call = MKTO_CALL_BATCH, .body = "{\"batch\":[]}"},
           MKTO_ANSWER_BAD_REQUEST, NULL);
    expect(bench, &(struct shot){.call = MKTO_CALL_BATCH, .body = "{}"}, MKTO_ANSWER_BAD_REQUEST,
           NULL);
    int len = snprintf(body, sizeof(body), "{\"batch\":[1");
    for (int i = 1; i < MKTO_INTAKE_REJECTED_MAX + 5; i++) {
        len += snprintf(body + len, sizeof(body) - (size_t)len, ",1");
    }
    snprintf(body + len, sizeof(body) - (size_t)len, "]}");
    const uint64_t seq = shoot(bench, &(struct shot){.call = MKTO_CALL_BATCH, .body = body});
    turn(bench);
    receive(bench, bench->client);
    assert_null(memmem(bench->in + bench->in_at, bench->in_len - bench->in_at, "\"index\":10", 10));
    assert_non_null(
        memmem(bench->in + bench->in_at, bench->in_len - bench->in_at, "\"index\":9", 9));
    assert_non_null(memmem(bench->in + bench->in_at, bench->in_len - bench->in_at,
                           "\"rejected_total\":15", 19));
    expect_verdict(bench, seq, MKTO_ANSWER_BAD_REQUEST, NULL);
    assert_int_equal(mkto_spool_waiting(bench->spool), 0);
}

static void write_keys(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    const char *body = "{\"event\":\"E\",\"userId\":\"u\"}";
    const char *keyed = "{\"event\":\"E\",\"userId\":\"u\",\"writeKey\":\"wk_secret\"}";
    const char *wrong = "{\"event\":\"E\",\"userId\":\"u\",\"writeKey\":\"wk_secre\"}";
    expect(bench, &(struct shot){.body = body}, MKTO_ANSWER_UNAUTHORIZED, NULL);
    expect(bench, &(struct shot){.body = wrong}, MKTO_ANSWER_UNAUTHORIZED, NULL);
    expect(bench, &(struct shot){.body = body, .flags = MKTO_ENVELOPE_KEYED},
           MKTO_ANSWER_UNAUTHORIZED, NULL);
    assert_int_equal(mkto_spool_waiting(bench->spool), 0);
    expect(bench, &(struct shot){.body = keyed}, MKTO_ANSWER_STORED, NULL);
    expect(bench, &(struct shot){.body = body, .authorization = "Basic d2tfc2VjcmV0Og=="},
           MKTO_ANSWER_STORED, NULL);
    expect(bench, &(struct shot){.body = wrong, .flags = MKTO_ENVELOPE_BROWSER}, MKTO_ANSWER_STORED,
           NULL);
    expect(bench,
           &(struct shot){.call = MKTO_CALL_BATCH,
                          .body = "{\"writeKey\":\"wk_secret\",\"batch\":[{\"type\":\"track\","
                                  "\"event\":\"E\",\"userId\":\"u\"}]}"},
           MKTO_ANSWER_STORED, NULL);
    assert_int_equal(stored_at(bench, 1).flags, MKTO_ENVELOPE_KEYED);
    assert_int_equal(stored_at(bench, 2).flags, MKTO_ENVELOPE_KEYED);
    assert_int_equal(stored_at(bench, 3).flags, MKTO_ENVELOPE_BROWSER);
    assert_int_equal(stored_at(bench, 4).flags, MKTO_ENVELOPE_KEYED);
    /* a key that stands in a page is everybody's: it names the source, and nothing more */
    expect(bench, &(struct shot){.body = keyed, .flags = MKTO_ENVELOPE_BROWSER}, MKTO_ANSWER_STORED,
           NULL);
    assert_int_equal(stored_at(bench, 5).flags, MKTO_ENVELOPE_BROWSER);
    assert_true(mkto_slice_is(stored_at(bench, 5).source, "site"));
}

static void keyed_is_ours_to_say(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    expect(bench,
           &(struct shot){.body = "{\"event\":\"E\",\"userId\":\"u\"}",
                          .flags = MKTO_ENVELOPE_KEYED | MKTO_ENVELOPE_HTTPS,
                          .defaults = "{\"context\":{}}"},
           MKTO_ANSWER_STORED, NULL);
    const struct mkto_envelope envelope = stored_at(bench, 1);
    assert_int_equal(envelope.flags, MKTO_ENVELOPE_HTTPS);
    assert_null(envelope.defaults.data);
}

static void unknown_subscription(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    const struct shot shot = {.body = "{\"event\":\"E\",\"userId\":\"u\"}",
                              .subscription = "brand-x"};
    expect(bench, &shot, MKTO_ANSWER_AWAY, NULL);
    expect(bench, &shot, MKTO_ANSWER_AWAY, NULL);
    assert_int_equal(bench->lines, 1);
    assert_non_null(strstr(bench->line, "MKTO0206"));
    assert_non_null(strstr(bench->line, "brand-x"));
    test_mono += MKTO_INTAKE_SAY_MS;
    expect(bench, &shot, MKTO_ANSWER_AWAY, NULL);
    assert_int_equal(bench->lines, 2);
}

/* ---- when the spool cannot ---- */

static void nothing_of_a_failed_turn_is_acknowledged(void **state)
{
    struct bench *bench = *state;
    struct mkto_frame frame;
    struct mkto_verdict_frame verdict;
    struct mkto_verdict_iter iter = {0};
    start_client(bench);
    const char *body = "{\"event\":\"E\",\"userId\":\"u\"}";
    expect(bench, &(struct shot){.body = body, .request_id = "r0"}, MKTO_ANSWER_STORED, NULL);
    shoot(bench, &(struct shot){.body = body, .request_id = "r1"});
    shoot(bench, &(struct shot){.body = "nonsense"});
    shoot(bench, &(struct shot){.body = body, .request_id = "r1"}); /* of this turn */
    shoot(bench, &(struct shot){.body = body, .request_id = "r2"});
    const struct rlimit old = full_disk_begin(1000);
    turn(bench);
    full_disk_end(old);
    receive(bench, bench->client);
    assert_true(next_frame(bench, &frame));
    static const enum mkto_answer answers[] = {MKTO_ANSWER_FULL, MKTO_ANSWER_BAD_REQUEST,
                                               MKTO_ANSWER_FULL, MKTO_ANSWER_FULL};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(mkto_verdicts_next(&frame, &iter, &verdict, NULL), 1);
        assert_int_equal(verdict.answer, answers[i]);
    }
    assert_int_equal(mkto_spool_waiting(bench->spool), 1);
    assert_non_null(strstr(bench->line, "MKTO0201"));
    expect(bench, &(struct shot){.body = body, .request_id = "r1"}, MKTO_ANSWER_STORED, NULL);
    assert_int_equal(mkto_spool_waiting(bench->spool), 2);
    assert_non_null(strstr(bench->line, "MKTO0204"));
}

static void a_full_spool_answers_503(void **state)
{
    struct bench *bench = *state;
    static char body[20000];
    int taken = 0;
    start_client(bench);
    memset(body, ' ', sizeof(body) - 1);
    memcpy(body, "{\"event\":\"E\",\"userId\":\"u\"}", 26);
    for (;; taken++) {
        const uint64_t seq = shoot(bench, &(struct shot){.body = body});
        turn(bench);
        receive(bench, bench->client);
        if (mkto_intake_last_id(bench->intake) < taken + 1) {
            expect_verdict(bench, seq, MKTO_ANSWER_FULL, NULL);
            break;
        }
        bench->in_at = bench->in_len;
    }
    assert_true(taken > 3);
    assert_int_equal(bench->lines, 1);
    assert_int_equal(mkto_spool_waiting(bench->spool), taken);
    assert_int_equal(mkto_spool_begin(bench->spool, NULL), 0);
    for (int id = 1; id <= 3; id++) {
        assert_int_equal(mkto_spool_done(bench->spool, id, NULL), 0);
    }
    assert_int_equal(mkto_spool_commit(bench->spool, NULL), 0);
    expect(bench, &(struct shot){.body = body}, MKTO_ANSWER_STORED, NULL);
}

static void memory_is_answered_first_and_never_lost(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    const char *body = "{\"event\":\"E\",\"userId\":\"u\"}";
    const uint64_t seq =
        shoot(bench, &(struct shot){.body = body, .request_id = "r1", .ack = MKTO_ACK_MEMORY});
    const struct rlimit old = full_disk_begin(1000);
    turn(bench);
    expect_verdict(bench, seq, MKTO_ANSWER_STORED, NULL); /* although the commit failed */
    assert_int_equal(mkto_intake_retained(bench->intake), 1);
    assert_int_equal(mkto_spool_waiting(bench->spool), 0);
    expect(bench, &(struct shot){.body = body, .request_id = "r2", .ack = MKTO_ACK_MEMORY},
           MKTO_ANSWER_FULL, NULL); /* from now on memory waits for the disk */
    full_disk_end(old);
    test_mono += MKTO_INTAKE_RETAINED_MS;
    /* its client did not get the answer, and sends it again in the turn that stores it */
    expect(bench, &(struct shot){.body = body, .request_id = "r1"}, MKTO_ANSWER_STORED, NULL);
    assert_int_equal(mkto_intake_retained(bench->intake), 0);
    assert_int_equal(mkto_spool_waiting(bench->spool), 1);
    assert_true(mkto_slice_is(stored_at(bench, 1).request_id, "r1"));
}

/* A batch from memory has what waits for the disk in the same turn: it waits with it. */
static void memory_answers_for_no_other(void **state)
{
    struct bench *bench = *state;
    struct mkto_frame frame;
    struct mkto_verdict_iter iter = {0, 0};
    struct mkto_verdict_frame verdict;
    start_client(bench);
    const char *one = "{\"event\":\"E\",\"userId\":\"u\",\"messageId\":\"m1\"}";
    const char *many = "{\"batch\":[{\"type\":\"track\",\"event\":\"E\",\"userId\":\"u\","
                       "\"messageId\":\"m1\"}]}";
    shoot(bench, &(struct shot){.body = one});
    shoot(bench, &(struct shot){.call = MKTO_CALL_BATCH, .body = many, .ack = MKTO_ACK_MEMORY});
    shoot(bench, &(struct shot){.body = one, .ack = MKTO_ACK_MEMORY});
    const struct rlimit old = full_disk_begin(1000);
    turn(bench);
    full_disk_end(old);
    receive(bench, bench->client);
    assert_true(next_frame(bench, &frame));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(mkto_verdicts_next(&frame, &iter, &verdict, NULL), 1);
        assert_int_equal(verdict.answer, MKTO_ANSWER_FULL);
    }
    assert_int_equal(mkto_intake_retained(bench->intake), 0);
    assert_int_equal(mkto_spool_waiting(bench->spool), 0);
}

/* Nothing new comes, and the list is tried all the same. */
static void memory_is_stored_in_its_order_and_counted(void **state)
{
    struct bench *bench = *state;
    static const char *const ids[] = {"r1", "r2", "r3"};
    start_client(bench);
    for (size_t i = 0; i < 3; i++) {
        shoot(bench, &(struct shot){.body = "{\"event\":\"E\",\"userId\":\"u\"}",
                                    .request_id = ids[i],
                                    .ack = MKTO_ACK_MEMORY});
    }
    const struct rlimit old = full_disk_begin(1000);
    turn(bench);
    full_disk_end(old);
    assert_int_equal(mkto_intake_retained(bench->intake), 3);
    assert_int_equal(counted(bench, NULL, "accepted"), 0);
    test_mono += MKTO_INTAKE_RETAINED_MS;
    turn(bench);
    assert_int_equal(mkto_intake_retained(bench->intake), 0);
    for (int i = 0; i < 3; i++) {
        assert_true(mkto_slice_is(stored_at(bench, i + 1).request_id, ids[i]));
    }
    assert_int_equal(counted(bench, NULL, "accepted"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        INTAKE_TEST(stores_and_answers),
        INTAKE_TEST(one_commit_a_turn),
        INTAKE_TEST(duplicates_are_stored_once),
        INTAKE_TEST(past_its_deadline),
        INTAKE_TEST(bad_events_are_refused),
        INTAKE_TEST(what_can_never_be_delivered),
        INTAKE_TEST(batches_are_taken_apart),
        INTAKE_TEST(batch_sent_again),
        INTAKE_TEST(batch_of_nothing_good),
        cmocka_unit_test_setup_teardown(write_keys, setup_keys, teardown),
        INTAKE_TEST(keyed_is_ours_to_say),
        INTAKE_TEST(unknown_subscription),
        INTAKE_TEST(nothing_of_a_failed_turn_is_acknowledged),
        cmocka_unit_test_setup_teardown(a_full_spool_answers_503, setup_small, teardown),
        INTAKE_TEST(memory_is_answered_first_and_never_lost),
        INTAKE_TEST(memory_answers_for_no_other),
        INTAKE_TEST(memory_is_stored_in_its_order_and_counted),
    };
    apr_initialize();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
