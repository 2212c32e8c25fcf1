/*
 * mkto_lanes: the index in memory of what waits in the spool (DESIGN section 6, "Lanes").
 *
 * A lane is everything that must stay in order: the events of one lead, the visits of one cookie,
 * the associations of one cookie. Only the head of a lane is worked on; it holds its own lane and
 * no other. An event is kept as its spool id alone (12 bytes), a lane costs 32 bytes and 4 to 8 of
 * the hash table; payloads stay on disk.
 *
 * A lane is in one of four states, and moves between them only by the calls below:
 *   IDLE     in no list: just made, or taken by its owner
 *   WAITING  in the heap, until its due time
 *   READY    in one queue
 *   BUSY     in a call, or until what became of it is recorded
 */
#ifndef MKTO_LANES_H
#define MKTO_LANES_H

#include <apr_pools.h>
#include <stdbool.h>
#include <stdint.h>

#include "mkto_config.h"
#include "mkto_slice.h"

#define MKTO_LANES_EVENTS_MAX                                                                      \
    2000000                         /* events in memory; the loader waits while there are so many */
#define MKTO_LANES_CHANNELS_MAX 255 /* subscriptions of one process' life, reloads included */
#define MKTO_LANES_ID_MAX INT64_C(0xffffffffffff) /* spool ids have 48 bits here */

#define MKTO_LANE_NONE UINT32_MAX

enum mkto_lane_kind { MKTO_LANE_LEAD, MKTO_LANE_VISIT, MKTO_LANE_LINK, MKTO_LANE_KINDS };
enum mkto_lane_state { MKTO_LANE_IDLE, MKTO_LANE_WAITING, MKTO_LANE_READY, MKTO_LANE_BUSY };

struct mkto_lane {
    uint64_t hash;
    uint64_t due;   /* monotonic ms: WAITING until then; READY since then */
    uint32_t first; /* events, oldest first; MKTO_LANE_NONE when empty */
    uint32_t last;
    uint32_t next;    /* in its queue */
    uint16_t limit;   /* events that one call may merge; 0: as many as there are */
    uint8_t channel;  /* the subscription's number */
    uint8_t kind : 2; /* enum mkto_lane_kind */
    uint8_t state : 2;
    uint8_t alone : 1; /* the owner's: this lead cannot go in a batch */
    uint8_t soon : 1;  /* the owner's: do not wait for a batch to fill */
    uint8_t fresh : 1; /* the owner's: token or signature were renewed for it */
};

struct mkto_lane_queue {
    uint32_t first;
    uint32_t last;
    uint32_t count;
};
#define MKTO_LANE_QUEUE_EMPTY ((struct mkto_lane_queue){MKTO_LANE_NONE, MKTO_LANE_NONE, 0})

struct mkto_lanes;

struct mkto_lanes *mkto_lanes_create(size_t events_max, apr_pool_t *pool);

size_t mkto_lanes_events(const struct mkto_lanes *lanes);
size_t mkto_lanes_count(const struct mkto_lanes *lanes);
/* How many more events there is room for. */
size_t mkto_lanes_room(const struct mkto_lanes *lanes);

/* The lane of that hash; made (IDLE, empty) when there is none. MKTO_LANE_NONE: no memory. */
uint32_t mkto_lanes_open(struct mkto_lanes *lanes, uint64_t hash, uint8_t channel,
                         enum mkto_lane_kind kind);
/* The lane of that hash, or MKTO_LANE_NONE. */
uint32_t mkto_lanes_find(const struct mkto_lanes *lanes, uint64_t hash);
/* Pointers are good until the next open. */
struct mkto_lane *mkto_lanes_at(const struct mkto_lanes *lanes, uint32_t lane);
/* Forgets an empty lane that is IDLE or BUSY. */
void mkto_lanes_close(struct mkto_lanes *lanes, uint32_t lane);

/* Appends an event. Returns false when the index is full or id is out of range. */
bool mkto_lanes_add(struct mkto_lanes *lanes, uint32_t lane, int64_t id);
/* Forgets the oldest event of the lane. */
void mkto_lanes_shift(struct mkto_lanes *lanes, uint32_t lane);

/* Forgets that event of the lane, wherever in it. Returns false when it is not there. The lane
 * keeps its state, also when it is empty now. */
bool mkto_lanes_drop(struct mkto_lanes *lanes, uint32_t lane, int64_t id);

/* Walks a lane: event numbers from first on, MKTO_LANE_NONE at the end. */
int64_t mkto_lanes_event_id(const struct mkto_lanes *lanes, uint32_t event);
uint32_t mkto_lanes_event_next(const struct mkto_lanes *lanes, uint32_t event);

/* WAITING until due. */
void mkto_lanes_wait(struct mkto_lanes *lanes, uint32_t lane, uint64_t due);
/* Takes a lane whose time has come (IDLE then), or MKTO_LANE_NONE. */
uint32_t mkto_lanes_due(struct mkto_lanes *lanes, uint64_t now);
uint64_t mkto_lanes_next_due(const struct mkto_lanes *lanes); /* UINT64_MAX: none waits */

/* READY since `since`, at the end or the front of a queue. */
void mkto_lanes_push(struct mkto_lanes *lanes, struct mkto_lane_queue *queue, uint32_t lane,
                     uint64_t since);
void mkto_lanes_push_front(struct mkto_lanes *lanes, struct mkto_lane_queue *queue, uint32_t lane,
                           uint64_t since);
/* Takes the first lane of a queue (BUSY then), or MKTO_LANE_NONE. */
uint32_t mkto_lanes_take(struct mkto_lanes *lanes, struct mkto_lane_queue *queue);

/* Oldest event id of each kind in a channel, INT64_MAX for none. Looks at every lane: for status
 * alone. */
void mkto_lanes_oldest(const struct mkto_lanes *lanes, uint8_t channel,
                       int64_t ids[MKTO_LANE_KINDS]);

/* ---- keys: hashes that stand for a person or a cookie ---- */

/*
 * What the keys below take for `subscription`: its name with its Munchkin id. What is remembered of
 * leads holds for one Marketo: a section that is pointed at another one starts anew, or cookies
 * would go to strangers.
 */
const char *mkto_lanes_scope(const struct mkto_subscription *sub, apr_pool_t *pool);

/* Of a lead by e-mail; ASCII case and the subscription's name count as Marketo counts them. Also
 * the `lead` of dead letters, `known` and `sent`. */
uint64_t mkto_lane_of_email(const char *subscription, const char *email);
/* Of a lead that only its cookie names. */
uint64_t mkto_lane_of_cookie(const char *subscription, struct mkto_slice token);
uint64_t mkto_lane_of_visits(const char *subscription, struct mkto_slice token);
uint64_t mkto_lane_of_links(const char *subscription, struct mkto_slice token);
/* The `token` of `known`. */
uint64_t mkto_lane_token(const char *subscription, struct mkto_slice token);

#endif
