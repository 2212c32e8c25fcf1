/* One line of `marketo tail` for each verdict. */
#include <apr_strings.h>
#include <inttypes.h>

#include "mkto_dispatch_state.h"
#include "mkto_mask.h"
#include "mkto_note.h"
#include "mkto_sender.h"

static const char *api_name(enum mkto_api api)
{
    static const char *const names[] = {"rest", "soap", "munchkin"};
    return names[api];
}

static const char *type_name(enum errand_kind kind)
{
    switch (kind) {
    case ERRAND_TOKEN: return "token";
    case ERRAND_LINK: return "associate";
    case ERRAND_VISIT: return "visit";
    default: return "lead";
    }
}

static const char *without_addresses(const char *text, apr_pool_t *pool)
{
    char *copy = text == NULL ? NULL : apr_pstrdup(pool, text);

    mkto_mask_addresses(copy);
    return copy;
}

/* The first of the events: it is in the spool until the verdict is recorded. */
static void add_event(struct mkto_dispatch *dispatch, const struct parcel *parcel,
                      struct mkto_note *note)
{
    struct mkto_spool_row row;
    struct mkto_envelope envelope;

    if (mkto_spool_get(dispatch->spool, parcel->refs[0].id, &row, NULL, note->pool) != 1 ||
        row.bad ||
        mkto_envelope_decode((const uint8_t *)row.envelope.data, row.envelope.len, &envelope,
                             NULL) != 0) {
        return;
    }
    mkto_note_text(note, "source", mkto_sender_word(&envelope, note->pool));
    mkto_note_text(note, "call", mkto_call_name(envelope.call));
}

void mkto_dispatch_tell(struct mkto_dispatch *dispatch, const struct told *told)
{
    const struct mkto_dispatch_hooks *hooks = &dispatch->hooks;
    const struct errand *errand = told->errand;
    apr_pool_t *pool;

    if (hooks->tail == NULL || hooks->tailing == NULL || !hooks->tailing(hooks->ctx)) {
        return;
    }
    apr_pool_create(&pool, dispatch->pool);
    struct mkto_note note = mkto_note_object(pool);
    mkto_note_number(&note, "time", mkto_dispatch_wall(dispatch));
    mkto_note_text(&note, "subscription", errand->channel->name);
    if (told->parcel != NULL) {
        add_event(dispatch, told->parcel, &note);
    }
    mkto_note_text(&note, "type", type_name(errand->kind));
    if (told->parcel != NULL) {
        uint64_t lead = told->parcel->lead;
        mkto_note_text(&note, "lead",
                       lead == 0 ? NULL : apr_psprintf(pool, "%08" PRIx64, lead >> 32));
        mkto_note_number(&note, "event", told->parcel->refs[0].id);
        mkto_note_number(&note, "events", told->parcel->taken);
        mkto_note_number(&note, "attempts", (int64_t)told->parcel->attempts + 1);
    }
    mkto_note_text(&note, "api", api_name(errand->api));
    mkto_note_text(&note, "verdict", mkto_verdict_name(told->decision->kind));
    mkto_note_text(&note, "reason", told->decision->reason);
    mkto_note_number(&note, "code", told->code);
    mkto_note_text(&note, "text", without_addresses(told->text, pool));
    mkto_note_number(&note, "ms", told->took_ms);
    hooks->tail(hooks->ctx, mkto_note_json(&note));
    apr_pool_destroy(pool);
}
