/* Leads: lanes that are ready become batches, or single calls where a cookie or an id must go. */
#include <apr_strings.h>

#include "mkto_dispatch_state.h"
#include "mkto_hash.h"

/* ---- when ---- */

static uint64_t queue_when(const struct mkto_dispatch *dispatch, const struct channel *channel,
                           const struct mkto_lane_queue *queue)
{
    if (queue->count == 0) {
        return UINT64_MAX;
    }
    if (queue->count >= channel->sub->batch_size) {
        return 0;
    }
    /* `due` of a ready lane is when it became so; 0 for one that has waited before */
    const struct mkto_lane *oldest = mkto_lanes_at(dispatch->lanes, queue->first);
    return oldest->due == 0 ? 0 : oldest->due + (uint64_t)channel->sub->batch_wait_ms;
}

static uint64_t work_when(const struct mkto_dispatch *dispatch, const struct channel *channel)
{
    if (channel->filling != NULL || channel->groups != NULL || channel->single.count > 0) {
        return 0;
    }
    return queue_when(dispatch, channel, &channel->batch);
}

uint64_t mkto_dispatch_lead_when(struct channel *channel, const struct mkto_dispatch *dispatch)
{
    uint64_t when = work_when(dispatch, channel);

    if (when == UINT64_MAX) {
        return when;
    }
    uint64_t api = mkto_dispatch_api_when(channel, dispatch, MKTO_BUDGET_IDENTIFY);
    return api > when ? api : when;
}

/* ---- what is sent ---- */

/* Fields that Marketo is known to refuse stay here. */
static void strip(struct channel *channel, struct parcel *parcel)
{
    size_t kept = 0;

    if (channel->refused.count == 0) {
        return;
    }
    for (size_t i = 0; i < parcel->field_count; i++) {
        if (mkto_refused_has(&channel->refused, parcel->fields[i].name)) {
            channel->counters.stripped++;
        } else {
            parcel->fields[kept++] = parcel->fields[i];
        }
    }
    parcel->field_count = kept;
    parcel->merged.field_count = kept;
}

/* Equal for the same key and set of fields, in whatever order. */
static uint64_t digest_of(const struct parcel *parcel, apr_pool_t *pool)
{
    const struct mkto_lead *lead = &parcel->merged;
    uint64_t digest = mkto_hash_64(mkto_slice_str(lead->email), MKTO_SLICE_LIT("\n"));

    for (size_t i = 0; i < lead->field_count; i++) {
        const struct mkto_field *field = &lead->fields[i];
        const char *name = apr_psprintf(pool, "%s\n%d\n", field->name, (int)field->kind);
        digest += mkto_hash_64(mkto_slice_str(name), mkto_slice_str(field->value));
    }
    return digest;
}

static bool has_new_cookie(struct mkto_dispatch *dispatch, const struct parcel *parcel)
{
    for (unsigned i = 0; i < parcel->ref_count; i++) {
        const struct ref *ref = &parcel->refs[i];
        if (ref->fate == FATE_TAKEN && ref->token != 0 &&
            mkto_spool_known_get(dispatch->spool, parcel->lead, ref->token) == 0) {
            return true;
        }
    }
    return false;
}

/* Marketo has been told exactly this a while ago. Its lead id is kept beside the cookies, under
 * token 0, so that a new cookie still costs one call and not two. */
static bool is_unchanged(struct mkto_dispatch *dispatch, const struct errand *errand,
                         struct parcel *parcel)
{
    uint64_t digest;
    int64_t at;
    int64_t age;

    if (!mkto_spool_sent_get(dispatch->spool, parcel->lead, &digest, &at) ||
        digest == MKTO_DISPATCH_UNSURE || digest != parcel->digest) {
        return false;
    }
    age = mkto_dispatch_wall(dispatch) - at;
    if (age >= errand->channel->sub->unchanged_for_ms) {
        return false;
    }
    if (errand->api == MKTO_API_SOAP) {
        return !has_new_cookie(dispatch, parcel);
    }
    if (parcel->lead_id == 0) {
        parcel->lead_id = mkto_spool_known_get(dispatch->spool, parcel->lead, 0);
    }
    return parcel->lead_id != 0 || !has_new_cookie(dispatch, parcel);
}

/* ---- REST and a lead that only its cookie names ---- */

static int64_t known_lead_id(struct mkto_dispatch *dispatch, const struct parcel *parcel)
{
    for (unsigned i = parcel->ref_count; i > 0; i--) {
        const struct ref *ref = &parcel->refs[i - 1];
        uint64_t lead = 0;
        int64_t id = 0;
        if (ref->fate == FATE_TAKEN && ref->token != 0) {
            id = mkto_spool_known_lead(dispatch->spool, ref->token, &lead);
        }
        if (id != 0) {
            return id;
        }
    }
    return 0;
}

/* The identify that makes the cookie known may still be on its way. */
static bool may_become_known(struct mkto_dispatch *dispatch, const struct channel *channel,
                             const struct parcel *parcel)
{
    return channel->leads.kind != MKTO_PAUSE_NONE ||
           mkto_dispatch_wall(dispatch) < parcel->received_ms + MKTO_DISPATCH_KNOWN_WAIT_MS;
}

static void filter(struct mkto_dispatch *dispatch, struct channel *channel, struct parcel *parcel,
                   const char *reason)
{
    channel->counters.filtered += parcel->taken;
    mkto_tally_add(&channel->filtered_by, reason, parcel->taken, mkto_dispatch_wall(dispatch));
    mkto_dispatch_end(dispatch, channel, parcel, ENDING_DONE, "lead", reason, NULL);
}

/* Returns true when the parcel can go as an update by id; otherwise it has been dealt with. */
static bool name_by_id(struct mkto_dispatch *dispatch, struct channel *channel,
                       struct parcel *parcel)
{
    int64_t since_ms = 0;

    parcel->lead_id = known_lead_id(dispatch, parcel);
    if (parcel->lead_id == 0 && mkto_dispatch_learnt(parcel, &since_ms) &&
        mkto_dispatch_wall(dispatch) >= since_ms + MKTO_DISPATCH_KNOWN_WAIT_MS) {
        mkto_dispatch_end(dispatch, channel, parcel, ENDING_DEAD, "lead", "lead_not_found",
                          "Marketo has no lead of the id that the cookie was known to belong to");
        return false;
    }
    if (parcel->lead_id == 0 && (since_ms != 0 || may_become_known(dispatch, channel, parcel))) {
        mkto_dispatch_postpone(dispatch, parcel->lane,
                               mkto_dispatch_mono(dispatch) + MKTO_DISPATCH_KNOWN_AGAIN_MS);
        return false;
    }
    if (parcel->lead_id == 0 || parcel->field_count == 0) {
        filter(dispatch, channel, parcel, parcel->lead_id == 0 ? "unknown_lead" : "no_fields");
        return false;
    }
    return true;
}

/* ---- putting together ---- */

static void unchanged(struct mkto_dispatch *dispatch, const struct errand *errand,
                      struct parcel *parcel)
{
    struct channel *channel = errand->channel;
    const struct mkto_verdict_decision decision = {.kind = MKTO_VERDICT_DELIVERED,
                                                   .reason = "unchanged"};
    const struct told told = {errand, parcel, &decision, 0, NULL, 0};

    channel->counters.unchanged += mkto_dispatch_counted(errand, parcel);
    mkto_dispatch_tell(dispatch, &told);
    mkto_dispatch_end(dispatch, channel, parcel,
                      errand->api == MKTO_API_REST ? ENDING_LINK : ENDING_DONE, "lead", "unchanged",
                      NULL);
}

/* The parcel is whole. Returns true when it is to be sent. */
static bool finish(struct mkto_dispatch *dispatch, struct errand *errand, struct parcel *parcel)
{
    if (parcel->taken == 0) {
        mkto_lanes_at(dispatch->lanes, parcel->lane)->due = 0;
        mkto_dispatch_end(dispatch, errand->channel, parcel, ENDING_DONE, "lead", NULL, NULL);
        return false;
    }
    strip(errand->channel, parcel);
    if (errand->kind == ERRAND_UPDATE && !name_by_id(dispatch, errand->channel, parcel)) {
        return false;
    }
    parcel->digest = digest_of(parcel, errand->pool);
    if (is_unchanged(dispatch, errand, parcel)) {
        mkto_lanes_at(dispatch->lanes, parcel->lane)->due = 0;
        unchanged(dispatch, errand, parcel);
        return false;
    }
    return true;
}

static void begin_filling(struct mkto_dispatch *dispatch, struct channel *channel)
{
    struct errand *errand = mkto_dispatch_errand(dispatch, channel, ERRAND_BATCH);

    errand->from_group = mkto_dispatch_group_begin(errand);
    errand->max =
        errand->from_group ? errand->group->count - errand->group->at : channel->sub->batch_size;
    errand->parcels = apr_pcalloc(errand->pool, errand->max * sizeof(*errand->parcels));
    channel->filling = errand;
}

static bool next_lane(struct mkto_dispatch *dispatch, struct errand *errand, uint32_t *lane)
{
    *lane = errand->from_group ? mkto_dispatch_group_take(errand)
                               : mkto_lanes_take(dispatch->lanes, &errand->channel->batch);
    return *lane != MKTO_LANE_NONE;
}

static bool is_full(const struct errand *errand)
{
    return errand->count == errand->max || errand->bytes >= MKTO_REST_BODY_MAX ||
           errand->events >= MKTO_DISPATCH_CALL_EVENTS_MAX;
}

/* Works on the parcel after the last whole one. Returns false when the turn's time is over. */
static bool fill_one(struct mkto_dispatch *dispatch, struct errand *errand)
{
    struct parcel *parcel = &errand->parcels[errand->count];

    enum merged merged = mkto_dispatch_merge(dispatch, errand, parcel);
    if (merged == MERGED_MORE) {
        return false;
    }
    errand->open = false;
    if (merged == MERGED_WHOLE && finish(dispatch, errand, parcel)) {
        struct mkto_lane *lane = mkto_lanes_at(dispatch->lanes, parcel->lane);
        errand->refreshed = errand->refreshed || lane->fresh;
        lane->fresh = 0;
        errand->count++;
        errand->events += parcel->ref_count;
        errand->bytes += parcel->bytes;
    }
    return true;
}

/* Returns true when the batch is ready to go (or has turned out empty). */
static bool fill(struct mkto_dispatch *dispatch, struct errand *errand)
{
    while (errand->open || !is_full(errand)) {
        uint32_t lane;
        if (!errand->open) {
            if (!next_lane(dispatch, errand, &lane)) {
                return true;
            }
            errand->open = true;
            mkto_dispatch_merge_begin(dispatch, &errand->parcels[errand->count], lane);
        }
        if (!fill_one(dispatch, errand) || mkto_dispatch_late(dispatch)) {
            return !errand->open && is_full(errand);
        }
    }
    return true;
}

static void start_batch(struct mkto_dispatch *dispatch, struct channel *channel)
{
    if (channel->filling == NULL) {
        begin_filling(dispatch, channel);
    }
    struct errand *errand = channel->filling;
    if (!fill(dispatch, errand)) {
        return;
    }
    channel->filling = NULL;
    mkto_dispatch_group_end(errand);
    if (errand->count == 0) {
        mkto_dispatch_errand_free(errand);
        return;
    }
    mkto_dispatch_errand_post(errand);
}

static void start_single(struct mkto_dispatch *dispatch, struct channel *channel)
{
    enum errand_kind kind = channel->sub->api == MKTO_API_SOAP ? ERRAND_SINGLE : ERRAND_UPDATE;
    struct errand *errand = mkto_dispatch_errand(dispatch, channel, kind);
    uint32_t lane = mkto_lanes_take(dispatch->lanes, &channel->single);
    struct parcel *parcel = &errand->one;
    enum merged merged;

    mkto_dispatch_merge_begin(dispatch, parcel, lane);
    do { /* one lead is merged in one go: MKTO_DISPATCH_MERGE_MAX bounds it */
        merged = mkto_dispatch_merge(dispatch, errand, parcel);
    } while (merged == MERGED_MORE);
    if (merged != MERGED_WHOLE || !finish(dispatch, errand, parcel)) {
        mkto_dispatch_errand_free(errand);
        return;
    }
    errand->refreshed = mkto_lanes_at(dispatch->lanes, lane)->fresh;
    mkto_lanes_at(dispatch->lanes, lane)->fresh = 0;
    errand->count = 1;
    errand->events = parcel->ref_count;
    mkto_dispatch_errand_post(errand);
}

void mkto_dispatch_lead_start(struct mkto_dispatch *dispatch, struct channel *channel)
{
    if (!mkto_dispatch_token(dispatch, channel)) {
        return;
    }
    bool batch = channel->filling != NULL || channel->groups != NULL ||
                 queue_when(dispatch, channel, &channel->batch) <= mkto_dispatch_mono(dispatch);

    /* by turns, so that neither kind waits for the other's end */
    if (channel->single.count > 0 && (!batch || channel->single_turn)) {
        channel->single_turn = false;
        start_single(dispatch, channel);
        return;
    }
    channel->single_turn = true;
    start_batch(dispatch, channel);
}
