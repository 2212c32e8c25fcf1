/*
 * A request is sent once, whatever becomes of the connection that it was sent on: to send it again
 * is the dispatch's to decide, within attempts and budget.
 */
#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>

#include "http2_bench.h"

/* ---- faults, between libcurl and libc ---- */

static atomic_int failing_sends;
static atomic_int failing_connects;
static int connected; /* libcurl's last socket */
static int connects;
static atomic_long seconds_on; /* that the monotonic clock is ahead */

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    if (atomic_load(&failing_sends) > 0) {
        atomic_fetch_sub(&failing_sends, 1);
        errno = EPIPE;
        return -1;
    }
    return sendto(fd, data, len, flags, NULL, 0);
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t len)
{
    if (atomic_load(&failing_connects) > 0) {
        atomic_fetch_sub(&failing_connects, 1);
        errno = ECONNREFUSED;
        return -1;
    }
    connected = fd;
    connects++;
    return (int)syscall(SYS_connect, fd, address.__sockaddr__, len);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    int failed = (int)syscall(SYS_clock_gettime, id, now);
    if (failed == 0 && id == CLOCK_MONOTONIC) {
        now->tv_sec += atomic_load(&seconds_on);
    }
    return failed;
}

/* ---- tests ---- */

static int begin(void **state)
{
    connects = 0;
    return setup(state);
}

/* The next test counts anew: what libcurl has opened must have come to the server. */
static int end(void **state)
{
    while (atomic_load(&server.connections) < connects) {
        usleep(100);
    }
    return teardown(state);
}

static void expect(struct client *client, enum mkto_transport_result result, int requests)
{
    wait_for(client, client->heard.count + 1);
    assert_int_equal(client->heard.last.result, result);
    assert_int_equal(atomic_load(&server.requests), requests);
}

/* A first request opens the connection that the test is about. */
static void keep_connection(struct client *client)
{
    post(client, "/ok", "x", 20000);
    expect(client, MKTO_TRANSPORT_OK, 1);
}

static void expect_cut(struct client *client)
{
    expect(client, MKTO_TRANSPORT_BROKEN, 2);
    assert_string_equal(client->heard.detail, "the connection was closed before an answer");
    /* what comes next is not hampered */
    post(client, "/ok", "x", 20000);
    expect(client, MKTO_TRANSPORT_OK, 3);
}

static void test_closed_before_an_answer(void **state)
{
    keep_connection(*state);
    post(*state, "/close", "x", 20000);
    expect_cut(*state);
}

static void test_closed_after_a_post_without_body(void **state)
{
    keep_connection(*state);
    post(*state, "/close", NULL, 5000);
    expect_cut(*state);
}

static void test_closed_after_a_get(void **state)
{
    struct client *client = *state;
    keep_connection(client);
    get(client, apr_psprintf(client->pool, "http://127.0.0.1:%d/close", server.port), NULL);
    expect_cut(client);
}

static void test_reset_before_an_answer(void **state)
{
    keep_connection(*state);
    post(*state, "/reset", "x", 20000);
    expect_cut(*state);
}

/* The request may have happened, though the last thing seen is a server that refuses. */
static void test_closed_by_a_server_that_ends(void **state)
{
    keep_connection(*state);
    atomic_store(&failing_connects, 100);
    post(*state, "/close", "x", 20000);
    expect(*state, MKTO_TRANSPORT_BROKEN, 2);
    atomic_store(&failing_connects, 0);
}

/* Nothing was written: another connection, at once, and nobody has to know. */
static void test_dead_when_the_request_is_written(void **state)
{
    keep_connection(*state);
    atomic_store(&failing_sends, 1);
    post(*state, "/ok", "y", 5000);
    expect(*state, MKTO_TRANSPORT_OK, 2);
    assert_int_equal(atomic_load(&server.connections), 2);
}

static void test_never_written(void **state)
{
    keep_connection(*state);
    atomic_store(&failing_sends, 100);
    post(*state, "/ok", "y", 5000);
    expect(*state, MKTO_TRANSPORT_REFUSED, 1);
    atomic_store(&failing_sends, 0);
}

/* The everyday case: closed while nobody used it. */
static void test_closed_while_idle(void **state)
{
    struct client *client = *state;
    for (int i = 1; i <= 20; i++) {
        post(client, "/last", "x", 20000);
        expect(client, MKTO_TRANSPORT_OK, i);
        struct pollfd its_end = {.fd = connected, .events = POLLRDHUP};
        assert_int_equal(poll(&its_end, 1, -1), 1);
    }
    assert_int_equal(atomic_load(&server.connections), 20);
}

static void test_not_used_when_it_was_idle_for_long(void **state)
{
    keep_connection(*state);
    atomic_fetch_add(&seconds_on, 49);
    post(*state, "/ok", "x", 20000);
    expect(*state, MKTO_TRANSPORT_OK, 2);
    assert_int_equal(atomic_load(&server.connections), 1);
    atomic_fetch_add(&seconds_on, 52);
    post(*state, "/ok", "x", 20000);
    expect(*state, MKTO_TRANSPORT_OK, 3);
    assert_int_equal(atomic_load(&server.connections), 2);
}

/* ---- HTTP/2 ---- */

static void send_twice(struct client *client, enum http2_mishap mishap, bool as_get)
{
    char dir[TEMP_DIRECTORY_MAX];

    temp_directory_make(dir);
    if (!make_certificate(dir)) {
        temp_directory_remove(dir);
        skip(); /* no openssl program here */
    }
    http2.mishap = mishap;
    http2_start(dir);
    const char *url = apr_psprintf(client->pool, "https://localhost:%d/x", http2.port);
    const char *ca = apr_psprintf(client->pool, "%s/cert.pem", dir);
    post_to(client, url, "x", 5000, ca);
    expect(client, MKTO_TRANSPORT_OK, 1);
    if (as_get) {
        get(client, url, ca);
    } else {
        post_to(client, url, "y", 5000, ca);
    }
    expect(client, MKTO_TRANSPORT_BROKEN, 2);
    post_to(client, url, "z", 5000, ca);
    expect(client, MKTO_TRANSPORT_OK, 3);
    http2_stop();
    temp_directory_remove(dir);
}

static void test_http2_closed(void **state)
{
    send_twice(*state, HTTP2_CLOSES, false);
}

static void test_http2_closed_after_a_get(void **state)
{
    send_twice(*state, HTTP2_CLOSES, true);
}

static void test_http2_goes_away(void **state)
{
    send_twice(*state, HTTP2_GOES_AWAY, false);
}

static void test_http2_stream_refused(void **state)
{
    send_twice(*state, HTTP2_REFUSES, false);
}

static void test_http2_stream_reset(void **state)
{
    send_twice(*state, HTTP2_RESETS, false);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_closed_before_an_answer),
        TEST(test_closed_after_a_post_without_body),
        TEST(test_closed_after_a_get),
        TEST(test_reset_before_an_answer),
        TEST(test_closed_by_a_server_that_ends),
        TEST(test_dead_when_the_request_is_written),
        TEST(test_never_written),
        TEST(test_closed_while_idle),
        TEST(test_not_used_when_it_was_idle_for_long),
        TEST(test_http2_closed),
        TEST(test_http2_closed_after_a_get),
        TEST(test_http2_goes_away),
        TEST(test_http2_stream_refused),
        TEST(test_http2_stream_reset),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
