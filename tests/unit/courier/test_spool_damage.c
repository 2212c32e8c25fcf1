/*
 * The spool when things go wrong: other versions, torn files, a full disk, kill -9.
 */
#include "spool_bench.h"

#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "full_disk.h"

static long pretended; /* f_type of every file system; 0: the true one */

int statfs(const char *path, struct statfs *fs)
{
    const int failed = (int)syscall(SYS_statfs, path, fs);
    if (failed == 0 && pretended != 0) {
        fs->f_type = pretended;
    }
    return failed;
}

static void file_systems(void **state)
{
    struct bench *bench = *state;
    static const long networks[] = {0x6969, 0x517b, 0xfe534d42, 0xff534d42, 0x5346414f};
    static const long volatiles[] = {0x01021994, 0x858458f6, 0x794c7630};
    for (size_t i = 0; i < 5; i++) {
        pretended = networks[i];
        open_fails(bench, "is on a network file system");
    }
    for (size_t i = 0; i < 3; i++) {
        pretended = volatiles[i];
        open_spool(bench, NOW);
        assert_true(bench->opened.volatile_fs);
        mkto_spool_close(bench->spool);
    }
    pretended = 0xef53; /* ext4 */
    open_spool(bench, NOW);
    assert_false(bench->opened.volatile_fs);
    pretended = 0;
}

static void other_version_is_left_alone(void **state)
{
    struct bench *bench = *state;
    char name[128];
    struct stat before;
    struct stat after;
    open_spool(bench, NOW);
    store(bench, "one", 1);
    mkto_spool_close(bench->spool);
    tamper(bench, "PRAGMA user_version = 2");
    file_name(bench, "spool.db", name);
    assert_int_equal(stat(name, &before), 0);
    open_fails(bench, "schema version 2");
    assert_int_equal(stat(name, &after), 0);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    assert_string_equal(bench->opened.set_aside, "");
    tamper(bench, "PRAGMA user_version = 1; PRAGMA application_id = 99");
    open_fails(bench, "another program");
    tamper(bench, "PRAGMA application_id = 1296782415"); /* "MKTO" */
    open_spool(bench, NOW);
    assert_int_equal(mkto_spool_waiting(bench->spool), 1);
}

/* The newer version may still stand in the WAL alone. */
static void other_version_in_the_wal_is_left_alone(void **state)
{
    struct bench *bench = *state;
    char name[128];
    struct stat before;
    struct stat after;
    open_spool(bench, NOW);
    mkto_spool_close(bench->spool);
    const pid_t pid = fork();
    if (pid == 0) {
        tamper(bench, "PRAGMA user_version = 1");
        char db_name[128];
        sqlite3 *db;
        file_name(bench, "spool.db", db_name);
        sqlite3_open(db_name, &db);
        sqlite3_exec(db, "PRAGMA user_version = 9", NULL, NULL, NULL);
        _exit(0); /* without close: the WAL stays */
    }
    waitpid(pid, NULL, 0);
    file_name(bench, "spool.db-wal", name);
    assert_int_equal(stat(name, &before), 0);
    open_fails(bench, "schema version 9");
    assert_int_equal(stat(name, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
}

static void broken_file_is_set_aside(void **state)
{
    struct bench *bench = *state;
    char name[128];
    struct stat st;
    file_name(bench, "spool.db", name);
    write_file(name, "this is not a database", 22, 0);
    open_spool(bench, NOW);
    assert_non_null(strstr(bench->opened.set_aside, "spool.db.bad-1700000000"));
    assert_int_equal(stat(bench->opened.set_aside, &st), 0);
    assert_int_equal(st.st_size, 22);
    store(bench, "one", 1);
    mkto_spool_close(bench->spool);

    static char noise[8192];
    memset(noise, 0xa5, sizeof(noise));
    write_file(name, noise, sizeof(noise) - 100, 100); /* header right, schema page torn */
    open_spool(bench, NOW + 1000);
    assert_non_null(strstr(bench->opened.set_aside, "spool.db.bad-1700000001"));
    assert_int_equal(store(bench, "one", 1), 1);
}

static void bad_row_is_flagged(void **state)
{
    struct bench *bench = *state;
    struct mkto_spool_row rows[4];
    open_spool(bench, NOW);
    store(bench, "one", 0);
    store(bench, "two", 0);
    store(bench, "three", 0);
    mkto_spool_close(bench->spool);
    tamper(bench, "UPDATE event SET envelope = substr(envelope, 1, 4) || 'twO' WHERE id = 2;"
                  "UPDATE event SET envelope = x'01' WHERE id = 3");
    open_spool(bench, NOW);
    assert_int_equal(mkto_spool_read(bench->spool, 0, 4, rows, &bench->err, bench->pool), 3);
    assert_false(rows[0].bad);
    assert_true(rows[1].bad && rows[1].envelope.data == NULL);
    assert_true(rows[2].bad && rows[2].envelope.data == NULL);
    begin(bench);
    const struct mkto_spool_dead dead = {.id = 2, .kind = "lead", .reason = "damaged"};
    assert_int_equal(mkto_spool_bury(bench->spool, &dead, &bench->err), 0);
    commit(bench);
    struct mkto_spool_dead buried;
    int64_t id;
    assert_int_equal(mkto_spool_dead_read(bench->spool, 0, 1, &buried, &bench->err, bench->pool),
                     1);
    assert_null(buried.envelope.data);
    begin(bench);
    assert_int_equal(mkto_spool_dead_replay(bench->spool, 2, &id, &bench->err), -1);
    assert_non_null(strstr(bench->err.text, "damaged"));
    commit(bench);
}

/* A whole page of events is torn: those on it are named, those behind it are read. */
static void bad_page_costs_its_rows_only(void **state)
{
    struct bench *bench = *state;
    static struct mkto_spool_row rows[400];
    static char noise[8192];
    static char text[400];
    char name[128];
    memset(text, 'x', sizeof(text) - 1);
    open_spool(bench, NOW);
    begin(bench);
    for (int i = 0; i < 400; i++) {
        append(bench, text, 0, NOW);
    }
    commit(bench);
    mkto_spool_close(bench->spool);
    memset(noise, 0xa5, sizeof(noise));
    file_name(bench, "spool.db", name);
    write_file(name, noise, sizeof(noise), 8192 * 15);
    open_spool(bench, NOW);
    const int count = mkto_spool_read(bench->spool, 0, 400, rows, &bench->err, bench->pool);
    assert_int_equal(count, 400);
    int bad = 0;
    for (int i = 0; i < count; i++) {
        assert_int_equal(rows[i].id, i + 1);
        bad += rows[i].bad;
    }
    assert_in_range(bad, 1, 30);
}

/* Appends until something fails; returns how many were committed. */
static int fill(struct bench *bench, int a_commit)
{
    static char text[4000];
    memset(text, 'y', sizeof(text) - 1);
    int committed = 0;
    for (;;) {
        int64_t id;
        bench->err.text[0] = '\0';
        bool good = mkto_spool_begin(bench->spool, &bench->err) == 0;
        for (int i = 0; i < a_commit && good; i++) {
            good = mkto_spool_append(bench->spool, mkto_slice_str(text), (uint64_t)rand() + 1, NOW,
                                     &id, &bench->err) == 0;
        }
        if (!good) {
            assert_int_equal(
                mkto_spool_append(bench->spool, mkto_slice_str(text), 1, NOW, &id, NULL), -1);
        }
        if (mkto_spool_commit(bench->spool, &bench->err) != 0) {
            return committed;
        }
        committed += a_commit;
    }
}

/* After a failure: nothing of the failed transaction is there, and all goes on when there is room.
 */
static void check_after_full(struct bench *bench, int committed)
{
    struct mkto_spool_row row;
    assert_true(committed > 0);
    assert_non_null(strstr(bench->err.text, "spool: "));
    assert_int_equal(mkto_spool_waiting(bench->spool), committed);
    assert_int_equal(mkto_spool_get(bench->spool, committed, &row, &bench->err, bench->pool), 1);
    assert_false(row.bad);
    assert_int_equal(mkto_spool_get(bench->spool, committed + 1, &row, &bench->err, bench->pool),
                     0);
}

static void hard_limit_does_not_wedge(void **state)
{
    struct bench *bench = *state;
    bench->options.max_size = 8192;
    open_spool(bench, NOW);
    const int committed = fill(bench, 7);
    check_after_full(bench, committed);
    begin(bench);
    for (int i = 1; i <= committed; i++) {
        assert_int_equal(mkto_spool_done(bench->spool, i, &bench->err), 0);
    }
    commit(bench);
    assert_int_equal(store(bench, "again", 1), committed + 1);
}

static void file_size_limit_does_not_wedge(void **state)
{
    struct bench *bench = *state;
    open_spool(bench, NOW);
    const struct rlimit old = full_disk_begin(2 << 20);
    const int committed = fill(bench, 3);
    full_disk_end(old);
    check_after_full(bench, committed);
    assert_int_equal(store(bench, "again", 1), committed + 1);
    mkto_spool_close(bench->spool);
    open_spool(bench, NOW);
    assert_int_equal(mkto_spool_waiting(bench->spool), committed + 1);
}

/* A real full disk: a small tmpfs, where we may mount one. */
static void full_disk_does_not_wedge(void **state)
{
    struct bench *bench = *state;
    char ballast[128];
    static char noise[1 << 20];
    if (geteuid() != 0 || mount("tmpfs", bench->path, "tmpfs", 0, "size=4m") != 0) {
        puts("skipped full_disk_does_not_wedge: needs root and mounts");
        skip();
    }
    file_name(bench, "ballast", ballast);
    write_file(ballast, noise, sizeof(noise), 0);
    open_spool(bench, NOW);
    assert_true(bench->opened.volatile_fs);
    const int committed = fill(bench, 5);
    check_after_full(bench, committed);
    assert_int_equal(unlink(ballast), 0);
    assert_int_equal(store(bench, "again", 1), committed + 1);
    mkto_spool_close(bench->spool);
    open_spool(bench, NOW);
    assert_int_equal(mkto_spool_waiting(bench->spool), committed + 1);
    mkto_spool_close(bench->spool);
    assert_int_equal(umount(bench->path), 0);
}

/* Appends for ever; tells the parent of each commit. */
static void append_until_killed(struct bench *bench, int out)
{
    apr_pool_t *pool;
    apr_pool_create(&pool, NULL);
    if (mkto_spool_open(&bench->options, NOW, &bench->spool, &bench->opened, &bench->err, pool) !=
        0) {
        _exit(1);
    }
    for (int64_t acknowledged = mkto_spool_waiting(bench->spool);;) {
        if (mkto_spool_begin(bench->spool, NULL) != 0) {
            _exit(2);
        }
        for (int i = rand() % 30; i >= 0; i--) {
            char text[32];
            snprintf(text, sizeof(text), "event %lld", (long long)(acknowledged + 1));
            if (mkto_spool_append(bench->spool, mkto_slice_str(text), (uint64_t)acknowledged + 1,
                                  NOW, &acknowledged, NULL) != 0) {
                _exit(3);
            }
        }
        if (mkto_spool_commit(bench->spool, NULL) != 0 ||
            write(out, &acknowledged, sizeof(acknowledged)) != sizeof(acknowledged)) {
            _exit(4);
        }
    }
}

static int64_t kill_while_appending(struct bench *bench, int round)
{
    int ends[2];
    int64_t acknowledged = 0;
    int64_t latest;
    assert_int_equal(pipe(ends), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        srand((unsigned)round);
        append_until_killed(bench, ends[1]);
    }
    close(ends[1]);
    for (int i = 0; i < 5 + round * 7; i++) {
        assert_int_equal(read(ends[0], &acknowledged, sizeof(acknowledged)), sizeof(acknowledged));
    }
    usleep((useconds_t)(rand() % 3000));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    while (read(ends[0], &latest, sizeof(latest)) == sizeof(latest)) {
        acknowledged = latest;
    }
    close(ends[0]);
    return acknowledged;
}

static void survives_kill_9(void **state)
{
    struct bench *bench = *state;
    static struct mkto_spool_row rows[65536];
    for (int round = 1; round <= 8; round++) {
        const int64_t acknowledged = kill_while_appending(bench, round);
        open_spool(bench, NOW);
        const int64_t waiting = mkto_spool_waiting(bench->spool);
        assert_true(waiting >= acknowledged);
        assert_int_equal(mkto_spool_read(bench->spool, 0, 65536, rows, &bench->err, bench->pool),
                         waiting);
        for (int64_t i = 0; i < waiting; i++) {
            char text[32];
            snprintf(text, sizeof(text), "event %lld", (long long)(i + 1));
            assert_false(rows[i].bad);
            assert_memory_equal(rows[i].envelope.data, text, strlen(text));
            assert_true(mkto_spool_seen(bench->spool, (uint64_t)(i + 1)));
        }
        assert_false(mkto_spool_seen(bench->spool, (uint64_t)waiting + 1));
        mkto_spool_close(bench->spool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPOOL_TEST(file_systems),
        SPOOL_TEST(other_version_is_left_alone),
        SPOOL_TEST(other_version_in_the_wal_is_left_alone),
        SPOOL_TEST(broken_file_is_set_aside),
        SPOOL_TEST(bad_row_is_flagged),
        SPOOL_TEST(bad_page_costs_its_rows_only),
        SPOOL_TEST(hard_limit_does_not_wedge),
        SPOOL_TEST(file_size_limit_does_not_wedge),
        SPOOL_TEST(full_disk_does_not_wedge),
        SPOOL_TEST(survives_kill_9),
    };
    apr_initialize();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
