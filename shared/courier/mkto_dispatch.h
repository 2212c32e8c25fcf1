/*
 * mkto_dispatch: brings spooled events to Marketo (DESIGN section 6): lanes, batches, budgets,
 * verdicts, backoff, dead letters.
 *
 * A state machine over a spool, a transport and a clock. It never blocks and has no loop of its
 * own: the courier calls turn after intake, for at most a given time, and arms a timer for next.
 */
#ifndef MKTO_DISPATCH_H
#define MKTO_DISPATCH_H

#include <apr_pools.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mkto_clock.h"
#include "mkto_config.h"
#include "mkto_json.h"
#include "mkto_spool.h"
#include "mkto_transport.h"

struct mkto_dispatch;

struct mkto_dispatch_hooks {
    void *ctx;
    /* A line for the log: syslog severity, text beginning with a stable id. */
    void (*log)(void *ctx, int level, const char *text);
    /* One line of `marketo tail`: a JSON object without newline. May be NULL. Only called while
     * tailing returns true. */
    bool (*tailing)(void *ctx);
    void (*tail)(void *ctx, struct mkto_slice json);
    size_t events_max; /* in memory; 0: MKTO_LANES_EVENTS_MAX */
};

struct mkto_dispatch *
mkto_dispatch_create(const struct mkto_config *config, struct mkto_spool *spool,
                     struct mkto_transport *transport, const struct mkto_clock *clock,
                     const struct mkto_dispatch_hooks *hooks, apr_pool_t *pool);
void mkto_dispatch_destroy(struct mkto_dispatch *dispatch);

/* A new config: events are mapped by it from now on, refused fields are forgotten, paused APIs ask
 * again. */
void mkto_dispatch_reload(struct mkto_dispatch *dispatch, const struct mkto_config *config);

/* Events up to this id are durable: call after each commit of intake. */
void mkto_dispatch_accepted(struct mkto_dispatch *dispatch, int64_t last_id);

/* Works for about budget_ms at most. Returns true when there is more to do at once. */
bool mkto_dispatch_turn(struct mkto_dispatch *dispatch, int budget_ms);

/* Monotonic ms at which turn should be called again without other cause; UINT64_MAX: never. Answers
 * of the transport change it: ask again after each round of the loop. */
uint64_t mkto_dispatch_next(const struct mkto_dispatch *dispatch);

/* Starts no new calls (stop, or a pause for benchmarks); those under way still end. */
void mkto_dispatch_hold(struct mkto_dispatch *dispatch, bool hold);
size_t mkto_dispatch_in_flight(const struct mkto_dispatch *dispatch);

/*
 * For `marketo forget`. busy: the lane of this row is in a call, or what became of that is not
 * recorded yet: its events must stay until then. forget: the row has left the spool; its lane gives
 * it up. An event that left while a call of another lane had it leaves nothing when that ends.
 */
bool mkto_dispatch_busy(struct mkto_dispatch *dispatch, const struct mkto_spool_row *row);
void mkto_dispatch_forget(struct mkto_dispatch *dispatch, const struct mkto_spool_row *row);

/* The dispatch part of `marketo status`: a JSON object. Looks at every lane: not for each turn. */
struct mkto_slice mkto_dispatch_status(const struct mkto_dispatch *dispatch, apr_pool_t *pool);

#endif
