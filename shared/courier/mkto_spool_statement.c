/*
 * The SQL of the spool, all of it: prepared once, when the spool is opened.
 */
#include "mkto_spool_db.h"

#include <string.h>

/* An event with its retry, if there is one. */
#define ROWS                                                                                       \
    "SELECT e.id, e.envelope, r.id, r.stage, r.attempts, r.first, r.due, r.lead_id, r.answer "     \
    "FROM event e LEFT JOIN retry r ON r.id = e.id"

/* clang-format off */
static const char *const texts[MKTO_STMT_COUNT] = {
    [MKTO_STMT_BEGIN]       = "BEGIN IMMEDIATE",
    [MKTO_STMT_COMMIT]      = "COMMIT",
    [MKTO_STMT_ROLLBACK]    = "ROLLBACK",
    [MKTO_STMT_PAGES]       = "PRAGMA page_count",
    [MKTO_STMT_FREE_PAGES]  = "PRAGMA freelist_count",
    [MKTO_STMT_TALLY_PUT]   = "REPLACE INTO tally (id, last_id, gone, dead) VALUES (1, ?1, ?2, ?3)",
    [MKTO_STMT_APPEND]      = "INSERT INTO event (id, envelope) VALUES (?1, ?2)",
    [MKTO_STMT_READ]        = (ROWS " WHERE e.id > ?1 ORDER BY e.id LIMIT ?2"),
    [MKTO_STMT_GET]         = (ROWS " WHERE e.id = ?1"),
    [MKTO_STMT_HAS]         = "SELECT 1 FROM event WHERE id = ?1",
    [MKTO_STMT_DONE]        = "DELETE FROM event WHERE id = ?1",
    [MKTO_STMT_RETRY_DROP]  = "DELETE FROM retry WHERE id = ?1",
    [MKTO_STMT_RETRY_PUT]   = ("REPLACE INTO retry (id, stage, attempts, first, due, lead_id, answer)"
                               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"),
    [MKTO_STMT_SEEN_ADD]    = "INSERT INTO seen (id, at, hashes) VALUES (?1, ?2, ?3)",
    [MKTO_STMT_SEEN_GROW]   = "UPDATE seen SET hashes = ?3 WHERE id = ?1",
    [MKTO_STMT_SEEN_OLDEST] = "SELECT id, at, length(hashes) FROM seen ORDER BY id LIMIT ?1",
    [MKTO_STMT_SEEN_DROP]   = "DELETE FROM seen WHERE id <= ?1",
    [MKTO_STMT_DEAD_PUT]    = ("REPLACE INTO dead (id, subscription, kind, reason, answer, attempts, first, at, lead,"
                               " envelope) SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, envelope FROM event WHERE id = ?1"),
    [MKTO_STMT_DEAD_READ]   = ("SELECT id, subscription, kind, reason, answer, attempts, first, at, lead, envelope"
                               " FROM dead WHERE id > ?1 ORDER BY id LIMIT ?2"),
    [MKTO_STMT_DEAD_GET]    = "SELECT envelope FROM dead WHERE id = ?1",
    [MKTO_STMT_DEAD_DROP]   = "DELETE FROM dead WHERE id = ?1",
    [MKTO_STMT_DEAD_REASONS] = ("SELECT subscription, reason, letters FROM reason"
                                " WHERE ?1 IS NULL OR subscription = ?1 ORDER BY letters DESC, reason LIMIT ?2"),
    [MKTO_STMT_KNOWN_PUT]   = "REPLACE INTO known (token, lead, lead_id, at) VALUES (?1, ?2, ?3, ?4)",
    [MKTO_STMT_KNOWN_GET]   = "SELECT lead_id FROM known WHERE token = ?1 AND lead = ?2",
    [MKTO_STMT_KNOWN_LEAD]  = "SELECT lead_id, lead FROM known WHERE token = ?1 ORDER BY at DESC LIMIT 1",
    [MKTO_STMT_KNOWN_SWEEP] = ("SELECT max(token), count(*), sum(at < ?3) FROM"
                               " (SELECT token, at FROM known WHERE token > ?1 ORDER BY token LIMIT ?2)"),
    [MKTO_STMT_KNOWN_TRIM]  = "DELETE FROM known WHERE token > ?1 AND token <= ?2 AND at < ?3",
    [MKTO_STMT_KNOWN_COUNT] = "SELECT count(*) FROM known WHERE token > ?1 AND token <= ?2 AND lead = ?3",
    [MKTO_STMT_KNOWN_DROP]  = "DELETE FROM known WHERE token > ?1 AND token <= ?2 AND lead = ?3",
    [MKTO_STMT_KNOWN_WRONG] = "DELETE FROM known WHERE token = 0 AND lead = ?1 AND lead_id = ?2",
    [MKTO_STMT_KNOWN_NOBODY] = "DELETE FROM known WHERE token = ?1",
    [MKTO_STMT_SENT_PUT]    = "REPLACE INTO sent (lead, digest, at) VALUES (?1, ?2, ?3)",
    [MKTO_STMT_SENT_GET]    = "SELECT digest, at FROM sent WHERE lead = ?1",
    [MKTO_STMT_SENT_ANY]    = "SELECT EXISTS (SELECT 1 FROM sent)",
    [MKTO_STMT_SENT_SWEEP]  = ("SELECT max(lead), count(*), sum(at < ?3) FROM"
                               " (SELECT lead, at FROM sent WHERE lead > ?1 ORDER BY lead LIMIT ?2)"),
    [MKTO_STMT_SENT_TRIM]   = "DELETE FROM sent WHERE lead > ?1 AND lead <= ?2 AND at < ?3",
    [MKTO_STMT_SENT_DROP]   = "DELETE FROM sent WHERE lead = ?1",
    [MKTO_STMT_STATE_PUT]   = "REPLACE INTO state (key, value) VALUES (?1, ?2)",
    [MKTO_STMT_STATE_DROP]  = "DELETE FROM state WHERE key = ?1",
    [MKTO_STMT_STATE_GET]   = "SELECT value FROM state WHERE key = ?1",
    [MKTO_STMT_VACUUM]      = "PRAGMA incremental_vacuum(256)",
};
/* clang-format on */

const char *mkto_spool_statement_sql(enum mkto_spool_statement which)
{
    return texts[which];
}

int mkto_spool_prepare(struct mkto_spool *spool, struct mkto_error *err)
{
    for (int which = 0; which < MKTO_STMT_COUNT; which++) {
        if (sqlite3_prepare_v3(spool->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT,
                               &spool->statements[which], NULL) != SQLITE_OK) {
            return mkto_spool_complain(spool, "prepare", err);
        }
    }
    return 0;
}

int mkto_spool_complain(struct mkto_spool *spool, const char *what, struct mkto_error *err)
{
    const int system = sqlite3_system_errno(spool->db);
    return mkto_error_set(err, "spool: %s: %s (%d%s%s)", what, sqlite3_errmsg(spool->db),
                          sqlite3_extended_errcode(spool->db), system != 0 ? ", " : "",
                          system != 0 ? strerror(system) : "");
}

int mkto_spool_writing(struct mkto_spool *spool, struct mkto_error *err)
{
    if (!spool->busy) {
        return mkto_error_set(err, "spool: a write outside of begin and commit");
    }
    if (spool->failed) {
        return mkto_error_set(err, "spool: an earlier write of this transaction has failed");
    }
    return 0;
}

static void note_damage(struct mkto_spool *spool, int rc)
{
    if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB) {
        spool->damaged = true;
    }
}

int mkto_spool_run(struct mkto_spool *spool, enum mkto_spool_statement which, const char *what,
                   struct mkto_error *err)
{
    sqlite3_stmt *statement = spool->statements[which];
    const int rc = sqlite3_step(statement);
    if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
        mkto_spool_complain(spool, what, err);
        note_damage(spool, rc);
    }
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    if (rc == SQLITE_DONE || rc == SQLITE_ROW) {
        return 0;
    }
    if (spool->busy && !spool->failed) {
        mkto_spool_rollback(spool);
        spool->busy = true; /* the caller still ends what it has begun */
        spool->failed = true;
    }
    return -1;
}

int64_t mkto_spool_number(struct mkto_spool *spool, enum mkto_spool_statement which,
                          int64_t fallback)
{
    sqlite3_stmt *statement = spool->statements[which];
    const int rc = sqlite3_step(statement);
    const int64_t number = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : fallback;
    note_damage(spool, rc);
    sqlite3_reset(statement);
    return number;
}
