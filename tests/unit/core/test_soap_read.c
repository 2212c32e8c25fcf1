/*
 * mkto_soap: every shape of an answer, and what is none.
 *
 * With files as arguments it runs no test, but prints what the reader makes of each: one line,
 * understood or not, ok or its code, and a word for each record. tests/e2e/test_zeep.py asks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>
#include <libxml/parser.h>

#include "mkto_soap.h"

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
    xmlCleanupParser();
    return 0;
}

#define ANSWER(body)                                                                               \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                                                 \
    "<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\" "             \
    "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "                                     \
    "xmlns:ns1=\"http://www.marketo.com/mktows/\"><SOAP-ENV:Body>" body                            \
    "</SOAP-ENV:Body></SOAP-ENV:Envelope>\n"
#define FAULT(string, detail)                                                                      \
    ANSWER("<SOAP-ENV:Fault><faultcode>SOAP-ENV:Client</faultcode><faultstring>" string            \
           "</faultstring>" detail "</SOAP-ENV:Fault>")
#define EXCEPTION(message, code)                                                                   \
    "<detail><ns1:serviceException><name>mktServiceException</name><message>" message              \
    "</message><code>" code "</code></ns1:serviceException></detail>"
#define STATUS(lead, status, error)                                                                \
    "<syncStatus><leadId>" lead "</leadId><status>" status "</status>" error "</syncStatus>"
#define NIL_ERROR "<error xsi:nil=\"true\"/>"

static struct mkto_call_result answer(const char *body, void **state)
{
    struct mkto_call_result result;

    mkto_soap_read(mkto_slice_str(body), &result, *state);
    return result;
}

static void lead_updated(void **state)
{
    struct mkto_call_result result =
        answer(ANSWER("<ns1:successSyncLead><result><leadId>4711</leadId>" STATUS(
                   "4711", "UPDATED",
                   NIL_ERROR) "<leadRecord xsi:nil=\"true\"/></result></ns1:successSyncLead>"),
               state);

    assert_true(result.understood && result.call.ok);
    assert_int_equal(result.record_count, 1);
    assert_true(result.records[0].ok);
    assert_int_equal(result.records[0].lead_id, 4711);
    assert_string_equal(result.records[0].status, "UPDATED");
    assert_null(result.records[0].text);
}

/* With the lead returned, its attributes look like nothing of ours. */
static void lead_created_and_returned(void **state)
{
    struct mkto_call_result result = answer(
        ANSWER("<ns1:successSyncLead><result><leadId>12</leadId>" STATUS(
            "12", "CREATED",
            "") "<leadRecord><Id>12</Id><Email>x@example.com</Email><leadAttributeList><attribute>"
                "<attrName>status</attrName><attrValue>FAILED</attrValue></attribute>"
                "</leadAttributeList></leadRecord></result></ns1:successSyncLead>"),
        state);

    assert_int_equal(result.record_count, 1);
    assert_true(result.records[0].ok);
    assert_string_equal(result.records[0].status, "CREATED");
}

static void mixed_statuses(void **state)
{
    struct mkto_call_result result = answer(
        ANSWER("<ns1:successSyncMultipleLeads><result><syncStatusList>" STATUS("1", "UPDATED",
                                                                               NIL_ERROR)
                   STATUS("0", "FAILED", "<error>Exceeded lock attempts</error>")
                       STATUS("0", "FAILED", "<error>20106 - Lead sync failed</error>")
                           STATUS("2", "SKIPPED", "<error></error>")
                               STATUS("3", "UPDATED", "<error>Bad phone (20110)</error>") STATUS(
                                   "0", "FAILED",
                                   NIL_ERROR) "<syncStatus><leadId> 9\n</leadId>\n<status> "
                                              "CREATED </status><error> </error></syncStatus>"
                                              "</syncStatusList></result>"
                                              "</ns1:successSyncMultipleLeads>"),
        state);

    assert_true(result.understood && result.call.ok);
    assert_int_equal(result.record_count, 7);
    const struct mkto_result *records = result.records;
    assert_true(records[0].ok && records[3].ok && records[6].ok);
    assert_false(records[1].ok || records[2].ok || records[4].ok || records[5].ok);
    assert_string_equal(records[1].text, "Exceeded lock attempts");
    assert_int_equal(records[1].code, 0);
    assert_int_equal(records[2].code, 20106);
    assert_int_equal(records[4].code, 20110);
    assert_string_equal(records[5].status, "FAILED");
    assert_int_equal(records[6].lead_id, 9);
    assert_string_equal(records[6].status, "CREATED");
}

static void probe_answered(void **state)
{
    struct mkto_call_result result =
        answer(ANSWER("<ns1:successListMObjects><result><objects>Lead</objects></result>"
                      "</ns1:successListMObjects>"),
               state);

    assert_true(result.understood && result.call.ok);
    assert_int_equal(result.record_count, 0);
}

static void faults(void **state)
{
    static const struct {
        const char *body;
        int code;
        const char *text;
    } rows[] = {
        {FAULT("20014 - Authentication failed",
               EXCEPTION("Authentication failed (20014)", "20014")),
         20014, "20014 - Authentication failed: Authentication failed (20014)"},
        {FAULT("Parameter required",
               "<detail><ns1:serviceException><name>n</name><message>Nothing was selected</message>"
               "<code>10001</code><cause/></ns1:serviceException></detail>"),
         10001, "Parameter required: Nothing was selected"},
        {FAULT("Bad Request", ""), 0, "Bad Request"},
        {FAULT("20016 - Request Expired", "<detail/>"), 20016, "20016 - Request Expired"},
        {FAULT("Input error", EXCEPTION("Name is not valid (20110)", "")), 20110,
         "Input error: Name is not valid (20110)"},
        {FAULT("", EXCEPTION("unknown fields for import: a &amp; b (20105)", "nonsense")), 20105,
         "unknown fields for import: a & b (20105)"},
        {FAULT("200145 - six digits", ""), 0, "200145 - six digits"},
        {FAULT("<![CDATA[20011 - <b>]]>", ""), 20011, "20011 - <b>"},
        {ANSWER("<SOAP-ENV:Fault/>"), 0, NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_call_result result = answer(rows[i].body, state);
        assert_true(result.understood);
        assert_false(result.call.ok);
        assert_int_equal(result.call.code, rows[i].code);
        assert_int_equal(result.record_count, 0);
        if (rows[i].text == NULL) {
            assert_null(result.call.text);
        } else {
            assert_string_equal(result.call.text, rows[i].text);
        }
    }
}

static void any_prefix(void **state)
{
    struct mkto_call_result result =
        answer("<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Header/>"
               "<e:Body><m:successSyncLead xmlns:m='http://www.marketo.com/mktows/'><result>"
               "<leadId>5</leadId><syncStatus><leadId>5</leadId><status>CREATED</status>"
               "</syncStatus></result></m:successSyncLead></e:Body></e:Envelope>",
               state);

    assert_true(result.understood && result.call.ok);
    assert_int_equal(result.records[0].lead_id, 5);
}

static void not_understood(void **state)
{
    static const char *const rows[] = {
        "",
        " ",
        "<html><body>Gone</body></html>",
        "<!DOCTYPE html><html><body>Gone</body></html>",
        "{\"success\":true}",
        "Service Unavailable",
        "<Envelope><Body><Fault/></Body></Envelope>",
        "<s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope'><s:Body><s:Fault/></s:Body>"
        "</s:Envelope>",
        ANSWER(""),
        ANSWER("<ns1:successOther/>"),
        ANSWER("<ns1:successSyncLead/><SOAP-ENV:Fault/>"),
        ANSWER("<ns1:successSyncLead><result></ns1:successSyncLead>"),
        ANSWER("<ns1:successSyncLead>&unknown;</ns1:successSyncLead>"),
        ANSWER("<ns1:successSyncLead>\xff</ns1:successSyncLead>"),
        ANSWER("<ns1:successSyncLead/>") "<more/>",
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_call_result result = answer(rows[i], state);
        assert_false(result.understood);
        assert_false(result.call.ok);
    }
    struct mkto_call_result result;
    mkto_soap_read(MKTO_SLICE_NONE, &result, *state);
    assert_false(result.understood);
}

static void every_cut_is_survived(void **state)
{
    static const char whole[] =
        FAULT("20014 - Authentication failed", EXCEPTION("Authentication failed (20014)", "20014"));

    for (size_t len = 0; len < sizeof(whole) - 2; len++) { /* the last byte is a line's end */
        struct mkto_call_result result;
        mkto_soap_read((struct mkto_slice){whole, len}, &result, *state);
        assert_false(result.understood);
    }
    assert_true(answer(whole, state).understood);
}

/* No document type, so no entity that grows and no file that is read. */
static void no_entities(void **state)
{
    static const char *const prologs[] = {
        "<!DOCTYPE x>",
        ("<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
         "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;'><!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;'>]>"),
        "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>",
        "<!DOCTYPE x SYSTEM 'http://127.0.0.1:1/x.dtd'>",
    };

    for (size_t i = 0; i < sizeof(prologs) / sizeof(prologs[0]); i++) {
        const char *body = apr_pstrcat(
            *state, prologs[i],
            "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body><s:Fault>"
            "<faultstring>&a;&d;</faultstring></s:Fault></s:Body></s:Envelope>",
            NULL);
        assert_false(answer(body, state).understood);
    }
}

/* A fault with so many elements open at the deepest place. */
static const char *nested(int depth, void **state)
{
    const char *open = "";
    const char *close = "";

    for (int i = 3; i < depth; i++) {
        open = apr_pstrcat(*state, open, "<a>", NULL);
        close = apr_pstrcat(*state, close, "</a>", NULL);
    }
    return apr_pstrcat(*state,
                       "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'>"
                       "<s:Body><s:Fault>",
                       open, close, "</s:Fault></s:Body></s:Envelope>", NULL);
}

static void depth_limit(void **state)
{
    assert_true(answer(nested(MKTO_SOAP_DEPTH_MAX, state), state).understood);
    assert_false(answer(nested(MKTO_SOAP_DEPTH_MAX + 1, state), state).understood);
    assert_false(answer(nested(2000, state), state).understood);
}

static size_t records_read(size_t count, void **state)
{
    static const char item[] = STATUS("1", "UPDATED", NIL_ERROR);
    char *list = apr_palloc(*state, count * (sizeof(item) - 1) + 1);
    for (size_t i = 0; i < count; i++) {
        memcpy(list + i * (sizeof(item) - 1), item, sizeof(item));
    }
    const char *open = "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/' "
                       "xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'><s:Body>"
                       "<successSyncMultipleLeads><result><syncStatusList>";
    const char *close = "</syncStatusList></result></successSyncMultipleLeads></s:Body>"
                        "</s:Envelope>";
    return answer(apr_pstrcat(*state, open, list, close, NULL), state).record_count;
}

static void record_limit(void **state)
{
    assert_int_equal(records_read(MKTO_SOAP_BATCH_MAX, state), MKTO_SOAP_BATCH_MAX);
    assert_int_equal(records_read(MKTO_SOAP_BATCH_MAX + 1, state), MKTO_SOAP_BATCH_MAX);
}

static void text_limit(void **state)
{
    static char text[MKTO_RESULT_TEXT_MAX + 2];
    memset(text, 'x', sizeof(text) - 1);
    const char *open = "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body>"
                       "<s:Fault><faultstring>";
    const char *close = "</faultstring></s:Fault></s:Body></s:Envelope>";

    struct mkto_call_result result = answer(apr_pstrcat(*state, open, text, close, NULL), state);
    assert_int_equal(strlen(result.call.text), MKTO_RESULT_TEXT_MAX);
}

static int read_file(const char *name, apr_pool_t *pool)
{
    static char body[1 << 20];
    struct mkto_call_result result;
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        perror(name);
        return -1;
    }
    size_t len = fread(body, 1, sizeof(body), file);
    fclose(file);

    mkto_soap_read((struct mkto_slice){body, len}, &result, pool);
    printf("%s %s %d", result.understood ? "understood" : "unknown",
           result.call.ok ? "ok" : "refused", result.call.code);
    for (size_t i = 0; i < result.record_count; i++) {
        const struct mkto_result *record = &result.records[i];
        printf(" %lld:%s:%s:%d", (long long)record->lead_id,
               record->status == NULL ? "" : record->status, record->ok ? "ok" : "failed",
               record->code);
    }
    printf("\n");
    return 0;
}

static int read_files(char **names)
{
    void *pool = NULL;
    int rc = setup(&pool);

    while (rc == 0 && *names != NULL) {
        rc = read_file(*names++, pool);
    }
    return rc == 0 && teardown(&pool) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        return read_files(argv + 1);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lead_updated),   cmocka_unit_test(lead_created_and_returned),
        cmocka_unit_test(mixed_statuses), cmocka_unit_test(probe_answered),
        cmocka_unit_test(faults),         cmocka_unit_test(any_prefix),
        cmocka_unit_test(not_understood), cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(no_entities),    cmocka_unit_test(depth_limit),
        cmocka_unit_test(record_limit),   cmocka_unit_test(text_limit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
