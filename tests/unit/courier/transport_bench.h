/*
 * mkto_transport_curl with a small server of the test's own at the other end.
 */
#ifndef TRANSPORT_BENCH_H
#define TRANSPORT_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <arpa/inet.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mkto_transport.h"
#include "temp_directory.h"

#define REQUEST_MAX 65536

/* ---- the server: a thread a connection, behaviour by path ---- */

struct server {
    int fd;
    int port;
    atomic_int connections; /* begun, since the test began */
    atomic_int requests;    /* read whole */
    atomic_int open;        /* connections that the server has not closed */
    pthread_t thread;
};

static struct server server;

static inline void say(int fd, const char *text)
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
static inline void echo(int fd, int number, const char *request)
{
    char head[256];
    snprintf(head, sizeof(head),
             "HTTP/1.1 200 OK\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nX-Connection: %d\r\n"
             "Content-Length: %zu\r\n\r\n",
             number, strlen(request));
    say(fd, head);
    say(fd, request);
}

static inline void fill(int fd, long size)
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
static inline bool serve(int fd, int number, const char *request)
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
    } else if (strncmp(path, "/last", 5) == 0) {
        echo(fd, number, request);
    } else if (strncmp(path, "/reset", 6) == 0) {
        const struct linger at_once = {.l_onoff = 1};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    } else if (strncmp(path, "/slow", 5) == 0) {
        char byte;
        (void)recv(fd, &byte, 1, 0); /* until the other side has had enough */
    }
    return false;
}

static inline bool is_whole(const char *request)
{
    const char *end = strstr(request, "\r\n\r\n");
    const char *length = strcasestr(request, "\r\ncontent-length: ");
    if (end == NULL) {
        return false;
    }
    return length == NULL || strlen(end + 4) >= (size_t)atoi(length + 18);
}

static inline void *connection(void *arg)
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
        atomic_fetch_add(&server.requests, 1);
        if (!serve(fd, number, request)) {
            break;
        }
        len = 0;
        memset(request, 0, REQUEST_MAX);
    }
    close(fd);
    atomic_fetch_sub(&server.open, 1);
    free(request);
    return NULL;
}

static inline void *listening(void *arg)
{
    (void)arg;
    for (;;) {
        pthread_t thread;
        int fd = accept(server.fd, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        atomic_fetch_add(&server.open, 1);
        pthread_create(&thread, NULL, connection, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
}

static inline int listen_on_free_port(int *port)
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

static inline int start_server(void **state)
{
    (void)state;
    apr_initialize();
    signal(SIGPIPE, SIG_IGN);
    server.fd = listen_on_free_port(&server.port);
    return pthread_create(&server.thread, NULL, listening, NULL);
}

static inline int stop_server(void **state)
{
    (void)state;
    shutdown(server.fd, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.fd);
    return 0;
}

static inline void wait_for_the_ends(void)
{
    while (atomic_load(&server.open) > 0) {
        usleep(100);
    }
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

static inline int setup(void **state)
{
    struct client *client = calloc(1, sizeof(*client));
    apr_pool_create(&client->pool, NULL);
    client->base = event_base_new();
    client->heard.base = client->base;
    client->transport = mkto_transport_curl(client->base, client->pool);
    assert_non_null(client->transport);
    atomic_store(&server.connections, 0);
    atomic_store(&server.requests, 0);
    *state = client;
    return 0;
}

static inline int teardown(void **state)
{
    struct client *client = *state;
    apr_pool_destroy(client->pool);
    wait_for_the_ends(); /* the next test counts anew */
    event_base_free(client->base);
    free(client->heard.body);
    free(client->heard.detail);
    free(client);
    return 0;
}

static inline void hear(void *ctx, const struct mkto_http_answer *answer)
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

static inline void give_up(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(ctx);
}

static inline void wait_for(struct client *client, unsigned count)
{
    struct timeval most = {60, 0};
    client->heard.wanted = count;
    if (client->heard.count < count) {
        struct event *timer = evtimer_new(client->base, give_up, client->base);
        evtimer_add(timer, &most);
        event_base_dispatch(client->base);
        event_free(timer);
    }
    assert_int_equal(client->heard.count, count);
}

static inline void post_to(struct client *client, const char *url, const char *body,
                           int64_t total_ms, const char *ca_file)
{
    const struct mkto_http_header headers[] = {{"User-Agent", "Visitor/1.0"}, {"X-Empty", ""}};
    struct mkto_http_request request = {
        .method = "POST", .url = url, .headers = headers, .header_count = 2};
    char copy[256];

    snprintf(copy, sizeof(copy), "%s", url); /* the transport keeps none of it */
    request.url = copy;
    request.body = mkto_slice_str(body);
    client->transport->send(client->transport, &request, 20000, total_ms, ca_file, hear,
                            &client->heard);
    memset(copy, 'x', sizeof(copy) - 1);
}

static inline void post(struct client *client, const char *path, const char *body, int64_t total_ms)
{
    post_to(client, apr_psprintf(client->pool, "http://127.0.0.1:%d%s", server.port, path), body,
            total_ms, NULL);
}

static inline void get(struct client *client, const char *url, const char *ca_file)
{
    const struct mkto_http_request request = {.method = "GET", .url = url};
    client->transport->send(client->transport, &request, 2000, 5000, ca_file, hear, &client->heard);
}

/* key.pem and cert.pem for localhost, by the openssl program; false when there is none. */
static inline bool make_certificate(const char *dir)
{
    char command[512];

    snprintf(command, sizeof(command),
             "cd %s && openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem "
             "-days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost >/dev/null 2>&1",
             dir);
    return system(command) == 0;
}

#endif
