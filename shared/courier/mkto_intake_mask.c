/*
 * anonymize_ip: nothing of an address but its network is stored.
 */
#include "mkto_intake_state.h"

#include <apr_strings.h>

#include "mkto_event_mask.h"
#include "mkto_net.h"

void mkto_intake_mask(struct mkto_intake_call *call)
{
    struct mkto_net net;
    char text[MKTO_NET_MAX];
    if (!call->subscription->anonymize_ip || !mkto_net_read(call->envelope.remote_addr, &net)) {
        return;
    }
    const size_t len = mkto_net_format(&net, text);
    call->envelope.remote_addr =
        (struct mkto_slice){apr_pstrmemdup(call->peer->intake->scratch, text, len), len};
    call->verbatim = false;
}

struct mkto_slice mkto_intake_masked(const struct mkto_intake_call *call,
                                     const struct mkto_event *event, struct mkto_slice text)
{
    if (!call->subscription->anonymize_ip || (event != NULL && !mkto_event_mask_wanted(event))) {
        return text;
    }
    return mkto_event_mask(text, call->peer->intake->scratch);
}
