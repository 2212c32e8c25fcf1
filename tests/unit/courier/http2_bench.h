/*
 * A server of HTTP/2 over TLS, just able to answer "200 OK", and to break off in each way that the
 * protocol has. What it does to the second request of its first connection is the test's choice.
 */
#ifndef HTTP2_BENCH_H
#define HTTP2_BENCH_H

#include <openssl/ssl.h>

#include "transport_bench.h"

#define HTTP2_HEAD 9 /* bytes of a frame's head: length (3), type, flags, stream (4) */
#define HTTP2_PREFACE 24
#define HTTP2_FRAME_MAX 16384

enum http2_frame {
    HTTP2_DATA = 0,
    HTTP2_HEADERS = 1,
    HTTP2_RST = 3,
    HTTP2_SETTINGS = 4,
    HTTP2_GOAWAY = 7
};
enum { HTTP2_END_STREAM = 1, HTTP2_ACK = 1, HTTP2_END_HEADERS = 4 };

enum http2_mishap { HTTP2_CLOSES, HTTP2_GOES_AWAY, HTTP2_REFUSES, HTTP2_RESETS };

struct http2 {
    SSL_CTX *tls;
    int fd;
    int port;
    pthread_t thread;
    enum http2_mishap mishap;
};

static struct http2 http2;

static inline bool http2_read(SSL *ssl, unsigned char *data, int len)
{
    while (len > 0) {
        int got = SSL_read(ssl, data, len);
        if (got <= 0) {
            return false;
        }
        data += got;
        len -= got;
    }
    return true;
}

static inline void http2_write(SSL *ssl, enum http2_frame type, int flags, unsigned stream,
                               const void *payload, unsigned len)
{
    unsigned char frame[HTTP2_HEAD + 16] = {
        0, 0, (unsigned char)len,   (unsigned char)type, (unsigned char)flags, 0,
        0, 0, (unsigned char)stream};
    memcpy(frame + HTTP2_HEAD, payload, len);
    (void)SSL_write(ssl, frame, HTTP2_HEAD + (int)len);
}

/* Returns false when the connection is to be closed. */
static inline bool http2_mishap(SSL *ssl, unsigned stream)
{
    switch (http2.mishap) {
    case HTTP2_GOES_AWAY: /* it has seen the first stream alone */
        http2_write(ssl, HTTP2_GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0", 8);
        return false;
    case HTTP2_REFUSES: http2_write(ssl, HTTP2_RST, 0, stream, "\0\0\0\7", 4); return true;
    case HTTP2_RESETS: http2_write(ssl, HTTP2_RST, 0, stream, "\0\0\0\2", 4); return true;
    default: return false;
    }
}

static inline bool http2_answer(SSL *ssl, int number, unsigned stream)
{
    atomic_fetch_add(&server.requests, 1);
    if (number == 1 && stream == 3) {
        return http2_mishap(ssl, stream);
    }
    http2_write(ssl, HTTP2_HEADERS, HTTP2_END_HEADERS, stream, "\x88", 1); /* :status 200 */
    http2_write(ssl, HTTP2_DATA, HTTP2_END_STREAM, stream, "OK", 2);
    return true;
}

static inline void http2_talk(SSL *ssl, int number)
{
    unsigned char head[HTTP2_HEAD];
    unsigned char payload[HTTP2_FRAME_MAX];
    bool on = http2_read(ssl, payload, HTTP2_PREFACE);

    http2_write(ssl, HTTP2_SETTINGS, 0, 0, "", 0);
    while (on && http2_read(ssl, head, HTTP2_HEAD)) {
        int len = head[0] << 16 | head[1] << 8 | head[2];
        if (len > HTTP2_FRAME_MAX || !http2_read(ssl, payload, len)) {
            return;
        }
        if (head[3] == HTTP2_SETTINGS && (head[4] & HTTP2_ACK) == 0) {
            http2_write(ssl, HTTP2_SETTINGS, HTTP2_ACK, 0, "", 0);
        } else if (head[3] <= HTTP2_HEADERS && (head[4] & HTTP2_END_STREAM) != 0) {
            on = http2_answer(ssl, number, head[8]);
        }
    }
}

static inline void *http2_connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    int number = atomic_fetch_add(&server.connections, 1) + 1;
    SSL *ssl = SSL_new(http2.tls);

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        http2_talk(ssl, number);
    }
    SSL_free(ssl);
    close(fd);
    atomic_fetch_sub(&server.open, 1);
    return NULL;
}

/* A connection at a time ends with the client's; each has a thread, so that a second one can come.
 */
static inline void *http2_listening(void *arg)
{
    (void)arg;
    for (;;) {
        pthread_t thread;
        int fd = accept(http2.fd, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        atomic_fetch_add(&server.open, 1);
        pthread_create(&thread, NULL, http2_connection, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
}

static inline int http2_choose(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                               const unsigned char *in, unsigned int in_len, void *arg)
{
    static const unsigned char mine[] = "\2h2";
    (void)ssl;
    (void)arg;
    return SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, mine, 3, in, in_len) ==
                   OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static inline void http2_start(const char *dir)
{
    char path[256];

    http2.tls = SSL_CTX_new(TLS_server_method());
    snprintf(path, sizeof(path), "%s/cert.pem", dir);
    assert_int_equal(SSL_CTX_use_certificate_file(http2.tls, path, SSL_FILETYPE_PEM), 1);
    snprintf(path, sizeof(path), "%s/key.pem", dir);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(http2.tls, path, SSL_FILETYPE_PEM), 1);
    SSL_CTX_set_alpn_select_cb(http2.tls, http2_choose, NULL);
    http2.fd = listen_on_free_port(&http2.port);
    assert_int_equal(pthread_create(&http2.thread, NULL, http2_listening, NULL), 0);
}

static inline void http2_stop(void)
{
    shutdown(http2.fd, SHUT_RDWR);
    pthread_join(http2.thread, NULL);
    close(http2.fd);
    SSL_CTX_free(http2.tls);
}

#endif
