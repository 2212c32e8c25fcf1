/* mkto_lanes, mkto_outcome, mkto_tally, mkto_refused: the index in memory and its neighbours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mkto_lanes.h"
#include "mkto_note.h"
#include "mkto_outcome.h"
#include "mkto_refused.h"
#include "mkto_tally.h"

static apr_pool_t *pool;

static int make_pool(void **state)
{
    (void)state;
    apr_pool_create(&pool, NULL);
    return 0;
}

static int drop_pool(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static int64_t head(const struct mkto_lanes *lanes, uint32_t lane)
{
    return mkto_lanes_event_id(lanes, mkto_lanes_at(lanes, lane)->first);
}

static void test_order_in_a_lane(void **state)
{
    struct mkto_lanes *lanes = mkto_lanes_create(100, pool);
    (void)state;
    uint32_t a = mkto_lanes_open(lanes, 7, 0, MKTO_LANE_LEAD);
    uint32_t b = mkto_lanes_open(lanes, 7 + 4096, 1, MKTO_LANE_VISIT); /* the same slot */
    assert_int_not_equal(a, b);
    assert_int_equal(mkto_lanes_open(lanes, 7, 0, MKTO_LANE_LEAD), a);
    for (int64_t id = 1; id <= 6; id++) {
        assert_true(mkto_lanes_add(lanes, id % 2 == 1 ? a : b, id));
    }
    assert_int_equal(mkto_lanes_events(lanes), 6);
    uint32_t second = mkto_lanes_event_next(lanes, mkto_lanes_at(lanes, a)->first);
    assert_int_equal(mkto_lanes_event_id(lanes, second), 3);
    assert_int_equal(head(lanes, a), 1);
    mkto_lanes_shift(lanes, a);
    assert_int_equal(head(lanes, a), 3);
    mkto_lanes_shift(lanes, a);
    mkto_lanes_shift(lanes, a);
    assert_int_equal(mkto_lanes_at(lanes, a)->first, MKTO_LANE_NONE);
    mkto_lanes_close(lanes, a);
    assert_int_equal(mkto_lanes_count(lanes), 1);
    assert_int_equal(mkto_lanes_open(lanes, 7 + 4096, 1, MKTO_LANE_VISIT), b);
    assert_int_equal(head(lanes, b), 2);
}

static void test_limits(void **state)
{
    struct mkto_lanes *lanes = mkto_lanes_create(3, pool);
    (void)state;
    uint32_t lane = mkto_lanes_open(lanes, 1, 0, MKTO_LANE_LEAD);
    assert_true(mkto_lanes_add(lanes, lane, MKTO_LANES_ID_MAX));
    assert_false(mkto_lanes_add(lanes, lane, MKTO_LANES_ID_MAX + 1));
    assert_false(mkto_lanes_add(lanes, lane, -1));
    assert_int_equal(head(lanes, lane), MKTO_LANES_ID_MAX);
    assert_true(mkto_lanes_add(lanes, lane, 2));
    assert_int_equal(mkto_lanes_room(lanes), 1);
    assert_true(mkto_lanes_add(lanes, lane, 3));
    assert_int_equal(mkto_lanes_room(lanes), 0);
    assert_false(mkto_lanes_add(lanes, lane, 4));
    mkto_lanes_shift(lanes, lane);
    assert_true(mkto_lanes_add(lanes, lane, 4));
}

static void test_waiting_by_due(void **state)
{
    struct mkto_lanes *lanes = mkto_lanes_create(2000, pool);
    uint64_t last = 0;
    (void)state;
    srand(3);
    for (uint64_t i = 0; i < 1500; i++) {
        uint32_t lane = mkto_lanes_open(lanes, i * 977, 0, MKTO_LANE_LEAD);
        mkto_lanes_wait(lanes, lane, (uint64_t)(rand() % 1000) + 10);
    }
    assert_int_equal(mkto_lanes_due(lanes, 9), MKTO_LANE_NONE);
    for (int i = 0; i < 1500; i++) {
        uint64_t due = mkto_lanes_next_due(lanes);
        assert_int_equal(mkto_lanes_due(lanes, due - 1), MKTO_LANE_NONE);
        uint32_t lane = mkto_lanes_due(lanes, due);
        assert_int_not_equal(lane, MKTO_LANE_NONE);
        assert_true(due >= last);
        last = due;
        mkto_lanes_close(lanes, lane);
    }
    assert_true(mkto_lanes_next_due(lanes) == UINT64_MAX);
}

static void test_queues(void **state)
{
    struct mkto_lanes *lanes = mkto_lanes_create(10, pool);
    struct mkto_lane_queue queue = MKTO_LANE_QUEUE_EMPTY;
    (void)state;
    uint32_t a = mkto_lanes_open(lanes, 1, 0, MKTO_LANE_LEAD);
    uint32_t b = mkto_lanes_open(lanes, 2, 0, MKTO_LANE_LEAD);
    uint32_t c = mkto_lanes_open(lanes, 3, 0, MKTO_LANE_LEAD);
    assert_int_equal(mkto_lanes_take(lanes, &queue), MKTO_LANE_NONE);
    mkto_lanes_push_front(lanes, &queue, b, 5);
    mkto_lanes_push(lanes, &queue, c, 6);
    mkto_lanes_push_front(lanes, &queue, a, 7);
    assert_int_equal(queue.count, 3);
    assert_int_equal(mkto_lanes_take(lanes, &queue), a);
    assert_int_equal(mkto_lanes_at(lanes, a)->state, MKTO_LANE_BUSY);
    assert_int_equal(mkto_lanes_take(lanes, &queue), b);
    assert_int_equal(mkto_lanes_take(lanes, &queue), c);
    assert_int_equal(queue.count, 0);
    assert_int_equal(mkto_lanes_take(lanes, &queue), MKTO_LANE_NONE);
}

/* Against a plain array: open, add, shift and close at random, with hashes that collide. */
static void test_table_at_random(void **state)
{
    enum { KEYS = 20000 };
    struct mkto_lanes *lanes = mkto_lanes_create(200000, pool);
    static unsigned added[KEYS];
    static unsigned gone[KEYS];
    size_t events = 0;
    (void)state;
    srand(11);
    for (int step = 0; step < 200000; step++) {
        unsigned k = (unsigned)rand() % KEYS;
        uint64_t hash = (uint64_t)(k % 9000) + ((uint64_t)k << 32);
        if (rand() % 2 == 0) {
            uint32_t lane = mkto_lanes_open(lanes, hash, 0, MKTO_LANE_LEAD);
            assert_true(mkto_lanes_add(lanes, lane, (int64_t)k * 1000000 + added[k]++));
            events++;
        } else if (gone[k] < added[k]) {
            uint32_t lane = mkto_lanes_open(lanes, hash, 0, MKTO_LANE_LEAD);
            assert_int_equal(head(lanes, lane), (int64_t)k * 1000000 + gone[k]++);
            mkto_lanes_shift(lanes, lane);
            events--;
            if (gone[k] == added[k]) {
                mkto_lanes_close(lanes, lane);
            }
        }
    }
    assert_int_equal(mkto_lanes_events(lanes), events);
}

/* A million events of a million leads stay well under the courier's 96 MiB, and the memory comes
 * back. */
static void test_memory_of_a_million(void **state)
{
    const uint64_t count = getenv("MKTO_VALGRIND") != NULL ? 20000 : 1000000;
    struct mkto_lanes *lanes = mkto_lanes_create(MKTO_LANES_EVENTS_MAX, pool);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    (void)state;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t lane = mkto_lanes_open(lanes, i * UINT64_C(0x9e3779b97f4a7c15), 0, MKTO_LANE_LEAD);
        assert_true(mkto_lanes_add(lanes, lane, (int64_t)i));
    }
    size_t used = mallinfo2().uordblks + mallinfo2().hblkhd - before;
    print_message("%" PRIu64 " events in as many lanes: %zu KiB\n", count, used / 1024);
    assert_true(used < (size_t)64 << 20);
    assert_int_equal(sizeof(struct mkto_lane), 32);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t lane = mkto_lanes_open(lanes, i * UINT64_C(0x9e3779b97f4a7c15), 0, MKTO_LANE_LEAD);
        mkto_lanes_shift(lanes, lane);
        mkto_lanes_close(lanes, lane);
    }
    assert_true(mallinfo2().uordblks + mallinfo2().hblkhd - before < (size_t)1 << 20);
}

/* As many as grow the table, all with the same bits in the slot, and every second one closed: none
 * is taken for another. */
static void test_hashes_alike(void **state)
{
    enum { COUNT = 5000 };
    struct mkto_lanes *lanes = mkto_lanes_create(10, pool);
    (void)state;
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(mkto_lanes_open(lanes, i << 16 | 5, 0, MKTO_LANE_LEAD), i);
        if (i % 2 == 1) {
            mkto_lanes_close(lanes, (uint32_t)i - 1);
            assert_int_equal(mkto_lanes_open(lanes, UINT64_MAX - i, 0, MKTO_LANE_LEAD), i - 1);
            mkto_lanes_close(lanes, (uint32_t)i - 1);
            assert_int_equal(mkto_lanes_open(lanes, (i - 1) << 16 | 6, 0, MKTO_LANE_LEAD), i - 1);
        }
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(mkto_lanes_find(lanes, i << 16 | 5), i % 2 == 1 ? i : MKTO_LANE_NONE);
        assert_int_equal(mkto_lanes_find(lanes, i << 16 | 6), i % 2 == 0 ? i : MKTO_LANE_NONE);
    }
    assert_int_equal(mkto_lanes_count(lanes), COUNT);
}

static void test_oldest(void **state)
{
    struct mkto_lanes *lanes = mkto_lanes_create(10, pool);
    int64_t ids[MKTO_LANE_KINDS];
    (void)state;
    mkto_lanes_add(lanes, mkto_lanes_open(lanes, 1, 0, MKTO_LANE_LEAD), 9);
    mkto_lanes_add(lanes, mkto_lanes_open(lanes, 2, 0, MKTO_LANE_LEAD), 4);
    mkto_lanes_add(lanes, mkto_lanes_open(lanes, 3, 1, MKTO_LANE_LEAD), 2);
    uint32_t closed = mkto_lanes_open(lanes, 4, 0, MKTO_LANE_LEAD);
    mkto_lanes_add(lanes, closed, 1);
    mkto_lanes_shift(lanes, closed);
    mkto_lanes_close(lanes, closed);
    mkto_lanes_oldest(lanes, 0, ids);
    assert_int_equal(ids[MKTO_LANE_LEAD], 4);
    assert_true(ids[MKTO_LANE_VISIT] == INT64_MAX);
}

static void test_keys(void **state)
{
    (void)state;
    assert_true(mkto_lane_of_email("", "Ada@Example.com") ==
                mkto_lane_of_email("", "ada@example.com"));
    assert_true(mkto_lane_of_email("", "AZ@X.DE") == mkto_lane_of_email("", "az@x.de"));
    assert_true(mkto_lane_of_email("b", "a@x.de") != mkto_lane_of_email("", "a@x.de"));
    assert_true(mkto_lane_of_visits("", MKTO_SLICE_LIT("t")) !=
                mkto_lane_of_links("", MKTO_SLICE_LIT("t")));
    assert_true(mkto_lane_of_cookie("", MKTO_SLICE_LIT("T")) !=
                mkto_lane_of_cookie("", MKTO_SLICE_LIT("t")));
}

/* ---- the neighbours ---- */

static void test_outcome_text_is_cut(void **state)
{
    struct mkto_outcomes outcomes = {0};
    char text[2 * MKTO_OUTCOME_TEXT_MAX];
    (void)state;
    memset(text, 'a', sizeof(text));
    memcpy(text + MKTO_OUTCOME_TEXT_MAX - 2, "\xc3\xa4", 2); /* an umlaut across the edge */
    text[sizeof(text) - 1] = '\0';
    struct mkto_outcome outcome = {.kind = MKTO_OUTCOME_DEAD, .answer = text};
    mkto_outcomes_add(&outcomes, &outcome);
    assert_int_equal(strlen(mkto_outcomes_at(&outcomes, 0)->answer), MKTO_OUTCOME_TEXT_MAX - 2);
    text[MKTO_OUTCOME_TEXT_MAX - 1] = '\0';
    text[MKTO_OUTCOME_TEXT_MAX - 2] = 'a';
    mkto_outcomes_add(&outcomes, &outcome);
    assert_int_equal(strlen(mkto_outcomes_at(&outcomes, 1)->answer), MKTO_OUTCOME_TEXT_MAX - 1);
    mkto_outcomes_clear(&outcomes);
}

static void test_outcomes_stay_in_order(void **state)
{
    struct mkto_outcomes outcomes = {0};
    int64_t in = 0;
    int64_t out = 0;
    (void)state;
    srand(5);
    for (int step = 0; step < 3000; step++) {
        for (int i = rand() % 50; i > 0; i--) {
            struct mkto_outcome outcome = {.kind = MKTO_OUTCOME_DONE, .id = in++};
            mkto_outcomes_add(&outcomes, &outcome);
        }
        unsigned drop = (unsigned)rand() % 60;
        drop = drop > outcomes.count ? outcomes.count : drop;
        for (unsigned i = 0; i < drop; i++) {
            assert_int_equal(mkto_outcomes_at(&outcomes, i)->id, out++);
        }
        mkto_outcomes_drop(&outcomes, drop);
    }
    assert_int_equal(outcomes.count, in - out);
    mkto_outcomes_clear(&outcomes);
}

static void test_tally_is_bounded(void **state)
{
    static struct mkto_tally tally;
    char word[2 * MKTO_TALLY_WORD_MAX];
    (void)state;
    for (int i = 0; i < MKTO_TALLY_WORDS_MAX + 10; i++) {
        snprintf(word, sizeof(word), "word %d", i);
        mkto_tally_add(&tally, word, 1, i);
    }
    assert_int_equal(tally.count, MKTO_TALLY_WORDS_MAX);
    assert_int_equal(mkto_tally_of(&tally, "word 62"), 1);
    assert_int_equal(mkto_tally_of(&tally, "word 63"), 0);
    assert_int_equal(mkto_tally_of(&tally, "other"), 11);
    static struct mkto_tally cut;
    memset(word, 'w', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    mkto_tally_add(&cut, word, 1, 0);
    mkto_tally_add(&cut, word, 1, 0);
    assert_int_equal(cut.count, 1);
    assert_int_equal(strlen(cut.rows[0].word), MKTO_TALLY_WORD_MAX - 1);
}

static void test_minute(void **state)
{
    struct mkto_tally_minute minute = {0};
    (void)state;
    mkto_tally_tick(&minute, 5, 100000);
    mkto_tally_tick(&minute, 7, 130500);
    assert_int_equal(mkto_tally_last_minute(&minute, 130900), 12);
    assert_int_equal(mkto_tally_last_minute(&minute, 159999), 12);
    assert_int_equal(mkto_tally_last_minute(&minute, 160000), 7);
    assert_int_equal(mkto_tally_last_minute(&minute, 190000), 0);
}

static void test_refused_is_bounded(void **state)
{
    static struct mkto_refused refused;
    char name[32];
    (void)state;
    for (int i = 0; i < MKTO_REFUSED_MAX; i++) {
        snprintf(name, sizeof(name), "field %d", i);
        assert_true(mkto_refused_add(&refused, name));
        assert_false(mkto_refused_add(&refused, name));
    }
    assert_false(mkto_refused_add(&refused, "one more"));
    assert_false(mkto_refused_has(&refused, "one more"));
    assert_true(mkto_refused_has(&refused, "field 0"));
    assert_true(mkto_refused_say(&refused, 1000));
    assert_false(mkto_refused_say(&refused, 1000 + MKTO_REFUSED_SAY_MS - 1));
    assert_true(mkto_refused_say(&refused, 1000 + MKTO_REFUSED_SAY_MS));
    mkto_refused_clear(&refused);
    assert_false(mkto_refused_has(&refused, "field 0"));
}

static void test_note(void **state)
{
    struct mkto_note note = mkto_note_object(pool);
    struct mkto_note list = mkto_note_array(pool);
    (void)state;
    mkto_note_text(&list, NULL, "a\"b");
    mkto_note_digits(&list, NULL, "1.50");
    mkto_note_text(&note, "none", NULL);
    mkto_note_number(&note, "n", -7);
    mkto_note_bool(&note, "yes", true);
    mkto_note_add(&note, "list", &list);
    assert_string_equal(mkto_note_json(&note).data,
                        "{\"none\":null,\"n\":-7,\"yes\":true,\"list\":[\"a\\\"b\",1.50]}");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_pool, drop_pool)
    const struct CMUnitTest tests[] = {
        TEST(test_order_in_a_lane),
        TEST(test_limits),
        TEST(test_waiting_by_due),
        TEST(test_queues),
        TEST(test_table_at_random),
        TEST(test_memory_of_a_million),
        TEST(test_hashes_alike),
        TEST(test_oldest),
        TEST(test_keys),
        TEST(test_outcome_text_is_cut),
        TEST(test_outcomes_stay_in_order),
        TEST(test_tally_is_bounded),
        TEST(test_minute),
        TEST(test_refused_is_bounded),
        TEST(test_note),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
