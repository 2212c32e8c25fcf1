/*
 * The spool's tables, and how the connection is set up.
 */
#include "mkto_spool_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * auto_vacuum can only be chosen before the first table: it lets the file shrink again after a
 * long outage. secure_delete: what was delivered or forgotten is not left in free pages.
 */
static const char layout[] = "PRAGMA page_size = 8192;"
                             "PRAGMA auto_vacuum = INCREMENTAL;";

static const char tables[] =
    "BEGIN EXCLUSIVE;"
    "CREATE TABLE event (id INTEGER PRIMARY KEY, envelope BLOB NOT NULL);"
    "CREATE TABLE seen (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, hashes BLOB NOT NULL);"
    "CREATE TABLE retry (id INTEGER PRIMARY KEY, stage INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, first INTEGER NOT NULL, due INTEGER NOT NULL,"
    " lead_id INTEGER NOT NULL, answer TEXT);"
    "CREATE TABLE dead (id INTEGER PRIMARY KEY, subscription TEXT, kind TEXT, reason TEXT,"
    " answer TEXT, attempts INTEGER, first INTEGER, at INTEGER, lead INTEGER, envelope BLOB);"
    "CREATE TABLE known (token INTEGER, lead INTEGER, lead_id INTEGER, at INTEGER,"
    " PRIMARY KEY (token, lead)) WITHOUT ROWID;"
    "CREATE TABLE sent (lead INTEGER PRIMARY KEY, digest INTEGER, at INTEGER);"
    "CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
    "CREATE TABLE tally (id INTEGER PRIMARY KEY, last_id INTEGER, gone INTEGER, dead INTEGER);"
    "INSERT INTO tally VALUES (1, 0, 0, 0);"
    /* Insert, then count: an UPSERT would take over the conflict clause of the outer statement. */
    "CREATE TABLE reason (subscription TEXT, reason TEXT, letters INTEGER NOT NULL,"
    " PRIMARY KEY (subscription, reason)) WITHOUT ROWID;"
    "CREATE TRIGGER dead_in AFTER INSERT ON dead BEGIN"
    " INSERT INTO reason SELECT ifnull(NEW.subscription, ''), ifnull(NEW.reason, ''), 0 WHERE NOT"
    " EXISTS (SELECT 1 FROM reason WHERE subscription = ifnull(NEW.subscription, '')"
    " AND reason = ifnull(NEW.reason, ''));"
    " UPDATE reason SET letters = letters + 1 WHERE subscription = ifnull(NEW.subscription, '')"
    " AND reason = ifnull(NEW.reason, ''); END;"
    "CREATE TRIGGER dead_out AFTER DELETE ON dead BEGIN"
    " UPDATE reason SET letters = letters - 1 WHERE subscription = ifnull(OLD.subscription, '')"
    " AND reason = ifnull(OLD.reason, '');"
    " DELETE FROM reason WHERE letters <= 0; END;"
    "PRAGMA application_id = %d;"
    "PRAGMA user_version = %d;"
    "COMMIT;";

/*
 * One process writes, so the lock is kept and the WAL's index needs no shared memory. synchronous
 * FULL: in WAL mode only then is each commit fsynced, and a 200 promises that. No checkpoint of
 * SQLite's own: that would run inside of a commit, and whoever waits for it would wait for both
 * (see mkto_spool_begin).
 */
static const char settings[] = "PRAGMA synchronous = FULL;"
                               "PRAGMA wal_autocheckpoint = 0;"
                               "PRAGMA journal_size_limit = 16777216;"
                               "PRAGMA secure_delete = ON;"
                               "PRAGMA cache_size = -2048;"
                               "PRAGMA mmap_size = 0;"
                               "PRAGMA temp_store = MEMORY;"
                               "PRAGMA trusted_schema = OFF;";

/* 0; 1 when the file itself is broken; -1 for all that another file would not mend. */
static int execute(struct mkto_spool *spool, const char *sql, struct mkto_error *err)
{
    const int rc = sqlite3_exec(spool->db, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        return 0;
    }
    mkto_spool_complain(spool, "open", err);
    return rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT ? 1 : -1;
}

/* One row of one column; returns as execute does. */
static int ask(struct mkto_spool *spool, const char *sql, char *out, size_t size,
               struct mkto_error *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(spool->db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
    }
    if (rc == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        snprintf(out, size, "%s", text == NULL ? "" : text);
    } else {
        mkto_spool_complain(spool, "open", err);
    }
    sqlite3_finalize(statement);
    if (rc == SQLITE_ROW) {
        return 0;
    }
    return rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT ? 1 : -1;
}

static int use_wal(struct mkto_spool *spool, struct mkto_error *err)
{
    char mode[16];
    const int rc = ask(spool, "PRAGMA journal_mode = WAL", mode, sizeof(mode), err);
    if (rc == 0 && strcmp(mode, "wal") != 0) {
        return mkto_error_set(err, "spool: SQLite cannot use a WAL here (journal mode %s)", mode);
    }
    return rc;
}

int mkto_spool_schema_create(struct mkto_spool *spool, struct mkto_error *err)
{
    char sql[sizeof(tables) + 32];
    snprintf(sql, sizeof(sql), tables, MKTO_SPOOL_APPLICATION, MKTO_SPOOL_SCHEMA);
    const int rc = execute(spool, layout, err);
    return rc != 0 ? rc : execute(spool, sql, err);
}

/* The file may grow a little past max_size, so that what was accepted can still be worked off. */
static int limit_pages(struct mkto_spool *spool, struct mkto_error *err)
{
    char sql[64];
    const int64_t pages = spool->max_size / MKTO_SPOOL_PAGE;
    const int64_t reserve = pages / 16 > 256 ? pages / 16 : 256;
    snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %lld", (long long)(pages + reserve));
    return execute(spool, sql, err);
}

/* After each commit. */
static int count_frames(void *data, sqlite3 *db, const char *name, int frames)
{
    struct mkto_spool *spool = data;
    (void)db;
    (void)name;
    spool->wal_frames = frames;
    return SQLITE_OK;
}

int mkto_spool_schema_open(struct mkto_spool *spool, struct mkto_error *err)
{
    char text[16] = "";
    /* A file that we refuse is left as it is, with its WAL: no checkpoint at close until we know.
     */
    sqlite3_db_config(spool->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(spool->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    int rc = execute(spool, "PRAGMA locking_mode = EXCLUSIVE", err);
    rc = rc != 0 ? rc : ask(spool, "PRAGMA user_version", text, sizeof(text), err);
    const long version = strtol(text, NULL, 10);
    if (rc == 0 && version != 0 && version != MKTO_SPOOL_SCHEMA) {
        return mkto_error_set(err, "spool: schema version %ld, this courier knows %d", version,
                              MKTO_SPOOL_SCHEMA);
    }
    if (rc == 0 && version == 0) {
        rc = mkto_spool_schema_create(spool, err);
    }
    rc = rc != 0 ? rc : use_wal(spool, err);
    rc = rc != 0 ? rc : execute(spool, settings, err);
    rc = rc != 0 ? rc : limit_pages(spool, err);
    if (rc == 0) {
        sqlite3_db_config(spool->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
        sqlite3_wal_hook(spool->db, count_frames, spool);
    }
    return rc;
}
