/*
 * mkto_spool_seen: the message ids of the last 24 h, in memory (private to the spool).
 *
 * Hashes stand in a ring in the order of their acceptance, so that the oldest is found without a
 * search; an open-addressing table of ring positions finds one by value. About 16 bytes a hash,
 * 64 MiB at MKTO_SPOOL_SEEN_MAX. Times are kept a minute at a time.
 */
#ifndef MKTO_SPOOL_SEEN_H
#define MKTO_SPOOL_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MKTO_SPOOL_SEEN_MARKS (24 * 60 + 2) /* minutes that are told apart */

struct mkto_spool_seen_mark {
    int64_t minute; /* wall clock */
    uint64_t first; /* the sequence number of its first hash */
};

struct mkto_spool_seen {
    uint64_t *ring;  /* hash number s is at ring[s & (ring_size - 1)] */
    uint32_t *slots; /* 0: empty, else 8 bits of hash, position in the ring + 1 */
    size_t ring_size;
    size_t max;      /* hashes kept; the oldest go first */
    uint64_t factor; /* secret odd number: a client cannot aim at one slot */
    uint64_t first;  /* the oldest hash that is remembered */
    uint64_t end;    /* number of the next one */
    struct mkto_spool_seen_mark marks[MKTO_SPOOL_SEEN_MARKS]; /* a ring, too */
    size_t mark_first;
    size_t mark_count;
};

/* max is below 1 << 23. Memory is taken as it is needed; without any, old hashes are forgotten.
 */
void mkto_spool_seen_init(struct mkto_spool_seen *seen, size_t max);
void mkto_spool_seen_free(struct mkto_spool_seen *seen);

bool mkto_spool_seen_has(const struct mkto_spool_seen *seen, uint64_t hash);
void mkto_spool_seen_add(struct mkto_spool_seen *seen, uint64_t hash, int64_t at_ms);

/* Forgets the newest ones, back to where `end` was. */
void mkto_spool_seen_undo(struct mkto_spool_seen *seen, uint64_t end);

/* Forgets what was accepted MKTO_SPOOL_SEEN_FOR_MS ago (to the minute above). */
void mkto_spool_seen_expire(struct mkto_spool_seen *seen, int64_t now_ms);

/* Hash of a number in [first, end). */
uint64_t mkto_spool_seen_at(const struct mkto_spool_seen *seen, uint64_t number);

#endif
