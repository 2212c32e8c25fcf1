#include "mkto_outcome.h"

#include <stdlib.h>
#include <string.h>

#include "mkto_mask.h"

#define SIZE_MIN 256u

static void room(struct mkto_outcomes *outcomes)
{
    if (outcomes->first > 0 && outcomes->first + outcomes->count == outcomes->size) {
        memmove(outcomes->rows, outcomes->rows + outcomes->first,
                outcomes->count * sizeof(*outcomes->rows));
        outcomes->first = 0;
    }
    if (outcomes->count < outcomes->size) {
        return;
    }
    unsigned size = outcomes->size == 0 ? SIZE_MIN : outcomes->size * 2;
    struct mkto_outcome *rows = realloc(outcomes->rows, size * sizeof(*rows));
    if (rows == NULL) {
        abort(); /* forgetting what Marketo answered would deliver twice without need */
    }
    outcomes->rows = rows;
    outcomes->size = size;
}

/* Masked before it is cut: an answer to many people's call must not keep one's address with
 * another's event. */
static char *copy_text(const char *text)
{
    char *copy = strdup(text);
    size_t len = copy == NULL ? 0 : strlen(copy);

    mkto_mask_addresses(copy);
    if (len >= MKTO_OUTCOME_TEXT_MAX) {
        len = MKTO_OUTCOME_TEXT_MAX - 1;
        while (len > 0 && ((unsigned char)copy[len] & 0xc0) == 0x80) {
            len--;
        }
        copy[len] = '\0';
    }
    return copy;
}

void mkto_outcomes_add(struct mkto_outcomes *outcomes, const struct mkto_outcome *outcome)
{
    room(outcomes);
    struct mkto_outcome *row = &outcomes->rows[outcomes->first + outcomes->count++];
    *row = *outcome;
    row->answer = outcome->answer == NULL ? NULL : copy_text(outcome->answer);
}

const struct mkto_outcome *mkto_outcomes_at(const struct mkto_outcomes *outcomes, unsigned nth)
{
    return &outcomes->rows[outcomes->first + nth];
}

/* An event that was forgotten (mkto_forget) while its call was under way leaves nothing. */
static int write_retry(const struct mkto_outcome *outcome, struct mkto_spool *spool,
                       struct mkto_error *err)
{
    if (!mkto_spool_has(spool, outcome->id)) {
        return 0;
    }
    struct mkto_spool_retry retry = {outcome->stage,  outcome->attempts, outcome->first_ms,
                                     outcome->due_ms, outcome->lead_id,  outcome->answer};
    return mkto_spool_set_retry(spool, outcome->id, &retry, err);
}

static int write_dead(const struct mkto_outcome *outcome, struct mkto_spool *spool,
                      struct mkto_error *err)
{
    struct mkto_spool_dead dead = {0};

    if (!mkto_spool_has(spool, outcome->id)) {
        return 0;
    }
    dead.id = outcome->id;
    dead.subscription = outcome->subscription;
    dead.kind = outcome->what;
    dead.reason = outcome->reason;
    dead.answer = outcome->answer;
    dead.attempts = outcome->attempts;
    dead.first_ms = outcome->first_ms;
    dead.dead_ms = outcome->at_ms;
    dead.lead = outcome->lead;
    return mkto_spool_bury(spool, &dead, err);
}

static int write_one(const struct mkto_outcome *outcome, struct mkto_spool *spool,
                     struct mkto_error *err)
{
    switch (outcome->kind) {
    case MKTO_OUTCOME_DONE: return mkto_spool_done(spool, outcome->id, err);
    case MKTO_OUTCOME_RETRY: return write_retry(outcome, spool, err);
    case MKTO_OUTCOME_DEAD: return write_dead(outcome, spool, err);
    case MKTO_OUTCOME_SENT:
        return mkto_spool_sent_put(spool, outcome->lead, outcome->of.digest, outcome->at_ms, err);
    case MKTO_OUTCOME_KNOWN:
        return mkto_spool_known_put(spool, outcome->lead, outcome->of.token, outcome->lead_id,
                                    outcome->at_ms, err);
    case MKTO_OUTCOME_UNKNOWN:
        return mkto_spool_known_drop(spool, outcome->lead, outcome->of.token, outcome->lead_id,
                                     err);
    case MKTO_OUTCOME_SETTLE: break;
    }
    return 0;
}

int mkto_outcomes_write(const struct mkto_outcomes *outcomes, unsigned max,
                        struct mkto_spool *spool, struct mkto_error *err)
{
    unsigned count = outcomes->count < max ? outcomes->count : max;

    for (unsigned i = 0; i < count; i++) {
        if (write_one(mkto_outcomes_at(outcomes, i), spool, err) != 0) {
            return -1;
        }
    }
    return (int)count;
}

void mkto_outcomes_drop(struct mkto_outcomes *outcomes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free(outcomes->rows[outcomes->first + i].answer);
    }
    outcomes->first += count;
    outcomes->count -= count;
    if (outcomes->count == 0) {
        outcomes->first = 0;
        if (outcomes->size > 64 * SIZE_MIN) { /* a large batch is over: give its memory back */
            free(outcomes->rows);
            outcomes->rows = NULL;
            outcomes->size = 0;
        }
    }
}

void mkto_outcomes_clear(struct mkto_outcomes *outcomes)
{
    mkto_outcomes_drop(outcomes, outcomes->count);
    free(outcomes->rows);
    memset(outcomes, 0, sizeof(*outcomes));
}
