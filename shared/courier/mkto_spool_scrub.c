/*
 * What deletion leaves behind in the files, overwritten. SQLite zeroes deleted rows
 * (secure_delete), but when it moves rows to balance its pages the places that they leave are not
 * zeroed: they are in the gap between a page's cell pointers and its cells, which means nothing to
 * SQLite. Only these gaps are written to here, so that a cut at any moment damages nothing.
 */
#include "mkto_spool_db.h"

#include <stdlib.h>
#include <string.h>

/* The head of a b-tree page (SQLite's file format, section 1.6). */
#define PAGE_TABLE_LEAF 0x0d
#define PAGE_CELLS_AT 3   /* number of cells, 16 bits, big-endian */
#define PAGE_CONTENT_AT 5 /* where the cells begin */
#define PAGE_HEAD 8       /* bytes of a leaf's head; 16 bits a cell follow */

/* An overflow page begins with the number of the next one. In a larger file that number could look
 * like the head of a leaf. */
#define PAGES_MAX ((int64_t)PAGE_TABLE_LEAF << 24)

static unsigned get_16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

/* The WAL's pages go to the file and the WAL has no bytes after that. */
static int empty_wal(struct mkto_spool *spool, struct mkto_error *err)
{
    int left = 0;
    int moved = 0;
    if (sqlite3_wal_checkpoint_v2(spool->db, "main", SQLITE_CHECKPOINT_TRUNCATE, &left, &moved) !=
        SQLITE_OK) {
        return mkto_spool_complain(spool, "checkpoint", err);
    }
    return left == 0 ? 0 : mkto_error_set(err, "spool: the WAL cannot be emptied now");
}

/* Finds the gap of a table's leaf. False when the page is something else, or not as expected. */
static bool find_gap(const uint8_t *page, unsigned *start, unsigned *end)
{
    if (page[0] != PAGE_TABLE_LEAF) {
        return false;
    }
    *start = PAGE_HEAD + 2 * get_16(page + PAGE_CELLS_AT);
    *end = get_16(page + PAGE_CONTENT_AT);
    if (*start > *end || *end > MKTO_SPOOL_PAGE) {
        return false;
    }
    for (unsigned at = PAGE_HEAD; at < *start; at += 2) {
        const unsigned cell = get_16(page + at);
        if (cell < *end || cell >= MKTO_SPOOL_PAGE) {
            return false;
        }
    }
    return true;
}

static bool is_zero(const uint8_t *data, size_t len)
{
    return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

/* 1 when something was overwritten, 0, or an SQLite error as a negative number. */
static int scrub_page(sqlite3_file *file, int64_t number, uint8_t *page)
{
    const sqlite3_int64 at = (number - 1) * MKTO_SPOOL_PAGE;
    unsigned start = 0;
    unsigned end = 0;
    int rc = file->pMethods->xRead(file, page, MKTO_SPOOL_PAGE, at);
    if (rc != SQLITE_OK) {
        return -rc;
    }
    if (!find_gap(page, &start, &end) || is_zero(page + start, end - start)) {
        return 0;
    }
    memset(page + start, 0, end - start);
    rc = file->pMethods->xWrite(file, page + start, (int)(end - start), at + start);
    return rc == SQLITE_OK ? 1 : -rc;
}

static int scrub_pages(sqlite3_file *file, int64_t first, int64_t last, uint8_t *page)
{
    bool written = false;
    for (int64_t number = first; number <= last; number++) {
        const int rc = scrub_page(file, number, page);
        if (rc < 0) {
            return -rc;
        }
        written = written || rc > 0;
    }
    return written ? file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) : SQLITE_OK;
}

/*
 * The file is written to behind SQLite's back, through its own handle. That is right because the
 * WAL is empty, nobody else has the file (locking_mode EXCLUSIVE), and the pages that SQLite keeps
 * in memory are dropped before it can write one of them again.
 */
int mkto_spool_scrub(struct mkto_spool *spool, int64_t *page, struct mkto_error *err)
{
    sqlite3_file *file = NULL;
    const int64_t pages = mkto_spool_number(spool, MKTO_STMT_PAGES, 0);
    const int64_t first = *page < 2 ? 2 : *page > pages ? pages + 1 : *page; /* 1 is the schema's */
    const int64_t end = first + MKTO_SPOOL_SCRUB_PAGES;
    if (spool->busy) {
        return mkto_error_set(err, "spool: scrub inside of a transaction");
    }
    if (empty_wal(spool, err) != 0) {
        return -1;
    }
    if (pages >= PAGES_MAX) {
        return mkto_error_set(err, "spool: the file is too large to be scrubbed");
    }
    sqlite3_file_control(spool->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    uint8_t *buffer = malloc(MKTO_SPOOL_PAGE);
    if (file == NULL || file->pMethods == NULL || buffer == NULL) {
        free(buffer);
        return mkto_error_set(err, "spool: out of memory");
    }
    const int rc = scrub_pages(file, first, end <= pages ? end - 1 : pages, buffer);
    free(buffer);
    sqlite3_db_release_memory(spool->db);
    *page = end <= pages ? end : MKTO_SPOOL_SCRUB_DONE;
    return rc == SQLITE_OK ? 0 : mkto_error_set(err, "spool: scrub: %s", sqlite3_errstr(rc));
}
