/*
 * mod_marketo: what the files of the httpd module share.
 *
 *   mod_marketo.c       merge, start and hooks: the table of contents
 *   marketo_directive.c directives
 *   marketo_request.c   what the module knows of one request
 *   marketo_claim.c     takes requests of our locations, before anybody else can
 *   marketo_handler.c   answers what comes to a tracking location
 *   marketo_body.c      reads a body
 *   marketo_answer.c    writes an answer down
 *   marketo_event.c     a tracking call as the courier gets it
 *   marketo_cookie.c    the cookie in a response
 *   marketo_page.c      page views
 *   marketo_status.c    the status page
 *   marketo_link.c      a child's requests on their way through its connection to the courier
 *   marketo_flusher.c   a thread that goes on for events for which nobody waits
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
#include "ap_expr.h"

#include "mkto_client.h"
#include "mkto_config.h"
#include "mkto_cookie_set.h"
#include "mkto_origin.h"
#include "mkto_privacy.h"
#include "mkto_reply.h"

#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 110)
#error "mod_marketo needs httpd 2.4.49: hooks pre_translate_name and child_stopping"
#endif

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

/* Between two looks for events that nobody waits for: the longest that one lies in a child that has
 * nothing else to do, but for a connection that must be made first. */
#define MARKETO_FLUSH 100    /* ms */
#define MARKETO_FLUSH_SOON 5 /* ms, while the courier has yet to greet */

/* How long there is no courier for them before the log says so. */
#define MARKETO_LOST 2000 /* ms */

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
    const ap_directive_t *used_at;    /* the first directive that wants a courier; NULL for none */
    const ap_directive_t *named_at;   /* the first that wants a subscription; NULL for none */
    apr_array_header_t *names;        /* const ap_directive_t *: every MarketoSubscription */
    struct marketo_crowd *crowd;      /* shared by all children */
    bool threaded;                    /* the MPM */
    size_t wait_max;                  /* calls that may wait while the courier is silent; ≥ 1 */
};

/* What a <Location> makes of the requests below it. */
enum marketo_place {
    MARKETO_PLACE_UNSET = -1,
    MARKETO_PLACE_SITE,    /* nothing: they are the site's */
    MARKETO_PLACE_COLLECT, /* MarketoCollect On */
    MARKETO_PLACE_STATUS,  /* MarketoStatus On */
};

/* MarketoConsent. Lives in pconf. */
struct marketo_consent {
    const ap_expr_info_t *expr; /* of a string */
    bool absent_grants;
};

/* MarketoAllowOrigin. Lives in pconf. */
struct marketo_origins {
    bool off;
    size_t count; /* 0: off */
    struct mkto_slice of[MKTO_ORIGINS_MAX];
};

/* Directory configuration: -1 and NULL are unset. */
struct marketo_dir {
    int place;          /* enum marketo_place */
    const char *prefix; /* path of the <Location> that place is of, without a slash at the end */
    const char *subscription;              /* MarketoSubscription */
    int ack;                               /* MarketoAck: enum mkto_ack */
    int timeout;                           /* MarketoTimeout, ms */
    int max_body;                          /* MarketoMaxBody, bytes */
    int track_pages;                       /* MarketoTrackPages */
    const struct mkto_cookie_rule *cookie; /* MarketoCookie */
    const struct marketo_consent *consent; /* MarketoConsent */
    const ap_expr_info_t *email;           /* MarketoEmail; of a string */
    const ap_expr_info_t *scheme;          /* MarketoScheme; of a string */
    struct marketo_origins *origins;       /* MarketoAllowOrigin */
};

extern module AP_MODULE_DECLARE_DATA marketo_module;

const struct marketo *marketo_get(void);
struct marketo_link *marketo_link_get(void);

/* CLOCK_MONOTONIC in ms. */
uint64_t marketo_now(void);

/* marketo_directive.c. What directives say of the whole server goes to `marketo`. */
extern const command_rec marketo_directives[];
void marketo_directive_begin(struct marketo *marketo);
/* One MarketoSubscription, to be looked up when marketo.conf has been read. */
struct marketo_mention {
    const char *name;
    const ap_directive_t *at;
};

/* What the module knows of one request. In its request_config from the first question on. */
struct marketo_request {
    request_rec *r;
    const struct marketo_dir *dir;
    const struct mkto_subscription *subscription; /* NULL: MarketoSubscription does not say which */
    struct mkto_request view;
    enum marketo_place place; /* of the location that claimed it */
    bool judged;
    enum mkto_skip skip; /* mkto_privacy's judgement; valid when judged */
    bool has_cookie;     /* view's visitor has a cookie of the kind that MarketoCookie sends back */
};

/* marketo_request.c */
/* The configuration of a request, also of one that mod_cache answers before httpd has looked. */
const struct marketo_dir *marketo_request_dir(request_rec *r);

/* The type that httpd maps the extension of its path to; absent for none. */
struct mkto_slice marketo_request_mapped_type(request_rec *r);
/* NULL when nothing has asked for it yet. */
struct marketo_request *marketo_request_known(const request_rec *r);
struct marketo_request *marketo_request_get(request_rec *r);
/* Whether the visitor may be recorded and have a cookie; asks marketo_consent once. */
enum mkto_skip marketo_request_privacy(struct marketo_request *request);
/* What a string expression gives; absent when it fails, which is logged. */
struct mkto_slice marketo_request_expr(request_rec *r, const ap_expr_info_t *expr);

/* marketo_claim.c */
void marketo_claim_hooks(void);
/* The path below the prefix, or NULL when the request is not below a location of that place. */
const char *marketo_claim_path(const request_rec *r, const struct marketo_dir *dir,
                               enum marketo_place place);

/* Handlers, in the order of claims: DECLINED for requests that are not theirs. */
int marketo_handler_run(request_rec *r);
int marketo_status_run(request_rec *r);

/* marketo_body.c: OK and the body, or an HTTP status; over max bytes it stops reading. */
int marketo_body_read(request_rec *r, apr_size_t max, struct mkto_slice *out);
long long marketo_body_length(const request_rec *r); /* what Content-Length tells; -1: nothing */

/* marketo_answer.c */
int marketo_answer_send(request_rec *r, const struct mkto_reply *reply);
int marketo_answer_code(request_rec *r, enum mkto_answer answer,
                        const struct mkto_reply_more *more);

/* How a call ended. */
struct marketo_verdict {
    enum mkto_answer answer;
    int retry_after;        /* seconds; 0: the table's */
    struct mkto_slice body; /* from the pool; empty: the table's */
    const char *complaint;  /* what the log should say, once for every time the courier is lost */
};

/* marketo_event.c */
/* Fills an envelope but for call and body. false without random numbers, which is logged. */
bool marketo_event_fill(struct marketo_request *request, struct mkto_envelope *envelope);
/* The same of a page view, but for the deadline. */
bool marketo_event_view(struct marketo_request *request, struct mkto_view *view);
/* When a call of this location has waited long enough (ms, CLOCK_MONOTONIC). */
uint64_t marketo_event_deadline(const struct marketo_dir *dir);
/* Hands it in and waits. */
void marketo_event_call(struct marketo_request *request, const struct mkto_envelope *envelope,
                        struct marketo_verdict *verdict);

/* marketo_cookie.c */
void marketo_cookie_hooks(void);
/* Settles whose the request is: of the cookie that came, or of a new one, and whether the answer
 * may carry it (has_cookie). */
void marketo_cookie_settle(struct marketo_request *request);

/* marketo_page.c */
void marketo_page_hooks(void);

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

/*
 * marketo_flusher.c: a thread that takes turns for others as long as there is reason to, and sleeps
 * otherwise. It is started when it is first woken.
 */
struct marketo_flusher;
enum marketo_stage {
    MARKETO_GOES_ON,
    MARKETO_ENDS, /* the child ends: only for what goes out at once is there still time */
    MARKETO_ENDED /* the last turn of all */
};
/* One look, without blocking; after how many ms another one should follow, or -1. */
typedef int marketo_flusher_turn(void *data, enum marketo_stage stage);
struct marketo_flusher *marketo_flusher_create(marketo_flusher_turn *turn, void *data);
void marketo_flusher_wake(struct marketo_flusher *flusher); /* under the caller's lock */
/* Lets it end, and waits for that a little. Safe in a signal handler. */
void marketo_flusher_stop(struct marketo_flusher *flusher);

/* marketo_link.c */
struct marketo_link;

struct marketo_link *marketo_link_create(const struct marketo *marketo, apr_pool_t *pchild);
/* Sends one call and waits for its verdict, at most until its deadline. */
void marketo_link_call(struct marketo_link *link, const struct mkto_event_frame *event,
                       const struct mkto_envelope *envelope, apr_pool_t *pool,
                       struct marketo_verdict *verdict);
/* Sends one page view, for which nobody waits: STORED while it is under way, else it is counted as
 * not stored. Never blocks. */
enum mkto_answer marketo_link_view(struct marketo_link *link, struct mkto_view *view,
                                   struct mkto_request *request);
/* Counts one event that was kept away. */
void marketo_link_count(struct marketo_link *link, enum mkto_skip skip);
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
