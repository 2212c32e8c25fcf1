/*
 * How fast a network may send. Whoever has a write key is not counted, and neither is this machine:
 * a proxy here that does not pass the visitor's address on (realip, mod_remoteip) would make one
 * visitor of all.
 */
#include "mkto_intake_state.h"

#include "mkto_net.h"

#define HASH_BUCKET (UINT64_C(1) << MKTO_NET_KEY_BITS)
#define SUBSCRIPTION_SHIFT (MKTO_NET_KEY_BITS + 1)

_Static_assert(MKTO_CONFIG_SUBSCRIPTIONS_MAX <= 1 << (63 - SUBSCRIPTION_SHIFT),
               "a bucket's key has room for the subscription");

/* The bucket of the sender's network in this subscription; 0: it is not counted. What cannot be
 * read as an address shares one. */
static uint64_t bucket_of(const struct mkto_intake_call *call)
{
    const struct mkto_config *config = call->peer->intake->config;
    struct mkto_net net;
    if (call->envelope.remote_addr.len == 0) {
        return 0; /* a unix socket */
    }
    const bool known = mkto_net_read(call->envelope.remote_addr, &net);
    if (known && net.loopback) {
        return 0;
    }
    const uint64_t number = (uint64_t)(call->subscription - config->subscriptions) + 1;
    return number << SUBSCRIPTION_SHIFT | (known ? mkto_net_key(&net) : 0);
}

static bool take(struct mkto_intake_call *call, uint64_t bucket, unsigned rate, unsigned burst,
                 unsigned count)
{
    struct mkto_intake *intake = call->peer->intake;
    if (intake->rate == NULL) {
        intake->rate = mkto_rate_create();
    }
    const uint64_t wait = intake->rate == NULL ? 0
                                               : mkto_rate_take(intake->rate, bucket, rate, burst,
                                                                count, intake->now);
    const uint64_t seconds = (wait + 999) / 1000;
    call->retry_after = seconds < UINT16_MAX ? (uint16_t)seconds : UINT16_MAX;
    return wait == 0;
}

/* A page view that the web server recorded has nobody who could send it again. */
static void refuse(struct mkto_intake_call *call)
{
    if ((call->envelope.flags & MKTO_ENVELOPE_SERVER) != 0) {
        mkto_intake_filter(call, call->envelope.call, NULL, "rate");
        mkto_intake_answer(call, MKTO_ANSWER_FILTERED, NULL);
    } else {
        mkto_intake_reject(call, MKTO_ANSWER_RATE_LIMITED, "rate", NULL);
    }
}

bool mkto_intake_admit(struct mkto_intake_call *call, unsigned count)
{
    const struct mkto_subscription *subscription = call->subscription;
    if (subscription->rate == 0 || (call->envelope.flags & MKTO_ENVELOPE_KEYED) != 0) {
        return true;
    }
    const uint64_t bucket = bucket_of(call);
    if (bucket == 0 || take(call, bucket, subscription->rate, subscription->rate_burst, count)) {
        return true;
    }
    refuse(call);
    return false;
}

bool mkto_intake_admit_hash(struct mkto_intake_call *call)
{
    const uint64_t bucket = bucket_of(call);
    return bucket == 0 || (call->envelope.flags & MKTO_ENVELOPE_KEYED) != 0 ||
           take(call, bucket | HASH_BUCKET, MKTO_INTAKE_HASH_RATE, MKTO_INTAKE_HASH_BURST, 1);
}
