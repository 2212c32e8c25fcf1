/*
 * Intake on a real spool, with a client at the other end of a socketpair.
 */
#ifndef INTAKE_BENCH_H
#define INTAKE_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mkto_event.h"
#include "mkto_intake.h"
#include "mkto_note.h"
#include "temp_directory.h"

#define DIGEST 4711
#define TRACK "{\"event\":\"Signed Up\",\"userId\":\"u1\",\"messageId\":\"%s\"}"

static uint64_t test_mono = 1000000;
static int64_t test_wall = 1700000000000;

static inline uint64_t mono_ms(void *ctx)
{
    (void)ctx;
    return test_mono;
}

static inline int64_t wall_ms(void *ctx)
{
    (void)ctx;
    return test_wall;
}

static const struct mkto_clock test_clock = {mono_ms, wall_ms, NULL};

struct bench {
    apr_pool_t *pool;
    char path[TEMP_DIRECTORY_MAX];
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

static inline void on_log(void *ctx, int level, const char *text)
{
    struct bench *bench = ctx;
    (void)level;
    bench->lines++;
    snprintf(bench->line, sizeof(bench->line), "%s", text);
}

static inline uint8_t on_hello(void *ctx, const struct mkto_hello *hello, uint64_t *digest,
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

static inline struct mkto_slice on_ask(void *ctx, const struct mkto_ask *ask, apr_pool_t *pool)
{
    (void)ctx;
    (void)pool;
    return mkto_slice_is(ask->what, "status") ? mkto_slice_str("{\"fine\":true}") : MKTO_SLICE_NONE;
}

static inline void write_config(struct bench *bench, const char *more)
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

static inline void make_intake(struct bench *bench, int64_t max_size, bool own_uid_only)
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

static inline int setup_with(void **state, const char *more, int64_t max_size)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    apr_pool_create(&bench->pool, NULL);
    temp_directory_make(bench->path);
    write_config(bench, more);
    bench->base = event_base_new();
    bench->in = malloc(8 << 20);
    bench->client = -1;
    make_intake(bench, max_size, true);
    *state = bench;
    return 0;
}

static inline int setup(void **state)
{
    return setup_with(state, "", 64 << 20);
}

static inline int setup_keys(void **state)
{
    return setup_with(state, "[sources]\nsite = wk_secret\n", 64 << 20);
}

static inline int setup_small(void **state)
{
    return setup_with(state, "", 40 * 8192);
}

static inline int teardown(void **state)
{
    struct bench *bench = *state;
    if (bench->client >= 0) {
        close(bench->client);
    }
    mkto_intake_destroy(bench->intake);
    apr_pool_destroy(bench->pool);
    event_base_free(bench->base);
    mkto_config_free(bench->config);
    temp_directory_remove(bench->path);
    free(bench->in);
    free(bench);
    return 0;
}

/* ---- the client's side ---- */

static inline void turn(struct bench *bench)
{
    event_base_loop(bench->base, EVLOOP_NONBLOCK);
    mkto_intake_commit(bench->intake);
}

static inline int connect_client(struct bench *bench)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    mkto_intake_adopt(bench->intake, ends[0]);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    return ends[1];
}

static inline void send_bytes(struct bench *bench, int fd, const uint8_t *data, size_t len)
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

static inline void send_hello(struct bench *bench, int fd, uint8_t role)
{
    const struct mkto_hello hello = {MKTO_WIRE_VERSION, role, 1, DIGEST, mkto_slice_str("/m.conf")};
    uint8_t out[256];
    send_bytes(bench, fd, out, mkto_hello_write(&hello, out));
}

/* Everything that has come so far. */
static inline void receive(struct bench *bench, int fd)
{
    for (;;) {
        const ssize_t got = read(fd, bench->in + bench->in_len, 65536);
        if (got <= 0) {
            return;
        }
        bench->in_len += (size_t)got;
    }
}

static inline bool next_frame(struct bench *bench, struct mkto_frame *frame)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    const long size =
        mkto_frame_next(bench->in + bench->in_at, bench->in_len - bench->in_at, frame, &err);
    assert_true(size >= 0);
    bench->in_at += (size_t)size;
    return size > 0;
}

static inline void expect_welcome(struct bench *bench, int fd)
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

static inline void expect_refused(struct bench *bench, int fd, uint8_t reason, const char *words)
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

static inline void start_client(struct bench *bench)
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
    uint32_t text_max; /* not 0: body is gzip */
    uint8_t ack;
    uint64_t deadline_ms; /* 0: soon */
    const char *authorization;
    const char *subscription;
    const char *request_id;
    const char *defaults;
    const char *email; /* what marketo_email says */
    const char *address;
    const char *agent; /* NULL: a browser's */
    const char *cookie;
};

static inline struct mkto_slice slice_or_none(const char *text)
{
    return text == NULL ? MKTO_SLICE_NONE : mkto_slice_str(text);
}

static inline uint64_t shoot(struct bench *bench, const struct shot *shot)
{
    const struct mkto_envelope envelope = {
        .call = shot->call == MKTO_CALL_NONE ? MKTO_CALL_TRACK : shot->call,
        .flags = shot->flags,
        .text_max = shot->text_max,
        .received_ms = test_wall,
        .subscription = slice_or_none(shot->subscription),
        .host = mkto_slice_str("www.example.com"),
        .request_id = slice_or_none(shot->request_id),
        .defaults = slice_or_none(shot->defaults),
        .email = slice_or_none(shot->email),
        .remote_addr = slice_or_none(shot->address),
        .user_agent = mkto_slice_str(shot->agent != NULL ? shot->agent : "Mozilla/5.0"),
        .cookie = slice_or_none(shot->cookie),
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

static inline void expect_verdict(struct bench *bench, uint64_t seq, enum mkto_answer answer,
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

static inline void expect(struct bench *bench, const struct shot *shot, enum mkto_answer answer,
                          const char *body)
{
    const uint64_t seq = shoot(bench, shot);
    turn(bench);
    expect_verdict(bench, seq, answer, body);
}

static inline struct mkto_envelope stored_at(struct bench *bench, int64_t id)
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

/* A number of the status, or of a list in it. */
static inline int64_t counted(struct bench *bench, const char *list, const char *word)
{
    struct mkto_note status = mkto_note_object(bench->pool);
    mkto_intake_status(bench->intake, &status);
    const struct mkto_json *number =
        mkto_json_get(list == NULL ? status.node : mkto_json_get(status.node, list), word);
    return number == NULL ? 0 : atoll(number->text.data);
}

#define INTAKE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
