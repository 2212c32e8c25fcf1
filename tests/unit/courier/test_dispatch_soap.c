/* mkto_dispatch over SOAP: cookies, batches, clock skew, locks, the retired endpoint. */
#include "soap_model.h"

static void begin(struct bench *bench, bench_model *model)
{
    bench->sub[0].api = MKTO_API_SOAP;
    bench->model = model;
    bench_start(bench);
}

static void test_cookies_go_alone_others_in_a_batch(void **state)
{
    struct bench *bench = *state;
    begin(bench, soap_kind);
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    for (int i = 0; i < 5; i++) {
        bench_identify(bench, apr_psprintf(bench->pool, "p%d@example.com", i), "n", "1", 0);
    }
    bench_run(bench, 10000);
    /* a made cookie is told once, and then the lead may go in a batch */
    assert_int_equal(bench_count(bench, soap_is_single), 6);
    assert_int_equal(bench_count(bench, soap_is_batch), 0);
    assert_non_null(strstr(soap_text(bench_nth(bench, soap_is_single, 0)),
                           "<marketoCookie>id:561-HYG-937&amp;token:_mch-example.com-"));
    bench_run(bench, 30000);
    bench_identify(bench, "ada@example.com", "n", "2", 1);
    for (int i = 0; i < 5; i++) {
        bench_identify(bench, apr_psprintf(bench->pool, "p%d@example.com", i), "n", "2", 0);
    }
    bench_run(bench, 10000);
    assert_int_equal(bench_count(bench, soap_is_single), 7);
    assert_int_equal(bench_count(bench, soap_is_batch), 1);
    assert_null(strstr(soap_text(bench_nth(bench, soap_is_batch, 0)), "marketoCookie"));
    assert_int_equal(bench_waiting(bench), 0);
    bench_quiet(bench);
}

static void test_each_cookie_of_a_lead_is_told(void **state)
{
    struct bench *bench = *state;
    begin(bench, soap_kind);
    bench_identify(bench, "ada@example.com", "a", "1", 1);
    bench_identify(bench, "ada@example.com", "b", "1", 1);
    bench_identify(bench, "ada@example.com", "c", "1", 2);
    bench_run(bench, 10000);
    assert_int_equal(bench_count(bench, soap_is_single), 1);
    bench_run(bench, 60000);
    assert_int_equal(bench_count(bench, soap_is_single), 2);
    const char *first = soap_text(bench_nth(bench, soap_is_single, 0));
    const char *second = soap_text(bench_nth(bench, soap_is_single, 1));
    assert_non_null(strstr(first, "-00001</marketoCookie>"));
    assert_non_null(strstr(first, ">A<"));
    assert_non_null(strstr(first, ">B<"));
    assert_null(strstr(first, ">C<"));
    assert_non_null(strstr(second, "-00002</marketoCookie>"));
    assert_int_equal(bench_counter(bench, "merged"), 1);
    assert_int_equal(bench_waiting(bench), 0);
    bench_quiet(bench);
}

/* ---- clock ---- */

static int ten_minutes_ahead(struct bench *bench, const struct bench_call *call, const char **body,
                             struct mkto_http_answer *answer)
{
    const char *text = soap_text(call);
    const char *stamp = soap_between(&text, "<requestTimestamp>", "</", call->pool);
    int hour = stamp == NULL ? 0 : atoi(stamp + 11);
    int minute = stamp == NULL ? 0 : atoi(stamp + 14);
    int64_t at = (bench->wall + 600000) / 60000 % 1440 - (hour * 60 + minute);
    answer->date_ms = bench->wall + 600000;
    if (at > 5 || at < -5) {
        *body = soap_fault(call, 20016, "Request expired");
        return 500;
    }
    return soap_kind(bench, call, body, answer);
}

static void test_clock_skew_is_mended(void **state)
{
    struct bench *bench = *state;
    begin(bench, ten_minutes_ahead);
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_run(bench, 3000);
    assert_int_equal(bench_count(bench, soap_is_single), 2);
    assert_int_equal(bench_counter(bench, "delivered"), 1);
    assert_int_equal(bench_counter(bench, "retried"), 0);
    bench_identify(bench, "bob@example.com", "n", "1", 2);
    bench_run(bench, 3000);
    assert_int_equal(bench_count(bench, soap_is_single), 3);
    assert_int_equal(bench_logged(bench, "MKTO0307"), 1);
}

/* ---- locks ---- */

static int locks_once(struct bench *bench, const struct bench_call *call, const char **body,
                      struct mkto_http_answer *answer)
{
    int *left = bench->user;
    if (soap_is_any(call) && (*left)-- > 0) {
        *body = soap_answer(call, soap_status(bench, call, "Exceeded lock attempts"));
        return 200;
    }
    return soap_kind(bench, call, body, answer);
}

static void test_lock_waits_for_that_lead_alone(void **state)
{
    struct bench *bench = *state;
    int left = 1;
    bench->user = &left;
    bench->sub[0].lead_interval_ms = 0;
    bench->tailing = true;
    begin(bench, locks_once);
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_run(bench, 100);
    bench_identify(bench, "bob@example.com", "n", "1", 2);
    bench_run(bench, 20000);
    assert_int_equal(bench_count(bench, soap_is_single), 2);
    assert_int_equal(bench_counter(bench, "delivered"), 1);
    bench_run(bench, 20000);
    assert_int_equal(bench_counter(bench, "delivered"), 2);
    assert_true(bench_nth(bench, soap_is_single, 2)->at - bench_nth(bench, soap_is_single, 0)->at >=
                30000);
    const char *line = APR_ARRAY_IDX(bench->tails, 0, const char *);
    assert_non_null(strstr(line, "Exceeded lock attempts"));
    assert_non_null(strstr(line, "\"reason\":\"lock\""));
    bench_quiet(bench);
}

/* ---- strip and faults ---- */

static int knows_no_pants(struct bench *bench, const struct bench_call *call, const char **body,
                          struct mkto_http_answer *answer)
{
    if (strstr(soap_text(call), "<attrName>Pants</attrName>") != NULL) {
        *body =
            soap_fault(call, 20105, "syncLead operation failed: unknown fields for import: Pants");
        return 500;
    }
    return soap_kind(bench, call, body, answer);
}

static void test_unknown_field_is_left_out(void **state)
{
    struct bench *bench = *state;
    begin(bench, knows_no_pants);
    bench_identify(bench, "ada@example.com", "pants", "long", 1);
    bench_run(bench, 3000);
    assert_int_equal(bench_count(bench, soap_is_single), 2);
    assert_int_equal(bench_counter(bench, "delivered"), 1);
    assert_int_equal(bench_logged(bench, "MKTO0305"), 1);
}

static void test_refused_for_an_hour_is_named_retired(void **state)
{
    struct bench *bench = *state;
    begin(bench, NULL);
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_run(bench, 10);
    for (int minute = 0; minute < 70; minute++) {
        unsigned last = (unsigned)bench->calls->nelts - 1;
        if (!bench_call(bench, last)->over) {
            bench_fail(bench, bench_call(bench, last), MKTO_TRANSPORT_REFUSED);
        }
        assert_true(minute >= 59 || bench_logged(bench, "api = rest") == 0);
        bench_run(bench, 60000);
    }
    assert_true(bench_logged(bench, "api = rest") > 0);
    assert_int_equal(bench_counter(bench, "retried"), 0);
    assert_int_equal(bench_waiting(bench), 1);
}

static int answers_html(struct bench *bench, const struct bench_call *call, const char **body,
                        struct mkto_http_answer *answer)
{
    (void)bench;
    (void)call;
    (void)answer;
    *body = "<html><body>Gone</body></html>";
    return 200;
}

static void test_no_soap_is_named_at_once(void **state)
{
    struct bench *bench = *state;
    begin(bench, answers_html);
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_run(bench, 5000);
    assert_int_equal(bench_logged(bench, "api = rest"), 1);
    assert_int_equal(bench_waiting(bench), 1);
    /* and the config that follows the hint brings the lead there */
    bench->sub[0].api = MKTO_API_REST;
    bench->model = bench_kind;
    mkto_dispatch_reload(bench->dispatch, &bench->config);
    bench_run(bench, 5000);
    assert_int_equal(bench_counter(bench, "delivered"), 1);
    assert_int_equal(bench_count(bench, bench_is_link), 1);
    assert_int_equal(bench_waiting(bench), 0);
}

/* A lead waits for its link when the config turns to SOAP: it is told again, with its cookie. */
static void test_from_rest_to_soap(void **state)
{
    struct bench *bench = *state;
    bench_start(bench);
    bench_identify(bench, "ada@example.com", "n", "1", 1);
    bench_run(bench, 3000);
    bench_answer(bench, bench_nth(bench, bench_is_token, 0), 200, bench_token());
    bench_run(bench, 3000);
    struct bench_call *sync = bench_nth(bench, bench_is_sync, 0);
    bench_answer(bench, sync, 200, bench_synced(bench, sync));
    bench_run(bench, 100);
    bench_answer(bench, bench_nth(bench, bench_is_link, 0), 503, "");
    bench->sub[0].api = MKTO_API_SOAP;
    bench->model = soap_kind;
    mkto_dispatch_reload(bench->dispatch, &bench->config);
    bench_run(bench, 300000);
    assert_int_equal(bench_count(bench, soap_is_single), 1);
    assert_int_equal(bench_waiting(bench), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_cookies_go_alone_others_in_a_batch),
        TEST(test_each_cookie_of_a_lead_is_told),
        TEST(test_clock_skew_is_mended),
        TEST(test_lock_waits_for_that_lead_alone),
        TEST(test_unknown_field_is_left_out),
        TEST(test_refused_for_an_hour_is_named_retired),
        TEST(test_no_soap_is_named_at_once),
        TEST(test_from_rest_to_soap),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
