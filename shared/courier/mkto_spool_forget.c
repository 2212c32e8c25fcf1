/*
 * Forgetting: what is remembered of a lead beside its events.
 */
#include "mkto_spool_db.h"

/* The end of the next piece of `known`. Returns how many rows it has. */
static int64_t next_piece(struct mkto_spool *spool, int64_t from, int64_t *last)
{
    sqlite3_stmt *look = spool->statements[MKTO_STMT_KNOWN_SWEEP];
    int64_t count = 0;
    sqlite3_bind_int64(look, 1, from);
    sqlite3_bind_int(look, 2, MKTO_SPOOL_KNOWN_LOOK);
    sqlite3_bind_int64(look, 3, 0);
    if (sqlite3_step(look) == SQLITE_ROW) {
        *last = sqlite3_column_int64(look, 0);
        count = sqlite3_column_int64(look, 1);
    }
    sqlite3_reset(look);
    return count;
}

static void bind_piece(sqlite3_stmt *statement, int64_t from, int64_t last, uint64_t lead)
{
    sqlite3_bind_int64(statement, 1, from);
    sqlite3_bind_int64(statement, 2, last);
    sqlite3_bind_int64(statement, 3, (int64_t)lead);
}

static int drop_piece(struct mkto_spool *spool, int64_t from, int64_t last, uint64_t lead,
                      struct mkto_error *err)
{
    if (mkto_spool_writing(spool, err) != 0) {
        return -1;
    }
    bind_piece(spool->statements[MKTO_STMT_KNOWN_DROP], from, last, lead);
    if (mkto_spool_run(spool, MKTO_STMT_KNOWN_DROP, "forget", err) != 0) {
        return -1;
    }
    return sqlite3_changes(spool->db);
}

int mkto_spool_known_forget(struct mkto_spool *spool, uint64_t lead, bool drop, int64_t *cursor,
                            struct mkto_error *err)
{
    int64_t last = INT64_MAX;
    int found = 0;
    const int64_t from = *cursor;
    const int64_t rows = next_piece(spool, from, &last);
    *cursor = rows < MKTO_SPOOL_KNOWN_LOOK ? INT64_MAX : last;
    if (rows == 0) {
        return 0;
    }
    if (drop) {
        found = drop_piece(spool, from, last, lead, err);
    } else {
        bind_piece(spool->statements[MKTO_STMT_KNOWN_COUNT], from, last, lead);
        found = (int)mkto_spool_number(spool, MKTO_STMT_KNOWN_COUNT, 0);
    }
    return found;
}

int mkto_spool_sent_drop(struct mkto_spool *spool, uint64_t lead, struct mkto_error *err)
{
    if (mkto_spool_writing(spool, err) != 0) {
        return -1;
    }
    sqlite3_bind_int64(spool->statements[MKTO_STMT_SENT_DROP], 1, (int64_t)lead);
    if (mkto_spool_run(spool, MKTO_STMT_SENT_DROP, "forget", err) != 0) {
        return -1;
    }
    return sqlite3_changes(spool->db);
}
