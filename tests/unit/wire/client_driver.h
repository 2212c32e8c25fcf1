/* A client that is driven by hand, for test_client.c and test_client_connection.c. */
#ifndef CLIENT_DRIVER_H
#define CLIENT_DRIVER_H

#include "wire_test.h"

#include "mkto_client.h"
#include "mkto_queue.h"

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

static inline enum mkto_answer submit(struct mkto_client *client, void *request, uint64_t deadline,
                                      uint64_t now)
{
    const struct mkto_event_frame event = {.deadline_ms = deadline};
    return mkto_client_submit(client, &event, &call, request, now);
}

static inline void answered(void *ctx, void *request, const struct mkto_verdict_frame *verdict)
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

static inline void logged(void *ctx, const struct mkto_log_frame *log)
{
    assert_ptr_equal(ctx, got);
    snprintf(last_log, sizeof(last_log), "%u %.*s", log->level, (int)log->text.len, log->text.data);
}

static inline struct mkto_client *create(size_t max_bytes, size_t max_waiting)
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
static inline const uint8_t *take(struct mkto_client *client, size_t max, size_t *len)
{
    static uint8_t data[4 * MKTO_QUEUE_SHARED];
    struct iovec iov[4];
    *len = 0;
    for (;;) {
        const int count = mkto_client_output(client, iov, 4);
        size_t bytes = 0;
        for (int i = 0; i < count && *len < max; i++) {
            const size_t part = iov[i].iov_len < max - *len ? iov[i].iov_len : max - *len;
            assert_true(part <= sizeof(data) - *len);
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

static inline int input(struct mkto_client *client, const uint8_t *data, size_t len, uint64_t now)
{
    uint8_t *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy, data, len);
    const int rc = mkto_client_input(client, copy, len, now);
    free(copy);
    return rc;
}

static inline int welcome_as(struct mkto_client *client, uint16_t version, uint64_t now)
{
    uint8_t data[64];
    const size_t len = mkto_welcome_write(&(struct mkto_welcome){version, 5, 0, 1}, data);
    return input(client, data, len, now);
}

static inline void connect_only(struct mkto_client *client, uint64_t now)
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

static inline void make_ready(struct mkto_client *client, uint64_t now)
{
    connect_only(client, now);
    assert_int_equal(welcome_as(client, MKTO_WIRE_VERSION, now), 0);
    assert_int_equal(mkto_client_state_of(client), MKTO_CLIENT_READY);
}

static inline int verdict(struct mkto_client *client, uint64_t seq, enum mkto_answer answer,
                          uint64_t now)
{
    uint8_t data[64];
    const struct mkto_verdict_frame frame = {.seq = seq, .answer = (uint8_t)answer};
    return input(client, data, mkto_verdicts_write(&frame, 1, data), now);
}

static inline int refuse(struct mkto_client *client, enum mkto_refusal reason, uint64_t now)
{
    uint8_t data[64];
    const struct mkto_refused refused = {(uint8_t)reason, MKTO_SLICE_LIT("because")};
    return input(client, data, mkto_refused_write(&refused, data), now);
}

#endif
