#include "mkto_spool_db.h"

#include <apr_strings.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define ROOM_FREE_PAGES 128 /* pages inside of the file that are room, whatever its disk says */

void mkto_spool_disconnect(struct mkto_spool *spool)
{
    for (int which = 0; which < MKTO_STMT_COUNT; which++) {
        sqlite3_finalize(spool->statements[which]);
        spool->statements[which] = NULL;
    }
    sqlite3_close(spool->db);
    spool->db = NULL;
    spool->wal_frames = 0;
}

static apr_status_t close_at_cleanup(void *data)
{
    struct mkto_spool *spool = data;
    if (spool->busy) {
        mkto_spool_rollback(spool);
    }
    mkto_spool_disconnect(spool);
    mkto_spool_seen_free(&spool->seen);
    mkto_spool_sent_close(spool);
    free(spool->row);
    spool->row = NULL;
    if (spool->lock >= 0) {
        close(spool->lock); /* last: the next courier finds a closed file */
        spool->lock = -1;
    }
    return APR_SUCCESS;
}

static int open_database(struct mkto_spool *spool, struct mkto_error *err)
{
    char name[PATH_MAX];
    if (mkto_spool_file_name(spool->path, MKTO_SPOOL_FILE, name, sizeof(name), err) != 0) {
        return -1;
    }
    if (sqlite3_open_v2(name, &spool->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        return mkto_spool_complain(spool, "open", err);
    }
    return mkto_spool_schema_open(spool, err);
}

int mkto_spool_connect(struct mkto_spool *spool, struct mkto_error *err)
{
    return open_database(spool, err) != 0 ? -1 : mkto_spool_prepare(spool, err);
}

/* Opens the file; one that is broken is set aside, and a new one opened. */
static int open_or_replace(const struct mkto_spool_options *options, struct mkto_spool *spool,
                           int64_t now_ms, struct mkto_spool_opened *opened, struct mkto_error *err)
{
    struct mkto_error broken = MKTO_ERROR_INIT;
    const int rc = open_database(spool, &broken);
    if (rc == 0) {
        return 0;
    }
    if (rc < 0) {
        return mkto_error_set(err, "%s", broken.text);
    }
    sqlite3_close(spool->db);
    spool->db = NULL;
    if (!options->create) {
        return mkto_spool_file_broken(options, err);
    }
    if (mkto_spool_file_set_aside(spool->path, now_ms, opened, err) != 0 ||
        mkto_spool_file_create(options, err) != 0) {
        return -1;
    }
    return open_database(spool, err) == 0 ? 0 : -1;
}

static int64_t ask_number(struct mkto_spool *spool, const char *sql, int64_t fallback)
{
    sqlite3_stmt *statement = NULL;
    int64_t number = fallback;
    if (sqlite3_prepare_v2(spool->db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL) {
        number = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return number;
}

/* Behind a broken page nobody knows it; a salvage then begins with a guess that is too high. */
static int64_t newest_id(struct mkto_spool *spool)
{
    const int64_t newest = ask_number(spool, "SELECT ifnull(max(id), 0) FROM event", -1);
    if (newest >= 0) {
        return newest;
    }
    spool->guessed = true;
    spool->damaged = true;
    return mkto_spool_guess_last(spool);
}

static void load_tally(struct mkto_spool *spool)
{
    struct mkto_spool_tally *tally = &spool->tally;
    const int64_t newest = newest_id(spool);
    const int64_t oldest = ask_number(spool, "SELECT min(id) FROM event", 0);
    tally->last_id = ask_number(spool, "SELECT last_id FROM tally", 0);
    tally->gone = ask_number(spool, "SELECT gone FROM tally", oldest - 1);
    tally->dead = ask_number(spool, "SELECT dead FROM tally", 0);
    if (newest > tally->last_id) {
        tally->last_id = newest;
    }
    if (newest == 0) {
        tally->gone = tally->last_id;
    }
}

int mkto_spool_open(const struct mkto_spool_options *options, int64_t now_ms,
                    struct mkto_spool **spool, struct mkto_spool_opened *opened,
                    struct mkto_error *err, apr_pool_t *pool)
{
    struct mkto_spool *self = apr_pcalloc(pool, sizeof(*self));
    memset(opened, 0, sizeof(*opened));
    self->lock = -1;
    self->pool = pool;
    self->path = apr_pstrdup(pool, options->path);
    self->max_size = options->max_size;
    self->keep_free = options->keep_free;
    self->keep_free_percent = options->keep_free_percent;
    self->sent_cursor = INT64_MIN;
    self->known_cursor = INT64_MIN;
    mkto_spool_seen_init(&self->seen, MKTO_SPOOL_SEEN_MAX);
    apr_pool_cleanup_register(pool, self, close_at_cleanup, apr_pool_cleanup_null);
    if (mkto_spool_file_prepare(options, self, now_ms, opened, err) != 0 ||
        open_or_replace(options, self, now_ms, opened, err) != 0 ||
        mkto_spool_prepare(self, err) != 0 || mkto_spool_seen_load(self, now_ms, err) != 0) {
        mkto_spool_close(self);
        return -1;
    }
    load_tally(self);
    mkto_spool_sent_open(self, now_ms);
    *spool = self;
    return 0;
}

void mkto_spool_close(struct mkto_spool *spool)
{
    if (spool != NULL) {
        apr_pool_cleanup_run(spool->pool, spool, close_at_cleanup);
    }
}

/*
 * Takes what the WAL has grown into the file. Between two transactions, so that the events of the
 * last one have their answers already. Often, because its fsync stops everything: a small one keeps
 * the 99th percentile at a few ms. One that fails is tried again at the next begin; if it is the
 * disk, the commit will say so.
 */
static void checkpoint(struct mkto_spool *spool)
{
    if (spool->wal_frames >= MKTO_SPOOL_WAL_FRAMES) {
        sqlite3_wal_checkpoint_v2(spool->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    }
}

int mkto_spool_begin(struct mkto_spool *spool, struct mkto_error *err)
{
    if (spool->busy) {
        return mkto_error_set(err, "spool: begin inside of a transaction");
    }
    checkpoint(spool);
    if (mkto_spool_run(spool, MKTO_STMT_BEGIN, "begin", err) != 0) {
        return -1;
    }
    spool->busy = true;
    spool->failed = false;
    spool->before = spool->tally;
    spool->seen_before = spool->seen.end;
    spool->seen_row_next = spool->seen_row;
    return 0;
}

/* Failures leave SQLite's transaction open or not; both are right here. */
void mkto_spool_rollback(struct mkto_spool *spool)
{
    if (!spool->busy) {
        return;
    }
    if (sqlite3_get_autocommit(spool->db) == 0) {
        sqlite3_step(spool->statements[MKTO_STMT_ROLLBACK]);
        sqlite3_reset(spool->statements[MKTO_STMT_ROLLBACK]);
    }
    spool->tally = spool->before;
    mkto_spool_seen_undo(&spool->seen, spool->seen_before);
    spool->busy = false;
    spool->failed = false;
}

static int save_tally(struct mkto_spool *spool, struct mkto_error *err)
{
    if (spool->tally.gone == spool->before.gone && spool->tally.dead == spool->before.dead) {
        return 0;
    }
    sqlite3_stmt *statement = spool->statements[MKTO_STMT_TALLY_PUT];
    sqlite3_bind_int64(statement, 1, spool->tally.last_id);
    sqlite3_bind_int64(statement, 2, spool->tally.gone);
    sqlite3_bind_int64(statement, 3, spool->tally.dead);
    return mkto_spool_run(spool, MKTO_STMT_TALLY_PUT, "commit", err);
}

int mkto_spool_commit(struct mkto_spool *spool, struct mkto_error *err)
{
    if (mkto_spool_writing(spool, err) != 0 || save_tally(spool, err) != 0 ||
        mkto_spool_seen_save(spool, err) != 0 || mkto_spool_sent_save(spool, err) != 0 ||
        mkto_spool_run(spool, MKTO_STMT_COMMIT, "commit", err) != 0) {
        mkto_spool_rollback(spool);
        return -1;
    }
    spool->busy = false;
    spool->seen_row = spool->seen_row_next;
    spool->sent.saved = spool->sent.newest;
    spool->seen_stored += (int64_t)(spool->seen.end - spool->seen_before);
    return 0;
}

static int64_t used_pages(struct mkto_spool *spool, int64_t *unused)
{
    const int64_t pages = mkto_spool_number(spool, MKTO_STMT_PAGES, 0);
    *unused = mkto_spool_number(spool, MKTO_STMT_FREE_PAGES, 0);
    return pages - *unused;
}

int64_t mkto_spool_size(struct mkto_spool *spool)
{
    int64_t unused = 0;
    return used_pages(spool, &unused) * MKTO_SPOOL_PAGE;
}

static bool disk_has_room(struct mkto_spool *spool, struct mkto_error *err)
{
    struct statvfs fs;
    if (statvfs(spool->path, &fs) != 0) {
        mkto_error_set(err, "spool %s: %s", spool->path, strerror(errno));
        return false;
    }
    const uint64_t unit = fs.f_frsize;
    const uint64_t least = spool->keep_free > 0
                               ? (uint64_t)spool->keep_free
                               : (uint64_t)fs.f_blocks * unit / 100 * spool->keep_free_percent;
    const uint64_t left = (uint64_t)fs.f_bavail * unit;
    if (left >= least) {
        return true;
    }
    mkto_error_set(err, "spool: its file system has %llu bytes left, keep_free asks for %llu",
                   (unsigned long long)left, (unsigned long long)least);
    return false;
}

bool mkto_spool_room(struct mkto_spool *spool, struct mkto_error *err)
{
    int64_t unused = 0;
    const int64_t size = used_pages(spool, &unused) * MKTO_SPOOL_PAGE;
    if (size >= spool->max_size) {
        mkto_error_set(err, "spool: %lld bytes are in use, max_size is %lld", (long long)size,
                       (long long)spool->max_size);
        return false;
    }
    /* What was delivered has left pages in the file: filling them costs the disk nothing. */
    return unused >= ROOM_FREE_PAGES || disk_has_room(spool, err);
}

int64_t mkto_spool_last_id(const struct mkto_spool *spool)
{
    return spool->tally.last_id;
}

int64_t mkto_spool_waiting(const struct mkto_spool *spool)
{
    return spool->tally.last_id - spool->tally.gone;
}
