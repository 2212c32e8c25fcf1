/* What Marketo answered, and what that means for the events of the call. */
#include <apr_strings.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "mkto_dispatch_state.h"

/* An answer while it is dealt with. */
struct hearing {
    struct mkto_dispatch *dispatch;
    struct channel *channel;
    struct errand *errand;
    const struct mkto_http_answer *answer;
    struct mkto_call_result result;
    struct mkto_verdict_decision decision; /* of the whole call */
    apr_pool_t *pool;
};

static const char *what_of(const struct errand *errand)
{
    switch (errand->kind) {
    case ERRAND_LINK: return "associate";
    case ERRAND_VISIT: return "visit";
    default: return "lead";
    }
}

static int code_of(const struct hearing *hearing, const struct mkto_result *record)
{
    if (record != NULL && record->code != 0) {
        return record->code;
    }
    bool failed = hearing->answer->result == MKTO_TRANSPORT_OK && hearing->answer->status >= 300;
    return failed ? hearing->answer->status : 0;
}

/* For dead letters and tail: what Marketo said, or what happened on the way. */
static const char *text_of(const struct hearing *hearing, const struct mkto_result *record)
{
    if (hearing->answer->result != MKTO_TRANSPORT_OK) {
        return hearing->answer->detail;
    }
    if (record != NULL && record->text != NULL) {
        return record->code == 0 ? record->text
                                 : apr_psprintf(hearing->pool, "%d %s", record->code, record->text);
    }
    if (record != NULL && record->code != 0) {
        return apr_psprintf(hearing->pool, "%d", record->code);
    }
    return apr_psprintf(hearing->pool, "HTTP %d", hearing->answer->status);
}

static void count_error(const struct hearing *hearing, const struct mkto_verdict_decision *decision,
                        int code)
{
    static const char *const apis[] = {"rest", "soap", "munchkin"};
    const char *api = apis[hearing->errand->api];
    const char *word = code != 0 ? apr_psprintf(hearing->pool, "%s %d", api, code)
                                 : apr_psprintf(hearing->pool, "%s %s", api, decision->reason);

    if (decision->kind != MKTO_VERDICT_DELIVERED) {
        mkto_tally_add(&hearing->channel->errors, word, 1, mkto_dispatch_wall(hearing->dispatch));
    }
}

static void tell(const struct hearing *hearing, const struct parcel *parcel,
                 const struct mkto_verdict_decision *decision, const struct mkto_result *record)
{
    const struct told told = {hearing->errand,
                              parcel,
                              decision,
                              code_of(hearing, record),
                              decision->kind == MKTO_VERDICT_DELIVERED && record != NULL
                                  ? record->status
                                  : text_of(hearing, record),
                              hearing->answer->took_ms};
    mkto_dispatch_tell(hearing->dispatch, &told);
}

static struct mkto_lane *lane_of(const struct hearing *hearing, const struct parcel *parcel)
{
    return mkto_lanes_at(hearing->dispatch->lanes, parcel->lane);
}

static bool is_lead(const struct errand *errand)
{
    return errand->kind != ERRAND_LINK && errand->kind != ERRAND_VISIT;
}

/* ---- back to the queue, nothing spent ---- */

static void put_back_all(const struct hearing *hearing)
{
    const struct errand *errand = hearing->errand;

    if (errand->from_group) {
        mkto_dispatch_group(hearing->channel, errand->parcels, errand->count, errand->split);
        return;
    }
    for (unsigned i = errand->count; i > 0; i--) {
        mkto_dispatch_put_back(hearing->dispatch, errand->parcels[i - 1].lane);
    }
}

static const char *why_of(const struct hearing *hearing, int code)
{
    if (hearing->answer->result != MKTO_TRANSPORT_OK) {
        return hearing->answer->detail;
    }
    /* Marketo's own words may name a person; its code does not */
    return code == 0 ? NULL : apr_psprintf(hearing->pool, "answer %d", code);
}

static void pause_api(const struct hearing *hearing, const struct mkto_verdict_decision *decision,
                      const struct mkto_result *record)
{
    int code = code_of(hearing, record);

    mkto_dispatch_pause(hearing->dispatch, hearing->channel, hearing->errand->api, decision,
                        hearing->errand->probe, code, why_of(hearing, code));
    hearing->errand->probe = false;
}

/* ---- delivered ---- */

static void note_known(const struct hearing *hearing, uint64_t lead, uint64_t token,
                       int64_t lead_id)
{
    struct mkto_outcome outcome = {.kind = MKTO_OUTCOME_KNOWN,
                                   .lead = lead,
                                   .of.token = token,
                                   .lead_id = lead_id,
                                   .at_ms = hearing->errand->sent_wall_ms};
    mkto_dispatch_outcome(hearing->dispatch, &outcome);
}

static void note_sent(const struct hearing *hearing, const struct parcel *parcel)
{
    struct mkto_outcome outcome = {.kind = MKTO_OUTCOME_SENT,
                                   .lead = parcel->lead,
                                   .of.digest = parcel->digest,
                                   .at_ms = hearing->errand->sent_wall_ms};
    mkto_dispatch_outcome(hearing->dispatch, &outcome);
}

/* syncLead has told Marketo of its cookie. */
static void note_cookies(const struct hearing *hearing, const struct parcel *parcel)
{
    for (unsigned i = 0; i < parcel->ref_count; i++) {
        if (parcel->refs[i].fate == FATE_TAKEN && parcel->refs[i].token != 0) {
            note_known(hearing, parcel->lead, parcel->refs[i].token, parcel->lead_id);
        }
    }
}

/* An event counts once: with its lead or visit; a link is a second call for it. */
static void count_delivered(const struct hearing *hearing, const struct parcel *parcel)
{
    struct counters *counters = &hearing->channel->counters;

    if (hearing->errand->kind == ERRAND_LINK) {
        counters->linked++;
        return;
    }
    unsigned count = mkto_dispatch_counted(hearing->errand, parcel);
    counters->delivered += count;
    counters->merged += count > 0 ? count - 1 : 0;
    mkto_tally_tick(&hearing->channel->minute, count, mkto_dispatch_mono(hearing->dispatch));
}

static void delivered(const struct hearing *hearing, struct parcel *parcel,
                      const struct mkto_result *record)
{
    struct channel *channel = hearing->channel;
    struct errand *errand = hearing->errand;
    struct mkto_lane *lane = lane_of(hearing, parcel);

    if (is_lead(errand)) {
        parcel->lead_id = record != NULL && record->lead_id > 0 ? record->lead_id : parcel->lead_id;
        note_sent(hearing, parcel);
        lane->due = errand->sent_ms + (uint64_t)channel->lead_interval_ms;
        lane->limit = 0;
    } else {
        lane->due = 0;
    }
    if (errand->kind == ERRAND_BATCH && errand->api == MKTO_API_REST && parcel->lead_id != 0) {
        note_known(hearing, parcel->lead, 0, parcel->lead_id);
    } else if (errand->kind == ERRAND_SINGLE && parcel->lead_id != 0) {
        note_cookies(hearing, parcel);
    } else if (errand->kind == ERRAND_LINK) {
        note_known(hearing, parcel->lead, parcel->refs[0].token, parcel->lead_id);
    }
    count_delivered(hearing, parcel);
    bool link = errand->kind == ERRAND_BATCH && errand->api == MKTO_API_REST;
    mkto_dispatch_end(hearing->dispatch, channel, parcel, link ? ENDING_LINK : ENDING_DONE,
                      what_of(errand), NULL, NULL);
}

/* ---- not now ---- */

static void note_retry(const struct hearing *hearing, const struct parcel *parcel,
                       const struct ref *ref, int64_t wait_ms, bool strike, const char *text)
{
    struct mkto_outcome outcome = {
        .kind = MKTO_OUTCOME_RETRY,
        .id = ref->id,
        .stage = ref->stage + (strike ? STAGE_STRIKE : 0),
        .attempts = ref->attempts + 1,
        .first_ms = ref->first_ms != 0 ? ref->first_ms : hearing->errand->sent_wall_ms,
        .due_ms = mkto_dispatch_wall(hearing->dispatch) + wait_ms,
        .lead_id = hearing->errand->kind == ERRAND_LINK ? parcel->lead_id : 0,
        .answer = (char *)(uintptr_t)text,
    };
    mkto_dispatch_outcome(hearing->dispatch, &outcome);
}

static bool is_over(const struct hearing *hearing, const struct ref *ref)
{
    int64_t age = mkto_dispatch_wall(hearing->dispatch) - ref->first_ms;
    return ref->first_ms != 0 && age >= hearing->channel->retry_for_ms;
}

static bool is_spent(const struct mkto_verdict_decision *decision, unsigned strikes)
{
    return decision->tries != 0 && strikes + 1 >= decision->tries;
}

/* Events at the head that were tried for too long, or too often, leave; the others come again. */
static void retry(const struct hearing *hearing, struct parcel *parcel,
                  const struct mkto_verdict_decision *decision, const struct mkto_result *record)
{
    struct mkto_dispatch *dispatch = hearing->dispatch;
    struct mkto_lane *lane = lane_of(hearing, parcel);
    const char *text = text_of(hearing, record);
    int64_t wait = mkto_backoff_next(&dispatch->backoff, parcel->attempts, decision->after_ms);
    unsigned over = 0;

    lane->due = mkto_dispatch_mono(dispatch) + (uint64_t)wait;
    if (is_lead(hearing->errand)) {
        uint64_t interval = hearing->errand->sent_ms + (uint64_t)hearing->channel->lead_interval_ms;
        lane->due = interval > lane->due ? interval : lane->due;
    }
    while (over < parcel->ref_count &&
           (is_over(hearing, &parcel->refs[over]) ||
            is_spent(decision, (unsigned)(parcel->refs[over].stage / STAGE_STRIKE)))) {
        parcel->refs[over++].attempts++;
    }
    for (unsigned i = over; i < parcel->ref_count; i++) {
        if (parcel->refs[i].fate == FATE_TAKEN) {
            note_retry(hearing, parcel, &parcel->refs[i], wait, decision->tries != 0, text);
        }
    }
    hearing->channel->counters.retried++;
    if (over == 0) {
        mkto_dispatch_settle_later(dispatch, parcel->lane);
        return;
    }
    parcel->ref_count = over;
    mkto_dispatch_end(dispatch, hearing->channel, parcel, ENDING_DEAD, what_of(hearing->errand),
                      is_over(hearing, &parcel->refs[0]) ? "gave_up" : decision->reason, text);
}

/* ---- never ---- */

/* Of several merged events one may be the cause: fewer go together until it is alone. Nothing is
 * put beside them that would be refused with them. */
static void halve(const struct hearing *hearing, const struct parcel *parcel)
{
    lane_of(hearing, parcel)->limit = (uint16_t)(parcel->taken / 2);
    if (hearing->errand->kind == ERRAND_BATCH && !hearing->result.call.ok) {
        mkto_dispatch_group(hearing->channel, parcel, 1, hearing->errand->split);
        return;
    }
    mkto_dispatch_put_back(hearing->dispatch, parcel->lane);
}

static void dead(const struct hearing *hearing, struct parcel *parcel,
                 const struct mkto_verdict_decision *decision, const struct mkto_result *record)
{
    struct mkto_lane *lane = lane_of(hearing, parcel);

    /* after one that halving found, the next go alone until one is taken: all may be at fault */
    lane->limit = lane->limit == 0 ? 0 : 1;
    lane->due = 0;
    for (unsigned i = 0; i < parcel->ref_count; i++) {
        parcel->refs[i].attempts++;
        if (parcel->refs[i].first_ms == 0) {
            parcel->refs[i].first_ms = hearing->errand->sent_wall_ms;
        }
    }
    mkto_dispatch_end(hearing->dispatch, hearing->channel, parcel, ENDING_DEAD,
                      what_of(hearing->errand), decision->reason, text_of(hearing, record));
}

/* ---- a verdict on one record ---- */

/* What a verdict comes to for one record: of a call that cannot be split further, or whose fields
 * cannot be left out, the record itself is meant. */
static enum mkto_verdict_kind kind_of(const struct hearing *hearing,
                                      const struct mkto_verdict_decision *decision)
{
    if (decision->kind == MKTO_VERDICT_SPLIT) {
        return decision->alone;
    }
    if (decision->kind == MKTO_VERDICT_STRIP && !mkto_dispatch_refuse(hearing->errand, decision)) {
        return MKTO_VERDICT_DEAD;
    }
    return decision->kind;
}

/* The call is held to be at fault, and this record of it, or these events, were not asked for
 * alone. They come again at a full five minutes, so that few calls carry them. */
static void doubt(const struct hearing *hearing, const struct parcel *parcel,
                  const struct mkto_verdict_decision *decision, struct mkto_verdict_decision *own)
{
    const struct errand *errand = hearing->errand;

    if (own->kind != MKTO_VERDICT_DEAD || decision->kind != MKTO_VERDICT_SPLIT ||
        !mkto_dispatch_split_in_vain(errand) || (errand->count == 1 && parcel->taken == 1)) {
        return;
    }
    own->kind = MKTO_VERDICT_RETRY;
    own->tries = MKTO_DISPATCH_VAIN_TRIES;
    own->after_ms = 2 * MKTO_DISPATCH_VAIN_MS -
                    (int64_t)(mkto_dispatch_mono(hearing->dispatch) % MKTO_DISPATCH_VAIN_MS);
}

static void judge_record(const struct hearing *hearing, struct parcel *parcel,
                         const struct mkto_verdict_decision *decision,
                         const struct mkto_result *record)
{
    struct mkto_verdict_decision own = *decision;

    own.kind = kind_of(hearing, decision);
    count_error(hearing, &own, code_of(hearing, record));
    if (own.kind == MKTO_VERDICT_DEAD &&
        mkto_dispatch_learn(hearing->errand, parcel, code_of(hearing, record),
                            text_of(hearing, record))) {
        own.kind = MKTO_VERDICT_RETRY;
        tell(hearing, parcel, &own, record);
        return;
    }
    doubt(hearing, parcel, decision, &own);
    bool whole = parcel->taken > 1 && mkto_dispatch_split_in_vain(hearing->errand);
    /* of events that are not split each has its own tries: retry buries those that had them */
    if (own.kind == MKTO_VERDICT_RETRY && !whole && is_spent(&own, mkto_dispatch_strikes(parcel))) {
        own.kind = MKTO_VERDICT_DEAD;
    }
    if (own.kind == MKTO_VERDICT_DEAD && parcel->taken > 1 && !whole) {
        own.kind = MKTO_VERDICT_SPLIT;
    }
    tell(hearing, parcel, &own, record);
    switch (own.kind) {
    case MKTO_VERDICT_DELIVERED: delivered(hearing, parcel, record); return;
    case MKTO_VERDICT_PAUSE:
        pause_api(hearing, &own, record);
        mkto_dispatch_put_back(hearing->dispatch, parcel->lane);
        return;
    case MKTO_VERDICT_STRIP: mkto_dispatch_put_back(hearing->dispatch, parcel->lane); return;
    case MKTO_VERDICT_SPLIT: halve(hearing, parcel); return;
    case MKTO_VERDICT_DEAD: dead(hearing, parcel, &own, record); return;
    default: retry(hearing, parcel, &own, record);
    }
}

/* ---- a verdict on the whole call ---- */

static void judge_each(const struct hearing *hearing, const struct mkto_verdict_decision *decision)
{
    for (unsigned i = 0; i < hearing->errand->count; i++) {
        judge_record(hearing, &hearing->errand->parcels[i], decision, &hearing->result.call);
    }
}

/* Returns true when the call goes out again, or in halves, and no record was judged. */
static bool again(const struct hearing *hearing, const struct mkto_verdict_decision *decision)
{
    const struct errand *errand = hearing->errand;

    switch (decision->kind) {
    case MKTO_VERDICT_PAUSE:
        pause_api(hearing, decision, &hearing->result.call);
        put_back_all(hearing);
        return true;
    case MKTO_VERDICT_REFRESH:
        if (errand->refreshed) {
            return false;
        }
        mkto_dispatch_renew(hearing->errand, hearing->answer->date_ms);
        put_back_all(hearing);
        return true;
    case MKTO_VERDICT_STRIP:
        if (mkto_dispatch_refuse(hearing->errand, decision)) {
            put_back_all(hearing);
            return true;
        }
        break;
    case MKTO_VERDICT_SPLIT: break;
    default: return false;
    }
    mkto_dispatch_split_refused(hearing->errand);
    if (errand->count < 2 || mkto_dispatch_split_in_vain(errand)) {
        return false;
    }
    mkto_dispatch_split(hearing->errand);
    return true;
}

static void judge_call(const struct hearing *hearing)
{
    struct mkto_verdict_decision decision = hearing->decision;

    if (again(hearing, &decision)) {
        tell(hearing, &hearing->errand->parcels[0], &decision, &hearing->result.call);
        count_error(hearing, &decision, code_of(hearing, &hearing->result.call));
        return;
    }
    if (decision.kind == MKTO_VERDICT_REFRESH) {
        decision.kind = decision.alone = MKTO_VERDICT_RETRY;
    }
    if (decision.kind == MKTO_VERDICT_STRIP) {
        decision.kind = MKTO_VERDICT_SPLIT;
        decision.alone = MKTO_VERDICT_DEAD;
    }
    judge_each(hearing, &decision);
}

static void judge_records(const struct hearing *hearing)
{
    static const struct mkto_result missing = {.text = "no status for this record"};

    for (unsigned i = 0; i < hearing->errand->count; i++) {
        struct mkto_verdict_decision decision = {
            .kind = MKTO_VERDICT_RETRY, .alone = MKTO_VERDICT_RETRY, .reason = "no_record"};
        const struct mkto_result *record = &missing;
        if (i < hearing->result.record_count) {
            record = &hearing->result.records[i];
            mkto_verdict(hearing->errand->api, hearing->answer, &hearing->result, record, &decision,
                         hearing->pool);
        }
        judge_record(hearing, &hearing->errand->parcels[i], &decision, record);
    }
}

/* ---- the token ---- */

static void keep_token(const struct hearing *hearing)
{
    struct channel *channel = hearing->channel;
    int64_t life = hearing->result.token_for_ms;

    mkto_dispatch_token_drop(channel);
    channel->token = strdup(hearing->result.token);
    channel->token_number++;
    channel->token_failures = 0;
    /* a token is shared, and may be near its end already: use it until then and ask again */
    if (life > MKTO_DISPATCH_TOKEN_MARGIN_MS) {
        life -= MKTO_DISPATCH_TOKEN_MARGIN_MS;
    }
    if (life < MKTO_DISPATCH_TOKEN_MIN_MS) {
        life = MKTO_DISPATCH_TOKEN_MIN_MS;
    }
    channel->token_until = mkto_dispatch_mono(hearing->dispatch) + (uint64_t)life;
}

static void hear_token(const struct hearing *hearing)
{
    struct mkto_verdict_decision decision = hearing->decision;
    struct channel *channel = hearing->channel;

    channel->token_coming = false;
    if (decision.kind == MKTO_VERDICT_DELIVERED && hearing->result.token != NULL) {
        keep_token(hearing);
        /* a token alone does not prove that calls work: the next call is the probe */
        if (hearing->errand->probe) {
            channel->leads.probing = false;
        }
        return;
    }
    tell(hearing, NULL, &decision, &hearing->result.call);
    count_error(hearing, &decision, code_of(hearing, &hearing->result.call));
    channel->token_failures++;
    /* Marketo closed a kept connection, most likely: to ask again does no harm, and needs no pause
     */
    if (hearing->answer->result == MKTO_TRANSPORT_BROKEN && channel->token_failures == 1 &&
        !hearing->errand->probe) {
        return;
    }
    if (decision.kind != MKTO_VERDICT_PAUSE) {
        decision.kind = MKTO_VERDICT_PAUSE;
        decision.pause = MKTO_PAUSE_DOWN;
        decision.reason =
            hearing->result.token == NULL && decision.reason == NULL ? "no_token" : decision.reason;
    }
    pause_api(hearing, &decision, &hearing->result.call);
}

/* ---- the call ---- */

static void read_answer(struct hearing *hearing)
{
    const struct mkto_http_answer *answer = hearing->answer;
    enum mkto_api api = hearing->errand->api;
    struct mkto_call_result *result = &hearing->result;

    if (answer->result == MKTO_TRANSPORT_OK && api == MKTO_API_REST) {
        mkto_rest_read(answer->body, result, hearing->pool);
    } else if (answer->result == MKTO_TRANSPORT_OK && api == MKTO_API_SOAP) {
        mkto_soap_read(answer->body, result, hearing->pool);
    }
    mkto_verdict(api, answer, api == MKTO_API_MUNCHKIN ? NULL : result, NULL, &hearing->decision,
                 hearing->pool);
}

/* A probe that got no answer at all proves nothing: the gate stays closed. */
static bool probe_failed(const struct hearing *hearing)
{
    struct mkto_gate *gate = hearing->errand->api == MKTO_API_MUNCHKIN ? &hearing->channel->visits
                                                                       : &hearing->channel->leads;
    struct mkto_verdict_decision decision = hearing->decision;

    if (!hearing->errand->probe || hearing->answer->result == MKTO_TRANSPORT_OK ||
        decision.kind == MKTO_VERDICT_PAUSE || gate->kind == MKTO_PAUSE_NONE) {
        return false;
    }
    decision.pause = MKTO_PAUSE_DOWN;
    pause_api(hearing, &decision, &hearing->result.call);
    put_back_all(hearing);
    return true;
}

static void hear_call(const struct hearing *hearing)
{
    struct errand *errand = hearing->errand;

    if (probe_failed(hearing)) {
        return;
    }
    if (hearing->decision.kind != MKTO_VERDICT_PAUSE) {
        mkto_dispatch_open(hearing->dispatch, hearing->channel, errand->api, errand->probe);
    }
    bool per_record = is_lead(errand) && hearing->answer->result == MKTO_TRANSPORT_OK &&
                      hearing->result.understood && hearing->result.call.ok;
    if (per_record) {
        mkto_dispatch_split_taken(errand);
        judge_records(hearing);
    } else {
        judge_call(hearing);
    }
}

void mkto_dispatch_answered(void *ctx, const struct mkto_http_answer *answer)
{
    struct errand *errand = ctx;
    struct mkto_dispatch *dispatch = errand->dispatch;
    struct hearing hearing = {.dispatch = dispatch,
                              .channel = errand->channel,
                              .errand = errand,
                              .answer = answer,
                              .pool = dispatch->answers};

    dispatch->in_flight--;
    if (errand->kind == ERRAND_VISIT) {
        errand->channel->visits_running--;
    } else if (errand->kind != ERRAND_TOKEN) {
        mkto_budget_end(&errand->channel->budget);
    }
    apr_pool_clear(dispatch->answers);
    read_answer(&hearing);
    if (errand->kind == ERRAND_TOKEN) {
        hear_token(&hearing);
    } else {
        hear_call(&hearing);
    }
    mkto_dispatch_errand_free(errand);
    dispatch->next = 0;
}
