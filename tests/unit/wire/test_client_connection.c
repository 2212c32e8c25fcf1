/* The connection of a client: reconnecting, refusals, broken streams, any cut. */
#include "client_driver.h"

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
                        "the courier speaks wire version 4, this server 3");
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
    size_t len = mkto_welcome_write(&(struct mkto_welcome){MKTO_WIRE_VERSION, 5, 0, 1}, data);
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
    static uint8_t data[20 * MKTO_VERDICT_BODY_MAX];
    struct mkto_verdict_frame many[16];
    struct mkto_client *client = create(0, 0);
    make_ready(client, T0);
    for (size_t i = 0; i < 16; i++) {
        size_t len;
        many[i] = (struct mkto_verdict_frame){.seq = i + 1, .body = {body, sizeof(body)}};
        submit(client, &got[i], 9000, T0);
        take(client, SIZE_MAX, &len);
    }
    const size_t len = mkto_verdicts_write(many, 16, data);
    assert_true(len > 0);
    for (size_t at = 0; at < len; at += 1000) {
        assert_int_equal(input(client, data + at, len - at < 1000 ? len - at : 1000, T0), 0);
    }
    assert_int_equal(got_count, 16);
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
