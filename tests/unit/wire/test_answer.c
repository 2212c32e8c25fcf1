#include "wire_test.h"

#include "mkto_answer.h"

struct row {
    enum mkto_answer answer;
    const char *name;
    int status;
    int retry_after;
};

/* clang-format off */
static const struct row rows[] = {
    {MKTO_ANSWER_STORED,         "stored",         200, 0},
    {MKTO_ANSWER_FILTERED,       "filtered",       200, 0},
    {MKTO_ANSWER_BAD_REQUEST,    "bad_request",    400, 0},
    {MKTO_ANSWER_UNAUTHORIZED,   "unauthorized",   401, 0},
    {MKTO_ANSWER_FORBIDDEN,      "forbidden",      403, 0},
    {MKTO_ANSWER_NOT_FOUND,      "not_found",      404, 0},
    {MKTO_ANSWER_BAD_METHOD,     "bad_method",     405, 0},
    {MKTO_ANSWER_TOO_LARGE,      "too_large",      413, 0},
    {MKTO_ANSWER_BAD_MEDIA_TYPE, "bad_media_type", 415, 0},
    {MKTO_ANSWER_RATE_LIMITED,   "rate_limited",   429, 5},
    {MKTO_ANSWER_AWAY,           "away",           503, 5},
    {MKTO_ANSWER_BUSY,           "busy",           503, 5},
    {MKTO_ANSWER_FULL,           "full",           503, 30},
    {MKTO_ANSWER_EXPIRED,        "expired",        503, 5},
};
/* clang-format on */

static void table(void **state)
{
    (void)state;
    assert_int_equal(sizeof(rows) / sizeof(rows[0]), MKTO_ANSWER_COUNT);
    for (size_t i = 0; i < MKTO_ANSWER_COUNT; i++) {
        assert_int_equal(rows[i].answer, i);
        assert_string_equal(mkto_answer_name(rows[i].answer), rows[i].name);
        assert_int_equal(mkto_answer_status(rows[i].answer), rows[i].status);
        assert_int_equal(mkto_answer_retry_after(rows[i].answer), rows[i].retry_after);
    }
}

static void bodies(void **state)
{
    (void)state;
    assert_slice(mkto_answer_body(MKTO_ANSWER_STORED), "{\"success\":true}");
    assert_slice(mkto_answer_body(MKTO_ANSWER_FILTERED), "{\"success\":true}");
    for (int i = MKTO_ANSWER_BAD_REQUEST; i < MKTO_ANSWER_COUNT; i++) {
        const struct mkto_slice body = mkto_answer_body((enum mkto_answer)i);
        const char *start = "{\"success\":false,\"error\":\"";
        assert_true(body.len > strlen(start) + 10);
        assert_memory_equal(body.data, start, strlen(start));
        assert_memory_equal(body.data + body.len - 2, "\"}", 2);
    }
}

static void out_of_range(void **state)
{
    (void)state;
    assert_int_equal(mkto_answer_status(MKTO_ANSWER_COUNT), 500);
    assert_int_equal(mkto_answer_status((enum mkto_answer)200), 500);
    assert_string_equal(mkto_answer_name(MKTO_ANSWER_COUNT), "unknown");
    assert_int_equal(mkto_answer_retry_after(MKTO_ANSWER_COUNT), 0);
    assert_true(mkto_answer_body(MKTO_ANSWER_COUNT).len > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(bodies),
        cmocka_unit_test(out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
