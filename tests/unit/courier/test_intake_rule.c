/* Who may send what, how fast, and what of it is stored. */
#include "intake_bench.h"

#define CREDENTIALS "rest_client_id = c\nrest_client_secret_file = /c\n"
#define RULES                                                                                      \
    "[marketo slow]\nmunchkin_id = AAA-BBB-CCC\nhost = b.example.com\nrate = 2\nrate_burst = 3\n"  \
    "events_deny = Secret\nanonymize_ip = on\n" CREDENTIALS                                        \
    "[marketo free]\nmunchkin_id = AAA-BBB-DDD\nhost = c.example.com\nrate = 0\n" CREDENTIALS      \
    "[sources]\nsite = wk_secret\n"

static int setup_rules(void **state)
{
    return setup_with(state, RULES, 64 << 20);
}

#define BODY "{\"event\":\"E\",\"userId\":\"u\"}"
#define SLOW .subscription = "slow", .body = BODY, .flags = MKTO_ENVELOPE_BROWSER

static void a_network_has_a_rate(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    for (int i = 0; i < 3; i++) {
        expect(bench, &(struct shot){SLOW, .address = "192.0.2.1"}, MKTO_ANSWER_STORED, NULL);
    }
    expect(bench, &(struct shot){SLOW, .address = "192.0.2.99"}, MKTO_ANSWER_RATE_LIMITED, NULL);
    expect(bench, &(struct shot){SLOW, .address = "2001:db8:1::1"}, MKTO_ANSWER_STORED, NULL);
    test_mono += 500;
    expect(bench, &(struct shot){SLOW, .address = "192.0.2.99"}, MKTO_ANSWER_STORED, NULL);
    assert_int_equal(counted(bench, "rejected_by", "rate"), 1);
    assert_int_equal(counted(bench, "answers", "rate_limited"), 1);
}

static void who_is_not_counted(void **state)
{
    static const char *const here[] = {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", ""};
    struct bench *bench = *state;
    start_client(bench);
    for (int i = 0; i < 10; i++) {
        expect(bench, &(struct shot){SLOW, .address = here[i % 5]}, MKTO_ANSWER_STORED, NULL);
        expect(bench,
               &(struct shot){.subscription = "slow",
                              .body = BODY,
                              .address = "192.0.2.1",
                              .authorization = "Bearer wk_secret"},
               MKTO_ANSWER_STORED, NULL);
        expect(bench,
               &(struct shot){.subscription = "free",
                              .body = BODY,
                              .flags = MKTO_ENVELOPE_BROWSER,
                              .address = "192.0.2.1"},
               MKTO_ANSWER_STORED, NULL);
    }
    for (int i = 0; i < 3; i++) { /* what is no address has a bucket, too */
        expect(bench, &(struct shot){SLOW, .address = "unknown"}, MKTO_ANSWER_STORED, NULL);
    }
    expect(bench, &(struct shot){SLOW, .address = "unknown"}, MKTO_ANSWER_RATE_LIMITED, NULL);
    expect(bench, /* a browser's key is in its page */
           &(struct shot){SLOW, .address = "unknown", .authorization = "Bearer wk_secret"},
           MKTO_ANSWER_RATE_LIMITED, NULL);
}

static void when_to_try_again(void **state)
{
    struct bench *bench = *state;
    struct mkto_frame frame;
    struct mkto_verdict_frame verdict;
    struct mkto_verdict_iter iter = {0};
    start_client(bench);
    expect(bench,
           &(struct shot){.call = MKTO_CALL_BATCH,
                          .subscription = "slow",
                          .flags = MKTO_ENVELOPE_BROWSER,
                          .address = "192.0.2.1",
                          .body = "{\"batch\":[{\"type\":\"track\",\"event\":\"A\",\"userId\":"
                                  "\"u\"},{\"type\":\"track\",\"event\":\"B\",\"userId\":\"u\"},"
                                  "{\"type\":\"track\",\"event\":\"C\",\"userId\":\"u\"},"
                                  "{\"type\":\"track\",\"event\":\"D\",\"userId\":\"u\"},"
                                  "{\"type\":\"track\",\"event\":\"F\",\"userId\":\"u\"}]}"},
           MKTO_ANSWER_STORED, NULL); /* 5 with 3 tokens: 2 are owed */
    shoot(bench, &(struct shot){SLOW, .address = "192.0.2.1"});
    turn(bench);
    receive(bench, bench->client);
    assert_true(next_frame(bench, &frame));
    assert_int_equal(mkto_verdicts_next(&frame, &iter, &verdict, NULL), 1);
    assert_int_equal(verdict.answer, MKTO_ANSWER_RATE_LIMITED);
    assert_int_equal(verdict.retry_after, 2); /* 3 tokens at 2 a second */
    test_mono += 1500;
    expect(bench, &(struct shot){SLOW, .address = "192.0.2.1"}, MKTO_ANSWER_STORED, NULL);
}

/* Nobody waits for the answer to a page view that the server recorded. */
static void page_views_over_the_rate(void **state)
{
    struct bench *bench = *state;
    const struct shot view = {.call = MKTO_CALL_PAGE,
                              .subscription = "slow",
                              .body = "{\"properties\":{\"url\":\"https://b.example.com/\"}}",
                              .cookie = "id:AAA-BBB-CCC&token:_mch-b.example.com-1-12345",
                              .flags = MKTO_ENVELOPE_SERVER | MKTO_ENVELOPE_BROWSER,
                              .address = "192.0.2.1"};
    start_client(bench);
    for (int i = 0; i < 3; i++) {
        expect(bench, &view, MKTO_ANSWER_STORED, NULL);
    }
    expect(bench, &view, MKTO_ANSWER_FILTERED, NULL);
    assert_int_equal(counted(bench, "filtered_by", "rate"), 1);
}

static void who_may_identify(void **state)
{
    const struct shot identify = {.call = MKTO_CALL_IDENTIFY,
                                  .body = "{\"traits\":{\"email\":\"tom@x.org\"}}",
                                  .flags = MKTO_ENVELOPE_BROWSER};
    struct bench *bench = *state;
    struct shot shot = identify;
    start_client(bench);
    expect(bench, &shot, MKTO_ANSWER_FORBIDDEN,
           "{\"success\":false,\"error\":\"identify: a page of another host may not say who a "
           "visitor is (identify = same_origin)\"}");
    shot.flags |= MKTO_ENVELOPE_OWN;
    expect(bench, &shot, MKTO_ANSWER_STORED, NULL);
    shot = identify;
    shot.authorization = "Basic d2tfc2VjcmV0Og==";
    expect(bench, &shot, MKTO_ANSWER_FORBIDDEN, NULL);
    shot.flags = 0;
    expect(bench, &shot, MKTO_ANSWER_STORED, NULL);
    assert_int_equal(counted(bench, "rejected_by", "identify"), 2);
}

static void each_item_of_a_batch(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    expect(bench,
           &(struct shot){
               .call = MKTO_CALL_BATCH,
               .subscription = "slow",
               .flags = MKTO_ENVELOPE_BROWSER,
               .body = "{\"batch\":[{\"type\":\"track\",\"event\":\"Secret\",\"userId\":\"u\"},"
                       "{\"type\":\"identify\",\"traits\":{\"email\":\"tom@x.org\"}},"
                       "{\"type\":\"track\",\"event\":\"Open\",\"userId\":\"u\"}]}"},
           MKTO_ANSWER_STORED,
           "{\"success\":true,\"rejected\":[{\"index\":1,\"error\":\"identify: a page of another "
           "host may not say who a visitor is (identify = same_origin)\"}],\"rejected_total\":1}");
    assert_int_equal(mkto_spool_waiting(bench->spool), 1);
    assert_int_equal(counted(bench, "filtered_by", "events_deny"), 1);
    assert_int_equal(counted(bench, "rejected_by", "identify"), 1);
}

static void only_the_network_is_stored(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    expect(bench, &(struct shot){SLOW, .address = "192.0.2.77"}, MKTO_ANSWER_STORED, NULL);
    struct mkto_envelope stored = stored_at(bench, 1);
    assert_true(mkto_slice_is(stored.remote_addr, "192.0.2.0"));
    assert_true(mkto_slice_is(stored.body, BODY));
    expect(bench,
           &(struct shot){.subscription = "slow",
                          .address = "2001:db8:1:2::3",
                          .authorization = "Bearer wk_secret",
                          .body = "{\"event\":\"E\",\"userId\":\"u\",\"context\":{\"ip\":"
                                  "\"198.51.100.9\"}}"},
           MKTO_ANSWER_STORED, NULL);
    stored = stored_at(bench, 2);
    assert_true(mkto_slice_is(stored.remote_addr, "2001:db8:1::"));
    assert_true(mkto_slice_is(stored.body, "{\"event\":\"E\",\"userId\":\"u\",\"context\":{\"ip\":"
                                           "\"198.51.100.0\"}}"));
    expect(bench,
           &(struct shot){.call = MKTO_CALL_BATCH,
                          .subscription = "slow",
                          .authorization = "Bearer wk_secret",
                          .body = "{\"context\":{\"ip\":\"198.51.100.9\"},\"batch\":[{\"type\":"
                                  "\"track\",\"event\":\"E\",\"userId\":\"u\"},{\"type\":\"track\","
                                  "\"event\":\"E\",\"userId\":\"u\",\"context\":{\"ip\":\"::9\"}}"
                                  "]}"},
           MKTO_ANSWER_STORED, NULL);
    stored = stored_at(bench, 3);
    assert_true(mkto_slice_is(stored.defaults, "{\"context\":{\"ip\":\"198.51.100.0\"}}"));
    assert_null(memmem(stored_at(bench, 4).body.data, stored_at(bench, 4).body.len, "::9", 3));
}

static void what_the_server_kept_away(void **state)
{
    struct bench *bench = *state;
    struct mkto_counts_frame counts = {
        .of = {[MKTO_SKIP_CONSENT] = 3, [MKTO_SKIP_BOT] = 70000, [MKTO_SKIP_MEDIA_TYPE] = 5}};
    uint8_t out[256];
    start_client(bench);
    for (int i = 0; i < 2; i++) {
        send_bytes(bench, bench->client, out, mkto_counts_frame_write(&counts, out));
        turn(bench);
    }
    assert_int_equal(counted(bench, "filtered_by", "consent"), 6);
    assert_int_equal(counted(bench, "filtered_by", "bot"), 140000);
    assert_int_equal(counted(bench, NULL, "filtered"), 140006);
    assert_int_equal(counted(bench, "rejected_by", "bad_media_type"), 10);
    assert_int_equal(counted(bench, "answers", "bad_media_type"), 10);
    assert_int_equal(counted(bench, NULL, "rejected"), 10);
    expect(bench, &(struct shot){SLOW}, MKTO_ANSWER_STORED, NULL); /* the connection goes on */
}

/* An SDK that got no answer sends the same with a new sentAt. */
static void sent_again(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    expect(bench,
           &(struct shot){.body = "{\"event\":\"E\",\"userId\":\"u\",\"messageId\":\"m\","
                                  "\"sentAt\":\"2023-11-14T22:13:20Z\"}"},
           MKTO_ANSWER_STORED, NULL);
    expect(bench,
           &(struct shot){.body = "{\"event\":\"E\",\"userId\":\"u\",\"messageId\":\"m\","
                                  "\"sentAt\":\"2023-11-14T22:14:20Z\"}"},
           MKTO_ANSWER_STORED, NULL);
    expect(bench,
           &(struct shot){.call = MKTO_CALL_BATCH,
                          .body = "{\"sentAt\":\"2023-11-14T22:15:20Z\",\"batch\":[{\"type\":"
                                  "\"track\",\"event\":\"E\",\"userId\":\"u\",\"messageId\":"
                                  "\"m\"}]}"},
           MKTO_ANSWER_STORED, NULL);
    assert_int_equal(mkto_spool_waiting(bench->spool), 1);
    assert_int_equal(counted(bench, NULL, "duplicates"), 2);
}

/* `integrations` of the batch hold for each item; its own win. */
static void switched_off_for_the_batch(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    expect(bench,
           &(struct shot){.call = MKTO_CALL_BATCH,
                          .body = "{\"integrations\":{\"All\":false},\"batch\":[{\"type\":"
                                  "\"track\",\"event\":\"A\",\"userId\":\"u\"},{\"type\":"
                                  "\"track\",\"event\":\"B\",\"userId\":\"u\","
                                  "\"integrations\":{\"Marketo\":true}},{\"type\":\"track\","
                                  "\"event\":\"C\",\"userId\":\"u\",\"integrations\":{"
                                  "\"marketo\":true}}]}"},
           MKTO_ANSWER_STORED, NULL);
    assert_int_equal(mkto_spool_waiting(bench->spool), 1);
    assert_non_null(
        memmem(stored_at(bench, 1).body.data, stored_at(bench, 1).body.len, "\"B\"", 3));
    assert_int_equal(counted(bench, "filtered_by", "integrations"), 2);
}

#define RULE_TEST(name) cmocka_unit_test_setup_teardown(name, setup_rules, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TEST(a_network_has_a_rate),
        RULE_TEST(who_is_not_counted),
        RULE_TEST(when_to_try_again),
        RULE_TEST(page_views_over_the_rate),
        RULE_TEST(who_may_identify),
        RULE_TEST(each_item_of_a_batch),
        cmocka_unit_test_setup_teardown(sent_again, setup, teardown),
        cmocka_unit_test_setup_teardown(switched_off_for_the_batch, setup, teardown),
        RULE_TEST(only_the_network_is_stored),
        RULE_TEST(what_the_server_kept_away),
    };
    apr_initialize();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
