#include <sys/socket.h>
#include <time.h>

#include "ngx_http_marketo.h"
#include "mkto_build.h"

#define LINK_READ_SIZE 65536 /* bytes of one read from the courier */
#define LINK_IOVECS 256      /* frames of one write to it */
#define LINK_TICK_MAX 60000  /* ms between two looks at the clock, at most */
#define LINK_GATHER_TIME 100 /* ms that a page view lies for others to go with it */

static void ngx_http_marketo_link_drive(ngx_http_marketo_link_t *link);

uint64_t ngx_http_marketo_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC,
                  &now); /* cannot fail; the courier compares with the same clock */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t ngx_http_marketo_turn(void)
{
#if (NGX_HAVE_CLOCK_MONOTONIC && NGX_PTR_SIZE == 8)
    return ngx_current_msec; /* nginx takes it from this clock, too */
#else
    return ngx_http_marketo_now();
#endif
}

/* The end of a connection, and of a try to have one. */

static void ngx_http_marketo_link_close(ngx_http_marketo_link_t *link)
{
    if (link->connection != NULL) {
        ngx_close_connection(link->connection);
        link->connection = NULL;
    }
}

static void ngx_http_marketo_link_lost(ngx_http_marketo_link_t *link, ngx_err_t err)
{
    ngx_http_marketo_link_close(link);
    mkto_client_closed(link->client, err, ngx_http_marketo_now());
    link->ready = false;
    if (link->changed != NULL) {
        link->changed(link, 0);
    }
}

static void ngx_http_marketo_link_failed(ngx_http_marketo_link_t *link, ngx_err_t err)
{
    mkto_client_failed(link->client, err, ngx_http_marketo_now());
    if (link->changed != NULL) {
        link->changed(link, err);
    }
}

/* Events of the socket. */

static void ngx_http_marketo_link_welcomed(ngx_http_marketo_link_t *link)
{
    if (!link->ready && mkto_client_state_of(link->client) == MKTO_CLIENT_READY) {
        link->ready = true;
        link->due = true; /* all that waited for this moment */
        if (link->changed != NULL) {
            link->changed(link, 0);
        }
    }
}

static void ngx_http_marketo_link_read(ngx_event_t *rev)
{
    static u_char buffer[LINK_READ_SIZE];
    ngx_connection_t *c = rev->data;
    ngx_http_marketo_link_t *link = c->data;

    if (c->close) { /* worker_shutdown_timeout is over; nginx ends the requests likewise */
        link->stopped = true;
        ngx_http_marketo_link_lost(link, 0);
        ngx_http_marketo_link_drive(link);
        return;
    }
    for (;;) {
        const ssize_t n = c->recv(c, buffer, sizeof(buffer));
        if (n == NGX_AGAIN) {
            break;
        }
        if (n <= 0) {
            ngx_http_marketo_link_lost(link, n == 0 ? 0 : ngx_socket_errno);
            break;
        }
        const int rc = mkto_client_input(link->client, buffer, (size_t)n, ngx_http_marketo_now());
        ngx_http_marketo_link_welcomed(link);
        if (rc != 0) {
            break; /* drive closes it */
        }
    }
    if (link->connection != NULL && ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_marketo_link_lost(link, 0);
    }
    ngx_http_marketo_link_drive(link);
}

/*
 * Watched only while the socket takes no more: else each read of the courier's would be an event,
 * too. With accept_mutex this runs later than the event, and somebody may have filled the socket
 * meanwhile: then a write that is tried in vain has it watched again.
 */
static void ngx_http_marketo_link_writable(ngx_event_t *wev)
{
    const ngx_connection_t *c = wev->data;
    ngx_http_marketo_link_t *link = c->data;
    const ngx_uint_t of_reading = (ngx_event_flags & NGX_USE_CLEAR_EVENT) ? NGX_CLEAR_EVENT : 0;
    wev->ready = 1;
    if (wev->active && ngx_del_event(wev, NGX_WRITE_EVENT, of_reading) != NGX_OK) {
        ngx_http_marketo_link_lost(link, 0);
    }
    link->due = true;
    ngx_http_marketo_link_drive(link);
}

/* Writes what there is, as far as the socket takes it. */
static void ngx_http_marketo_link_write(ngx_http_marketo_link_t *link)
{
    struct iovec iov[LINK_IOVECS];
    ngx_connection_t *c = link->connection;
    const int count = mkto_client_output(link->client, iov, LINK_IOVECS);
    const ssize_t n = writev(c->fd, iov, count);
    if (n >= 0) {
        mkto_client_sent(link->client, (size_t)n);
        return;
    }
    const ngx_err_t err = ngx_socket_errno;
    if (err == NGX_EINTR) {
        return;
    }
    if (err != NGX_EAGAIN) {
        ngx_http_marketo_link_lost(link, err);
        return;
    }
    c->write->ready = 0;
    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_http_marketo_link_lost(link, 0);
    }
}

/* Connecting. On a unix socket it succeeds or fails at once. */

static int ngx_http_marketo_link_open(const ngx_http_marketo_link_t *link)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return -1;
    }
    union {
        struct sockaddr any;
        struct sockaddr_un local;
    } address = {.local = link->address};
    if (connect(fd, &address.any, sizeof(address.local)) == -1) {
        const ngx_err_t err = ngx_errno;
        ngx_close_socket(fd);
        ngx_set_errno(err);
        return -1;
    }
    return fd;
}

static ngx_connection_t *ngx_http_marketo_link_connection(ngx_http_marketo_link_t *link, int fd)
{
    ngx_log_t *log = ngx_cycle->log;
    ngx_connection_t *c = ngx_get_connection(fd, log);
    if (c == NULL) { /* nginx has said so: out of worker_connections */
        ngx_close_socket(fd);
        return NULL;
    }
    c->log = log;
    c->read->log = log;
    c->write->log = log;
    c->log_error = NGX_ERROR_INFO; /* a courier that goes away is our message, not nginx's */
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->recv = ngx_recv;
    c->data = link;
    c->read->handler = ngx_http_marketo_link_read;
    c->write->handler = ngx_http_marketo_link_writable;
    c->write->ready = 1;
    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_close_connection(c);
        return NULL;
    }
    return c;
}

static void ngx_http_marketo_link_connect(ngx_http_marketo_link_t *link)
{
    const uint64_t now = ngx_http_marketo_now();
    mkto_client_connecting(link->client, now);
    const int fd = ngx_http_marketo_link_open(link);
    if (fd == -1) {
        ngx_http_marketo_link_failed(link, ngx_errno);
        return;
    }
    link->connection = ngx_http_marketo_link_connection(link, fd);
    if (link->connection == NULL) {
        ngx_http_marketo_link_failed(link, NGX_EAGAIN);
        return;
    }
    mkto_client_connected(link->client, now);
}

/* Answers. */

static void ngx_http_marketo_link_answered(void *data, void *request,
                                           const struct mkto_verdict_frame *verdict)
{
    ngx_http_marketo_link_t *link = data;
    ngx_http_marketo_ctx_t *ctx = request;
    ctx->answer = verdict->answer;
    ctx->more.retry_after = verdict->retry_after;
    if (verdict->body.len > 0) {
        ngx_str_t body = ngx_http_marketo_str(verdict->body);
        body.data = ngx_pstrdup(ctx->request->pool, &body);
        if (body.data != NULL) { /* else the table's text is good enough */
            ctx->more.body = ngx_http_marketo_slice(body);
        }
    }
    ctx->waiting = false;
    ctx->answered = true;
    link->waiting--;
    ngx_queue_insert_tail(&link->answered, &ctx->queue);
}

/* The end of one request may end others (HTTP/2) or start some: so never from within the client. */
static void ngx_http_marketo_link_deliver(ngx_http_marketo_link_t *link)
{
    while (!ngx_queue_empty(&link->answered)) {
        ngx_queue_t *head = ngx_queue_head(&link->answered);
        ngx_http_marketo_ctx_t *ctx = ngx_queue_data(head, ngx_http_marketo_ctx_t, queue);
        ngx_queue_remove(head);
        ctx->answered = false;
        ngx_connection_t *c = ctx->request->connection;
        ngx_http_set_log_request(c->log, ctx->request);
        ngx_http_marketo_finish(ctx);
        ngx_http_run_posted_requests(c);
    }
}

/* Time. */

/*
 * While requests wait, the timer keeps an exiting worker alive until they have their answer; at any
 * other time it must not. One that is due too early stays: it looks at the clock and is set anew.
 */
static void ngx_http_marketo_link_schedule(ngx_http_marketo_link_t *link)
{
    link->timer.cancelable = link->waiting == 0;
    const uint64_t deadline = mkto_client_deadline(link->client);
    if (deadline == UINT64_MAX || (link->stopped && link->waiting == 0)) {
        if (link->timer.timer_set) {
            ngx_del_timer(&link->timer);
        }
        return;
    }
    const uint64_t now = ngx_http_marketo_now();
    const uint64_t left = deadline > now ? deadline - now : 1;
    const ngx_msec_t delay = (ngx_msec_t)ngx_min(left, LINK_TICK_MAX);
    if (link->timer.timer_set) {
        if ((ngx_msec_int_t)(link->timer.timer.key - (ngx_current_msec + delay)) <= 0) {
            return;
        }
        ngx_del_timer(&link->timer);
    }
    ngx_add_timer(&link->timer, delay);
}

static void ngx_http_marketo_link_tick(ngx_event_t *ev)
{
    ngx_http_marketo_link_t *link = ev->data;
    mkto_client_tick(link->client, ngx_http_marketo_now());
    link->due = true;
    ngx_http_marketo_link_drive(link);
}

static void ngx_http_marketo_link_flush(ngx_event_t *ev)
{
    ngx_http_marketo_link_t *link = ev->data;
    link->due = true;
    ngx_http_marketo_link_drive(link);
}

/*
 * Does what the client wants until there is nothing to do but wait. A verdict that arrives is no
 * reason to write: page views would go out one by one, each write bringing the verdict that makes
 * the next one.
 */
static void ngx_http_marketo_link_drive(ngx_http_marketo_link_t *link)
{
    for (;;) {
        const unsigned wants = mkto_client_wants(link->client, ngx_http_marketo_now());
        if (wants & MKTO_WANT_CLOSE) {
            ngx_http_marketo_link_lost(link, 0);
        } else if ((wants & MKTO_WANT_CONNECT) && !link->stopped) {
            ngx_http_marketo_link_connect(link);
        } else if ((wants & MKTO_WANT_WRITE) && link->connection->write->ready &&
                   (link->due || !link->ready)) {
            ngx_http_marketo_link_write(link);
        } else {
            break;
        }
    }
    link->due = false; /* what the socket did not take goes out when it is writable */
    ngx_http_marketo_link_deliver(link);
    ngx_http_marketo_link_schedule(link);
}

/* Life. */

ngx_int_t ngx_http_marketo_link_start(ngx_http_marketo_link_t *link,
                                      const ngx_http_marketo_main_conf_t *mmcf, enum mkto_role role)
{
    const struct mkto_client_conf conf = {
        .hello = {.version = MKTO_WIRE_VERSION,
                  .role = (uint8_t)role,
                  .build = MKTO_BUILD,
                  .config_digest = mmcf->config->digest,
                  .config_path = mkto_slice_str(mmcf->config->file)},
        .ctx = link,
        .answered = ngx_http_marketo_link_answered,
        .log = ngx_http_marketo_presence_log,
    };
    link->client = mkto_client_create(&conf, ngx_http_marketo_now());
    if (link->client == NULL) {
        return NGX_ERROR;
    }
    link->address.sun_family = AF_UNIX;
    ngx_memcpy(link->address.sun_path, mmcf->socket.data, mmcf->socket.len); /* checked by -t */
    ngx_queue_init(&link->answered);
    link->timer.handler = ngx_http_marketo_link_tick;
    link->timer.data = link;
    link->timer.log = ngx_cycle->log;
    link->flush.handler = ngx_http_marketo_link_flush;
    link->flush.data = link;
    link->flush.log = ngx_cycle->log;
    link->gather = link->flush;
    link->gather.cancelable = 1;
    ngx_http_marketo_link_drive(link);
    return NGX_OK;
}

/* What lies here goes out if the socket takes it at once; the courier reads it when we are gone. */
static void ngx_http_marketo_link_empty(ngx_http_marketo_link_t *link)
{
    link->changed = NULL;
    while (link->connection != NULL && link->connection->write->ready &&
           (mkto_client_wants(link->client, ngx_http_marketo_now()) & MKTO_WANT_WRITE)) {
        ngx_http_marketo_link_write(link);
    }
}

/* What did not go out has nobody left to send it. */
static void ngx_http_marketo_link_mourn(const ngx_http_marketo_link_t *link)
{
    const size_t views = mkto_client_background(link->client);
    if (views > 0 &&
        (mkto_client_state_of(link->client) != MKTO_CLIENT_READY ||
         (mkto_client_wants(link->client, ngx_http_marketo_now()) & MKTO_WANT_WRITE) != 0)) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "MKTO0136 a worker ended without a courier: %uz page views are lost", views);
    }
}

void ngx_http_marketo_link_stop(ngx_http_marketo_link_t *link)
{
    if (link->client == NULL) {
        return;
    }
    ngx_http_marketo_link_empty(link);
    ngx_http_marketo_link_mourn(link);
    ngx_http_marketo_link_close(link);
    if (link->gather.timer_set) {
        ngx_del_timer(&link->gather);
    }
    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }
    if (link->flush.posted) {
        ngx_delete_posted_event(&link->flush);
    }
    mkto_client_destroy(link->client);
    link->client = NULL;
}

/* Requests. */

enum mkto_answer ngx_http_marketo_link_submit(ngx_http_marketo_link_t *link,
                                              ngx_http_marketo_ctx_t *ctx,
                                              const struct mkto_event_frame *event,
                                              const struct mkto_envelope *envelope, uint64_t now)
{
    if (link->client == NULL) {
        return MKTO_ANSWER_AWAY;
    }
    const enum mkto_answer answer = mkto_client_submit(link->client, event, envelope, ctx, now);
    if (answer == MKTO_ANSWER_STORED) {
        ctx->waiting = true;
        link->waiting++;
        ngx_post_event(&link->flush, &ngx_posted_events);
    }
    return answer;
}

static void ngx_http_marketo_link_gather(ngx_http_marketo_link_t *link)
{
    if (mkto_client_gathered(link->client)) {
        ngx_post_event(&link->flush, &ngx_posted_events);
    } else if (!link->gather.timer_set) {
        ngx_add_timer(&link->gather, LINK_GATHER_TIME);
    }
}

enum mkto_answer ngx_http_marketo_link_view(ngx_http_marketo_link_t *link, struct mkto_view *view,
                                            struct mkto_request *request, uint64_t now)
{
    if (link->client == NULL) {
        return MKTO_ANSWER_AWAY;
    }
    const enum mkto_answer answer = mkto_client_view(link->client, view, request, now);
    ngx_http_marketo_link_gather(link); /* it, or its count */
    return answer;
}

void ngx_http_marketo_link_count(ngx_http_marketo_link_t *link, enum mkto_skip skip)
{
    if (link->client != NULL) {
        mkto_client_count(link->client, skip, ngx_http_marketo_now());
        ngx_http_marketo_link_gather(link);
    }
}

void ngx_http_marketo_link_forget(ngx_http_marketo_link_t *link, ngx_http_marketo_ctx_t *ctx)
{
    if (ctx->waiting) {
        ctx->waiting = false;
        link->waiting--;
        mkto_client_cancel(link->client, ctx);
        link->timer.cancelable = link->waiting == 0;
    }
    if (ctx->answered) {
        ctx->answered = false;
        ngx_queue_remove(&ctx->queue);
    }
}
