/*
 * Connections of intake: the protocol, any cut of it, and clients that do not keep to it.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>

#include "intake_bench.h"

static int64_t ahead_ms; /* of the clock that libevent looks at */

int clock_gettime(clockid_t id, struct timespec *now)
{
    const int failed = (int)syscall(SYS_clock_gettime, id, now);
    if (failed == 0 && (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE)) {
        const int64_t ns = now->tv_nsec + ahead_ms % 1000 * 1000000;
        now->tv_sec += (time_t)(ahead_ms / 1000 + ns / 1000000000);
        now->tv_nsec = (long)(ns % 1000000000);
    }
    return failed;
}

static bool is_open(struct bench *bench, int fd)
{
    char byte;
    turn(bench);
    return read(fd, &byte, 1) < 0 && errno == EAGAIN;
}

/* Who has said HELLO may be silent for as long as it likes, also after it has spoken once. */
static void only_hello_has_a_deadline(void **state)
{
    struct bench *bench = *state;
    start_client(bench);
    int silent = connect_client(bench);
    turn(bench);
    ahead_ms += MKTO_INTAKE_HELLO_MS / 2;
    assert_true(is_open(bench, silent));
    ahead_ms += MKTO_INTAKE_HELLO_MS / 2 + 100;
    assert_false(is_open(bench, silent));
    close(silent);
    for (int i = 0; i < 3; i++) {
        const uint64_t seq = shoot(bench, &(struct shot){.body = "nonsense"});
        turn(bench);
        expect_verdict(bench, seq, MKTO_ANSWER_BAD_REQUEST, NULL);
        ahead_ms += 10 * MKTO_INTAKE_HELLO_MS;
        assert_true(is_open(bench, bench->client));
    }
}

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
    send_hello(bench, fds[3], MKTO_ROLE_EVENTS);
    expect_refused(bench, fds[3], MKTO_REFUSED_CROWD, "at most 3");
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

/* The first one is answered when the turn ends; until then there is no second one. */
static void one_question_at_a_time(void **state)
{
    struct bench *bench = *state;
    const struct mkto_ask ask = {mkto_slice_str("status"), MKTO_SLICE_NONE};
    struct mkto_frame frame;
    struct mkto_tell tell;
    struct mkto_refused refused;
    uint8_t out[256];
    bench->client = connect_client(bench);
    send_hello(bench, bench->client, MKTO_ROLE_TOOL);
    expect_welcome(bench, bench->client);
    const size_t len = mkto_ask_write(&ask, out);
    mkto_ask_write(&ask, out + len);
    send_bytes(bench, bench->client, out, 2 * len);
    turn(bench);
    receive(bench, bench->client);
    assert_true(next_frame(bench, &frame));
    assert_int_equal(mkto_tell_read(&frame, &tell, NULL), 0);
    assert_true(mkto_slice_is(tell.text, "{\"fine\":true}"));
    assert_true(next_frame(bench, &frame));
    assert_int_equal(mkto_refused_read(&frame, &refused, NULL), 0);
    assert_int_equal(refused.reason, MKTO_REFUSED_FRAME);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        INTAKE_TEST(more_verdicts_than_a_frame_holds),
        INTAKE_TEST(any_cut_of_the_stream),
        INTAKE_TEST(large_frames),
        INTAKE_TEST(hello_comes_first),
        INTAKE_TEST(only_hello_has_a_deadline),
        INTAKE_TEST(garbage_is_refused_with_a_reason),
        INTAKE_TEST(roles_are_kept_apart),
        INTAKE_TEST(hello_may_be_refused),
        INTAKE_TEST(too_many_clients),
        INTAKE_TEST(tools_get_answers),
        INTAKE_TEST(one_question_at_a_time),
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
