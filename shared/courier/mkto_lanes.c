#include "mkto_lanes.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BITS 13
#define CHUNK (1u << CHUNK_BITS) /* items that are allocated together */
#define TABLE_MIN 4096u
#define SLOT_EMPTY UINT32_MAX
#define NUMBER_BITS 21 /* of a slot: the lane; what is left of it is for the hash */
#define NUMBER_MASK ((1u << NUMBER_BITS) - 1)
#define HEAP_MIN 1024u

/* Two chunks more: lanes without events, and the rest of a chunk. */
_Static_assert(MKTO_LANES_EVENTS_MAX + 2 * CHUNK < NUMBER_MASK, "a lane's number fits its bits");

struct event {
    uint32_t id_low;
    uint16_t id_high;
    uint16_t spare;
    uint32_t next;
};

/* Items of one size, in chunks that never move. Free ones are linked through their `next`. */
struct slab {
    size_t size;
    char **chunks;
    uint32_t chunk_count;
    uint32_t chunk_max;
    uint32_t used; /* items handed out at least once */
    uint32_t free; /* first free item */
    uint32_t live;
};

struct mkto_lanes {
    struct slab events;
    struct slab lanes;
    uint32_t *table; /* slots by hash, open addressing */
    uint32_t table_size;
    uint32_t *heap; /* waiting lanes, the earliest first */
    uint32_t heap_size;
    uint32_t heap_count;
    size_t events_max;
};

/* ---- slabs ---- */

static void *slab_at(const struct slab *slab, uint32_t item)
{
    return slab->chunks[item >> CHUNK_BITS] + (size_t)(item & (CHUNK - 1)) * slab->size;
}

static uint32_t *slab_next(const struct slab *slab, uint32_t item)
{
    /* both kinds of item keep a free-list link in their first four bytes */
    return slab_at(slab, item);
}

static bool slab_grow(struct slab *slab)
{
    if (slab->chunk_count == slab->chunk_max) {
        return false;
    }
    char *chunk = malloc((size_t)CHUNK * slab->size);
    if (chunk == NULL) {
        return false;
    }
    slab->chunks[slab->chunk_count++] = chunk;
    return true;
}

static uint32_t slab_take(struct slab *slab)
{
    uint32_t item = slab->free;

    if (item != MKTO_LANE_NONE) {
        slab->free = *slab_next(slab, item);
    } else {
        if (slab->used == slab->chunk_count << CHUNK_BITS && !slab_grow(slab)) {
            return MKTO_LANE_NONE;
        }
        item = slab->used++;
    }
    slab->live++;
    return item;
}

/* Gives the memory of a drained backlog back: all chunks but the first. */
static void slab_reset(struct slab *slab)
{
    while (slab->chunk_count > 1) {
        free(slab->chunks[--slab->chunk_count]);
    }
    slab->used = 0;
    slab->free = MKTO_LANE_NONE;
}

static void slab_give(struct slab *slab, uint32_t item)
{
    *slab_next(slab, item) = slab->free;
    slab->free = item;
    slab->live--;
    if (slab->live == 0) {
        slab_reset(slab);
    }
}

static void slab_init(struct slab *slab, size_t size, size_t max, apr_pool_t *pool)
{
    memset(slab, 0, sizeof(*slab));
    slab->size = size;
    slab->chunk_max = (uint32_t)((max + CHUNK - 1) / CHUNK);
    slab->chunks = apr_pcalloc(pool, slab->chunk_max * sizeof(*slab->chunks));
    slab->free = MKTO_LANE_NONE;
}

static void slab_clear(struct slab *slab)
{
    for (uint32_t i = 0; i < slab->chunk_count; i++) {
        free(slab->chunks[i]);
    }
    slab->chunk_count = 0;
}

/* ---- life ---- */

static apr_status_t destroy(void *data)
{
    struct mkto_lanes *lanes = data;

    slab_clear(&lanes->events);
    slab_clear(&lanes->lanes);
    free(lanes->table);
    free(lanes->heap);
    return APR_SUCCESS;
}

static void table_wipe(uint32_t *table, uint32_t size)
{
    memset(table, 0xff, (size_t)size * sizeof(*table)); /* SLOT_EMPTY */
}

struct mkto_lanes *mkto_lanes_create(size_t events_max, apr_pool_t *pool)
{
    struct mkto_lanes *lanes = apr_pcalloc(pool, sizeof(*lanes));

    slab_init(&lanes->events, sizeof(struct event), events_max, pool);
    /* a lane outlives its last event until that is recorded */
    slab_init(&lanes->lanes, sizeof(struct mkto_lane), events_max + CHUNK, pool);
    lanes->events_max = events_max;
    lanes->table_size = TABLE_MIN;
    lanes->table = malloc(TABLE_MIN * sizeof(*lanes->table));
    if (lanes->table == NULL) {
        abort(); /* as APR does: nothing works without 16 KB */
    }
    table_wipe(lanes->table, TABLE_MIN);
    apr_pool_cleanup_register(pool, lanes, destroy, apr_pool_cleanup_null);
    return lanes;
}

size_t mkto_lanes_events(const struct mkto_lanes *lanes)
{
    return lanes->events.live;
}

size_t mkto_lanes_count(const struct mkto_lanes *lanes)
{
    return lanes->lanes.live;
}

size_t mkto_lanes_room(const struct mkto_lanes *lanes)
{
    return lanes->events_max - lanes->events.live;
}

struct mkto_lane *mkto_lanes_at(const struct mkto_lanes *lanes, uint32_t lane)
{
    return slab_at(&lanes->lanes, lane);
}

/* ---- the table ---- */

static uint32_t table_home(const struct mkto_lanes *lanes, uint64_t hash)
{
    return (uint32_t)hash & (lanes->table_size - 1);
}

/* The hash's first bits stand in the slot: another lane there mostly shows without a look at it,
 * which is not in the processor's cache. */
static uint32_t slot_value(uint64_t hash, uint32_t lane)
{
    return ((uint32_t)(hash >> 32) & ~NUMBER_MASK) | lane;
}

static uint32_t slot_lane(uint32_t value)
{
    return value == SLOT_EMPTY ? MKTO_LANE_NONE : value & NUMBER_MASK;
}

static bool slot_is(const struct mkto_lanes *lanes, uint32_t value, uint64_t hash)
{
    return slot_value(hash, slot_lane(value)) == value &&
           mkto_lanes_at(lanes, slot_lane(value))->hash == hash;
}

/* Where that hash is, or belongs. */
static uint32_t table_slot(const struct mkto_lanes *lanes, uint64_t hash)
{
    uint32_t slot = table_home(lanes, hash);

    while (lanes->table[slot] != SLOT_EMPTY && !slot_is(lanes, lanes->table[slot], hash)) {
        slot = (slot + 1) & (lanes->table_size - 1);
    }
    return slot;
}

/* In the lanes' own order, which memory is fast in. None of them is closed: it grows when as many
 * are open as ever were. */
static bool table_grow(struct mkto_lanes *lanes)
{
    uint32_t size = lanes->table_size * 2;
    uint32_t *table = malloc((size_t)size * sizeof(*table));

    if (table == NULL) {
        return false;
    }
    free(lanes->table);
    table_wipe(table, size);
    lanes->table = table;
    lanes->table_size = size;
    for (uint32_t i = 0; i < lanes->lanes.used; i++) {
        const uint64_t hash = mkto_lanes_at(lanes, i)->hash;
        table[table_slot(lanes, hash)] = slot_value(hash, i);
    }
    return true;
}

/* Removes without tombstones: what follows moves up, unless that puts it before its home. */
static void table_remove(struct mkto_lanes *lanes, uint64_t hash)
{
    uint32_t mask = lanes->table_size - 1;
    uint32_t hole = table_slot(lanes, hash);
    uint32_t slot = hole;

    for (;;) {
        slot = (slot + 1) & mask;
        uint32_t value = lanes->table[slot];
        if (value == SLOT_EMPTY) {
            break;
        }
        uint32_t home = table_home(lanes, mkto_lanes_at(lanes, slot_lane(value))->hash);
        if (((slot - home) & mask) >= ((slot - hole) & mask)) {
            lanes->table[hole] = value;
            hole = slot;
        }
    }
    lanes->table[hole] = SLOT_EMPTY;
}

uint32_t mkto_lanes_open(struct mkto_lanes *lanes, uint64_t hash, uint8_t channel,
                         enum mkto_lane_kind kind)
{
    if (lanes->lanes.live >= lanes->table_size / 4 * 3 && !table_grow(lanes)) {
        return MKTO_LANE_NONE;
    }
    uint32_t slot = table_slot(lanes, hash);
    if (lanes->table[slot] != SLOT_EMPTY) {
        return slot_lane(lanes->table[slot]);
    }
    uint32_t number = slab_take(&lanes->lanes);
    if (number == MKTO_LANE_NONE) {
        return MKTO_LANE_NONE;
    }
    struct mkto_lane *lane = mkto_lanes_at(lanes, number);
    memset(lane, 0, sizeof(*lane));
    lane->hash = hash;
    lane->first = lane->last = lane->next = MKTO_LANE_NONE;
    lane->channel = channel;
    lane->kind = (uint8_t)(kind & 3u);
    lane->state = MKTO_LANE_IDLE;
    lanes->table[slot] = slot_value(hash, number);
    return number;
}

uint32_t mkto_lanes_find(const struct mkto_lanes *lanes, uint64_t hash)
{
    return slot_lane(lanes->table[table_slot(lanes, hash)]);
}

static void shrink(struct mkto_lanes *lanes)
{
    if (lanes->lanes.live > 0 || lanes->table_size == TABLE_MIN) {
        return;
    }
    uint32_t *table = malloc(TABLE_MIN * sizeof(*table));
    if (table == NULL) {
        return;
    }
    free(lanes->table);
    lanes->table = table;
    lanes->table_size = TABLE_MIN;
    table_wipe(table, TABLE_MIN);
    free(lanes->heap);
    lanes->heap = NULL;
    lanes->heap_size = 0;
}

void mkto_lanes_close(struct mkto_lanes *lanes, uint32_t lane)
{
    table_remove(lanes, mkto_lanes_at(lanes, lane)->hash);
    slab_give(&lanes->lanes, lane);
    shrink(lanes);
}

/* ---- events ---- */

static struct event *event_at(const struct mkto_lanes *lanes, uint32_t event)
{
    return slab_at(&lanes->events, event);
}

bool mkto_lanes_add(struct mkto_lanes *lanes, uint32_t lane, int64_t id)
{
    if (id < 0 || id > MKTO_LANES_ID_MAX || mkto_lanes_room(lanes) == 0) {
        return false;
    }
    uint32_t number = slab_take(&lanes->events);
    if (number == MKTO_LANE_NONE) {
        return false;
    }
    struct event *event = event_at(lanes, number);
    struct mkto_lane *at = mkto_lanes_at(lanes, lane);
    event->id_low = (uint32_t)id;
    event->id_high = (uint16_t)(id >> 32);
    event->next = MKTO_LANE_NONE;
    if (at->first == MKTO_LANE_NONE) {
        at->first = number;
    } else {
        event_at(lanes, at->last)->next = number;
    }
    at->last = number;
    return true;
}

void mkto_lanes_shift(struct mkto_lanes *lanes, uint32_t lane)
{
    struct mkto_lane *at = mkto_lanes_at(lanes, lane);
    uint32_t event = at->first;

    at->first = event_at(lanes, event)->next;
    if (at->first == MKTO_LANE_NONE) {
        at->last = MKTO_LANE_NONE;
    }
    slab_give(&lanes->events, event);
}

bool mkto_lanes_drop(struct mkto_lanes *lanes, uint32_t lane, int64_t id)
{
    struct mkto_lane *at = mkto_lanes_at(lanes, lane);
    uint32_t before = MKTO_LANE_NONE;
    uint32_t event = at->first;

    while (event != MKTO_LANE_NONE && mkto_lanes_event_id(lanes, event) != id) {
        before = event;
        event = event_at(lanes, event)->next;
    }
    if (event == MKTO_LANE_NONE) {
        return false;
    }
    if (before == MKTO_LANE_NONE) {
        mkto_lanes_shift(lanes, lane);
        return true;
    }
    event_at(lanes, before)->next = event_at(lanes, event)->next;
    if (at->last == event) {
        at->last = before;
    }
    slab_give(&lanes->events, event);
    return true;
}

int64_t mkto_lanes_event_id(const struct mkto_lanes *lanes, uint32_t event)
{
    const struct event *at = event_at(lanes, event);
    return (int64_t)((uint64_t)at->id_high << 32 | at->id_low);
}

uint32_t mkto_lanes_event_next(const struct mkto_lanes *lanes, uint32_t event)
{
    return event_at(lanes, event)->next;
}

/* ---- the heap ---- */

static uint64_t heap_due(const struct mkto_lanes *lanes, uint32_t at)
{
    return mkto_lanes_at(lanes, lanes->heap[at])->due;
}

static void heap_swap(struct mkto_lanes *lanes, uint32_t a, uint32_t b)
{
    uint32_t lane = lanes->heap[a];
    lanes->heap[a] = lanes->heap[b];
    lanes->heap[b] = lane;
}

static void heap_up(struct mkto_lanes *lanes, uint32_t at)
{
    while (at > 0 && heap_due(lanes, at) < heap_due(lanes, (at - 1) / 2)) {
        heap_swap(lanes, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void heap_down(struct mkto_lanes *lanes)
{
    uint32_t at = 0;

    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < lanes->heap_count && heap_due(lanes, child) < heap_due(lanes, least)) {
                least = child;
            }
        }
        if (least == at) {
            return;
        }
        heap_swap(lanes, at, least);
        at = least;
    }
}

static void heap_room(struct mkto_lanes *lanes)
{
    if (lanes->heap_count < lanes->heap_size) {
        return;
    }
    uint32_t size = lanes->heap_size == 0 ? HEAP_MIN : lanes->heap_size + lanes->heap_size / 2;
    uint32_t *heap = realloc(lanes->heap, (size_t)size * sizeof(*heap));
    if (heap == NULL) {
        abort(); /* a lane that is nowhere would be lost for this life; a restart finds it again */
    }
    lanes->heap = heap;
    lanes->heap_size = size;
}

void mkto_lanes_wait(struct mkto_lanes *lanes, uint32_t lane, uint64_t due)
{
    struct mkto_lane *at = mkto_lanes_at(lanes, lane);

    heap_room(lanes);
    at->due = due;
    at->state = MKTO_LANE_WAITING;
    lanes->heap[lanes->heap_count] = lane;
    heap_up(lanes, lanes->heap_count++);
}

uint32_t mkto_lanes_due(struct mkto_lanes *lanes, uint64_t now)
{
    if (lanes->heap_count == 0 || heap_due(lanes, 0) > now) {
        return MKTO_LANE_NONE;
    }
    uint32_t lane = lanes->heap[0];
    lanes->heap[0] = lanes->heap[--lanes->heap_count];
    heap_down(lanes);
    mkto_lanes_at(lanes, lane)->state = MKTO_LANE_IDLE;
    return lane;
}

uint64_t mkto_lanes_next_due(const struct mkto_lanes *lanes)
{
    return lanes->heap_count == 0 ? UINT64_MAX : heap_due(lanes, 0);
}

/* ---- queues ---- */

void mkto_lanes_push(struct mkto_lanes *lanes, struct mkto_lane_queue *queue, uint32_t lane,
                     uint64_t since)
{
    struct mkto_lane *at = mkto_lanes_at(lanes, lane);

    at->due = since;
    at->state = MKTO_LANE_READY;
    at->next = MKTO_LANE_NONE;
    if (queue->first == MKTO_LANE_NONE) {
        queue->first = lane;
    } else {
        mkto_lanes_at(lanes, queue->last)->next = lane;
    }
    queue->last = lane;
    queue->count++;
}

void mkto_lanes_push_front(struct mkto_lanes *lanes, struct mkto_lane_queue *queue, uint32_t lane,
                           uint64_t since)
{
    struct mkto_lane *at = mkto_lanes_at(lanes, lane);

    at->due = since;
    at->state = MKTO_LANE_READY;
    at->next = queue->first;
    queue->first = lane;
    if (queue->last == MKTO_LANE_NONE) {
        queue->last = lane;
    }
    queue->count++;
}

uint32_t mkto_lanes_take(struct mkto_lanes *lanes, struct mkto_lane_queue *queue)
{
    uint32_t lane = queue->first;

    if (lane == MKTO_LANE_NONE) {
        return lane;
    }
    struct mkto_lane *at = mkto_lanes_at(lanes, lane);
    queue->first = at->next;
    if (queue->first == MKTO_LANE_NONE) {
        queue->last = MKTO_LANE_NONE;
    }
    queue->count--;
    at->next = MKTO_LANE_NONE;
    at->state = MKTO_LANE_BUSY;
    return lane;
}

void mkto_lanes_oldest(const struct mkto_lanes *lanes, uint8_t channel,
                       int64_t ids[MKTO_LANE_KINDS])
{
    for (int kind = 0; kind < MKTO_LANE_KINDS; kind++) {
        ids[kind] = INT64_MAX;
    }
    for (uint32_t i = 0; i < lanes->lanes.used; i++) {
        const struct mkto_lane *lane = mkto_lanes_at(lanes, i);
        if (lane->channel != channel || lane->first == MKTO_LANE_NONE) {
            continue;
        }
        int64_t id = mkto_lanes_event_id(lanes, lane->first);
        if (id < ids[lane->kind]) {
            ids[lane->kind] = id;
        }
    }
}
