/* Calls that are no events, and those that come in another shape: hash, status, pixel. */
#include "intake_bench.h"

#include "mkto_hash.h"

#include "../core/gzip_text.h"
#include "mkto_intake_state.h"

#define KEY "munchkin-private-key"
#define WEB                                                                                        \
    "[marketo web]\nmunchkin_id = AAA-BBB-CCC\nrest_client_id = c\nrest_client_secret_file = /c\n" \
    "munchkin_private_key_file = %s\n%s[sources]\nsite = wk_secret\n"

static char key_file[] = "/tmp/mkto-key-XXXXXX";

static int setup_web(void **state, const char *more)
{
    char text[1024];
    memcpy(key_file + strlen(key_file) - 6, "XXXXXX", 6);
    const int fd = mkstemp(key_file);
    assert_int_equal(write(fd, KEY "\n", sizeof(KEY)), sizeof(KEY));
    assert_int_equal(fchmod(fd, 0600), 0);
    close(fd);
    snprintf(text, sizeof(text), WEB, key_file, more);
    return setup_with(state, text, 64 << 20);
}

static int setup_hash(void **state)
{
    return setup_web(state, "");
}

static int setup_trusted(void **state)
{
    return setup_web(state, "identify = trusted\n");
}

static int teardown_hash(void **state)
{
    unlink(key_file);
    return teardown(state);
}

static const char *hash_of(const char *email)
{
    static char body[128];
    char hash[MKTO_HASH_HEX];
    mkto_hash_email(MKTO_SLICE_LIT(KEY), mkto_slice_str(email), hash);
    snprintf(body, sizeof(body), "{\"success\":true,\"hash\":\"%s\"}", hash);
    return body;
}

#define HASH_SHOT                                                                                  \
    .call = MKTO_CALL_HASH, .subscription = "web", .body = "{\"email\":\"Ada@example.com\"}"
#define FROM_OWN .flags = MKTO_ENVELOPE_BROWSER | MKTO_ENVELOPE_OWN

static void a_hash(void **state)
{
    static const char nobody[] = "{\"success\":false,\"error\":\"hash: marketo_email is set, and "
                                 "names no e-mail of this visitor\"}";
    struct bench *bench = *state;
    start_client(bench);
    expect(bench, &(struct shot){HASH_SHOT, FROM_OWN}, MKTO_ANSWER_STORED,
           hash_of("Ada@example.com"));
    expect(bench, &(struct shot){HASH_SHOT, FROM_OWN, .email = " tom@example.com "},
           MKTO_ANSWER_STORED, hash_of("tom@example.com"));
    expect(bench, &(struct shot){HASH_SHOT, FROM_OWN, .email = "tom"}, MKTO_ANSWER_FORBIDDEN,
           nobody); /* a user's name is no address */
    expect(bench, &(struct shot){HASH_SHOT, FROM_OWN, .email = ""}, MKTO_ANSWER_FORBIDDEN, nobody);
    assert_int_equal(mkto_spool_waiting(bench->spool), 0);
    assert_int_equal(bench->lines, 0);
}

static void no_hash(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    expect(bench, &(struct shot){HASH_SHOT, .flags = MKTO_ENVELOPE_BROWSER}, MKTO_ANSWER_FORBIDDEN,
           "{\"success\":false,\"error\":\"hash: for pages of this host only\"}");
    expect(bench, &(struct shot){HASH_SHOT}, MKTO_ANSWER_FORBIDDEN, NULL);
    expect(bench, &(struct shot){HASH_SHOT, .authorization = "Bearer wk_secret"},
           MKTO_ANSWER_FORBIDDEN, NULL);
    expect(bench,
           &(struct shot){.call = MKTO_CALL_HASH, .subscription = "web", .body = "{}", FROM_OWN},
           MKTO_ANSWER_BAD_REQUEST,
           "{\"success\":false,\"error\":\"email: must be a non-empty string\"}");
    expect(bench,
           &(struct shot){.call = MKTO_CALL_HASH, .subscription = "web", .body = "{", FROM_OWN},
           MKTO_ANSWER_BAD_REQUEST, NULL);
    expect(bench, &(struct shot){.call = MKTO_CALL_HASH, .body = "{\"email\":\"a@b.c\"}", FROM_OWN},
           MKTO_ANSWER_NOT_FOUND, NULL);
    unlink(key_file);
    expect(bench, &(struct shot){HASH_SHOT, FROM_OWN}, MKTO_ANSWER_AWAY, NULL);
    assert_int_equal(bench->lines, 1);
    assert_non_null(strstr(bench->line, "MKTO0207 no hash can be made: "));
    assert_null(strstr(bench->line, "example.com"));
}

static void a_hash_when_the_site_must_vouch(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    expect(bench, &(struct shot){HASH_SHOT, FROM_OWN}, MKTO_ANSWER_FORBIDDEN,
           "{\"success\":false,\"error\":\"hash: only for an e-mail that the site vouches for "
           "(identify = trusted)\"}");
    expect(bench, &(struct shot){HASH_SHOT, FROM_OWN, .email = "tom@example.com"},
           MKTO_ANSWER_STORED, hash_of("tom@example.com"));
}

static void hashes_are_slow(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    for (int i = 0; i < MKTO_INTAKE_HASH_BURST; i++) {
        expect(bench, &(struct shot){HASH_SHOT, FROM_OWN, .address = "192.0.2.1"},
               MKTO_ANSWER_STORED, NULL);
    }
    expect(bench, &(struct shot){HASH_SHOT, FROM_OWN, .address = "192.0.2.200"},
           MKTO_ANSWER_RATE_LIMITED, NULL);
    expect(bench, &(struct shot){HASH_SHOT, FROM_OWN, .address = "192.0.3.1"}, MKTO_ANSWER_STORED,
           NULL);
    test_mono += 1000 / MKTO_INTAKE_HASH_RATE;
    expect(bench, &(struct shot){HASH_SHOT, FROM_OWN, .address = "192.0.2.1"}, MKTO_ANSWER_STORED,
           NULL);
}

static void the_status(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    const uint64_t first = shoot(bench, &(struct shot){.call = MKTO_CALL_STATUS, .body = ""});
    const uint64_t second = shoot(bench, &(struct shot){.call = MKTO_CALL_STATUS, .body = ""});
    struct mkto_frame frame;
    struct mkto_verdict_frame verdict;
    struct mkto_verdict_iter iter = {0};
    turn(bench);
    receive(bench, bench->client);
    assert_true(next_frame(bench, &frame));
    for (uint64_t seq = first; seq <= second; seq++) {
        assert_int_equal(mkto_verdicts_next(&frame, &iter, &verdict, NULL), 1);
        assert_int_equal(verdict.seq, seq);
        assert_int_equal(verdict.answer, MKTO_ANSWER_STORED);
        assert_true(mkto_slice_is(verdict.body, "{\"fine\":true}"));
    }
}

static void a_status_is_cut_to_fit(void **state)
{
    static const char text[] = "{\"a\":1,\"dispatch\":{\"subscriptions\":[{\"n\":\"one\"},{\"n\":"
                               "\"two two two\"},{\"n\":3}],"
                               "\"lanes\":0}}";
    struct bench *bench = *state;
    const struct mkto_slice json = MKTO_SLICE_LIT(text);
    struct mkto_slice cut = mkto_intake_fit_status(json, json.len, bench->pool);
    assert_ptr_equal(cut.data, json.data);
    cut = mkto_intake_fit_status(json, json.len - 1, bench->pool);
    assert_true(mkto_slice_is(cut, "{\"a\":1,\"dispatch\":{\"subscriptions\":[{\"n\":\"one\"}],"
                                   "\"lanes\":0,\"subscriptions_total\":3}}"));
    cut = mkto_intake_fit_status(json, cut.len - 1, bench->pool);
    assert_true(mkto_slice_is(cut, "{\"a\":1,\"dispatch\":{\"subscriptions\":[],\"lanes\":0,"
                                   "\"subscriptions_total\":3}}"));
    assert_null(mkto_intake_fit_status(json, cut.len - 1, bench->pool).data);
    assert_null(mkto_intake_fit_status(MKTO_SLICE_LIT("{\"a\":1}"), 1, bench->pool).data);
    assert_null(mkto_intake_fit_status(MKTO_SLICE_NONE, 1, bench->pool).data);
}

static void a_pixel(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    expect(bench,
           &(struct shot){.call = MKTO_CALL_TRACK,
                          .body = "userId=u1&event=Opened+Mail&properties.n=7",
                          .flags = MKTO_ENVELOPE_PIXEL,
                          .agent = "Mozilla/5.0"},
           MKTO_ANSWER_STORED, NULL);
    const struct mkto_envelope envelope = stored_at(bench, 1);
    assert_true(mkto_slice_is(envelope.body, "{\"userId\":\"u1\",\"event\":\"Opened Mail\","
                                             "\"properties\":{\"n\":\"7\"}}"));
    assert_int_equal(envelope.flags, MKTO_ENVELOPE_BROWSER);
    expect(bench,
           &(struct shot){.call = MKTO_CALL_TRACK, .body = "a=%", .flags = MKTO_ENVELOPE_PIXEL},
           MKTO_ANSWER_BAD_REQUEST,
           "{\"success\":false,\"error\":\"the query has a '%' without two hexadecimal digits\"}");
    expect(bench,
           &(struct shot){.call = MKTO_CALL_TRACK,
                          .body = "data=eyJldmVudCI6IkUiLCJ1c2VySWQiOiJ1In0&writeKey=wk_secret",
                          .flags = MKTO_ENVELOPE_PIXEL},
           MKTO_ANSWER_STORED, NULL);
    assert_true(mkto_slice_is(stored_at(bench, 2).source, "site"));
}

/* Fires a body that was packed, and lets it go. */
static void expect_packed(struct bench *bench, enum mkto_call call, uint32_t max,
                          struct packed packed, enum mkto_answer answer, const char *body)
{
    const uint32_t own = MKTO_ENVELOPE_BROWSER | MKTO_ENVELOPE_OWN;
    const struct shot shot = {.call = call,
                              .flags = call == MKTO_CALL_HASH ? own : 0,
                              .body = (const char *)packed.data,
                              .body_len = packed.len,
                              .text_max = max,
                              .request_id = "r",
                              .authorization = "Bearer wk_secret",
                              .subscription = "web"};
    expect(bench, &shot, answer, body);
    free(packed.data);
}

static void a_gzip(void **state)
{
    static const char item[] = "{\"type\":\"track\",\"event\":\"E\",\"userId\":\"u\"}";
    static const char event[] = "{\"event\":\"E\",\"userId\":\"u\"}";
    struct bench *bench = *state;
    char batch[256];
    start_client(bench);
    expect_packed(bench, MKTO_CALL_TRACK, MKTO_BODY_DEFAULT, gzip_of(event, strlen(event)),
                  MKTO_ANSWER_STORED, NULL);
    snprintf(batch, sizeof(batch), "{\"batch\":[%s,%s]}", item, item);
    struct packed two = gzip_of(batch, 20);
    gzip_add(&two, batch + 20, strlen(batch) - 20);
    expect_packed(bench, MKTO_CALL_BATCH, MKTO_BODY_DEFAULT, two, MKTO_ANSWER_STORED, NULL);
    expect_packed(bench, MKTO_CALL_HASH, MKTO_BODY_DEFAULT, gzip_of("{\"email\":\"a@b.c\"}", 17),
                  MKTO_ANSWER_STORED, hash_of("a@b.c"));
    assert_true(mkto_slice_is(stored_at(bench, 1).body, event));
    for (int64_t id = 2; id <= 3; id++) {
        assert_true(mkto_slice_is(stored_at(bench, id).body, item));
        assert_int_equal(stored_at(bench, id).text_max, 0);
    }
    assert_int_equal(mkto_spool_waiting(bench->spool), 3);
}

/* A text of that many bytes: the event, and blanks. */
static struct packed padded(size_t size)
{
    static const char event[] = "{\"event\":\"E\",\"userId\":\"u\"}";
    char *text = malloc(size);
    memset(text, ' ', size);
    memcpy(text, event, strlen(event));
    const struct packed packed = gzip_of(text, size);
    free(text);
    return packed;
}

static void a_gzip_that_is_none(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    expect_packed(bench, MKTO_CALL_TRACK, MKTO_BODY_DEFAULT, padded(MKTO_EVENT_MAX),
                  MKTO_ANSWER_STORED, NULL);
    expect_packed(bench, MKTO_CALL_TRACK, MKTO_BODY_DEFAULT, padded(MKTO_EVENT_MAX + 1),
                  MKTO_ANSWER_TOO_LARGE,
                  "{\"success\":false,\"error\":\"gzip: the text has more than 32768 bytes\"}");
    expect_packed(bench, MKTO_CALL_TRACK, 100, padded(101), MKTO_ANSWER_TOO_LARGE, NULL);
    expect_packed(bench, MKTO_CALL_BATCH, 1000, padded(1000), MKTO_ANSWER_BAD_REQUEST,
                  "{\"success\":false,\"error\":\"batch: must be a non-empty array\"}");
    expect_packed(bench, MKTO_CALL_BATCH, 1000, padded(1001), MKTO_ANSWER_TOO_LARGE, NULL);
    expect_packed(bench, MKTO_CALL_BATCH, UINT32_MAX, padded(MKTO_BODY_MAX + 1),
                  MKTO_ANSWER_TOO_LARGE, NULL);
    struct packed cut = padded(100);
    cut.len = 20;
    expect_packed(
        bench, MKTO_CALL_TRACK, MKTO_BODY_DEFAULT, cut, MKTO_ANSWER_BAD_REQUEST,
        "{\"success\":false,\"error\":\"gzip: the body ends in the middle, at byte 20\"}");
    assert_int_equal(mkto_spool_waiting(bench->spool), 1);
    assert_int_equal(counted(bench, "rejected_by", "too_large"), 4);
    assert_int_equal(counted(bench, "rejected_by", "bad_request"), 2);
}

#define HASH_TEST(name) cmocka_unit_test_setup_teardown(name, setup_hash, teardown_hash)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HASH_TEST(a_hash),
        HASH_TEST(no_hash),
        cmocka_unit_test_setup_teardown(a_hash_when_the_site_must_vouch, setup_trusted,
                                        teardown_hash),
        HASH_TEST(hashes_are_slow),
        INTAKE_TEST(the_status),
        INTAKE_TEST(a_status_is_cut_to_fit),
        HASH_TEST(a_pixel),
        HASH_TEST(a_gzip),
        HASH_TEST(a_gzip_that_is_none),
    };
    apr_initialize();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
