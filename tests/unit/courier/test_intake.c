/*
 * Intake over a socketpair: the protocol, what is stored and answered, and what is never answered
 * although it was not stored.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mkto_event.h"
#include "mkto_intake.h"

#define DIGEST 4711
#define TRACK "{\"event\":\"Signed Up\",\"userId\":\"u1\",\"messageId\":\"%s\"}"

static uint64_t test_mono = 1000000;
static int64_t test_wall = 1700000000000;

static uint64_t mono_ms(void *ctx)
{
    (void)ctx;
    return test_mono;
}

static int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return test_wall;
}

static const struct mkto_clock test_clock = {mono_ms, wall_ms, NULL};

struct bench {
    apr_pool_t *pool;
    char path[64];
    char file[96];
    const struct mkto_config *config;
    struct mkto_spool *spool;
    struct event_base *base;
    struct mkto_intake *intake;
    int client;
    uint8_t *in; /* what the client has received */
    size_t in_len;
    size_t in_at;
    uint64_t seq;
    unsigned lines;
    char line[512];
    uint8_t refuse_with;
};

static void on_log(void *ctx, int level, const char *text)
{
    struct bench *bench = ctx;
    (void)level;
    bench->lines++;
    snprintf(bench->line, sizeof(bench->line), "%s", text);
}

static uint8_t on_hello(void *ctx, const struct mkto_hello *hello, uint64_t *digest,
                        struct mkto_error *why)
{
    const struct bench *bench = ctx;
    (void)hello;
    *digest = DIGEST;
    if (bench->refuse_with != 0) {
        mkto_error_set(why, "not today");
    }
    return bench->refuse_with;
}

static struct mkto_slice on_ask(void *ctx, const struct mkto_ask *ask, apr_pool_t *pool)
{
    (void)ctx;
    (void)pool;
    return mkto_slice_is(ask->what, "status") ? mkto_slice_str("{\"fine\":true}") : MKTO_SLICE_NONE;
}

static void write_config(struct bench *bench, const char *more)
{
    snprintf(bench->file, sizeof(bench->file), "%s/marketo.conf", bench->path);
    FILE *file = fopen(bench->file, "w");
    assert_non_null(file);
    fprintf(file,
            "[marketo]\nmunchkin_id = 561-HYG-937\napi = soap\nhost = www.example.com\n"
            "soap_endpoint = https://561-HYG-937.mktoapi.com/soap/mktows/3_1\n"
            "soap_user_id = u\nsoap_encryption_key_file = /etc/marketo/key\n"
            "[spool]\npath = %s/spool\n%s",
            bench->path, more);
    fclose(file);
    const struct mkto_config_options options = {(uid_t)-1, true};
    struct mkto_error err = MKTO_ERROR_INIT;
    bench->config = mkto_config_read(bench->file, &options, &err, NULL);
    if (bench->config == NULL) {
        fail_msg("%s", err.text);
    }
}

static void make_intake(struct bench *bench, int64_t max_size, bool own_uid_only)
{
    const struct mkto_spool_options options = {
        .path = bench->config->spool_path, .create = true, .max_size = max_size, .keep_free = 1};
    struct mkto_spool_opened opened;
    struct mkto_error err = MKTO_ERROR_INIT;
    if (mkto_spool_open(&options, test_wall, &bench->spool, &opened, &err, bench->pool) != 0) {
        fail_msg("%s", err.text);
    }
    const struct mkto_intake_options intake = {
        .base = bench->base,
        .config = bench->config,
        .spool = bench->spool,
        .clock = &test_clock,
        .hooks = {bench, on_log, on_hello, on_ask},
        .own_uid_only = own_uid_only,
        .clients_max = 3,
    };
    bench->intake = mkto_intake_create(&intake, bench->pool);
}

static int setup_with(void **state, const char *more, int64_t max_size)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    apr_pool_create(&bench->pool, NULL);
    strcpy(bench->path, "/tmp/mkto-intake-XXXXXX");
    assert_non_null(mkdtemp(bench->path));
    write_config(bench, more);
    bench->base = event_base_new();
    bench->in = malloc(8 << 20);
    bench->client = -1;
    make_intake(bench, max_size, true);
    *state = bench;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, "", 64 << 20);
}

static int setup_keys(void **state)
{
    return setup_with(state, "[sources]\nsite = wk_secret\n", 64 << 20);
}

static int setup_small(void **state)
{
    return setup_with(state, "", 40 * 8192);
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    char command[128];
    if (bench->client >= 0) {
        close(bench->client);
    }
    mkto_intake_destroy(bench->intake);
    apr_pool_destroy(bench->pool);
    event_base_free(bench->base);
    mkto_config_free(bench->config);
    snprintf(command, sizeof(command), "rm -rf '%s'", bench->path);
    assert_int_equal(system(command), 0);
    free(bench->in);
    free(bench);
    return 0;
}

/* ---- the client's side ---- */

static void turn(struct bench *bench)
{
    event_base_loop(bench->base, EVLOOP_NONBLOCK);
    mkto_intake_commit(bench->intake);
}

static int connect_client(struct bench *bench)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    mkto_intake_adopt(bench->intake, ends[0]);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    return ends[1];
}

static void send_bytes(struct bench *bench, int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        const ssize_t sent = write(fd, data, len);
        if (sent > 0) {
            data += sent;
            len -= (size_t)sent;
        } else {
            turn(bench);
        }
    }
}

static void send_hello(struct bench *bench, int fd, uint8_t role)
{
    const struct mkto_hello hello = {MKTO_WIRE_VERSION, role, 1, DIGEST, mkto_slice_str("/m.conf")};
    uint8_t out[256];
    send_bytes(bench, fd, out, mkto_hello_write(&hello, out));
}

/* Everything that has come so far. */
static void receive(struct bench *bench, int fd)
{
    for (;;) {
        const ssize_t got = read(fd, bench->in + bench->in_len, 65536);
        if (got <= 0) {
            return;
        }
        bench->in_len += (size_t)got;
    }
}

static bool next_frame(struct bench *bench, struct mkto_frame *frame)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    const long size =
        mkto_frame_next(bench->in + bench->in_at, bench->in_len - bench->in_at, frame, &err);
    assert_true(size >= 0);
    bench->in_at += (size_t)size;
    return size > 0;
}

static void expect_welcome(struct bench *bench, int fd)
{
    struct mkto_frame frame;
    struct mkto_welcome welcome;
    turn(bench);
    receive(bench, fd);
    assert_true(next_frame(bench, &frame));
    assert_int_equal(frame.type, MKTO_FRAME_WELCOME);
    assert_int_equal(mkto_welcome_read(&frame, &welcome, NULL), 0);
    assert_int_equal(welcome.config_digest, DIGEST);
    assert_int_equal(welcome.pid, getpid());
}

static void expect_refused(struct bench *bench, int fd, uint8_t reason, const char *words)
{
    struct mkto_frame frame;
    struct mkto_refused refused;
    char byte;
    turn(bench);
    receive(bench, fd);
    assert_true(next_frame(bench, &frame));
    assert_int_equal(frame.type, MKTO_FRAME_REFUSED);
    assert_int_equal(mkto_refused_read(&frame, &refused, NULL), 0);
    assert_int_equal(refused.reason, reason);
    if (memmem(refused.text.data, refused.text.len, words, strlen(words)) == NULL) {
        fail_msg("\"%.*s\" does not say \"%s\"", (int)refused.text.len, refused.text.data, words);
    }
    assert_int_equal(read(fd, &byte, 1), 0); /* and the end */
}

static void start_client(struct bench *bench)
{
    bench->client = connect_client(bench);
    send_hello(bench, bench->client, MKTO_ROLE_EVENTS);
    expect_welcome(bench, bench->client);
}

/* An event frame as the web server would send it. */
struct shot {
    enum mkto_call call;
    const char *body;
    size_t body_len; /* 0: strlen */
    uint32_t flags;
    uint8_t ack;
    uint64_t deadline_ms; /* 0: soon */
    const char *authorization;
    const char *subscription;
    const char *request_id;
    const char *defaults;
};

static struct mkto_slice slice_or_none(const char *text)
{
    return text == NULL ? MKTO_SLICE_NONE : mkto_slice_str(text);
}

static uint64_t shoot(struct bench *bench, const struct shot *shot)
{
    const struct mkto_envelope envelope = {
        .call = shot->call == MKTO_CALL_NONE ? MKTO_CALL_TRACK : shot->call,
        .flags = shot->flags,
        .received_ms = test_wall,
        .subscription = slice_or_none(shot->subscription),
        .host = mkto_slice_str("www.example.com"),
        .request_id = slice_or_none(shot->request_id),
        .defaults = slice_or_none(shot->defaults),
        .body = {shot->body, shot->body_len != 0 ? shot->body_len : strlen(shot->body)},
    };
    const struct mkto_event_frame frame = {
        .seq = ++bench->seq,
        .deadline_ms = shot->deadline_ms != 0 ? shot->deadline_ms : test_mono + 5000,
        .ack = shot->ack,
        .authorization = slice_or_none(shot->authorization),
    };
    const size_t size = mkto_event_write(&frame, &envelope, NULL);
    assert_true(size > 0);
    uint8_t *out = malloc(size);
    mkto_event_write(&frame, &envelope, out);
    send_bytes(bench, bench->client, out, size);
    free(out);
    return frame.seq;
}

static void expect_verdict(struct bench *bench, uint64_t seq, enum mkto_answer answer,
                           const char *body)
{
    struct mkto_frame frame;
    struct mkto_verdict_frame verdict;
    struct mkto_verdict_iter iter = {0};
    receive(bench, bench->client);
    assert_true(next_frame(bench, &frame));
    assert_int_equal(frame.type, MKTO_FRAME_VERDICTS);
    assert_int_equal(mkto_verdicts_next(&frame, &iter, &verdict, NULL), 1);
    assert_int_equal(verdict.seq, seq);
    if (verdict.answer != answer) {
        fail_msg("%s, not %s: %.*s", mkto_answer_name(verdict.answer), mkto_answer_name(answer),
                 (int)verdict.body.len, verdict.body.data);
    }
    if (body != NULL && !mkto_slice_is(verdict.body, body)) {
        fail_msg("%.*s", (int)verdict.body.len, verdict.body.data);
    }
    assert_int_equal(mkto_verdicts_next(&frame, &iter, &verdict, NULL), 0);
}

static void expect(struct bench *bench, const struct shot *shot, enum mkto_answer answer,
                   const char *body)
{
    const uint64_t seq = shoot(bench, shot);
    turn(bench);
    expect_verdict(bench, seq, answer, body);
}

static struct mkto_envelope stored_at(struct bench *bench, int64_t id)
{
    struct mkto_spool_row row;
    struct mkto_envelope envelope;
    struct mkto_error err = MKTO_ERROR_INIT;
    assert_int_equal(mkto_spool_get(bench->spool, id, &row, &err, bench->pool), 1);
    assert_false(row.bad);
    assert_int_equal(
        mkto_envelope_decode((const uint8_t *)row.envelope.data, row.envelope.len, &envelope, &err),
        0);
    return envelope;
}

/* ---- tests ---- */

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

static void more_verdicts_than_a_frame_holds(void **state)
{
    struct bench *bench = *state;
    struct mkto_frame frame;
    struct mkto_verdict_frame verdict;
    unsigned answered = 0;
    start_client(bench);
    for (int i = 0; i < 3000; i++) {
        shoot(bench, &(struct shot){.body = "nonsense"});
    }
    for (int i = 0; i < 30; i++) {
        turn(bench);
        receive(bench, bench->client);
    }
    while (next_frame(bench, &frame)) {
        struct mkto_verdict_iter iter = {0};
        while (mkto_verdicts_next(&frame, &iter, &verdict, NULL) == 1) {
            assert_int_equal(verdict.answer, MKTO_ANSWER_BAD_REQUEST);
            assert_true(verdict.body.len > 0);
            answered++;
        }
    }
    assert_int_equal(answered, 3000);
}

static void any_cut_of_the_stream(void **state)
{
    struct bench *bench = *state;
    char body[64];
    start_client(bench);
    const struct mkto_envelope envelope = {
        .call = MKTO_CALL_TRACK,
        .host = mkto_slice_str("h"),
        .body = mkto_slice_str("{\"event\":\"E\",\"userId\":\"u\"}")};
    static uint8_t stream[16384];
    size_t len = 0;
    for (uint64_t seq = 1; seq <= 50; seq++) {
        const struct mkto_event_frame frame = {.seq = seq, .deadline_ms = test_mono + 1};
        len += mkto_event_write(&frame, &envelope, stream + len);
    }
    srand(3);
    for (size_t at = 0; at < len;) {
        size_t piece = (size_t)rand() % 23 + 1;
        piece = piece > len - at ? len - at : piece;
        send_bytes(bench, bench->client, stream + at, piece);
        at += piece;
        turn(bench);
    }
    snprintf(body, sizeof(body), "%lld", (long long)mkto_spool_waiting(bench->spool));
    assert_string_equal(body, "50");
}

static void large_frames(void **state)
{
    struct bench *bench = *state;
    static char body[MKTO_BODY_MAX + 1];
    start_client(bench);
    memset(body, ' ', MKTO_BODY_MAX);
    const char *text = "{\"batch\":[{\"type\":\"track\",\"event\":\"E\",\"userId\":\"u\"}]}";
    memcpy(body, text, strlen(text));
    const uint64_t seq =
        shoot(bench, &(struct shot){.call = MKTO_CALL_BATCH, .body = body, .request_id = "r"});
    for (int i = 0; i < 20; i++) {
        turn(bench);
    }
    expect_verdict(bench, seq, MKTO_ANSWER_STORED, "");
    assert_int_equal(mkto_spool_waiting(bench->spool), 1);
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
    strcpy(body, "{\"batch\":[1");
    for (int i = 1; i < MKTO_INTAKE_REJECTED_MAX + 5; i++) {
        strcat(body, ",1");
    }
    strcat(body, "]}");
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

static struct rlimit limit_files(size_t bytes)
{
    struct rlimit old;
    getrlimit(RLIMIT_FSIZE, &old);
    const struct rlimit small = {bytes, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    return old;
}

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
    signal(SIGXFSZ, SIG_IGN);
    const struct rlimit old = limit_files(1000);
    turn(bench);
    setrlimit(RLIMIT_FSIZE, &old);
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
    signal(SIGXFSZ, SIG_IGN);
    const struct rlimit old = limit_files(1000);
    turn(bench);
    expect_verdict(bench, seq, MKTO_ANSWER_STORED, NULL); /* although the commit failed */
    assert_int_equal(mkto_intake_retained(bench->intake), 1);
    assert_int_equal(mkto_spool_waiting(bench->spool), 0);
    expect(bench, &(struct shot){.body = body, .request_id = "r2", .ack = MKTO_ACK_MEMORY},
           MKTO_ANSWER_FULL, NULL); /* from now on memory waits for the disk */
    setrlimit(RLIMIT_FSIZE, &old);
    test_mono += MKTO_INTAKE_RETAINED_MS;
    turn(bench);
    assert_int_equal(mkto_intake_retained(bench->intake), 0);
    assert_int_equal(mkto_spool_waiting(bench->spool), 1);
    assert_true(mkto_slice_is(stored_at(bench, 1).request_id, "r1"));
}

/* ---- connections ---- */

static void hello_comes_first(void **state)
{
    struct bench *bench = *state;
    bench->client = connect_client(bench);
    shoot(bench, &(struct shot){.body = "{}"});
    expect_refused(bench, bench->client, MKTO_REFUSED_FRAME, "does not belong here");
    assert_non_null(strstr(bench->line, "MKTO0205"));
}

static void garbage_is_refused_with_a_reason(void **state)
{
    struct bench *bench = *state;
    const char *body = "{\"event\":\"E\",\"userId\":\"u\"}";
    start_client(bench);
    const uint64_t seq = shoot(bench, &(struct shot){.body = body});
    send_bytes(bench, bench->client, (const uint8_t *)"GET / HTTP/1.0\r\n\r\n", 18);
    turn(bench);
    expect_verdict(bench, seq, MKTO_ANSWER_STORED, NULL); /* what came before is answered */
    expect_refused(bench, bench->client, MKTO_REFUSED_FRAME, "");
    assert_int_equal(mkto_intake_count(bench->intake, MKTO_ROLE_EVENTS), 0);
}

static void roles_are_kept_apart(void **state)
{
    struct bench *bench = *state;
    bench->client = connect_client(bench);
    send_hello(bench, bench->client, MKTO_ROLE_TOOL);
    expect_welcome(bench, bench->client);
    shoot(bench, &(struct shot){.body = "{}"});
    expect_refused(bench, bench->client, MKTO_REFUSED_FRAME, "role 3");
    close(bench->client);
    bench->in_at = bench->in_len = 0;
    bench->client = connect_client(bench);
    send_hello(bench, bench->client, 9);
    expect_refused(bench, bench->client, MKTO_REFUSED_FRAME, "role 9");
}

static void hello_may_be_refused(void **state)
{
    struct bench *bench = *state;
    bench->refuse_with = MKTO_REFUSED_CONFIG;
    bench->client = connect_client(bench);
    send_hello(bench, bench->client, MKTO_ROLE_EVENTS);
    expect_refused(bench, bench->client, MKTO_REFUSED_CONFIG, "not today");
}

static void too_many_clients(void **state)
{
    struct bench *bench = *state;
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = connect_client(bench);
        turn(bench);
    }
    expect_refused(bench, fds[3], MKTO_REFUSED_CROWD, "too many");
    close(fds[0]);
    turn(bench);
    send_hello(bench, fds[1], MKTO_ROLE_EVENTS);
    bench->in_at = bench->in_len;
    expect_welcome(bench, fds[1]);
    for (int i = 1; i < 4; i++) {
        close(fds[i]);
    }
}

static void tools_get_answers(void **state)
{
    struct bench *bench = *state;
    static const char *const answers[] = {"{\"fine\":true}", "{\"success\":false,"};
    static const char *const questions[] = {"status", "weather"};
    struct mkto_frame frame;
    struct mkto_tell tell;
    uint8_t out[256];
    bench->client = connect_client(bench);
    send_hello(bench, bench->client, MKTO_ROLE_TOOL);
    expect_welcome(bench, bench->client);
    for (size_t i = 0; i < 2; i++) {
        const struct mkto_ask ask = {mkto_slice_str(questions[i]), MKTO_SLICE_NONE};
        send_bytes(bench, bench->client, out, mkto_ask_write(&ask, out));
        turn(bench);
        receive(bench, bench->client);
        assert_true(next_frame(bench, &frame));
        assert_int_equal(mkto_tell_read(&frame, &tell, NULL), 0);
        assert_true(tell.last);
        assert_int_equal(strncmp(tell.text.data, answers[i], strlen(answers[i])), 0);
    }
}

static void tails_are_told(void **state)
{
    struct bench *bench = *state;
    struct mkto_frame frame;
    struct mkto_tell tell;
    uint8_t out[256];
    const struct mkto_ask ask = {mkto_slice_str("tail"), MKTO_SLICE_NONE};
    bench->client = connect_client(bench);
    send_hello(bench, bench->client, MKTO_ROLE_TOOL);
    expect_welcome(bench, bench->client);
    assert_false(mkto_intake_tailing(bench->intake));
    send_bytes(bench, bench->client, out, mkto_ask_write(&ask, out));
    turn(bench);
    assert_true(mkto_intake_tailing(bench->intake));
    mkto_intake_tell_tail(bench->intake, mkto_slice_str("{\"a\":1}"));
    assert_true(mkto_intake_pending(bench->intake));
    turn(bench);
    receive(bench, bench->client);
    assert_true(next_frame(bench, &frame));
    assert_int_equal(mkto_tell_read(&frame, &tell, NULL), 0);
    assert_false(tell.last);
    assert_true(mkto_slice_is(tell.text, "{\"a\":1}"));
    for (int i = 0; i < 400000; i++) { /* it does not read: lines are lost, memory is not */
        mkto_intake_tell_tail(bench->intake, mkto_slice_str("{\"a\":1}"));
    }
    turn(bench);
    assert_true(mkto_intake_unsent(bench->intake) < 2 << 20);
    close(bench->client);
    bench->client = -1;
    turn(bench);
    turn(bench);
    assert_false(mkto_intake_tailing(bench->intake));
}

static void log_goes_to_a_presence(void **state)
{
    struct bench *bench = *state;
    struct mkto_frame frame;
    struct mkto_log_frame log;
    start_client(bench);
    assert_false(mkto_intake_tell_log(bench->intake, 3, "MKTO0299 nobody"));
    const int presence = connect_client(bench);
    send_hello(bench, presence, MKTO_ROLE_PRESENCE);
    expect_welcome(bench, presence);
    assert_int_equal(mkto_intake_count(bench->intake, MKTO_ROLE_PRESENCE), 1);
    assert_true(mkto_intake_tell_log(bench->intake, 3, "MKTO0299 something"));
    turn(bench);
    receive(bench, presence);
    assert_true(next_frame(bench, &frame));
    assert_int_equal(mkto_log_read(&frame, &log, NULL), 0);
    assert_int_equal(log.level, 3);
    assert_true(mkto_slice_is(log.text, "MKTO0299 something"));
    close(presence);
    turn(bench);
    assert_int_equal(mkto_intake_count(bench->intake, MKTO_ROLE_PRESENCE), 0);
}

static void leaving_is_said_after_the_verdicts(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    const uint64_t seq = shoot(bench, &(struct shot){.body = "{\"event\":\"E\",\"userId\":\"u\"}"});
    event_base_loop(bench->base, EVLOOP_NONBLOCK);
    mkto_intake_leave(bench->intake, "making room");
    mkto_intake_commit(bench->intake);
    expect_verdict(bench, seq, MKTO_ANSWER_STORED, NULL);
    expect_refused(bench, bench->client, MKTO_REFUSED_LEAVING, "making room");
}

static void half_closed_clients_get_their_verdicts(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    const uint64_t seq = shoot(bench, &(struct shot){.body = "{\"event\":\"E\",\"userId\":\"u\"}"});
    shutdown(bench->client, SHUT_WR);
    turn(bench);
    turn(bench);
    expect_verdict(bench, seq, MKTO_ANSWER_STORED, NULL);
    turn(bench);
    assert_int_equal(mkto_intake_count(bench->intake, MKTO_ROLE_EVENTS), 0);
}

/* A client that sends and never reads is not read any more, and then dropped. */
static void who_does_not_read_is_not_read(void **state)
{
    struct bench *bench = *state;
    uint8_t out[256];
    start_client(bench);
    const struct mkto_envelope envelope = {.call = MKTO_CALL_TRACK, .body = mkto_slice_str("x")};
    bool stuck = false;
    for (int i = 0; i < 200000 && !stuck; i++) {
        const struct mkto_event_frame frame = {.seq = (uint64_t)i, .deadline_ms = test_mono + 1};
        const size_t size = mkto_event_write(&frame, &envelope, out);
        size_t sent = 0;
        for (int tries = 0; sent < size && tries < 20; tries++) {
            const ssize_t n = write(bench->client, out + sent, size - sent);
            if (n > 0) {
                sent += (size_t)n;
            } else {
                turn(bench);
            }
        }
        stuck = sent < size;
    }
    assert_true(stuck);
    assert_true(mkto_intake_unsent(bench->intake) <= MKTO_INTAKE_OUTPUT_MAX);
    assert_int_equal(mkto_intake_count(bench->intake, MKTO_ROLE_EVENTS), 1);
    receive(bench, bench->client); /* it reads again: all goes on */
    for (int i = 0; i < 50; i++) {
        turn(bench);
        bench->in_len = 0;
        receive(bench, bench->client);
    }
    assert_int_equal(mkto_intake_unsent(bench->intake), 0);
}

int main(void)
{
#define INTAKE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        INTAKE_TEST(stores_and_answers),
        INTAKE_TEST(one_commit_a_turn),
        INTAKE_TEST(more_verdicts_than_a_frame_holds),
        INTAKE_TEST(any_cut_of_the_stream),
        INTAKE_TEST(large_frames),
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
        INTAKE_TEST(hello_comes_first),
        INTAKE_TEST(garbage_is_refused_with_a_reason),
        INTAKE_TEST(roles_are_kept_apart),
        INTAKE_TEST(hello_may_be_refused),
        INTAKE_TEST(too_many_clients),
        INTAKE_TEST(tools_get_answers),
        INTAKE_TEST(tails_are_told),
        INTAKE_TEST(log_goes_to_a_presence),
        INTAKE_TEST(leaving_is_said_after_the_verdicts),
        INTAKE_TEST(half_closed_clients_get_their_verdicts),
        INTAKE_TEST(who_does_not_read_is_not_read),
    };
    apr_initialize();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
