/*
 * Lead ids that Marketo no longer has: their leads were merged away or deleted. Such an id is
 * forgotten, and what was sent with it waits until the lead's id is known again: once, or a Marketo
 * that contradicts itself would have us call forever.
 */
#include "mkto_dispatch_state.h"

/* Marketo has been told of this lead before. Only its id is wanted then: values that were delivered
 * a while ago may have newer ones behind them. */
static bool was_told(struct mkto_dispatch *dispatch, uint64_t lead)
{
    uint64_t digest;
    int64_t at;

    return mkto_spool_sent_get(dispatch->spool, lead, &digest, &at);
}

static void go_back(struct mkto_dispatch *dispatch, struct reading *reading,
                    const struct mkto_spool_retry *retry)
{
    struct mkto_outcome outcome = {.kind = MKTO_OUTCOME_RETRY,
                                   .id = reading->row.id,
                                   .stage = retry->stage,
                                   .attempts = retry->attempts,
                                   .first_ms = retry->first_ms,
                                   .due_ms = mkto_dispatch_wall(dispatch),
                                   .answer = (char *)(uintptr_t)retry->answer};

    mkto_dispatch_outcome(dispatch, &outcome);
    reading->kind = MKTO_LANE_LEAD;
    reading->lane = reading->lead;
    reading->row.has_retry = false; /* nothing to wait for but the lead's interval */
    mkto_dispatch_place_later(dispatch, reading);
}

void mkto_dispatch_learn_again(struct mkto_dispatch *dispatch, struct reading *reading)
{
    const struct mkto_spool_retry retry = {.stage =
                                               was_told(dispatch, reading->lead) ? STAGE_LEARN : 0};

    go_back(dispatch, reading, &retry);
}

static void forget_id(struct mkto_dispatch *dispatch, uint64_t lead, uint64_t token,
                      int64_t lead_id)
{
    struct mkto_outcome outcome = {
        .kind = MKTO_OUTCOME_UNKNOWN, .lead = lead, .of.token = token, .lead_id = lead_id};
    mkto_dispatch_outcome(dispatch, &outcome);
}

static struct mkto_spool_retry retry_of(const struct errand *errand, const struct ref *ref,
                                        const char *answer)
{
    return (struct mkto_spool_retry){.stage = (ref->stage & ~STAGE_LINK) | STAGE_LEARN,
                                     .attempts = ref->attempts + 1,
                                     .first_ms =
                                         ref->first_ms != 0 ? ref->first_ms : errand->sent_wall_ms,
                                     .answer = answer};
}

/* Its lead is synced once more, by its e-mail, and the cookie goes to whoever that is. */
static void learn_for_link(struct errand *errand, struct parcel *parcel, const char *answer)
{
    struct mkto_dispatch *dispatch = errand->dispatch;
    const struct mkto_spool_retry retry = retry_of(errand, &parcel->refs[0], answer);
    struct reading reading;

    forget_id(dispatch, parcel->lead, 0, parcel->lead_id);
    apr_pool_clear(dispatch->scratch);
    if (mkto_dispatch_read(dispatch, parcel->refs[0].id, &reading, dispatch->scratch)) {
        go_back(dispatch, &reading, &retry);
    } /* a row that cannot be read now comes again after the next start */
    mkto_dispatch_link_shift(dispatch, errand->channel, parcel->lane);
}

static void forget_tokens(struct mkto_dispatch *dispatch, const struct parcel *parcel)
{
    for (unsigned i = 0; i < parcel->ref_count; i++) {
        const struct ref *ref = &parcel->refs[i];
        uint64_t lead = 0;
        if (ref->fate == FATE_TAKEN && ref->token != 0 &&
            mkto_spool_known_lead(dispatch->spool, ref->token, &lead) == parcel->lead_id) {
            forget_id(dispatch, lead, ref->token, parcel->lead_id);
        }
    }
}

/* Only an identify with an e-mail can tell whose cookie it is now. The events stay at the head of
 * their lane, which is the cookie's own again when they are looked at next. */
static void learn_for_update(struct errand *errand, const struct parcel *parcel, const char *answer)
{
    struct mkto_dispatch *dispatch = errand->dispatch;

    forget_tokens(dispatch, parcel);
    for (unsigned i = 0; i < parcel->ref_count; i++) {
        if (parcel->refs[i].fate != FATE_TAKEN) {
            continue;
        }
        const struct mkto_spool_retry retry = retry_of(errand, &parcel->refs[i], answer);
        struct mkto_outcome outcome = {.kind = MKTO_OUTCOME_RETRY,
                                       .id = parcel->refs[i].id,
                                       .stage = retry.stage,
                                       .attempts = retry.attempts,
                                       .first_ms = retry.first_ms,
                                       .due_ms = mkto_dispatch_wall(dispatch),
                                       .answer = (char *)(uintptr_t)answer};
        mkto_dispatch_outcome(dispatch, &outcome);
    }
    mkto_lanes_at(dispatch->lanes, parcel->lane)->due =
        mkto_dispatch_mono(dispatch) + MKTO_DISPATCH_KNOWN_AGAIN_MS;
    mkto_dispatch_settle_later(dispatch, parcel->lane);
}

bool mkto_dispatch_learnt(const struct parcel *parcel, int64_t *since_ms)
{
    for (unsigned i = 0; i < parcel->ref_count; i++) {
        const struct ref *ref = &parcel->refs[i];
        if (ref->fate == FATE_TAKEN && (ref->stage & STAGE_LEARN) != 0) {
            *since_ms = ref->due_ms;
            return true;
        }
    }
    return false;
}

bool mkto_dispatch_learn(struct errand *errand, struct parcel *parcel, int code, const char *answer)
{
    int64_t since_ms;

    if (errand->api != MKTO_API_REST || code != MKTO_REST_LEAD_NOT_FOUND ||
        mkto_dispatch_learnt(parcel, &since_ms)) {
        return false;
    }
    switch (errand->kind) {
    case ERRAND_LINK: learn_for_link(errand, parcel, answer); break;
    case ERRAND_UPDATE: learn_for_update(errand, parcel, answer); break;
    default: return false;
    }
    errand->channel->counters.retried++;
    return true;
}
