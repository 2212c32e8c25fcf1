/* Lanes between calls. */
#include "mkto_dispatch_state.h"

static struct mkto_lane_queue *queue_of(struct channel *channel, const struct mkto_lane *lane)
{
    switch (lane->kind) {
    case MKTO_LANE_VISIT: return &channel->views;
    case MKTO_LANE_LINK: return &channel->links;
    default: break;
    }
    return lane->alone ? &channel->single : &channel->batch;
}

void mkto_dispatch_ready(struct mkto_dispatch *dispatch, uint32_t number)
{
    struct mkto_lane *lane = mkto_lanes_at(dispatch->lanes, number);
    struct channel *channel = dispatch->channels[lane->channel];

    if (lane->soon) {
        mkto_lanes_push_front(dispatch->lanes, queue_of(channel, lane), number, 0);
        return;
    }
    mkto_lanes_push(dispatch->lanes, queue_of(channel, lane), number, mkto_dispatch_mono(dispatch));
}

void mkto_dispatch_settle(struct mkto_dispatch *dispatch, uint32_t number)
{
    struct mkto_lane *lane = mkto_lanes_at(dispatch->lanes, number);

    if (lane->first == MKTO_LANE_NONE) {
        mkto_lanes_close(dispatch->lanes, number);
        return;
    }
    lane->state = MKTO_LANE_IDLE;
    if (lane->due > mkto_dispatch_mono(dispatch)) {
        mkto_lanes_wait(dispatch->lanes, number, lane->due);
        return;
    }
    mkto_dispatch_ready(dispatch, number);
}

void mkto_dispatch_put_back(struct mkto_dispatch *dispatch, uint32_t number)
{
    struct mkto_lane *lane = mkto_lanes_at(dispatch->lanes, number);

    lane->soon = 1;
    mkto_lanes_push_front(dispatch->lanes, queue_of(dispatch->channels[lane->channel], lane),
                          number, 0);
}

void mkto_dispatch_postpone(struct mkto_dispatch *dispatch, uint32_t number, uint64_t due)
{
    mkto_lanes_wait(dispatch->lanes, number, due);
}

void mkto_dispatch_unpack(struct mkto_dispatch *dispatch, struct channel *channel)
{
    struct errand *errand = channel->filling;

    channel->filling = NULL;
    if (errand != NULL) {
        unsigned count = errand->count + (errand->open ? 1 : 0);
        while (count > 0) {
            mkto_dispatch_put_back(dispatch, errand->parcels[--count].lane);
        }
        mkto_dispatch_group_end(errand);
        mkto_dispatch_errand_free(errand);
    }
    while (channel->groups != NULL) {
        struct group *group = channel->groups;
        while (group->at < group->count) {
            mkto_dispatch_put_back(dispatch, group->lanes[group->at++]);
        }
        mkto_dispatch_group_drop(channel);
    }
}

/* With what was tried for it; a row that cannot be read now keeps that to itself. */
static struct ref orphan(struct mkto_dispatch *dispatch, int64_t id)
{
    struct ref ref = {.id = id, .reason = "no_subscription"};
    struct mkto_spool_row row;
    struct mkto_error err = MKTO_ERROR_INIT;

    apr_pool_clear(dispatch->scratch);
    if (mkto_spool_get(dispatch->spool, id, &row, &err, dispatch->scratch) == 1 && row.has_retry) {
        ref.attempts = row.retry.attempts;
        ref.first_ms = row.retry.first_ms;
    }
    return ref;
}

static void orphan_lane(struct mkto_dispatch *dispatch, struct channel *channel, uint32_t number)
{
    struct mkto_lane *lane = mkto_lanes_at(dispatch->lanes, number);

    while (lane->first != MKTO_LANE_NONE) {
        const struct ref ref = orphan(dispatch, mkto_lanes_event_id(dispatch->lanes, lane->first));
        mkto_dispatch_bury(dispatch, channel, &ref, "event",
                           lane->kind == MKTO_LANE_LEAD ? lane->hash : 0,
                           "the config has no such subscription");
        channel->waiting[lane->kind]--;
        mkto_lanes_shift(dispatch->lanes, number);
    }
    mkto_dispatch_settle_later(dispatch, number);
}

void mkto_dispatch_orphans(struct mkto_dispatch *dispatch, struct channel *channel)
{
    struct mkto_lane_queue *queues[] = {&channel->batch, &channel->single, &channel->links,
                                        &channel->views};

    mkto_dispatch_unpack(dispatch, channel); /* of a call that was out when its config left */
    for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++) {
        while (queues[i]->count > 0 && !mkto_dispatch_late(dispatch) &&
               dispatch->outcomes.count < 4 * MKTO_DISPATCH_RECORD_MAX) {
            orphan_lane(dispatch, channel, mkto_lanes_take(dispatch->lanes, queues[i]));
        }
    }
}

uint64_t mkto_dispatch_mono_of(const struct mkto_dispatch *dispatch, int64_t wall_ms)
{
    int64_t in = wall_ms - mkto_dispatch_wall(dispatch);

    if (in <= 0) {
        return mkto_dispatch_mono(dispatch);
    }
    if (in > MKTO_VERDICT_AFTER_MAX_MS) { /* the clock was set back: do not wait for it */
        in = MKTO_VERDICT_AFTER_MAX_MS;
    }
    return mkto_dispatch_mono(dispatch) + (uint64_t)in;
}
