/*
 * The nginx face of the tracking API: it views the request, hands it to the courier through
 * mkto_client, and answers with the verdict; it records page views and keeps the visitor's cookie.
 * Its parts:
 *
 *   module    directives, start and end of a worker; variable has the variables
 *   set       the directives' values; conf is what nginx -t finds when it has them all
 *   view      a visitor's request as the rules of shared/wire see it, and who may be recorded
 *   handler   one call of the tracking location; body gathers its body, answer writes it down
 *   page      page views, when a response is logged; cookie sends the visitor's with it
 *   status    the page that shows the courier's state
 *   link      one connection of a worker to the courier; presence is worker 0's second one
 *
 * A worker is one thread, so nothing here is locked. Nothing of a request lives in a configuration.
 */
#ifndef NGX_HTTP_MARKETO_H
#define NGX_HTTP_MARKETO_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include <stdbool.h>
#include <sys/un.h>

#include "mkto_client.h"
#include "mkto_config.h"
#include "mkto_cookie_set.h"
#include "mkto_origin.h"
#include "mkto_privacy.h"
#include "mkto_reply.h"
#include "mkto_request.h"

#define NGX_HTTP_MARKETO_TIMEOUT 5000      /* ms; default of marketo_timeout */
#define NGX_HTTP_MARKETO_TIMEOUT_MAX 60000 /* ms; the largest marketo_timeout, 1 the smallest */
#define NGX_HTTP_MARKETO_BODIES_MAX                                                                \
    (32u << 20) /* bytes of bodies under way in one worker; over it a request is answered BUSY */
#define NGX_HTTP_MARKETO_ID 32     /* hex digits of an event's id */
#define NGX_HTTP_MARKETO_RANDOM 16 /* bytes that ngx_http_marketo_random gives */

_Static_assert(NGX_HTTP_MARKETO_RANDOM == MKTO_VIEW_ID, "an id is one draw");

/* Where a directive stands that needs marketo.conf. Lives as long as the configuration. */
typedef struct {
    ngx_str_t directive;
    ngx_str_t name; /* of the [marketo name] section that it asks for; absent when it does not */
    ngx_str_t file;
    ngx_uint_t line;
    ngx_http_core_loc_conf_t *location; /* that it takes for `handler`; else both NULL */
    ngx_http_handler_pt handler;
} ngx_http_marketo_place_t;

/* One `marketo_cookie` directive. */
typedef struct {
    struct mkto_cookie_rule rule;
    ngx_http_marketo_place_t *place; /* NULL with off */
} ngx_http_marketo_cookie_t;

/* One `marketo_consent` directive. */
typedef struct {
    ngx_http_complex_value_t value;
    bool absent_grants;
} ngx_http_marketo_consent_t;

typedef struct {
    ngx_str_t config_file; /* absolute; "" when unset */
    ngx_flag_t spawn;
    ngx_str_t program;    /* absolute; what spawn starts */
    ngx_str_t spawn_file; /* where marketo_courier stands, or marketo_config without one */
    ngx_uint_t spawn_line;
    ngx_str_t socket;                 /* absolute; "" when unset, until the end of http {} */
    ngx_array_t places;               /* of ngx_http_marketo_place_t * */
    const struct mkto_config *config; /* NULL when there is no marketo_config */
    bool tracks_pages;                /* somewhere */
    bool sets_cookies;                /* somewhere */
    bool shows_variables;             /* one of ours is used somewhere */
} ngx_http_marketo_main_conf_t;

typedef struct {
    ngx_http_marketo_place_t *use; /* `marketo`; NULL: none. Not inherited, but for `if` blocks */
    ngx_http_marketo_place_t *status;             /* marketo_status, likewise */
    ngx_http_marketo_place_t *named;              /* marketo_subscription; NULL: [marketo] */
    const struct mkto_subscription *subscription; /* of what happens here; NULL: nothing may */
    ngx_uint_t ack;                               /* enum mkto_ack */
    ngx_msec_t timeout;
    size_t max_body;
    ngx_flag_t track_pages;
    ngx_http_marketo_place_t *tracks;    /* where track_pages was turned on */
    ngx_http_marketo_cookie_t *cookie;   /* NULL: off */
    ngx_http_marketo_consent_t *consent; /* NULL: nobody is asked */
    ngx_http_complex_value_t *email;     /* NULL: none */
    ngx_http_complex_value_t *scheme;    /* NULL: the connection's own */
    ngx_array_t *origins;                /* of struct mkto_slice; NULL: off */
} ngx_http_marketo_loc_conf_t;

/*
 * What is known of a visitor's request, which is always the main one. Made when it is first asked
 * for, and found again in the pool: nginx forgets a module's context at an internal redirect.
 */
typedef struct {
    struct mkto_request request; /* its visitor is the one from now on, when a cookie is sent */
    const struct mkto_subscription *subscription;
    struct mkto_cookie cookie; /* what is sent back */
    char cookie_text[MKTO_COOKIE_MAX];
    bool has_cookie;
    u_char id[NGX_HTTP_MARKETO_ID]; /* of the page view; "" without one that a variable shows */
    const char *verdict;            /* on the page view; NULL without one */
} ngx_http_marketo_view_t;

/* One call. From the handler's start to the end of the request. */
typedef struct {
    ngx_http_request_t *request;
    ngx_http_marketo_view_t *view;
    enum mkto_endpoint endpoint;
    enum mkto_call call;
    enum mkto_site site;
    bool gzip;                      /* the body is, for the courier to inflate */
    u_char id[NGX_HTTP_MARKETO_ID]; /* $marketo_event_id, and the message id of a call without
                                       one */
    enum mkto_answer answer;
    struct mkto_reply_more more;

    const u_char *body; /* as far as it has come */
    size_t body_len;
    u_char *gathered; /* NULL while body points into nginx's buffer */
    size_t gathered_size;

    ngx_queue_t queue; /* in the link's answered */
    bool waiting;      /* the link's client knows us */
    bool answered;     /* in the link's answered */
} ngx_http_marketo_ctx_t;

typedef struct ngx_http_marketo_link_s ngx_http_marketo_link_t;

struct ngx_http_marketo_link_s {
    struct mkto_client *client; /* NULL: not running */
    ngx_connection_t *connection;
    struct sockaddr_un address;
    ngx_event_t timer;  /* cancelable but while requests wait */
    ngx_event_t flush;  /* posted: everything that one turn of the loop brought goes out at once */
    ngx_event_t gather; /* cancelable: what nobody waits for goes out with more of its kind */
    bool due;           /* what there is may go out now */
    ngx_queue_t answered; /* requests with a verdict, to be answered when the client has returned */
    ngx_uint_t waiting;   /* requests without a verdict */
    bool stopped;         /* worker_shutdown_timeout is over: no new connection */
    bool ready;           /* the courier has welcomed us */
    /* Connected (0), or lost or not reached (errno of connect, 0 for anything else). May be NULL */
    void (*changed)(ngx_http_marketo_link_t *link, ngx_err_t err);
};

extern ngx_module_t ngx_http_marketo_module;
extern ngx_http_marketo_link_t ngx_http_marketo_events;   /* of this worker */
extern ngx_http_marketo_link_t ngx_http_marketo_presence; /* runs in worker 0 only */

/* set */
char *ngx_http_marketo_set_config(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_set_courier(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_set_socket(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_set_use(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_set_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_set_subscription(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_set_track_pages(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_set_ack(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_set_cookie(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_set_consent(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_set_email(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_set_scheme(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_set_allow_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_check_timeout(ngx_conf_t *cf, void *post, void *data);
char *ngx_http_marketo_check_max_body(ngx_conf_t *cf, void *post, void *data);

/* conf */
void *ngx_http_marketo_create_main_conf(ngx_conf_t *cf);
char *ngx_http_marketo_init_main_conf(ngx_conf_t *cf, void *conf);
void *ngx_http_marketo_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_marketo_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);

/* variable */
ngx_int_t ngx_http_marketo_add_variables(ngx_conf_t *cf);
bool ngx_http_marketo_variables_are_used(ngx_conf_t *cf);

/* view */
/* The view of r's main request; made when there is none. NULL: no memory, or no subscription. */
ngx_http_marketo_view_t *ngx_http_marketo_view(ngx_http_request_t *r);
ngx_http_marketo_view_t *ngx_http_marketo_view_find(const ngx_http_request_t *r); /* or NULL */
/* All but what mkto_request_settle does. */
void ngx_http_marketo_view_fill(ngx_http_marketo_view_t *view, ngx_http_request_t *r);
struct mkto_slice ngx_http_marketo_method(const ngx_http_request_t *r); /* the visitor's own */
/* NONE, or what forbids that this visitor is recorded and has a cookie. */
enum mkto_skip ngx_http_marketo_privacy(ngx_http_request_t *r, const ngx_http_marketo_view_t *view);
/* All but call, body, request_id and the flags that the caller knows. `cookie` has room for
 * MKTO_COOKIE_MAX bytes; the rest points into the request. */
void ngx_http_marketo_envelope(ngx_http_request_t *r, const ngx_http_marketo_view_t *view,
                               char *cookie, struct mkto_envelope *envelope);
/* What marketo_email says; absent when it is not set. */
struct mkto_slice ngx_http_marketo_email(ngx_http_request_t *r);
ngx_int_t ngx_http_marketo_random(u_char *bytes); /* NGX_HTTP_MARKETO_RANDOM of them */
ngx_int_t ngx_http_marketo_make_id(u_char *id);
/* As many bytes, which no other worker has: the first ones are random, the next ones count. For
 * what nobody gains from guessing. */
ngx_int_t ngx_http_marketo_number_id(u_char *id);

/* handler */
ngx_int_t ngx_http_marketo_handler(ngx_http_request_t *r);
/* NULL: no memory, no random numbers. */
ngx_http_marketo_ctx_t *ngx_http_marketo_create_ctx(ngx_http_request_t *r);
void ngx_http_marketo_body_whole(ngx_http_request_t *r); /* the body is there: hand it in */
void ngx_http_marketo_finish(ngx_http_marketo_ctx_t *ctx);
/* The answer is our own, without the courier: what it refuses is counted. */
void ngx_http_marketo_decide(ngx_http_marketo_ctx_t *ctx, enum mkto_answer answer);
/* Hands in a call that has no body of its own, and answers with its verdict. */
ngx_int_t ngx_http_marketo_hand_in(ngx_http_marketo_ctx_t *ctx);

/* answer */
ngx_int_t ngx_http_marketo_answer(ngx_http_marketo_ctx_t *ctx);
ngx_int_t ngx_http_marketo_reply(ngx_http_request_t *r, const struct mkto_reply *reply);
ngx_table_elt_t *ngx_http_marketo_add_header(ngx_http_request_t *r, const char *name,
                                             ngx_str_t value); /* NULL: no memory */

/* body */
ngx_int_t ngx_http_marketo_read_body(ngx_http_request_t *r); /* ends in body_whole or finish */
void ngx_http_marketo_free_body(ngx_http_marketo_ctx_t *ctx);

/* page */
ngx_int_t ngx_http_marketo_page_handler(ngx_http_request_t *r); /* of the log phase */
/* One that is kept away from the courier. */
void ngx_http_marketo_count(enum mkto_skip skip);

/* cookie */
void ngx_http_marketo_cookie_install(void); /* the header filter */
/* Settles which cookie the answer will carry, so that the event is of the same visitor. mint: a
 * visitor without one may get one. */
void ngx_http_marketo_cookie_keep(ngx_http_marketo_view_t *view,
                                  const struct mkto_cookie_rule *rule, bool mint);

/* status */
ngx_int_t ngx_http_marketo_status_handler(ngx_http_request_t *r);

/* link */
ngx_int_t ngx_http_marketo_link_start(ngx_http_marketo_link_t *link,
                                      const ngx_http_marketo_main_conf_t *mmcf,
                                      enum mkto_role role);
void ngx_http_marketo_link_stop(ngx_http_marketo_link_t *link);
enum mkto_answer ngx_http_marketo_link_submit(ngx_http_marketo_link_t *link,
                                              ngx_http_marketo_ctx_t *ctx,
                                              const struct mkto_event_frame *event,
                                              const struct mkto_envelope *envelope, uint64_t now);
/* Nobody waits for it: it may lie some milliseconds. */
enum mkto_answer ngx_http_marketo_link_view(ngx_http_marketo_link_t *link, struct mkto_view *view,
                                            struct mkto_request *request, uint64_t now);
void ngx_http_marketo_link_count(ngx_http_marketo_link_t *link, enum mkto_skip skip);
/* The request ends unanswered. */
void ngx_http_marketo_link_forget(ngx_http_marketo_link_t *link, ngx_http_marketo_ctx_t *ctx);
uint64_t ngx_http_marketo_now(void);  /* CLOCK_MONOTONIC in ms */
uint64_t ngx_http_marketo_turn(void); /* the same when this turn of nginx' loop began */

/* presence */
void ngx_http_marketo_presence_changed(ngx_http_marketo_link_t *link, ngx_err_t err);
void ngx_http_marketo_presence_log(void *ctx, const struct mkto_log_frame *log);

/* A string of nginx as a slice; one without data is absent. */
static ngx_inline struct mkto_slice ngx_http_marketo_slice(ngx_str_t s)
{
    return (struct mkto_slice){(const char *)s.data, s.len};
}

/* The other way round, for nginx's interfaces, which know no const but write to none of these. */
static ngx_inline ngx_str_t ngx_http_marketo_str(struct mkto_slice s)
{
    return (ngx_str_t){s.len, (u_char *)(uintptr_t)s.data};
}

#endif
