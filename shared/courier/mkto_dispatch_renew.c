/* Stale credentials: what a call was sent with is renewed, once. */
#include <inttypes.h>

#include "mkto_dispatch_state.h"

static void mend_clock(const struct errand *errand, int64_t date_ms)
{
    struct channel *channel = errand->channel;
    int64_t wall = mkto_dispatch_wall(errand->dispatch);

    if (date_ms <= 0) {
        return;
    }
    int64_t offset = date_ms - wall;
    int64_t change = offset - channel->clock_offset_ms;
    channel->clock_offset_ms = offset;
    if (change > 1000 || change < -1000) {
        mkto_dispatch_log(errand->dispatch, LOG_WARNING,
                          "MKTO0307 %s: this machine's clock and Marketo's differ by %" PRId64
                          " s; requests are signed by Marketo's",
                          channel->label, offset / 1000);
    }
}

void mkto_dispatch_renew(const struct errand *errand, int64_t date_ms)
{
    struct channel *channel = errand->channel;

    if (errand->api == MKTO_API_SOAP) {
        mend_clock(errand, date_ms);
    } else if (errand->token_number == channel->token_number) {
        mkto_dispatch_token_drop(channel);
        channel->token_asked = 0; /* at once: each call does this once */
    }
    for (unsigned i = 0; i < errand->count; i++) {
        mkto_lanes_at(errand->dispatch->lanes, errand->parcels[i].lane)->fresh = 1;
    }
}
