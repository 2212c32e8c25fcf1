/*
 * The nginx face of the tracking API: it views the request, hands it to the courier through
 * mkto_client, and answers with the verdict. Four parts:
 *
 *   module    directives, variables, start and end of a worker
 *   conf      what nginx -t finds: marketo.conf and its relation to nginx.conf
 *   handler   one request, from its headers to its answer; body gathers its body
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

#define NGX_HTTP_MARKETO_TIMEOUT 5000      /* ms; default of marketo_timeout */
#define NGX_HTTP_MARKETO_TIMEOUT_MAX 60000 /* ms; the largest marketo_timeout, 1 the smallest */
#define NGX_HTTP_MARKETO_BODIES_MAX                                                                \
    (32u << 20) /* bytes of bodies under way in one worker; over it a request is answered BUSY */

/* One `marketo` directive. Lives as long as the configuration. */
typedef struct {
    ngx_http_core_loc_conf_t *location;
    ngx_str_t name; /* as given: of the [marketo name] section; "" for [marketo] */
    ngx_str_t file; /* where it stands */
    ngx_uint_t line;
    const struct mkto_subscription *subscription; /* found at the end of http {} */
} ngx_http_marketo_use_t;

typedef struct {
    ngx_str_t config_file; /* absolute; "" when unset */
    ngx_flag_t spawn;
    ngx_str_t program;    /* absolute; what spawn starts */
    ngx_str_t spawn_file; /* where marketo_courier stands, or marketo_config without one */
    ngx_uint_t spawn_line;
    ngx_str_t socket;                 /* absolute; "" when unset, until the end of http {} */
    ngx_array_t uses;                 /* of ngx_http_marketo_use_t * */
    const struct mkto_config *config; /* NULL when there is no marketo_config */
} ngx_http_marketo_main_conf_t;

typedef struct {
    ngx_http_marketo_use_t *use; /* NULL: no tracking here. Not inherited, but for `if` blocks */
    ngx_uint_t ack;              /* enum mkto_ack */
    ngx_msec_t timeout;
    size_t max_body;
} ngx_http_marketo_loc_conf_t;

/* One request. From the handler's start to the end of the request. */
typedef struct {
    ngx_http_request_t *request;
    enum mkto_call call;
    u_char id[32]; /* hex digits: $marketo_event_id, and the message id of a call without
                      one */
    enum mkto_answer answer;
    ngx_uint_t retry_after; /* seconds; 0: the table's */
    ngx_str_t text;         /* the answer's body; "" for the table's */
    const char *allow;      /* or NULL */

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
    ngx_event_t timer; /* cancelable but while requests wait */
    ngx_event_t flush; /* posted: everything that one turn of the loop brought goes out at once */
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

/* conf */
void *ngx_http_marketo_create_main_conf(ngx_conf_t *cf);
char *ngx_http_marketo_init_main_conf(ngx_conf_t *cf, void *conf);
void *ngx_http_marketo_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_marketo_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);
char *ngx_http_marketo_set_config(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_set_courier(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_set_socket(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_set_use(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_marketo_check_timeout(ngx_conf_t *cf, void *post, void *data);
char *ngx_http_marketo_check_max_body(ngx_conf_t *cf, void *post, void *data);

/* handler */
ngx_int_t ngx_http_marketo_handler(ngx_http_request_t *r);
void ngx_http_marketo_body_whole(ngx_http_request_t *r); /* the body is there: hand it in */
void ngx_http_marketo_finish(ngx_http_marketo_ctx_t *ctx);

/* body */
ngx_int_t ngx_http_marketo_read_body(ngx_http_request_t *r); /* ends in body_whole or finish */
void ngx_http_marketo_free_body(ngx_http_marketo_ctx_t *ctx);

/* link */
ngx_int_t ngx_http_marketo_link_start(ngx_http_marketo_link_t *link,
                                      const ngx_http_marketo_main_conf_t *mmcf,
                                      enum mkto_role role);
void ngx_http_marketo_link_stop(ngx_http_marketo_link_t *link);
enum mkto_answer ngx_http_marketo_link_submit(ngx_http_marketo_link_t *link,
                                              ngx_http_marketo_ctx_t *ctx,
                                              const struct mkto_event_frame *event,
                                              const struct mkto_envelope *envelope, uint64_t now);
/* The request ends unanswered. */
void ngx_http_marketo_link_forget(ngx_http_marketo_link_t *link, ngx_http_marketo_ctx_t *ctx);
uint64_t ngx_http_marketo_now(void); /* CLOCK_MONOTONIC in ms */

/* presence */
void ngx_http_marketo_presence_changed(ngx_http_marketo_link_t *link, ngx_err_t err);
void ngx_http_marketo_presence_log(void *ctx, const struct mkto_log_frame *log);

/* A string of nginx as a slice; one without data is absent. */
static ngx_inline struct mkto_slice ngx_http_marketo_slice(ngx_str_t s)
{
    return (struct mkto_slice){(const char *)s.data, s.len};
}

#endif
