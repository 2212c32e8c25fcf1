#include "mkto_courier_state.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mkto_build.h"
#include "mkto_dead.h"
#include "mkto_forget.h"

#define EXIT_FINE 0
#define EXIT_COULD_NOT 3

/* ---- start ---- */

static int read_config(struct mkto_courier *courier, const char *file, struct mkto_error *err)
{
    const struct mkto_config_options no_secrets = {(uid_t)-1, true};
    const struct mkto_config *draft = mkto_config_read(file, &no_secrets, err, NULL);
    if (draft == NULL) {
        return -1;
    }
    const int rc = mkto_courier_drop_root(draft->spool_path, err);
    mkto_config_free(draft);
    if (rc != 0) {
        return -1;
    }
    courier->config = mkto_config_read(file, NULL, err, NULL); /* as who we are now */
    if (courier->config == NULL) {
        return -1;
    }
    if (courier->socket.path == NULL) {
        courier->socket.path = apr_pstrdup(courier->pool, courier->config->socket);
    }
    return 0;
}

/* 0; 1 another courier has it; -1. */
static int open_spool(struct mkto_courier *courier, struct mkto_error *err)
{
    const struct mkto_config *config = courier->config;
    const struct mkto_spool_options options = {
        .path = config->spool_path,
        .create = true,
        .max_size = config->spool_max_size,
        .keep_free = config->spool_keep_free,
        .keep_free_percent = config->spool_keep_free_percent,
    };
    struct mkto_spool_opened opened;
    if (mkto_spool_open(&options, mkto_clock_system.wall_ms(NULL), &courier->spool, &opened, err,
                        courier->pool) != 0) {
        return opened.held ? 1 : -1;
    }
    if (opened.set_aside[0] != '\0') {
        mkto_courier_say(courier, LOG_ERR,
                         "MKTO0214 the spool could not be read: it is now %s, a new one is begun",
                         opened.set_aside);
    }
    if (opened.volatile_fs) {
        mkto_courier_say(courier, LOG_WARNING,
                         "MKTO0215 spool %s is not durable: tmpfs or overlay, gone with the "
                         "machine or container",
                         config->spool_path);
    }
    courier->accepted = 0;
    return 0;
}

static void on_stop(evutil_socket_t number, short what, void *data)
{
    (void)what;
    mkto_courier_stop(data, number == SIGINT ? "interrupted" : "told to stop",
                      MKTO_COURIER_STOP_MS);
}

static void on_hangup(evutil_socket_t number, short what, void *data)
{
    (void)number;
    (void)what;
    mkto_courier_reload(data);
}

static void on_timer(evutil_socket_t fd, short what, void *data)
{
    (void)fd;
    (void)what;
    (void)data; /* the loop only has to turn */
}

static int make_events(struct mkto_courier *courier, struct mkto_error *err)
{
    courier->base = event_base_new();
    if (courier->base == NULL) {
        return mkto_error_set(err, "libevent: no event base");
    }
    courier->timer = event_new(courier->base, -1, 0, on_timer, courier);
    courier->signals[0] = evsignal_new(courier->base, SIGTERM, on_stop, courier);
    courier->signals[1] = evsignal_new(courier->base, SIGINT, on_stop, courier);
    courier->signals[2] = evsignal_new(courier->base, SIGHUP, on_hangup, courier);
    for (size_t i = 0; i < 3; i++) {
        if (courier->signals[i] == NULL || event_add(courier->signals[i], NULL) != 0) {
            return mkto_error_set(err, "libevent: out of memory");
        }
    }
    return courier->timer == NULL ? mkto_error_set(err, "libevent: out of memory") : 0;
}

/* ---- what intake and dispatch ask of us ---- */

static struct mkto_slice ask_status(struct mkto_courier *courier, struct mkto_slice args,
                                    apr_pool_t *pool)
{
    (void)args;
    return mkto_courier_status(courier, pool);
}

static struct mkto_desk desk_of(const struct mkto_courier *courier)
{
    return (struct mkto_desk){courier->config, courier->spool, courier->dispatch,
                              &mkto_clock_system};
}

static struct mkto_slice ask_dead(struct mkto_courier *courier, struct mkto_slice args,
                                  apr_pool_t *pool)
{
    const struct mkto_desk desk = desk_of(courier);
    return mkto_dead_answer(&desk, args, pool);
}

static struct mkto_slice ask_forget(struct mkto_courier *courier, struct mkto_slice args,
                                    apr_pool_t *pool)
{
    const struct mkto_desk desk = desk_of(courier);
    return mkto_forget_answer(&desk, mkto_intake_retained(courier->intake), args, pool);
}

static const struct {
    const char *what;
    struct mkto_slice (*answer)(struct mkto_courier *courier, struct mkto_slice args,
                                apr_pool_t *pool);
} questions[] = {
    {"status", ask_status},
    {"dead", ask_dead},
    {"forget", ask_forget},
};

static struct mkto_slice on_ask(void *ctx, const struct mkto_ask *ask, apr_pool_t *pool)
{
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        if (mkto_slice_is(ask->what, questions[i].what)) {
            return questions[i].answer(ctx, ask->args, pool);
        }
    }
    return MKTO_SLICE_NONE;
}

static bool on_tailing(void *ctx)
{
    const struct mkto_courier *courier = ctx;
    return mkto_intake_tailing(courier->intake);
}

static void on_tail(void *ctx, struct mkto_slice json)
{
    const struct mkto_courier *courier = ctx;
    mkto_intake_tell_tail(courier->intake, json);
}

static int make_parts(struct mkto_courier *courier, struct mkto_error *err)
{
    const struct mkto_intake_options intake = {
        .base = courier->base,
        .config = courier->config,
        .spool = courier->spool,
        .clock = &mkto_clock_system,
        .hooks = {courier, mkto_courier_log_line, mkto_courier_hello, on_ask},
        .own_uid_only = courier->options.spawned,
        .clients_max = MKTO_COURIER_CLIENTS_MAX,
    };
    const struct mkto_dispatch_hooks dispatch = {
        .ctx = courier, .log = mkto_courier_log_line, .tailing = on_tailing, .tail = on_tail};
    courier->intake = mkto_intake_create(&intake, courier->pool);
    courier->transport = mkto_transport_curl(courier->base, courier->pool);
    if (courier->transport == NULL) {
        return mkto_error_set(err, "libcurl: out of memory");
    }
    courier->dispatch = mkto_dispatch_create(courier->config, courier->spool, courier->transport,
                                             &mkto_clock_system, &dispatch, courier->pool);
    mkto_dispatch_hold(courier->dispatch, courier->options.hold);
    return 0;
}

/* ---- the loop ---- */

static void trim(struct mkto_courier *courier, uint64_t now)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    if (now < courier->trim_at) {
        return;
    }
    const int more = mkto_spool_trim(courier->spool, mkto_clock_system.wall_ms(NULL), &err);
    if (more < 0 && (courier->trim_said == 0 || now > courier->trim_said + MKTO_INTAKE_SAY_MS)) {
        courier->trim_said = now;
        mkto_courier_say(courier, LOG_WARNING, "MKTO0216 old rows stay for now: %s", err.text);
    }
    courier->trim_at = now + (more > 0 ? MKTO_COURIER_TRIM_MS / 20 : MKTO_COURIER_TRIM_MS);
}

static void say_salvaged(struct mkto_courier *courier, const struct mkto_spool_salvaged *salvaged)
{
    const bool resumed = salvaged->kept[0] == '\0'; /* the counts went with the try that failed */
    const long long events = salvaged->events;
    const long long hidden = salvaged->hidden;
    char what[160];
    if (resumed) {
        snprintf(what, sizeof(what), "%lld events wait in its new file",
                 (long long)mkto_spool_waiting(courier->spool));
    } else if (salvaged->unknown) {
        snprintf(what, sizeof(what),
                 "%lld events were salvaged, an unknown number of others cannot be read", events);
    } else {
        snprintf(what, sizeof(what), "%lld events were salvaged, %lld other%s cannot be read",
                 events, hidden, hidden == 1 ? "" : "s");
    }
    mkto_courier_say(courier, LOG_ERR,
                     "MKTO0217 the spool was damaged: %s; the damaged file is kept as %s", what,
                     resumed ? "spool.db.bad-*" : salvaged->kept);
}

/* Everything waits meanwhile: nothing could be delivered before it anyway. */
static void salvage(struct mkto_courier *courier, uint64_t now)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_spool_salvaged salvaged;
    if (!mkto_spool_damaged(courier->spool) || now < courier->salvage_at) {
        return;
    }
    if (mkto_spool_salvage(courier->spool, mkto_clock_system.wall_ms(NULL), &salvaged, &err) != 0) {
        mkto_courier_say(courier, LOG_ERR, "MKTO0218 the damaged spool cannot be salvaged: %s",
                         err.text);
    } else {
        say_salvaged(courier, &salvaged);
    }
    courier->salvage_at = mkto_clock_system.mono_ms(NULL) + MKTO_COURIER_SALVAGE_MS;
}

static void arm_timer(struct mkto_courier *courier)
{
    const uint64_t now = mkto_clock_system.mono_ms(NULL);
    uint64_t next = mkto_dispatch_next(courier->dispatch);
    const uint64_t watch = mkto_courier_watch_next(courier);
    next = watch < next ? watch : next;
    next = courier->trim_at < next ? courier->trim_at : next;
    const uint64_t wait = next > now ? next - now : 0;
    const struct timeval delay = {(time_t)(wait / 1000), (suseconds_t)(wait % 1000 * 1000)};
    event_add(courier->timer, &delay);
}

/* Intake first: servers wait for it. Then dispatch, for a short time. */
static bool turn(struct mkto_courier *courier)
{
    mkto_intake_commit(courier->intake);
    const int64_t last_id = mkto_intake_last_id(courier->intake);
    if (last_id > courier->accepted) {
        courier->accepted = last_id;
        mkto_dispatch_accepted(courier->dispatch, last_id);
    }
    salvage(courier, mkto_clock_system.mono_ms(NULL));
    const bool more = mkto_dispatch_turn(courier->dispatch, MKTO_COURIER_TURN_MS);
    mkto_courier_watch(courier);
    trim(courier, mkto_clock_system.mono_ms(NULL));
    mkto_courier_log_flush(courier);
    return more || mkto_intake_pending(courier->intake);
}

static void loop(struct mkto_courier *courier)
{
    bool more = true;
    while (!courier->stopped) {
        if (!more) {
            arm_timer(courier);
        }
        event_base_loop(courier->base, more ? EVLOOP_ONCE | EVLOOP_NONBLOCK : EVLOOP_ONCE);
        more = turn(courier);
    }
    mkto_intake_commit(courier->intake);
}

/* ---- the whole ---- */

static void stop_parts(struct mkto_courier *courier)
{
    if (courier->dispatch != NULL) {
        mkto_dispatch_destroy(courier->dispatch);
    }
    if (courier->transport != NULL) {
        courier->transport->cancel_all(courier->transport);
    }
    if (courier->intake != NULL) {
        mkto_intake_destroy(courier->intake);
    }
    mkto_courier_socket_close(&courier->socket); /* while the lock is held */
    mkto_spool_close(courier->spool);
    mkto_courier_forget_configs(courier);
    mkto_config_free(courier->config);
    for (size_t i = 0; i < 3; i++) {
        if (courier->signals[i] != NULL) {
            event_free(courier->signals[i]);
        }
    }
    if (courier->timer != NULL) {
        event_free(courier->timer);
    }
}

static void run_loop(struct mkto_courier *courier)
{
    mkto_courier_say(courier, LOG_NOTICE,
                     "the courier (marketo %s, pid %ld) takes events on %s, %lld wait",
                     MKTO_VERSION, (long)getpid(), courier->socket.path,
                     (long long)mkto_spool_waiting(courier->spool));
    loop(courier);
}

/* A relative path means the directory that we were started in, and not the one that we go to. */
static const char *absolute(const char *path, apr_pool_t *pool)
{
    char here[PATH_MAX];
    if (path == NULL || path[0] == '/' || getcwd(here, sizeof(here)) == NULL) {
        return path;
    }
    return apr_pstrcat(pool, here, "/", path, NULL);
}

static int start(struct mkto_courier *courier, struct mkto_error *err)
{
    const struct mkto_courier_options *options = &courier->options;
    const char *file = absolute(options->config, courier->pool);
    courier->socket.path = absolute(options->socket, courier->pool);
    courier->spawner = getppid(); /* after detaching it is somebody else */
    if (options->spawned && mkto_courier_detach(err) != 0) {
        return -1;
    }
    if (chdir("/") != 0) {
        return mkto_error_set(err, "chdir / does not work");
    }
    mkto_courier_settle();
    if (read_config(courier, file, err) != 0) {
        return -1;
    }
    mkto_courier_settle(); /* becoming somebody else has undone part of it */
    const int held = open_spool(courier, err);
    if (held != 0) {
        return held;
    }
    if (make_events(courier, err) != 0 || make_parts(courier, err) != 0) {
        return -1;
    }
    return mkto_courier_listen(courier, err);
}

/* Nobody reads a spawned courier's stderr: it tells the server that comes to see. */
static int could_not_run(struct mkto_courier *courier, int started, const char *why)
{
    fprintf(stderr, "marketo courier: %s\n", why);
    if (started == 1) {
        return EXIT_FINE;
    }
    if (courier->options.spawned) {
        mkto_courier_last_words(courier->socket.path, why);
    }
    return EXIT_COULD_NOT;
}

/* APR would hand out NULL. What was acknowledged is on disk: the next courier goes on with it. */
static int out_of_memory(int status)
{
    (void)status;
    fprintf(stderr, "marketo courier: error: %s\n", "MKTO0222 out of memory");
    abort();
}

int mkto_courier_run(const struct mkto_courier_options *options)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    apr_pool_t *pool;
    if (apr_initialize() != APR_SUCCESS ||
        apr_pool_create_ex(&pool, NULL, out_of_memory, NULL) != APR_SUCCESS) {
        return EXIT_COULD_NOT;
    }
    struct mkto_courier *courier = apr_pcalloc(pool, sizeof(*courier));
    courier->options = *options;
    courier->pool = pool;
    courier->socket.fd = -1;
    courier->started_ms = mkto_clock_system.mono_ms(NULL);
    mkto_courier_program_note(&courier->program);
    mkto_courier_log_open(courier);
    const int started = start(courier, &err);
    if (started == 0) {
        run_loop(courier);
    }
    stop_parts(courier);
    struct event_base *base = courier->base;
    const int code = started == 0 ? EXIT_FINE : could_not_run(courier, started, err.text);
    apr_pool_destroy(pool);
    if (base != NULL) {
        event_base_free(base);
    }
    apr_terminate();
    return code;
}
