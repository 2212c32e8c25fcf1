/*
 * The courier's life: greeting servers, new configs, and the reasons to leave.
 */
#include "mkto_courier_state.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "mkto_build.h"

static uint64_t now_ms(void)
{
    return mkto_clock_system.mono_ms(NULL);
}

void mkto_courier_stop(struct mkto_courier *courier, const char *why, uint64_t within_ms)
{
    const uint64_t by = now_ms() + within_ms;
    if (courier->stopping != NULL) {
        courier->stop_by = by < courier->stop_by ? by : courier->stop_by;
        return;
    }
    courier->stopping = why;
    courier->stop_by = by;
    mkto_dispatch_hold(courier->dispatch, true);
    mkto_intake_leave(courier->intake, why);
    mkto_courier_say(courier, LOG_NOTICE, "the courier (pid %ld) leaves: %s", (long)getpid(), why);
}

/* ---- config ---- */

/* What was read at the start and stays until the end. */
static void compare(struct mkto_courier *courier, const struct mkto_config *next)
{
    const struct mkto_config *current = courier->config;
    if (strcmp(current->spool_path, next->spool_path) != 0 ||
        (courier->options.socket == NULL && strcmp(current->socket, next->socket) != 0)) {
        mkto_courier_say(
            courier, LOG_WARNING,
            "MKTO0211 %s: a new path of spool or socket needs a restart of the courier",
            next->file);
    }
}

static void complain(struct mkto_courier *courier, const char *why)
{
    const uint64_t now = now_ms();
    if (courier->config_said == 0 || now > courier->config_said + MKTO_INTAKE_SAY_MS) {
        courier->config_said = now;
        mkto_courier_say(courier, LOG_ERR,
                         "MKTO0212 the config is not taken, the old one stays: %s", why);
    }
}

/* Dispatch gets it at the end of the turn: intake may be in the middle of a transaction. */
void mkto_courier_reload(struct mkto_courier *courier)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    const struct mkto_config *next = mkto_config_read(courier->config->file, NULL, &err, NULL);
    if (next == NULL) {
        complain(courier, err.text);
        return;
    }
    struct mkto_courier_retired *retired = malloc(sizeof(*retired));
    if (retired == NULL) {
        mkto_config_free(next);
        return;
    }
    compare(courier, next);
    *retired = (struct mkto_courier_retired){courier->retired, courier->config};
    courier->retired = retired;
    courier->config = next;
    courier->config_said = 0;
    courier->reread = true;
    mkto_intake_reload(courier->intake, next);
    mkto_courier_say(courier, LOG_NOTICE, "%s was read again", next->file);
}

void mkto_courier_forget_configs(struct mkto_courier *courier)
{
    while (courier->retired != NULL) {
        struct mkto_courier_retired *retired = courier->retired;
        courier->retired = retired->next;
        mkto_config_free(retired->config);
        free(retired);
    }
}

/* ---- hello ---- */

static uint8_t refuse_config(const struct mkto_courier *courier, const struct mkto_hello *hello,
                             struct mkto_error *why)
{
    mkto_error_set(why, "this courier serves %s, not %.*s: give each config a spool of its own",
                   courier->config->file, (int)hello->config_path.len, hello->config_path.data);
    return MKTO_REFUSED_CONFIG;
}

/* The server has just started this very program: to leave would only bring it back. */
static bool would_come_again(const struct mkto_courier *courier)
{
    return now_ms() - courier->started_ms < MKTO_COURIER_YOUNG_MS &&
           !mkto_courier_program_replaced(&courier->program);
}

/* A server with a newer build has been upgraded: its own courier takes over. */
static bool make_room(struct mkto_courier *courier, const struct mkto_hello *hello)
{
    if (hello->build <= MKTO_BUILD || hello->role == MKTO_ROLE_TOOL) {
        return false;
    }
    if (courier->options.spawned && !would_come_again(courier)) {
        mkto_courier_stop(courier, "a newer build takes over", MKTO_COURIER_END_MS);
        return true;
    }
    if (!courier->newer_said) {
        courier->newer_said = true;
        mkto_courier_say(courier, LOG_WARNING,
                         "MKTO0213 a web server's module is newer than this courier (%s): %s",
                         courier->program.path,
                         courier->options.spawned ? "install the marketo command that belongs to it"
                                                  : "restart the courier");
    }
    return false;
}

uint8_t mkto_courier_hello(void *ctx, const struct mkto_hello *hello, uint64_t *digest,
                           struct mkto_error *why)
{
    struct mkto_courier *courier = ctx;
    if (courier->stopping != NULL || make_room(courier, hello)) {
        mkto_error_set(why, "%s", courier->stopping);
        return MKTO_REFUSED_LEAVING;
    }
    if (hello->version != MKTO_WIRE_VERSION) {
        mkto_error_set(why, "wire version %u, this courier speaks %d", hello->version,
                       MKTO_WIRE_VERSION);
        return MKTO_REFUSED_VERSION;
    }
    if (hello->config_path.len > 0 && !mkto_slice_is(hello->config_path, courier->config->file)) {
        return refuse_config(courier, hello, why);
    }
    if (hello->config_digest != 0 && hello->config_digest != courier->config->digest) {
        mkto_courier_reload(courier);
    }
    *digest = courier->config->digest;
    return 0;
}

/* ---- leaving ---- */

static bool server_there(const struct mkto_courier *courier)
{
    return mkto_intake_count(courier->intake, MKTO_ROLE_PRESENCE) > 0 ||
           mkto_intake_count(courier->intake, MKTO_ROLE_EVENTS) > 0;
}

/* A server may be stopped before it has come to the courier that it spawned. */
static bool server_may_come(const struct mkto_courier *courier)
{
    return !courier->had_server && (kill(courier->spawner, 0) == 0 || errno != ESRCH);
}

/* How long a courier without a server goes on: to drain, or until the first one comes. */
static uint64_t alone_for(const struct mkto_courier *courier)
{
    const uint64_t linger = (uint64_t)courier->config->linger_ms;
    if (server_may_come(courier)) {
        return linger > MKTO_COURIER_ALONE_MS ? linger : MKTO_COURIER_ALONE_MS;
    }
    const bool idle =
        mkto_spool_waiting(courier->spool) == 0 && mkto_dispatch_in_flight(courier->dispatch) == 0;
    return idle && linger > MKTO_COURIER_GRACE_MS ? MKTO_COURIER_GRACE_MS : linger;
}

static void watch_servers(struct mkto_courier *courier)
{
    const uint64_t now = now_ms();
    if (server_there(courier)) {
        courier->had_server = true;
        courier->alone_since = 0;
        return;
    }
    if (courier->alone_since == 0) {
        courier->alone_since = now;
    }
    if (now >= courier->alone_since + alone_for(courier)) {
        mkto_courier_stop(courier, "the last server has gone", MKTO_COURIER_END_MS);
    }
}

static void watch_stop(struct mkto_courier *courier)
{
    const bool quiet = mkto_dispatch_in_flight(courier->dispatch) == 0 &&
                       mkto_intake_unsent(courier->intake) == 0 &&
                       mkto_intake_retained(courier->intake) == 0;
    courier->stopped = quiet || now_ms() >= courier->stop_by;
}

void mkto_courier_watch(struct mkto_courier *courier)
{
    if (courier->reread) {
        courier->reread = false;
        mkto_dispatch_reload(courier->dispatch, courier->config);
    } else if (courier->retired != NULL && mkto_dispatch_in_flight(courier->dispatch) == 0) {
        mkto_courier_forget_configs(courier);
    }
    if (courier->stopping != NULL) {
        watch_stop(courier);
    } else if (courier->options.spawned) {
        watch_servers(courier);
    }
}

uint64_t mkto_courier_watch_next(const struct mkto_courier *courier)
{
    if (courier->stopping != NULL) {
        return courier->stop_by;
    }
    if (courier->alone_since == 0) {
        return UINT64_MAX;
    }
    const uint64_t leave = courier->alone_since + alone_for(courier);
    const uint64_t look = now_ms() + MKTO_COURIER_LOOK_MS;
    return courier->had_server || leave < look ? leave : look;
}
