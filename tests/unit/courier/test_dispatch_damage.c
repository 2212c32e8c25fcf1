/* mkto_dispatch on a spool with a broken page: its events are named, all others arrive. */
#include <dirent.h>

#include "dispatch_bench.h"

enum { EVENTS = 300, PAGE = 8192 };

static const char *file_of(struct bench *bench, const char *name)
{
    return apr_psprintf(bench->pool, "%s/%s", bench->path, name);
}

static long pages_of(struct bench *bench)
{
    FILE *file = fopen(file_of(bench, "spool.db"), "r");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const long size = ftell(file);
    fclose(file);
    return size / PAGE;
}

/* Page 0 is the file's first one. */
static void break_page(struct bench *bench, long page)
{
    static char noise[PAGE];
    memset(noise, 0xa5, sizeof(noise));
    FILE *file = fopen(file_of(bench, "spool.db"), "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, page * PAGE, SEEK_SET), 0);
    assert_int_equal(fwrite(noise, sizeof(noise), 1, file), 1);
    fclose(file);
}

/* The page that has the text. */
static long page_with(struct bench *bench, const char *text)
{
    static char page[PAGE];
    FILE *file = fopen(file_of(bench, "spool.db"), "r");
    assert_non_null(file);
    long number = 0;
    while (fread(page, sizeof(page), 1, file) == 1 &&
           memmem(page, sizeof(page), text, strlen(text)) == NULL) {
        number++;
    }
    fclose(file);
    return number;
}

static unsigned files_like(struct bench *bench, const char *part)
{
    unsigned count = 0;
    DIR *directory = opendir(bench->path);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        count += strstr(entry->d_name, part) != NULL ? 1 : 0;
    }
    closedir(directory);
    return count;
}

static void identify(struct bench *bench, int number)
{
    char text[700];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    bench_identify(bench, apr_psprintf(bench->pool, "p%d@example.com", number), "x", text, 0);
}

static void accept_events(struct bench *bench)
{
    bench->model = bench_kind;
    bench_bulk(bench);
    for (int i = 0; i < EVENTS; i++) {
        identify(bench, i);
    }
    bench_bulk_end(bench);
}

static void open_broken(struct bench *bench, long page)
{
    mkto_spool_close(bench->spool);
    break_page(bench, page);
    bench_open(bench);
    bench_start(bench);
}

/* As the courier does, which looks before each turn. */
static void run_and_salvage(struct bench *bench, struct mkto_spool_salvaged *salvaged)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    *salvaged = (struct mkto_spool_salvaged){0};
    for (int minute = 0; minute < 10; minute++) {
        if (mkto_spool_damaged(bench->spool)) {
            assert_string_equal(salvaged->kept, "");
            if (mkto_spool_salvage(bench->spool, bench->wall, salvaged, &err) != 0) {
                fail_msg("%s", err.text);
            }
            assert_non_null(strstr(salvaged->kept, "/spool.db.bad-"));
            assert_int_equal(access(salvaged->kept, F_OK), 0);
        }
        bench_run(bench, 60000);
    }
    assert_false(mkto_spool_damaged(bench->spool));
}

/* Each lead is a call's input once. */
static unsigned leads_sent(struct bench *bench)
{
    unsigned count = 0;
    for (int i = 0; i < bench->calls->nelts; i++) {
        struct bench_call *call = bench_call(bench, (unsigned)i);
        count += bench_is_sync(call) ? mkto_json_get(bench_json(call), "input")->count : 0;
    }
    return count;
}

/* A byte of an event's text is another one. */
static void break_text(struct bench *bench, const char *text)
{
    static char page[PAGE];
    const long number = page_with(bench, text);
    FILE *file = fopen(file_of(bench, "spool.db"), "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, number * PAGE, SEEK_SET), 0);
    assert_int_equal(fread(page, sizeof(page), 1, file), 1);
    const char *at = memmem(page, sizeof(page), text, strlen(text));
    assert_non_null(at);
    assert_int_equal(fseek(file, number * PAGE + (at - page), SEEK_SET), 0);
    assert_int_equal(fputc('q', file), 'q');
    fclose(file);
}

/* Nothing but its checksum tells: it is set aside and named, all others arrive. */
static void one_row(void **state)
{
    struct bench *bench = *state;
    accept_events(bench);
    mkto_spool_close(bench->spool);
    break_text(bench, "p77@example.com");
    bench_open(bench);
    bench_start(bench);
    bench_run(bench, 120000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), 1);
    assert_int_equal(leads_sent(bench), EVENTS - 1);
    assert_int_equal(bench_logged(bench, "MKTO0304"), 1);
    assert_int_equal(bench_logged(bench, "event 78 "), 1);
    assert_int_equal(files_like(bench, ".bad-"), 0);
}

static void one_leaf(void **state)
{
    struct bench *bench = *state;
    accept_events(bench);
    open_broken(bench, 25);
    struct mkto_spool_salvaged salvaged;
    run_and_salvage(bench, &salvaged);
    const int64_t hidden = salvaged.hidden;
    assert_in_range(hidden, 5, 15);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), hidden);
    assert_int_equal(leads_sent(bench), EVENTS - hidden);
    assert_int_equal(bench_logged(bench, "MKTO0304"), hidden);
    assert_int_equal(files_like(bench, ".bad-"), 1);
    assert_int_equal(files_like(bench, ".new"), 0);
    identify(bench, EVENTS);
    bench_run(bench, 120000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(leads_sent(bench), EVENTS - hidden + 1);
    bench_restart(bench);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_dead(bench), hidden);
}

/* Whatever the page is: a leaf, the event table's root, a page map, another table. */
static void any_page(void **state)
{
    const long step = getenv("MKTO_VALGRIND") != NULL ? 8 : 1;
    long pages = 3;
    int unknown = 0;
    for (long page = 1; page < pages; page += step) {
        struct bench *bench = *state;
        accept_events(bench);
        mkto_spool_close(bench->spool);
        pages = pages_of(bench);
        bench_open(bench);
        open_broken(bench, page);
        struct mkto_spool_salvaged salvaged;
        run_and_salvage(bench, &salvaged);
        const long known = salvaged.unknown ? (long)salvaged.events : EVENTS;
        unknown += salvaged.unknown ? 1 : 0;
        if (bench_waiting(bench) != 0 || leads_sent(bench) + bench_dead(bench) != known) {
            fail_msg("page %ld: %ld wait, %u sent, %ld dead", page, bench_waiting(bench),
                     leads_sent(bench), bench_dead(bench));
        }
        identify(bench, EVENTS);
        bench_run(bench, 120000);
        assert_int_equal(bench_waiting(bench), 0);
        bench_teardown(state);
        bench_setup(state);
    }
    assert_true(pages > 30);
    if (step == 1) {
        assert_int_equal(unknown, 2); /* the table's root, and its last leaf */
    }
}

/* The first page hides all ids before it, of which nearly all were delivered long ago. */
static void first_leaf_of_a_long_life(void **state)
{
    struct bench *bench = *state;
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_spool_salvaged salvaged;
    accept_events(bench);
    for (int64_t id = 1; id < 5000; id += EVENTS) {
        assert_int_equal(mkto_spool_begin(bench->spool, &err), 0);
        for (int64_t each = id; each < id + EVENTS; each++) {
            assert_int_equal(mkto_spool_done(bench->spool, each, &err), 0);
        }
        assert_int_equal(mkto_spool_commit(bench->spool, &err), 0);
        accept_events(bench);
    }
    const int64_t last = mkto_spool_last_id(bench->spool);
    mkto_spool_close(bench->spool);
    break_page(bench, page_with(bench, "p0@example.com"));
    bench_open(bench);
    assert_int_equal(mkto_spool_salvage(bench->spool, bench->wall, &salvaged, &err), 0);
    assert_int_equal(salvaged.events + salvaged.hidden, EVENTS);
    assert_in_range(salvaged.hidden, 2, 15);
    assert_int_equal(mkto_spool_last_id(bench->spool), last);
    assert_int_equal(bench_waiting(bench), EVENTS);
}

/* How many it had is not known after a start; the others arrive, and no id is used again. */
static void last_leaf(void **state)
{
    struct bench *bench = *state;
    struct mkto_spool_salvaged salvaged;
    accept_events(bench);
    mkto_spool_close(bench->spool);
    const long page = page_with(bench, "p299@example.com");
    bench_open(bench);
    open_broken(bench, page);
    assert_true(mkto_spool_damaged(bench->spool));
    run_and_salvage(bench, &salvaged);
    assert_true(salvaged.unknown);
    assert_in_range(salvaged.events, EVENTS - 15, EVENTS - 1);
    assert_int_equal(leads_sent(bench), salvaged.events);
    assert_int_equal(bench_waiting(bench), 0);
    assert_true(mkto_spool_last_id(bench->spool) >= EVENTS);
}

/* Killed after the damaged file was set aside, before the new one was in its place. */
static void killed_between_two_renames(void **state)
{
    struct bench *bench = *state;
    accept_events(bench);
    mkto_spool_close(bench->spool);
    assert_int_equal(rename(file_of(bench, "spool.db"), file_of(bench, "spool.db.new")), 0);
    FILE *wal = fopen(file_of(bench, "spool.db-wal"), "w");
    assert_non_null(wal);
    fputs("of the damaged file", wal);
    fclose(wal);
    bench_open(bench);
    assert_int_equal(bench_waiting(bench), EVENTS);
    assert_int_equal(files_like(bench, ".bad-"), 1);
    assert_int_equal(files_like(bench, ".new"), 0);
}

/* Killed while the new file was written: the old one is still the spool. */
static void killed_while_copying(void **state)
{
    struct bench *bench = *state;
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_spool_salvaged salvaged;
    accept_events(bench);
    mkto_spool_close(bench->spool);
    FILE *half = fopen(file_of(bench, "spool.db.new"), "w");
    assert_non_null(half);
    fputs("half", half);
    fclose(half);
    bench_open(bench);
    assert_int_equal(bench_waiting(bench), EVENTS);
    assert_int_equal(mkto_spool_salvage(bench->spool, bench->wall, &salvaged, &err), 0);
    assert_int_equal(salvaged.events, EVENTS);
    assert_int_equal(salvaged.hidden, 0);
    assert_int_equal(bench_waiting(bench), EVENTS);
    assert_int_equal(files_like(bench, ".new"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_row, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(one_leaf, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(any_page, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(first_leaf_of_a_long_life, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(last_leaf, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(killed_between_two_renames, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(killed_while_copying, bench_setup, bench_teardown),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
