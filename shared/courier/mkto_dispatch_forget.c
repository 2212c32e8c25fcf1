/* Events that leave the spool without a call: forgotten ones (mkto_forget). */
#include "mkto_dispatch_state.h"

#define LANES_MAX 2 /* that a row may be in */

/*
 * The lanes that a row may be in by today's config, of those in memory: its own, and for a lead
 * that only its cookie names the cookie's, where it may have been put before the lead was known.
 */
static unsigned find(struct mkto_dispatch *dispatch, const struct mkto_spool_row *row,
                     struct reading *reading, uint32_t lanes[LANES_MAX])
{
    unsigned count = 0;

    *reading = (struct reading){.row = *row};
    apr_pool_clear(dispatch->scratch);
    mkto_dispatch_read_row(dispatch, reading, dispatch->scratch);
    if (reading->fate != FATE_TAKEN) {
        return 0;
    }
    const uint64_t hashes[LANES_MAX] = {reading->lane, reading->alone};
    for (unsigned i = 0; i < LANES_MAX; i++) {
        uint32_t lane =
            hashes[i] == 0 ? MKTO_LANE_NONE : mkto_lanes_find(dispatch->lanes, hashes[i]);
        if (lane != MKTO_LANE_NONE) {
            lanes[count++] = lane;
        }
    }
    return count;
}

static bool is_busy(struct mkto_dispatch *dispatch, struct channel *channel, uint32_t lane)
{
    if (mkto_lanes_at(dispatch->lanes, lane)->state == MKTO_LANE_BUSY) {
        /* it may be in a call that is not sent yet, and with a paused API will not be for long */
        mkto_dispatch_unpack(dispatch, channel);
        dispatch->next = 0;
    }
    return mkto_lanes_at(dispatch->lanes, lane)->state == MKTO_LANE_BUSY;
}

bool mkto_dispatch_busy(struct mkto_dispatch *dispatch, const struct mkto_spool_row *row)
{
    struct reading reading;
    uint32_t lanes[LANES_MAX];
    unsigned count = find(dispatch, row, &reading, lanes);
    bool busy = false;

    for (unsigned i = 0; i < count; i++) {
        busy = is_busy(dispatch, reading.channel, lanes[i]) || busy;
    }
    return busy;
}

void mkto_dispatch_forget(struct mkto_dispatch *dispatch, const struct mkto_spool_row *row)
{
    struct reading reading;
    uint32_t lanes[LANES_MAX];
    unsigned count = find(dispatch, row, &reading, lanes);

    for (unsigned i = 0; i < count; i++) {
        if (mkto_lanes_drop(dispatch->lanes, lanes[i], row->id)) {
            reading.channel->waiting[mkto_lanes_at(dispatch->lanes, lanes[i])->kind]--;
        }
    }
}
