/*
 * Visits cost no budget and must not wait behind leads that do. While so many leads wait that there
 * is no room for more in memory, the loader stands still; then visits are looked for further on in
 * the spool, and put into their lanes ahead of it. All of them, so that each cookie's stay in
 * order. What is not a visit is left to the loader, which passes over what was loaded ahead.
 */
#include <stdlib.h>

#include "mkto_dispatch_state.h"

/* In ids, whole bytes of marks: with 2 million events in memory it is 32 million, and 4 MiB. */
static int64_t reach(const struct mkto_dispatch *dispatch)
{
    return (int64_t)dispatch->events_max * MKTO_DISPATCH_AHEAD_TIMES;
}

static uint8_t *mark_of(const struct mkto_dispatch *dispatch, int64_t id)
{
    return &dispatch->ahead.marks[id % reach(dispatch) / 8];
}

static uint8_t bit_of(int64_t id)
{
    return (uint8_t)(1u << (id % 8));
}

bool mkto_dispatch_ahead_may(const struct mkto_dispatch *dispatch)
{
    return dispatch->ahead.more && mkto_lanes_room(dispatch->lanes) >= MKTO_DISPATCH_LOAD_ROWS;
}

bool mkto_dispatch_ahead_has(const struct mkto_dispatch *dispatch, int64_t id)
{
    const struct ahead *ahead = &dispatch->ahead;

    return ahead->marks != NULL && id <= ahead->cursor &&
           (*mark_of(dispatch, id) & bit_of(id)) != 0;
}

void mkto_dispatch_ahead_clear(struct mkto_dispatch *dispatch)
{
    free(dispatch->ahead.marks);
    dispatch->ahead.marks = NULL;
}

void mkto_dispatch_ahead_passed(struct mkto_dispatch *dispatch, int64_t from, int64_t to)
{
    struct ahead *ahead = &dispatch->ahead;

    if (to == from) {
        return;
    }
    ahead->more = true;
    if (to >= ahead->cursor) {
        ahead->cursor = to;
        mkto_dispatch_ahead_clear(dispatch);
    }
    for (int64_t id = from + 1; id <= to && ahead->marks != NULL; id++) {
        *mark_of(dispatch, id) &= (uint8_t)~bit_of(id);
    }
}

/* Returns false when it is too far ahead. */
static bool look_at(struct mkto_dispatch *dispatch, const struct mkto_spool_row *row)
{
    struct ahead *ahead = &dispatch->ahead;
    struct reading reading = {.row = *row};

    if (row->id - dispatch->cursor > reach(dispatch)) {
        return false;
    }
    apr_pool_clear(dispatch->scratch);
    mkto_dispatch_read_row(dispatch, &reading, dispatch->scratch);
    if (reading.fate == FATE_TAKEN && reading.kind == MKTO_LANE_VISIT) {
        *mark_of(dispatch, row->id) |= bit_of(row->id);
        mkto_dispatch_place(dispatch, &reading);
    }
    ahead->cursor = row->id;
    return true;
}

bool mkto_dispatch_ahead_load(struct mkto_dispatch *dispatch)
{
    struct mkto_spool_row rows[MKTO_DISPATCH_LOAD_ROWS];
    struct ahead *ahead = &dispatch->ahead;
    apr_pool_t *pool;
    int seen = 0;

    if (ahead->marks == NULL) {
        ahead->marks = calloc((size_t)reach(dispatch) / 8, 1);
        ahead->more = ahead->marks != NULL; /* without memory they wait for the loader */
    }
    if (!ahead->more) {
        return false;
    }
    apr_pool_create(&pool, dispatch->pool);
    int count = mkto_dispatch_load_rows(dispatch, ahead->cursor, rows, pool);
    while (seen < count && look_at(dispatch, &rows[seen])) {
        seen++;
    }
    apr_pool_destroy(pool);
    ahead->more = seen == MKTO_DISPATCH_LOAD_ROWS || count < 0 ||
                  (seen > 0 && seen == count && dispatch->accepted > ahead->cursor);
    return seen == MKTO_DISPATCH_LOAD_ROWS;
}
