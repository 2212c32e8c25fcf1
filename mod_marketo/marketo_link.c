#include "mod_marketo.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ap_mpm.h"
#include "http_main.h"
#include "apr_strings.h"

#include "mkto_spawn.h"

APLOG_USE_MODULE(marketo);

/*
 * The threads that wait drive the connection themselves. One of them, the leader, polls it, without
 * the mutex, and hands out what comes; the others sleep on a semaphore of their own and wake up to
 * their verdict, or to lead. So a call needs no other thread than its own, and under an MPM without
 * threads the only thread there is always leads.
 *
 * The leader writes for all, before it polls. What the others hand in meanwhile goes out together
 * when the next verdicts come: until then the courier was busy with its last commit anyway, and so
 * it gets one large one instead of many small ones. A verdict that is late holds nothing up longer
 * than MARKETO_GATHER.
 *
 * Who is answered needs no lock any more: the leader takes a call off the list, under the mutex,
 * before it posts its semaphore, and does not look at it afterwards.
 */
struct call {
    sem_t woken;
    bool done;                  /* the verdict is there; else the semaphore means: lead */
    uint64_t since;             /* ms */
    struct call *older, *newer; /* calls that wait */
    struct call *next_woken;
    enum mkto_answer answer;
    int retry_after;
    char *body; /* malloc'ed: a pool belongs to its thread */
    size_t body_len;
};

enum stopping { STAY, STOP_SOON, STOP_NOW };

struct marketo_link {
    pthread_mutex_t mutex;
    struct marketo_socket socket;
    const struct marketo *marketo;
    struct marketo_seat *seat;    /* NULL under a threaded MPM */
    struct call *oldest, *newest; /* calls that wait */
    size_t waiting;               /* how many */
    struct call *leader;          /* NULL: nobody looks at the socket */
    struct call *woken;           /* answered, but not told yet */
    uint64_t heard;               /* ms, of the last verdict */
    uint64_t gathers;             /* ms: until then only the leader writes */
    bool complained;              /* about this loss of the courier */
    struct marketo_flusher *flusher;
    bool unattended; /* there may be events or counts that nobody waits for */
    bool flushing;   /* the flusher looks from time to time */
    uint64_t lost;   /* ms: since when the flusher finds no courier; 0: it does */
    int bell;        /* eventfd that wakes the leader out of poll */
    _Atomic int stopping;
};

/* Takes a call off the list. Its thread is told when the mutex is released. */
static void finish(struct marketo_link *link, struct call *call, enum mkto_answer answer)
{
    *(call->older == NULL ? &link->oldest : &call->older->newer) = call->newer;
    *(call->newer == NULL ? &link->newest : &call->newer->older) = call->older;
    link->waiting--;
    call->answer = answer;
    call->done = true;
    if (call != link->leader) {
        call->next_woken = link->woken;
        link->woken = call;
    }
}

static void on_answer(void *ctx, void *request, const struct mkto_verdict_frame *verdict)
{
    struct marketo_link *link = ctx;
    struct call *call = request;
    call->retry_after = verdict->retry_after;
    if (verdict->body.len > 0 && (call->body = malloc(verdict->body.len)) != NULL) {
        memcpy(call->body, verdict->body.data, verdict->body.len);
        call->body_len = verdict->body.len;
    }
    if (verdict->answer != MKTO_ANSWER_AWAY) { /* which is the client's own, at the deadline */
        link->heard = marketo_now();
        link->complained = false;
        if (link->seat != NULL) {
            marketo_crowd_heard(link->marketo->crowd, link->heard);
        }
    }
    finish(link, call, verdict->answer);
}

/* Releases the mutex and wakes whoever was answered: after it, or they would wake up to wait. */
static void release(struct marketo_link *link)
{
    struct call *call = link->woken;
    link->woken = NULL;
    pthread_mutex_unlock(&link->mutex);
    while (call != NULL) {
        struct call *next = call->next_woken; /* the call ends with the post */
        sem_post(&call->woken);
        call = next;
    }
}

/* How many calls of this process may wait now (MARKETO_SILENCE). */
static size_t places(const struct marketo_link *link, uint64_t now)
{
    const int stopping = atomic_load(&link->stopping);
    const uint64_t since = link->oldest != NULL ? link->oldest->since : now;
    uint64_t quiet = since > link->heard ? since : link->heard;
    size_t before = 0;
    if (stopping == STOP_NOW) {
        return 0;
    }
    if (link->seat != NULL) {
        before = marketo_crowd_before(link->marketo->crowd, since, now, &quiet);
    }
    if (now < quiet + MARKETO_SILENCE) {
        return SIZE_MAX;
    }
    const size_t most = stopping == STAY ? link->marketo->wait_max : 0;
    return most > before ? most - before : 0;
}

/* Sends away those for whom there is no place, the newest. What they sent may be stored yet: it
 * carries its id, so that sending it again is safe. */
static void shed(struct marketo_link *link, uint64_t now)
{
    const size_t most = places(link, now);
    while (link->waiting > most) {
        struct call *call = link->newest;
        mkto_client_cancel(link->socket.client, call);
        finish(link, call,
               atomic_load(&link->stopping) == STAY ? MKTO_ANSWER_BUSY : MKTO_ANSWER_AWAY);
    }
}

static int wait_for(const struct marketo_link *link, uint64_t now)
{
    const uint64_t deadline = mkto_client_deadline(link->socket.client);
    const uint64_t most = now + MARKETO_SILENCE;
    return deadline <= now ? 0 : (int)((deadline < most ? deadline : most) - now);
}

/* Gives the mutex away while nothing happens. Returns the time, with the mutex again. */
static uint64_t doze(struct marketo_link *link, int timeout, uint64_t now)
{
    if (marketo_socket_write(&link->socket)) {
        link->gathers = now + MARKETO_GATHER;
    }
    if (now < link->gathers && timeout > MARKETO_GATHER) {
        timeout = MARKETO_GATHER;
    }
    struct pollfd files[2] = {
        {.fd = link->bell, .events = POLLIN},
        {.fd = link->socket.fd, .events = marketo_socket_events(&link->socket, now)},
    };
    release(link);
    const int ready = poll(files, 2, timeout);
    pthread_mutex_lock(&link->mutex);
    if (ready > 0 && files[0].revents != 0) {
        uint64_t count;
        (void)!read(link->bell, &count, sizeof(count));
    }
    now = marketo_now();
    marketo_socket_turn(&link->socket, ready > 0 && files[1].revents != 0, now);
    return now;
}

/* A child without threads is told by a signal that changes the state, and interrupts poll(). */
static void look_for_stop(struct marketo_link *link)
{
    int state = AP_MPMQ_RUNNING;
    if (!link->marketo->threaded && atomic_load(&link->stopping) == STAY &&
        ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state == AP_MPMQ_STOPPING) {
        marketo_link_stop(link, true);
    }
}

static bool has_reason_to_flush(const struct marketo_link *link, uint64_t now)
{
    const struct mkto_client *client = link->socket.client;
    return mkto_client_background(client) > 0 ||
           (mkto_client_wants(client, now) & MKTO_WANT_WRITE) != 0 ||
           mkto_client_deadline(client) != UINT64_MAX;
}

/* What nobody waits for is left behind: the flusher is to look after it. */
static void flush_later(struct marketo_link *link, uint64_t now)
{
    if (link->unattended && !link->flushing && has_reason_to_flush(link, now)) {
        link->flushing = true;
        marketo_flusher_wake(link->flusher);
    }
}

/* Polls for everybody until this call has its verdict; then the oldest one that waits leads. */
static void lead(struct marketo_link *link, struct call *call)
{
    uint64_t now = marketo_now();
    link->leader = call;
    marketo_socket_turn(&link->socket, false, now);
    while (!call->done) {
        now = doze(link, wait_for(link, now), now);
        look_for_stop(link);
        shed(link, now);
    }
    struct call *next = link->oldest;
    link->leader = next;
    if (next != NULL) {
        next->next_woken = link->woken;
        link->woken = next;
    } else {
        flush_later(link, now);
    }
    release(link);
}

static void ring(const struct marketo_link *link)
{
    const uint64_t one = 1;
    (void)!write(link->bell, &one, sizeof(one));
}

/* Writes what is new, unless the leader gathers it. */
static void send_now(struct marketo_link *link, uint64_t now)
{
    const bool gathering = link->leader != NULL && now < link->gathers;
    if (!gathering && marketo_socket_write(&link->socket) &&
        (marketo_socket_events(&link->socket, now) & POLLOUT) != 0) {
        ring(link); /* the socket is full: the leader waits for room */
    }
}

static void follow(struct marketo_link *link, struct call *call)
{
    send_now(link, call->since);
    release(link);
    while (sem_wait(&call->woken) != 0) {
    }
    if (!call->done) {
        pthread_mutex_lock(&link->mutex);
        lead(link, call);
    }
}

/*
 * After a timeout mkto_client takes nothing until it hears the courier, and nobody waits that would
 * look. So those who come look: one of them, and not for long.
 */
static void probe(struct marketo_link *link, struct call *call, uint64_t now)
{
    const uint64_t end = now + MARKETO_PROBE;
    if (!mkto_client_tripped(link->socket.client) || link->leader != NULL) {
        return;
    }
    link->leader = call;
    marketo_socket_turn(&link->socket, true, now);
    while (mkto_client_tripped(link->socket.client) && now < end &&
           mkto_client_state_of(link->socket.client) == MKTO_CLIENT_GREETING &&
           atomic_load(&link->stopping) == STAY) {
        now = doze(link, (int)(end - now), now);
    }
    link->leader = NULL;
}

static enum mkto_answer admit(struct marketo_link *link, struct call *call,
                              const struct mkto_event_frame *event,
                              const struct mkto_envelope *envelope)
{
    probe(link, call, call->since);
    call->since = marketo_now();
    if (link->waiting >= places(link, call->since)) {
        return atomic_load(&link->stopping) == STAY ? MKTO_ANSWER_BUSY : MKTO_ANSWER_AWAY;
    }
    const enum mkto_answer answer =
        mkto_client_submit(link->socket.client, event, envelope, call, call->since);
    if (answer == MKTO_ANSWER_STORED) {
        call->older = link->newest;
        *(link->newest == NULL ? &link->oldest : &link->newest->newer) = call;
        link->newest = call;
        link->waiting++;
    }
    return answer;
}

/* Why the courier does not answer. */
static const char *reason(const struct marketo_link *link, struct mkto_error *err)
{
    const struct marketo_socket *sock = &link->socket;
    if (sock->connect_error != 0 && mkto_spawn_wanted(sock->connect_error, sock->path, err) != 0) {
        mkto_error_set(err, "nobody listens on %s; is the courier running?", sock->path);
    }
    const char *text = err->text[0] != '\0' ? err->text : mkto_client_reason(sock->client);
    return text[0] != '\0' ? text : "it is connected and silent";
}

/* The first time that it does not: the reason. */
static const char *complaint(struct marketo_link *link, apr_pool_t *pool)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    const char *text = NULL;
    pthread_mutex_lock(&link->mutex);
    if (!link->complained && atomic_load(&link->stopping) == STAY) {
        link->complained = true;
        text = apr_pstrdup(pool, reason(link, &err));
    }
    pthread_mutex_unlock(&link->mutex);
    return text;
}

void marketo_link_call(struct marketo_link *link, const struct mkto_event_frame *event,
                       const struct mkto_envelope *envelope, apr_pool_t *pool,
                       struct marketo_verdict *verdict)
{
    struct call call = {.since = marketo_now()};
    sem_init(&call.woken, 0, 0);
    pthread_mutex_lock(&link->mutex);
    call.answer = admit(link, &call, event, envelope);
    if (call.answer != MKTO_ANSWER_STORED) {
        release(link);
    } else {
        if (link->seat != NULL) {
            marketo_crowd_wait(link->seat, call.since, event->deadline_ms);
        }
        if (link->leader == NULL) {
            lead(link, &call);
        } else {
            follow(link, &call);
        }
        if (link->seat != NULL) {
            marketo_crowd_done(link->seat);
        }
    }
    sem_destroy(&call.woken);
    *verdict = (struct marketo_verdict){.answer = call.answer, .retry_after = call.retry_after};
    if (call.body != NULL) {
        verdict->body =
            (struct mkto_slice){apr_pmemdup(pool, call.body, call.body_len), call.body_len};
        free(call.body);
    }
    if (call.answer == MKTO_ANSWER_AWAY) {
        verdict->complaint = complaint(link, pool);
    }
}

/*
 * What nobody waits for goes out at once when the connection is there and takes it; who comes by
 * later reads the verdicts. When nobody comes, the flusher does, and makes the connection that was
 * not there.
 */
static void leave_behind(struct marketo_link *link, uint64_t now, const sigset_t *before)
{
    send_now(link, now);
    link->unattended = true;
    flush_later(link, now);
    release(link);
    if (!link->marketo->threaded) {
        pthread_sigmask(SIG_SETMASK, before, NULL);
    }
}

/* A child without threads ends in a signal handler, in the middle of whatever it does: with the
 * mutex held the flusher could send nothing any more. So the signal waits, for microseconds. */
static void come_by(struct marketo_link *link, uint64_t now, sigset_t *before)
{
    if (!link->marketo->threaded) {
        sigset_t ends;
        sigemptyset(&ends);
        sigaddset(&ends, SIGTERM);
        sigaddset(&ends, SIGHUP);
        pthread_sigmask(SIG_BLOCK, &ends, before);
    }
    pthread_mutex_lock(&link->mutex);
    if (link->leader == NULL) {
        marketo_socket_turn(&link->socket, true, now);
    }
}

enum mkto_answer marketo_link_view(struct marketo_link *link, struct mkto_view *view,
                                   struct mkto_request *request)
{
    const uint64_t now = marketo_now();
    sigset_t before;
    come_by(link, now, &before);
    const enum mkto_answer answer = mkto_client_view(link->socket.client, view, request, now);
    leave_behind(link, now, &before);
    return answer;
}

void marketo_link_count(struct marketo_link *link, enum mkto_skip skip)
{
    const uint64_t now = marketo_now();
    sigset_t before;
    come_by(link, now, &before);
    mkto_client_count(link->socket.client, skip, now);
    leave_behind(link, now, &before);
}

/* Nobody is there to be told that a page view waits for a courier: the log is, once. */
static void complain(struct marketo_link *link, uint64_t now)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    const struct mkto_client *client = link->socket.client;
    if (mkto_client_state_of(client) == MKTO_CLIENT_READY && mkto_client_silences(client) == 0) {
        link->complained = link->complained && link->lost == 0;
        link->lost = 0;
    } else if (link->lost == 0) {
        link->lost = now;
    } else if (!link->complained && now >= link->lost + MARKETO_LOST &&
               atomic_load(&link->stopping) == STAY) {
        link->complained = true;
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, ap_server_conf,
                     "MKTO0106 no answer from the courier: %s", reason(link, &err));
    }
}

/* Whether something that nobody waits for has not gone out. */
static bool is_unsent(const struct marketo_link *link, uint64_t now)
{
    const struct mkto_client *client = link->socket.client;
    return mkto_client_background(client) > 0 &&
           (mkto_client_state_of(client) != MKTO_CLIENT_READY ||
            (mkto_client_wants(client, now) & MKTO_WANT_WRITE) != 0);
}

static int flush(void *data, enum marketo_stage stage)
{
    struct marketo_link *link = data;
    const uint64_t now = marketo_now();
    pthread_mutex_lock(&link->mutex);
    if (link->leader == NULL) {
        marketo_socket_turn(&link->socket, true, now);
        marketo_socket_write(&link->socket);
    }
    complain(link, now);
    link->flushing = has_reason_to_flush(link, now);
    link->unattended = link->flushing;
    const bool more = stage == MARKETO_GOES_ON ? link->flushing : is_unsent(link, now);
    const bool greets = mkto_client_state_of(link->socket.client) == MKTO_CLIENT_GREETING;
    if (more && stage == MARKETO_ENDED) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, ap_server_conf,
                     "MKTO0111 a process ended without a courier: %lu page views are lost",
                     (unsigned long)mkto_client_background(link->socket.client));
    }
    release(link);
    return !more ? -1 : greets ? MARKETO_FLUSH_SOON : MARKETO_FLUSH;
}

/* What runs here may interrupt anything, so it takes no lock: the process is ending. */
static apr_status_t end_link(void *data)
{
    struct marketo_link *link = data;
    marketo_flusher_stop(link->flusher);
    marketo_socket_close(&link->socket);
    if (link->seat != NULL) {
        marketo_crowd_leave(link->seat);
    }
    return APR_SUCCESS;
}

struct marketo_link *marketo_link_create(const struct marketo *marketo, apr_pool_t *pchild)
{
    struct marketo_link *link = calloc(1, sizeof(*link)); /* as the flusher, never freed */
    struct mkto_client_conf conf = {.answered = on_answer};
    if (link == NULL || (link->flusher = marketo_flusher_create(flush, link)) == NULL) {
        return NULL;
    }
    conf.ctx = link;
    link->marketo = marketo;
    link->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (link->bell < 0 || pthread_mutex_init(&link->mutex, NULL) != 0 ||
        marketo_socket_init(&link->socket, marketo, &conf, MKTO_ROLE_EVENTS) != 0) {
        return NULL;
    }
    if (!marketo->threaded) {
        link->seat = marketo_crowd_sit(marketo->crowd);
    }
    apr_pool_cleanup_register(pchild, link, end_link, apr_pool_cleanup_null);
    return link;
}

void marketo_link_stop(struct marketo_link *link, bool graceful)
{
    atomic_store(&link->stopping, graceful ? STOP_SOON : STOP_NOW);
    ring(link);
}
