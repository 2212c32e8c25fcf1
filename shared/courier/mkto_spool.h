/*
 * mkto_spool: acknowledged events on disk, and what became of them. One SQLite file in WAL mode,
 * one writer (the process that holds the lock), one thread. The only file that includes sqlite3.h
 * is mkto_spool*.c.
 *
 * Tables (schema version in PRAGMA user_version; MKTO_SPOOL_SCHEMA):
 *   - event (id INTEGER PRIMARY KEY, envelope BLOB): crc32c (4 bytes) ‖ encoded envelope; no
 *     secondary index: acceptance is an append. Ids only ever grow, also over restarts.
 *   - seen (id INTEGER PRIMARY KEY, at, hashes BLOB): 8-byte hashes of the message ids of the last
 *     24 h, at most one row a commit
 *   - retry (id INTEGER PRIMARY KEY, …): events that were tried and wait: stage, attempts, due,
 *     last answer
 *   - known (token, lead) -> lead id, at: which cookie is associated with which lead
 *   - sent (lead) -> digest of what was last delivered, at
 *   - dead (id INTEGER PRIMARY KEY, …): dead letters
 *   - state (key, value): budgets, clock offsets, the latest time in `sent`; small
 *   - tally: the counts that waiting and dead_count give without counting
 *   - reason (subscription, reason) -> how many dead letters; kept by triggers
 *
 * Writes happen between begin and commit. Intake and dispatch each use their own, one after the
 * other in a turn of the loop. A write that fails (disk full, I/O error) has rolled back everything
 * since begin; further writes and the commit then fail, and the next begin starts anew. A commit
 * that fails (disk full, I/O error) has rolled back everything since begin; the spool stays usable
 * and says so. Functions return 0, or -1 with err set; a full disk or EIO is never fatal to the
 * process.
 */
#ifndef MKTO_SPOOL_H
#define MKTO_SPOOL_H

#include <apr_pools.h>
#include <stdbool.h>
#include <stdint.h>

#include "mkto_config.h"
#include "mkto_error.h"
#include "mkto_slice.h"

#define MKTO_SPOOL_SCHEMA 1
#define MKTO_SPOOL_FILE "spool.db"
#define MKTO_SPOOL_SEEN_FOR_MS (24 * 3600 * 1000LL)
#define MKTO_SPOOL_SEEN_MAX 4000000 /* message ids remembered; the oldest are forgotten first */
#define MKTO_SPOOL_KNOWN_FOR_MS (180 * 24 * 3600 * 1000LL) /* after its last known_put */
#define MKTO_SPOOL_SENT_FOR_MS (30 * 24 * 3600 * 1000LL)   /* after its last sent_put */

struct mkto_spool;

struct mkto_spool_options {
    const char *path;  /* directory; made with mode 0700 when `create` */
    bool create;       /* the courier: true; tools: false, they create none and set none aside */
    int64_t max_size;  /* bytes; see mkto_spool_room */
    int64_t keep_free; /* bytes; 0: use the percentage */
    unsigned keep_free_percent;
};

/*
 * Opens (and locks) the spool. An unknown schema version is refused in words and nothing is
 * touched. A file that SQLite cannot open as a database is renamed to spool.db.bad-<time> with its
 * -wal, named in `set_aside`, and a new one begun. Refusals: NFS; held by another process (then
 * *held is true). A spool on tmpfs or overlay sets *volatile_fs.
 */
struct mkto_spool_opened {
    bool held;
    bool volatile_fs;
    char set_aside[256];
};
int mkto_spool_open(const struct mkto_spool_options *options, int64_t now_ms,
                    struct mkto_spool **spool, struct mkto_spool_opened *opened,
                    struct mkto_error *err, apr_pool_t *pool);
void mkto_spool_close(struct mkto_spool *spool);

int mkto_spool_begin(struct mkto_spool *spool, struct mkto_error *err);
int mkto_spool_commit(struct mkto_spool *spool,
                      struct mkto_error *err); /* durable when it returns 0: fsynced */
void mkto_spool_rollback(struct mkto_spool *spool);

/* May new events be stored? false when the file is at max_size or the file system below keep_free;
 * why is in err. */
bool mkto_spool_room(struct mkto_spool *spool, struct mkto_error *err);

/* Bytes in use inside of the file: what max_size is compared with. */
int64_t mkto_spool_size(struct mkto_spool *spool);

/*
 * A file that SQLite opens, but of which a page is broken: no write passes it. True from the first
 * write that says so, or from open. Then salvage, between transactions: what can be read is copied
 * into a new file, the old one is renamed to spool.db.bad-<time> and kept. Events that cannot be
 * read get a bad row each (see read), so that they are named; of other tables what cannot be read
 * is gone. It takes as long as copying the file, and its room on the disk. A kill at any moment
 * leaves the old file or the new one. After -1 the spool is as it was, or without a file: then each
 * begin fails until a later salvage returns 0.
 */
struct mkto_spool_salvaged {
    int64_t events; /* that are whole */
    int64_t hidden; /* that cannot be read */
    bool unknown;   /* how many is unknown, hidden is 0: the newest ones' page was broken at open */
    char kept[256]; /* the old file; "" when this goes on after one that failed */
};
bool mkto_spool_damaged(const struct mkto_spool *spool);
int mkto_spool_salvage(struct mkto_spool *spool, int64_t now_ms,
                       struct mkto_spool_salvaged *salvaged, struct mkto_error *err);

/* ---- acceptance ---- */

/* True when a message id with that hash was accepted (or appended in this transaction) within 24 h.
 */
bool mkto_spool_seen(struct mkto_spool *spool, uint64_t message_hash);

/* Stores one encoded envelope. message_hash 0: none. The id is the order of acceptance. */
int mkto_spool_append(struct mkto_spool *spool, struct mkto_slice envelope, uint64_t message_hash,
                      int64_t now_ms, int64_t *id, struct mkto_error *err);

/* ---- dispatch: reading ---- */

struct mkto_spool_retry {
    int stage; /* dispatch's own: 0 lead or visit; bits that it gives a meaning */
    unsigned attempts;
    int64_t first_ms;   /* wall clock of the first attempt */
    int64_t due_ms;     /* wall clock */
    int64_t lead_id;    /* known after stage 0; 0 otherwise */
    const char *answer; /* last thing that Marketo said, or NULL */
};

struct mkto_spool_row {
    int64_t id;
    struct mkto_slice envelope; /* in the pool; absent when `bad` */
    bool bad;                   /* the CRC does not match: set aside, do not use */
    struct mkto_slice raw;      /* when bad: its bytes, as far as they can be read */
    bool has_retry;
    struct mkto_spool_retry retry;
};

/* Up to max rows with id > after, in order. Returns how many, or -1. */
int mkto_spool_read(struct mkto_spool *spool, int64_t after, int max, struct mkto_spool_row *rows,
                    struct mkto_error *err, apr_pool_t *pool);
int mkto_spool_get(struct mkto_spool *spool, int64_t id, struct mkto_spool_row *row,
                   struct mkto_error *err, apr_pool_t *pool); /* 1 found, 0 not there, -1 error */

/* Is the event there? */
bool mkto_spool_has(struct mkto_spool *spool, int64_t id);

/* Id of the newest event that there ever was; 0: none. */
int64_t mkto_spool_last_id(const struct mkto_spool *spool);

/* Events that wait, in O(1): kept by append, done and dead. */
int64_t mkto_spool_waiting(const struct mkto_spool *spool);

/* ---- dispatch: outcomes, between begin and commit ---- */

int mkto_spool_done(struct mkto_spool *spool, int64_t id,
                    struct mkto_error *err); /* the event and its retry row go */
int mkto_spool_set_retry(struct mkto_spool *spool, int64_t id, const struct mkto_spool_retry *retry,
                         struct mkto_error *err);

struct mkto_spool_dead {
    int64_t id; /* the event's */
    const char *subscription;
    const char *kind;   /* "lead", "visit", "associate" */
    const char *reason; /* stable word of the verdict or the mapping */
    const char *answer; /* what Marketo said last, or the mapping's detail */
    unsigned attempts;
    int64_t first_ms;
    int64_t dead_ms;
    uint64_t lead;              /* lane hash, to find a person's dead letters */
    struct mkto_slice envelope; /* when read; absent when it is damaged */
    struct mkto_slice raw;      /* when damaged: its bytes */
};
int mkto_spool_bury(struct mkto_spool *spool, const struct mkto_spool_dead *dead,
                    struct mkto_error *err);
int mkto_spool_dead_read(struct mkto_spool *spool, int64_t after, int max,
                         struct mkto_spool_dead *rows, struct mkto_error *err, apr_pool_t *pool);
int mkto_spool_dead_replay(struct mkto_spool *spool, int64_t id, int64_t *new_id,
                           struct mkto_error *err);
int mkto_spool_dead_purge(struct mkto_spool *spool, int64_t id, struct mkto_error *err);
int64_t mkto_spool_dead_count(struct mkto_spool *spool);

/* How many there are by subscription and reason, the most frequent first, up to max; of one
 * subscription, or of all (NULL). Returns how many rows, or -1. */
struct mkto_spool_reason {
    const char *subscription;
    const char *reason;
    int64_t letters;
};
int mkto_spool_dead_reasons(struct mkto_spool *spool, const char *subscription, int max,
                            struct mkto_spool_reason *rows, struct mkto_error *err,
                            apr_pool_t *pool);

/* Lead and token are 64-bit hashes. */
int mkto_spool_known_put(struct mkto_spool *spool, uint64_t lead, uint64_t token, int64_t lead_id,
                         int64_t at_ms, struct mkto_error *err);
int64_t mkto_spool_known_get(struct mkto_spool *spool, uint64_t lead,
                             uint64_t token); /* lead id, or 0 */
int64_t mkto_spool_known_lead(struct mkto_spool *spool, uint64_t token,
                              uint64_t *lead); /* newest lead of a token, or 0 */

/* The lead has not that id any more (but keeps one that was learned since); nor has the token a
 * lead, unless it is 0. */
int mkto_spool_known_drop(struct mkto_spool *spool, uint64_t lead, uint64_t token, int64_t lead_id,
                          struct mkto_error *err);

int mkto_spool_sent_put(struct mkto_spool *spool, uint64_t lead, uint64_t digest, int64_t at_ms,
                        struct mkto_error *err);
bool mkto_spool_sent_get(struct mkto_spool *spool, uint64_t lead, uint64_t *digest, int64_t *at_ms);
/* Was it put at since_ms or later? Without a look into the file for nearly all leads of which it
 * was not: marks in memory say so, and a restart knows when the last one of all was put. */
bool mkto_spool_sent_since(struct mkto_spool *spool, uint64_t lead, int64_t since_ms,
                           int64_t *at_ms);

/* ---- forgetting a lead ---- */

#define MKTO_SPOOL_KNOWN_LOOK 1024 /* rows of `known` looked at in one step */
#define MKTO_SPOOL_SCRUB_PAGES 256 /* pages of the file in one step: 2 MiB */
#define MKTO_SPOOL_SCRUB_DONE INT64_MAX

/* Counts the lead's rows of `known`, and drops them (between begin and commit), a piece of the
 * table at a time: *cursor is INT64_MIN at first and INT64_MAX after the last piece. Returns how
 * many, or -1. */
int mkto_spool_known_forget(struct mkto_spool *spool, uint64_t lead, bool drop, int64_t *cursor,
                            struct mkto_error *err);
int mkto_spool_sent_drop(struct mkto_spool *spool, uint64_t lead, struct mkto_error *err);

/*
 * Leaves nothing of deleted rows in the files, outside of a transaction: the WAL goes into the file
 * and is cut to nothing, and then the unallocated part of table pages is zeroed, a piece of the
 * file at a time. secure_delete alone is not enough: when SQLite moves rows between pages it
 * leaves copies of them there. *page is 0 at first and MKTO_SPOOL_SCRUB_DONE after the last piece.
 * Returns 0, or -1.
 */
int mkto_spool_scrub(struct mkto_spool *spool, int64_t *page, struct mkto_error *err);

/* value NULL: the key goes. */
int mkto_spool_state_put(struct mkto_spool *spool, const char *key, const char *value,
                         struct mkto_error *err);
const char *mkto_spool_state_get(struct mkto_spool *spool, const char *key,
                                 apr_pool_t *pool); /* NULL: not there */

/* Drops what is past its time (seen, sent, known) and gives free pages back; small steps, a
 * transaction of its own. Call between turns. Returns 1 when it has more to do, 0, or -1. */
int mkto_spool_trim(struct mkto_spool *spool, int64_t now_ms, struct mkto_error *err);

#endif
