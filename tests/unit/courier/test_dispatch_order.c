/* mkto_dispatch: the order of what is said of one lead, where a cookie is all that names it. */
#include "soap_model.h"

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

/* ---- keys are never joined ---- */

static bool is_of_first(const struct bench_call *call)
{
    return bench_is_sync(call) && strstr(call->request.body.data, "p0@example.com") != NULL;
}

static int locks_the_first(struct bench *bench, const struct bench_call *call, const char **body,
                           struct mkto_http_answer *answer)
{
    if (is_of_first(call)) {
        *body = "{\"requestId\":\"1\",\"success\":false,\"errors\":[{\"code\":\"713\","
                "\"message\":\"Not now\"}]}";
        return 200;
    }
    return bench_kind(bench, call, body, answer);
}

/* A kiosk: one cookie and many people. Each is a lead of its own, and one who waits holds up
 * nobody, neither by the cookie nor by a user id that another had before. */
static void test_many_people_with_one_cookie(void **state)
{
    enum { PEOPLE = 50 };
    struct bench *bench = *state;
    bench->model = locks_the_first;
    bench->sub[0].batch_size = 1;
    bench->sub[0].calls_per_20s = 100;
    bench_start(bench);
    for (int i = 0; i < PEOPLE; i++) {
        bench_event(bench, MKTO_CALL_IDENTIFY, bench_cookie(bench, 1),
                    apr_psprintf(bench->pool,
                                 "{\"userId\":\"kiosk\",\"traits\":{\"email\":"
                                 "\"p%d@example.com\",\"n\":%d}}",
                                 i, i));
    }
    bench_run(bench, 60000);
    assert_int_equal(bench_counter(bench, "delivered"), PEOPLE - 1);
    assert_int_equal(bench_waiting(bench), 1);
    bench_quiet(bench);
}

/* ---- full batches ---- */

static void check_sizes(struct bench *bench)
{
    bench_bulk(bench);
    for (int i = 0; i < 301; i++) {
        bench_event(bench, MKTO_CALL_IDENTIFY, NULL,
                    apr_psprintf(bench->pool, "{\"traits\":{\"email\":\"p%d@example.com\"}}", i));
    }
    bench_bulk_end(bench);
    bench_run(bench, 60000);
    assert_int_equal(bench_waiting(bench), 0);
    assert_int_equal(bench_counter(bench, "delivered"), 301);
    bench_quiet(bench);
}

static void test_three_hundred_over_rest(void **state)
{
    struct bench *bench = *state;
    bench->model = bench_kind;
    bench_start(bench);
    check_sizes(bench);
    assert_int_equal(bench_count(bench, bench_is_sync), 2);
    for (unsigned i = 0; i < 2; i++) {
        const struct mkto_json *call = bench_json(bench_nth(bench, bench_is_sync, i));
        assert_int_equal(mkto_json_get(call, "input")->count, i == 0 ? 300 : 1);
    }
}

static unsigned records_of(const struct bench_call *call)
{
    const char *at = call->request.body.data;
    unsigned count = 0;

    while ((at = strstr(at, "<leadRecord>")) != NULL) {
        at++;
        count++;
    }
    return count;
}

static void test_three_hundred_over_soap(void **state)
{
    struct bench *bench = *state;
    bench->sub[0].api = MKTO_API_SOAP;
    bench->model = soap_kind;
    bench_start(bench);
    check_sizes(bench);
    assert_int_equal(bench_count(bench, soap_is_batch), 2);
    assert_int_equal(records_of(bench_nth(bench, soap_is_batch, 0)), 300);
    assert_int_equal(records_of(bench_nth(bench, soap_is_batch, 1)), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_group_before_and_after_its_cookie_is_known),
        TEST(test_many_groups_before_the_cookie_is_known),
        TEST(test_many_people_with_one_cookie),
        TEST(test_three_hundred_over_rest),
        TEST(test_three_hundred_over_soap),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
