/* What became of events goes to the spool here, many in one commit. */
#include <stdio.h>

#include "mkto_dispatch_state.h"

void mkto_dispatch_outcome(struct mkto_dispatch *dispatch, const struct mkto_outcome *outcome)
{
    if (dispatch->outcomes.count == 0) {
        dispatch->outcomes_since = mkto_dispatch_mono(dispatch);
    }
    mkto_outcomes_add(&dispatch->outcomes, outcome);
}

void mkto_dispatch_done(struct mkto_dispatch *dispatch, int64_t id)
{
    struct mkto_outcome outcome = {.kind = MKTO_OUTCOME_DONE, .id = id};
    mkto_dispatch_outcome(dispatch, &outcome);
}

void mkto_dispatch_settle_later(struct mkto_dispatch *dispatch, uint32_t lane)
{
    struct mkto_outcome outcome = {.kind = MKTO_OUTCOME_SETTLE, .lane = lane};
    mkto_dispatch_outcome(dispatch, &outcome);
}

/* Dead letters are named at most once a minute: how many, and the last one's reason. */
static void say_dead(struct mkto_dispatch *dispatch, struct channel *channel, const char *reason)
{
    uint64_t now = mkto_dispatch_mono(dispatch);

    channel->dead_unsaid++;
    if (channel->dead_said != 0 && now - channel->dead_said < MKTO_DISPATCH_SAY_MS) {
        return;
    }
    mkto_dispatch_log(
        dispatch, LOG_WARNING,
        "MKTO0310 %s: %llu new dead letters, the last one for: %s; see `marketo dead`",
        channel->label, (unsigned long long)channel->dead_unsaid, reason);
    channel->dead_unsaid = 0;
    channel->dead_said = now == 0 ? 1 : now;
}

void mkto_dispatch_bury(struct mkto_dispatch *dispatch, struct channel *channel,
                        const struct ref *ref, const char *what, uint64_t lead, const char *answer)
{
    int64_t now = mkto_dispatch_wall(dispatch);
    struct mkto_outcome outcome = {
        .kind = MKTO_OUTCOME_DEAD,
        .id = ref->id,
        .at_ms = now,
        .lead = lead,
        .attempts = ref->attempts,
        .first_ms = ref->first_ms,
        .subscription = channel == NULL ? "" : channel->name,
        .what = what,
        .reason = ref->reason == NULL ? "unknown" : ref->reason,
        .answer = (char *)(uintptr_t)answer,
    };

    mkto_dispatch_outcome(dispatch, &outcome);
    if (channel != NULL) {
        channel->counters.dead++;
        say_dead(dispatch, channel, outcome.reason);
    }
}

/* ---- writing ---- */

/*
 * A lead that is on its way is not known to be as it was last told, until the answer is recorded: a
 * call that timed out, or that a dead courier sent, may have changed it. After a crash the lead
 * waits for its interval from here on, so that Marketo is not told twice at the same time.
 */
static int write_unsure(const struct mkto_dispatch *dispatch, const struct channel *channel,
                        struct mkto_error *err)
{
    for (const struct errand *errand = channel->outbox; errand != NULL; errand = errand->next) {
        for (unsigned i = 0; errand->kind != ERRAND_LINK && i < errand->count; i++) {
            if (mkto_spool_sent_put(dispatch->spool, errand->parcels[i].lead, MKTO_DISPATCH_UNSURE,
                                    mkto_dispatch_wall(dispatch), err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

static int write_budgets(struct mkto_dispatch *dispatch, struct mkto_error *err)
{
    for (unsigned i = 0; i < dispatch->channel_count; i++) {
        const struct channel *channel = dispatch->channels[i];
        char text[MKTO_BUDGET_TEXT_MAX];
        char key[128];

        if (!channel->unsaved) {
            continue;
        }
        mkto_budget_save(&channel->budget, text);
        (void)snprintf(key, sizeof(key), "budget/%s", channel->name);
        if (mkto_spool_state_put(dispatch->spool, key, text, err) != 0 ||
            write_unsure(dispatch, channel, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int write_all(struct mkto_dispatch *dispatch, struct mkto_error *err)
{
    if (mkto_spool_begin(dispatch->spool, err) != 0) {
        return -1;
    }
    int count =
        mkto_outcomes_write(&dispatch->outcomes, MKTO_DISPATCH_RECORD_MAX, dispatch->spool, err);
    if (count < 0 || write_budgets(dispatch, err) != 0) {
        mkto_spool_rollback(dispatch->spool);
        return -1;
    }
    return mkto_spool_commit(dispatch->spool, err) == 0 ? count : -1;
}

/* Nothing is lost by waiting: the answers are here, and their lanes stand still until then. */
static void failed(struct mkto_dispatch *dispatch, const struct mkto_error *err)
{
    uint64_t now = mkto_dispatch_mono(dispatch);

    dispatch->blocked = true;
    dispatch->record_again = now + MKTO_DISPATCH_AGAIN_MS;
    if (dispatch->record_said == 0 || now - dispatch->record_said >= MKTO_DISPATCH_SAY_MS) {
        mkto_dispatch_log(dispatch, LOG_ERR,
                          "MKTO0303 %u answers of Marketo cannot be recorded, delivery waits: %s",
                          dispatch->outcomes.count, err->text);
        dispatch->record_said = now == 0 ? 1 : now;
    }
}

/* A commit that failed for a while has held them up: in the window they count from now on. */
static void send_outbox(struct channel *channel, uint64_t now)
{
    unsigned count = 0;

    for (const struct errand *errand = channel->outbox; errand != NULL; errand = errand->next) {
        count++;
    }
    mkto_budget_held_up(&channel->budget, count, now);
    while (channel->outbox != NULL) {
        struct errand *errand = channel->outbox;
        channel->outbox = errand->next;
        errand->next = NULL;
        mkto_dispatch_errand_send(errand);
    }
}

static void recorded(struct mkto_dispatch *dispatch, unsigned count)
{
    if (dispatch->blocked) {
        dispatch->blocked = false;
        dispatch->record_said = 0;
        mkto_dispatch_log(dispatch, LOG_NOTICE, "MKTO0309 answers of Marketo are recorded again");
    }
    for (unsigned i = 0; i < count; i++) {
        const struct mkto_outcome *outcome = mkto_outcomes_at(&dispatch->outcomes, i);
        if (outcome->kind == MKTO_OUTCOME_SETTLE) {
            mkto_dispatch_settle(dispatch, outcome->lane);
        }
    }
    mkto_outcomes_drop(&dispatch->outcomes, count);
    dispatch->outcomes_since = mkto_dispatch_mono(dispatch);
    for (unsigned i = 0; i < dispatch->channel_count; i++) {
        dispatch->channels[i]->unsaved = false;
        if (!dispatch->leaving) {
            send_outbox(dispatch->channels[i], mkto_dispatch_mono(dispatch));
        }
    }
}

static bool any_unsaved(const struct mkto_dispatch *dispatch)
{
    for (unsigned i = 0; i < dispatch->channel_count; i++) {
        if (dispatch->channels[i]->unsaved) {
            return true;
        }
    }
    return false;
}

uint64_t mkto_dispatch_record_when(const struct mkto_dispatch *dispatch)
{
    uint64_t when = UINT64_MAX;

    if (any_unsaved(dispatch) || dispatch->outcomes.count >= MKTO_DISPATCH_RECORD_MAX ||
        (dispatch->outcomes.count > 0 && dispatch->in_flight == 0)) {
        when = 0;
    } else if (dispatch->outcomes.count > 0) {
        when = dispatch->outcomes_since + MKTO_DISPATCH_RECORD_MS;
    }
    if (when != UINT64_MAX && dispatch->blocked && when < dispatch->record_again) {
        when = dispatch->record_again;
    }
    return when;
}

void mkto_dispatch_record(struct mkto_dispatch *dispatch)
{
    struct mkto_error err = MKTO_ERROR_INIT;

    if (mkto_dispatch_record_when(dispatch) > mkto_dispatch_mono(dispatch)) {
        return;
    }
    int count = write_all(dispatch, &err);
    if (count < 0) {
        failed(dispatch, &err);
        return;
    }
    recorded(dispatch, (unsigned)count);
}
