/*
 * mkto_budget: how many calls a subscription may make (contract munchkin-and-rest B3, marketo-soap
 * 5.3): in any 20 s, at once, and from one midnight US Central to the next.
 *
 * The state is saved before a call is sent, so that no restart can spend the same call twice: after
 * a restart the window counts as full as of the last saved call.
 */
#ifndef MKTO_BUDGET_H
#define MKTO_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MKTO_BUDGET_WINDOW_MS 20000
#define MKTO_BUDGET_WINDOW_MAX 100 /* calls_per_20s at most; the config's limit, too */
#define MKTO_BUDGET_TEXT_MAX 96    /* bytes of a saved state with its NUL */

enum mkto_budget_use {
    MKTO_BUDGET_IDENTIFY, /* may spend the whole day's budget */
    MKTO_BUDGET_OTHER,    /* leaves the reserve */
};

struct mkto_budget_limits {
    unsigned per_window; /* calls in any MKTO_BUDGET_WINDOW_MS */
    unsigned at_once;
    unsigned per_day;
    unsigned reserve; /* part of per_day that only MKTO_BUDGET_IDENTIFY may use */
};

struct mkto_budget {
    struct mkto_budget_limits limits;
    uint64_t calls[MKTO_BUDGET_WINDOW_MAX]; /* monotonic ms of the last calls, a ring */
    unsigned at;                            /* where the next one goes */
    unsigned held;                          /* how many of the ring are set */
    unsigned running;
    int64_t day; /* number of the day in US Central that `used` counts */
    unsigned used;
    int64_t last_wall_ms; /* of the last call; 0: never */
    /* For a clock that goes to another day and comes back: */
    int64_t far_day;  /* it came from here; 0: the clock was not set back */
    int64_t past_day; /* the day before this one that `used` counted */
    unsigned past_used;
};

void mkto_budget_init(struct mkto_budget *budget, const struct mkto_budget_limits *limits);
/* New limits; what was spent stays spent. */
void mkto_budget_limit(struct mkto_budget *budget, const struct mkto_budget_limits *limits);

/* When a call may be made: a time that is not after mono_ms means now; UINT64_MAX: when a running
 * one has ended. */
uint64_t mkto_budget_when(struct mkto_budget *budget, enum mkto_budget_use use, uint64_t mono_ms,
                          int64_t wall_ms);
void mkto_budget_spend(struct mkto_budget *budget, uint64_t mono_ms, int64_t wall_ms);
/* The last `count` calls were spent a while ago and are sent only now. */
void mkto_budget_held_up(struct mkto_budget *budget, unsigned count, uint64_t mono_ms);
void mkto_budget_end(struct mkto_budget *budget); /* a call has ended */

unsigned mkto_budget_in_window(const struct mkto_budget *budget, uint64_t mono_ms);
unsigned mkto_budget_today(const struct mkto_budget *budget, int64_t wall_ms);

/* The state as text, and back; text that is not understood counts as a budget never used. */
void mkto_budget_save(const struct mkto_budget *budget, char text[MKTO_BUDGET_TEXT_MAX]);
void mkto_budget_restore(struct mkto_budget *budget, const char *text, uint64_t mono_ms,
                         int64_t wall_ms);

/*
 * The day in US Central (America/Chicago by the rules since 2007: summer time from the second
 * Sunday of March, 2:00, to the first of November, 2:00), as days since 1970-01-01 there; and the
 * moment when the next one begins.
 */
int64_t mkto_budget_day(int64_t wall_ms, int64_t *next_ms);

#endif
