#include "wire_test.h"

#include "mkto_client.h"

/* Answers that the callback got, newest last. */
struct got {
    void *request;
    uint64_t seq;
    int answer;
};

static struct got got[64];
static size_t got_count;
static char last_log[64];
static struct mkto_client *resubmit; /* the callback submits here, once */

#define T0 1000 /* ms: the clock at the start */

static const struct mkto_envelope call = {.call = MKTO_CALL_PAGE, .body = {"{}", 2}};

static enum mkto_answer submit(struct mkto_client *client, void *request, uint64_t deadline,
                               uint64_t now)
{
    const struct mkto_event_frame event = {.deadline_ms = deadline};
    return mkto_client_submit(client, &event, &call, request, now);
}

static void answered(void *ctx, void *request, const struct mkto_verdict_frame *verdict)
{
    assert_ptr_equal(ctx, got);
    assert_true(got_count < sizeof(got) / sizeof(got[0]));
    got[got_count++] = (struct got){request, verdict->seq, verdict->answer};
    if (resubmit != NULL) {
        struct mkto_client *client = resubmit;
        resubmit = NULL;
        assert_int_equal(submit(client, &got[1], 9000, T0), MKTO_ANSWER_STORED);
        mkto_client_cancel(client, &got[2]);
    }
}

static void logged(void *ctx, const struct mkto_log_frame *log)
{
    assert_ptr_equal(ctx, got);
    snprintf(last_log, sizeof(last_log), "%u %.*s", log->level, (int)log->text.len, log->text.data);
}

static struct mkto_client *create(size_t max_bytes, size_t max_waiting)
{
    const struct mkto_client_conf conf = {
        .hello = {.version = MKTO_WIRE_VERSION,
                  .role = MKTO_ROLE_EVENTS,
                  .build = 5,
                  .config_path = MKTO_SLICE_LIT("/c")},
        .max_bytes = max_bytes,
        .max_waiting = max_waiting,
        .ctx = got,
        .answered = answered,
        .log = logged,
    };
    got_count = 0;
    resubmit = NULL;
    struct mkto_client *client = mkto_client_create(&conf, T0);
    assert_non_null(client);
    return client;
}

/* Takes up to max bytes of output; returns them in a static buffer. */
static const uint8_t *take(struct mkto_client *client, size_t max, size_t *len)
{
    static uint8_t data[65536];
    struct iovec iov[4];
    *len = 0;
    for (;;) {
        const int count = mkto_client_output(client, iov, 4);
        size_t bytes = 0;
        for (int i = 0; i < count && *len < max; i++) {
            const size_t part = iov[i].iov_len < max - *len ? iov[i].iov_len : max - *len;
            memcpy(data + *len, iov[i].iov_base, part);
            *len += part;
            bytes += part;
        }
        if (bytes == 0) {
            return data;
        }
        mkto_client_sent(client, bytes);
    }
}

static int input(struct mkto_client *client, const uint8_t *data, size_t len, uint64_t now)
{
    uint8_t *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy, data, len);
    const int rc = mkto_client_input(client, copy, len, now);
    free(copy);
    return rc;
}

static int welcome_as(struct mkto_client *client, uint16_t version, uint64_t now)
{
    uint8_t data[64];
    const size_t len = mkto_welcome_write(&(struct mkto_welcome){version, 5, 0, 1}, data);
    return input(client, data, len, now);
}

static void connect_only(struct mkto_client *client, uint64_t now)
{
    size_t len;
    assert_int_equal(mkto_client_wants(client, now), MKTO_WANT_CONNECT);
    mkto_client_connecting(client, now);
    assert_int_equal(mkto_client_wants(client, now), 0);
    mkto_client_connected(client, now);
    assert_int_equal(mkto_client_wants(client, now), MKTO_WANT_READ | MKTO_WANT_WRITE);
    take(client, SIZE_MAX, &len);
    assert_int_equal(mkto_client_wants(client, now), MKTO_WANT_READ);
}

static void make_ready(struct mkto_client *client, uint64_t now)
{
    connect_only(client, now);
    assert_int_equal(welcome_as(client, MKTO_WIRE_VERSION, now), 0);
    assert_int_equal(mkto_client_state_of(client), MKTO_CLIENT_READY);
}

static int verdict(struct mkto_client *client, uint64_t seq, enum mkto_answer answer, uint64_t now)
{
    uint8_t data[64];
    const struct mkto_verdict_frame frame = {.seq = seq, .answer = (uint8_t)answer};
    return input(client, data, mkto_verdicts_write(&frame, 1, data), now);
}

static int refuse(struct mkto_client *client, enum mkto_refusal reason, uint64_t now)
{
    uint8_t data[64];
    const struct mkto_refused refused = {(uint8_t)reason, MKTO_SLICE_LIT("because")};
    return input(client, data, mkto_refused_write(&refused, data), now);
}

/* Seqs of the EVENT frames in some output. */
static size_t seqs_of(const uint8_t *data, size_t len, uint64_t *seqs)
{
    size_t count = 0;
    while (len > 0) {
        struct mkto_frame frame;
        struct mkto_event_frame event;
        const long size = mkto_frame_next(data, len, &frame, NULL);
        assert_true(size > 0);
        assert_int_equal(mkto_event_frame_read(&frame, &event, NULL), 0);
        seqs[count++] = event.seq;
        data += size;
        len -= (size_t)size;
    }
    return count;
}

static void greets_first(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    size_t len;
    assert_int_equal(submit(client, got, 9000, T0), MKTO_ANSWER_STORED);
    mkto_client_connecting(client, T0);
    mkto_client_connected(client, T0);
    const uint8_t *data = take(client, SIZE_MAX, &len);
    struct mkto_frame frame;
    struct mkto_hello hello;
    assert_int_equal(mkto_frame_next(data, len, &frame, NULL), len); /* HELLO and nothing else */
    assert_int_equal(mkto_hello_read(&frame, &hello, NULL), 0);
    assert_int_equal(hello.build, 5);
    assert_slice(hello.config_path, "/c");
    assert_int_equal(welcome_as(client, MKTO_WIRE_VERSION, T0), 0);
    assert_int_equal(mkto_client_wants(client, T0), MKTO_WANT_READ | MKTO_WANT_WRITE);
    data = take(client, SIZE_MAX, &len);
    uint64_t seq;
    assert_int_equal(seqs_of(data, len, &seq), 1);
    assert_int_equal(verdict(client, seq, MKTO_ANSWER_FILTERED, T0), 0);
    assert_int_equal(got_count, 1);
    assert_ptr_equal(got[0].request, got);
    assert_int_equal(got[0].answer, MKTO_ANSWER_FILTERED);
    assert_int_equal(mkto_client_waiting(client), 0);
    mkto_client_destroy(client);
}

static void resends_what_is_unanswered(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    uint64_t seqs[8];
    size_t len, one;
    make_ready(client, T0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(submit(client, &got[i], 9000, T0), MKTO_ANSWER_STORED);
    }
    take(client, SIZE_MAX, &len);
    one = len / 3;
    assert_int_equal(submit(client, &got[3], 9000, T0), MKTO_ANSWER_STORED);
    take(client, one / 2, &len); /* half of the fourth */
    assert_int_equal(verdict(client, 2, MKTO_ANSWER_STORED, T0), 0);
    mkto_client_closed(client, 0, T0);
    assert_string_equal(mkto_client_reason(client), "the courier closed the connection");
    assert_int_equal(mkto_client_output(client, (struct iovec[1]){{0}}, 1), 0);
    make_ready(client, T0 + MKTO_CLIENT_BACKOFF_MIN);
    const uint8_t *data = take(client, SIZE_MAX, &len);
    assert_int_equal(seqs_of(data, len, seqs), 3);
    assert_int_equal(seqs[0], 1);
    assert_int_equal(seqs[1], 3);
    assert_int_equal(seqs[2], 4);
    mkto_client_destroy(client);
}

static void deadline_trips(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    size_t len;
    make_ready(client, T0);
    assert_int_equal(mkto_client_deadline(client), UINT64_MAX);
    submit(client, &got[0], 3000, T0);
    submit(client, &got[1], 2000, T0);
    submit(client, &got[2], 4000, T0);
    take(client, SIZE_MAX, &len);
    assert_int_equal(mkto_client_deadline(client), 2000);
    mkto_client_tick(client, 1999);
    assert_int_equal(got_count, 0);
    mkto_client_tick(client, 2000);
    assert_int_equal(got_count, 1);
    assert_ptr_equal(got[0].request, &got[1]);
    assert_int_equal(got[0].answer, MKTO_ANSWER_AWAY);
    assert_true(mkto_client_tripped(client));
    assert_int_equal(submit(client, &got[3], 9000, 2000), MKTO_ANSWER_AWAY);
    assert_int_equal(verdict(client, 2, MKTO_ANSWER_STORED, 2500), 0); /* too late, but a sign */
    assert_int_equal(got_count, 1);
    assert_false(mkto_client_tripped(client));
    assert_int_equal(submit(client, &got[3], 9000, 2500), MKTO_ANSWER_STORED);
    mkto_client_tick(client, 4000);
    assert_int_equal(got_count, 3);
    assert_ptr_equal(got[1].request, &got[0]);
    assert_ptr_equal(got[2].request, &got[2]);
    mkto_client_destroy(client);
}

/* A verdict that never comes must not keep a client tripped for good. */
static void silence_connects_anew(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    size_t len;
    make_ready(client, T0);
    submit(client, &got[0], 2000, T0);
    take(client, SIZE_MAX, &len);
    mkto_client_tick(client, 2000);
    assert_int_equal(mkto_client_deadline(client), 2000 + MKTO_CLIENT_SILENCE);
    mkto_client_tick(client, 2000 + MKTO_CLIENT_SILENCE - 1);
    assert_int_equal(mkto_client_wants(client, 3000), MKTO_WANT_READ);
    mkto_client_tick(client, 2000 + MKTO_CLIENT_SILENCE);
    assert_int_equal(mkto_client_wants(client, 3000), MKTO_WANT_CLOSE);
    assert_string_equal(mkto_client_reason(client), "the courier does not answer");
    mkto_client_closed(client, 0, 3000);
    assert_true(mkto_client_tripped(client));
    make_ready(client, 3050);
    assert_false(mkto_client_tripped(client));
    mkto_client_destroy(client);
}

static void past_deadline_is_refused(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    assert_int_equal(submit(client, got, T0, T0), MKTO_ANSWER_AWAY);
    assert_int_equal(submit(client, got, T0 + 1, T0), MKTO_ANSWER_STORED);
    assert_false(mkto_client_tripped(client));
    mkto_client_destroy(client);
}

/* The rest of a frame that timed out halfway must still go out, or the stream would break. */
static void half_sent_frame_is_completed(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    size_t first, rest;
    uint8_t data[512];
    uint64_t seqs[2];
    make_ready(client, T0);
    submit(client, &got[0], 2000, T0);
    submit(client, &got[1], 9000, T0);
    memcpy(data, take(client, 20, &first), 20);
    mkto_client_tick(client, 2000);
    assert_int_equal(got_count, 1);
    assert_int_equal(mkto_client_waiting(client), 1);
    memcpy(data + first, take(client, SIZE_MAX, &rest), 256);
    assert_int_equal(seqs_of(data, first + rest, seqs), 2);
    assert_int_equal(verdict(client, 1, MKTO_ANSWER_EXPIRED, 2001), 0); /* nobody's any more */
    assert_int_equal(got_count, 1);
    assert_int_equal(verdict(client, 2, MKTO_ANSWER_STORED, 2001), 0);
    assert_int_equal(got_count, 2);
    mkto_client_destroy(client);
}

static void half_sent_and_timed_out_is_not_resent(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    size_t len;
    make_ready(client, T0);
    submit(client, &got[0], 2000, T0);
    take(client, 20, &len);
    mkto_client_tick(client, 2000);
    mkto_client_closed(client, 32, 2000);
    assert_string_equal(mkto_client_reason(client), "Broken pipe");
    make_ready(client, 2050);
    take(client, SIZE_MAX, &len);
    assert_int_equal(len, 0);
    mkto_client_destroy(client);
}

static void verdict_for_an_unsent_frame_is_ignored(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    size_t len;
    make_ready(client, T0);
    submit(client, &got[0], 2000, T0);
    assert_int_equal(verdict(client, 1, MKTO_ANSWER_STORED, T0), 0);
    take(client, 5, &len);
    assert_int_equal(verdict(client, 1, MKTO_ANSWER_STORED, T0), 0);
    assert_int_equal(verdict(client, 77, MKTO_ANSWER_STORED, T0), 0);
    assert_int_equal(got_count, 0);
    take(client, SIZE_MAX, &len);
    assert_int_equal(verdict(client, 1, MKTO_ANSWER_STORED, T0), 0);
    assert_int_equal(verdict(client, 1, MKTO_ANSWER_STORED, T0), 0);
    assert_int_equal(got_count, 1);
    mkto_client_destroy(client);
}

static void cancelled_and_forgotten(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    size_t len;
    uint64_t seqs[4];
    make_ready(client, T0);
    submit(client, &got[0], 2000, T0);
    submit(client, NULL, 2000, T0);
    submit(client, &got[0], 2500, T0); /* the same request twice */
    mkto_client_cancel(client, &got[0]);
    mkto_client_cancel(client, &got[0]);
    mkto_client_cancel(client, NULL);
    const uint8_t *data = take(client, SIZE_MAX, &len);
    assert_int_equal(seqs_of(data, len, seqs), 3);
    assert_int_equal(verdict(client, 1, MKTO_ANSWER_STORED, T0), 0);
    assert_int_equal(mkto_client_waiting(client), 2);
    mkto_client_tick(client, 2500); /* fire and forget is dropped at its deadline, too */
    assert_int_equal(mkto_client_waiting(client), 0);
    assert_int_equal(got_count, 0);
    mkto_client_destroy(client);
}

static void callback_may_submit_and_cancel(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    size_t len;
    make_ready(client, T0);
    submit(client, &got[0], 9000, T0);
    submit(client, &got[2], 9000, T0);
    take(client, SIZE_MAX, &len);
    resubmit = client;
    uint8_t data[64];
    const struct mkto_verdict_frame both[] = {{.seq = 1}, {.seq = 2}};
    assert_int_equal(input(client, data, mkto_verdicts_write(both, 2, data), T0), 0);
    assert_int_equal(got_count, 1);
    assert_int_equal(mkto_client_waiting(client), 1);
    mkto_client_destroy(client);
}

static void most_waiting(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 300);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_STORED);
    }
    assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_BUSY);
    assert_int_equal(mkto_client_waiting(client), 300);
    mkto_client_destroy(client);
}

static void most_waiting_by_default(void **state)
{
    (void)state;
    struct mkto_client *client = create(64u << 20, 0);
    for (unsigned i = 0; i < MKTO_CLIENT_WAITING_DEFAULT; i++) {
        assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_STORED);
    }
    assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_BUSY);
    mkto_client_tick(client, 9000);
    assert_int_equal(mkto_client_waiting(client), 0);
    mkto_client_destroy(client);
}

static void most_bytes(void **state)
{
    (void)state;
    const struct mkto_event_frame event = {.deadline_ms = 9000};
    const size_t one = mkto_event_write(&event, &call, NULL);
    struct mkto_client *client = create(one * 2, 0);
    assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_STORED);
    assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_STORED);
    assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_BUSY);
    mkto_client_destroy(client);
    client = create(one - 1, 0);
    assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_BUSY);
    mkto_client_destroy(client);
}

static void largest_buffer_by_default(void **state)
{
    (void)state;
    static char body[MKTO_BODY_MAX];
    const struct mkto_event_frame event = {.deadline_ms = 9000};
    const struct mkto_envelope large = {.call = MKTO_CALL_BATCH, .body = {body, sizeof(body)}};
    const size_t fit = MKTO_CLIENT_BUFFER_DEFAULT / mkto_event_write(&event, &large, NULL);
    struct mkto_client *client = create(0, 0);
    for (size_t i = 0; i < fit; i++) {
        assert_int_equal(mkto_client_submit(client, &event, &large, NULL, T0), MKTO_ANSWER_STORED);
    }
    assert_int_equal(mkto_client_submit(client, &event, &large, NULL, T0), MKTO_ANSWER_BUSY);
    mkto_client_destroy(client);
}

static void largest_body(void **state)
{
    (void)state;
    static char body[MKTO_BODY_MAX + 1];
    const struct mkto_event_frame event = {.deadline_ms = 9000};
    struct mkto_envelope large = {.call = MKTO_CALL_BATCH, .body = {body, MKTO_BODY_MAX}};
    struct mkto_client *client = create(0, 0);
    assert_int_equal(mkto_client_submit(client, &event, &large, NULL, T0), MKTO_ANSWER_STORED);
    large.body.len++;
    assert_int_equal(mkto_client_submit(client, &event, &large, NULL, T0), MKTO_ANSWER_TOO_LARGE);
    large.body.len = 2;
    large.defaults = (struct mkto_slice){body, MKTO_BODY_MAX};
    large.body.len = MKTO_BODY_MAX;
    assert_int_equal(mkto_client_submit(client, &event, &large, NULL, T0), MKTO_ANSWER_TOO_LARGE);
    mkto_client_destroy(client);
}

static void backoff_doubles(void **state)
{
    (void)state;
    static const uint64_t want[] = {50, 100, 200, 400, 800, 1000, 1000};
    struct mkto_client *client = create(0, 0);
    uint64_t now = T0;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        assert_int_equal(mkto_client_wants(client, now), MKTO_WANT_CONNECT);
        mkto_client_connecting(client, now);
        mkto_client_failed(client, 2, now);
        assert_string_equal(mkto_client_reason(client), "connect: No such file or directory");
        assert_int_equal(mkto_client_deadline(client), now + want[i]);
        assert_int_equal(mkto_client_wants(client, now + want[i] - 1), 0);
        now += want[i];
    }
    make_ready(client, now);
    mkto_client_closed(client, 0, now);
    assert_int_equal(mkto_client_deadline(client), now + MKTO_CLIENT_BACKOFF_MIN);
    mkto_client_destroy(client);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        enum mkto_refusal reason;
        uint64_t first, second; /* ms until the next attempt */
    } rows[] = {
        {MKTO_REFUSED_VERSION, 1000, 1000}, {MKTO_REFUSED_CONFIG, 1000, 1000},
        {MKTO_REFUSED_PEER, 1000, 1000},    {MKTO_REFUSED_LEAVING, 50, 50},
        {MKTO_REFUSED_FRAME, 50, 100},      {MKTO_REFUSED_CROWD, 50, 100},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_client *client = create(0, 0);
        uint64_t now = T0;
        for (int round = 0; round < 2; round++) {
            connect_only(client, now);
            assert_int_equal(mkto_client_refusal(client), 0);
            assert_int_equal(refuse(client, rows[i].reason, now), -1);
            assert_int_equal(mkto_client_wants(client, now), MKTO_WANT_CLOSE);
            assert_int_equal(mkto_client_refusal(client), rows[i].reason);
            mkto_client_closed(client, 0, now);
            assert_string_equal(mkto_client_reason(client), "the courier refused: because");
            const uint64_t wait = round == 0 ? rows[i].first : rows[i].second;
            assert_int_equal(mkto_client_deadline(client), now + wait);
            now += wait;
        }
        mkto_client_destroy(client);
    }
}

static void refused_while_ready(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    make_ready(client, T0);
    submit(client, got, 9000, T0);
    assert_int_equal(refuse(client, MKTO_REFUSED_LEAVING, T0), -1);
    mkto_client_closed(client, 0, T0);
    assert_int_equal(mkto_client_waiting(client), 1);
    make_ready(client, T0 + MKTO_CLIENT_BACKOFF_MIN);
    size_t len;
    take(client, SIZE_MAX, &len);
    assert_int_equal(verdict(client, 1, MKTO_ANSWER_STORED, T0), 0);
    assert_int_equal(got_count, 1);
    mkto_client_destroy(client);
}

static void other_version(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    connect_only(client, T0);
    assert_int_equal(welcome_as(client, MKTO_WIRE_VERSION + 1, T0), -1);
    assert_string_equal(mkto_client_reason(client),
                        "the courier speaks wire version 2, this server 1");
    mkto_client_closed(client, 0, T0);
    assert_int_equal(mkto_client_deadline(client), T0 + MKTO_CLIENT_BACKOFF_MAX);
    mkto_client_destroy(client);
}

static void slow_connect_and_slow_welcome(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    const uint64_t late = T0 + MKTO_CLIENT_CONNECT_TIMEOUT;
    mkto_client_connecting(client, T0);
    assert_int_equal(mkto_client_deadline(client), late);
    mkto_client_tick(client, late - 1);
    assert_int_equal(mkto_client_wants(client, late - 1), 0);
    mkto_client_tick(client, late);
    assert_int_equal(mkto_client_wants(client, late), MKTO_WANT_CLOSE);
    assert_string_equal(mkto_client_reason(client),
                        "the courier did not take the connection in time");
    mkto_client_closed(client, 0, late);
    connect_only(client, late + 50);
    mkto_client_tick(client, late + 50 + MKTO_CLIENT_CONNECT_TIMEOUT);
    assert_int_equal(mkto_client_wants(client, late), MKTO_WANT_CLOSE);
    assert_string_equal(mkto_client_reason(client), "the courier did not welcome us in time");
    mkto_client_closed(client, 0, late);
    assert_string_equal(mkto_client_reason(client), "the courier did not welcome us in time");
    mkto_client_destroy(client);
}

static void frames_out_of_place(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    connect_only(client, T0);
    assert_int_equal(verdict(client, 1, MKTO_ANSWER_STORED, T0), -1);
    assert_string_equal(mkto_client_reason(client), "unexpected frame of type 5");
    assert_int_equal(verdict(client, 1, MKTO_ANSWER_STORED, T0), -1);
    mkto_client_closed(client, 0, T0);
    make_ready(client, T0 + 50);
    assert_int_equal(welcome_as(client, MKTO_WIRE_VERSION, T0 + 50), -1);
    assert_int_equal(mkto_client_output(client, (struct iovec[1]){{0}}, 1), 0);
    mkto_client_closed(client, 0, T0 + 50);
    make_ready(client, T0 + 100);
    assert_int_equal(input(client, (const uint8_t *)"GET / HTTP/1.0\r\n", 16, T0 + 100), -1);
    mkto_client_destroy(client);
}

static void logs(void **state)
{
    (void)state;
    uint8_t data[64];
    struct mkto_client *client = create(0, 0);
    const struct mkto_log_frame log = {4, MKTO_SLICE_LIT("MKTO0301 slow")};
    make_ready(client, T0);
    assert_int_equal(input(client, data, mkto_log_write(&log, data), T0), 0);
    assert_string_equal(last_log, "4 MKTO0301 slow");
    mkto_client_destroy(client);
}

/* Any cut of the courier's bytes gives the same. */
static void every_cut(void **state)
{
    (void)state;
    uint8_t data[512];
    size_t len = mkto_welcome_write(&(struct mkto_welcome){1, 5, 0, 1}, data);
    const struct mkto_log_frame log = {5, MKTO_SLICE_LIT("MKTO0201 up")};
    const struct mkto_verdict_frame both[] = {
        {.seq = 1, .body = MKTO_SLICE_LIT("{\"success\":true}")}, {.seq = 2}};
    const size_t after_welcome = len;
    len += mkto_log_write(&log, data + len);
    len += mkto_verdicts_write(both, 2, data + len);
    for (size_t step = 1; step <= len; step++) {
        struct mkto_client *client = create(0, 0);
        size_t taken;
        connect_only(client, T0);
        submit(client, &got[0], 9000, T0);
        submit(client, &got[1], 9000, T0);
        for (size_t at = 0; at < len; at += step) {
            if (at >= after_welcome) {
                take(client, SIZE_MAX, &taken);
            }
            const size_t part = len - at < step ? len - at : step;
            assert_int_equal(input(client, data + at, part, T0), 0);
        }
        if (step <= after_welcome) { /* else the verdicts came before we had sent anything */
            assert_int_equal(got_count, 2);
        }
        mkto_client_destroy(client);
    }
}

static void large_input_frame(void **state)
{
    (void)state;
    static char body[MKTO_VERDICT_BODY_MAX];
    static uint8_t data[40 * MKTO_VERDICT_BODY_MAX];
    struct mkto_verdict_frame many[32];
    struct mkto_client *client = create(0, 0);
    make_ready(client, T0);
    for (size_t i = 0; i < 32; i++) {
        size_t len;
        many[i] = (struct mkto_verdict_frame){.seq = i + 1, .body = {body, sizeof(body)}};
        submit(client, &got[i], 9000, T0);
        take(client, SIZE_MAX, &len);
    }
    const size_t len = mkto_verdicts_write(many, 32, data);
    assert_true(len > 0);
    for (size_t at = 0; at < len; at += 1000) {
        assert_int_equal(input(client, data + at, len - at < 1000 ? len - at : 1000, T0), 0);
    }
    assert_int_equal(got_count, 32);
    mkto_client_destroy(client);
}

static void destroy_is_quiet(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    submit(client, got, 9000, T0);
    mkto_client_destroy(client);
    mkto_client_destroy(NULL);
    assert_int_equal(got_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greets_first),
        cmocka_unit_test(resends_what_is_unanswered),
        cmocka_unit_test(deadline_trips),
        cmocka_unit_test(silence_connects_anew),
        cmocka_unit_test(past_deadline_is_refused),
        cmocka_unit_test(half_sent_frame_is_completed),
        cmocka_unit_test(half_sent_and_timed_out_is_not_resent),
        cmocka_unit_test(verdict_for_an_unsent_frame_is_ignored),
        cmocka_unit_test(cancelled_and_forgotten),
        cmocka_unit_test(callback_may_submit_and_cancel),
        cmocka_unit_test(most_waiting),
        cmocka_unit_test(most_waiting_by_default),
        cmocka_unit_test(most_bytes),
        cmocka_unit_test(largest_buffer_by_default),
        cmocka_unit_test(largest_body),
        cmocka_unit_test(backoff_doubles),
        cmocka_unit_test(refusals),
        cmocka_unit_test(refused_while_ready),
        cmocka_unit_test(other_version),
        cmocka_unit_test(slow_connect_and_slow_welcome),
        cmocka_unit_test(frames_out_of_place),
        cmocka_unit_test(logs),
        cmocka_unit_test(every_cut),
        cmocka_unit_test(large_input_frame),
        cmocka_unit_test(destroy_is_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
