/* mkto_soap: the bytes of the requests, the schema when it is there, every shape of an answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>
#include <libxml/parser.h>
#include <libxml/xmlschemas.h>

#include "mkto_soap.h"

#define NOW_MS (INT64_C(1767323045) * 1000 + 999) /* 2026-01-02T03:04:05.999Z */

#define ENVELOPE                                                                                   \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<SOAP-ENV:Envelope "                              \
    "xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\" "                                \
    "xmlns:ns1=\"http://www.marketo.com/mktows/\"><SOAP-ENV:Header><ns1:AuthenticationHeader>"     \
    "<mktowsUserId>mktows_demo1_0123456789ABCDEF</mktowsUserId>"                                   \
    "<requestSignature>76076f22986d648dcdc18cec75df0e812e44a4b0</requestSignature>"                \
    "<requestTimestamp>2026-01-02T03:04:05+00:00</requestTimestamp></ns1:AuthenticationHeader>"
#define BODY "</SOAP-ENV:Header><SOAP-ENV:Body>"
#define END "</SOAP-ENV:Body></SOAP-ENV:Envelope>"

static const struct mkto_subscription subscription = {
    .name = "",
    .munchkin_id = "561-HYG-937",
    .soap_endpoint = "https://561-HYG-937.mktoapi.com/soap/mktows/3_1",
};

static const struct mkto_soap_credentials credentials = {
    {"mktows_demo1_0123456789ABCDEF", 29},
    {"0123456789ABCDEF0123456789ABCDEF", 32},
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
    xmlCleanupParser();
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

static const char *sync_lead(const struct mkto_lead *lead, const char *workspace, void **state)
{
    struct mkto_subscription with = subscription;
    struct mkto_http_request request;

    with.soap_workspace = workspace;
    mkto_soap_sync_lead(&with, &credentials, NOW_MS, lead, &request, *state);
    return body_of(&request, state);
}

/* Every element that the schema knows at the top: the header blocks and the Body's child. */
static void validate(const char *text, xmlSchemaPtr schema)
{
    xmlDocPtr envelope = xmlReadMemory(text, (int)strlen(text), NULL, NULL, XML_PARSE_NONET);
    assert_non_null(envelope);
    for (xmlNodePtr part = xmlDocGetRootElement(envelope)->children; part; part = part->next) {
        for (xmlNodePtr block = part->children; block != NULL; block = block->next) {
            xmlDocPtr alone = xmlNewDoc(BAD_CAST "1.0");
            xmlSchemaValidCtxtPtr check = xmlSchemaNewValidCtxt(schema);
            xmlDocSetRootElement(alone, xmlDocCopyNode(block, alone, 1));
            assert_int_equal(xmlSchemaValidateDoc(check, alone), 0);
            xmlSchemaFreeValidCtxt(check);
            xmlFreeDoc(alone);
        }
    }
    xmlFreeDoc(envelope);
}

/* The schema of the WSDL is no part of the project: NULL when it is not at hand. */
static xmlSchemaPtr load_schema(void)
{
    const char *shared = getenv("MKTO_SHARED");
    char file[1024];

    (void)apr_snprintf(file, sizeof(file), "%s/data/mktows_2_2.xsd",
                       shared != NULL ? shared : MKTO_TEST_DIR "/../../../shared");
    if (access(file, R_OK) != 0) {
        print_message("skipped: no schema at %s\n", file);
        return NULL;
    }
    xmlSchemaParserCtxtPtr parser = xmlSchemaNewParserCtxt(file);
    xmlSchemaPtr schema = xmlSchemaParse(parser);
    xmlSchemaFreeParserCtxt(parser);
    assert_non_null(schema);
    return schema;
}

static const struct mkto_field ada_fields[] = {
    {"FirstName", "Ada", MKTO_FIELD_TEXT},
    {"LastName", "Lovelace & S\xc3\xb6hne", MKTO_FIELD_TEXT},
    {"Company", "A <B> \"C\"", MKTO_FIELD_TEXT},
    {"Unsubscribed", "false", MKTO_FIELD_BOOL},
    {"Seats", "5", MKTO_FIELD_NUMBER},
};
static const struct mkto_lead ada = {
    .email = "ada@example.com",
    .cookie = "id:123-ABC-456&token:_mch-example.com-1700000000000-12345",
    .fields = ada_fields,
    .field_count = 5,
};

#define ADA_RECORD                                                                                 \
    "<leadRecord><Email>ada@example.com</Email><leadAttributeList>"                                \
    "<attribute><attrName>FirstName</attrName><attrValue>Ada</attrValue></attribute>"              \
    "<attribute><attrName>LastName</attrName><attrValue>Lovelace &amp; S\xc3\xb6hne</attrValue>"   \
    "</attribute><attribute><attrName>Company</attrName>"                                          \
    "<attrValue>A &lt;B&gt; &quot;C&quot;</attrValue></attribute>"                                 \
    "<attribute><attrName>Unsubscribed</attrName><attrValue>false</attrValue></attribute>"         \
    "<attribute><attrName>Seats</attrName><attrValue>5</attrValue></attribute>"                    \
    "</leadAttributeList></leadRecord>"

static void sync_lead_bytes(void **state)
{
    struct mkto_http_request request;

    mkto_soap_sync_lead(&subscription, &credentials, NOW_MS, &ada, &request, *state);
    assert_string_equal(request.method, "POST");
    assert_string_equal(request.url, subscription.soap_endpoint);
    assert_string_equal(header_of(&request, "Content-Type"), "text/xml;charset=UTF-8");
    assert_string_equal(header_of(&request, "SOAPAction"),
                        "\"http://www.marketo.com/mktows/syncLead\"");
    assert_null(header_of(&request, "Accept-Encoding"));
    assert_string_equal(
        body_of(&request, state),
        ENVELOPE BODY "<ns1:paramsSyncLead>" ADA_RECORD "<returnLead>false</returnLead>"
                      "<marketoCookie>id:123-ABC-456&amp;token:_mch-example.com-1700000000000-12345"
                      "</marketoCookie></ns1:paramsSyncLead>" END);
}

static void optional_parts(void **state)
{
    const struct mkto_lead only_cookie = {.cookie = "id:A&token:T"};
    const struct mkto_lead only_email = {.email = "a@b.co"};

    assert_string_equal(sync_lead(&only_cookie, "Futures <Institute>", state), ENVELOPE
                        "<ns1:MktowsContextHeader><targetWorkspace>Futures "
                        "&lt;Institute&gt;</targetWorkspace></ns1:MktowsContextHeader>" BODY
                        "<ns1:paramsSyncLead><leadRecord/><returnLead>false</returnLead>"
                        "<marketoCookie>id:A&amp;token:T</marketoCookie>"
                        "</ns1:paramsSyncLead>" END);
    assert_string_equal(sync_lead(&only_email, NULL, state), ENVELOPE BODY
                        "<ns1:paramsSyncLead><leadRecord><Email>a@b.co</Email></leadRecord>"
                        "<returnLead>false</returnLead></ns1:paramsSyncLead>" END);
}

static void sync_multiple_bytes(void **state)
{
    static const struct mkto_field company[] = {{"Company", "", MKTO_FIELD_TEXT}};
    const struct mkto_lead second = {
        .email = "u2@example.com", .cookie = "id:A&token:T", .fields = company, .field_count = 1};
    const struct mkto_lead *leads[] = {&ada, &second};
    struct mkto_subscription with = subscription;
    struct mkto_http_request request;
    with.soap_workspace = "Default";

    mkto_soap_sync_multiple(&with, &credentials, NOW_MS, leads, 2, &request, *state);
    assert_string_equal(header_of(&request, "SOAPAction"),
                        "\"http://www.marketo.com/mktows/syncMultipleLeads\"");
    assert_string_equal(
        body_of(&request, state), ENVELOPE BODY
        "<ns1:paramsSyncMultipleLeads><leadRecordList>" ADA_RECORD
        "<leadRecord><Email>u2@example.com</Email><leadAttributeList><attribute><attrName>Company"
        "</attrName><attrValue></attrValue></attribute></leadAttributeList></leadRecord>"
        "</leadRecordList><dedupEnabled>true</dedupEnabled></ns1:paramsSyncMultipleLeads>" END);
}

static size_t records_written(size_t count, void **state)
{
    const struct mkto_lead lead = {.email = "a@b.co"};
    const struct mkto_lead *leads[MKTO_SOAP_BATCH_MAX + 1];
    struct mkto_http_request request;
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        leads[i] = &lead;
    }

    mkto_soap_sync_multiple(&subscription, &credentials, NOW_MS, leads, count, &request, *state);
    for (const char *at = body_of(&request, state); (at = strstr(at, "<Email>")) != NULL; at++) {
        found++;
    }
    return found;
}

static void batch_limit(void **state)
{
    assert_int_equal(records_written(MKTO_SOAP_BATCH_MAX, state), MKTO_SOAP_BATCH_MAX);
    assert_int_equal(records_written(MKTO_SOAP_BATCH_MAX + 1, state), MKTO_SOAP_BATCH_MAX);
}

static void probe_bytes(void **state)
{
    struct mkto_http_request request;

    mkto_soap_probe(&subscription, &credentials, NOW_MS, &request, *state);
    assert_string_equal(header_of(&request, "SOAPAction"),
                        "\"http://www.marketo.com/mktows/listMObjects\"");
    assert_string_equal(body_of(&request, state), ENVELOPE BODY "<ns1:paramsListMObjects/>" END);
}

/* What XML cannot hold is left out; the rest of the value arrives. */
static void characters_of_xml(void **state)
{
    static const char *const rows[][2] = {
        {"a\x01\x08\x0b\x1f"
         "b",
         "ab"},
        {"a\tb\nc", "a\tb\nc"},
        {"a\rb", "a&#13;b"},
        {"a\xef\xbf\xbe\xef\xbf\xbf"
         "b",
         "ab"},
        {"\xef\xbf\xbd", "\xef\xbf\xbd"},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {"a\xff\xc3"
         "b\xed\xa0\x80\xc0\x80",
         "ab"},
        {"]]>", "]]&gt;"},
        {"\x7f", "\x7f"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mkto_lead lead = {.email = rows[i][0]};
        const char *text = sync_lead(&lead, NULL, state);
        assert_non_null(strstr(text, apr_pstrcat(*state, "<Email>", rows[i][1], "</Email>", NULL)));
        xmlDocPtr doc = xmlReadMemory(text, (int)strlen(text), NULL, NULL, 0);
        assert_non_null(doc);
        xmlFreeDoc(doc);
    }
}

static void clock_is_utc_and_signed(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00+00:00"},
        {INT64_C(951782399999), "2000-02-28T23:59:59+00:00"},
        {INT64_C(4102444800000), "2100-01-01T00:00:00+00:00"},
    };

    setenv("TZ", "America/Chicago", 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_http_request request;
        mkto_soap_probe(&subscription, &credentials, rows[i].ms, &request, *state);
        assert_non_null(
            strstr(body_of(&request, state), apr_pstrcat(*state, "<requestTimestamp>", rows[i].text,
                                                         "</requestTimestamp>", NULL)));
    }
}

static void schema_holds(void **state)
{
    const struct mkto_lead *leads[] = {&ada, &ada};
    const struct mkto_lead only_cookie = {.cookie = "id:A&token:T"};
    struct mkto_http_request request;
    xmlSchemaPtr schema = load_schema();
    if (schema == NULL) {
        skip();
    }

    validate(sync_lead(&ada, "Default", state), schema);
    validate(sync_lead(&only_cookie, NULL, state), schema);
    mkto_soap_sync_multiple(&subscription, &credentials, NOW_MS, leads, 2, &request, *state);
    validate(body_of(&request, state), schema);
    mkto_soap_probe(&subscription, &credentials, NOW_MS, &request, *state);
    validate(body_of(&request, state), schema);
    xmlSchemaFree(schema);
}

/* ---- answers ---- */

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
        "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
        "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;'><!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;'>]>",
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sync_lead_bytes),
        cmocka_unit_test(optional_parts),
        cmocka_unit_test(sync_multiple_bytes),
        cmocka_unit_test(batch_limit),
        cmocka_unit_test(probe_bytes),
        cmocka_unit_test(characters_of_xml),
        cmocka_unit_test(clock_is_utc_and_signed),
        cmocka_unit_test(schema_holds),
        cmocka_unit_test(lead_updated),
        cmocka_unit_test(lead_created_and_returned),
        cmocka_unit_test(mixed_statuses),
        cmocka_unit_test(probe_answered),
        cmocka_unit_test(faults),
        cmocka_unit_test(any_prefix),
        cmocka_unit_test(not_understood),
        cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(no_entities),
        cmocka_unit_test(depth_limit),
        cmocka_unit_test(record_limit),
        cmocka_unit_test(text_limit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
