/*
 * Events in the spool: accepted, read, done; and the message ids that go with them.
 */
#include "mkto_spool_db.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "mkto_spool_crc.h"

#define CRC_SIZE 4
#define SEEN_ROW_MAX 256 /* hashes; a commit with more has a row of its own */
#define MINUTE_MS 60000

static void put_64(uint8_t *out, uint64_t number)
{
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)(number >> (8 * i));
    }
}

static uint64_t get_64(const uint8_t *in)
{
    uint64_t number = 0;
    for (int i = 7; i >= 0; i--) {
        number = number << 8 | in[i];
    }
    return number;
}

/* The id goes in, so that a row which turns up under another id is a bad one. */
static uint32_t row_crc(int64_t id, const void *envelope, size_t len)
{
    uint8_t prefix[8];
    put_64(prefix, (uint64_t)id);
    return mkto_spool_crc(mkto_spool_crc(0, prefix, sizeof(prefix)), envelope, len);
}

static int row_space(struct mkto_spool *spool, size_t size, struct mkto_error *err)
{
    if (size <= spool->row_size) {
        return 0;
    }
    uint8_t *row = realloc(spool->row, size);
    if (row == NULL) {
        return mkto_error_set(err, "spool: out of memory");
    }
    spool->row = row;
    spool->row_size = size;
    return 0;
}

int mkto_spool_append_raw(struct mkto_spool *spool, struct mkto_slice envelope, int64_t *id,
                          struct mkto_error *err)
{
    const size_t size = CRC_SIZE + envelope.len;
    if (mkto_spool_writing(spool, err) != 0 || row_space(spool, size, err) != 0) {
        return -1;
    }
    const int64_t next = spool->tally.last_id + 1;
    const uint32_t crc = row_crc(next, envelope.data, envelope.len);
    for (int i = 0; i < CRC_SIZE; i++) {
        spool->row[i] = (uint8_t)(crc >> (8 * i));
    }
    memcpy(spool->row + CRC_SIZE, envelope.data, envelope.len);
    sqlite3_stmt *statement = spool->statements[MKTO_STMT_APPEND];
    sqlite3_bind_int64(statement, 1, next);
    sqlite3_bind_blob64(statement, 2, spool->row, size, SQLITE_STATIC);
    if (mkto_spool_run(spool, MKTO_STMT_APPEND, "append", err) != 0) {
        return -1;
    }
    spool->tally.last_id = next;
    *id = next;
    return 0;
}

bool mkto_spool_seen(struct mkto_spool *spool, uint64_t message_hash)
{
    return message_hash != 0 && mkto_spool_seen_has(&spool->seen, message_hash);
}

int mkto_spool_append(struct mkto_spool *spool, struct mkto_slice envelope, uint64_t message_hash,
                      int64_t now_ms, int64_t *id, struct mkto_error *err)
{
    if (mkto_spool_append_raw(spool, envelope, id, err) != 0) {
        return -1;
    }
    if (message_hash != 0) {
        if (spool->seen.end == spool->seen_before) {
            spool->seen_at_ms = now_ms;
        }
        mkto_spool_seen_add(&spool->seen, message_hash, now_ms);
    }
    return 0;
}

/* ---- the seen rows ---- */

/* Writes the hashes from `first` on as one row's blob. */
static int bind_hashes(struct mkto_spool *spool, sqlite3_stmt *statement, uint64_t first,
                       struct mkto_error *err)
{
    const struct mkto_spool_seen *seen = &spool->seen;
    const size_t size = (size_t)(seen->end - first) * 8;
    if (row_space(spool, size, err) != 0) {
        return -1;
    }
    for (uint64_t number = first; number < seen->end; number++) {
        put_64(spool->row + (number - first) * 8, mkto_spool_seen_at(seen, number));
    }
    sqlite3_bind_blob64(statement, 3, spool->row, size, SQLITE_STATIC);
    return 0;
}

/* The page of the newest row is written anyway, so small commits share a row: a start after a slow
 * day reads thousands of them and not a million. */
static bool row_goes_on(const struct mkto_spool *spool, uint64_t first)
{
    const struct mkto_spool_seen_row *row = &spool->seen_row;
    return row->minute == spool->seen_at_ms / MINUTE_MS && row->first >= spool->seen.first &&
           first > row->first && spool->seen.end - row->first <= SEEN_ROW_MAX;
}

int mkto_spool_seen_save(struct mkto_spool *spool, struct mkto_error *err)
{
    const struct mkto_spool_seen *seen = &spool->seen;
    const uint64_t first = spool->seen_before > seen->first ? spool->seen_before : seen->first;
    if (first >= seen->end) {
        return 0;
    }
    const bool grow = row_goes_on(spool, first);
    const enum mkto_spool_statement which = grow ? MKTO_STMT_SEEN_GROW : MKTO_STMT_SEEN_ADD;
    struct mkto_spool_seen_row *row = &spool->seen_row_next;
    if (!grow) {
        row->id++;
        row->minute = spool->seen_at_ms / MINUTE_MS;
        row->first = first;
    }
    sqlite3_stmt *statement = spool->statements[which];
    sqlite3_bind_int64(statement, 1, row->id);
    if (!grow) {
        sqlite3_bind_int64(statement, 2, spool->seen_at_ms);
    }
    if (bind_hashes(spool, statement, row->first, err) != 0) {
        return -1;
    }
    return mkto_spool_run(spool, which, "commit", err);
}

int mkto_spool_seen_load(struct mkto_spool *spool, int64_t now_ms, struct mkto_error *err)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(spool->db, "SELECT id, at, hashes FROM seen ORDER BY id", -1, &statement,
                           NULL) != SQLITE_OK) {
        return mkto_spool_complain(spool, "open", err);
    }
    int rc;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        const int64_t at = sqlite3_column_int64(statement, 1);
        const uint8_t *hashes = sqlite3_column_blob(statement, 2);
        const int size = sqlite3_column_bytes(statement, 2);
        spool->seen_row.id = sqlite3_column_int64(statement, 0);
        spool->seen_stored += size / 8;
        for (int i = 0; i + 8 <= size && at > now_ms - MKTO_SPOOL_SEEN_FOR_MS; i += 8) {
            mkto_spool_seen_add(&spool->seen, get_64(hashes + i), at);
        }
    }
    spool->seen_row.minute = -1;
    /* A damaged page costs part of the set, not the events. */
    if (rc != SQLITE_DONE && rc != SQLITE_CORRUPT) {
        mkto_spool_complain(spool, "open", err);
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE || rc == SQLITE_CORRUPT ? 0 : -1;
}

/* ---- reading ---- */

bool mkto_spool_unpack(sqlite3_stmt *statement, int column, int64_t id, struct mkto_slice *envelope,
                       struct mkto_slice *raw, apr_pool_t *pool)
{
    const uint8_t *row = sqlite3_column_blob(statement, column);
    const size_t size = (size_t)sqlite3_column_bytes(statement, column);
    *envelope = MKTO_SLICE_NONE;
    *raw = MKTO_SLICE_NONE;
    if (row == NULL || size < CRC_SIZE) {
        return false;
    }
    uint32_t crc = 0;
    for (int i = CRC_SIZE - 1; i >= 0; i--) {
        crc = crc << 8 | row[i];
    }
    const bool good = crc == row_crc(id, row + CRC_SIZE, size - CRC_SIZE);
    *(good ? envelope : raw) =
        (struct mkto_slice){apr_pmemdup(pool, row + CRC_SIZE, size - CRC_SIZE), size - CRC_SIZE};
    return good;
}

static void read_row(sqlite3_stmt *statement, struct mkto_spool_row *row, apr_pool_t *pool)
{
    memset(row, 0, sizeof(*row));
    row->id = sqlite3_column_int64(statement, 0);
    row->bad = !mkto_spool_unpack(statement, 1, row->id, &row->envelope, &row->raw, pool);
    row->has_retry = sqlite3_column_type(statement, 2) != SQLITE_NULL;
    if (!row->has_retry) {
        return;
    }
    const char *answer = (const char *)sqlite3_column_text(statement, 8);
    row->retry.stage = sqlite3_column_int(statement, 3);
    row->retry.attempts = (unsigned)sqlite3_column_int64(statement, 4);
    row->retry.first_ms = sqlite3_column_int64(statement, 5);
    row->retry.due_ms = sqlite3_column_int64(statement, 6);
    row->retry.lead_id = sqlite3_column_int64(statement, 7);
    row->retry.answer = answer == NULL ? NULL : apr_pstrdup(pool, answer);
}

int mkto_spool_get(struct mkto_spool *spool, int64_t id, struct mkto_spool_row *row,
                   struct mkto_error *err, apr_pool_t *pool)
{
    sqlite3_stmt *statement = spool->statements[MKTO_STMT_GET];
    int found = 0;
    sqlite3_bind_int64(statement, 1, id);
    const int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        read_row(statement, row, pool);
        found = 1;
    } else if (rc == SQLITE_CORRUPT) {
        *row = (struct mkto_spool_row){.id = id, .bad = true};
        found = 1;
    } else if (rc != SQLITE_DONE) {
        found = mkto_spool_complain(spool, "read", err);
    }
    sqlite3_reset(statement);
    return found;
}

/* A page of the table is damaged: its events are named one by one, those behind it are read. */
static int read_one_by_one(struct mkto_spool *spool, int64_t after, int max,
                           struct mkto_spool_row *rows, struct mkto_error *err, apr_pool_t *pool)
{
    int count = 0;
    for (int64_t id = after + 1; id <= spool->tally.last_id && count < max; id++) {
        const int found = mkto_spool_get(spool, id, &rows[count], err, pool);
        if (found < 0) {
            return -1;
        }
        count += found;
    }
    return count;
}

int mkto_spool_read(struct mkto_spool *spool, int64_t after, int max, struct mkto_spool_row *rows,
                    struct mkto_error *err, apr_pool_t *pool)
{
    sqlite3_stmt *statement = spool->statements[MKTO_STMT_READ];
    int count = 0;
    int rc;
    sqlite3_bind_int64(statement, 1, after);
    sqlite3_bind_int(statement, 2, max);
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW && count < max) {
        read_row(statement, &rows[count], pool);
        count++;
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE && rc != SQLITE_CORRUPT) {
        count = mkto_spool_complain(spool, "read", err);
    }
    sqlite3_reset(statement);
    return rc == SQLITE_CORRUPT ? read_one_by_one(spool, after, max, rows, err, pool) : count;
}

bool mkto_spool_has(struct mkto_spool *spool, int64_t id)
{
    sqlite3_bind_int64(spool->statements[MKTO_STMT_HAS], 1, id);
    return mkto_spool_number(spool, MKTO_STMT_HAS, 0) != 0;
}

/* ---- outcomes ---- */

int mkto_spool_done(struct mkto_spool *spool, int64_t id, struct mkto_error *err)
{
    if (mkto_spool_writing(spool, err) != 0) {
        return -1;
    }
    sqlite3_bind_int64(spool->statements[MKTO_STMT_DONE], 1, id);
    if (mkto_spool_run(spool, MKTO_STMT_DONE, "done", err) != 0) {
        return -1;
    }
    spool->tally.gone += sqlite3_changes(spool->db);
    sqlite3_bind_int64(spool->statements[MKTO_STMT_RETRY_DROP], 1, id);
    return mkto_spool_run(spool, MKTO_STMT_RETRY_DROP, "done", err);
}

int mkto_spool_set_retry(struct mkto_spool *spool, int64_t id, const struct mkto_spool_retry *retry,
                         struct mkto_error *err)
{
    sqlite3_stmt *statement = spool->statements[MKTO_STMT_RETRY_PUT];
    if (mkto_spool_writing(spool, err) != 0) {
        return -1;
    }
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int(statement, 2, retry->stage);
    sqlite3_bind_int64(statement, 3, retry->attempts);
    sqlite3_bind_int64(statement, 4, retry->first_ms);
    sqlite3_bind_int64(statement, 5, retry->due_ms);
    sqlite3_bind_int64(statement, 6, retry->lead_id);
    sqlite3_bind_text(statement, 7, retry->answer, -1, SQLITE_STATIC);
    return mkto_spool_run(spool, MKTO_STMT_RETRY_PUT, "retry", err);
}
