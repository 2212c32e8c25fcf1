/*
 * powercut: opens the spool as power cuts could have left it, with the courier's own code.
 *
 *   powercut JOURNAL DIRECTORY SEED MESSAGES FIRST LAST EACH
 *
 * plays a journal of diskshim and, after its records FIRST to LAST, rebuilds DIRECTORY as:
 *   all       everything that was written, and every change of a name
 *   synced    only what was fsynced
 *   contents  everything written, but only the names that were fsynced
 *   names     only what was fsynced, but every change of a name
 *   head,tail the last write is torn at a boundary of sectors, everything before it is there;
 *             at every boundary when EACH is 1
 *   pages     each 4 KB page as one of the writes since the last fsync left it, at random
 * When EACH is over 1, that is done after every EACHth write only, and after all other records.
 * For each state it opens the spool and prints one line:
 *   CUT STATE events=1,2 dead=3 seen=1,2,3 found WHAT
 * with the numbers of the messages (messageId "cut-NNN", NNN < MESSAGES), and "found" with what is
 * wrong. It then stores one more event, closes the spool and lets SQLite check the file.
 */
#include <apr_general.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cut_disk.h"
#include "mkto_hash.h"
#include "mkto_spool.h"

#define ROWS_MAX 1024
#define NOW_MS 1700000000000 /* the clock of the checks; what is seen never grows old */
#define ID_TEXT "\"messageId\":\"cut-"
#define PAGES_TRIES 3 /* random states after each record */
#define TORN_TRIES 1  /* torn writes of each sort, when not all */

struct check {
    const char *directory;
    int messages;
    uint64_t seed;
    uint64_t each;
    uint64_t count; /* states tried */
    apr_pool_t *pool;
    struct cut_bytes bytes;
};

/* ---- the directory ---- */

static void put_file(const struct check *check, const char *name, const struct cut_bytes *bytes)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", check->directory, name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)bytes->size) != 0 ||
        (bytes->size > 0 && pwrite(fd, bytes->data, bytes->size, 0) != (ssize_t)bytes->size)) {
        perror(path);
        exit(2);
    }
    close(fd);
}

/* What the last check left, and is not in this state. */
static void clear_directory(const struct check *check)
{
    static const char *const names[] = {"spool.db", "spool.db-wal", "spool.db-journal",
                                        "spool.db-shm", "courier.lock"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", check->directory, names[i]);
        unlink(path);
    }
}

/* ---- the check ---- */

static int message_number(struct mkto_slice envelope)
{
    const char *at = envelope.len == 0
                         ? NULL
                         : memmem(envelope.data, envelope.len, ID_TEXT, sizeof(ID_TEXT) - 1);
    return at == NULL ? -1 : atoi(at + sizeof(ID_TEXT) - 1);
}

static void print_events(struct mkto_spool *spool, apr_pool_t *pool)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_spool_row *rows = apr_pcalloc(pool, ROWS_MAX * sizeof(*rows));
    const int count = mkto_spool_read(spool, 0, ROWS_MAX, rows, &err, pool);
    const char *comma = "";
    int bad = 0;
    printf(" events=");
    for (int i = 0; i < count; i++) {
        bad += rows[i].bad ? 1 : 0;
        printf("%s%d", comma, message_number(rows[i].envelope));
        comma = ",";
    }
    if (count < 0 || bad > 0) {
        printf(" found %d damaged events %s", bad, err.text);
    }
    if (count != mkto_spool_waiting(spool)) {
        printf(" found %d events and %" PRId64 " that wait", count, mkto_spool_waiting(spool));
    }
}

static void print_dead(struct mkto_spool *spool, apr_pool_t *pool)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_spool_dead *rows = apr_pcalloc(pool, ROWS_MAX * sizeof(*rows));
    const int count = mkto_spool_dead_read(spool, 0, ROWS_MAX, rows, &err, pool);
    const char *comma = "";
    printf(" dead=");
    for (int i = 0; i < count; i++) {
        printf("%s%d", comma, message_number(rows[i].envelope));
        comma = ",";
    }
    if (count < 0 || count != mkto_spool_dead_count(spool)) {
        printf(" found %d dead letters of %" PRId64 " %s", count, mkto_spool_dead_count(spool),
               err.text);
    }
}

static void print_seen(struct mkto_spool *spool, int messages)
{
    const char *comma = "";
    printf(" seen=");
    for (int i = 0; i < messages; i++) {
        char id[16];
        snprintf(id, sizeof(id), "cut-%03d", i);
        if (mkto_spool_seen(spool, mkto_hash_64(mkto_slice_str(""), mkto_slice_str(id)))) {
            printf("%s%d", comma, i);
            comma = ",";
        }
    }
}

/* The spool takes an event, and it is the last one. */
static void store_one(struct mkto_spool *spool, apr_pool_t *pool)
{
    static const struct mkto_slice envelope = {"one more", 8};
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_spool_row row;
    int64_t id = 0;
    if (mkto_spool_begin(spool, &err) != 0 ||
        mkto_spool_append(spool, envelope, 1, NOW_MS, &id, &err) != 0 ||
        mkto_spool_commit(spool, &err) != 0) {
        printf(" found that it stores nothing: %s", err.text);
        return;
    }
    if (mkto_spool_get(spool, id, &row, &err, pool) != 1 || row.bad ||
        mkto_spool_read(spool, id, 1, &row, &err, pool) != 0) {
        printf(" found that a new event is not the last one");
    }
}

static void check_file(const struct check *check)
{
    char path[PATH_MAX];
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    snprintf(path, sizeof(path), "%s/spool.db", check->directory);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW ||
        strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0) {
        printf(" found by SQLite: %s", sqlite3_errmsg(db));
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

static void check_spool(struct check *check)
{
    const struct mkto_spool_options options = {
        .path = check->directory, .create = true, .max_size = INT64_C(1) << 30, .keep_free = 1};
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_spool_opened opened;
    struct mkto_spool *spool = NULL;
    apr_pool_t *pool;
    apr_pool_create(&pool, check->pool);
    check->count++;
    if (mkto_spool_open(&options, NOW_MS, &spool, &opened, &err, pool) != 0) {
        printf(" found that it does not open: %s", err.text);
    } else {
        print_events(spool, pool);
        print_dead(spool, pool);
        print_seen(spool, check->messages);
        store_one(spool, pool);
        mkto_spool_close(spool);
        check_file(check);
    }
    if (opened.set_aside[0] != '\0') {
        printf(" found that it was set aside");
    }
    printf("\n");
    apr_pool_destroy(pool);
}

/* ---- the states ---- */

enum contents { SYNCED, ALL, HEAD, TAIL, PAGES };

struct state {
    const char *name;
    enum contents contents;
    size_t names;                /* changes of names that are there */
    const struct cut_file *torn; /* HEAD, TAIL */
    uint64_t at;
    uint64_t *random; /* PAGES */
};

static void contents_of(const struct cut_file *file, const struct state *state,
                        struct cut_bytes *out)
{
    if (state->contents == SYNCED) {
        cut_contents(file, 0, out);
    } else if (state->contents == PAGES) {
        cut_pages(file, state->random, out);
    } else if (file == state->torn) {
        cut_torn(file, state->at, state->contents == TAIL, out);
    } else {
        cut_contents(file, file->pending_count, out);
    }
}

static void try_state(struct check *check, const struct cut_disk *disk, uint64_t cut,
                      const struct state *state)
{
    struct cut_names names;
    cut_names(disk, state->names, &names);
    clear_directory(check);
    for (size_t i = 0; i < CUT_NAMES_MAX; i++) {
        if (names.entries[i].file != NULL) {
            contents_of(names.entries[i].file, state, &check->bytes);
            put_file(check, names.entries[i].name, &check->bytes);
        }
    }
    printf("%" PRIu64 " %s", cut, state->name);
    check_spool(check);
}

static void try_torn(struct check *check, const struct cut_disk *disk, uint64_t cut,
                     const struct disk_record *last, uint64_t *random)
{
    const struct cut_file *file = NULL;
    for (size_t i = disk->file_count; i > 0 && file == NULL; i--) {
        file = disk->files[i - 1].inode == last->inode ? &disk->files[i - 1] : NULL;
    }
    const uint64_t first = last->offset / CUT_SECTOR + 1;
    const uint64_t end = (last->offset + last->len + CUT_SECTOR - 1) / CUT_SECTOR;
    const uint64_t boundaries = first < end ? end - first : 0;
    const uint64_t tries = check->each == 1 || boundaries < TORN_TRIES ? boundaries : TORN_TRIES;
    for (uint64_t i = 0; i < 2 * tries; i++) {
        const uint64_t which = tries == boundaries ? i / 2 : cut_random(random, boundaries);
        const uint64_t at = (first + which) * CUT_SECTOR;
        const struct state state = {i % 2 == 0 ? "head" : "tail",
                                    i % 2 == 0 ? HEAD : TAIL,
                                    disk->names_pending_count,
                                    file,
                                    at,
                                    NULL};
        try_state(check, disk, cut, &state);
    }
}

static void try_cut(struct check *check, const struct cut_disk *disk, uint64_t cut,
                    const struct disk_record *last)
{
    const size_t names = disk->names_pending_count;
    uint64_t random = check->seed ^ cut << 32;
    size_t pending = names;
    for (size_t i = 0; i < disk->file_count; i++) {
        pending += disk->files[i].pending_count;
    }
    try_state(check, disk, cut, &(struct state){"all", ALL, names, NULL, 0, NULL});
    if (pending == 0) {
        return; /* all of it is on the disk */
    }
    try_state(check, disk, cut, &(struct state){"synced", SYNCED, 0, NULL, 0, NULL});
    if (names > 0) {
        try_state(check, disk, cut, &(struct state){"contents", ALL, 0, NULL, 0, NULL});
        try_state(check, disk, cut, &(struct state){"names", SYNCED, names, NULL, 0, NULL});
    }
    if (last->kind == DISK_WRITE) {
        try_torn(check, disk, cut, last, &random);
    }
    for (int i = 0; i < PAGES_TRIES; i++) {
        const size_t some = (size_t)cut_random(&random, names + 1);
        try_state(check, disk, cut, &(struct state){"pages", PAGES, some, NULL, 0, &random});
    }
}

static const struct disk_head *map_journal(const char *path)
{
    struct stat file;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &file) != 0) {
        perror(path);
        exit(2);
    }
    const void *map = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        perror(path);
        exit(2);
    }
    close(fd);
    return map;
}

static int play(struct check *check, const struct disk_head *head, uint64_t first, uint64_t last)
{
    static struct cut_disk disk;
    const struct disk_record *record = (const struct disk_record *)(const void *)(head + 1);
    for (uint64_t cut = 1; cut <= head->count && cut <= last; cut++) {
        cut_play(&disk, record);
        if (cut >= first && (record->kind != DISK_WRITE || cut % check->each == 0)) {
            try_cut(check, &disk, cut, record);
        }
        record = cut_next(record);
    }
    fprintf(stderr, "%" PRIu64 "\n", check->count);
    return 0;
}

int main(int argc, char **argv)
{
    struct check check = {0};
    if (argc != 8 || apr_initialize() != APR_SUCCESS ||
        apr_pool_create(&check.pool, NULL) != APR_SUCCESS) {
        fprintf(stderr, "usage: powercut JOURNAL DIRECTORY SEED MESSAGES FIRST LAST EACH\n");
        return 2;
    }
    check.directory = argv[2];
    check.seed = strtoull(argv[3], NULL, 10);
    check.messages = atoi(argv[4]);
    check.each = strtoull(argv[7], NULL, 10);
    return play(&check, map_journal(argv[1]), strtoull(argv[5], NULL, 10),
                strtoull(argv[6], NULL, 10));
}
