/* mkto_verdict: every code of the contracts, HTTP statuses, transport results, texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>

#include "mkto_verdict.h"

#define DELIVERED MKTO_VERDICT_DELIVERED
#define RETRY MKTO_VERDICT_RETRY
#define REFRESH MKTO_VERDICT_REFRESH
#define PAUSE MKTO_VERDICT_PAUSE
#define STRIP MKTO_VERDICT_STRIP
#define SPLIT MKTO_VERDICT_SPLIT
#define DEAD MKTO_VERDICT_DEAD

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

static struct mkto_http_answer http(int status)
{
    return (struct mkto_http_answer){.status = status, .date_ms = -1, .retry_after_ms = -1};
}

/* SOAP faults come with 500, REST errors with 200. */
static struct mkto_verdict_decision on_call(enum mkto_api api, int code, const char *text,
                                            void **state)
{
    struct mkto_http_answer answer = http(api == MKTO_API_SOAP ? 500 : 200);
    struct mkto_call_result call = {.understood = true, .call = {.code = code, .text = text}};
    struct mkto_verdict_decision decision;

    mkto_verdict(api, &answer, &call, &call.call, &decision, *state);
    return decision;
}

static struct mkto_verdict_decision on_record(enum mkto_api api, const struct mkto_result *record,
                                              void **state)
{
    struct mkto_http_answer answer = http(200);
    struct mkto_call_result call = {.understood = true, .call = {.ok = true}};
    struct mkto_verdict_decision decision;

    mkto_verdict(api, &answer, &call, record, &decision, *state);
    return decision;
}

static struct mkto_verdict_decision on_http(enum mkto_api api, int status, void **state)
{
    struct mkto_http_answer answer = http(status);
    struct mkto_call_result call = {.understood = false};
    struct mkto_verdict_decision decision;

    mkto_verdict(api, &answer, &call, NULL, &decision, *state);
    return decision;
}

struct row {
    int code;
    enum mkto_verdict_kind call;
    enum mkto_verdict_kind record;
    enum mkto_verdict_kind alone;
    enum mkto_pause_kind pause;
    int64_t after_ms;
    const char *reason;
};

static void check_rows(enum mkto_api api, const struct row *rows, size_t count, void **state)
{
    for (size_t i = 0; i < count; i++) {
        struct mkto_result record = {.code = rows[i].code, .text = "Field 'pants' not found"};
        struct mkto_verdict_decision call = on_call(api, rows[i].code, record.text, state);
        struct mkto_verdict_decision one = on_record(api, &record, state);
        if (call.kind != rows[i].call || one.kind != rows[i].record) {
            fail_msg("code %d: %s and %s", rows[i].code, mkto_verdict_name(call.kind),
                     mkto_verdict_name(one.kind));
        }
        assert_int_equal(call.alone, rows[i].alone);
        assert_int_equal(one.alone, one.kind);
        assert_int_equal(call.pause, rows[i].pause);
        assert_int_equal(call.after_ms, rows[i].after_ms);
        assert_string_equal(call.reason, rows[i].reason);
        assert_string_equal(one.reason, rows[i].reason);
    }
}

/* clang-format off */
static void soap_codes(void **state)
{
    static const struct row rows[] = {
        {10001, RETRY,   RETRY,   RETRY,   MKTO_PAUSE_NONE,        0,     "internal"},
        {20011, RETRY,   RETRY,   RETRY,   MKTO_PAUSE_NONE,        0,     "internal"},
        {20012, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "not_understood"},
        {20013, PAUSE,   PAUSE,   PAUSE,   MKTO_PAUSE_CREDENTIALS, 0,     "access_denied"},
        {20014, PAUSE,   PAUSE,   PAUSE,   MKTO_PAUSE_CREDENTIALS, 0,     "credentials"},
        {20015, PAUSE,   PAUSE,   PAUSE,   MKTO_PAUSE_QUOTA,       0,     "quota"},
        {20016, REFRESH, REFRESH, REFRESH, MKTO_PAUSE_NONE,        0,     "clock"},
        {20017, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "invalid_request"},
        {20018, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "encoding"},
        {20019, DEAD,    DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "unsupported"},
        {20022, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "time_range"},
        {20023, PAUSE,   PAUSE,   PAUSE,   MKTO_PAUSE_RATE,        20000, "rate"},
        {20024, PAUSE,   PAUSE,   PAUSE,   MKTO_PAUSE_CONCURRENCY, 1000,  "concurrency"},
        {20101, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "no_key"},
        {20102, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "bad_key"},
        {20103, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "lead_not_found"},
        {20104, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "no_detail"},
        {20105, STRIP,   STRIP,   STRIP,   MKTO_PAUSE_NONE,        0,     "unknown_field"},
        {20106, SPLIT,   RETRY,   RETRY,   MKTO_PAUSE_NONE,        0,     "sync_failed"},
        {20107, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "activity_key"},
        {20108, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "owner_not_found"},
        {20109, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "missing_parameter"},
        {20110, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "bad_parameter"},
        {20111, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "list_not_found"},
        {20113, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "campaign_not_found"},
        {20114, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "bad_parameter"},
        {20122, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "stream_position"},
        {20123, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "stream_end"},
    };
    check_rows(MKTO_API_SOAP, rows, sizeof(rows) / sizeof(rows[0]), state);
}

static void rest_call_codes(void **state)
{
    static const struct row rows[] = {
        {500, RETRY,   RETRY,   RETRY,   MKTO_PAUSE_NONE,        0,     "internal"},
        {502, RETRY,   RETRY,   RETRY,   MKTO_PAUSE_NONE,        0,     "gateway"},
        {600, REFRESH, REFRESH, REFRESH, MKTO_PAUSE_NONE,        0,     "token"},
        {601, REFRESH, REFRESH, REFRESH, MKTO_PAUSE_NONE,        0,     "token"},
        {602, REFRESH, REFRESH, REFRESH, MKTO_PAUSE_NONE,        0,     "token"},
        {603, PAUSE,   PAUSE,   PAUSE,   MKTO_PAUSE_CREDENTIALS, 0,     "access_denied"},
        {604, RETRY,   RETRY,   RETRY,   MKTO_PAUSE_NONE,        0,     "timeout"},
        {605, DEAD,    DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "method"},
        {606, PAUSE,   PAUSE,   PAUSE,   MKTO_PAUSE_RATE,        20000, "rate"},
        {607, PAUSE,   PAUSE,   PAUSE,   MKTO_PAUSE_QUOTA,       0,     "quota"},
        {608, PAUSE,   PAUSE,   PAUSE,   MKTO_PAUSE_DOWN,        0,     "unavailable"},
        {609, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "invalid_json"},
        {610, PAUSE,   PAUSE,   PAUSE,   MKTO_PAUSE_GONE,        0,     "gone"},
        {611, RETRY,   RETRY,   RETRY,   MKTO_PAUSE_NONE,        0,     "system"},
        {612, DEAD,    DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "content_type"},
        {613, DEAD,    DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "multipart"},
        {614, PAUSE,   PAUSE,   PAUSE,   MKTO_PAUSE_DOWN,        60000, "subscription"},
        {615, PAUSE,   PAUSE,   PAUSE,   MKTO_PAUSE_CONCURRENCY, 1000,  "concurrency"},
        {616, DEAD,    DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "subscription_type"},
        {701, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "blank_field"},
        {702, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "no_data"},
        {703, DEAD,    DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "feature_off"},
        {704, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "bad_date"},
        {709, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "asset_rule"},
        {710, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "asset_rule"},
        {711, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "asset_rule"},
        {712, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "merge"},
        {713, RETRY,   RETRY,   RETRY,   MKTO_PAUSE_NONE,        0,     "transient"},
        {714, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "record_type"},
        {718, SPLIT,   DEAD,    DEAD,    MKTO_PAUSE_NONE,        0,     "salesperson"},
        {719, RETRY,   RETRY,   RETRY,   MKTO_PAUSE_NONE,        0,     "lock_wait"},
        {1006, STRIP,  STRIP,   STRIP,   MKTO_PAUSE_NONE,        0,     "unknown_field"},
        {1021, STRIP,  STRIP,   STRIP,   MKTO_PAUSE_NONE,        0,     "company_field"},
    };
    check_rows(MKTO_API_REST, rows, sizeof(rows) / sizeof(rows[0]), state);
}
/* clang-format on */

/* All of these are one record's fault: dead, and in a whole call to be looked for. */
static void rest_record_codes(void **state)
{
    static const struct {
        int code;
        const char *reason;
    } rows[] = {
        {1001, "wrong_type"},
        {1002, "missing_parameter"},
        {1003, "invalid_data"},
        {1004, "lead_not_found"},
        {1005, "exists"},
        {1007, "multiple_matches"},
        {1008, "partition_denied"},
        {1009, "partition_required"},
        {1010, "other_partition"},
        {1011, "unsupported_field"},
        {1012, "bad_cookie"},
        {1013, "object_not_found"},
        {1014, "create_failed"},
        {1015, "not_in_list"},
        {1016, "too_many_imports"},
        {1017, "object_exists"},
        {1018, "crm_enabled"},
        {1019, "import_running"},
        {1020, "clone_limit"},
        {1022, "in_use"},
        {1025, "program_status"},
        {1026, "custom_objects_off"},
        {1027, "activity_types"},
        {1028, "activity_attributes"},
        {1029, "export_quota"},
        {1035, "filter"},
        {1036, "duplicate"},
        {1037, "skipped"},
        {1042, "run_at"},
        {1048, "custom_object_draft"},
        {1049, "activity_size"},
        {1076, "merge"},
        {1077, "merge"},
        {1078, "merge"},
        {1079, "merge"},
        {1080, "merge_size"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct row row = {rows[i].code, SPLIT, DEAD, DEAD, MKTO_PAUSE_NONE, 0, rows[i].reason};
        check_rows(MKTO_API_REST, &row, 1, state);
    }
}

static void unknown_codes_are_retried(void **state)
{
    static const int codes[] = {1, 499, 617, 799, 1099, 9999, 20010, 20025, 20199, 99999};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct mkto_result record = {.code = codes[i], .status = "skipped"};
        assert_int_equal(on_call(MKTO_API_REST, codes[i], NULL, state).kind, RETRY);
        assert_int_equal(on_call(MKTO_API_SOAP, codes[i], NULL, state).kind, RETRY);
        assert_int_equal(on_record(MKTO_API_REST, &record, state).kind, RETRY);
        assert_string_equal(on_record(MKTO_API_SOAP, &record, state).reason, "unknown_code");
    }
    struct mkto_result skipped = {.status = "skipped"};
    assert_int_equal(on_record(MKTO_API_REST, &skipped, state).kind, RETRY);
}

/* A SOAP fault without a code: perhaps one record, perhaps an outage. */
static void no_code(void **state)
{
    struct mkto_verdict_decision decision = on_call(MKTO_API_SOAP, 0, "Bad Request", state);
    assert_int_equal(decision.kind, SPLIT);
    assert_int_equal(decision.alone, RETRY);
    assert_string_equal(decision.reason, "no_code");
    struct mkto_result failed = {.status = "FAILED", .text = "Lead could not be saved"};
    assert_int_equal(on_record(MKTO_API_SOAP, &failed, state).kind, RETRY);
}

static void delivered(void **state)
{
    struct mkto_result record = {.ok = true, .status = "created", .lead_id = 1};
    struct mkto_verdict_decision decision = on_record(MKTO_API_REST, &record, state);

    assert_int_equal(decision.kind, DELIVERED);
    assert_string_equal(decision.reason, "delivered");
    assert_null(decision.hint);
    assert_null(decision.fields);
    /* A word that only looks like trouble. */
    record.text = "Exceeded lock attempts";
    assert_int_equal(on_record(MKTO_API_SOAP, &record, state).kind, DELIVERED);
}

static void lock_beats_the_code(void **state)
{
    static const char *const texts[] = {
        "Exceeded lock attempts",
        "20106 - Lead sync failed: exceeded LOCK ATTEMPTs (20106)",
        "x lock attempt y",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct mkto_verdict_decision call = on_call(MKTO_API_SOAP, 20110, texts[i], state);
        assert_int_equal(call.kind, RETRY);
        assert_int_equal(call.after_ms, MKTO_VERDICT_LOCK_MS);
        assert_string_equal(call.reason, "lock");
        struct mkto_result record = {.status = "FAILED", .text = texts[i]};
        assert_string_equal(on_record(MKTO_API_SOAP, &record, state).reason, "lock");
        record = (struct mkto_result){.code = 1003, .status = texts[i]};
        assert_string_equal(on_record(MKTO_API_REST, &record, state).reason, "lock");
    }
}

static void check_fields(const struct mkto_verdict_decision *decision, const char *names)
{
    char joined[300] = "";
    size_t used = 0;

    assert_int_equal(decision->kind, STRIP);
    assert_non_null(decision->fields);
    for (size_t i = 0; decision->fields[i] != NULL; i++) {
        used +=
            (size_t)apr_snprintf(joined + used, sizeof(joined) - used, "%s|", decision->fields[i]);
    }
    assert_string_equal(joined, names);
}

static void field_names_are_found(void **state)
{
    static const char *const rows[][2] = {
        {"syncLead operation failed: unknown fields for import: pants (20105)", "pants|"},
        {"20105 - Unknown lead field: syncLead operation failed: unknown fields for import: pants",
         "pants|"},
        {"unknown fields for import: a, b (20105)", "a|b|"},
        {"Unknown Fields for import:a,Shoe Size , c__c", "a|Shoe Size|c__c|"},
        {"Field 'pants' not found", "pants|"},
        {"Fields 'a', 'b c' and \"d\" not found", "a|b c|d|"},
        {"Field pants not found", "pants|"},
        {"field Shoe Size not found.", "Shoe Size|"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_verdict_decision decision = on_call(MKTO_API_SOAP, 20105, rows[i][0], state);
        check_fields(&decision, rows[i][1]);
        struct mkto_result record = {.code = 1006, .text = rows[i][0]};
        decision = on_record(MKTO_API_REST, &record, state);
        check_fields(&decision, rows[i][1]);
    }
}

static void no_names_no_strip(void **state)
{
    static const char *const texts[] = {NULL,
                                        "",
                                        "Unknown lead field",
                                        "unknown fields for import:  (20105)",
                                        "''",
                                        "Field  not found",
                                        "it's"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct mkto_verdict_decision decision = on_call(MKTO_API_SOAP, 20105, texts[i], state);
        assert_int_equal(decision.kind, SPLIT);
        assert_int_equal(decision.alone, DEAD);
        assert_null(decision.fields);
        struct mkto_result record = {.code = 1006, .text = texts[i]};
        decision = on_record(MKTO_API_REST, &record, state);
        assert_int_equal(decision.kind, DEAD);
        assert_string_equal(decision.reason, "unknown_field");
    }
}

static void company_fields_are_stripped(void **state)
{
    struct mkto_result record = {.code = 1021, .text = "Company update not allowed"};
    struct mkto_verdict_decision decision = on_record(MKTO_API_REST, &record, state);

    check_fields(&decision,
                 "company|site|website|mainPhone|annualRevenue|numberOfEmployees|industry|sicCode|"
                 "billingCity|billingCountry|billingPostalCode|billingState|billingStreet|");
}

static size_t names_of(size_t count, void **state)
{
    char *names = apr_palloc(*state, 2 * count + 1);
    for (size_t i = 0; i < count; i++) {
        names[2 * i] = 'a';
        names[2 * i + 1] = ',';
    }
    names[2 * count] = '\0';
    struct mkto_verdict_decision decision =
        on_call(MKTO_API_SOAP, 20105, apr_pstrcat(*state, "unknown fields: ", names, NULL), state);
    size_t found = 0;
    while (decision.fields[found] != NULL) {
        found++;
    }
    return found;
}

static void strip_limit(void **state)
{
    assert_int_equal(names_of(MKTO_VERDICT_STRIP_MAX, state), MKTO_VERDICT_STRIP_MAX);
    assert_int_equal(names_of(MKTO_VERDICT_STRIP_MAX + 1, state), MKTO_VERDICT_STRIP_MAX);
}

static void http_statuses(void **state)
{
    static const struct {
        enum mkto_api api;
        int status;
        enum mkto_verdict_kind kind;
        enum mkto_pause_kind pause;
        const char *reason;
    } rows[] = {
        {MKTO_API_REST, 200, RETRY, MKTO_PAUSE_NONE, "not_rest"},
        {MKTO_API_REST, 302, PAUSE, MKTO_PAUSE_GONE, "redirect"},
        {MKTO_API_REST, 400, SPLIT, MKTO_PAUSE_NONE, "http_400"},
        {MKTO_API_REST, 401, PAUSE, MKTO_PAUSE_CREDENTIALS, "credentials"},
        {MKTO_API_REST, 403, PAUSE, MKTO_PAUSE_CREDENTIALS, "access_denied"},
        {MKTO_API_REST, 404, PAUSE, MKTO_PAUSE_GONE, "gone"},
        {MKTO_API_REST, 407, PAUSE, MKTO_PAUSE_DOWN, "proxy"},
        {MKTO_API_REST, 408, RETRY, MKTO_PAUSE_NONE, "timeout"},
        {MKTO_API_REST, 410, PAUSE, MKTO_PAUSE_GONE, "gone"},
        {MKTO_API_REST, 413, SPLIT, MKTO_PAUSE_NONE, "too_large"},
        {MKTO_API_REST, 414, SPLIT, MKTO_PAUSE_NONE, "uri_too_long"},
        {MKTO_API_REST, 418, RETRY, MKTO_PAUSE_NONE, "not_rest"},
        {MKTO_API_REST, 429, PAUSE, MKTO_PAUSE_RATE, "rate"},
        {MKTO_API_REST, 500, RETRY, MKTO_PAUSE_NONE, "http_500"},
        {MKTO_API_REST, 502, PAUSE, MKTO_PAUSE_DOWN, "http_5xx"},
        {MKTO_API_REST, 503, PAUSE, MKTO_PAUSE_DOWN, "http_5xx"},
        {MKTO_API_REST, 504, PAUSE, MKTO_PAUSE_DOWN, "http_5xx"},
        {MKTO_API_REST, 599, PAUSE, MKTO_PAUSE_DOWN, "http_5xx"},
        {MKTO_API_SOAP, 200, PAUSE, MKTO_PAUSE_GONE, "gone"},
        {MKTO_API_SOAP, 204, PAUSE, MKTO_PAUSE_GONE, "gone"},
        {MKTO_API_SOAP, 301, PAUSE, MKTO_PAUSE_GONE, "redirect"},
        {MKTO_API_SOAP, 400, PAUSE, MKTO_PAUSE_GONE, "gone"},
        {MKTO_API_SOAP, 401, PAUSE, MKTO_PAUSE_CREDENTIALS, "credentials"},
        {MKTO_API_SOAP, 403, PAUSE, MKTO_PAUSE_CREDENTIALS, "access_denied"},
        {MKTO_API_SOAP, 404, PAUSE, MKTO_PAUSE_GONE, "gone"},
        {MKTO_API_SOAP, 408, RETRY, MKTO_PAUSE_NONE, "timeout"},
        {MKTO_API_SOAP, 410, PAUSE, MKTO_PAUSE_GONE, "gone"},
        {MKTO_API_SOAP, 413, SPLIT, MKTO_PAUSE_NONE, "too_large"},
        {MKTO_API_SOAP, 429, PAUSE, MKTO_PAUSE_RATE, "rate"},
        {MKTO_API_SOAP, 500, RETRY, MKTO_PAUSE_NONE, "http_500"},
        {MKTO_API_SOAP, 502, PAUSE, MKTO_PAUSE_DOWN, "http_5xx"},
        {MKTO_API_SOAP, 503, PAUSE, MKTO_PAUSE_DOWN, "http_5xx"},
        {MKTO_API_MUNCHKIN, 200, DELIVERED, MKTO_PAUSE_NONE, "delivered"},
        {MKTO_API_MUNCHKIN, 204, DELIVERED, MKTO_PAUSE_NONE, "delivered"},
        {MKTO_API_MUNCHKIN, 302, RETRY, MKTO_PAUSE_NONE, "http_other"},
        {MKTO_API_MUNCHKIN, 400, DEAD, MKTO_PAUSE_NONE, "http_4xx"},
        {MKTO_API_MUNCHKIN, 404, DEAD, MKTO_PAUSE_NONE, "http_4xx"},
        {MKTO_API_MUNCHKIN, 408, RETRY, MKTO_PAUSE_NONE, "timeout"},
        {MKTO_API_MUNCHKIN, 414, DEAD, MKTO_PAUSE_NONE, "http_4xx"},
        {MKTO_API_MUNCHKIN, 429, PAUSE, MKTO_PAUSE_RATE, "rate"},
        {MKTO_API_MUNCHKIN, 500, RETRY, MKTO_PAUSE_NONE, "http_5xx"},
        {MKTO_API_MUNCHKIN, 503, RETRY, MKTO_PAUSE_NONE, "http_5xx"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_verdict_decision decision = on_http(rows[i].api, rows[i].status, state);
        if (decision.kind != rows[i].kind || decision.pause != rows[i].pause) {
            fail_msg("api %d, status %d: %s, %s", (int)rows[i].api, rows[i].status,
                     mkto_verdict_name(decision.kind), mkto_verdict_pause_name(decision.pause));
        }
        assert_string_equal(decision.reason, rows[i].reason);
    }
}

static void munchkin_has_no_call(void **state)
{
    struct mkto_http_answer answer = http(200);
    struct mkto_verdict_decision decision;

    mkto_verdict(MKTO_API_MUNCHKIN, &answer, NULL, NULL, &decision, *state);
    assert_int_equal(decision.kind, DELIVERED);
}

static void transport_results(void **state)
{
    static const struct {
        enum mkto_transport_result result;
        enum mkto_verdict_kind kind;
        enum mkto_pause_kind pause;
        const char *reason;
    } rows[] = {
        {MKTO_TRANSPORT_REFUSED, PAUSE, MKTO_PAUSE_DOWN, "refused"},
        {MKTO_TRANSPORT_TLS, PAUSE, MKTO_PAUSE_DOWN, "tls"},
        {MKTO_TRANSPORT_TIMEOUT, RETRY, MKTO_PAUSE_NONE, "timeout"},
        {MKTO_TRANSPORT_BROKEN, RETRY, MKTO_PAUSE_NONE, "broken"},
        {MKTO_TRANSPORT_TOO_LARGE, RETRY, MKTO_PAUSE_NONE, "answer_too_large"},
    };

    for (enum mkto_api api = MKTO_API_REST; api <= MKTO_API_MUNCHKIN; api++) {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            struct mkto_http_answer answer = http(0);
            struct mkto_verdict_decision decision;
            answer.result = rows[i].result;
            mkto_verdict(api, &answer, NULL, NULL, &decision, *state);
            assert_int_equal(decision.kind, rows[i].kind);
            assert_int_equal(decision.pause, rows[i].pause);
            assert_string_equal(decision.reason, rows[i].reason);
        }
    }
}

static void oauth_words(void **state)
{
    static const int statuses[] = {200, 400, 401};

    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        struct mkto_http_answer answer = http(statuses[i]);
        struct mkto_call_result call = {.understood = true, .call = {.status = "invalid_client"}};
        struct mkto_verdict_decision decision;
        mkto_verdict(MKTO_API_REST, &answer, &call, &call.call, &decision, *state);
        assert_int_equal(decision.kind, PAUSE);
        assert_int_equal(decision.pause, MKTO_PAUSE_CREDENTIALS);
        assert_non_null(decision.hint);
    }
}

/* Understood, refused, but without a code: the HTTP status is all there is. */
static void status_without_code(void **state)
{
    struct mkto_call_result call = {.understood = true, .call = {.status = "Service Unavailable"}};
    struct mkto_http_answer answer = http(503);
    struct mkto_verdict_decision decision;

    mkto_verdict(MKTO_API_REST, &answer, &call, NULL, &decision, *state);
    assert_int_equal(decision.pause, MKTO_PAUSE_DOWN);
    mkto_verdict(MKTO_API_SOAP, &answer, &call, NULL, &decision, *state);
    assert_int_equal(decision.pause, MKTO_PAUSE_DOWN);
    answer = http(401);
    mkto_verdict(MKTO_API_SOAP, &answer, &call, NULL, &decision, *state);
    assert_int_equal(decision.pause, MKTO_PAUSE_CREDENTIALS);
    answer = http(200);
    mkto_verdict(MKTO_API_REST, &answer, &call, NULL, &decision, *state);
    assert_string_equal(decision.reason, "unknown_code");
}

static int64_t after_of(int status, int64_t retry_after_ms, void **state)
{
    struct mkto_http_answer answer = http(status);
    struct mkto_verdict_decision decision;

    answer.retry_after_ms = retry_after_ms;
    mkto_verdict(MKTO_API_REST, &answer, NULL, NULL, &decision, *state);
    return decision.after_ms;
}

static void retry_after_is_honoured(void **state)
{
    assert_int_equal(after_of(503, 7000, state), 7000);
    assert_int_equal(after_of(503, -1, state), 0);
    assert_int_equal(after_of(429, 7000, state), MKTO_VERDICT_RATE_MS);
    assert_int_equal(after_of(429, 70000, state), 70000);
    assert_int_equal(after_of(503, MKTO_VERDICT_AFTER_MAX_MS, state), MKTO_VERDICT_AFTER_MAX_MS);
    assert_int_equal(after_of(503, MKTO_VERDICT_AFTER_MAX_MS + 1, state),
                     MKTO_VERDICT_AFTER_MAX_MS);
    assert_int_equal(after_of(413, 7000, state), 0);    /* in halves it may not be too large */
    assert_int_equal(after_of(400, 7000, state), 7000); /* of a record that was alone */
}

static void gone_says_what_to_do(void **state)
{
    assert_non_null(strstr(on_http(MKTO_API_SOAP, 404, state).hint, "api = rest"));
    assert_non_null(strstr(on_http(MKTO_API_REST, 404, state).hint, "rest_endpoint"));
    assert_null(on_http(MKTO_API_REST, 503, state).hint);
}

static void words(void **state)
{
    (void)state;
    for (int kind = 0; kind < MKTO_VERDICT_COUNT; kind++) {
        assert_string_not_equal(mkto_verdict_name((enum mkto_verdict_kind)kind), "unknown");
    }
    for (int pause = 0; pause < MKTO_PAUSE_COUNT; pause++) {
        assert_string_not_equal(mkto_verdict_pause_name((enum mkto_pause_kind)pause), "unknown");
    }
    assert_string_equal(mkto_verdict_name(DEAD), "dead");
    assert_string_equal(mkto_verdict_name(MKTO_VERDICT_COUNT), "unknown");
    assert_string_equal(mkto_verdict_pause_name(MKTO_PAUSE_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(soap_codes),
        cmocka_unit_test(rest_call_codes),
        cmocka_unit_test(rest_record_codes),
        cmocka_unit_test(unknown_codes_are_retried),
        cmocka_unit_test(no_code),
        cmocka_unit_test(delivered),
        cmocka_unit_test(lock_beats_the_code),
        cmocka_unit_test(field_names_are_found),
        cmocka_unit_test(no_names_no_strip),
        cmocka_unit_test(company_fields_are_stripped),
        cmocka_unit_test(strip_limit),
        cmocka_unit_test(http_statuses),
        cmocka_unit_test(munchkin_has_no_call),
        cmocka_unit_test(transport_results),
        cmocka_unit_test(oauth_words),
        cmocka_unit_test(status_without_code),
        cmocka_unit_test(retry_after_is_honoured),
        cmocka_unit_test(gone_says_what_to_do),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
