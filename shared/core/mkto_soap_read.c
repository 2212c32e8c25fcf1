#include "mkto_soap.h"

#include <apr_strings.h>
#include <apr_tables.h>
#include <libxml/xmlreader.h>

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <strings.h>

#define ENVELOPE_NS "http://schemas.xmlsoap.org/soap/envelope/"

/*
 * Each open element has a place, found from the place around it and its local name. Prefixes are
 * free, and all names below the Body's child are unqualified (contract 1.3).
 */
enum place {
    AT_TOP,
    AT_ENVELOPE,
    AT_BODY,
    AT_SUCCESS,
    AT_RESULT,
    AT_STATUS_LIST,
    AT_STATUS,
    AT_STATUS_LEAD,
    AT_STATUS_WORD,
    AT_STATUS_ERROR,
    AT_FAULT,
    AT_FAULT_STRING,
    AT_DETAIL,
    AT_EXCEPTION,
    AT_MESSAGE,
    AT_CODE,
    AT_OTHER,
};

/* clang-format off */
static const struct {
    enum place around;
    const char *name;
    enum place place;
} places[] = {
    {AT_TOP,         "Envelope",                 AT_ENVELOPE},
    {AT_ENVELOPE,    "Body",                     AT_BODY},
    {AT_BODY,        "successSyncLead",          AT_SUCCESS},
    {AT_BODY,        "successSyncMultipleLeads", AT_SUCCESS},
    {AT_BODY,        "successListMObjects",      AT_SUCCESS},
    {AT_SUCCESS,     "result",                   AT_RESULT},
    {AT_RESULT,      "syncStatus",               AT_STATUS},
    {AT_RESULT,      "syncStatusList",           AT_STATUS_LIST},
    {AT_STATUS_LIST, "syncStatus",               AT_STATUS},
    {AT_STATUS,      "leadId",                   AT_STATUS_LEAD},
    {AT_STATUS,      "status",                   AT_STATUS_WORD},
    {AT_STATUS,      "error",                    AT_STATUS_ERROR},
    {AT_BODY,        "Fault",                    AT_FAULT},
    {AT_FAULT,       "faultstring",              AT_FAULT_STRING},
    {AT_FAULT,       "detail",                   AT_DETAIL},
    {AT_DETAIL,      "serviceException",         AT_EXCEPTION},
    {AT_EXCEPTION,   "message",                  AT_MESSAGE},
    {AT_EXCEPTION,   "code",                     AT_CODE},
};
/* clang-format on */

struct reader {
    apr_pool_t *pool;
    enum place stack[MKTO_SOAP_DEPTH_MAX + 1];
    int depth; /* elements that are open */
    bool success;
    bool fault;
    bool too_many; /* records */
    apr_array_header_t *records;
    const char *fault_string;
    const char *message;
    const char *code;
    char text[MKTO_RESULT_TEXT_MAX + 1]; /* of the element that is open */
    size_t text_len;
};

static enum place find_place(enum place around, const char *name)
{
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (places[i].around == around && strcmp(places[i].name, name) == 0) {
            return places[i].place;
        }
    }
    return AT_OTHER;
}

static struct mkto_result *last_record(struct reader *reader)
{
    return reader->too_many || reader->records->nelts == 0
               ? NULL
               : &APR_ARRAY_IDX(reader->records, reader->records->nelts - 1, struct mkto_result);
}

static void begin_record(struct reader *reader)
{
    if (reader->records->nelts >= MKTO_SOAP_BATCH_MAX) {
        reader->too_many = true;
        return;
    }
    *(struct mkto_result *)apr_array_push(reader->records) = (struct mkto_result){.ok = true};
}

static bool open_element(struct reader *reader, xmlTextReaderPtr xml)
{
    const char *name = (const char *)xmlTextReaderConstLocalName(xml);
    const char *uri = (const char *)xmlTextReaderConstNamespaceUri(xml);

    if (reader->depth == MKTO_SOAP_DEPTH_MAX) {
        return false;
    }
    enum place place = find_place(reader->stack[reader->depth], name);
    if (place == AT_ENVELOPE && (uri == NULL || strcmp(uri, ENVELOPE_NS) != 0)) {
        return false;
    }
    reader->stack[++reader->depth] = place;
    reader->text_len = 0;
    reader->success |= place == AT_SUCCESS;
    reader->fault |= place == AT_FAULT;
    if (place == AT_STATUS) {
        begin_record(reader);
    }
    return true;
}

static bool is_code(const char *digits)
{
    for (size_t i = 0; i < 5; i++) {
        if (!isdigit((unsigned char)digits[i])) {
            return false;
        }
    }
    return !isdigit((unsigned char)digits[5]);
}

/* "20014 - Authentication failed" or "Authentication failed (20014)"; 0 when there is none. */
static int code_in(const char *text)
{
    if (text == NULL) {
        return 0;
    }
    if (is_code(text)) {
        return (int)strtol(text, NULL, 10);
    }
    const char *open = strrchr(text, '(');
    return open != NULL && is_code(open + 1) && open[6] == ')' ? (int)strtol(open + 1, NULL, 10)
                                                               : 0;
}

static void set_error(struct mkto_result *record, const char *text)
{
    record->ok = record->ok && text == NULL;
    record->text = text;
    record->code = code_in(text);
}

/* Text of the element that ends; NULL when it is empty, nil or blank. */
static const char *take_text(struct reader *reader)
{
    const char *start = reader->text;
    const char *end = start + reader->text_len;

    while (start < end && isspace((unsigned char)*start)) {
        start++;
    }
    while (end > start && isspace((unsigned char)end[-1])) {
        end--;
    }
    reader->text_len = 0;
    return mkto_result_text(start, (size_t)(end - start), reader->pool);
}

static void close_element(struct reader *reader)
{
    enum place place = reader->stack[reader->depth--];
    const char *text = take_text(reader);
    struct mkto_result *record = last_record(reader);

    switch (place) {
    case AT_FAULT_STRING: reader->fault_string = text; return;
    case AT_MESSAGE: reader->message = text; return;
    case AT_CODE: reader->code = text; return;
    default: break;
    }
    if (record == NULL) {
        return;
    }
    if (place == AT_STATUS_LEAD && text != NULL) {
        record->lead_id = strtoll(text, NULL, 10);
    } else if (place == AT_STATUS_WORD) {
        record->status = text;
        record->ok = record->ok && (text == NULL || strcasecmp(text, "FAILED") != 0);
    } else if (place == AT_STATUS_ERROR) {
        set_error(record, text);
    }
}

static void add_text(struct reader *reader, const char *text)
{
    size_t room = MKTO_RESULT_TEXT_MAX - reader->text_len;
    size_t len = text == NULL ? 0 : strlen(text);

    len = len < room ? len : room;
    if (len > 0) {
        memcpy(reader->text + reader->text_len, text, len);
        reader->text_len += len;
    }
}

/* False ends the reading: what comes here is no answer of Marketo's. */
static bool read_node(struct reader *reader, xmlTextReaderPtr xml)
{
    switch (xmlTextReaderNodeType(xml)) {
    case XML_READER_TYPE_ELEMENT: {
        bool empty = xmlTextReaderIsEmptyElement(xml) == 1;
        if (!open_element(reader, xml)) {
            return false;
        }
        if (empty) {
            close_element(reader);
        }
        return true;
    }
    case XML_READER_TYPE_END_ELEMENT: close_element(reader); return true;
    case XML_READER_TYPE_TEXT:
    case XML_READER_TYPE_CDATA:
    case XML_READER_TYPE_SIGNIFICANT_WHITESPACE:
        add_text(reader, (const char *)xmlTextReaderConstValue(xml));
        return true;
    case XML_READER_TYPE_DOCUMENT_TYPE:
    case XML_READER_TYPE_ENTITY_REFERENCE: return false;
    default: return true;
    }
}

static void ignore_error(void *ctx, xmlErrorPtr error)
{
    (void)ctx;
    (void)error;
}

/* True when the body is one whole, well-formed document. UTF-8 whatever its headers say (contract
 * section 8, "Unicode crashes"). */
static bool read_body(struct reader *reader, struct mkto_slice body)
{
    if (body.len == 0 || body.len > INT_MAX) {
        return false;
    }
    xmlTextReaderPtr xml =
        xmlReaderForMemory(body.data, (int)body.len, NULL, "UTF-8",
                           XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (xml == NULL) {
        return false;
    }
    xmlTextReaderSetStructuredErrorHandler(xml, ignore_error, NULL);
    int more = xmlTextReaderRead(xml);
    while (more == 1 && read_node(reader, xml)) {
        more = xmlTextReaderRead(xml);
    }
    xmlFreeTextReader(xml);
    return more == 0;
}

static const char *fault_text(const struct reader *reader)
{
    if (reader->message == NULL || reader->fault_string == NULL) {
        return reader->message == NULL ? reader->fault_string : reader->message;
    }
    return apr_pstrcat(reader->pool, reader->fault_string, ": ", reader->message, NULL);
}

/* By code, never by faultcode, which blames the client for everything (contract 5.1). */
static int fault_code(const struct reader *reader)
{
    long code = reader->code == NULL ? 0 : strtol(reader->code, NULL, 10);

    if (code > 0 && code <= INT_MAX) {
        return (int)code;
    }
    int found = code_in(reader->fault_string);
    return found != 0 ? found : code_in(reader->message);
}

void mkto_soap_read(struct mkto_slice body, struct mkto_call_result *result, apr_pool_t *pool)
{
    struct reader reader = {.pool = pool};

    reader.records = apr_array_make(pool, 1, sizeof(struct mkto_result));
    *result = (struct mkto_call_result){.understood = false};
    if (!read_body(&reader, body) || reader.success == reader.fault) {
        return;
    }
    result->understood = true;
    if (reader.fault) {
        result->call.code = fault_code(&reader);
        result->call.text = fault_text(&reader);
        return;
    }
    result->call.ok = true;
    result->records = (struct mkto_result *)(void *)reader.records->elts;
    result->record_count = (size_t)reader.records->nelts;
}
