/*
 * mkto_verdict: what to do after Marketo's answer. One pure function over the tables of the
 * contracts (marketo-soap 5.2, munchkin-and-rest B3); an unknown code is retried.
 */
#ifndef MKTO_VERDICT_H
#define MKTO_VERDICT_H

#include <apr_pools.h>

#include "mkto_config.h"
#include "mkto_http.h"
#include "mkto_result.h"

enum mkto_verdict_kind {
    MKTO_VERDICT_DELIVERED,
    MKTO_VERDICT_RETRY,   /* this record or call again, after after_ms at least; an attempt is spent
                           */
    MKTO_VERDICT_REFRESH, /* token or signature is stale: renew it and send again at once, once;
                             then retry */
    MKTO_VERDICT_PAUSE, /* the whole API waits after_ms, nothing is spent: credentials, quota, rate,
                           service gone */
    MKTO_VERDICT_STRIP, /* fields that Marketo does not know: leave them out and send again */
    MKTO_VERDICT_SPLIT, /* the call as a whole was refused as too large or for one bad record: send
                           halves */
    MKTO_VERDICT_DEAD,  /* never: dead letter */
    MKTO_VERDICT_COUNT
};

enum mkto_pause_kind {
    MKTO_PAUSE_NONE = 0,
    MKTO_PAUSE_RATE,        /* 606, 20023: a window of 20 s */
    MKTO_PAUSE_CONCURRENCY, /* 615, 20024: short */
    MKTO_PAUSE_QUOTA,       /* 607, 20015: until midnight US Central */
    MKTO_PAUSE_CREDENTIALS, /* 401, 603, 20013, 20014: probe slowly */
    MKTO_PAUSE_GONE,        /* the endpoint is not this API any more */
    MKTO_PAUSE_DOWN,        /* refused, TLS, 502 to 504, 608: backoff of the whole API */
    MKTO_PAUSE_COUNT
};

#define MKTO_VERDICT_LOCK_MS 30000         /* a locked lead waits at least that long */
#define MKTO_VERDICT_RATE_MS 20000         /* Marketo counts calls in windows of 20 s */
#define MKTO_VERDICT_CONCURRENCY_MS 1000   /* until one of the ten calls has ended */
#define MKTO_VERDICT_SLOWLY_MS 60000       /* "usually temporary", says Marketo: 614 */
#define MKTO_VERDICT_AFTER_MAX_MS 86400000 /* a longer Retry-After is taken as one day */
#define MKTO_VERDICT_SYNC_TRIES 3          /* 20106: "once or twice" more, says the contract */
#define MKTO_VERDICT_STRIP_MAX 512         /* names read from one text; the rest is left out */

struct mkto_verdict_decision {
    enum mkto_verdict_kind kind;
    enum mkto_verdict_kind alone; /* SPLIT: what becomes of a record that was alone in its call:
                                     DEAD or RETRY; otherwise equal to kind */
    enum mkto_pause_kind pause;
    unsigned tries; /* RETRY: answered so often, it is DEAD; 0: until the caller's time is over */
    int64_t
        after_ms; /* at least; 0: the caller's backoff alone. SPLIT: of a record that was alone */
    const char
        *reason; /* stable word for counters and dead letters: "unknown_field", "lock", "quota" … */
    const char *const *fields; /* STRIP: names to leave out, NULL-terminated, when the text names
                                  them; else NULL */
    const char *hint; /* PAUSE: what the administrator can do about it, one sentence; else NULL */
};

/*
 * Decides on one record, or on a whole call: then `record` is &call->call or NULL. call may be
 * NULL: Munchkin, or no answer. A Retry-After makes after_ms longer, never shorter.
 */
void mkto_verdict(enum mkto_api api, const struct mkto_http_answer *answer,
                  const struct mkto_call_result *call, const struct mkto_result *record,
                  struct mkto_verdict_decision *decision, apr_pool_t *pool);

/* Word of a kind: "delivered", "retry" … */
const char *mkto_verdict_name(enum mkto_verdict_kind kind);

/* Word of a pause: "rate", "credentials", "gone" … "none". */
const char *mkto_verdict_pause_name(enum mkto_pause_kind pause);

#endif
