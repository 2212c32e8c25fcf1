/*
 * The spool: what it keeps, and what it refuses.
 */
#include "spool_bench.h"

#include <dirent.h>

#include "mkto_spool_crc.h"
#include "mkto_spool_db.h"
#include "mkto_spool_seen.h"

static void crc_is_castagnoli(void **state)
{
    (void)state;
    uint8_t zeros[32] = {0};
    assert_int_equal(mkto_spool_crc(0, "123456789", 9), 0xe3069283);
    assert_int_equal(mkto_spool_crc(0, zeros, 32), 0x8a9136aa);
    assert_int_equal(mkto_spool_crc_tables(0, "123456789", 9), 0xe3069283);
    assert_int_equal(mkto_spool_crc_tables(0, zeros, 32), 0x8a9136aa);
    assert_int_equal(mkto_spool_crc(mkto_spool_crc(0, "1234", 4), "56789", 5), 0xe3069283);
}

static void seen_has_a_maximum(void **state)
{
    (void)state;
    struct mkto_spool_seen seen;
    mkto_spool_seen_init(&seen, 3000);
    for (uint64_t i = 1; i <= 3000; i++) {
        mkto_spool_seen_add(&seen, i << 40, NOW + (int64_t)i * 1000);
    }
    assert_true(mkto_spool_seen_has(&seen, 1ULL << 40));
    mkto_spool_seen_add(&seen, 3001ULL << 40, NOW);
    assert_false(mkto_spool_seen_has(&seen, 1ULL << 40));
    assert_true(mkto_spool_seen_has(&seen, 2ULL << 40));
    mkto_spool_seen_undo(&seen, seen.end - 1);
    assert_false(mkto_spool_seen_has(&seen, 3001ULL << 40));
    for (uint64_t i = 2; i <= 3000; i++) {
        assert_true(mkto_spool_seen_has(&seen, i << 40));
    }
    mkto_spool_seen_expire(&seen, NOW + 2 * MKTO_SPOOL_SEEN_FOR_MS);
    assert_int_equal(seen.first, seen.end);
    mkto_spool_seen_free(&seen);
}

/* Random adds, undos and expiries against a plain list. */
static void seen_equals_a_list(void **state)
{
    (void)state;
    enum { MAX = 5000, STEPS = 40000 };
    static uint64_t list[STEPS];
    size_t first = 0;
    size_t end = 0;
    struct mkto_spool_seen seen;
    mkto_spool_seen_init(&seen, MAX);
    srand(7);
    for (int step = 0; step < STEPS; step++) {
        list[end] = ((uint64_t)rand() << 32 | (uint64_t)rand()) % 100000 + 1;
        mkto_spool_seen_add(&seen, list[end++], NOW);
        first = end - first > MAX ? end - MAX : first;
        if (rand() % 50 == 0) {
            const size_t back = (size_t)rand() % 20;
            end = end - first > back ? end - back : first;
            mkto_spool_seen_undo(&seen, end);
        }
        assert_int_equal(seen.end - seen.first, end - first);
    }
    for (uint64_t hash = 1; hash <= 100000; hash += 37) {
        bool there = false;
        for (size_t i = first; i < end && !there; i++) {
            there = list[i] == hash;
        }
        assert_int_equal(mkto_spool_seen_has(&seen, hash), there);
    }
    mkto_spool_seen_free(&seen);
}

static void keeps_events_in_order(void **state)
{
    struct bench *bench = *state;
    struct mkto_spool_row rows[4];
    open_spool(bench, NOW);
    begin(bench);
    assert_int_equal(append(bench, "one", 11, NOW), 1);
    assert_int_equal(append(bench, "two", 12, NOW), 2);
    commit(bench);
    assert_int_equal(store(bench, "three", 0), 3);
    assert_int_equal(mkto_spool_waiting(bench->spool), 3);
    assert_int_equal(mkto_spool_read(bench->spool, 1, 4, rows, &bench->err, bench->pool), 2);
    assert_int_equal(rows[0].id, 2);
    assert_true(mkto_slice_is(rows[0].envelope, "two"));
    assert_false(rows[0].bad);
    assert_false(rows[0].has_retry);
    assert_true(mkto_slice_is(rows[1].envelope, "three"));
    assert_int_equal(mkto_spool_read(bench->spool, 0, 1, rows, &bench->err, bench->pool), 1);
    assert_int_equal(mkto_spool_read(bench->spool, 3, 4, rows, &bench->err, bench->pool), 0);
}

static void files_are_private(void **state)
{
    struct bench *bench = *state;
    struct stat st;
    char name[128];
    const size_t length = strlen(bench->path);
    snprintf(bench->path + length, sizeof(bench->path) - length, "/new");
    umask(0);
    open_spool(bench, NOW);
    store(bench, "one", 1);
    umask(022);
    assert_int_equal(stat(bench->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    static const char *const files[] = {"spool.db", "spool.db-wal", "courier.lock"};
    for (size_t i = 0; i < 3; i++) {
        file_name(bench, files[i], name);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    bench->path[length] = '\0';
}

static void ids_grow_over_restarts(void **state)
{
    struct bench *bench = *state;
    open_spool(bench, NOW);
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(store(bench, "x", 0), i);
    }
    begin(bench);
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(mkto_spool_done(bench->spool, i, &bench->err), 0);
    }
    commit(bench);
    assert_int_equal(mkto_spool_waiting(bench->spool), 0);
    mkto_spool_close(bench->spool);
    open_spool(bench, NOW);
    assert_int_equal(mkto_spool_waiting(bench->spool), 0);
    assert_int_equal(store(bench, "x", 0), 6);
    assert_int_equal(mkto_spool_waiting(bench->spool), 1);
}

static void rollback_undoes_all(void **state)
{
    struct bench *bench = *state;
    struct mkto_spool_row row;
    open_spool(bench, NOW);
    store(bench, "one", 5);
    begin(bench);
    append(bench, "two", 6, NOW);
    assert_true(mkto_spool_seen(bench->spool, 6));
    assert_int_equal(mkto_spool_done(bench->spool, 1, &bench->err), 0);
    mkto_spool_rollback(bench->spool);
    mkto_spool_rollback(bench->spool);
    assert_false(mkto_spool_seen(bench->spool, 6));
    assert_true(mkto_spool_seen(bench->spool, 5));
    assert_int_equal(mkto_spool_waiting(bench->spool), 1);
    assert_int_equal(mkto_spool_get(bench->spool, 1, &row, &bench->err, bench->pool), 1);
    assert_int_equal(mkto_spool_get(bench->spool, 2, &row, &bench->err, bench->pool), 0);
    assert_int_equal(store(bench, "three", 7), 2);
}

static void writes_need_a_transaction(void **state)
{
    struct bench *bench = *state;
    int64_t id;
    open_spool(bench, NOW);
    assert_int_equal(mkto_spool_append(bench->spool, mkto_slice_str("x"), 1, NOW, &id, &bench->err),
                     -1);
    assert_non_null(strstr(bench->err.text, "outside of begin"));
    assert_int_equal(mkto_spool_commit(bench->spool, NULL), -1);
    assert_int_equal(mkto_spool_done(bench->spool, 1, NULL), -1);
    assert_int_equal(mkto_spool_state_put(bench->spool, "k", "v", NULL), -1);
    begin(bench);
    assert_int_equal(mkto_spool_begin(bench->spool, NULL), -1);
    commit(bench);
}

static void remembers_message_ids(void **state)
{
    struct bench *bench = *state;
    open_spool(bench, NOW);
    begin(bench);
    append(bench, "one", 100, NOW);
    assert_true(mkto_spool_seen(bench->spool, 100));
    commit(bench);
    for (uint64_t i = 101; i <= 900; i++) {
        begin(bench);
        append(bench, "x", i, NOW + (int64_t)i * 100);
        commit(bench);
    }
    begin(bench);
    for (uint64_t i = 1000; i < 6000; i++) {
        append(bench, "x", i, NOW + 2 * MINUTE);
    }
    commit(bench);
    assert_false(mkto_spool_seen(bench->spool, 0));
    mkto_spool_close(bench->spool);
    tamper(bench, "CREATE TEMP TABLE t AS SELECT CASE WHEN count(*) < 20 THEN 1 ELSE"
                  " abs(-9223372036854775808) END FROM seen"); /* few rows, not one a commit */
    open_spool(bench, NOW + 3 * MINUTE);
    for (uint64_t i = 100; i < 6000; i++) {
        assert_int_equal(mkto_spool_seen(bench->spool, i), i <= 900 || i >= 1000);
    }
}

static void forgets_message_ids_after_a_day(void **state)
{
    struct bench *bench = *state;
    open_spool(bench, NOW);
    store(bench, "one", 1);
    begin(bench);
    append(bench, "two", 2, NOW + 10 * MINUTE);
    commit(bench);
    assert_int_equal(mkto_spool_trim(bench->spool, NOW + MKTO_SPOOL_SEEN_FOR_MS, &bench->err), 0);
    assert_true(mkto_spool_seen(bench->spool, 1));
    assert_int_equal(
        mkto_spool_trim(bench->spool, NOW + MKTO_SPOOL_SEEN_FOR_MS + 2 * MINUTE, &bench->err), 0);
    assert_false(mkto_spool_seen(bench->spool, 1));
    assert_true(mkto_spool_seen(bench->spool, 2));
    mkto_spool_close(bench->spool);
    open_spool(bench, NOW + MKTO_SPOOL_SEEN_FOR_MS + 2 * MINUTE);
    assert_false(mkto_spool_seen(bench->spool, 1));
    assert_true(mkto_spool_seen(bench->spool, 2));
    mkto_spool_close(bench->spool);
    open_spool(bench, NOW + 2 * MKTO_SPOOL_SEEN_FOR_MS);
    assert_false(mkto_spool_seen(bench->spool, 2));
}

static void retries_are_kept(void **state)
{
    struct bench *bench = *state;
    struct mkto_spool_row row;
    const struct mkto_spool_retry retry = {1, 3, NOW, NOW + 5000, 4711, "20011 later"};
    open_spool(bench, NOW);
    store(bench, "one", 0);
    begin(bench);
    assert_int_equal(mkto_spool_set_retry(bench->spool, 1, &retry, &bench->err), 0);
    commit(bench);
    mkto_spool_close(bench->spool);
    open_spool(bench, NOW);
    assert_int_equal(mkto_spool_get(bench->spool, 1, &row, &bench->err, bench->pool), 1);
    assert_true(row.has_retry);
    assert_int_equal(row.retry.stage, 1);
    assert_int_equal(row.retry.attempts, 3);
    assert_int_equal(row.retry.first_ms, NOW);
    assert_int_equal(row.retry.due_ms, NOW + 5000);
    assert_int_equal(row.retry.lead_id, 4711);
    assert_string_equal(row.retry.answer, "20011 later");
    begin(bench);
    assert_int_equal(mkto_spool_done(bench->spool, 1, &bench->err), 0);
    commit(bench);
    store(bench, "two", 0);
    assert_int_equal(mkto_spool_get(bench->spool, 2, &row, &bench->err, bench->pool), 1);
    assert_false(row.has_retry);
}

static const struct mkto_spool_dead letter = {.id = 1,
                                              .subscription = "brand-b",
                                              .kind = "lead",
                                              .reason = "unknown_field",
                                              .answer = "1006 Field 'x' not found",
                                              .attempts = 2,
                                              .first_ms = NOW,
                                              .dead_ms = NOW + 9,
                                              .lead = 0xfedcba9876543210};

static void dead_letters_come_back(void **state)
{
    struct bench *bench = *state;
    struct mkto_spool_dead rows[2];
    struct mkto_spool_row row;
    int64_t id = 0;
    open_spool(bench, NOW);
    store(bench, "one", 0);
    begin(bench);
    assert_int_equal(mkto_spool_bury(bench->spool, &letter, &bench->err), 0);
    assert_int_equal(mkto_spool_bury(bench->spool, &letter, &bench->err), -1);
    commit(bench);
    assert_int_equal(mkto_spool_waiting(bench->spool), 0);
    mkto_spool_close(bench->spool);
    open_spool(bench, NOW);
    assert_int_equal(mkto_spool_dead_count(bench->spool), 1);
    assert_int_equal(mkto_spool_dead_read(bench->spool, 0, 2, rows, &bench->err, bench->pool), 1);
    assert_string_equal(rows[0].subscription, "brand-b");
    assert_string_equal(rows[0].reason, "unknown_field");
    assert_int_equal(rows[0].attempts, 2);
    assert_int_equal(rows[0].dead_ms, NOW + 9);
    assert_true(rows[0].lead == 0xfedcba9876543210);
    assert_true(mkto_slice_is(rows[0].envelope, "one"));
    begin(bench);
    assert_int_equal(mkto_spool_dead_replay(bench->spool, 1, &id, &bench->err), 0);
    assert_int_equal(id, 2);
    assert_int_equal(mkto_spool_dead_replay(bench->spool, 1, &id, &bench->err), -1);
    commit(bench);
    assert_int_equal(mkto_spool_dead_count(bench->spool), 0);
    assert_int_equal(mkto_spool_waiting(bench->spool), 1);
    assert_int_equal(mkto_spool_get(bench->spool, 2, &row, &bench->err, bench->pool), 1);
    assert_true(mkto_slice_is(row.envelope, "one"));
}

static void dead_letters_are_purged(void **state)
{
    struct bench *bench = *state;
    open_spool(bench, NOW);
    store(bench, "one", 0);
    begin(bench);
    assert_int_equal(mkto_spool_bury(bench->spool, &letter, &bench->err), 0);
    assert_int_equal(mkto_spool_dead_purge(bench->spool, 1, &bench->err), 0);
    assert_int_equal(mkto_spool_dead_purge(bench->spool, 1, &bench->err), 0);
    commit(bench);
    assert_int_equal(mkto_spool_dead_count(bench->spool), 0);
}

static void remembers_leads_and_state(void **state)
{
    struct bench *bench = *state;
    uint64_t lead = 0;
    uint64_t digest = 0;
    int64_t at = 0;
    open_spool(bench, NOW);
    begin(bench);
    mkto_spool_known_put(bench->spool, 1, 0xffffffffffffffff, 101, NOW, NULL);
    mkto_spool_known_put(bench->spool, 2, 0xffffffffffffffff, 102, NOW + 1, NULL);
    mkto_spool_sent_put(bench->spool, 7, 0xabcdef0123456789, NOW, NULL);
    mkto_spool_state_put(bench->spool, "budget", "1,2,3", NULL);
    mkto_spool_state_put(bench->spool, "gone", "x", NULL);
    mkto_spool_state_put(bench->spool, "gone", NULL, NULL);
    commit(bench);
    mkto_spool_close(bench->spool);
    open_spool(bench, NOW);
    assert_int_equal(mkto_spool_known_get(bench->spool, 1, 0xffffffffffffffff), 101);
    assert_int_equal(mkto_spool_known_get(bench->spool, 3, 0xffffffffffffffff), 0);
    assert_int_equal(mkto_spool_known_lead(bench->spool, 0xffffffffffffffff, &lead), 102);
    assert_int_equal(lead, 2);
    assert_int_equal(mkto_spool_known_lead(bench->spool, 5, &lead), 0);
    assert_true(mkto_spool_sent_get(bench->spool, 7, &digest, &at));
    assert_true(digest == 0xabcdef0123456789 && at == NOW);
    assert_false(mkto_spool_sent_get(bench->spool, 8, &digest, &at));
    assert_string_equal(mkto_spool_state_get(bench->spool, "budget", bench->pool), "1,2,3");
    assert_null(mkto_spool_state_get(bench->spool, "gone", bench->pool));
}

static void trim_sweeps_old_rows(void **state)
{
    struct bench *bench = *state;
    uint64_t digest;
    int64_t at;
    open_spool(bench, NOW);
    begin(bench);
    for (uint64_t i = 0; i < 1000; i++) {
        const int64_t when = i % 2 == 0 ? NOW : NOW + MKTO_SPOOL_KNOWN_FOR_MS;
        mkto_spool_sent_put(bench->spool, i * 0x123456789abcdefULL, i, when, NULL);
        mkto_spool_known_put(bench->spool, i, i * 0x987654321fedcbaULL, 1, when, NULL);
    }
    commit(bench);
    for (int i = 0; i < 8; i++) {
        assert_true(mkto_spool_trim(bench->spool, NOW + MKTO_SPOOL_KNOWN_FOR_MS + 1, &bench->err) >=
                    0);
    }
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(mkto_spool_sent_get(bench->spool, i * 0x123456789abcdefULL, &digest, &at),
                         i % 2);
        assert_int_equal(mkto_spool_known_get(bench->spool, i, i * 0x987654321fedcbaULL), i % 2);
    }
}

static void one_process_at_a_time(void **state)
{
    struct bench *bench = *state;
    struct mkto_spool *first;
    open_spool(bench, NOW);
    first = bench->spool;
    open_fails(bench, "another process has it");
    assert_true(bench->opened.held);
    mkto_spool_close(first);
    open_spool(bench, NOW);
    assert_false(bench->opened.held);
}

static void tools_make_no_spool(void **state)
{
    struct bench *bench = *state;
    bench->options.create = false;
    open_fails(bench, "No such file");
    DIR *directory = opendir(bench->path);
    int entries = 0;
    while (readdir(directory) != NULL) {
        entries++;
    }
    closedir(directory);
    assert_int_equal(entries, 2);
    bench->options.create = true;
    open_spool(bench, NOW);
    mkto_spool_close(bench->spool);
    bench->options.create = false;
    open_spool(bench, NOW);
}

static void room_ends_at_max_size(void **state)
{
    struct bench *bench = *state;
    static char text[8000];
    memset(text, 'x', sizeof(text) - 1);
    bench->options.max_size = 50 * 8192;
    open_spool(bench, NOW);
    int stored = 0;
    while (mkto_spool_room(bench->spool, &bench->err)) {
        assert_true(mkto_spool_size(bench->spool) < bench->options.max_size);
        store(bench, text, 0);
        stored++;
    }
    assert_true(mkto_spool_size(bench->spool) >= bench->options.max_size);
    assert_non_null(strstr(bench->err.text, "max_size"));
    assert_in_range(stored, 30, 50);
    begin(bench);
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(mkto_spool_done(bench->spool, i, &bench->err), 0);
    }
    commit(bench);
    assert_true(mkto_spool_room(bench->spool, &bench->err));
}

static void room_ends_at_keep_free(void **state)
{
    struct bench *bench = *state;
    bench->options.keep_free = INT64_MAX;
    open_spool(bench, NOW);
    assert_false(mkto_spool_room(bench->spool, &bench->err));
    assert_non_null(strstr(bench->err.text, "keep_free"));
    mkto_spool_close(bench->spool);
    bench->options.keep_free = 0;
    bench->options.keep_free_percent = 100;
    open_spool(bench, NOW);
    assert_false(mkto_spool_room(bench->spool, &bench->err));
    mkto_spool_close(bench->spool);
    bench->options.keep_free_percent = 0;
    open_spool(bench, NOW);
    assert_true(mkto_spool_room(bench->spool, &bench->err));
}

static void space_is_given_back(void **state)
{
    struct bench *bench = *state;
    struct stat before;
    struct stat after;
    char name[128];
    static char text[8000];
    memset(text, 'x', sizeof(text) - 1);
    file_name(bench, "spool.db", name);
    open_spool(bench, NOW);
    for (int i = 0; i < 20; i++) {
        begin(bench);
        for (int k = 0; k < 100; k++) {
            append(bench, text, 0, NOW);
        }
        commit(bench);
    }
    begin(bench);
    for (int i = 1; i <= 2000; i++) {
        assert_int_equal(mkto_spool_done(bench->spool, i, &bench->err), 0);
    }
    commit(bench);
    assert_int_equal(stat(name, &before), 0);
    int more;
    while ((more = mkto_spool_trim(bench->spool, NOW, &bench->err)) == 1) {
        continue;
    }
    assert_int_equal(more, 0);
    mkto_spool_close(bench->spool);
    assert_int_equal(stat(name, &after), 0);
    assert_true(after.st_size * 3 < before.st_size * 2);
    open_spool(bench, NOW);
    assert_int_equal(store(bench, "x", 0), 2001);
}

static int64_t size_of(const struct bench *bench, const char *file)
{
    char name[128];
    struct stat found;
    file_name(bench, file, name);
    assert_int_equal(stat(name, &found), 0);
    return found.st_size;
}

/* Not a page before; then all of them, after the commit and before the next, and the WAL begins
 * again in the same place. */
static void wal_is_moved_when_it_is_long(void **state)
{
    struct bench *bench = *state;
    const int64_t most = MKTO_SPOOL_WAL_FRAMES * (MKTO_SPOOL_PAGE + 24LL) + 32; /* with the heads */
    static char text[8000];
    memset(text, 'x', sizeof(text) - 1);
    open_spool(bench, NOW);
    const int64_t before = size_of(bench, "spool.db");
    while (size_of(bench, "spool.db-wal") < most) {
        store(bench, text, 0);
        assert_int_equal(size_of(bench, "spool.db"), before);
    }
    const int64_t reached = size_of(bench, "spool.db-wal");
    begin(bench);
    assert_true(size_of(bench, "spool.db") > before);
    commit(bench);
    for (int i = 0; i < 4; i++) {
        store(bench, text, 0);
    }
    assert_int_equal(size_of(bench, "spool.db-wal"), reached);
}

static bool holds(const struct bench *bench, const char *file, const char *needle)
{
    char name[128];
    static char content[1 << 20];
    file_name(bench, file, name);
    const int fd = open(name, O_RDONLY);
    if (fd < 0) {
        return false;
    }
    const ssize_t size = read(fd, content, sizeof(content));
    close(fd);
    return size > 0 && memmem(content, (size_t)size, needle, strlen(needle)) != NULL;
}

/* No byte of a delivered event stays in the file. */
static void delivered_is_wiped(void **state)
{
    struct bench *bench = *state;
    open_spool(bench, NOW);
    store(bench, "needle@example.com", 0);
    assert_true(holds(bench, "spool.db-wal", "needle@example.com"));
    begin(bench);
    assert_int_equal(mkto_spool_done(bench->spool, 1, &bench->err), 0);
    commit(bench);
    mkto_spool_close(bench->spool);
    assert_false(holds(bench, "spool.db", "needle@example.com"));
    assert_false(holds(bench, "spool.db-wal", "needle@example.com"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc_is_castagnoli),  cmocka_unit_test(seen_has_a_maximum),
        cmocka_unit_test(seen_equals_a_list), SPOOL_TEST(keeps_events_in_order),
        SPOOL_TEST(files_are_private),        SPOOL_TEST(ids_grow_over_restarts),
        SPOOL_TEST(rollback_undoes_all),      SPOOL_TEST(writes_need_a_transaction),
        SPOOL_TEST(remembers_message_ids),    SPOOL_TEST(forgets_message_ids_after_a_day),
        SPOOL_TEST(retries_are_kept),         SPOOL_TEST(dead_letters_come_back),
        SPOOL_TEST(dead_letters_are_purged),  SPOOL_TEST(remembers_leads_and_state),
        SPOOL_TEST(trim_sweeps_old_rows),     SPOOL_TEST(one_process_at_a_time),
        SPOOL_TEST(tools_make_no_spool),      SPOOL_TEST(room_ends_at_max_size),
        SPOOL_TEST(room_ends_at_keep_free),   SPOOL_TEST(space_is_given_back),
        SPOOL_TEST(delivered_is_wiped),       SPOOL_TEST(wal_is_moved_when_it_is_long),
    };
    apr_initialize();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
