/*
 * A spool in a directory of its own.
 */
#ifndef SPOOL_BENCH_H
#define SPOOL_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#include "mkto_spool.h"
#include "temp_directory.h"

#define NOW 1700000000000LL
#define MINUTE 60000LL

struct bench {
    apr_pool_t *pool;
    char path[TEMP_DIRECTORY_MAX];
    struct mkto_spool_options options;
    struct mkto_spool_opened opened;
    struct mkto_spool *spool;
    struct mkto_error err;
};

static inline int setup(void **state)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    apr_pool_create(&bench->pool, NULL);
    temp_directory_make(bench->path);
    bench->options = (struct mkto_spool_options){
        .path = bench->path, .create = true, .max_size = 64 << 20, .keep_free = 1};
    *state = bench;
    return 0;
}

static inline int teardown(void **state)
{
    struct bench *bench = *state;
    apr_pool_destroy(bench->pool);
    temp_directory_remove(bench->path);
    free(bench);
    return 0;
}

static inline void open_spool(struct bench *bench, int64_t now_ms)
{
    if (mkto_spool_open(&bench->options, now_ms, &bench->spool, &bench->opened, &bench->err,
                        bench->pool) != 0) {
        fail_msg("%s", bench->err.text);
    }
}

static inline void open_fails(struct bench *bench, const char *why)
{
    bench->err.text[0] = '\0';
    assert_int_equal(mkto_spool_open(&bench->options, NOW, &bench->spool, &bench->opened,
                                     &bench->err, bench->pool),
                     -1);
    if (strstr(bench->err.text, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", bench->err.text, why);
    }
}

static inline void begin(struct bench *bench)
{
    if (mkto_spool_begin(bench->spool, &bench->err) != 0) {
        fail_msg("%s", bench->err.text);
    }
}

static inline void commit(struct bench *bench)
{
    if (mkto_spool_commit(bench->spool, &bench->err) != 0) {
        fail_msg("%s", bench->err.text);
    }
}

static inline int64_t append(struct bench *bench, const char *text, uint64_t hash, int64_t at)
{
    int64_t id = 0;
    if (mkto_spool_append(bench->spool, mkto_slice_str(text), hash, at, &id, &bench->err) != 0) {
        fail_msg("%s", bench->err.text);
    }
    return id;
}

static inline int64_t store(struct bench *bench, const char *text, uint64_t hash)
{
    begin(bench);
    const int64_t id = append(bench, text, hash, NOW);
    commit(bench);
    return id;
}

static inline void file_name(const struct bench *bench, const char *file, char out[128])
{
    snprintf(out, 128, "%s/%s", bench->path, file);
}

/* Runs SQL on the closed file. */
static inline void tamper(const struct bench *bench, const char *sql)
{
    char name[128];
    sqlite3 *db;
    file_name(bench, "spool.db", name);
    assert_int_equal(sqlite3_open(name, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static inline void write_file(const char *name, const char *text, size_t len, off_t at)
{
    const int fd = open(name, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, len, at), len);
    close(fd);
}

#define SPOOL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
