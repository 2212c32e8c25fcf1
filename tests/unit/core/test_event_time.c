/* When an event happened, and its sender's address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <inttypes.h>

#include "mkto_event_mask.h"
#include "mkto_event_time.h"

#define RECEIVED INT64_C(1700000000000) /* 2023-11-14T22:13:20Z */

static apr_pool_t *pool;

static int setup(void **state)
{
    (void)state;
    return apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

static int teardown(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static void test_reading(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } rows[] = {
        {"2023-11-14T22:13:20Z", RECEIVED},
        {"2023-11-14T22:13:20.123Z", RECEIVED + 123},
        {"2023-11-14T22:13:20.123456789z", RECEIVED + 123},
        {"2023-11-14T22:13:20,5", RECEIVED + 500},
        {"2023-11-14 22:13:20", RECEIVED},
        {"2023-11-15T00:13:20+02:00", RECEIVED},
        {"2023-11-14T18:43:20-0330", RECEIVED},
        {"2023-11-15T00:13:20+02", RECEIVED},
        {"1700000000", RECEIVED},
        {"1700000000000", RECEIVED},
        {"1970-01-01T00:00:00Z", 0},
        {"", -1},
        {"2023-11-14", -1},
        {"2023-11-14T22:13Z", -1},
        {"2023-13-14T22:13:20Z", -1},
        {"2023-11-14T25:13:20Z", -1},
        {"2023-11-14T22:13:20X", -1},
        {"2023-11-14T22:13:20Zx", -1},
        {"2023-11-14T22:13:20+2", -1},
        {"2023-11-14T22:13:20+02:0", -1},
        {"2023-11-14T22:13:20+02:000", -1},
        {"2023-11-14T22:13:20+24:00", -1},
        {"1969-12-31T23:59:59Z", -1},
        {"170000000", -1},
        {"17000000000000", -1},
        {"170000000x", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ms = -1;
        const bool read = mkto_event_time_read(mkto_slice_str(rows[i].text), &ms);
        if (read != (rows[i].ms >= 0) || (read && ms != rows[i].ms)) {
            fail_msg("%s: %" PRId64, rows[i].text, ms);
        }
    }
}

static int64_t time_of(const char *body, const char *defaults)
{
    struct mkto_event *event = NULL;
    struct mkto_event_fault fault;
    const struct mkto_envelope envelope = {
        .call = MKTO_CALL_PAGE,
        .received_ms = RECEIVED,
        .body = mkto_slice_str(apr_psprintf(pool, "{\"userId\":\"u\"%s}", body)),
        .defaults = defaults == NULL ? MKTO_SLICE_NONE : mkto_slice_str(defaults),
    };
    assert_int_equal(mkto_event_read(&envelope, &event, &fault, pool), 0);
    return mkto_event_time(event) - RECEIVED;
}

#define SENT(text) ",\"sentAt\":\"" text "\""
#define TIMESTAMP(text) ",\"timestamp\":\"" text "\""

static void test_skew(void **state)
{
    (void)state;
    assert_int_equal(time_of("", NULL), 0);
    /* A clock that is an hour ahead, and an event that waited for 20 s. */
    assert_int_equal(time_of(TIMESTAMP("2023-11-14T23:13:00Z") SENT("2023-11-14T23:13:20Z"), NULL),
                     -20000);
    /* Years behind. */
    assert_int_equal(
        time_of(TIMESTAMP("2001-01-01T00:00:00Z") SENT("2001-01-01T00:00:05.250Z"), NULL), -5250);
    assert_int_equal(time_of(",\"originalTimestamp\":\"2001-01-01T00:00:00Z\"" TIMESTAMP(
                                 "2001-01-01T00:00:04Z") SENT("2001-01-01T00:00:05Z"),
                             NULL),
                     -5000);
    assert_int_equal(time_of(TIMESTAMP("2023-11-14T22:13:10Z"), NULL), -10000);
    assert_int_equal(time_of(",\"timestamp\":1699999990000", NULL), -10000);
}

static void test_sent_with_the_batch(void **state)
{
    const char *defaults = "{\"sentAt\":\"2023-11-14T23:13:20Z\"}";
    (void)state;
    assert_int_equal(time_of(TIMESTAMP("2023-11-14T23:13:00Z"), defaults), -20000);
    assert_int_equal(
        time_of(TIMESTAMP("2023-11-14T23:13:00Z") SENT("2023-11-14T23:13:01Z"), defaults), -1000);
}

static void test_nonsense(void **state)
{
    (void)state;
    assert_int_equal(time_of(TIMESTAMP("soon"), NULL), 0);
    assert_int_equal(time_of(",\"timestamp\":{}", NULL), 0);
    assert_int_equal(time_of(TIMESTAMP("2023-11-14T22:13:21Z"), NULL), 0); /* the future */
    assert_int_equal(time_of(TIMESTAMP("2023-11-14T22:13:21Z") SENT("2023-11-14T22:13:20Z"), NULL),
                     0);
    assert_int_equal(time_of(TIMESTAMP("2023-11-07T22:13:20Z"), NULL), -MKTO_EVENT_AGE_MAX);
    assert_int_equal(time_of(TIMESTAMP("2023-11-07T22:13:19.999Z"), NULL), 0);
    assert_int_equal(time_of(TIMESTAMP("2023-11-14T22:13:10Z") SENT("whenever"), NULL), -10000);
}

static void masks(const char *text, const char *wanted)
{
    const struct mkto_slice masked = mkto_event_mask(mkto_slice_str(text), pool);
    if (!mkto_slice_is(masked, wanted)) {
        fail_msg("%s: %.*s", text, (int)masked.len, masked.data);
    }
}

static void test_mask(void **state)
{
    const struct mkto_slice as_it_is = MKTO_SLICE_LIT("{\"context\" : {\"app\":1}}");
    (void)state;
    masks("{\"userId\":\"u\",\"context\":{\"ip\":\"192.0.2.77\",\"n\":1.50}}",
          "{\"userId\":\"u\",\"context\":{\"ip\":\"192.0.2.0\",\"n\":1.50}}");
    masks("{\"context\":{\"IP\":\"2001:db8:1:2::3\",\"i_p\":\"x\"}}",
          "{\"context\":{\"IP\":\"2001:db8:1::\",\"i_p\":\"\"}}");
    masks("{\"context\":{\"\\u0069p\":\"192.0.2.77\"}}", "{\"context\":{\"ip\":\"192.0.2.0\"}}");
    masks("{\"ip\":\"192.0.2.77\",\"context\":7}", "{\"ip\":\"192.0.2.77\",\"context\":7}");
    assert_ptr_equal(mkto_event_mask(as_it_is, pool).data, as_it_is.data);
    assert_null(mkto_event_mask(MKTO_SLICE_NONE, pool).data);
}

#define TIME_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TIME_TEST(test_reading),  TIME_TEST(test_skew), TIME_TEST(test_sent_with_the_batch),
        TIME_TEST(test_nonsense), TIME_TEST(test_mask),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
