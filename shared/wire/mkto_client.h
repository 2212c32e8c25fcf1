/*
 * mkto_client: the web server's side of the socket, as a state machine without I/O.
 *
 * It holds the requests that wait for a verdict, says what it wants from the socket, and is told
 * what happened. nginx drives it from its event loop, httpd from the threads that wait, unit tests
 * from nothing at all. It never blocks, never logs, and is not thread-safe: httpd puts a mutex
 * around it.
 *
 *   IDLE --want CONNECT--> CONNECTING --connected--> GREETING --WELCOME--> READY
 *     ^                        | failed                 | REFUSED, EOF        | EOF, bad frame
 *     +---- backoff over ---- WAITING <-----------------+---------------------+
 *
 * A waiting request keeps its encoded frame until its verdict arrives, so it is sent again after a
 * reconnect with the same seq and request id; the courier knows it by its message id. At its
 * deadline it ends with MKTO_ANSWER_AWAY.
 *
 * Tripped: after one request has timed out, submit refuses at once with MKTO_ANSWER_AWAY until a
 * verdict or a WELCOME arrives. So a stopped courier costs the site one timeout, and one that was
 * killed and comes back within the timeout costs nothing. What is fire and forget is taken all the
 * same, and waits until its own deadline. (A tripped client keeps trying to connect
 * with its backoff while it is driven, and gives up a connection that stays silent for
 * MKTO_CLIENT_SILENCE: a verdict that never comes must not keep it tripped for good. Requests of
 * fire and forget trip nothing, but a connection that answers none for MKTO_CLIENT_DEAF is given up
 * likewise.)
 */
#ifndef MKTO_CLIENT_H
#define MKTO_CLIENT_H

#include <sys/uio.h>

#include "mkto_frame.h"
#include "mkto_view.h"

#define MKTO_CLIENT_BUFFER_DEFAULT                                                                 \
    (16u << 20) /* bytes of waiting frames; over it submit answers BUSY */
#define MKTO_CLIENT_WAITING_DEFAULT 65536u /* waiting requests; over it submit answers BUSY */
#define MKTO_CLIENT_BACKOFF_MIN 50         /* ms before the first reconnect; doubles */
#define MKTO_CLIENT_BACKOFF_MAX 1000       /* ms */
#define MKTO_CLIENT_CONNECT_TIMEOUT 1000   /* ms for connect, and again for WELCOME */
#define MKTO_CLIENT_COUNTS_EVERY 1000      /* ms between two COUNTS frames */
#define MKTO_CLIENT_SILENCE 1000 /* ms without a verdict after a trip; then it connects anew */
#define MKTO_CLIENT_DEAF                                                                           \
    10000 /* ms that those of fire and forget wait while no verdict comes at                       \
             all; then it connects anew */

struct mkto_client;

struct mkto_client_conf {
    struct mkto_hello hello; /* config_path is copied */
    size_t max_bytes;        /* 0: default */
    size_t max_waiting;      /* 0: default */
    void *ctx;               /* handed to the callbacks */
    /* A request has its answer. Called from input, tick, failed and closed only, never from submit
     * or cancel. It may call submit and cancel, nothing else of the client. */
    void (*answered)(void *ctx, void *request, const struct mkto_verdict_frame *verdict);
    /* The courier logs. May be NULL. */
    void (*log)(void *ctx, const struct mkto_log_frame *log);
};

enum mkto_client_want {
    MKTO_WANT_CONNECT = 1, /* start a non-blocking connect, then report connected or failed */
    MKTO_WANT_READ = 2,    /* report bytes that arrive */
    MKTO_WANT_WRITE = 4,   /* there is output */
    MKTO_WANT_CLOSE =
        8, /* close the socket, then report closed(0); the reason is in mkto_client_reason */
};

enum mkto_client_state {
    MKTO_CLIENT_IDLE,
    MKTO_CLIENT_CONNECTING,
    MKTO_CLIENT_GREETING,
    MKTO_CLIENT_READY,
    MKTO_CLIENT_WAITING, /* backoff after a failure */
};

/* NULL when memory runs out. All times are CLOCK_MONOTONIC in ms. */
struct mkto_client *mkto_client_create(const struct mkto_client_conf *conf, uint64_t now);

/* Frees everything; waiting requests get no callback. NULL is allowed. */
void mkto_client_destroy(struct mkto_client *client);

/*
 * Hands in one call. deadline_ms of the event counts; seq is chosen here. Returns
 * MKTO_ANSWER_STORED when it now waits, or what to answer at once: AWAY (tripped), BUSY (over a
 * maximum, out of memory), TOO_LARGE. `request` may be NULL for fire and forget: then there is no
 * callback; when such a call is refused here, or its deadline passes, it is counted as
 * MKTO_SKIP_NOT_STORED (what the courier refuses, the courier counts); its deadline trips nothing,
 * and it is taken by a tripped client, too. All such calls together take at most half
 * of max_bytes and of max_waiting, so that they never crowd out those that somebody waits for.
 */
enum mkto_answer mkto_client_submit(struct mkto_client *client,
                                    const struct mkto_event_frame *event,
                                    const struct mkto_envelope *envelope, void *request,
                                    uint64_t now);

/* Hands in a page view, fire and forget, as above; what is too long of it is cut (mkto_view_fit).
 * Views that gather until the next output share a frame, and the deadline of the first
 * (mkto_queue). */
enum mkto_answer mkto_client_view(struct mkto_client *client, struct mkto_view *view,
                                  struct mkto_request *request, uint64_t now);

/*
 * Whether what waits for the next output should go at once: anything but page views that still
 * gather, or MKTO_CLIENT_GATHER bytes of these. Fewer may lie a moment for others to go with them:
 * each write wakes the courier, costs it a commit, and brings back a verdict.
 */
#define MKTO_CLIENT_GATHER (160u << 10) /* a unix socket holds about 200 KiB */
bool mkto_client_gathered(const struct mkto_client *client);

/* The request is gone (client abort): forgets the pointer. What is already queued is still sent. */
void mkto_client_cancel(struct mkto_client *client, void *request);

/*
 * One more that was kept away; NONE counts nothing. The numbers go out in front of the next frame,
 * by themselves when there is none, at most once in MKTO_CLIENT_COUNTS_EVERY, and stay here while
 * there is no connection. (So the client may want WRITE, and a tick, for them alone: an exiting
 * worker need not stay for that.) A number stops at UINT32_MAX.
 */
void mkto_client_count(struct mkto_client *client, enum mkto_skip skip, uint64_t now);

unsigned mkto_client_wants(const struct mkto_client *client, uint64_t now);

/* When tick should be called at the latest (ms, monotonic); UINT64_MAX for never. */
uint64_t mkto_client_deadline(const struct mkto_client *client);
void mkto_client_tick(struct mkto_client *client, uint64_t now);

void mkto_client_connecting(struct mkto_client *client, uint64_t now); /* the connect was started */
void mkto_client_connected(struct mkto_client *client, uint64_t now);
void mkto_client_failed(struct mkto_client *client, int error,
                        uint64_t now); /* connect failed; errno value */
void mkto_client_closed(struct mkto_client *client, int error,
                        uint64_t now); /* EOF (0), or errno of read or write */

/* Output that waits, as up to max iovecs; returns how many. Valid until the next call on the
 * client. */
int mkto_client_output(struct mkto_client *client, struct iovec *iov, int max);
void mkto_client_sent(struct mkto_client *client, size_t bytes);

/* Bytes from the socket, any cut. Returns 0, or -1 when the stream is broken (wants then says
 * CLOSE). */
int mkto_client_input(struct mkto_client *client, const uint8_t *data, size_t len, uint64_t now);

enum mkto_client_state mkto_client_state_of(const struct mkto_client *client);
bool mkto_client_tripped(const struct mkto_client *client);
/* Requests without a verdict that somebody waits for, cancelled ones, too: an exiting worker stays
 * for them. And those of fire and forget: nobody stays for them. */
size_t mkto_client_waiting(const struct mkto_client *client);
size_t mkto_client_background(const struct mkto_client *client);
const char *mkto_client_reason(
    const struct mkto_client *client); /* why the last connection ended, in words; "" if none */
/* Connections given up since the last verdict because none came: a courier that takes connections
 * and does not answer. */
unsigned mkto_client_silences(const struct mkto_client *client);
uint8_t mkto_client_refusal(
    const struct mkto_client *client); /* enum mkto_refusal of the last REFUSED, 0 if none */

#endif
