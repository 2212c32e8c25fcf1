/* mkto_dispatch: the order of what is said of one lead, where a cookie is all that names it. */
#include "dispatch_bench.h"

static void group(struct bench *bench, int cookie, const char *company)
{
    bench_event(
        bench, MKTO_CALL_GROUP, bench_cookie(bench, cookie),
        apr_psprintf(bench->pool,
                     "{\"anonymousId\":\"a\",\"groupId\":\"g\",\"traits\":{\"name\":\"%s\"}}",
                     company));
}

static bool is_update(const struct bench_call *call)
{
    return bench_is_sync(call) && strstr(call->request.body.data, "updateOnly") != NULL;
}

static const char *company_of(struct bench *bench, unsigned nth)
{
    const struct mkto_json *body = bench_json(bench_nth(bench, is_update, nth));
    return mkto_json_string(mkto_json_get(mkto_json_get(body, "input")->first, "company")).data;
}

/* What came before the cookie was known must not end up on top of what came after. */
static void test_group_before_and_after_its_cookie_is_known(void **state)
{
    struct bench *bench = *state;
    bench->sub[0].lead_interval_ms = 0;
    bench->model = bench_kind;
    bench_start(bench);
    group(bench, 1, "First");
    bench_run(bench, 1000);
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_run(bench, 5000);
    assert_int_equal(bench_count(bench, bench_is_link), 1);
    group(bench, 1, "Second");
    bench_run(bench, 60000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_string_equal(company_of(bench, bench_count(bench, is_update) - 1), "Second");
    assert_int_equal(bench_count(bench, is_update), 1);
    group(bench, 1, "Third");
    bench_run(bench, 1000); /* nothing waits in the cookie's lane any more */
    assert_int_equal(bench_count(bench, is_update), 2);
    assert_string_equal(company_of(bench, 1), "Third");
    bench_quiet(bench);
}

/* The same when the moved ones are more than one call may merge. */
static void test_many_groups_before_the_cookie_is_known(void **state)
{
    enum { MANY = 700, AFTER = 50 };
    struct bench *bench = *state;
    bench->sub[0].lead_interval_ms = 0;
    bench->model = bench_kind;
    bench_start(bench);
    for (int i = 0; i < MANY; i++) {
        group(bench, 1, apr_psprintf(bench->pool, "%d", i));
    }
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_run(bench, 5000);
    for (int i = 0; i < AFTER; i++) {
        group(bench, 1, apr_psprintf(bench->pool, "%d", MANY + i));
        bench_run(bench, 400);
    }
    bench_run(bench, 60000);
    assert_int_equal(bench_waiting(bench), 0);
    int last = -1;
    for (unsigned i = 0; i < bench_count(bench, is_update); i++) {
        int now = atoi(company_of(bench, i));
        assert_true(now > last);
        last = now;
    }
    assert_int_equal(last, MANY + AFTER - 1);
    bench_quiet(bench);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_group_before_and_after_its_cookie_is_known),
        TEST(test_many_groups_before_the_cookie_is_known),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
