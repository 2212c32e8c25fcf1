/*
 * mkto_outcome: what became of events, on its way to the spool. Kept in order until a commit has
 * taken it; a commit that fails changes nothing here.
 */
#ifndef MKTO_OUTCOME_H
#define MKTO_OUTCOME_H

#include <stdint.h>

#include "mkto_spool.h"

#define MKTO_OUTCOME_TEXT_MAX 512 /* bytes of an answer that is kept, with its NUL; cut */

enum mkto_outcome_kind {
    MKTO_OUTCOME_DONE,    /* id */
    MKTO_OUTCOME_RETRY,   /* id, retry */
    MKTO_OUTCOME_DEAD,    /* id, dead */
    MKTO_OUTCOME_SENT,    /* lead, digest, at_ms */
    MKTO_OUTCOME_KNOWN,   /* lead, token, lead_id, at_ms */
    MKTO_OUTCOME_UNKNOWN, /* lead, token, lead_id */
    MKTO_OUTCOME_SETTLE,  /* lane: all of it is recorded, it may move on */
};

struct mkto_outcome {
    enum mkto_outcome_kind kind;
    uint32_t lane;
    int64_t id;
    int64_t at_ms;
    uint64_t lead;
    union {
        uint64_t digest;
        uint64_t token;
    } of;
    int64_t lead_id;
    int stage;
    unsigned attempts;
    int64_t first_ms;
    int64_t due_ms;
    const char *subscription; /* DEAD; lives as long as the dispatch */
    const char *what;         /* DEAD: "lead", "visit", "associate"; static */
    const char *reason;       /* DEAD; static */
    char *answer;             /* RETRY, DEAD; owned, may be NULL */
};

struct mkto_outcomes {
    struct mkto_outcome *rows; /* first is the oldest */
    unsigned first;
    unsigned count;
    unsigned size;
};

/* Appends; `answer` is copied without the addresses in it, and cut at a whole character. */
void mkto_outcomes_add(struct mkto_outcomes *outcomes, const struct mkto_outcome *outcome);

/* Writes the oldest ones, max at most, into the open transaction. Returns how many, or -1. */
int mkto_outcomes_write(const struct mkto_outcomes *outcomes, unsigned max,
                        struct mkto_spool *spool, struct mkto_error *err);

/* The nth oldest. */
const struct mkto_outcome *mkto_outcomes_at(const struct mkto_outcomes *outcomes, unsigned nth);
/* Forgets the oldest ones: they are recorded. */
void mkto_outcomes_drop(struct mkto_outcomes *outcomes, unsigned count);
void mkto_outcomes_clear(struct mkto_outcomes *outcomes);

#endif
