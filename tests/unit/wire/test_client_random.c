/*
 * The client driven through random schedules against a model of the courier: connections that fail
 * and break at any byte, partial writes, late and lost verdicts, refusals, cancelled requests,
 * stopped couriers. Whatever happens, each request that was taken in is answered exactly once
 * (unless it was cancelled), at the latest at its deadline; and a request is only answered as
 * stored when the courier really read its frame. Fire and forget is among them, and what is counted
 * is told once, or is lost in a socket that broke.
 */
#include "wire_test.h"

#include "mkto_client.h"

enum { REQUESTS = 400, STEPS = 4000, ROUNDS = 60, STREAM = 1 << 20 };

struct request {
    bool submitted, cancelled, answered, stored; /* stored: by the courier */
    uint64_t deadline;
};

static struct request requests[REQUESTS];
static uint64_t clock_ms;
static uint64_t seed;

/* The courier's end of one connection. */
static struct {
    bool open, greeted;
    uint8_t in[STREAM]; /* read, not yet parsed */
    size_t in_len;
    uint8_t out[STREAM]; /* written, not yet read by the client */
    size_t out_len;
    uint64_t pending[REQUESTS * 4]; /* seqs without a verdict */
    size_t pending_count;
} courier;

static struct mkto_counts_frame counted, told, lost;

static uint64_t owner[1 << 16]; /* seq -> index + 1 of its request */

static void answered(void *ctx, void *pointer, const struct mkto_verdict_frame *verdict)
{
    (void)ctx;
    struct request *request = pointer;
    assert_true(request->submitted);
    assert_false(request->cancelled);
    assert_false(request->answered);
    request->answered = true;
    if (verdict->answer == MKTO_ANSWER_STORED) {
        assert_true(request->stored);
    } else {
        assert_int_equal(verdict->answer, MKTO_ANSWER_AWAY);
        assert_true(clock_ms >= request->deadline);
    }
}

static void emit(const uint8_t *data, size_t len)
{
    if (courier.open && courier.out_len + len <= STREAM) {
        memcpy(courier.out + courier.out_len, data, len);
        courier.out_len += len;
    }
}

static void courier_greets(void)
{
    uint8_t data[64];
    courier.greeted = true;
    if (wire_below(&seed, 8) == 0) {
        const struct mkto_refused refused = {(uint8_t)(1 + wire_below(&seed, 6)),
                                             MKTO_SLICE_LIT("no")};
        emit(data, mkto_refused_write(&refused, data));
        return;
    }
    emit(data, mkto_welcome_write(&(struct mkto_welcome){MKTO_WIRE_VERSION, 1, 1, 1}, data));
}

static void courier_stores(const struct mkto_frame *frame)
{
    struct mkto_event_frame event;
    struct mkto_envelope envelope;
    assert_int_equal(mkto_event_frame_read(frame, &event, NULL), 0);
    assert_int_equal(mkto_envelope_decode((const uint8_t *)event.envelope.data, event.envelope.len,
                                          &envelope, NULL),
                     0);
    if (envelope.call == MKTO_CALL_PAGE) { /* of forget_one */
        if (courier.pending_count < REQUESTS * 4) {
            courier.pending[courier.pending_count++] = event.seq;
        }
        return;
    }
    const size_t index = (size_t)strtoul(envelope.body.data, NULL, 10);
    assert_true(index < REQUESTS && event.seq < (1 << 16));
    assert_true(owner[event.seq] == 0 || owner[event.seq] == index + 1); /* resent: the same */
    owner[event.seq] = index + 1;
    requests[index].stored = true;
    if (courier.pending_count < REQUESTS * 4) {
        courier.pending[courier.pending_count++] = event.seq;
    }
}

static void courier_adds(const struct mkto_frame *frame, struct mkto_counts_frame *sum)
{
    struct mkto_counts_frame counts;
    assert_int_equal(mkto_counts_frame_read(frame, &counts, NULL), 0);
    for (int i = 0; i < MKTO_SKIP_COUNT; i++) {
        sum->of[i] += counts.of[i];
    }
}

/* What the client wrote, and the courier never read. */
static void lose_counts(void)
{
    struct mkto_frame frame;
    long size;
    for (size_t at = 0;
         (size = mkto_frame_next(courier.in + at, courier.in_len - at, &frame, NULL)) > 0;
         at += (size_t)size) {
        if (frame.type == MKTO_FRAME_COUNTS) {
            courier_adds(&frame, &lost);
        }
    }
}

static void courier_reads(void)
{
    size_t at = 0;
    for (;;) {
        struct mkto_frame frame;
        const long size = mkto_frame_next(courier.in + at, courier.in_len - at, &frame, NULL);
        assert_true(size >= 0); /* the client never writes a broken stream */
        if (size == 0) {
            break;
        }
        at += (size_t)size;
        if (frame.type == MKTO_FRAME_HELLO) {
            assert_false(courier.greeted);
            courier_greets();
        } else if (frame.type == MKTO_FRAME_COUNTS) {
            courier_adds(&frame, &told);
        } else {
            courier_stores(&frame);
        }
    }
    memmove(courier.in, courier.in + at, courier.in_len - at);
    courier.in_len -= at;
}

/* Answers some of what waits, in any order, now and then one that nobody knows. */
static void courier_answers(void)
{
    struct mkto_verdict_frame verdicts[32];
    static uint8_t data[4096];
    size_t count = 0;
    for (size_t n = wire_below(&seed, 30); n > 0 && courier.pending_count > 0; n--) {
        const size_t pick = wire_below(&seed, courier.pending_count);
        verdicts[count++] = (struct mkto_verdict_frame){.seq = courier.pending[pick]};
        courier.pending[pick] = courier.pending[--courier.pending_count];
    }
    if (wire_below(&seed, 10) == 0) {
        verdicts[count++] = (struct mkto_verdict_frame){.seq = wire_random(&seed) | (1u << 20)};
    }
    const size_t len = mkto_verdicts_write(verdicts, count, data);
    emit(data, len);
}

static void hang_up(struct mkto_client *client)
{
    courier.open = false;
    lose_counts();
    courier.in_len = 0;
    mkto_client_closed(client, wire_below(&seed, 2) == 0 ? 0 : 104, clock_ms);
}

static void write_some(struct mkto_client *client)
{
    struct iovec iov[5];
    const int count = mkto_client_output(client, iov, 1 + (int)wire_below(&seed, 5));
    size_t room = wire_below(&seed, 3) == 0 ? wire_below(&seed, 200) : STREAM;
    size_t sent = 0;
    for (int i = 0; i < count && room > 0; i++) {
        const size_t part = iov[i].iov_len < room ? iov[i].iov_len : room;
        assert_true(courier.in_len + part <= STREAM);
        memcpy(courier.in + courier.in_len, iov[i].iov_base, part);
        courier.in_len += part;
        room -= part;
        sent += part;
    }
    mkto_client_sent(client, sent);
}

static void read_some(struct mkto_client *client)
{
    const size_t len = courier.out_len == 0 ? 0 : 1 + wire_below(&seed, courier.out_len);
    if (len == 0) {
        return;
    }
    uint8_t *data = malloc(len);
    assert_non_null(data);
    memcpy(data, courier.out, len);
    memmove(courier.out, courier.out + len, courier.out_len - len);
    courier.out_len -= len;
    mkto_client_input(client, data, len, clock_ms);
    free(data);
}

static void drive(struct mkto_client *client)
{
    const unsigned wants = mkto_client_wants(client, clock_ms);
    if ((wants & MKTO_WANT_CLOSE) != 0) {
        assert_true(mkto_client_reason(client)[0] != '\0');
        hang_up(client);
    } else if ((wants & MKTO_WANT_CONNECT) != 0) {
        mkto_client_connecting(client, clock_ms);
        if (wire_below(&seed, 4) == 0) {
            mkto_client_failed(client, 111, clock_ms);
            return;
        }
        memset(&courier, 0, offsetof(__typeof__(courier), in));
        courier.in_len = courier.out_len = courier.pending_count = 0;
        courier.open = true;
        mkto_client_connected(client, clock_ms);
    } else if ((wants & MKTO_WANT_WRITE) != 0 && wire_below(&seed, 3) > 0) {
        write_some(client);
    } else if ((wants & MKTO_WANT_READ) != 0) {
        read_some(client);
    }
}

static void submit_one(struct mkto_client *client, size_t index)
{
    static char filler[600];
    char body[700];
    memset(filler, 'x', sizeof(filler) - 1);
    const int len = snprintf(body, sizeof(body), "%zu %.*s", index,
                             (int)wire_below(&seed, sizeof(filler)), filler);
    struct request *request = &requests[index];
    request->deadline = clock_ms + 1 + wire_below(&seed, 3000);
    const struct mkto_event_frame event = {.deadline_ms = request->deadline};
    const struct mkto_envelope envelope = {.call = MKTO_CALL_TRACK, .body = {body, (size_t)len}};
    const bool tripped = mkto_client_tripped(client);
    const enum mkto_answer answer =
        mkto_client_submit(client, &event, &envelope, request, clock_ms);
    request->submitted = answer == MKTO_ANSWER_STORED;
    assert_true(request->submitted || answer == MKTO_ANSWER_AWAY || answer == MKTO_ANSWER_BUSY);
    assert_int_equal(tripped, answer == MKTO_ANSWER_AWAY);
}

static void forget_one(struct mkto_client *client)
{
    const struct mkto_event_frame event = {.deadline_ms = clock_ms + wire_below(&seed, 3000)};
    const struct mkto_envelope envelope = {.call = MKTO_CALL_PAGE, .body = {"0", 1}};
    const enum mkto_answer answer = mkto_client_submit(client, &event, &envelope, NULL, clock_ms);
    counted.of[MKTO_SKIP_NOT_STORED] += answer != MKTO_ANSWER_STORED;
}

static size_t open_requests(void)
{
    size_t count = 0;
    for (size_t i = 0; i < REQUESTS; i++) {
        count += requests[i].submitted && !requests[i].answered && !requests[i].cancelled;
    }
    return count;
}

static void one_step(struct mkto_client *client, size_t *next, bool stopped)
{
    switch (wire_below(&seed, 8)) {
    case 0:
        if (*next < REQUESTS) {
            submit_one(client, (*next)++);
        } else if (wire_below(&seed, 4) == 0) {
            mkto_client_count(client, MKTO_SKIP_BOT, clock_ms);
            counted.of[MKTO_SKIP_BOT]++;
        }
        break;
    case 1:
        if (wire_below(&seed, 10) == 0 && *next > 0) {
            struct request *request = &requests[wire_below(&seed, *next)];
            mkto_client_cancel(client, request);
            request->cancelled = request->cancelled || !request->answered;
        } else if (wire_below(&seed, 3) == 0) {
            forget_one(client);
        }
        break;
    case 2:
        if (wire_below(&seed, 30) == 0 && courier.open) {
            hang_up(client);
        }
        break;
    case 3:
        clock_ms += wire_below(&seed, 40);
        mkto_client_tick(client, clock_ms);
        break;
    case 4:
    case 5:
        if (courier.open && !stopped) {
            courier_reads();
            courier_answers();
        }
        break;
    default: drive(client); break;
    }
}

/* Time for all counts to go out. */
static void settle(struct mkto_client *client)
{
    for (int step = 0; step < 2000; step++) {
        clock_ms += 20;
        mkto_client_tick(client, clock_ms);
        drive(client);
        if (courier.open) {
            courier_reads();
        }
    }
    assert_int_equal(told.of[MKTO_SKIP_BOT] + lost.of[MKTO_SKIP_BOT], counted.of[MKTO_SKIP_BOT]);
    assert_true(told.of[MKTO_SKIP_NOT_STORED] + lost.of[MKTO_SKIP_NOT_STORED] >=
                counted.of[MKTO_SKIP_NOT_STORED]); /* those past their deadline, too */
}

static void one_round(void)
{
    const struct mkto_client_conf conf = {
        .hello = {.version = MKTO_WIRE_VERSION, .role = MKTO_ROLE_EVENTS},
        .max_waiting = 1 + wire_below(&seed, 100),
        .answered = answered,
    };
    struct mkto_client *client = mkto_client_create(&conf, clock_ms);
    size_t next = 0;
    bool stopped = false;
    assert_non_null(client);
    memset(requests, 0, sizeof(requests));
    memset(owner, 0, sizeof(owner));
    memset(&counted, 0, sizeof(counted));
    memset(&told, 0, sizeof(told));
    memset(&lost, 0, sizeof(lost));
    courier.open = false;
    for (int step = 0; step < STEPS; step++) {
        stopped = wire_below(&seed, 300) == 0 ? !stopped : stopped;
        one_step(client, &next, stopped);
        assert_true(mkto_client_waiting(client) >= open_requests());
        assert_true(mkto_client_waiting(client) + mkto_client_background(client) <=
                    conf.max_waiting);
        assert_true(mkto_client_background(client) <= conf.max_waiting / 2);
    }
    clock_ms += 5000; /* over all deadlines */
    mkto_client_tick(client, clock_ms);
    assert_int_equal(open_requests(), 0);
    assert_int_equal(mkto_client_waiting(client), 0);
    assert_int_equal(mkto_client_background(client), 0);
    settle(client);
    mkto_client_destroy(client);
}

static void random_schedules(void **state)
{
    (void)state;
    seed = wire_seed();
    clock_ms = 1000;
    for (int round = 0; round < ROUNDS; round++) {
        one_round();
    }
}

/* Random bytes from the courier: an error in words, or patience; never a crash. */
static void random_input(void **state)
{
    (void)state;
    seed = wire_seed();
    const struct mkto_client_conf conf = {.hello = {.version = MKTO_WIRE_VERSION, .role = 1},
                                          .answered = answered};
    for (int round = 0; round < 3000; round++) {
        struct mkto_client *client = mkto_client_create(&conf, 0);
        assert_non_null(client);
        struct iovec iov;
        uint8_t data[96];
        mkto_client_connecting(client, 0);
        mkto_client_connected(client, 0);
        if (mkto_client_output(client, &iov, 1) == 1) {
            mkto_client_sent(client, iov.iov_len);
        }
        size_t len = mkto_welcome_write(&(struct mkto_welcome){MKTO_WIRE_VERSION, 1, 1, 1}, data);
        assert_int_equal(mkto_client_input(client, data, len, 0), 0);
        for (int part = 0; part < 20; part++) {
            len = wire_below(&seed, sizeof(data));
            for (size_t i = 0; i < len; i++) {
                data[i] = (uint8_t)(wire_below(&seed, 2) == 0 ? wire_below(&seed, 9)
                                                              : wire_random(&seed));
            }
            if (wire_below(&seed, 2) == 0 && len >= 8) {
                data[0] = (uint8_t)len;
                memset(data + 1, 0, 7);
                data[4] = (uint8_t)(1 + wire_below(&seed, 8));
            }
            if (mkto_client_input(client, data, len, 0) != 0) {
                assert_int_equal(mkto_client_wants(client, 0), MKTO_WANT_CLOSE);
                assert_true(mkto_client_reason(client)[0] != '\0');
                break;
            }
        }
        mkto_client_destroy(client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_schedules),
        cmocka_unit_test(random_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
