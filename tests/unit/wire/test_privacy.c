#include "wire_test.h"

#include "mkto_privacy.h"

static void consents(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        enum mkto_consent consent;
    } rows[] = {
        {NULL, MKTO_CONSENT_ABSENT},          {"", MKTO_CONSENT_ABSENT},
        {" \t ", MKTO_CONSENT_ABSENT},        {"granted", MKTO_CONSENT_GRANTED},
        {"yes", MKTO_CONSENT_GRANTED},        {"true", MKTO_CONSENT_GRANTED},
        {"on", MKTO_CONSENT_GRANTED},         {"1", MKTO_CONSENT_GRANTED},
        {" GRANTED\t", MKTO_CONSENT_GRANTED}, {"Yes", MKTO_CONSENT_GRANTED},
        {"denied", MKTO_CONSENT_DENIED},      {"no", MKTO_CONSENT_DENIED},
        {"false", MKTO_CONSENT_DENIED},       {"off", MKTO_CONSENT_DENIED},
        {"0", MKTO_CONSENT_DENIED},           {"granted!", MKTO_CONSENT_DENIED},
        {"11", MKTO_CONSENT_DENIED},          {"y", MKTO_CONSENT_DENIED},
        {"yes no", MKTO_CONSENT_DENIED},      {"\"granted\"", MKTO_CONSENT_DENIED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(mkto_consent_read(mkto_slice_str(rows[i].value)), rows[i].consent);
    }
}

static void consent_rules(void **state)
{
    (void)state;
    static const struct {
        bool asks;
        enum mkto_consent consent;
        bool absent_grants;
        enum mkto_skip skip;
    } rows[] = {
        {false, MKTO_CONSENT_ABSENT, false, MKTO_SKIP_NONE},
        {false, MKTO_CONSENT_DENIED, false, MKTO_SKIP_NONE},
        {true, MKTO_CONSENT_GRANTED, false, MKTO_SKIP_NONE},
        {true, MKTO_CONSENT_GRANTED, true, MKTO_SKIP_NONE},
        {true, MKTO_CONSENT_DENIED, false, MKTO_SKIP_CONSENT},
        {true, MKTO_CONSENT_DENIED, true, MKTO_SKIP_CONSENT},
        {true, MKTO_CONSENT_ABSENT, false, MKTO_SKIP_CONSENT},
        {true, MKTO_CONSENT_ABSENT, true, MKTO_SKIP_NONE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mkto_request request = {.uri = MKTO_SLICE_LIT("/")};
        const struct mkto_privacy_rule rule = {.asks = rows[i].asks,
                                               .consent = rows[i].consent,
                                               .absent_grants = rows[i].absent_grants};
        assert_int_equal(mkto_privacy_judge(&request, &rule), rows[i].skip);
    }
}

static void opt_outs(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *referer;
        bool cookie, out;
        int says;
    } rows[] = {
        {"/", NULL, false, false, -1},
        {"/", NULL, true, true, -1},
        {"/?marketo_opt_out=true", NULL, false, true, 1},
        {"/?a=b&marketo_opt_out=true&c", NULL, false, true, 1},
        {"/?marketo_opt_out=false", NULL, true, false, 0},
        {"/?marketo_opt_out=false", NULL, false, false, 0},
        {"/?marketo_opt_out=True", NULL, false, false, -1},
        {"/?marketo_opt_out=1", NULL, false, false, -1},
        {"/?marketo_opt_out", NULL, true, true, -1},
        {"/?xmarketo_opt_out=true", NULL, false, false, -1},
        {"/marketo_opt_out=true", NULL, false, false, -1},
        {"/v1/t", "https://www.example.com/?marketo_opt_out=true", false, true, -1},
        {"/v1/t", "http://WWW.example.com:443/?marketo_opt_out=true#x", false, true, -1},
        {"/v1/t", "https://www.example.com/?marketo_opt_out=false", true, false, -1},
        {"/v1/t", "https://evil.example/?marketo_opt_out=false", true, true, -1},
        {"/v1/t", "https://www.example.com.evil.example/?marketo_opt_out=false", true, true, -1},
        {"/v1/t", "https://evil.example/www.example.com?marketo_opt_out=false", true, true, -1},
        {"/v1/t", "https://evil.example\\@www.example.com/?marketo_opt_out=false", true, true, -1},
        {"/v1/t", "about:blank?marketo_opt_out=false", true, true, -1},
        {"/?marketo_opt_out=true", "https://www.example.com/?marketo_opt_out=false", false, true,
         1},
        {"/?marketo_opt_out=false", "https://www.example.com/?marketo_opt_out=true", true, false,
         0},
    };
    const struct mkto_privacy_rule rule = {.asks = false};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_request request = {.uri = mkto_slice_str(rows[i].uri),
                                       .host = MKTO_SLICE_LIT("www.example.com"),
                                       .opt_out = rows[i].cookie};
        request.header[MKTO_HEADER_REFERER] = mkto_slice_str(rows[i].referer);
        assert_int_equal(mkto_privacy_judge(&request, &rule),
                         rows[i].out ? MKTO_SKIP_OPT_OUT : MKTO_SKIP_NONE);
        assert_int_equal(mkto_privacy_opt_out(&request), rows[i].says);
    }
}

static void signals(void **state)
{
    (void)state;
    static const struct {
        const char *gpc, *dnt;
        unsigned respect;
        enum mkto_skip skip;
    } rows[] = {
        {"1", "1", 0, MKTO_SKIP_NONE},
        {"1", NULL, MKTO_RESPECT_GPC, MKTO_SKIP_GPC},
        {"1", NULL, MKTO_RESPECT_DNT, MKTO_SKIP_NONE},
        {NULL, "1", MKTO_RESPECT_GPC, MKTO_SKIP_NONE},
        {NULL, "1", MKTO_RESPECT_DNT, MKTO_SKIP_DNT},
        {"1", "1", MKTO_RESPECT_GPC | MKTO_RESPECT_DNT, MKTO_SKIP_GPC},
        {"0", "1", MKTO_RESPECT_GPC | MKTO_RESPECT_DNT, MKTO_SKIP_DNT},
        {"0", "0", MKTO_RESPECT_GPC | MKTO_RESPECT_DNT, MKTO_SKIP_NONE},
        {"", "unset", MKTO_RESPECT_GPC | MKTO_RESPECT_DNT, MKTO_SKIP_NONE},
        {" 1 ", NULL, MKTO_RESPECT_GPC, MKTO_SKIP_GPC},
        {"11", NULL, MKTO_RESPECT_GPC, MKTO_SKIP_NONE},
        {"1, 1", NULL, MKTO_RESPECT_GPC, MKTO_SKIP_GPC},
        {NULL, "0, 1", MKTO_RESPECT_DNT, MKTO_SKIP_DNT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_request request = {.uri = MKTO_SLICE_LIT("/")};
        const struct mkto_privacy_rule rule = {.respect = rows[i].respect};
        request.header[MKTO_HEADER_SEC_GPC] = mkto_slice_str(rows[i].gpc);
        request.header[MKTO_HEADER_DNT] = mkto_slice_str(rows[i].dnt);
        assert_int_equal(mkto_privacy_judge(&request, &rule), rows[i].skip);
    }
}

static void first_reason(void **state)
{
    (void)state;
    struct mkto_request request = {.uri = MKTO_SLICE_LIT("/"), .opt_out = true};
    struct mkto_privacy_rule rule = {.asks = true,
                                     .consent = MKTO_CONSENT_DENIED,
                                     .respect = MKTO_RESPECT_GPC | MKTO_RESPECT_DNT};
    request.header[MKTO_HEADER_SEC_GPC] = MKTO_SLICE_LIT("1");
    request.header[MKTO_HEADER_DNT] = MKTO_SLICE_LIT("1");
    assert_int_equal(mkto_privacy_judge(&request, &rule), MKTO_SKIP_CONSENT);
    rule.consent = MKTO_CONSENT_GRANTED;
    assert_int_equal(mkto_privacy_judge(&request, &rule), MKTO_SKIP_OPT_OUT);
    request.opt_out = false;
    assert_int_equal(mkto_privacy_judge(&request, &rule), MKTO_SKIP_GPC);
    request.header[MKTO_HEADER_SEC_GPC] = MKTO_SLICE_NONE;
    assert_int_equal(mkto_privacy_judge(&request, &rule), MKTO_SKIP_DNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(consents), cmocka_unit_test(consent_rules), cmocka_unit_test(opt_outs),
        cmocka_unit_test(signals),  cmocka_unit_test(first_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
