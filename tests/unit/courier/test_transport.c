/* mkto_transport_curl: requests, answers and what goes wrong with them. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "transport_bench.h"

/* ---- tests ---- */

static void test_request_as_given(void **state)
{
    struct client *client = *state;
    post(client, "/ok?a=b%20c", "hello", 5000);
    assert_int_equal(client->heard.count, 0); /* never from inside of send */
    assert_int_equal(client->transport->active(client->transport), 1);
    wait_for(client, 1);
    const struct mkto_http_answer *answer = &client->heard.last;
    const char *body = client->heard.body;
    assert_int_equal(answer->result, MKTO_TRANSPORT_OK);
    assert_int_equal(answer->status, 200);
    assert_true(answer->date_ms == INT64_C(784887151000));
    assert_true(answer->retry_after_ms == -1);
    assert_ptr_equal(strstr(body, "POST /ok?a=b%20c HTTP/1.1\r\n"), body);
    assert_non_null(strstr(body, "User-Agent: Visitor/1.0\r\n"));
    assert_non_null(strstr(body, "X-Empty:"));
    assert_non_null(strstr(body, "Content-Length: 5\r\n"));
    assert_non_null(strstr(body, "\r\n\r\nhello"));
    assert_null(strcasestr(body, "Expect"));
    assert_null(strcasestr(body, "Accept-Encoding"));
    assert_null(strcasestr(body, "Content-Type"));
    assert_int_equal(client->transport->active(client->transport), 0);
}

static void test_post_without_body(void **state)
{
    struct client *client = *state;
    post(client, "/ok", NULL, 5000);
    wait_for(client, 1);
    assert_non_null(strstr(client->heard.body, "Content-Length: 0\r\n"));
    assert_null(strcasestr(client->heard.body, "Content-Type"));
}

static void test_get(void **state)
{
    struct client *client = *state;
    post(client, "/ok", "first a body", 5000);
    wait_for(client, 1);
    get(client, apr_psprintf(client->pool, "http://127.0.0.1:%d/ok", server.port), NULL);
    wait_for(client, 2);
    assert_ptr_equal(strstr(client->heard.body, "GET /ok HTTP/1.1\r\n"), client->heard.body);
    assert_null(strcasestr(client->heard.body, "Content-Length"));
}

static void test_connection_is_kept(void **state)
{
    struct client *client = *state;
    for (unsigned i = 1; i <= 50; i++) {
        post(client, "/ok", "x", 20000);
        wait_for(client, i);
    }
    assert_int_equal(atomic_load(&server.connections), 1);
}

static void test_many_at_once(void **state)
{
    struct client *client = *state;
    for (unsigned i = 0; i < 64; i++) {
        post(client, "/ok", "x", 20000);
    }
    assert_int_equal(client->transport->active(client->transport), 64);
    wait_for(client, 64);
    assert_in_range(atomic_load(&server.connections), 2, 64);
    assert_int_equal(client->heard.last.status, 200);
}

static void test_redirect_is_not_followed(void **state)
{
    struct client *client = *state;
    post(client, "/redirect", "x", 20000);
    wait_for(client, 1);
    assert_int_equal(client->heard.last.status, 302);
}

static void test_retry_after(void **state)
{
    struct client *client = *state;
    post(client, "/seconds", "x", 20000);
    wait_for(client, 1);
    assert_int_equal(client->heard.last.status, 503);
    assert_true(client->heard.last.retry_after_ms == 7000);
    post(client, "/date", "x", 20000);
    wait_for(client, 2);
    assert_true(client->heard.last.retry_after_ms == 120000);
}

static void expect_result(struct client *client, enum mkto_transport_result result)
{
    wait_for(client, 1);
    assert_int_equal(client->heard.last.result, result);
    assert_non_null(client->heard.detail);
    assert_true(client->heard.detail[0] != '\0');
}

static void test_answer_that_is_too_large(void **state)
{
    struct client *client = *state;
    post(client, "/size/104857600", "x", 20000);
    expect_result(client, MKTO_TRANSPORT_TOO_LARGE);
    /* and nothing is left of it */
    post(client, "/ok", "x", 20000);
    wait_for(client, 2);
    assert_int_equal(client->heard.last.status, 200);
    assert_null(strchr(client->heard.body, '\1'));
}

static void test_largest_answer(void **state)
{
    struct client *client = *state;
    post(client, apr_psprintf(client->pool, "/size/%u", MKTO_HTTP_ANSWER_MAX), "x", 20000);
    wait_for(client, 1);
    assert_int_equal(client->heard.last.result, MKTO_TRANSPORT_OK);
    assert_int_equal(client->heard.last.body.len, MKTO_HTTP_ANSWER_MAX);
    post(client, apr_psprintf(client->pool, "/size/%u", MKTO_HTTP_ANSWER_MAX + 1), "x", 20000);
    wait_for(client, 2);
    assert_int_equal(client->heard.last.result, MKTO_TRANSPORT_TOO_LARGE);
    assert_string_equal(client->heard.detail, "the answer is larger than 4 MiB");
}

static void test_timeout_after_sending(void **state)
{
    struct client *client = *state;
    post(client, "/slow", "x", 300);
    expect_result(client, MKTO_TRANSPORT_TIMEOUT);
    assert_in_range(client->heard.last.took_ms, 290, 2000);
}

static void test_broken_off(void **state)
{
    struct client *client = *state;
    post(client, "/half", "x", 20000);
    expect_result(client, MKTO_TRANSPORT_BROKEN);
}

static void test_closed_without_an_answer(void **state)
{
    struct client *client = *state;
    post(client, "/close", "x", 20000);
    expect_result(client, MKTO_TRANSPORT_BROKEN);
}

static void test_refused(void **state)
{
    struct client *client = *state;
    int port;
    close(listen_on_free_port(&port));
    post_to(client, apr_psprintf(client->pool, "http://127.0.0.1:%d/", port), "x", 5000, NULL);
    expect_result(client, MKTO_TRANSPORT_REFUSED);
}

static void test_timeout_before_sending(void **state)
{
    struct client *client = *state;
    int port;
    int fd = listen_on_free_port(&port);
    /* TLS that is never answered: nothing of the request was sent */
    post_to(client, apr_psprintf(client->pool, "https://127.0.0.1:%d/", port), "x", 300, NULL);
    expect_result(client, MKTO_TRANSPORT_REFUSED);
    close(fd);
}

static void test_other_protocols(void **state)
{
    struct client *client = *state;
    post_to(client, "file:///etc/passwd", "x", 300, NULL);
    expect_result(client, MKTO_TRANSPORT_REFUSED);
}

static void test_proxy_of_the_environment_is_ignored(void **state)
{
    struct client *client = *state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    post(client, "/ok", "x", 20000);
    wait_for(client, 1);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    assert_int_equal(client->heard.last.status, 200);
}

static void test_cancel(void **state)
{
    struct client *client = *state;
    struct timeval soon = {0, 50000};
    for (int i = 0; i < 10; i++) {
        post(client, "/slow", "x", 20000);
    }
    event_base_loopexit(client->base, &soon);
    event_base_dispatch(client->base);
    client->transport->cancel_all(client->transport);
    assert_int_equal(client->transport->active(client->transport), 0);
    event_base_loopexit(client->base, &soon);
    event_base_dispatch(client->base);
    assert_int_equal(client->heard.count, 0);
    post(client, "/ok", "x", 20000);
    wait_for(client, 1);
}

/* ---- TLS, by the openssl program ---- */

static pid_t start_tls(const char *dir, int *port)
{
    char line[256];
    int out[2];

    *port = 0;
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the test fails */
        dup2(out[1], 1);
        dup2(open("/dev/null", O_WRONLY), 2);
        close(out[0]);
        if (chdir(dir) == 0) {
            execlp("openssl", "openssl", "s_server", "-accept", "127.0.0.1:0", "-key", "key.pem",
                   "-cert", "cert.pem", "-www", (char *)NULL);
        }
        _exit(127);
    }
    close(out[1]);
    FILE *lines = fdopen(out[0], "r");
    while (fgets(line, sizeof(line), lines) != NULL) {
        const char *colon = strrchr(line, ':');
        if (strncmp(line, "ACCEPT", 6) == 0 && colon != NULL) {
            *port = atoi(colon + 1);
            break;
        }
    }
    fclose(lines);
    return pid;
}

static void test_tls_is_verified(void **state)
{
    struct client *client = *state;
    char dir[TEMP_DIRECTORY_MAX];
    int port;

    temp_directory_make(dir);
    if (!make_certificate(dir)) {
        puts("skipped test_tls_is_verified: no openssl program on this machine");
        skip();
    }
    pid_t pid = start_tls(dir, &port);
    assert_true(port > 0);
    const char *url = apr_psprintf(client->pool, "https://localhost:%d/", port);
    const char *ca = apr_psprintf(client->pool, "%s/cert.pem", dir);
    get(client, url, NULL);
    expect_result(client, MKTO_TRANSPORT_TLS);
    get(client, url, ca);
    wait_for(client, 2);
    assert_int_equal(client->heard.last.result, MKTO_TRANSPORT_OK);
    assert_int_equal(client->heard.last.status, 200);
    /* the right authority, the wrong name */
    get(client, apr_psprintf(client->pool, "https://127.0.0.1:%d/", port), ca);
    wait_for(client, 3);
    assert_int_equal(client->heard.last.result, MKTO_TRANSPORT_TLS);
    /* and the slot that knew the authority does not know it without */
    get(client, url, NULL);
    wait_for(client, 4);
    assert_int_equal(client->heard.last.result, MKTO_TRANSPORT_TLS);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    temp_directory_remove(dir);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_request_as_given),
        TEST(test_post_without_body),
        TEST(test_get),
        TEST(test_connection_is_kept),
        TEST(test_many_at_once),
        TEST(test_redirect_is_not_followed),
        TEST(test_retry_after),
        TEST(test_answer_that_is_too_large),
        TEST(test_largest_answer),
        TEST(test_timeout_after_sending),
        TEST(test_broken_off),
        TEST(test_closed_without_an_answer),
        TEST(test_refused),
        TEST(test_timeout_before_sending),
        TEST(test_other_protocols),
        TEST(test_proxy_of_the_environment_is_ignored),
        TEST(test_cancel),
        TEST(test_tls_is_verified),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
