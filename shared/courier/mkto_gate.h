/*
 * mkto_gate: whether an API of a subscription may be called at all. Closed by a pause verdict; asks
 * again with one call, slowly, and opens when that call is answered by anything but a pause.
 */
#ifndef MKTO_GATE_H
#define MKTO_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "mkto_verdict.h"

#define MKTO_GATE_PROBE_MIN_MS 30000
#define MKTO_GATE_PROBE_MAX_MS 300000
#define MKTO_GATE_SAY_MS 60000    /* a closed gate is named in the log at most so often */
#define MKTO_GATE_GONE_MS 3600000 /* refused for so long: the endpoint is named as retired */
#define MKTO_GATE_WHY_MAX 256     /* bytes of the reason with its NUL */

struct mkto_gate {
    enum mkto_pause_kind kind;   /* MKTO_PAUSE_NONE: open */
    bool probing;                /* the one call that asks again is under way */
    uint64_t until;              /* monotonic ms: closed to every call before */
    uint64_t since;              /* monotonic ms: when it was closed */
    uint64_t said;               /* monotonic ms: when the log named it last; 0: not yet */
    int64_t step_ms;             /* the wait after the next failed probe */
    int code;                    /* Marketo's, or the HTTP status; 0: none */
    const char *reason;          /* stable word of the verdict */
    const char *hint;            /* what the administrator can do; static, or NULL */
    char why[MKTO_GATE_WHY_MAX]; /* in words, for a person */
};

/* When a call may be made: not after `now` means now (then, with a closed gate, it is the probe);
 * UINT64_MAX: when the probe is answered. */
uint64_t mkto_gate_when(const struct mkto_gate *gate, uint64_t now);

/* A call is sent. Returns true when it is the probe of a closed gate. */
bool mkto_gate_enter(struct mkto_gate *gate);

/* A pause was answered to a call (`probe`: to the probe). wait_ms: at least so long; for QUOTA the
 * time to the day's end. */
void mkto_gate_close(struct mkto_gate *gate, const struct mkto_verdict_decision *decision,
                     bool probe, int64_t wait_ms, uint64_t now);

/* Anything else was answered. Returns true when that opens a closed gate. */
bool mkto_gate_answered(struct mkto_gate *gate, bool probe);

/* Rate, concurrency and quota end by themselves. Returns true when that opens the gate now. */
bool mkto_gate_expire(struct mkto_gate *gate, uint64_t now);

/* A new config: ask again at once. */
void mkto_gate_retry(struct mkto_gate *gate, uint64_t now);

/* True when the log should name the closed gate now; notes that it did. */
bool mkto_gate_say(struct mkto_gate *gate, uint64_t now);
/* When it will be due to be said again, UINT64_MAX: never. */
uint64_t mkto_gate_say_when(const struct mkto_gate *gate);

#endif
