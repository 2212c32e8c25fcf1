/*
 * The answer to `marketo status`: one JSON object.
 */
#include "mkto_courier_state.h"

#include <apr_strings.h>
#include <unistd.h>

#include "mkto_build.h"
#include "mkto_note.h"
#include "mkto_reason.h"

static void add_spool(const struct mkto_courier *courier, struct mkto_note *status)
{
    struct mkto_error why = MKTO_ERROR_INIT;
    struct mkto_note spool = mkto_note_object(status->pool);
    const struct mkto_note dead = mkto_reason_note(courier->spool, NULL, status->pool);
    const bool room = mkto_spool_room(courier->spool, &why);
    mkto_note_text(&spool, "path", courier->config->spool_path);
    mkto_note_number(&spool, "waiting", mkto_spool_waiting(courier->spool));
    mkto_note_number(&spool, "dead", mkto_spool_dead_count(courier->spool));
    mkto_note_add(&spool, "dead_by_reason", &dead);
    mkto_note_number(&spool, "bytes", mkto_spool_size(courier->spool));
    mkto_note_number(&spool, "max_bytes", courier->config->spool_max_size);
    mkto_note_bool(&spool, "room", room);
    if (!room) {
        mkto_note_text(&spool, "why", why.text);
    }
    mkto_note_add(status, "spool", &spool);
}

struct mkto_slice mkto_courier_status(const struct mkto_courier *courier, apr_pool_t *pool)
{
    struct mkto_note status = mkto_note_object(pool);
    struct mkto_note intake = mkto_note_object(pool);
    const uint64_t up = mkto_clock_system.mono_ms(NULL) - courier->started_ms;
    mkto_note_text(&status, "version", MKTO_VERSION);
    mkto_note_number(&status, "build", (int64_t)MKTO_BUILD);
    mkto_note_number(&status, "pid", getpid());
    mkto_note_number(&status, "uptime_s", (int64_t)(up / 1000));
    mkto_note_bool(&status, "spawned", courier->options.spawned);
    mkto_note_bool(&status, "held", courier->options.hold);
    mkto_note_text(&status, "config", courier->config->file);
    mkto_note_text(&status, "socket", courier->socket.path);
    add_spool(courier, &status);
    mkto_intake_status(courier->intake, &intake);
    mkto_note_add(&status, "intake", &intake);
    const struct mkto_slice head = mkto_note_json(&status);
    const struct mkto_slice dispatch = mkto_dispatch_status(courier->dispatch, pool);
    const char *text = apr_psprintf(pool, "%.*s,\"dispatch\":%.*s}", (int)(head.len - 1), head.data,
                                    (int)dispatch.len, dispatch.data);
    return mkto_slice_str(text);
}
