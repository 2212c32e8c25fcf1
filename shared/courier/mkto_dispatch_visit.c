/* Visits: one after the other in each cookie's lane, many lanes at once. They cost no budget. */
#include "mkto_dispatch_state.h"
#include "mkto_munchkin.h"

static uint64_t may_send_when(struct channel *channel, const struct mkto_dispatch *dispatch)
{
    if (channel->visits_running >= channel->sub->visits_at_once) {
        return UINT64_MAX;
    }
    return mkto_gate_when(&channel->visits, mkto_dispatch_mono(dispatch));
}

uint64_t mkto_dispatch_visit_when(struct channel *channel, const struct mkto_dispatch *dispatch)
{
    return channel->views.count == 0 ? UINT64_MAX : may_send_when(channel, dispatch);
}

/* The reading's visit, for a lane that is BUSY from now on. Needs no pool of its own: nothing but
 * the id is kept. */
static void send_visit(struct mkto_dispatch *dispatch, const struct reading *reading, uint32_t lane)
{
    struct channel *channel = reading->channel;
    const struct mkto_subscription *sub = channel->sub;
    struct errand *errand = mkto_dispatch_errand(dispatch, channel, ERRAND_VISIT);
    struct parcel *parcel = &errand->one;
    struct mkto_http_request request = {0};

    mkto_lanes_at(dispatch->lanes, lane)->state = MKTO_LANE_BUSY;
    mkto_lanes_at(dispatch->lanes, lane)->soon = 0;
    parcel->lane = lane;
    parcel->one = (struct ref){.id = reading->row.id, .fate = FATE_TAKEN};
    if (reading->row.has_retry) {
        parcel->one.attempts = reading->row.retry.attempts;
        parcel->one.first_ms = reading->row.retry.first_ms;
    }
    parcel->attempts = parcel->one.attempts;
    parcel->refs = &parcel->one;
    parcel->ref_count = 1;
    parcel->taken = 1;
    errand->count = 1;
    errand->events = 1;
    errand->probe = mkto_gate_enter(&channel->visits);
    errand->sent_ms = mkto_dispatch_mono(dispatch);
    errand->sent_wall_ms = mkto_dispatch_wall(dispatch);
    channel->visits_running++;
    channel->counters.visits++;
    dispatch->in_flight++;
    mkto_munchkin_visit(sub, &reading->delivery.visit, &request, dispatch->scratch);
    dispatch->transport->send(dispatch->transport, &request, sub->connect_timeout_ms,
                              sub->timeout_ms, sub->ca_file, mkto_dispatch_answered, errand);
}

bool mkto_dispatch_visit_now(struct mkto_dispatch *dispatch, const struct reading *reading,
                             uint32_t lane)
{
    struct channel *channel = reading->channel;

    if (dispatch->hold || dispatch->blocked || channel->views.count > 0 ||
        may_send_when(channel, dispatch) > mkto_dispatch_mono(dispatch)) {
        return false;
    }
    send_visit(dispatch, reading, lane);
    return true;
}

/* It is no visit of this lane any more: the config has changed, or the row is not what it was. */
static void deal_with(struct mkto_dispatch *dispatch, struct channel *channel,
                      const struct reading *reading, uint32_t lane)
{
    channel->waiting[MKTO_LANE_VISIT]--;
    mkto_lanes_shift(dispatch->lanes, lane);
    mkto_lanes_at(dispatch->lanes, lane)->due = 0;
    mkto_dispatch_settle_later(dispatch, lane);
    mkto_dispatch_place(dispatch, reading);
}

void mkto_dispatch_visit_start(struct mkto_dispatch *dispatch, struct channel *channel)
{
    struct reading reading;
    uint32_t lane = mkto_lanes_take(dispatch->lanes, &channel->views);
    const struct mkto_lane *at = mkto_lanes_at(dispatch->lanes, lane);

    if (at->first == MKTO_LANE_NONE) { /* its events were forgotten */
        mkto_lanes_close(dispatch->lanes, lane);
        return;
    }
    int64_t id = mkto_lanes_event_id(dispatch->lanes, at->first);

    apr_pool_clear(dispatch->scratch);
    if (!mkto_dispatch_read(dispatch, id, &reading, dispatch->scratch)) {
        mkto_dispatch_postpone(dispatch, lane,
                               mkto_dispatch_mono(dispatch) + MKTO_DISPATCH_AGAIN_MS);
        return;
    }
    if (reading.fate != FATE_TAKEN || reading.kind != MKTO_LANE_VISIT || reading.lane != at->hash) {
        deal_with(dispatch, channel, &reading, lane);
        return;
    }
    if (reading.row.has_retry) {
        uint64_t due = mkto_dispatch_mono_of(dispatch, reading.row.retry.due_ms);
        if (due > mkto_dispatch_mono(dispatch)) {
            mkto_dispatch_postpone(dispatch, lane, due);
            return;
        }
    }
    send_visit(dispatch, &reading, lane);
}
