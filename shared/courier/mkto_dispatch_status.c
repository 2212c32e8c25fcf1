/* The dispatch part of `marketo status`. */
#include "mkto_dispatch_state.h"
#include "mkto_note.h"
#include "mkto_reason.h"

static const char *const kinds[MKTO_LANE_KINDS] = {"lead", "visit", "associate"};

static int64_t age_of(const struct mkto_dispatch *dispatch, int64_t id, apr_pool_t *pool)
{
    struct mkto_spool_row row;
    struct mkto_envelope envelope;
    struct mkto_error err = MKTO_ERROR_INIT;

    if (id == INT64_MAX || mkto_spool_get(dispatch->spool, id, &row, &err, pool) != 1 || row.bad ||
        mkto_envelope_decode((const uint8_t *)row.envelope.data, row.envelope.len, &envelope,
                             &err) != 0) {
        return -1;
    }
    return mkto_dispatch_wall(dispatch) - envelope.received_ms;
}

static struct mkto_note queue_of(const struct mkto_dispatch *dispatch,
                                 const struct channel *channel, apr_pool_t *pool)
{
    struct mkto_note queue = mkto_note_object(pool);
    int64_t oldest[MKTO_LANE_KINDS];

    mkto_lanes_oldest(dispatch->lanes, channel->number, oldest);
    for (int kind = 0; kind < MKTO_LANE_KINDS; kind++) {
        struct mkto_note one = mkto_note_object(pool);
        int64_t age = age_of(dispatch, oldest[kind], pool);
        mkto_note_number(&one, "events", (int64_t)channel->waiting[kind]);
        if (age >= 0) {
            mkto_note_number(&one, "oldest_ms", age);
        }
        mkto_note_add(&queue, kinds[kind], &one);
    }
    return queue;
}

static struct mkto_note budget_of(const struct mkto_dispatch *dispatch,
                                  const struct channel *channel, apr_pool_t *pool)
{
    struct mkto_note note = mkto_note_object(pool);
    const struct mkto_budget *budget = &channel->budget;
    int64_t wall = mkto_dispatch_wall(dispatch);
    int64_t window = mkto_budget_in_window(budget, mkto_dispatch_mono(dispatch));
    int64_t limit = budget->limits.per_window;
    int64_t today = mkto_budget_today(budget, wall);
    int64_t reset;

    (void)mkto_budget_day(wall, &reset);
    window = window < limit ? window : limit; /* after a restart it counts as full, whatever is */
    mkto_note_number(&note, "window_used", window);
    mkto_note_number(&note, "window_left", limit - window);
    mkto_note_number(&note, "day_used", today);
    mkto_note_number(&note, "day_left", (int64_t)budget->limits.per_day - today);
    mkto_note_number(&note, "day_reset", reset);
    mkto_note_number(&note, "running", budget->running);
    mkto_note_number(&note, "at_once", budget->limits.at_once);
    return note;
}

static void add_pause(const struct mkto_dispatch *dispatch, struct mkto_note *list, const char *api,
                      const struct mkto_gate *gate)
{
    uint64_t now = mkto_dispatch_mono(dispatch);
    int64_t wall = mkto_dispatch_wall(dispatch);

    if (gate->kind == MKTO_PAUSE_NONE) {
        return;
    }
    struct mkto_note note = mkto_note_object(list->pool);
    mkto_note_text(&note, "api", api);
    mkto_note_text(&note, "kind", mkto_verdict_pause_name(gate->kind));
    mkto_note_text(&note, "reason", gate->reason);
    mkto_note_text(&note, "why", gate->why);
    mkto_note_text(&note, "hint", gate->hint);
    mkto_note_number(&note, "code", gate->code);
    mkto_note_number(&note, "since", wall - (int64_t)(now - gate->since));
    mkto_note_number(&note, "until",
                     gate->until > now ? wall + (int64_t)(gate->until - now) : wall);
    mkto_note_add(list, NULL, &note);
}

static struct mkto_note counters_of(const struct channel *channel, apr_pool_t *pool)
{
    struct mkto_note note = mkto_note_object(pool);
    const struct counters *counters = &channel->counters;

    mkto_note_number(&note, "delivered", (int64_t)counters->delivered);
    mkto_note_number(&note, "merged", (int64_t)counters->merged);
    mkto_note_number(&note, "linked", (int64_t)counters->linked);
    mkto_note_number(&note, "unchanged", (int64_t)counters->unchanged);
    mkto_note_number(&note, "retried", (int64_t)counters->retried);
    mkto_note_number(&note, "stripped", (int64_t)counters->stripped);
    mkto_note_number(&note, "filtered", (int64_t)counters->filtered);
    mkto_note_number(&note, "dead", (int64_t)counters->dead);
    mkto_note_number(&note, "calls", (int64_t)counters->calls);
    mkto_note_number(&note, "visits", (int64_t)counters->visits);
    return note;
}

static struct mkto_note tally_of(const struct mkto_tally *tally, bool times, apr_pool_t *pool)
{
    struct mkto_note note = mkto_note_object(pool);

    for (unsigned i = 0; i < tally->count; i++) {
        const struct mkto_tally_row *row = &tally->rows[i];
        if (!times) {
            mkto_note_number(&note, row->word, (int64_t)row->count);
            continue;
        }
        struct mkto_note one = mkto_note_object(pool);
        mkto_note_number(&one, "count", (int64_t)row->count);
        mkto_note_number(&one, "last", row->last_ms);
        mkto_note_add(&note, row->word, &one);
    }
    return note;
}

static struct mkto_note refused_of(const struct mkto_refused *refused, apr_pool_t *pool)
{
    struct mkto_note list = mkto_note_array(pool);

    for (unsigned i = 0; i < refused->count; i++) {
        mkto_note_text(&list, NULL, refused->names[i]);
    }
    return list;
}

static struct mkto_note channel_note(const struct mkto_dispatch *dispatch,
                                     const struct channel *channel, apr_pool_t *pool)
{
    struct mkto_note note = mkto_note_object(pool);
    const char *api = channel->sub != NULL && channel->sub->api == MKTO_API_SOAP ? "soap" : "rest";
    struct mkto_note queue = queue_of(dispatch, channel, pool);
    struct mkto_note budget = budget_of(dispatch, channel, pool);
    struct mkto_note paused = mkto_note_array(pool);
    struct mkto_note errors = tally_of(&channel->errors, true, pool);
    struct mkto_note counters = counters_of(channel, pool);
    struct mkto_note dead = mkto_reason_note(dispatch->spool, channel->name, pool);
    struct mkto_note filtered = tally_of(&channel->filtered_by, false, pool);
    struct mkto_note withheld = tally_of(&channel->withheld_by, false, pool);
    struct mkto_note refused = refused_of(&channel->refused, pool);

    add_pause(dispatch, &paused, api, &channel->leads);
    add_pause(dispatch, &paused, "munchkin", &channel->visits);
    mkto_note_text(&note, "name", channel->name);
    mkto_note_text(&note, "api", channel->sub == NULL ? NULL : api);
    mkto_note_add(&note, "queue", &queue);
    mkto_note_number(
        &note, "delivered_last_minute",
        (int64_t)mkto_tally_last_minute(&channel->minute, mkto_dispatch_mono(dispatch)));
    mkto_note_add(&note, "budget", &budget);
    mkto_note_add(&note, "paused", &paused);
    mkto_note_add(&note, "errors", &errors);
    mkto_note_add(&note, "counters", &counters);
    mkto_note_add(&note, "dead_by_reason", &dead);
    mkto_note_add(&note, "filtered_by_reason", &filtered);
    mkto_note_add(&note, "withheld_by_rule", &withheld);
    mkto_note_add(&note, "refused_fields", &refused);
    return note;
}

struct mkto_slice mkto_dispatch_status(const struct mkto_dispatch *dispatch, apr_pool_t *pool)
{
    struct mkto_note root = mkto_note_object(pool);
    struct mkto_note list = mkto_note_array(pool);

    for (unsigned i = 0; i < dispatch->channel_count; i++) {
        struct mkto_note one = channel_note(dispatch, dispatch->channels[i], pool);
        mkto_note_add(&list, NULL, &one);
    }
    mkto_note_add(&root, "subscriptions", &list);
    mkto_note_number(&root, "in_memory", (int64_t)mkto_lanes_events(dispatch->lanes));
    mkto_note_number(&root, "lanes", (int64_t)mkto_lanes_count(dispatch->lanes));
    mkto_note_number(&root, "in_flight", (int64_t)dispatch->in_flight);
    mkto_note_number(&root, "bad_rows", (int64_t)dispatch->bad_rows);
    mkto_note_bool(&root, "record_failing", dispatch->blocked);
    mkto_note_bool(&root, "held", dispatch->hold);
    return mkto_note_json(&root);
}
