/* mkto_rest: the bytes of the requests and every shape of an answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>

#include "mkto_rest.h"

static const struct mkto_subscription subscription = {
    .name = "",
    .munchkin_id = "561-HYG-937",
    .rest_endpoint = "https://561-hyg-937.mktorest.com",
    .rest_client_id = "CID",
    .rest_partition = "EMEA",
};

static int setup(void **state)
{
    apr_initialize();
    apr_pool_t *pool;
    if (apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return -1;
    }
    *state = pool;
    return 0;
}

static int teardown(void **state)
{
    apr_pool_destroy(*state);
    apr_terminate();
    return 0;
}

static const char *body_of(const struct mkto_http_request *request, void **state)
{
    return apr_pstrmemdup(*state, request->body.data, request->body.len);
}

static const char *header_of(const struct mkto_http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcmp(request->headers[i].name, name) == 0) {
            return request->headers[i].value;
        }
    }
    return NULL;
}

static void token_request(void **state)
{
    struct mkto_http_request request;

    mkto_rest_token(&subscription, MKTO_SLICE_LIT("SEC+RET"), &request, *state);
    assert_string_equal(request.method, "POST");
    assert_string_equal(request.url, "https://561-hyg-937.mktorest.com/identity/oauth/token");
    assert_string_equal(header_of(&request, "Content-Type"), "application/x-www-form-urlencoded");
    assert_string_equal(body_of(&request, state),
                        "grant_type=client_credentials&client_id=CID&client_secret=SEC%2BRET");
    assert_int_equal(request.body.len, 67);
    assert_null(header_of(&request, "Authorization"));
}

static void sync_request(void **state)
{
    static const struct mkto_field ada[] = {{"firstName", "Ada", MKTO_FIELD_TEXT},
                                            {"lastName", "Lovelace", MKTO_FIELD_TEXT}};
    static const struct mkto_field b[] = {{"company", "Acme \"Co\"", MKTO_FIELD_TEXT}};
    const struct mkto_lead first = {
        .email = "lead@example.com", .cookie = "id:A&token:T", .fields = ada, .field_count = 2};
    const struct mkto_lead second = {.email = "b@example.com", .fields = b, .field_count = 1};
    const struct mkto_lead *leads[] = {&first, &second};
    struct mkto_http_request request;

    assert_int_equal(mkto_rest_sync(&subscription, "tok:int", leads, 2, &request, *state), 2);
    assert_string_equal(request.method, "POST");
    assert_string_equal(request.url, "https://561-hyg-937.mktorest.com/rest/v1/leads.json");
    assert_string_equal(header_of(&request, "Authorization"), "Bearer tok:int");
    assert_string_equal(header_of(&request, "Content-Type"), "application/json");
    assert_string_equal(
        body_of(&request, state),
        "{\"action\":\"createOrUpdate\",\"lookupField\":\"email\",\"partitionName\":\"EMEA\","
        "\"input\":[{\"email\":\"lead@example.com\",\"firstName\":\"Ada\",\"lastName\":"
        "\"Lovelace\"},{\"email\":\"b@example.com\",\"company\":\"Acme \\\"Co\\\"\"}]}");
    assert_int_equal(request.body.len, 201);
}

static void values_keep_their_types(void **state)
{
    static const struct mkto_field fields[] = {
        {"numberOfEmployees", "12345678901234567890.5e-3", MKTO_FIELD_NUMBER},
        {"unsubscribed", "false", MKTO_FIELD_BOOL},
        {"doNotCall", "true", MKTO_FIELD_BOOL},
        {"zip", "007", MKTO_FIELD_TEXT},
        {"city", "K\xc3\xb6ln/\n\x01", MKTO_FIELD_TEXT},
    };
    const struct mkto_lead lead = {.email = "a@b.co", .fields = fields, .field_count = 5};
    const struct mkto_lead *leads[] = {&lead};
    struct mkto_subscription plain = subscription;
    struct mkto_http_request request;
    plain.rest_partition = NULL;

    assert_int_equal(mkto_rest_sync(&plain, "t", leads, 1, &request, *state), 1);
    assert_string_equal(
        body_of(&request, state),
        "{\"action\":\"createOrUpdate\",\"lookupField\":\"email\",\"input\":[{\"email\":\"a@b.co\","
        "\"numberOfEmployees\":12345678901234567890.5e-3,\"unsubscribed\":false,"
        "\"doNotCall\":true,\"zip\":\"007\",\"city\":\"K\xc3\xb6ln/\\n\\u0001\"}]}");
}

static void update_request(void **state)
{
    static const struct mkto_field fields[] = {{"plan", "Pro", MKTO_FIELD_TEXT}};
    const struct mkto_lead lead = {.cookie = "id:A&token:T", .fields = fields, .field_count = 1};
    struct mkto_http_request request;

    mkto_rest_update(&subscription, "t", INT64_C(9007199254740993), &lead, &request, *state);
    assert_string_equal(request.method, "POST");
    assert_string_equal(request.url, "https://561-hyg-937.mktorest.com/rest/v1/leads.json");
    assert_string_equal(header_of(&request, "Authorization"), "Bearer t");
    assert_string_equal(body_of(&request, state),
                        "{\"action\":\"updateOnly\",\"lookupField\":\"id\",\"input\":["
                        "{\"id\":9007199254740993,\"plan\":\"Pro\"}]}");
}

static void batch_limit(void **state)
{
    const struct mkto_lead lead = {.email = "a@b.co"};
    const struct mkto_lead *leads[MKTO_REST_BATCH_MAX + 1];
    struct mkto_http_request request;
    for (size_t i = 0; i <= MKTO_REST_BATCH_MAX; i++) {
        leads[i] = &lead;
    }

    assert_int_equal(
        mkto_rest_sync(&subscription, "t", leads, MKTO_REST_BATCH_MAX, &request, *state),
        MKTO_REST_BATCH_MAX);
    assert_int_equal(
        mkto_rest_sync(&subscription, "t", leads, MKTO_REST_BATCH_MAX + 1, &request, *state),
        MKTO_REST_BATCH_MAX);
    assert_int_equal(mkto_rest_sync(&subscription, "t", leads, 0, &request, *state), 0);
    assert_non_null(strstr(body_of(&request, state), "\"input\":[]}"));
}

/* Two leads, the second of which makes the body exactly as long as is asked for. */
static size_t sync_of_size(size_t size, struct mkto_http_request *request, void **state)
{
    char *text = apr_palloc(*state, MKTO_REST_BODY_MAX);
    memset(text, 'x', MKTO_REST_BODY_MAX);
    text[0] = '\0';
    const struct mkto_field field = {"title", text, MKTO_FIELD_TEXT};
    const struct mkto_lead small = {.email = "a@b.co"};
    const struct mkto_lead large = {.email = "c@d.co", .fields = &field, .field_count = 1};
    const struct mkto_lead *leads[] = {&small, &large, &small};

    mkto_rest_sync(&subscription, "t", leads, 2, request, *state);
    size_t fill = size - request->body.len;
    text[0] = 'x';
    text[fill] = '\0';
    return mkto_rest_sync(&subscription, "t", leads, 2, request, *state);
}

static void body_limit(void **state)
{
    struct mkto_http_request request;

    assert_int_equal(sync_of_size(MKTO_REST_BODY_MAX, &request, state), 2);
    assert_int_equal(request.body.len, MKTO_REST_BODY_MAX);
    assert_int_equal(sync_of_size(MKTO_REST_BODY_MAX + 1, &request, state), 1);
    assert_string_equal(body_of(&request, state),
                        "{\"action\":\"createOrUpdate\",\"lookupField\":\"email\","
                        "\"partitionName\":\"EMEA\",\"input\":[{\"email\":\"a@b.co\"}]}");
}

static void associate_request(void **state)
{
    struct mkto_http_request request;

    mkto_rest_associate(&subscription, "t", 318594,
                        "id:561-HYG-937&token:_mch-marketo.com-1374552656411-90718", &request,
                        *state);
    assert_string_equal(request.method, "POST");
    assert_string_equal(request.url,
                        "https://561-hyg-937.mktorest.com/rest/v1/leads/318594/associate.json"
                        "?cookie=id%3A561-HYG-937%26token%3A_mch-marketo.com-1374552656411-90718");
    assert_null(request.body.data);
    assert_string_equal(header_of(&request, "Content-Type"), "application/json");
    assert_string_equal(header_of(&request, "Authorization"), "Bearer t");
}

static void describe_request(void **state)
{
    struct mkto_http_request request;

    mkto_rest_describe(&subscription, "t", &request, *state);
    assert_string_equal(request.method, "GET");
    assert_string_equal(request.url,
                        "https://561-hyg-937.mktorest.com/rest/v1/leads/describe2.json");
    assert_string_equal(header_of(&request, "Authorization"), "Bearer t");
}

static struct mkto_call_result answer(const char *body, void **state)
{
    struct mkto_call_result result;

    mkto_rest_read(mkto_slice_str(body), &result, *state);
    return result;
}

static void answer_per_record(void **state)
{
    struct mkto_call_result result = answer(
        "{\"requestId\":\"e42b#14\",\"success\":true,\"result\":["
        "{\"id\":50,\"status\":\"created\"},{\"id\":51,\"status\":\"updated\"},"
        "{\"status\":\"skipped\",\"reasons\":[{\"code\":\"1007\",\"message\":\"Several\"},"
        "{\"code\":\"1008\",\"message\":\"second\"}]},"
        "{\"status\":\"skipped\",\"errors\":[{\"code\":\"1004\",\"message\":\"None\"}]},"
        "{\"id\":3525,\"reason\":{\"code\":1003,\"message\":\"Bad\"}},"
        "{\"id\":3526,\"reasons\":[{\"code\":\"1006\",\"message\":\"Field 'x' not found\"}]},"
        "{\"status\":\"skipped\"},{\"id\":7,\"status\":\"unchanged\"}]}",
        state);

    assert_true(result.understood);
    assert_true(result.call.ok);
    assert_int_equal(result.record_count, 8);
    const struct mkto_result *records = result.records;
    assert_true(records[0].ok && records[1].ok && records[7].ok);
    assert_int_equal(records[0].lead_id, 50);
    assert_string_equal(records[1].status, "updated");
    assert_false(records[2].ok || records[3].ok || records[4].ok || records[5].ok || records[6].ok);
    assert_int_equal(records[2].code, 1007);
    assert_string_equal(records[2].text, "Several");
    assert_string_equal(records[2].status, "skipped");
    assert_int_equal(records[3].code, 1004);
    assert_int_equal(records[4].code, 1003);
    assert_int_equal(records[4].lead_id, 3525);
    assert_int_equal(records[5].code, 1006);
    assert_int_equal(records[6].code, 0);
}

static void answer_without_result(void **state)
{
    struct mkto_call_result result = answer("{\"requestId\":\"1\",\"success\":true}", state);

    assert_true(result.understood && result.call.ok);
    assert_int_equal(result.record_count, 0);
}

static void answer_with_errors(void **state)
{
    struct mkto_call_result result =
        answer("{\"requestId\":\"a\",\"success\":false,\"errors\":[{\"code\":\"601\",\"message\":"
               "\"Access token invalid\"},{\"code\":\"611\",\"message\":\"other\"}]}",
               state);

    assert_true(result.understood);
    assert_false(result.call.ok);
    assert_int_equal(result.call.code, 601);
    assert_string_equal(result.call.text, "Access token invalid");
    assert_int_equal(result.record_count, 0);
}

static void odd_error_codes(void **state)
{
    static const struct {
        const char *code;
        int number;
    } rows[] = {{"\"1004\"", 1004}, {"1004", 1004}, {"\"abc\"", 0},       {"\"\"", 0},
                {"-5", 0},          {"null", 0},    {"[1]", 0},           {"\"99999999999\"", 0},
                {"{\"a\":1}", 0},   {"606.0", 606}, {"\"606 rate\"", 606}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_call_result result = answer(
            apr_psprintf(*state, "{\"success\":false,\"errors\":[{\"code\":%s}]}", rows[i].code),
            state);
        assert_true(result.understood);
        assert_false(result.call.ok);
        assert_int_equal(result.call.code, rows[i].number);
    }
}

static void token_answers(void **state)
{
    struct mkto_call_result result =
        answer("{\"access_token\":\"cdf01657-110d:int\",\"token_type\":\"bearer\","
               "\"expires_in\":3599,\"scope\":\"apis@acmeinc.com\"}",
               state);
    assert_true(result.understood && result.call.ok);
    assert_string_equal(result.token, "cdf01657-110d:int");
    assert_int_equal(result.token_for_ms, 3599000);

    assert_int_equal(answer("{\"access_token\":\"t\",\"expires_in\":0}", state).token_for_ms, 0);
    assert_int_equal(answer("{\"access_token\":\"t\",\"expires_in\":\"12\"}", state).token_for_ms,
                     12000);
    assert_int_equal(answer("{\"access_token\":\"t\",\"expires_in\":-5}", state).token_for_ms, 0);
    assert_true(answer("{\"access_token\":\"t\",\"expires_in\":1e99}", state).token_for_ms >= 0);
    assert_true(
        answer("{\"access_token\":\"t\",\"expires_in\":99999999999999999999}", state).token_for_ms >
        0);
    assert_int_equal(answer("{\"access_token\":\"t\"}", state).token_for_ms, 0);
    assert_false(answer("{\"access_token\":\"\",\"expires_in\":3}", state).understood);
    /* nothing that would end the header that it goes into */
    assert_null(answer("{\"access_token\":\"t\\r\\nX-Evil: 1\",\"expires_in\":3}", state).token);
    assert_false(answer("{\"access_token\":\"t t\",\"expires_in\":3}", state).understood);
}

static void token_refused(void **state)
{
    struct mkto_call_result result = answer(
        "{\"error\":\"invalid_client\",\"error_description\":\"Bad client credentials\"}", state);

    assert_true(result.understood);
    assert_false(result.call.ok);
    assert_int_equal(result.call.code, 0);
    assert_string_equal(result.call.status, "invalid_client");
    assert_string_equal(result.call.text, "Bad client credentials");
    assert_null(result.token);
}

static void not_understood(void **state)
{
    static const char *const rows[] = {
        "",
        " ",
        "<html><body>Bad Gateway</body></html>",
        "null",
        "true",
        "[]",
        "{}",
        "{\"a\":1}",
        "{\"success\":true",
        "{\"success\":true}}",
        "{\"success\":true}{\"success\":true}",
        "{\"success\":\"true\"}",
        "{\"result\":[{\"success\":true}]}",
        "[{\"success\":true}]",
        "{\"success\":true,}",
        "upstream error",
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_call_result result = answer(rows[i], state);
        assert_false(result.understood);
        assert_false(result.call.ok);
        assert_int_equal(result.record_count, 0);
    }
    struct mkto_call_result result;
    mkto_rest_read(MKTO_SLICE_NONE, &result, *state);
    assert_false(result.understood);
}

static void every_cut_is_survived(void **state)
{
    static const char whole[] = "{\"requestId\":\"1\",\"success\":true,\"result\":[{\"id\":50,"
                                "\"status\":\"created\"},{\"status\":\"skipped\",\"reasons\":[{"
                                "\"code\":\"1005\",\"message\":\"exists\"}]}]}";

    for (size_t len = 0; len < sizeof(whole) - 1; len++) {
        struct mkto_call_result result;
        mkto_rest_read((struct mkto_slice){whole, len}, &result, *state);
        assert_false(result.understood);
    }
    assert_true(answer(whole, state).understood);
}

static void bytes_that_are_no_utf8(void **state)
{
    struct mkto_call_result result = answer(
        "{\"success\":false,\"errors\":[{\"code\":\"609\",\"message\":\"caf\xe9\"}]}", state);

    assert_true(result.understood);
    assert_int_equal(result.call.code, 609);
    assert_string_equal(result.call.text, "caf?");
}

/* An object with an array nested in it: `depth` levels in all. */
static const char *nested(unsigned depth, void **state)
{
    char *open = apr_pcalloc(*state, depth);
    char *close = apr_pcalloc(*state, depth);

    memset(open, '[', depth - 1);
    memset(close, ']', depth - 1);
    return apr_pstrcat(*state, "{\"success\":true,\"x\":", open, close, "}", NULL);
}

static void depth_limit(void **state)
{
    assert_true(answer(nested(MKTO_REST_DEPTH_MAX, state), state).understood);
    assert_false(answer(nested(MKTO_REST_DEPTH_MAX + 1, state), state).understood);
    assert_false(answer(nested(100000, state), state).understood);
}

static void many_keys_are_fine(void **state)
{
    const char *text = "";
    for (int i = 0; i < 1000; i++) {
        text = apr_psprintf(*state, "%s\"k%d\":%d,", text, i, i);
    }

    text = apr_pstrcat(*state, "{", text, "\"success\":true}", NULL);
    assert_true(answer(text, state).understood);
}

/* The same text so many times, commas between. */
static const char *repeated(const char *item, size_t count, void **state)
{
    size_t len = strlen(item) + 1;
    char *text = apr_palloc(*state, count * len);
    for (size_t i = 0; i < count; i++) {
        memcpy(text + i * len, item, len - 1);
        text[(i + 1) * len - 1] = ',';
    }
    text[count * len - 1] = '\0';
    return text;
}

static const char *records(size_t count, void **state)
{
    return apr_pstrcat(*state, "{\"success\":true,\"result\":[",
                       repeated("{\"id\":1}", count, state), "]}", NULL);
}

static void record_limit(void **state)
{
    assert_int_equal(answer(records(MKTO_REST_BATCH_MAX, state), state).record_count,
                     MKTO_REST_BATCH_MAX);
    assert_int_equal(answer(records(MKTO_REST_BATCH_MAX + 1, state), state).record_count,
                     MKTO_REST_BATCH_MAX);
}

static void fields_of_describe2(void **state)
{
    const char **names;
    static const char body[] =
        "{\"requestId\":\"1\",\"result\":[{\"name\":\"API "
        "Lead\",\"searchableFields\":[[\"email\"]],"
        "\"fields\":[{\"name\":\"email\",\"displayName\":\"Email Address\",\"dataType\":\"email\","
        "\"length\":255,\"updateable\":true,\"crmManaged\":false},{\"name\":\"Shoe_Size__c\"}]}],"
        "\"success\":true}";

    assert_int_equal(mkto_rest_read_fields(mkto_slice_str(body), &names, *state), 2);
    assert_string_equal(names[0], "email");
    assert_string_equal(names[1], "Shoe_Size__c");
    assert_int_equal(
        mkto_rest_read_fields(MKTO_SLICE_LIT("{\"success\":true,\"result\":[]}"), &names, *state),
        0);
    assert_null(names);
    assert_int_equal(mkto_rest_read_fields(MKTO_SLICE_LIT("<html>"), &names, *state), 0);
}

static const char *fields(size_t count, void **state)
{
    return apr_pstrcat(*state, "{\"success\":true,\"result\":[{\"fields\":[",
                       repeated("{\"name\":\"f\"}", count, state), "]}]}", NULL);
}

static void field_limit(void **state)
{
    const char **names;

    assert_int_equal(
        mkto_rest_read_fields(mkto_slice_str(fields(MKTO_REST_FIELDS_MAX, state)), &names, *state),
        MKTO_REST_FIELDS_MAX);
    assert_int_equal(mkto_rest_read_fields(mkto_slice_str(fields(MKTO_REST_FIELDS_MAX + 1, state)),
                                           &names, *state),
                     MKTO_REST_FIELDS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_request),
        cmocka_unit_test(sync_request),
        cmocka_unit_test(values_keep_their_types),
        cmocka_unit_test(update_request),
        cmocka_unit_test(batch_limit),
        cmocka_unit_test(body_limit),
        cmocka_unit_test(associate_request),
        cmocka_unit_test(describe_request),
        cmocka_unit_test(answer_per_record),
        cmocka_unit_test(answer_without_result),
        cmocka_unit_test(answer_with_errors),
        cmocka_unit_test(odd_error_codes),
        cmocka_unit_test(token_answers),
        cmocka_unit_test(token_refused),
        cmocka_unit_test(not_understood),
        cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(bytes_that_are_no_utf8),
        cmocka_unit_test(depth_limit),
        cmocka_unit_test(many_keys_are_fine),
        cmocka_unit_test(record_limit),
        cmocka_unit_test(fields_of_describe2),
        cmocka_unit_test(field_limit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
