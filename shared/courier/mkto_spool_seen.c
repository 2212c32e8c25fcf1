#include "mkto_spool_seen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "mkto_spool.h"

#define RING_START 1024 /* hashes; a power of two */
#define MINUTE_MS 60000
#define POSITION_BITS 24
#define POSITION_MASK ((1u << POSITION_BITS) - 1)

_Static_assert(MKTO_SPOOL_SEEN_MAX < 1 << 23, "a ring position + 1 fits its bits");

void mkto_spool_seen_init(struct mkto_spool_seen *seen, size_t max)
{
    memset(seen, 0, sizeof(*seen));
    seen->max = max;
    if (getrandom(&seen->factor, sizeof(seen->factor), GRND_NONBLOCK) !=
        (ssize_t)sizeof(seen->factor)) {
        seen->factor = (uint64_t)time(NULL) * 0x9e3779b97f4a7c15ULL;
    }
    seen->factor |= 1;
}

void mkto_spool_seen_free(struct mkto_spool_seen *seen)
{
    free(seen->ring);
    free(seen->slots);
    memset(seen, 0, sizeof(*seen));
}

/* There are two slots for each place in the ring, so the table is never more than half full. */
static size_t slot_mask(const struct mkto_spool_seen *seen)
{
    return seen->ring_size * 2 - 1;
}

static uint64_t mix(const struct mkto_spool_seen *seen, uint64_t hash)
{
    return hash * seen->factor;
}

static size_t slot_of(const struct mkto_spool_seen *seen, uint64_t hash)
{
    return (size_t)(mix(seen, hash) >> 28) & slot_mask(seen);
}

/* Eight bits of the hash stand in the slot: another hash there mostly shows without a look at the
 * ring, which is not in the processor's cache. */
static uint32_t slot_value(const struct mkto_spool_seen *seen, size_t position)
{
    return (uint32_t)(mix(seen, seen->ring[position]) >> 56) << POSITION_BITS |
           ((uint32_t)position + 1);
}

static size_t slot_position(uint32_t value)
{
    return (value & POSITION_MASK) - 1;
}

uint64_t mkto_spool_seen_at(const struct mkto_spool_seen *seen, uint64_t number)
{
    return seen->ring[number & (seen->ring_size - 1)];
}

bool mkto_spool_seen_has(const struct mkto_spool_seen *seen, uint64_t hash)
{
    if (seen->first == seen->end) {
        return false;
    }
    const uint32_t tag = (uint32_t)(mix(seen, hash) >> 56);
    for (size_t at = slot_of(seen, hash); seen->slots[at] != 0; at = (at + 1) & slot_mask(seen)) {
        const uint32_t value = seen->slots[at];
        if (value >> POSITION_BITS == tag && seen->ring[slot_position(value)] == hash) {
            return true;
        }
    }
    return false;
}

static void slot_put(struct mkto_spool_seen *seen, size_t position)
{
    size_t at = slot_of(seen, seen->ring[position]);
    while (seen->slots[at] != 0) {
        at = (at + 1) & slot_mask(seen);
    }
    seen->slots[at] = slot_value(seen, position);
}

/* Takes a ring position out of the table and closes the gap, so that no tombstones pile up. */
static void slot_drop(struct mkto_spool_seen *seen, size_t position)
{
    const size_t mask = slot_mask(seen);
    size_t gap = slot_of(seen, seen->ring[position]);
    while (slot_position(seen->slots[gap]) != position) {
        gap = (gap + 1) & mask;
    }
    for (size_t at = (gap + 1) & mask; seen->slots[at] != 0; at = (at + 1) & mask) {
        const size_t home = slot_of(seen, seen->ring[slot_position(seen->slots[at])]);
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            seen->slots[gap] = seen->slots[at];
            gap = at;
        }
    }
    seen->slots[gap] = 0;
}

static void drop_oldest(struct mkto_spool_seen *seen)
{
    slot_drop(seen, seen->first & (seen->ring_size - 1));
    seen->first++;
}

/* Doubles the ring; false when there is no memory. */
static bool grow(struct mkto_spool_seen *seen)
{
    const size_t size = seen->ring_size == 0 ? RING_START : seen->ring_size * 2;
    uint64_t *ring = malloc(size * sizeof(*ring));
    uint32_t *slots = calloc(size * 2, sizeof(*slots));
    if (ring == NULL || slots == NULL) {
        free(ring);
        free(slots);
        return false;
    }
    for (uint64_t number = seen->first; number < seen->end; number++) {
        ring[number & (size - 1)] = mkto_spool_seen_at(seen, number);
    }
    free(seen->ring);
    free(seen->slots);
    seen->ring = ring;
    seen->slots = slots;
    seen->ring_size = size;
    for (uint64_t number = seen->first; number < seen->end; number++) {
        slot_put(seen, number & (size - 1));
    }
    return true;
}

static struct mkto_spool_seen_mark *mark_at(struct mkto_spool_seen *seen, size_t nth)
{
    return &seen->marks[(seen->mark_first + nth) % MKTO_SPOOL_SEEN_MARKS];
}

/* The oldest minute goes: its hashes, too. */
static void drop_mark(struct mkto_spool_seen *seen)
{
    const uint64_t end = seen->mark_count > 1 ? mark_at(seen, 1)->first : seen->end;
    while (seen->first < end) {
        drop_oldest(seen);
    }
    seen->mark_first = (seen->mark_first + 1) % MKTO_SPOOL_SEEN_MARKS;
    seen->mark_count--;
}

/* A clock that was set back does not open a new minute: hashes then live a little longer. */
static void mark(struct mkto_spool_seen *seen, int64_t at_ms)
{
    const int64_t minute = at_ms / MINUTE_MS;
    if (seen->mark_count > 0 && mark_at(seen, seen->mark_count - 1)->minute >= minute) {
        return;
    }
    if (seen->mark_count == MKTO_SPOOL_SEEN_MARKS) {
        drop_mark(seen);
    }
    *mark_at(seen, seen->mark_count) = (struct mkto_spool_seen_mark){minute, seen->end};
    seen->mark_count++;
}

void mkto_spool_seen_add(struct mkto_spool_seen *seen, uint64_t hash, int64_t at_ms)
{
    const size_t count = (size_t)(seen->end - seen->first);
    if (count >= seen->max) {
        drop_oldest(seen);
    } else if (count == seen->ring_size && !grow(seen)) {
        if (seen->ring_size == 0) {
            return;
        }
        drop_oldest(seen);
    }
    mark(seen, at_ms);
    const size_t position = seen->end & (seen->ring_size - 1);
    seen->ring[position] = hash;
    slot_put(seen, position);
    seen->end++;
}

void mkto_spool_seen_undo(struct mkto_spool_seen *seen, uint64_t end)
{
    while (seen->end > end && seen->end > seen->first) {
        slot_drop(seen, (seen->end - 1) & (seen->ring_size - 1));
        seen->end--;
    }
    while (seen->mark_count > 0 && mark_at(seen, seen->mark_count - 1)->first >= seen->end) {
        seen->mark_count--;
    }
}

void mkto_spool_seen_expire(struct mkto_spool_seen *seen, int64_t now_ms)
{
    const int64_t oldest = (now_ms - MKTO_SPOOL_SEEN_FOR_MS) / MINUTE_MS;
    while (seen->mark_count > 0 && mark_at(seen, 0)->minute < oldest) {
        drop_mark(seen);
    }
}
