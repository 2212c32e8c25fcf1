/* mkto_transport_curl against a small server of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mkto_transport.h"

#define REQUEST_MAX 65536

/* ---- the server: a thread a connection, behaviour by path ---- */

struct server {
    int fd;
    int port;
    atomic_int connections;
    pthread_t thread;
};

static struct server server;

static void say(int fd, const char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        ssize_t put = send(fd, text, len, MSG_NOSIGNAL);
        if (put <= 0) {
            return;
        }
        text += put;
        len -= (size_t)put;
    }
}

/* 200 with the request as body and the number of the connection in a header. */
static void echo(int fd, int number, const char *request)
{
    char head[256];
    snprintf(head, sizeof(head),
             "HTTP/1.1 200 OK\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nX-Connection: %d\r\n"
             "Content-Length: %zu\r\n\r\n",
             number, strlen(request));
    say(fd, head);
    say(fd, request);
}

static void fill(int fd, long size)
{
    static char block[65536];
    char head[80];
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %ld\r\n\r\n", size);
    say(fd, head);
    while (size > 0) {
        size_t part = size < (long)sizeof(block) ? (size_t)size : sizeof(block);
        if (send(fd, block, part, MSG_NOSIGNAL) <= 0) {
            return;
        }
        size -= (long)part;
    }
}

/* Returns false when the connection is to be closed. */
static bool serve(int fd, int number, const char *request)
{
    const char *path = strchr(request, ' ') + 1;

    if (strncmp(path, "/ok", 3) == 0) {
        echo(fd, number, request);
        return true;
    }
    if (strncmp(path, "/redirect", 9) == 0) {
        say(fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
        return true;
    }
    if (strncmp(path, "/seconds", 8) == 0) {
        say(fd, "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
        return true;
    }
    if (strncmp(path, "/date", 5) == 0) {
        say(fd, "HTTP/1.1 503 Busy\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\n"
                "Retry-After: Tue, 15 Nov 1994 08:14:31 GMT\r\nContent-Length: 0\r\n\r\n");
        return true;
    }
    if (strncmp(path, "/size/", 6) == 0) {
        fill(fd, atol(path + 6));
    } else if (strncmp(path, "/half", 5) == 0) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    } else if (strncmp(path, "/slow", 5) == 0) {
        char byte;
        (void)recv(fd, &byte, 1, 0); /* until the other side has had enough */
    }
    return false;
}

static bool is_whole(const char *request)
{
    const char *end = strstr(request, "\r\n\r\n");
    const char *length = strcasestr(request, "\r\ncontent-length: ");
    if (end == NULL) {
        return false;
    }
    return length == NULL || strlen(end + 4) >= (size_t)atoi(length + 18);
}

static void *connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    int number = atomic_fetch_add(&server.connections, 1) + 1;
    char *request = calloc(1, REQUEST_MAX);
    size_t len = 0;

    for (;;) {
        ssize_t got = recv(fd, request + len, REQUEST_MAX - 1 - len, 0);
        if (got <= 0) {
            break;
        }
        len += (size_t)got;
        request[len] = '\0';
        if (!is_whole(request)) {
            continue;
        }
        if (!serve(fd, number, request)) {
            break;
        }
        len = 0;
        memset(request, 0, REQUEST_MAX);
    }
    close(fd);
    free(request);
    return NULL;
}

static void *listening(void *arg)
{
    (void)arg;
    for (;;) {
        pthread_t thread;
        int fd = accept(server.fd, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        pthread_create(&thread, NULL, connection, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
}

static int listen_on_free_port(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static int start_server(void **state)
{
    (void)state;
    apr_initialize();
    signal(SIGPIPE, SIG_IGN);
    server.fd = listen_on_free_port(&server.port);
    return pthread_create(&server.thread, NULL, listening, NULL);
}

static int stop_server(void **state)
{
    (void)state;
    shutdown(server.fd, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.fd);
    return 0;
}

/* ---- the client ---- */

struct heard {
    unsigned count;
    struct mkto_http_answer last;
    char *body;
    char *detail;
    struct event_base *base;
    unsigned wanted;
};

struct client {
    apr_pool_t *pool;
    struct event_base *base;
    struct mkto_transport *transport;
    struct heard heard;
};

static int setup(void **state)
{
    struct client *client = calloc(1, sizeof(*client));
    apr_pool_create(&client->pool, NULL);
    client->base = event_base_new();
    client->heard.base = client->base;
    client->transport = mkto_transport_curl(client->base, client->pool);
    assert_non_null(client->transport);
    atomic_store(&server.connections, 0);
    *state = client;
    return 0;
}

static int teardown(void **state)
{
    struct client *client = *state;
    apr_pool_destroy(client->pool);
    event_base_free(client->base);
    free(client->heard.body);
    free(client->heard.detail);
    free(client);
    return 0;
}

static void hear(void *ctx, const struct mkto_http_answer *answer)
{
    struct heard *heard = ctx;
    heard->count++;
    heard->last = *answer;
    free(heard->body);
    free(heard->detail);
    heard->body = strndup(answer->body.data == NULL ? "" : answer->body.data, answer->body.len);
    heard->detail = answer->detail == NULL ? NULL : strdup(answer->detail);
    if (heard->count >= heard->wanted) {
        event_base_loopbreak(heard->base);
    }
}

static void wait_for(struct client *client, unsigned count)
{
    struct timeval most = {20, 0};
    client->heard.wanted = count;
    if (client->heard.count < count) {
        event_base_loopexit(client->base, &most);
        event_base_dispatch(client->base);
    }
    assert_int_equal(client->heard.count, count);
}

static void post_to(struct client *client, const char *url, const char *body, int64_t total_ms,
                    const char *ca_file)
{
    const struct mkto_http_header headers[] = {{"User-Agent", "Visitor/1.0"}, {"X-Empty", ""}};
    struct mkto_http_request request = {
        .method = "POST", .url = url, .headers = headers, .header_count = 2};
    char copy[256];

    snprintf(copy, sizeof(copy), "%s", url); /* the transport keeps none of it */
    request.url = copy;
    request.body = mkto_slice_str(body);
    client->transport->send(client->transport, &request, 2000, total_ms, ca_file, hear,
                            &client->heard);
    memset(copy, 'x', sizeof(copy) - 1);
}

static void post(struct client *client, const char *path, const char *body, int64_t total_ms)
{
    post_to(client, apr_psprintf(client->pool, "http://127.0.0.1:%d%s", server.port, path), body,
            total_ms, NULL);
}

static void get(struct client *client, const char *url, const char *ca_file)
{
    const struct mkto_http_request request = {.method = "GET", .url = url};
    client->transport->send(client->transport, &request, 2000, 5000, ca_file, hear, &client->heard);
}

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
        post(client, "/ok", "x", 5000);
        wait_for(client, i);
    }
    assert_int_equal(atomic_load(&server.connections), 1);
}

static void test_many_at_once(void **state)
{
    struct client *client = *state;
    for (unsigned i = 0; i < 64; i++) {
        post(client, "/ok", "x", 5000);
    }
    assert_int_equal(client->transport->active(client->transport), 64);
    wait_for(client, 64);
    assert_in_range(atomic_load(&server.connections), 2, 64);
    assert_int_equal(client->heard.last.status, 200);
}

static void test_redirect_is_not_followed(void **state)
{
    struct client *client = *state;
    post(client, "/redirect", "x", 5000);
    wait_for(client, 1);
    assert_int_equal(client->heard.last.status, 302);
}

static void test_retry_after(void **state)
{
    struct client *client = *state;
    post(client, "/seconds", "x", 5000);
    wait_for(client, 1);
    assert_int_equal(client->heard.last.status, 503);
    assert_true(client->heard.last.retry_after_ms == 7000);
    post(client, "/date", "x", 5000);
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
    post(client, "/ok", "x", 5000);
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
    post(client, "/half", "x", 5000);
    expect_result(client, MKTO_TRANSPORT_BROKEN);
}

static void test_closed_without_an_answer(void **state)
{
    struct client *client = *state;
    post(client, "/close", "x", 5000);
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
    post(client, "/ok", "x", 5000);
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
        post(client, "/slow", "x", 5000);
    }
    event_base_loopexit(client->base, &soon);
    event_base_dispatch(client->base);
    client->transport->cancel_all(client->transport);
    assert_int_equal(client->transport->active(client->transport), 0);
    event_base_loopexit(client->base, &soon);
    event_base_dispatch(client->base);
    assert_int_equal(client->heard.count, 0);
    post(client, "/ok", "x", 5000);
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
    char dir[] = "/tmp/mkto-transport-XXXXXX";
    char command[512];
    int port;

    assert_non_null(mkdtemp(dir));
    snprintf(command, sizeof(command),
             "cd %s && openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem "
             "-days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost >/dev/null 2>&1",
             dir);
    if (system(command) != 0) {
        skip(); /* no openssl program here */
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
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
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
