/*
 * mkto_dead: dead letters, looked at and dealt with: the answer to "dead".
 *
 *   {"do":"list", FILTER, "after":0,"until":…}
 *      -> {"letters":[{"id":…,"dead":ms,"subscription":"","kind":"lead","reason":"…","answer":"…",
 *          "attempts":1,"first":ms,"lead":"1a2b3c4d","type":"identify","source":"…",
 *          "received":ms}, …], "after":…,"until":…,"more":true}
 *   {"do":"show","ids":[12]}
 *      -> {"letter":{as above, "event":"JSON text as it came","defaults":"what its batch said for
 *          all","request":{"host":…, …}}}        letter null: there is none
 *   {"do":"replay"|"purge","apply":true, FILTER, …}     without apply it only counts: the plan
 *      -> {"count":2,"reasons":{"unknown_field":2},"damaged":0,"after":…,"until":…,"more":false}
 *   {"do":"replay"|"purge"|"list","ids":[12,13], …}         MKTO_DEAD_IDS_MAX of them
 *      -> the same with "missing":[13]
 *
 * FILTER: "reason", "subscription", "lead" (an e-mail), "before" and "since" (ms since 1970, of the
 * death); each may be absent. A letter is a lead's when it was to be delivered to it, or when the
 * event names the address (mkto_person).
 *
 * Replay: the event becomes a new one at the end of the queue, and is mapped again by today's
 * config. A damaged event cannot be replayed: it is counted and stays.
 */
#ifndef MKTO_DEAD_H
#define MKTO_DEAD_H

#include "mkto_desk.h"

#define MKTO_DEAD_IDS_MAX 256    /* ids in one question */
#define MKTO_DEAD_LIST_MAX 128   /* letters in one part of a list */
#define MKTO_DEAD_REASONS_MAX 64 /* reasons that a part tells apart; the rest count as "other" */

struct mkto_slice mkto_dead_answer(const struct mkto_desk *desk, struct mkto_slice args,
                                   apr_pool_t *pool);

#endif
