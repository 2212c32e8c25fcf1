/*
 * A spool whose file is damaged inside: every row that can still be read goes into a new file
 * beside it, which then takes its place. SQLite writes nothing through a broken page, and its
 * neighbours read it to balance themselves, so that without this one page would stop all delivery.
 */
#include "mkto_spool_db.h"

#include <apr_tables.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#define HIDDEN_MAX 65536   /* events in one gap at the end of the table, at most */
#define PROBES_A_STEP 1024 /* probes after which steps over what is unreadable become longer */

/* Ids of events that the damage hides, both ends in it. */
struct hidden {
    int64_t from;
    int64_t to;
};

/* One table on its way, from the damaged file into the new one. */
struct passage {
    struct mkto_spool *from;
    struct mkto_spool *to;
    sqlite3_stmt *put;
    apr_array_header_t *hidden; /* struct hidden, the newest first; NULL: of no interest */
};

static bool is_damage(int rc)
{
    return rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB;
}

static sqlite3_stmt *prepare(struct mkto_spool *spool, const char *sql, const char *table,
                             struct mkto_error *err)
{
    char text[128];
    sqlite3_stmt *statement = NULL;
    sqlite3_snprintf(sizeof(text), text, sql, table);
    if (sqlite3_prepare_v2(spool->db, text, -1, &statement, NULL) != SQLITE_OK) {
        mkto_spool_complain(spool, "salvage", err);
        return NULL;
    }
    return statement;
}

/* One row as it is. One that is there already, or that the damage has made impossible, is passed
 * over. */
static int put_row(const struct passage *passage, sqlite3_stmt *row, struct mkto_error *err)
{
    for (int i = 0; i < sqlite3_column_count(row); i++) {
        sqlite3_bind_value(passage->put, i + 1, sqlite3_column_value(row, i));
    }
    const int rc = sqlite3_step(passage->put);
    sqlite3_reset(passage->put);
    return rc == SQLITE_DONE || rc == SQLITE_CONSTRAINT || rc == SQLITE_MISMATCH
               ? 0
               : mkto_spool_complain(passage->to, "salvage", err);
}

/* ---- tables with ids: from the newest row down ---- */

/* Copies from id `at` down. SQLITE_DONE at the end, SQLITE_CORRUPT where it cannot go on; *lowest
 * is the last id that was copied. */
static int copy_down(const struct passage *passage, sqlite3_stmt *down, int64_t at, int64_t *lowest,
                     struct mkto_error *err)
{
    int rc;
    sqlite3_bind_int64(down, 1, at);
    while ((rc = sqlite3_step(down)) == SQLITE_ROW) {
        const int64_t id = sqlite3_column_int64(down, 0);
        if (id < 1 || id > at || (*lowest <= at && id >= *lowest)) {
            rc = SQLITE_CORRUPT; /* the order of ids is the tree's own: this page lies */
            break;
        }
        if (put_row(passage, down, err) != 0) {
            rc = SQLITE_ERROR;
            break;
        }
        *lowest = id;
    }
    if (rc != SQLITE_DONE && rc != SQLITE_ERROR && !is_damage(rc)) {
        mkto_spool_complain(passage->from, "salvage", err);
    }
    sqlite3_reset(down);
    return rc;
}

static int look(sqlite3_stmt *one, int64_t id)
{
    sqlite3_bind_int64(one, 1, id);
    const int rc = sqlite3_step(one);
    sqlite3_reset(one);
    return rc;
}

static void note_hidden(const struct passage *passage, int64_t from, int64_t to)
{
    if (passage->hidden != NULL) {
        APR_ARRAY_PUSH(passage->hidden, struct hidden) = (struct hidden){from, to};
    }
}

/*
 * Everything from `above` up is dealt with. Below a page that cannot be read, ids are probed one by
 * one; when it hides very many (the first page of a long life does) in growing steps, and where a
 * step finds something else than the one before, again one by one.
 */
static int walk(const struct passage *passage, sqlite3_stmt *down, sqlite3_stmt *one, int64_t top,
                struct mkto_error *err)
{
    int64_t above = top + 1;
    int64_t probes = 0;
    bool dark = false;
    while (above > 1) {
        const int64_t step = 1 + probes / PROBES_A_STEP;
        const int64_t at = above > step ? above - step : 1;
        const int seen = look(one, at);
        if (is_damage(seen) != dark && step > 1) {
            probes = 0;
            continue;
        }
        dark = is_damage(seen);
        int64_t lowest = at + 1;
        int rc = SQLITE_CORRUPT;
        if (dark) {
            note_hidden(passage, at, above - 1);
        } else if ((rc = copy_down(passage, down, at, &lowest, err)) != SQLITE_DONE &&
                   !is_damage(rc)) {
            return -1;
        }
        if (step > 1 && (rc == SQLITE_DONE || lowest <= at)) {
            probes = 0; /* what was stepped over may be readable, too */
            continue;
        }
        if (rc == SQLITE_DONE) {
            return 0;
        }
        probes = lowest <= at ? 0 : probes + 1;
        above = lowest <= at ? lowest : at;
    }
    return 0;
}

static int copy_ids(struct passage *passage, const char *table, const char *put, int64_t top,
                    struct mkto_error *err)
{
    sqlite3_stmt *down =
        prepare(passage->from, "SELECT * FROM %s WHERE id <= ?1 ORDER BY id DESC", table, err);
    sqlite3_stmt *one = prepare(passage->from, "SELECT * FROM %s WHERE id = ?1", table, err);
    passage->put = prepare(passage->to, put, table, err);
    int result = -1;
    if (down != NULL && one != NULL && passage->put != NULL) {
        result = walk(passage, down, one, top, err);
    }
    sqlite3_finalize(down);
    sqlite3_finalize(one);
    sqlite3_finalize(passage->put);
    return result;
}

/* ---- tables that only spare work: up to the damage, and from the other end down to it ---- */

static int copy_until_damage(const struct passage *passage, sqlite3_stmt *rows,
                             struct mkto_error *err)
{
    int rc;
    while ((rc = sqlite3_step(rows)) == SQLITE_ROW) {
        if (put_row(passage, rows, err) != 0) {
            return -1;
        }
    }
    return rc == SQLITE_DONE || is_damage(rc) ? 0
                                              : mkto_spool_complain(passage->from, "salvage", err);
}

static int copy_ends(struct passage *passage, const char *table, const char *put, const char *up,
                     const char *down, struct mkto_error *err)
{
    const char *const ways[] = {up, down};
    passage->put = prepare(passage->to, put, table, err);
    int result = passage->put == NULL ? -1 : 0;
    for (int i = 0; i < 2 && result == 0; i++) {
        sqlite3_stmt *rows = prepare(passage->from, ways[i], table, err);
        result = rows == NULL ? -1 : copy_until_damage(passage, rows, err);
        sqlite3_finalize(rows);
    }
    sqlite3_finalize(passage->put);
    return result;
}

/* ---- the new file ---- */

static int64_t count_rows(struct mkto_spool *spool, const char *table, struct mkto_error *err)
{
    sqlite3_stmt *statement = prepare(spool, "SELECT count(*) FROM %s", table, err);
    const int64_t count = statement != NULL && sqlite3_step(statement) == SQLITE_ROW
                              ? sqlite3_column_int64(statement, 0)
                              : -1;
    sqlite3_finalize(statement);
    return count;
}

/*
 * As many events as are missing get a row without contents, which dispatch then names and buries as
 * it does any bad row: those with the newest ids that the damage hides, for of older ones more were
 * delivered before.
 */
static int64_t name_missing(const struct passage *passage, int64_t missing, struct mkto_error *err)
{
    sqlite3_stmt *put =
        prepare(passage->to, "INSERT OR IGNORE INTO %s VALUES (?1, x'')", "event", err);
    int64_t named = put == NULL ? -1 : 0;
    for (int i = 0; i < passage->hidden->nelts && named >= 0; i++) {
        const struct hidden *hidden = &APR_ARRAY_IDX(passage->hidden, i, struct hidden);
        for (int64_t id = hidden->to; id >= hidden->from && named >= 0 && named < missing; id--) {
            sqlite3_bind_int64(put, 1, id);
            const int rc = sqlite3_step(put);
            named = rc == SQLITE_DONE ? named + sqlite3_changes(passage->to->db)
                                      : mkto_spool_complain(passage->to, "salvage", err);
            sqlite3_reset(put);
        }
    }
    sqlite3_finalize(put);
    return named;
}

static int copy_tables(struct passage *passage, struct mkto_spool_salvaged *salvaged,
                       struct mkto_error *err)
{
    struct mkto_spool *from = passage->from;
    const int64_t last = from->tally.last_id;
    if (copy_ids(passage, "event", "INSERT OR IGNORE INTO %s VALUES (?,?)", last, err) != 0) {
        return -1;
    }
    salvaged->events = count_rows(passage->to, "event", err);
    if (from->guessed) {
        salvaged->unknown = true;
    } else {
        salvaged->hidden = name_missing(passage, mkto_spool_waiting(from) - salvaged->events, err);
    }
    passage->hidden = NULL;
    if (salvaged->events < 0 || salvaged->hidden < 0 ||
        copy_ids(passage, "retry", "INSERT OR IGNORE INTO %s VALUES (?,?,?,?,?,?,?)", last, err) !=
            0 ||
        copy_ids(passage, "dead", "INSERT OR IGNORE INTO %s VALUES (?,?,?,?,?,?,?,?,?,?)", last,
                 err) != 0 ||
        copy_ids(passage, "seen", "INSERT OR IGNORE INTO %s VALUES (?,?,?)", from->seen_row.id,
                 err) != 0) {
        return -1;
    }
    if (copy_ends(passage, "known", "INSERT OR IGNORE INTO %s VALUES (?,?,?,?)",
                  "SELECT * FROM %s ORDER BY token, lead",
                  "SELECT * FROM %s ORDER BY token DESC, lead DESC", err) != 0 ||
        copy_ends(passage, "sent", "INSERT OR IGNORE INTO %s VALUES (?,?,?)",
                  "SELECT * FROM %s ORDER BY lead", "SELECT * FROM %s ORDER BY lead DESC",
                  err) != 0) {
        return -1;
    }
    return copy_ends(passage, "state", "INSERT OR IGNORE INTO %s VALUES (?,?)",
                     "SELECT * FROM %s ORDER BY key", "SELECT * FROM %s ORDER BY key DESC", err);
}

static int put_tally(struct mkto_spool *to, struct mkto_spool_tally *tally, struct mkto_error *err)
{
    char sql[128];
    const int64_t events = count_rows(to, "event", err);
    const int64_t dead = count_rows(to, "dead", err);
    if (events < 0 || dead < 0) {
        return -1;
    }
    tally->gone = tally->last_id - events;
    tally->dead = dead;
    sqlite3_snprintf(sizeof(sql), sql, "REPLACE INTO tally VALUES (1, %lld, %lld, %lld)",
                     (long long)tally->last_id, (long long)tally->gone, (long long)tally->dead);
    return sqlite3_exec(to->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : mkto_spool_complain(to, "salvage", err);
}

/* Without a journal: a file that is not finished is thrown away. */
static int fill(struct mkto_spool *spool, struct mkto_spool *to, struct mkto_spool_tally *tally,
                struct mkto_spool_salvaged *salvaged, struct mkto_error *err, apr_pool_t *pool)
{
    struct passage passage = {spool, to, NULL, apr_array_make(pool, 16, sizeof(struct hidden))};
    if (mkto_spool_schema_create(to, err) != 0) {
        return -1;
    }
    if (sqlite3_exec(to->db, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN", NULL,
                     NULL, NULL) != SQLITE_OK) {
        return mkto_spool_complain(to, "salvage", err);
    }
    if (copy_tables(&passage, salvaged, err) != 0 || put_tally(to, tally, err) != 0) {
        return -1;
    }
    return sqlite3_exec(to->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : mkto_spool_complain(to, "salvage", err);
}

static int rebuild(struct mkto_spool *spool, struct mkto_spool_tally *tally,
                   struct mkto_spool_salvaged *salvaged, struct mkto_error *err)
{
    struct mkto_spool to = {.path = spool->path};
    char name[PATH_MAX];
    apr_pool_t *pool;
    if (mkto_spool_file_new(spool->path, name, sizeof(name), err) != 0) {
        return -1;
    }
    if (apr_pool_create(&pool, spool->pool) != APR_SUCCESS) {
        return mkto_error_set(err, "spool: out of memory");
    }
    int result = sqlite3_open_v2(name, &to.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    result = result != SQLITE_OK ? mkto_spool_complain(&to, "salvage", err)
                                 : fill(spool, &to, tally, salvaged, err, pool);
    sqlite3_close(to.db);
    apr_pool_destroy(pool);
    return result != 0 ? -1 : mkto_spool_file_sync(spool->path, name, err);
}

static bool readable(sqlite3_stmt *one, int64_t id)
{
    return !is_damage(look(one, id));
}

/* The last page of the table answers for all ids after it, so that these cannot be read; what is
 * readable ends before it. */
int64_t mkto_spool_guess_last(struct mkto_spool *spool)
{
    struct mkto_error unused = MKTO_ERROR_INIT;
    sqlite3_stmt *one = prepare(spool, "SELECT id FROM %s WHERE id = ?1", "event", &unused);
    if (one == NULL) {
        return 0;
    }
    int64_t high = INT64_MAX / 2;
    int64_t low = high / 2;
    while (low > 0 && !readable(one, low)) {
        high = low;
        low /= 2;
    }
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        *(readable(one, middle) ? &low : &high) = middle;
    }
    for (int64_t gap = 1; gap <= HIDDEN_MAX; gap++) {
        if (readable(one, low + gap)) { /* that was a broken page further up front */
            low += gap;
            gap = 0;
        }
    }
    sqlite3_finalize(one);
    return low + HIDDEN_MAX;
}

bool mkto_spool_damaged(const struct mkto_spool *spool)
{
    return spool->damaged;
}

/* From here on the spool may be without a file for a while; then the next try goes on here. */
static int take_place(struct mkto_spool *spool, int64_t now_ms, struct mkto_spool_opened *opened,
                      struct mkto_error *err)
{
    mkto_spool_disconnect(spool);
    return mkto_spool_file_set_aside(spool->path, now_ms, opened, err) != 0
               ? -1
               : mkto_spool_file_install(spool->path, err);
}

int mkto_spool_salvage(struct mkto_spool *spool, int64_t now_ms,
                       struct mkto_spool_salvaged *salvaged, struct mkto_error *err)
{
    struct mkto_spool_opened opened = {0};
    struct mkto_spool_tally tally = spool->tally;
    memset(salvaged, 0, sizeof(*salvaged));
    if (spool->busy) {
        return mkto_error_set(err, "spool: salvage inside of a transaction");
    }
    if (spool->db != NULL) {
        if (rebuild(spool, &tally, salvaged, err) != 0 ||
            take_place(spool, now_ms, &opened, err) != 0) {
            return -1;
        }
        spool->tally = tally;
    } else if (mkto_spool_file_resume(spool->path, now_ms, err) != 0) {
        return -1;
    }
    if (mkto_spool_connect(spool, err) != 0) {
        mkto_spool_disconnect(spool);
        return -1;
    }
    memcpy(salvaged->kept, opened.set_aside, sizeof(salvaged->kept));
    spool->seen_row.minute = -1; /* the newest row may be one that was lost */
    spool->damaged = false;
    spool->guessed = false;
    return 0;
}
