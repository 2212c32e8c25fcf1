/* Identifies of one lead that wait become one call: the latest value of each field wins. */
#include <apr_strings.h>
#include <stdlib.h>
#include <strings.h>

#include "mkto_dispatch_state.h"

void mkto_dispatch_merge_begin(struct mkto_dispatch *dispatch, struct parcel *parcel,
                               uint32_t number)
{
    struct mkto_lane *lane = mkto_lanes_at(dispatch->lanes, number);

    memset(parcel, 0, sizeof(*parcel));
    parcel->lane = number;
    parcel->lead = lane->hash;
    parcel->at = lane->first;
    lane->soon = 0;
}

bool mkto_dispatch_ref_add(struct parcel *parcel, const struct ref *ref, apr_pool_t *pool)
{
    if (parcel->ref_count == parcel->ref_max) {
        unsigned max = parcel->ref_max == 0 ? 4 : parcel->ref_max * 2;
        struct ref *refs = apr_palloc(pool, max * sizeof(*refs));
        if (parcel->ref_count > 0) {
            memcpy(refs, parcel->refs, parcel->ref_count * sizeof(*refs));
        }
        parcel->refs = refs;
        parcel->ref_max = max;
    }
    parcel->refs[parcel->ref_count++] = *ref;
    return true;
}

/* ---- fields ---- */

static struct mkto_field *field_of(struct parcel *parcel, const char *name)
{
    for (size_t i = 0; i < parcel->field_count; i++) {
        if (strcmp(parcel->fields[i].name, name) == 0) {
            return &parcel->fields[i];
        }
    }
    return NULL;
}

static struct mkto_field *field_new(struct parcel *parcel, const char *name, apr_pool_t *pool)
{
    if (parcel->field_count == parcel->field_max) {
        size_t max = parcel->field_max == 0 ? 16 : parcel->field_max * 2;
        struct mkto_field *fields = apr_palloc(pool, max * sizeof(*fields));
        if (parcel->field_count > 0) {
            memcpy(fields, parcel->fields, parcel->field_count * sizeof(*fields));
        }
        parcel->fields = fields;
        parcel->field_max = max;
    }
    struct mkto_field *field = &parcel->fields[parcel->field_count++];
    field->name = apr_pstrdup(pool, name);
    field->value = "";
    parcel->bytes += strlen(name);
    return field;
}

static void merge_field(struct parcel *parcel, const struct mkto_field *from, apr_pool_t *pool)
{
    struct mkto_field *field = field_of(parcel, from->name);

    if (field == NULL) {
        if (parcel->field_count == MKTO_LEAD_FIELDS_MAX) {
            return;
        }
        field = field_new(parcel, from->name, pool);
    }
    field->kind = from->kind;
    if (strcmp(field->value, from->value) != 0) {
        parcel->bytes += strlen(from->value) - strlen(field->value);
        field->value = apr_pstrdup(pool, from->value);
    }
}

static void merge_text(const char **to, const char *from, apr_pool_t *pool)
{
    if (from != NULL && (*to == NULL || strcmp(*to, from) != 0)) {
        *to = apr_pstrdup(pool, from);
    }
}

static void merge_lead(struct parcel *parcel, const struct mkto_lead *lead, bool with_cookie,
                       apr_pool_t *pool)
{
    merge_text(&parcel->merged.email, lead->email, pool);
    merge_text(&parcel->merged.user_id, lead->user_id, pool);
    if (with_cookie) {
        merge_text(&parcel->merged.cookie, lead->cookie, pool);
        parcel->merged.cookie_made = lead->cookie_made;
    }
    for (size_t i = 0; i < lead->field_count; i++) {
        merge_field(parcel, &lead->fields[i], pool);
    }
    parcel->merged.fields = parcel->fields;
    parcel->merged.field_count = parcel->field_count;
}

/* ---- which events go together ---- */

/*
 * The lane's key is a hash: should two people ever share one, they still go in two calls. SOAP
 * carries one cookie a call, so events of another cookie wait for the next one.
 */
static bool fits(struct mkto_dispatch *dispatch, const struct errand *errand,
                 const struct parcel *parcel, const struct reading *reading)
{
    const struct mkto_lead *lead = &reading->delivery.lead;
    const struct mkto_lead *merged = &parcel->merged;

    if (parcel->taken == 0) {
        return true;
    }
    if (lead->email != NULL && merged->email != NULL &&
        strcasecmp(lead->email, merged->email) != 0) {
        return false;
    }
    if (errand->kind == ERRAND_UPDATE) {
        return lead->email == NULL; /* what follows has its own key, and goes in a batch */
    }
    if (errand->api == MKTO_API_REST || !mkto_dispatch_needs_cookie(dispatch, reading)) {
        return true;
    }
    return merged->cookie != NULL && strcmp(merged->cookie, lead->cookie) == 0;
}

static bool is_full(struct mkto_dispatch *dispatch, const struct errand *errand,
                    const struct parcel *parcel)
{
    unsigned limit = mkto_lanes_at(dispatch->lanes, parcel->lane)->limit;

    if (limit == 0) {
        limit = MKTO_DISPATCH_MERGE_MAX;
    }
    return parcel->taken >= limit || parcel->ref_count >= 2 * MKTO_DISPATCH_MERGE_MAX ||
           errand->events + parcel->ref_count >= MKTO_DISPATCH_CALL_EVENTS_MAX ||
           parcel->bytes >= MKTO_REST_BODY_MAX / 2;
}

static struct ref ref_of(const struct parcel *parcel, const struct reading *reading,
                         apr_pool_t *pool)
{
    struct ref ref = {.id = reading->row.id,
                      .token = reading->token,
                      .reason = reading->reason,
                      .detail = apr_pstrdup(pool, reading->detail),
                      .fate = reading->fate};

    if (reading->row.has_retry) {
        ref.stage = reading->row.retry.stage;
        ref.attempts = reading->row.retry.attempts;
        ref.first_ms = reading->row.retry.first_ms;
        ref.due_ms = reading->row.retry.due_ms;
    }
    if (ref.fate == FATE_TAKEN &&
        (reading->kind != MKTO_LANE_LEAD || reading->lane != parcel->lead)) {
        ref.fate = FATE_MOVED;
    }
    return ref;
}

/* Events of a lane that lost its turn: the head may be retried later, or belongs in a batch, or
 * may not go in one. */
static bool head_waits(struct mkto_dispatch *dispatch, const struct errand *errand,
                       const struct parcel *parcel, const struct reading *reading)
{
    struct mkto_lane *lane = mkto_lanes_at(dispatch->lanes, parcel->lane);

    if (reading->row.has_retry) {
        uint64_t due = mkto_dispatch_mono_of(dispatch, reading->row.retry.due_ms);
        if (due > mkto_dispatch_mono(dispatch)) {
            mkto_dispatch_postpone(dispatch, parcel->lane, due);
            return true;
        }
    }
    bool alone = mkto_dispatch_goes_alone(dispatch, reading);
    if (alone == (errand->kind != ERRAND_BATCH)) {
        return false;
    }
    lane->alone = alone ? 1 : 0;
    mkto_dispatch_ready(dispatch, parcel->lane);
    return true;
}

static void take(struct mkto_dispatch *dispatch, struct errand *errand, struct parcel *parcel,
                 const struct reading *reading, const struct ref *ref)
{
    bool cookie = errand->api == MKTO_API_SOAP && mkto_dispatch_needs_cookie(dispatch, reading);

    if (parcel->taken == 0) {
        parcel->received_ms = reading->envelope.received_ms;
    }
    parcel->taken++;
    if (ref->attempts > parcel->attempts) {
        parcel->attempts = ref->attempts;
    }
    struct mkto_lead lead = reading->delivery.lead;
    if ((ref->stage & STAGE_LEARN) != 0 && lead.email != NULL) {
        lead.field_count = 0; /* they were delivered; only the lead's id is wanted */
    }
    merge_lead(parcel, &lead, cookie, errand->pool);
}

/* Looks at the next event. Returns true while there may be more to take. */
static enum merged step(struct mkto_dispatch *dispatch, struct errand *errand,
                        struct parcel *parcel)
{
    struct reading reading;

    apr_pool_clear(dispatch->scratch);
    if (!mkto_dispatch_read(dispatch, mkto_lanes_event_id(dispatch->lanes, parcel->at), &reading,
                            dispatch->scratch)) {
        if (parcel->ref_count > 0) {
            return MERGED_WHOLE;
        }
        mkto_dispatch_postpone(dispatch, parcel->lane,
                               mkto_dispatch_mono(dispatch) + MKTO_DISPATCH_AGAIN_MS);
        return MERGED_NOT;
    }
    struct ref ref = ref_of(parcel, &reading, errand->pool);
    if (ref.fate == FATE_TAKEN) {
        if (parcel->taken == 0 && parcel->ref_count == 0 &&
            head_waits(dispatch, errand, parcel, &reading)) {
            return MERGED_NOT;
        }
        if (!fits(dispatch, errand, parcel, &reading)) {
            return MERGED_WHOLE;
        }
        take(dispatch, errand, parcel, &reading, &ref);
    }
    mkto_dispatch_ref_add(parcel, &ref, errand->pool);
    parcel->at = mkto_lanes_event_next(dispatch->lanes, parcel->at);
    return MERGED_MORE;
}

enum merged mkto_dispatch_merge(struct mkto_dispatch *dispatch, struct errand *errand,
                                struct parcel *parcel)
{
    while (parcel->at != MKTO_LANE_NONE && !is_full(dispatch, errand, parcel)) {
        enum merged merged = step(dispatch, errand, parcel);
        if (merged != MERGED_MORE) {
            return merged;
        }
        if (mkto_dispatch_late(dispatch)) {
            return MERGED_MORE;
        }
    }
    return MERGED_WHOLE;
}

/* ---- the end of a parcel ---- */

static void link_later(struct mkto_dispatch *dispatch, const struct parcel *parcel,
                       const struct ref *ref)
{
    int64_t now = mkto_dispatch_wall(dispatch);
    struct mkto_outcome outcome = {.kind = MKTO_OUTCOME_RETRY,
                                   .id = ref->id,
                                   .stage = STAGE_LINK | (ref->stage & STAGE_LEARN),
                                   .lead_id = parcel->lead_id,
                                   .due_ms = now};
    struct reading reading = {.row = {.id = ref->id}};
    struct mkto_error err = MKTO_ERROR_INIT;

    mkto_dispatch_outcome(dispatch, &outcome);
    apr_pool_clear(dispatch->scratch);
    if (mkto_spool_get(dispatch->spool, ref->id, &reading.row, &err, dispatch->scratch) != 1) {
        return; /* a row that cannot be read now comes again after the next start */
    }
    /* as the spool will say once this is recorded */
    memset(&reading.row.retry, 0, sizeof(reading.row.retry));
    reading.row.has_retry = true;
    reading.row.retry.stage = outcome.stage;
    reading.row.retry.lead_id = parcel->lead_id;
    reading.row.retry.due_ms = now;
    mkto_dispatch_read_row(dispatch, &reading, dispatch->scratch);
    mkto_dispatch_place_later(dispatch, &reading);
}

/* Is this the first event of the parcel with a cookie that Marketo has not been told of? */
static bool is_new_cookie(struct mkto_dispatch *dispatch, const struct parcel *parcel, unsigned at)
{
    uint64_t token = parcel->refs[at].token;

    if (token == 0 || parcel->lead_id == 0) {
        return false;
    }
    for (unsigned i = 0; i < at; i++) {
        if (parcel->refs[i].fate == FATE_TAKEN && parcel->refs[i].token == token) {
            return false;
        }
    }
    return mkto_spool_known_get(dispatch->spool, parcel->lead, token) == 0;
}

static void end_taken(struct mkto_dispatch *dispatch, struct channel *channel,
                      struct parcel *parcel, unsigned at, enum ending ending, const char *what,
                      const char *answer)
{
    const struct ref *ref = &parcel->refs[at];

    if (ending == ENDING_DEAD) {
        mkto_dispatch_bury(dispatch, channel, ref, what, parcel->lead, answer);
    } else if (ending == ENDING_LINK && is_new_cookie(dispatch, parcel, at)) {
        link_later(dispatch, parcel, ref);
    } else {
        mkto_dispatch_done(dispatch, ref->id);
    }
}

static void end_other(struct mkto_dispatch *dispatch, struct channel *channel,
                      const struct parcel *parcel, const struct ref *ref)
{
    struct reading reading = {.row = {.id = ref->id},
                              .channel = channel,
                              .fate = ref->fate,
                              .reason = ref->reason,
                              .detail = ref->detail};

    (void)parcel;
    if (ref->fate != FATE_MOVED) {
        mkto_dispatch_place(dispatch, &reading);
        return;
    }
    apr_pool_clear(dispatch->scratch);
    if (mkto_dispatch_read(dispatch, ref->id, &reading, dispatch->scratch)) {
        mkto_dispatch_place(dispatch, &reading);
    }
}

void mkto_dispatch_end(struct mkto_dispatch *dispatch, struct channel *channel,
                       struct parcel *parcel, enum ending ending, const char *what,
                       const char *reason, const char *answer)
{
    for (unsigned i = 0; i < parcel->ref_count; i++) {
        const struct mkto_lane *lane = mkto_lanes_at(dispatch->lanes, parcel->lane);
        channel->waiting[lane->kind]--;
        mkto_lanes_shift(dispatch->lanes, parcel->lane);
        if (parcel->refs[i].fate != FATE_TAKEN) {
            end_other(dispatch, channel, parcel, &parcel->refs[i]);
            continue;
        }
        parcel->refs[i].reason = reason;
        end_taken(dispatch, channel, parcel, i, ending, what, answer);
    }
    mkto_dispatch_settle_later(dispatch, parcel->lane);
}

unsigned mkto_dispatch_strikes(const struct parcel *parcel)
{
    int most = 0;

    for (unsigned i = 0; i < parcel->ref_count; i++) {
        const struct ref *ref = &parcel->refs[i];
        most = ref->fate == FATE_TAKEN && ref->stage > most ? ref->stage : most;
    }
    return (unsigned)(most / STAGE_STRIKE);
}

unsigned mkto_dispatch_counted(const struct errand *errand, const struct parcel *parcel)
{
    unsigned count = parcel->taken;

    for (unsigned i = 0; errand->kind != ERRAND_UPDATE && i < parcel->ref_count; i++) {
        bool before = (parcel->refs[i].stage & STAGE_LEARN) != 0;
        count -= parcel->refs[i].fate == FATE_TAKEN && before ? 1 : 0;
    }
    return count;
}
