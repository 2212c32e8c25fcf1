/*
 * What the courier remembers beside the events: associated cookies, its own state; and the broom
 * for what is past its time.
 */
#include "mkto_spool_db.h"

#include <apr_strings.h>
#include <string.h>

#define SWEEP_ROWS 256         /* rows of sent and known looked at in one trim */
#define TRIM_SEEN_ROWS 512     /* rows of seen dropped in one trim */
#define VACUUM_FREE_PAGES 1024 /* free pages that are worth giving back: 8 MiB */

/* ---- known ---- */

int mkto_spool_known_put(struct mkto_spool *spool, uint64_t lead, uint64_t token, int64_t lead_id,
                         int64_t at_ms, struct mkto_error *err)
{
    sqlite3_stmt *statement = spool->statements[MKTO_STMT_KNOWN_PUT];
    if (mkto_spool_writing(spool, err) != 0) {
        return -1;
    }
    sqlite3_bind_int64(statement, 1, (int64_t)token);
    sqlite3_bind_int64(statement, 2, (int64_t)lead);
    sqlite3_bind_int64(statement, 3, lead_id);
    sqlite3_bind_int64(statement, 4, at_ms);
    return mkto_spool_run(spool, MKTO_STMT_KNOWN_PUT, "known", err);
}

int64_t mkto_spool_known_get(struct mkto_spool *spool, uint64_t lead, uint64_t token)
{
    sqlite3_stmt *statement = spool->statements[MKTO_STMT_KNOWN_GET];
    sqlite3_bind_int64(statement, 1, (int64_t)token);
    sqlite3_bind_int64(statement, 2, (int64_t)lead);
    return mkto_spool_number(spool, MKTO_STMT_KNOWN_GET, 0);
}

int64_t mkto_spool_known_lead(struct mkto_spool *spool, uint64_t token, uint64_t *lead)
{
    sqlite3_stmt *statement = spool->statements[MKTO_STMT_KNOWN_LEAD];
    int64_t lead_id = 0;
    sqlite3_bind_int64(statement, 1, (int64_t)token);
    if (sqlite3_step(statement) == SQLITE_ROW) {
        lead_id = sqlite3_column_int64(statement, 0);
        *lead = (uint64_t)sqlite3_column_int64(statement, 1);
    }
    sqlite3_reset(statement);
    return lead_id;
}

int mkto_spool_known_drop(struct mkto_spool *spool, uint64_t lead, uint64_t token, int64_t lead_id,
                          struct mkto_error *err)
{
    sqlite3_stmt *statement = spool->statements[MKTO_STMT_KNOWN_WRONG];
    if (mkto_spool_writing(spool, err) != 0) {
        return -1;
    }
    sqlite3_bind_int64(statement, 1, (int64_t)lead);
    sqlite3_bind_int64(statement, 2, lead_id);
    const int wrong = mkto_spool_run(spool, MKTO_STMT_KNOWN_WRONG, "known", err);
    if (wrong != 0 || token == 0) {
        return wrong;
    }
    sqlite3_bind_int64(spool->statements[MKTO_STMT_KNOWN_NOBODY], 1, (int64_t)token);
    return mkto_spool_run(spool, MKTO_STMT_KNOWN_NOBODY, "known", err);
}

/* ---- state ---- */

int mkto_spool_state_put(struct mkto_spool *spool, const char *key, const char *value,
                         struct mkto_error *err)
{
    const enum mkto_spool_statement which =
        value == NULL ? MKTO_STMT_STATE_DROP : MKTO_STMT_STATE_PUT;
    sqlite3_stmt *statement = spool->statements[which];
    if (mkto_spool_writing(spool, err) != 0) {
        return -1;
    }
    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    if (value != NULL) {
        sqlite3_bind_text(statement, 2, value, -1, SQLITE_STATIC);
    }
    return mkto_spool_run(spool, which, "state", err);
}

const char *mkto_spool_state_get(struct mkto_spool *spool, const char *key, apr_pool_t *pool)
{
    sqlite3_stmt *statement = spool->statements[MKTO_STMT_STATE_GET];
    const char *value = NULL;
    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW) {
        value = apr_pstrdup(pool, (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return value;
}

/* ---- trim ---- */

struct sweep {
    enum mkto_spool_statement look;
    enum mkto_spool_statement drop;
    int64_t *cursor;
    int64_t before_ms;
};

/* The next piece of a table, in key order. Returns 1 when something was dropped, 0, or -1. */
static int sweep_piece(struct mkto_spool *spool, const struct sweep *sweep, struct mkto_error *err)
{
    sqlite3_stmt *look = spool->statements[sweep->look];
    sqlite3_bind_int64(look, 1, *sweep->cursor);
    sqlite3_bind_int(look, 2, SWEEP_ROWS);
    sqlite3_bind_int64(look, 3, sweep->before_ms);
    const bool row = sqlite3_step(look) == SQLITE_ROW;
    const int64_t last = row ? sqlite3_column_int64(look, 0) : 0;
    const int64_t count = row ? sqlite3_column_int64(look, 1) : 0;
    const int64_t old = row ? sqlite3_column_int64(look, 2) : 0;
    sqlite3_reset(look);
    const int64_t from = *sweep->cursor;
    *sweep->cursor = count < SWEEP_ROWS ? INT64_MIN : last;
    if (old == 0) {
        return 0;
    }
    sqlite3_stmt *drop = spool->statements[sweep->drop];
    sqlite3_bind_int64(drop, 1, from);
    sqlite3_bind_int64(drop, 2, last);
    sqlite3_bind_int64(drop, 3, sweep->before_ms);
    return mkto_spool_run(spool, sweep->drop, "trim", err) == 0 ? 1 : -1;
}

/* Rows at the front whose time is past, and what the set in memory would not remember anyway. */
static int64_t oldest_to_drop(struct mkto_spool *spool, int64_t now_ms, int64_t *hashes, int *rows)
{
    sqlite3_stmt *look = spool->statements[MKTO_STMT_SEEN_OLDEST];
    int64_t last = 0;
    sqlite3_bind_int(look, 1, TRIM_SEEN_ROWS);
    while (sqlite3_step(look) == SQLITE_ROW) {
        const int64_t at = sqlite3_column_int64(look, 1);
        const int64_t count = sqlite3_column_int64(look, 2) / 8;
        const bool old = at + MKTO_SPOOL_SEEN_FOR_MS + 60000 < now_ms;
        if (!old && spool->seen_stored - *hashes - count < MKTO_SPOOL_SEEN_MAX) {
            break;
        }
        last = sqlite3_column_int64(look, 0);
        *hashes += count;
        (*rows)++;
    }
    sqlite3_reset(look);
    return last;
}

static int trim_seen(struct mkto_spool *spool, int64_t now_ms, struct mkto_error *err)
{
    int64_t hashes = 0;
    int rows = 0;
    mkto_spool_seen_expire(&spool->seen, now_ms);
    const int64_t last = oldest_to_drop(spool, now_ms, &hashes, &rows);
    if (rows == 0) {
        return 0;
    }
    sqlite3_bind_int64(spool->statements[MKTO_STMT_SEEN_DROP], 1, last);
    if (mkto_spool_run(spool, MKTO_STMT_SEEN_DROP, "trim", err) != 0) {
        return -1;
    }
    spool->seen_stored -= hashes;
    return rows == TRIM_SEEN_ROWS ? 1 : 0;
}

/* Gives pages back to the file system when most of a large file is empty. */
static int shrink(struct mkto_spool *spool, struct mkto_error *err)
{
    const int64_t pages = mkto_spool_number(spool, MKTO_STMT_PAGES, 0);
    const int64_t unused = mkto_spool_number(spool, MKTO_STMT_FREE_PAGES, 0);
    if (unused < VACUUM_FREE_PAGES || unused < pages / 2) {
        return 0;
    }
    int rc;
    while ((rc = sqlite3_step(spool->statements[MKTO_STMT_VACUUM])) == SQLITE_ROW) {
        continue;
    }
    sqlite3_reset(spool->statements[MKTO_STMT_VACUUM]);
    return rc == SQLITE_DONE ? 1 : mkto_spool_complain(spool, "trim", err);
}

static int trim_all(struct mkto_spool *spool, int64_t now_ms, struct mkto_error *err)
{
    const struct sweep known = {MKTO_STMT_KNOWN_SWEEP, MKTO_STMT_KNOWN_TRIM, &spool->known_cursor,
                                now_ms - MKTO_SPOOL_KNOWN_FOR_MS};
    const struct sweep sent = {MKTO_STMT_SENT_SWEEP, MKTO_STMT_SENT_TRIM, &spool->sent_cursor,
                               now_ms - MKTO_SPOOL_SENT_FOR_MS};
    const int a = trim_seen(spool, now_ms, err);
    const int b = a < 0 ? -1 : sweep_piece(spool, &known, err);
    const int c = b < 0 ? -1 : sweep_piece(spool, &sent, err);
    const int d = c < 0 ? -1 : shrink(spool, err);
    return d < 0 ? -1 : a | d;
}

int mkto_spool_trim(struct mkto_spool *spool, int64_t now_ms, struct mkto_error *err)
{
    if (mkto_spool_begin(spool, err) != 0) {
        return -1;
    }
    const int more = trim_all(spool, now_ms, err);
    if (more < 0) {
        mkto_spool_rollback(spool);
        return -1;
    }
    return mkto_spool_commit(spool, err) == 0 ? more : -1; /* nothing written: no fsync */
}
