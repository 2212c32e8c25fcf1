/* Page views that a web server passes on: who has seen them, and the event that they become. */
#include "intake_bench.h"

#include "full_disk.h"
#include "mkto_page.h"
#include "mkto_view.h"

#define CREDENTIALS "rest_client_id = c\nrest_client_secret_file = /c\n"
#define RULES                                                                                      \
    "[marketo slow]\nmunchkin_id = AAA-BBB-CCC\nhost = b.example.com\nrate = 2\nrate_burst = 3\n"  \
    "anonymize_ip = on\n" CREDENTIALS "[sources]\nbackend = wk_1\n"

#define AGENT "Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0"
#define TOKEN "_mch-example.com-1374552656411-90718"

static int setup_rules(void **state)
{
    return setup_with(state, RULES, 64 << 20);
}

static int setup_full(void **state)
{
    return setup_with(state, RULES, 1);
}

static struct mkto_request person(void)
{
    struct mkto_request request = {
        .uri = MKTO_SLICE_LIT("/a b?c=\"d\""),
        .host = MKTO_SLICE_LIT("www.example.com"),
        .remote_addr = MKTO_SLICE_LIT("192.0.2.77"),
        .https = true,
        .cookie_count = 3,
        .cookies = {MKTO_SLICE_LIT("none"), MKTO_SLICE_LIT("id:AAA-BBB-DDD&token:other"),
                    MKTO_SLICE_LIT("token%3A" TOKEN "%26id%3AAAA-BBB-CCC")},
    };
    request.header[MKTO_HEADER_REFERER] = MKTO_SLICE_LIT("https://r.example/x#y");
    request.header[MKTO_HEADER_USER_AGENT] = MKTO_SLICE_LIT(AGENT);
    request.header[MKTO_HEADER_SEC_FETCH_SITE] = MKTO_SLICE_LIT("none");
    return request;
}

static struct mkto_view view_of(struct bench *bench)
{
    return (struct mkto_view){.deadline_ms = test_mono + 5000,
                              .received_ms = test_wall - 1,
                              .id = {(uint8_t)++bench->seq, 0xab},
                              .subscription = MKTO_SLICE_LIT("slow")};
}

/* One frame with these, and its one verdict. */
static void shown_together(struct bench *bench, const struct mkto_view *view,
                           const struct mkto_request *requests, size_t count,
                           enum mkto_answer answer)
{
    static uint8_t out[65536];
    uint8_t *at = out + MKTO_VIEW_HEAD;
    struct mkto_view it = *view;
    const uint64_t seq = 1000 + bench->seq;
    for (size_t i = 0; i < count; i++) {
        struct mkto_request request = requests[i];
        assert_true(mkto_view_fit(&it, &request) > 0);
        at = mkto_view_put(&it, &request, at);
        it.id[2]++;
    }
    mkto_view_head(seq, view->deadline_ms, (size_t)(at - out), out);
    send_bytes(bench, bench->client, out, (size_t)(at - out));
    turn(bench);
    expect_verdict(bench, seq, answer, NULL);
}

static void shown(struct bench *bench, const struct mkto_view *view,
                  const struct mkto_request *request, enum mkto_answer answer)
{
    shown_together(bench, view, request, 1, answer);
}

static void becomes_an_event(void **state)
{
    struct bench *bench = *state;
    const struct mkto_request request = person();
    struct mkto_view view = view_of(bench);
    view.email = MKTO_SLICE_LIT("ada@example.com");
    start_client(bench);
    shown(bench, &view, &request, MKTO_ANSWER_STORED);
    const struct mkto_envelope it = stored_at(bench, 1);
    assert_int_equal(it.call, MKTO_CALL_PAGE);
    assert_int_equal(it.flags, MKTO_ENVELOPE_SERVER | MKTO_ENVELOPE_BROWSER | MKTO_ENVELOPE_HTTPS);
    assert_int_equal(it.received_ms, test_wall - 1);
    assert_true(mkto_slice_is(
        it.body, "{\"properties\":{\"url\":\"https://www.example.com/a%20b?c=%22d%22\","
                 "\"referrer\":\"https://r.example/x\"}}"));
    assert_true(mkto_slice_is(it.cookie, "id:AAA-BBB-CCC&token:" TOKEN));
    assert_true(mkto_slice_is(it.request_id, "01ab0000000000000000000000000000"));
    assert_true(mkto_slice_is(it.subscription, "slow"));
    assert_true(mkto_slice_is(it.user_agent, AGENT));
    assert_true(mkto_slice_is(it.remote_addr, "192.0.2.0")); /* anonymize_ip */
    assert_true(mkto_slice_is(it.email, "ada@example.com"));
    assert_null(it.referer.data);
    shown(bench, &view, &request, MKTO_ANSWER_STORED); /* sent again after a reconnect */
    assert_int_equal(counted(bench, NULL, "accepted"), 1);
    assert_int_equal(counted(bench, NULL, "duplicates"), 1);
}

/* Without TLS, or an older browser: nothing says that a browser asked, and nobody has a key. */
static void needs_no_key(void **state)
{
    struct bench *bench = *state;
    struct mkto_request request = person();
    const struct mkto_view view = view_of(bench);
    start_client(bench);
    request.header[MKTO_HEADER_SEC_FETCH_SITE] = MKTO_SLICE_NONE;
    shown(bench, &view, &request, MKTO_ANSWER_STORED);
    assert_int_equal(stored_at(bench, 1).flags, MKTO_ENVELOPE_SERVER | MKTO_ENVELOPE_HTTPS);
}

static void kept_out(struct bench *bench, const struct mkto_request *request, const char *reason)
{
    const int64_t before = counted(bench, "filtered_by", reason);
    const struct mkto_view view = view_of(bench);
    shown(bench, &view, request, MKTO_ANSWER_FILTERED);
    assert_int_equal(counted(bench, "filtered_by", reason), before + 1);
}

static void kept_out_by_its_reason(void **state)
{
    static const char *const no_hosts[] = {NULL, "", "a b", "a.example:0", "[::1"};
    struct bench *bench = *state;
    struct mkto_request request = person();
    start_client(bench);
    request.header[MKTO_HEADER_USER_AGENT] = MKTO_SLICE_LIT("curl/8.0");
    kept_out(bench, &request, "bot");
    request.header[MKTO_HEADER_USER_AGENT] = MKTO_SLICE_NONE;
    kept_out(bench, &request, "bot");
    request = person();
    request.cookie_count = 1; /* no cookie of any form */
    kept_out(bench, &request, "no_visitor");
    request.cookie_count = 0;
    kept_out(bench, &request, "no_visitor");
    request = person();
    for (size_t i = 0; i < sizeof(no_hosts) / sizeof(no_hosts[0]); i++) {
        request.host = mkto_slice_str(no_hosts[i]);
        kept_out(bench, &request, "bot");
    }
    request = person();
    static char path[MKTO_PAGE_BODY_MAX];
    memset(path, 'a', sizeof(path));
    request.uri = (struct mkto_slice){path, sizeof(path)};
    kept_out(bench, &request, "not_stored");
    assert_int_equal(counted(bench, NULL, "accepted"), 0);
}

static void the_rate_counts_persons(void **state)
{
    struct bench *bench = *state;
    struct mkto_request request = person();
    start_client(bench);
    request.header[MKTO_HEADER_USER_AGENT] = MKTO_SLICE_LIT("curl/8.0");
    for (int i = 0; i < 5; i++) {
        kept_out(bench, &request, "bot");
    }
    request = person();
    for (int i = 0; i < 3; i++) {
        const struct mkto_view view = view_of(bench);
        shown(bench, &view, &request, MKTO_ANSWER_STORED);
    }
    kept_out(bench, &request, "rate");
}

static void views_of_one_frame(void **state)
{
    struct bench *bench = *state;
    struct mkto_request requests[] = {person(), person(), person(), person()};
    const struct mkto_view view = view_of(bench);
    start_client(bench);
    requests[1].header[MKTO_HEADER_USER_AGENT] = MKTO_SLICE_LIT("curl/8.0");
    requests[3].cookie_count = 0;
    shown_together(bench, &view, requests, 4, MKTO_ANSWER_FILTERED); /* the last one's */
    assert_int_equal(counted(bench, NULL, "accepted"), 2);
    assert_int_equal(counted(bench, "filtered_by", "bot"), 1);
    assert_int_equal(counted(bench, "filtered_by", "no_visitor"), 1);
    assert_int_equal(counted(bench, "answers", "stored"), 2);
    assert_int_equal(counted(bench, "answers", "filtered"), 2);
    test_mono += 2000; /* the rate */
    shown_together(bench, &view, requests, 3, MKTO_ANSWER_STORED);
    assert_int_equal(counted(bench, NULL, "duplicates"), 2);
}

static void too_late_and_unknown(void **state)
{
    struct bench *bench = *state;
    const struct mkto_request request = person();
    struct mkto_view view = view_of(bench);
    start_client(bench);
    view.deadline_ms = test_mono;
    shown(bench, &view, &request, MKTO_ANSWER_EXPIRED); /* whoever sent it counts it */
    assert_int_equal(counted(bench, "filtered_by", "not_stored"), 0);
    view = view_of(bench);
    view.subscription = MKTO_SLICE_LIT("nobody");
    shown(bench, &view, &request, MKTO_ANSWER_AWAY);
    assert_int_equal(counted(bench, "filtered_by", "not_stored"), 1);
}

/* A call is sent again by whoever made it; a page view is lost, and counted. */
static void a_full_spool(void **state)
{
    struct bench *bench = *state;
    const struct mkto_request requests[] = {person(), person(), person()};
    const struct mkto_view view = view_of(bench);
    start_client(bench);
    shown_together(bench, &view, requests, 3, MKTO_ANSWER_FULL);
    assert_int_equal(counted(bench, "filtered_by", "not_stored"), 3);
    assert_int_equal(counted(bench, NULL, "filtered"), 3);
    assert_int_equal(counted(bench, "answers", "full"), 3);
    const char *body = "{\"event\":\"E\",\"userId\":\"u\"}";
    const struct shot call = {.body = body, .flags = MKTO_ENVELOPE_BROWSER, .subscription = "slow"};
    expect(bench, &call, MKTO_ANSWER_FULL, NULL);
    assert_int_equal(counted(bench, "filtered_by", "not_stored"), 3);
}

/* Memory holds the first ones until the disk works again; those that come meanwhile are lost. */
static void a_disk_that_fails(void **state)
{
    struct bench *bench = *state;
    const struct mkto_request request = person();
    start_client(bench);
    const struct rlimit old = full_disk_begin(1000);
    struct mkto_view view = view_of(bench);
    shown(bench, &view, &request, MKTO_ANSWER_STORED);
    assert_int_equal(mkto_intake_retained(bench->intake), 1);
    view = view_of(bench);
    shown(bench, &view, &request, MKTO_ANSWER_FULL);
    full_disk_end(old);
    assert_int_equal(counted(bench, "filtered_by", "not_stored"), 1);
    test_mono += MKTO_INTAKE_RETAINED_MS;
    turn(bench);
    assert_int_equal(mkto_intake_retained(bench->intake), 0);
    assert_int_equal(mkto_spool_waiting(bench->spool), 1);
    assert_int_equal(counted(bench, NULL, "accepted"), 1);
}

static void a_malformed_one_ends_the_connection(void **state)
{
    struct bench *bench = *state;
    static const uint8_t frame[] = {1, 0, 0, 0, MKTO_FRAME_VIEW, 0, 0, 0, 9};
    start_client(bench);
    send_bytes(bench, bench->client, frame, sizeof(frame));
    expect_refused(bench, bench->client, MKTO_REFUSED_FRAME, "no VIEW frame: type 10, 1 bytes");
}

#define WITH_RULES(test) cmocka_unit_test_setup_teardown(test, setup_rules, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RULES(becomes_an_event),
        WITH_RULES(needs_no_key),
        WITH_RULES(kept_out_by_its_reason),
        WITH_RULES(the_rate_counts_persons),
        WITH_RULES(too_late_and_unknown),
        WITH_RULES(a_malformed_one_ends_the_connection),
        WITH_RULES(views_of_one_frame),
        WITH_RULES(a_disk_that_fails),
        cmocka_unit_test_setup_teardown(a_full_spool, setup_full, teardown),
    };
    apr_initialize();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
