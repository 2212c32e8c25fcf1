/*
 * mod_marketo: what the files of the httpd module share.
 *
 *   mod_marketo.c       directives, merge, start: the table of contents
 *   marketo_handler.c   claims requests below a tracking location and answers them
 *   marketo_link.c      a child's requests on their way through its connection to the courier
 *   marketo_crowd.c     what the children know of each other
 *   marketo_presence.c  watches over the courier: starts it, keeps it, passes its log on
 *   marketo_socket.c    does on a socket what an mkto_client wants
 *
 * Life: pre_config makes struct marketo anew for every reading of the configuration, and its pool
 * (pconf) ends it. After post_config it is constant; children inherit it and add what is theirs:
 * one link each, one presence in one of them.
 */
#ifndef MOD_MARKETO_H
#define MOD_MARKETO_H

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"

#include "mkto_client.h"
#include "mkto_config.h"

#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 110)
#error "mod_marketo needs httpd 2.4.49: hooks pre_translate_name and child_stopping"
#endif

#define MARKETO_HANDLER "marketo-collect"
#define MARKETO_TIMEOUT_DEFAULT 5000 /* ms that a request waits for its verdict */
#define MARKETO_TIMEOUT_MIN 1        /* ms */
#define MARKETO_TIMEOUT_MAX 60000    /* ms */
#define MARKETO_WATCH_INTERVAL 200   /* ms between two looks at the courier */
#define MARKETO_WATCH_LOST 2000      /* ms without one after which another child watches */
#define MARKETO_READ_SIZE 65536      /* bytes of one read from the courier */

/*
 * DESIGN: at most a quarter of a child's threads wait for the courier. Taken at its word at every
 * moment this would turn visitors away whenever more than a quarter of the threads carry events,
 * though each has its verdict within a millisecond. So the quarter holds from the moment that the
 * courier was silent for this long while somebody waited: the oldest quarter stays and the others
 * are answered 503, as is everybody who comes until it is heard again. It is the longest time that
 * a stopped courier can hold up more threads than that. A commit takes about a millisecond, on a
 * slow disk some tens.
 */
#define MARKETO_SILENCE 250 /* ms */

/* How long a call may lie here for others to go with it. */
#define MARKETO_GATHER 10 /* ms */

/* After a timeout one request at a time waits this long to see whether the courier is back. */
#define MARKETO_PROBE 100 /* ms */

struct marketo_crowd;

/* What stands once in an httpd. Set by directives, completed by check_config and post_config. */
struct marketo {
    const char *file;                 /* MarketoConfig; NULL when unset */
    const ap_directive_t *file_at;    /* where it stands */
    const ap_directive_t *courier_at; /* MarketoCourier; NULL when unset */
    bool external;                    /* MarketoCourier external */
    const char *program;              /* MarketoCourier spawn PROGRAM; absolute */
    const char *socket;               /* MarketoSocket; from check_config on never NULL */
    const struct mkto_config *config; /* NULL when there is no MarketoConfig */
    const ap_directive_t *collect_at; /* the first MarketoCollect On; NULL when there is none */
    apr_array_header_t *names;        /* const ap_directive_t *: every MarketoSubscription */
    struct marketo_crowd *crowd;      /* shared by all children */
    bool threaded;                    /* the MPM */
    size_t wait_max;                  /* calls that may wait while the courier is silent; ≥ 1 */
};

/* Directory configuration: -1 and NULL are unset. */
struct marketo_dir {
    int collect;              /* MarketoCollect */
    const char *prefix;       /* path of its <Location>, without a slash at the end */
    const char *subscription; /* MarketoSubscription */
    int ack;                  /* MarketoAck: enum mkto_ack */
    int timeout;              /* MarketoTimeout, ms */
    int max_body;             /* MarketoMaxBody, bytes */
};

extern module AP_MODULE_DECLARE_DATA marketo_module;

const struct marketo *marketo_get(void);
struct marketo_link *marketo_link_get(void);

/* CLOCK_MONOTONIC in ms. */
uint64_t marketo_now(void);

/* marketo_handler.c */
void marketo_handler_hooks(apr_pool_t *pool);

/* marketo_socket.c: one connection to the courier. The caller makes the client. */
struct marketo_socket {
    struct mkto_client *client;
    const char *path;
    int fd;            /* -1: none */
    int connect_error; /* errno of the last connect that failed; 0 after one that did not */
    uint8_t buffer[MARKETO_READ_SIZE];
};

/* sock is zeroed. Returns 0, or -1 when memory is short. */
int marketo_socket_init(struct marketo_socket *sock, const struct marketo *marketo,
                        struct mkto_client_conf *conf, enum mkto_role role);
/* Writes what the client has, as far as the socket takes it; whether that was anything. */
bool marketo_socket_write(struct marketo_socket *sock);
/* One turn: reads when readable, lets time pass, closes, connects. Never blocks. */
void marketo_socket_turn(struct marketo_socket *sock, bool readable, uint64_t now);
short marketo_socket_events(const struct marketo_socket *sock, uint64_t now); /* for poll() */
void marketo_socket_close(struct marketo_socket *sock);

/* marketo_link.c */
struct marketo_link;

struct marketo_reply {
    enum mkto_answer answer;
    int retry_after;        /* seconds; 0: the table's */
    struct mkto_slice body; /* from the pool; empty: the table's */
    const char *complaint;  /* what the log should say, once for every time the courier is lost */
};

struct marketo_link *marketo_link_create(const struct marketo *marketo, apr_pool_t *pchild);
/* Sends one call and waits for its verdict, at most until its deadline. */
void marketo_link_call(struct marketo_link *link, const struct mkto_event_frame *event,
                       const struct mkto_envelope *envelope, apr_pool_t *pool,
                       struct marketo_reply *reply);
/* The child ends: nobody is to wait for the courier any longer. Safe in a signal handler. */
void marketo_link_stop(struct marketo_link *link, bool graceful);

/*
 * marketo_crowd.c: memory that all children share. Under an MPM without threads each of them waits
 * for itself, and only together can they see how many do; under any MPM they agree on one that
 * watches over the courier.
 */
apr_status_t marketo_crowd_create(struct marketo_crowd **crowd, size_t seats, apr_pool_t *pconf);
struct marketo_seat *marketo_crowd_sit(struct marketo_crowd *crowd); /* NULL: all are taken */
void marketo_crowd_leave(struct marketo_seat *seat);
void marketo_crowd_wait(struct marketo_seat *seat, uint64_t since, uint64_t until);
void marketo_crowd_done(struct marketo_seat *seat);
/* Whether this process is the one that watches; it takes over from one that has not for a while. */
bool marketo_crowd_watch(struct marketo_crowd *crowd, uint64_t now);
void marketo_crowd_unwatch(struct marketo_crowd *crowd);
void marketo_crowd_heard(struct marketo_crowd *crowd, uint64_t now);
/* Returns how many processes have waited since before `since`; `quiet` becomes the time since when
 * the courier is silent, as all processes together see it, if that is earlier. */
size_t marketo_crowd_before(const struct marketo_crowd *crowd, uint64_t since, uint64_t now,
                            uint64_t *quiet);

/* marketo_presence.c */
int marketo_presence_watch(const struct marketo *marketo, server_rec *server, apr_pool_t *pconf);

#endif
