/* From the spool into lanes, in the order of acceptance. */
#include "mkto_dispatch_state.h"

/* A lead that was synced a short while ago waits for its interval, also over a restart. */
static uint64_t lead_due(struct mkto_dispatch *dispatch, const struct reading *reading)
{
    const int64_t interval = reading->channel->lead_interval_ms;
    const int64_t now = mkto_dispatch_wall(dispatch);
    int64_t at;

    if (!mkto_spool_sent_since(dispatch->spool, reading->lead, now - interval, &at)) {
        return 0;
    }
    if (at > now) {
        at = now; /* the clock was set back */
    }
    return mkto_dispatch_mono_of(dispatch, at + interval);
}

/* A new lane begins with this event. */
static void begin_lane(struct mkto_dispatch *dispatch, const struct reading *reading,
                       uint32_t number)
{
    struct mkto_lane *lane = mkto_lanes_at(dispatch->lanes, number);
    uint64_t due = 0;

    if (reading->kind == MKTO_LANE_LEAD) {
        due = lead_due(dispatch, reading);
        lane->alone = mkto_dispatch_goes_alone(dispatch, reading);
    }
    if (reading->row.has_retry) {
        uint64_t retry = mkto_dispatch_mono_of(dispatch, reading->row.retry.due_ms);
        due = retry > due ? retry : due;
    }
    if (due > 0 && due > mkto_dispatch_mono(dispatch)) {
        mkto_lanes_wait(dispatch->lanes, number, due);
        return;
    }
    if (reading->kind == MKTO_LANE_VISIT && mkto_dispatch_visit_now(dispatch, reading, number)) {
        return;
    }
    mkto_dispatch_ready(dispatch, number);
}

/* Once an event: one that is tried again was counted. */
static void count_withheld(struct mkto_dispatch *dispatch, const struct reading *reading)
{
    const struct mkto_withheld *each = reading->delivery.withheld;

    for (; each != NULL && !reading->row.has_retry; each = each->next) {
        mkto_tally_add(&reading->channel->withheld_by, each->rule, 1, mkto_dispatch_wall(dispatch));
    }
}

/* Returns the lane, or MKTO_LANE_NONE. */
static uint32_t into_lane(struct mkto_dispatch *dispatch, const struct reading *reading)
{
    uint32_t number =
        mkto_lanes_open(dispatch->lanes, reading->lane, reading->channel->number, reading->kind);

    if (number == MKTO_LANE_NONE || !mkto_lanes_add(dispatch->lanes, number, reading->row.id)) {
        /* cannot be: the loader leaves room; the event stays in the spool for the next start */
        mkto_dispatch_log(dispatch, LOG_ERR, "MKTO0312 no memory for event %lld",
                          (long long)reading->row.id);
        return MKTO_LANE_NONE;
    }
    reading->channel->waiting[reading->kind]++;
    count_withheld(dispatch, reading);
    return number;
}

static void place(struct mkto_dispatch *dispatch, const struct reading *reading)
{
    uint32_t number = into_lane(dispatch, reading);

    if (number != MKTO_LANE_NONE &&
        mkto_lanes_at(dispatch->lanes, number)->state == MKTO_LANE_IDLE) {
        begin_lane(dispatch, reading, number);
    }
}

void mkto_dispatch_place_later(struct mkto_dispatch *dispatch, const struct reading *reading)
{
    if (reading->fate != FATE_TAKEN) {
        mkto_dispatch_place(dispatch, reading);
        return;
    }
    uint32_t number = into_lane(dispatch, reading);
    if (number == MKTO_LANE_NONE) {
        return;
    }
    struct mkto_lane *lane = mkto_lanes_at(dispatch->lanes, number);
    if (lane->state == MKTO_LANE_IDLE) {
        lane->state = MKTO_LANE_BUSY;
        if (reading->kind == MKTO_LANE_LEAD) {
            lane->due = lead_due(dispatch, reading);
        }
        mkto_dispatch_settle_later(dispatch, number);
    }
}

static void bury(struct mkto_dispatch *dispatch, const struct reading *reading)
{
    struct ref ref = {.id = reading->row.id,
                      .reason = reading->reason,
                      .first_ms = reading->row.has_retry ? reading->row.retry.first_ms : 0,
                      .attempts = reading->row.has_retry ? reading->row.retry.attempts : 0};

    if (reading->fate == FATE_BAD) {
        dispatch->bad_rows++;
        mkto_dispatch_log(dispatch, LOG_ERR,
                          "MKTO0304 event %lld in the spool is damaged and was set aside: %s",
                          (long long)ref.id, reading->detail);
    }
    mkto_dispatch_bury(dispatch, reading->channel, &ref, "event", 0, reading->detail);
}

void mkto_dispatch_place(struct mkto_dispatch *dispatch, const struct reading *reading)
{
    switch (reading->fate) {
    case FATE_TAKEN:
    case FATE_MOVED: place(dispatch, reading); break;
    case FATE_GONE: break;
    case FATE_BAD:
    case FATE_REJECTED: bury(dispatch, reading); break;
    case FATE_FILTERED:
        reading->channel->counters.filtered++;
        mkto_tally_add(&reading->channel->filtered_by, reading->reason, 1,
                       mkto_dispatch_wall(dispatch));
        mkto_dispatch_done(dispatch, reading->row.id);
        break;
    }
}

/* The last of it is for visits alone: see mkto_dispatch_ahead.c. */
static bool has_room(const struct mkto_dispatch *dispatch)
{
    return mkto_lanes_room(dispatch->lanes) >=
           MKTO_DISPATCH_LOAD_ROWS + dispatch->events_max / MKTO_DISPATCH_AHEAD_SHARE;
}

uint64_t mkto_dispatch_load_when(const struct mkto_dispatch *dispatch, uint64_t now)
{
    if (!dispatch->more || !(has_room(dispatch) || mkto_dispatch_ahead_may(dispatch))) {
        return UINT64_MAX;
    }
    return dispatch->load_again > now ? dispatch->load_again : now;
}

/*
 * Events that came before anybody knew whose cookie it is still wait in its own lane, although it
 * is known now. This one stays behind them, so that they move to the lead's lane in order.
 */
static void queue_up(struct mkto_dispatch *dispatch, struct reading *reading)
{
    if (reading->fate != FATE_TAKEN || reading->kind != MKTO_LANE_LEAD || reading->alone == 0 ||
        reading->alone == reading->lane) {
        return;
    }
    uint32_t number =
        mkto_lanes_open(dispatch->lanes, reading->alone, reading->channel->number, MKTO_LANE_LEAD);
    if (number == MKTO_LANE_NONE) {
        return;
    }
    const struct mkto_lane *lane = mkto_lanes_at(dispatch->lanes, number);
    if (lane->first != MKTO_LANE_NONE) {
        reading->lane = reading->alone;
    } else if (lane->state == MKTO_LANE_IDLE) {
        mkto_lanes_close(dispatch->lanes, number);
    }
}

int mkto_dispatch_load_rows(struct mkto_dispatch *dispatch, int64_t after,
                            struct mkto_spool_row *rows, apr_pool_t *pool)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    const int count =
        mkto_spool_read(dispatch->spool, after, MKTO_DISPATCH_LOAD_ROWS, rows, &err, pool);

    if (count < 0) {
        mkto_dispatch_log(dispatch, LOG_ERR, "MKTO0308 the spool cannot be read: %s", err.text);
        dispatch->load_again = mkto_dispatch_mono(dispatch) + MKTO_DISPATCH_AGAIN_MS;
    }
    return count;
}

static void load_row(struct mkto_dispatch *dispatch, const struct mkto_spool_row *row)
{
    struct reading reading = {.row = *row};

    if (mkto_dispatch_ahead_has(dispatch, row->id)) {
        return;
    }
    apr_pool_clear(dispatch->scratch);
    mkto_dispatch_read_row(dispatch, &reading, dispatch->scratch);
    queue_up(dispatch, &reading);
    mkto_dispatch_place(dispatch, &reading);
}

static bool load_some(struct mkto_dispatch *dispatch)
{
    struct mkto_spool_row rows[MKTO_DISPATCH_LOAD_ROWS];
    const int64_t from = dispatch->cursor;
    apr_pool_t *pool;

    apr_pool_create(&pool, dispatch->pool);
    int count = mkto_dispatch_load_rows(dispatch, from, rows, pool);
    for (int i = 0; i < count; i++) {
        load_row(dispatch, &rows[i]);
        dispatch->cursor = rows[i].id;
    }
    apr_pool_destroy(pool);
    mkto_dispatch_ahead_passed(dispatch, from, dispatch->cursor);
    dispatch->more = count == MKTO_DISPATCH_LOAD_ROWS || count < 0 ||
                     (count > 0 && dispatch->accepted > dispatch->cursor);
    return count == MKTO_DISPATCH_LOAD_ROWS;
}

void mkto_dispatch_load(struct mkto_dispatch *dispatch)
{
    bool more = mkto_dispatch_load_when(dispatch, mkto_dispatch_mono(dispatch)) <=
                mkto_dispatch_mono(dispatch);

    while (more) {
        if (has_room(dispatch)) {
            more = load_some(dispatch);
        } else {
            more = mkto_dispatch_ahead_may(dispatch) && mkto_dispatch_ahead_load(dispatch);
        }
        more = more && !mkto_dispatch_late(dispatch) &&
               dispatch->outcomes.count < 4 * MKTO_DISPATCH_RECORD_MAX;
    }
}
