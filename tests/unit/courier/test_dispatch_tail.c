/* mkto_dispatch: what `marketo tail` says of a verdict is what became of the event. */
#include "dispatch_bench.h"

static void assert_told(struct bench *bench, int nth, const char *verdict, const char *reason)
{
    assert_true(nth < bench->tails->nelts);
    const char *line = APR_ARRAY_IDX(bench->tails, nth, const char *);
    assert_non_null(strstr(line, apr_psprintf(bench->pool, "\"verdict\":\"%s\"", verdict)));
    assert_non_null(strstr(line, apr_psprintf(bench->pool, "\"reason\":\"%s\"", reason)));
}

static const char refused[] = "{\"requestId\":\"1\",\"success\":false,\"errors\":[{\"code\":\"%d\","
                              "\"message\":\"%s\"}]}";

/* Whole calls are refused that hold the word. */
static int refuses(struct bench *bench, const struct bench_call *call, const char **body,
                   struct mkto_http_answer *answer)
{
    if (call->request.body.len > 0 &&
        memmem(call->request.body.data, call->request.body.len, "poison", 6) != NULL) {
        *body = apr_psprintf(call->pool, refused, 609, "Invalid JSON");
        return 200;
    }
    if (bench_is_link(call)) {
        *body = apr_psprintf(call->pool, refused, 1012, "Invalid cookie");
        return 200;
    }
    return bench_kind(bench, call, body, answer);
}

static void begin(struct bench *bench)
{
    bench->sub[0].lead_interval_ms = 0;
    bench->model = refuses;
    bench->tailing = true;
    bench_start(bench);
}

static void test_dead_when_nothing_is_left_to_split(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    bench_identify(bench, "ada@example.com", "x", "poison", 0);
    bench_identify(bench, "bob@example.com", "x", "fine", 0);
    bench_run(bench, 3000);
    assert_told(bench, 0, "split", "invalid_json");
    assert_told(bench, 1, "dead", "invalid_json");
    assert_told(bench, 2, "delivered", "delivered");
    assert_int_equal(bench_dead(bench), 1 + 1); /* and the link of the other one's made cookie */
}

static void test_dead_link(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    bench_identify(bench, "ada@example.com", "x", "fine", 1);
    bench_run(bench, 3000);
    assert_told(bench, 0, "delivered", "delivered");
    assert_told(bench, 1, "dead", "bad_cookie");
    assert_int_equal(bench->tails->nelts, 2);
}

static void test_split_of_merged_events(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    bench_identify(bench, "ada@example.com", "x", "fine", 0);
    bench_identify(bench, "ada@example.com", "y", "poison", 0);
    bench_run(bench, 3000);
    assert_told(bench, 0, "split", "invalid_json");
    assert_told(bench, 1, "delivered", "delivered");
    unsigned dead = 0;
    for (int i = 0; i < bench->tails->nelts; i++) {
        const char *line = APR_ARRAY_IDX(bench->tails, i, const char *);
        dead += strstr(line, "\"reason\":\"invalid_json\"") != NULL &&
                        strstr(line, "\"verdict\":\"dead\"") != NULL
                    ? 1
                    : 0;
    }
    assert_int_equal(dead, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_dead_when_nothing_is_left_to_split),
        TEST(test_dead_link),
        TEST(test_split_of_merged_events),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
