#include "client_driver.h"

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
    assert_int_equal(mkto_client_waiting(client), 1);
    assert_int_equal(mkto_client_background(client), 1);
    mkto_client_tick(client, 2500); /* fire and forget is dropped at its deadline, too */
    assert_int_equal(mkto_client_waiting(client), 0);
    assert_int_equal(mkto_client_background(client), 0);
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
        assert_int_equal(submit(client, &got[0], 9000, T0), MKTO_ANSWER_STORED);
    }
    assert_int_equal(submit(client, &got[0], 9000, T0), MKTO_ANSWER_BUSY);
    assert_int_equal(mkto_client_waiting(client), 300);
    mkto_client_destroy(client);
}

static void most_waiting_by_default(void **state)
{
    (void)state;
    struct mkto_client *client = create(64u << 20, 0);
    for (unsigned i = 0; i < MKTO_CLIENT_WAITING_DEFAULT; i++) {
        assert_int_equal(submit(client, &got[0], 9000, T0), MKTO_ANSWER_STORED);
    }
    assert_int_equal(submit(client, &got[0], 9000, T0), MKTO_ANSWER_BUSY);
    mkto_client_cancel(client, &got[0]);
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
    assert_int_equal(submit(client, &got[0], 9000, T0), MKTO_ANSWER_STORED);
    assert_int_equal(submit(client, &got[0], 9000, T0), MKTO_ANSWER_STORED);
    assert_int_equal(submit(client, &got[0], 9000, T0), MKTO_ANSWER_BUSY);
    mkto_client_destroy(client);
    client = create(one - 1, 0);
    assert_int_equal(submit(client, &got[0], 9000, T0), MKTO_ANSWER_BUSY);
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
        assert_int_equal(mkto_client_submit(client, &event, &large, &got[0], T0),
                         MKTO_ANSWER_STORED);
    }
    assert_int_equal(mkto_client_submit(client, &event, &large, &got[0], T0), MKTO_ANSWER_BUSY);
    mkto_client_destroy(client);
}

static void largest_body(void **state)
{
    (void)state;
    static char body[MKTO_BODY_MAX + 1];
    const struct mkto_event_frame event = {.deadline_ms = 9000};
    struct mkto_envelope large = {.call = MKTO_CALL_BATCH, .body = {body, MKTO_BODY_MAX}};
    struct mkto_client *client = create(0, 0);
    assert_int_equal(mkto_client_submit(client, &event, &large, &got[0], T0), MKTO_ANSWER_STORED);
    large.body.len++;
    assert_int_equal(mkto_client_submit(client, &event, &large, &got[0], T0),
                     MKTO_ANSWER_TOO_LARGE);
    large.body.len = 2;
    large.defaults = (struct mkto_slice){body, MKTO_BODY_MAX};
    large.body.len = MKTO_BODY_MAX;
    assert_int_equal(mkto_client_submit(client, &event, &large, &got[0], T0),
                     MKTO_ANSWER_TOO_LARGE);
    mkto_client_destroy(client);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
