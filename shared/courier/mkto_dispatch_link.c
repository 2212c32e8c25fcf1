/* Associate Lead: once for each new pair of lead and cookie, after the lead's sync. */
#include <apr_strings.h>

#include "mkto_dispatch_state.h"

uint64_t mkto_dispatch_link_when(struct channel *channel, const struct mkto_dispatch *dispatch)
{
    if (channel->links.count == 0) {
        return UINT64_MAX;
    }
    if (channel->sub->api != MKTO_API_REST) {
        return 0; /* the lead is sent again, with its cookie */
    }
    return mkto_dispatch_api_when(channel, dispatch, MKTO_BUDGET_OTHER);
}

/* The event at the head has nothing more to be done for it. */
void mkto_dispatch_link_shift(struct mkto_dispatch *dispatch, struct channel *channel,
                              uint32_t lane)
{
    channel->waiting[MKTO_LANE_LINK]--;
    mkto_lanes_shift(dispatch->lanes, lane);
    mkto_lanes_at(dispatch->lanes, lane)->due = 0;
    mkto_dispatch_settle_later(dispatch, lane);
}

/*
 * The lead id that Marketo gave last. Not the row's: that may be older, or another Marketo's, since
 * the config has changed. 0: another event of this pair was faster, or the lead is to be synced
 * first: no id is known, or the config says SOAP now, whose syncLead carries the cookie.
 */
static int64_t lead_id_of(struct mkto_dispatch *dispatch, const struct channel *channel,
                          struct reading *reading)
{
    if (channel->sub->api != MKTO_API_REST || reading->kind != MKTO_LANE_LINK) {
        mkto_dispatch_learn_again(dispatch, reading);
        return 0;
    }
    if (mkto_spool_known_get(dispatch->spool, reading->lead, reading->token) != 0) {
        mkto_dispatch_done(dispatch, reading->row.id);
        return 0;
    }
    int64_t lead_id = mkto_spool_known_get(dispatch->spool, reading->lead, 0);
    if (lead_id == 0) {
        mkto_dispatch_learn_again(dispatch, reading);
    }
    return lead_id;
}

/* Returns true when the head is to be sent; otherwise it has been dealt with. */
static bool look(struct mkto_dispatch *dispatch, struct channel *channel, uint32_t lane,
                 struct reading *reading)
{
    int64_t id = mkto_lanes_event_id(dispatch->lanes, mkto_lanes_at(dispatch->lanes, lane)->first);

    apr_pool_clear(dispatch->scratch);
    if (!mkto_dispatch_read(dispatch, id, reading, dispatch->scratch)) {
        mkto_dispatch_postpone(dispatch, lane,
                               mkto_dispatch_mono(dispatch) + MKTO_DISPATCH_AGAIN_MS);
        return false;
    }
    if (reading->fate == FATE_TAKEN) {
        reading->row.retry.lead_id = lead_id_of(dispatch, channel, reading);
        if (reading->row.retry.lead_id != 0) {
            return true;
        }
    } else {
        mkto_dispatch_place(dispatch, reading);
    }
    mkto_dispatch_link_shift(dispatch, channel, lane);
    return false;
}

void mkto_dispatch_link_start(struct mkto_dispatch *dispatch, struct channel *channel)
{
    struct reading reading;

    if (channel->sub->api == MKTO_API_REST && !mkto_dispatch_token(dispatch, channel)) {
        return;
    }
    uint32_t lane = mkto_lanes_take(dispatch->lanes, &channel->links);
    if (mkto_lanes_at(dispatch->lanes, lane)->first == MKTO_LANE_NONE) {
        mkto_lanes_close(dispatch->lanes, lane); /* its events were forgotten */
        return;
    }
    mkto_lanes_at(dispatch->lanes, lane)->soon = 0;
    if (!look(dispatch, channel, lane, &reading)) {
        return;
    }
    struct errand *errand = mkto_dispatch_errand(dispatch, channel, ERRAND_LINK);
    struct parcel *parcel = &errand->one;
    parcel->lane = lane;
    parcel->lead = reading.lead;
    parcel->lead_id = reading.row.retry.lead_id;
    parcel->attempts = reading.row.retry.attempts;
    parcel->one = (struct ref){.id = reading.row.id,
                               .stage = reading.row.retry.stage,
                               .token = reading.token,
                               .fate = FATE_TAKEN,
                               .attempts = reading.row.retry.attempts,
                               .first_ms = reading.row.retry.first_ms};
    parcel->refs = &parcel->one;
    parcel->ref_count = 1;
    parcel->taken = 1;
    errand->cookie = apr_pstrdup(errand->pool, reading.delivery.lead.cookie);
    errand->refreshed = mkto_lanes_at(dispatch->lanes, lane)->fresh;
    mkto_lanes_at(dispatch->lanes, lane)->fresh = 0;
    errand->count = 1;
    errand->events = 1;
    mkto_dispatch_errand_post(errand);
}
