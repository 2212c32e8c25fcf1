/*
 * mkto_spool_db: what the files of the spool share (private to mkto_spool*.c).
 */
#ifndef MKTO_SPOOL_DB_H
#define MKTO_SPOOL_DB_H

#include <sqlite3.h>

#include "mkto_spool.h"
#include "mkto_spool_seen.h"

#define MKTO_SPOOL_APPLICATION 0x4d4b544f /* PRAGMA application_id: "MKTO" */
#define MKTO_SPOOL_PAGE 8192
/* Pages in the WAL, from which on it is taken into the file: 4 MB. With half of that the 99th
 * percentile falls by a fifth, and the rate by some percent; with four times as much the former
 * doubles, and the rate stays (measured, see BENCH.md). */
#define MKTO_SPOOL_WAL_FRAMES 500
#define MKTO_SPOOL_LOCK_FILE "courier.lock"

/* One row each in mkto_spool_statement.c. */
enum mkto_spool_statement {
    MKTO_STMT_BEGIN,
    MKTO_STMT_COMMIT,
    MKTO_STMT_ROLLBACK,
    MKTO_STMT_PAGES,
    MKTO_STMT_FREE_PAGES,
    MKTO_STMT_TALLY_PUT,
    MKTO_STMT_APPEND,
    MKTO_STMT_READ,
    MKTO_STMT_GET,
    MKTO_STMT_HAS,
    MKTO_STMT_DONE,
    MKTO_STMT_RETRY_DROP,
    MKTO_STMT_RETRY_PUT,
    MKTO_STMT_SEEN_ADD,
    MKTO_STMT_SEEN_GROW,
    MKTO_STMT_SEEN_OLDEST,
    MKTO_STMT_SEEN_DROP,
    MKTO_STMT_DEAD_PUT,
    MKTO_STMT_DEAD_READ,
    MKTO_STMT_DEAD_GET,
    MKTO_STMT_DEAD_DROP,
    MKTO_STMT_DEAD_REASONS,
    MKTO_STMT_KNOWN_PUT,
    MKTO_STMT_KNOWN_GET,
    MKTO_STMT_KNOWN_LEAD,
    MKTO_STMT_KNOWN_SWEEP,
    MKTO_STMT_KNOWN_TRIM,
    MKTO_STMT_KNOWN_COUNT,
    MKTO_STMT_KNOWN_DROP,
    MKTO_STMT_KNOWN_WRONG,
    MKTO_STMT_KNOWN_NOBODY,
    MKTO_STMT_SENT_PUT,
    MKTO_STMT_SENT_GET,
    MKTO_STMT_SENT_ANY,
    MKTO_STMT_SENT_SWEEP,
    MKTO_STMT_SENT_TRIM,
    MKTO_STMT_SENT_DROP,
    MKTO_STMT_STATE_PUT,
    MKTO_STMT_STATE_DROP,
    MKTO_STMT_STATE_GET,
    MKTO_STMT_VACUUM,
    MKTO_STMT_COUNT
};

/*
 * Every event gets the id after the last, so what waits is last_id - gone, without counting. The
 * row in the file is written only by transactions that remove events; after a start last_id is the
 * larger of it and the table's.
 */
struct mkto_spool_tally {
    int64_t last_id; /* the newest event that there ever was */
    int64_t gone;    /* events removed: delivered, buried */
    int64_t dead;    /* dead letters */
};

/* The newest row of `seen`; commits of the same minute add to it until it is long enough. */
struct mkto_spool_seen_row {
    int64_t id;
    int64_t minute;
    uint64_t first; /* number of its first hash in the set */
};

/* When leads were last told something, as wall clock ms; 0: never. */
struct mkto_spool_sent {
    /* In this process: the latest of the leads that share a mark. NULL: no memory. */
    int64_t *marks;
    int64_t before; /* the latest of all when the spool was opened */
    int64_t newest; /* and now */
    int64_t saved;  /* what the file says of it */
};

struct mkto_spool {
    sqlite3 *db;
    sqlite3_stmt *statements[MKTO_STMT_COUNT];
    int lock; /* file descriptor of the lock, held for life */
    const char *path;
    apr_pool_t *pool;
    int64_t max_size;
    int64_t keep_free;
    unsigned keep_free_percent;
    int wal_frames;
    bool busy;    /* between begin and commit */
    bool damaged; /* SQLite has met a broken page: see mkto_spool_salvage */
    bool guessed; /* tally.last_id may be too high: its page is broken */
    bool failed;  /* a statement has failed since begin: everything is rolled back already */
    struct mkto_spool_tally tally;
    struct mkto_spool_tally before; /* at begin */
    struct mkto_spool_seen seen;
    uint64_t seen_before; /* seen.end at begin */
    int64_t seen_at_ms;   /* the first hash of this transaction */
    struct mkto_spool_seen_row seen_row;
    struct mkto_spool_seen_row seen_row_next; /* what seen_row is after the commit */
    int64_t seen_stored;                      /* hashes in the file */
    struct mkto_spool_sent sent;
    int64_t sent_cursor; /* how far the sweep of old rows has come */
    int64_t known_cursor;
    uint8_t *row; /* crc ‖ envelope on its way in */
    size_t row_size;
};

/* mkto_spool_statement.c */
const char *mkto_spool_statement_sql(enum mkto_spool_statement which);
int mkto_spool_prepare(struct mkto_spool *spool, struct mkto_error *err);

/* Says what SQLite says, with the name of the operation. Returns -1. */
int mkto_spool_complain(struct mkto_spool *spool, const char *what, struct mkto_error *err);

/* Steps a bound statement that returns no row, and resets it. A failure rolls back (see `failed`)
 * and returns -1. */
int mkto_spool_run(struct mkto_spool *spool, enum mkto_spool_statement which, const char *what,
                   struct mkto_error *err);

/* Is a write allowed now? -1 with the reason outside of begin and commit, and after a failure. */
int mkto_spool_writing(struct mkto_spool *spool, struct mkto_error *err);

/* First column of the first row, or fallback. Resets. */
int64_t mkto_spool_number(struct mkto_spool *spool, enum mkto_spool_statement which,
                          int64_t fallback);

/* mkto_spool.c: the file is opened, its statements are ready; and the reverse. */
int mkto_spool_connect(struct mkto_spool *spool, struct mkto_error *err);
void mkto_spool_disconnect(struct mkto_spool *spool);

/* mkto_spool_salvage.c: an id that no event is above, when the newest one's page is broken. */
int64_t mkto_spool_guess_last(struct mkto_spool *spool);

/* mkto_spool_file.c: directory, lock, file. */
int mkto_spool_file_prepare(const struct mkto_spool_options *options, struct mkto_spool *spool,
                            int64_t now_ms, struct mkto_spool_opened *opened,
                            struct mkto_error *err);
int mkto_spool_file_create(const struct mkto_spool_options *options, struct mkto_error *err);
int mkto_spool_file_set_aside(const char *path, int64_t now_ms, struct mkto_spool_opened *opened,
                              struct mkto_error *err);
/* A salvage's new file: made empty; made durable; moved to its place; and the last of these after
 * an interruption, when the damaged file was set aside already. */
int mkto_spool_file_new(const char *path, char *name, size_t size, struct mkto_error *err);
int mkto_spool_file_sync(const char *path, const char *name, struct mkto_error *err);
int mkto_spool_file_install(const char *path, struct mkto_error *err);
int mkto_spool_file_resume(const char *path, int64_t now_ms, struct mkto_error *err);
/* Words for a tool that has met one; -1. */
int mkto_spool_file_broken(const struct mkto_spool_options *options, struct mkto_error *err);
int mkto_spool_file_name(const char *path, const char *file, char *out, size_t size,
                         struct mkto_error *err);

/* mkto_spool_schema.c: 0; -1 refused; 1 the file is no database, or a broken one. */
int mkto_spool_schema_open(struct mkto_spool *spool, struct mkto_error *err);
int mkto_spool_schema_create(struct mkto_spool *spool, struct mkto_error *err);

/* mkto_spool_sent.c; saved by each commit that knows another. */
void mkto_spool_sent_open(struct mkto_spool *spool, int64_t now_ms);
void mkto_spool_sent_close(struct mkto_spool *spool);
int mkto_spool_sent_save(struct mkto_spool *spool, struct mkto_error *err);

/* mkto_spool_event.c */
int mkto_spool_seen_save(struct mkto_spool *spool, struct mkto_error *err);
int mkto_spool_seen_load(struct mkto_spool *spool, int64_t now_ms, struct mkto_error *err);
int mkto_spool_append_raw(struct mkto_spool *spool, struct mkto_slice envelope, int64_t *id,
                          struct mkto_error *err);

/* Copies a column that holds crc ‖ envelope. False when the CRC does not match: then its bytes
 * are in raw. */
bool mkto_spool_unpack(sqlite3_stmt *statement, int column, int64_t id, struct mkto_slice *envelope,
                       struct mkto_slice *raw, apr_pool_t *pool);

#endif
