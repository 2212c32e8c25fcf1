/*
 * Dead letters: what could not be delivered, with the reason, until somebody looks at it.
 */
#include "mkto_spool_db.h"

#include <apr_strings.h>
#include <string.h>

int mkto_spool_bury(struct mkto_spool *spool, const struct mkto_spool_dead *dead,
                    struct mkto_error *err)
{
    sqlite3_stmt *statement = spool->statements[MKTO_STMT_DEAD_PUT];
    if (mkto_spool_writing(spool, err) != 0) {
        return -1;
    }
    sqlite3_bind_int64(statement, 1, dead->id);
    sqlite3_bind_text(statement, 2, dead->subscription, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 3, dead->kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 4, dead->reason, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 5, dead->answer, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 6, dead->attempts);
    sqlite3_bind_int64(statement, 7, dead->first_ms);
    sqlite3_bind_int64(statement, 8, dead->dead_ms);
    sqlite3_bind_int64(statement, 9, (int64_t)dead->lead);
    if (mkto_spool_run(spool, MKTO_STMT_DEAD_PUT, "bury", err) != 0) {
        return -1;
    }
    if (sqlite3_changes(spool->db) == 0) {
        return mkto_error_set(err, "spool: bury: there is no event %lld", (long long)dead->id);
    }
    spool->tally.dead++;
    return mkto_spool_done(spool, dead->id, err);
}

static const char *text_at(sqlite3_stmt *statement, int column, apr_pool_t *pool)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return text == NULL ? NULL : apr_pstrdup(pool, text);
}

static void read_dead(sqlite3_stmt *statement, struct mkto_spool_dead *dead, apr_pool_t *pool)
{
    dead->id = sqlite3_column_int64(statement, 0);
    dead->subscription = text_at(statement, 1, pool);
    dead->kind = text_at(statement, 2, pool);
    dead->reason = text_at(statement, 3, pool);
    dead->answer = text_at(statement, 4, pool);
    dead->attempts = (unsigned)sqlite3_column_int64(statement, 5);
    dead->first_ms = sqlite3_column_int64(statement, 6);
    dead->dead_ms = sqlite3_column_int64(statement, 7);
    dead->lead = (uint64_t)sqlite3_column_int64(statement, 8);
    mkto_spool_unpack(statement, 9, dead->id, &dead->envelope, &dead->raw, pool);
}

int mkto_spool_dead_read(struct mkto_spool *spool, int64_t after, int max,
                         struct mkto_spool_dead *rows, struct mkto_error *err, apr_pool_t *pool)
{
    sqlite3_stmt *statement = spool->statements[MKTO_STMT_DEAD_READ];
    int count = 0;
    int rc;
    sqlite3_bind_int64(statement, 1, after);
    sqlite3_bind_int(statement, 2, max);
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW && count < max) {
        read_dead(statement, &rows[count], pool);
        count++;
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        count = mkto_spool_complain(spool, "dead letters", err);
    }
    sqlite3_reset(statement);
    return count;
}

/* 0 with the envelope in the pool, or -1. */
static int dead_envelope(struct mkto_spool *spool, int64_t id, struct mkto_slice *envelope,
                         struct mkto_error *err, apr_pool_t *pool)
{
    sqlite3_stmt *statement = spool->statements[MKTO_STMT_DEAD_GET];
    struct mkto_slice raw;
    int result = 0;
    sqlite3_bind_int64(statement, 1, id);
    const int rc = sqlite3_step(statement);
    if (rc == SQLITE_DONE) {
        result = mkto_error_set(err, "spool: there is no dead letter %lld", (long long)id);
    } else if (rc != SQLITE_ROW) {
        result = mkto_spool_complain(spool, "replay", err);
    } else if (!mkto_spool_unpack(statement, 0, id, envelope, &raw, pool)) {
        result = mkto_error_set(err, "spool: dead letter %lld is damaged", (long long)id);
    }
    sqlite3_reset(statement);
    return result;
}

int mkto_spool_dead_purge(struct mkto_spool *spool, int64_t id, struct mkto_error *err)
{
    if (mkto_spool_writing(spool, err) != 0) {
        return -1;
    }
    sqlite3_bind_int64(spool->statements[MKTO_STMT_DEAD_DROP], 1, id);
    if (mkto_spool_run(spool, MKTO_STMT_DEAD_DROP, "purge", err) != 0) {
        return -1;
    }
    spool->tally.dead -= sqlite3_changes(spool->db);
    return 0;
}

int mkto_spool_dead_replay(struct mkto_spool *spool, int64_t id, int64_t *new_id,
                           struct mkto_error *err)
{
    apr_pool_t *scratch;
    struct mkto_slice envelope = MKTO_SLICE_NONE;
    if (mkto_spool_writing(spool, err) != 0) {
        return -1;
    }
    if (apr_pool_create(&scratch, spool->pool) != APR_SUCCESS) {
        return mkto_error_set(err, "spool: out of memory");
    }
    int result = dead_envelope(spool, id, &envelope, err, scratch);
    if (result == 0) {
        result = mkto_spool_append_raw(spool, envelope, new_id, err);
    }
    apr_pool_destroy(scratch);
    return result != 0 ? result : mkto_spool_dead_purge(spool, id, err);
}

int64_t mkto_spool_dead_count(struct mkto_spool *spool)
{
    return spool->tally.dead;
}

int mkto_spool_dead_reasons(struct mkto_spool *spool, const char *subscription, int max,
                            struct mkto_spool_reason *rows, struct mkto_error *err,
                            apr_pool_t *pool)
{
    sqlite3_stmt *statement = spool->statements[MKTO_STMT_DEAD_REASONS];
    int count = 0;
    int rc;
    sqlite3_bind_text(statement, 1, subscription, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 2, max);
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW && count < max) {
        rows[count].subscription = text_at(statement, 0, pool);
        rows[count].reason = text_at(statement, 1, pool);
        rows[count].letters = sqlite3_column_int64(statement, 2);
        count++;
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        count = mkto_spool_complain(spool, "dead letters", err);
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return count;
}
