#include "mkto_soap.h"

#include <apr_strings.h>
#include <libxml/xmlwriter.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "mkto_hash.h"
#include "mkto_utf8.h"

#define ENVELOPE_NS "http://schemas.xmlsoap.org/soap/envelope/"
#define MKTOWS_NS "http://www.marketo.com/mktows/"

enum { TIMESTAMP_SIZE = sizeof("2026-01-02T03:04:05+00:00") + 8 };

struct message {
    xmlBufferPtr buffer;
    xmlTextWriterPtr writer;
    apr_pool_t *pool;
};

/* libxml2 only fails here when memory is gone, and half a message must not be sent. */
static void must(bool done)
{
    if (!done) {
        fputs("libxml2 cannot write a message\n", stderr);
        abort();
    }
}

static bool is_xml_char(uint32_t code)
{
    return code == '\t' || code == '\n' || code == '\r' || (code >= 0x20 && code < 0xfffe) ||
           code > 0xffff;
}

/* The characters of a text that XML 1.0 allows; the others cannot be written in any form. */
static const char *xml_text(const char *text, apr_pool_t *pool)
{
    struct mkto_slice rest = mkto_slice_str(text);
    char *out = apr_palloc(pool, rest.len + 1);
    size_t used = 0;

    while (rest.len > 0) {
        size_t valid = mkto_utf8_valid(rest);
        for (size_t i = 0; i < valid;) {
            uint32_t code;
            size_t size = mkto_utf8_next(rest.data + i, &code);
            if (is_xml_char(code)) {
                memcpy(out + used, rest.data + i, size);
                used += size;
            }
            i += size;
        }
        size_t taken = valid < rest.len ? valid + 1 : valid; /* the byte that is no UTF-8 */
        rest = (struct mkto_slice){rest.data + taken, rest.len - taken};
    }
    out[used] = '\0';
    return out;
}

static void open_element(struct message *message, const char *name)
{
    must(xmlTextWriterStartElement(message->writer, BAD_CAST name) >= 0);
}

static void close_element(struct message *message)
{
    must(xmlTextWriterEndElement(message->writer) >= 0);
}

static void attribute(struct message *message, const char *name, const char *value)
{
    must(xmlTextWriterWriteAttribute(message->writer, BAD_CAST name, BAD_CAST value) >= 0);
}

static void element(struct message *message, const char *name, const char *text)
{
    const char *clean = xml_text(text, message->pool);
    must(xmlTextWriterWriteElement(message->writer, BAD_CAST name, BAD_CAST clean) >= 0);
}

/* W3C form with a numeric offset, UTC (contract 1.7): the very text that is signed. */
static void timestamp(int64_t now_ms, char out[TIMESTAMP_SIZE])
{
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm when;

    gmtime_r(&seconds, &when);
    strftime(out, TIMESTAMP_SIZE, "%Y-%m-%dT%H:%M:%S+00:00", &when);
}

static void authentication(struct message *message, const struct mkto_soap_credentials *credentials,
                           int64_t now_ms)
{
    char when[TIMESTAMP_SIZE];
    char signature[MKTO_HASH_HEX];
    struct mkto_slice user = credentials->user_id;

    timestamp(now_ms, when);
    mkto_hash_signature(credentials->encryption_key, mkto_slice_str(when), user, signature);
    open_element(message, "ns1:AuthenticationHeader");
    element(message, "mktowsUserId",
            user.len == 0 ? "" : apr_pstrmemdup(message->pool, user.data, user.len));
    element(message, "requestSignature", signature);
    element(message, "requestTimestamp", when);
    close_element(message);
}

/* Everything up to the open Body. The workspace is NULL where the operation takes none. */
static void open_message(struct message *message, const struct mkto_soap_credentials *credentials,
                         int64_t now_ms, const char *workspace, apr_pool_t *pool)
{
    message->pool = pool;
    message->buffer = xmlBufferCreate();
    must(message->buffer != NULL);
    message->writer = xmlNewTextWriterMemory(message->buffer, 0);
    must(message->writer != NULL &&
         xmlTextWriterStartDocument(message->writer, NULL, "UTF-8", NULL) >= 0);
    open_element(message, "SOAP-ENV:Envelope");
    attribute(message, "xmlns:SOAP-ENV", ENVELOPE_NS);
    attribute(message, "xmlns:ns1", MKTOWS_NS);
    open_element(message, "SOAP-ENV:Header");
    authentication(message, credentials, now_ms);
    if (workspace != NULL) {
        open_element(message, "ns1:MktowsContextHeader");
        element(message, "targetWorkspace", workspace);
        close_element(message);
    }
    close_element(message);
    open_element(message, "SOAP-ENV:Body");
}

static struct mkto_slice close_message(struct message *message)
{
    close_element(message); /* Body */
    close_element(message); /* Envelope */
    must(xmlTextWriterFlush(message->writer) >= 0);
    xmlFreeTextWriter(message->writer);
    struct mkto_slice text = {NULL, (size_t)xmlBufferLength(message->buffer)};
    text.data =
        apr_pstrmemdup(message->pool, (const char *)xmlBufferContent(message->buffer), text.len);
    xmlBufferFree(message->buffer);
    return text;
}

static void fill_request(struct mkto_http_request *request,
                         const struct mkto_subscription *subscription, const char *action,
                         struct mkto_slice body, apr_pool_t *pool)
{
    const struct mkto_http_header headers[] = {
        {"Content-Type", "text/xml;charset=UTF-8"},
        {"SOAPAction", apr_pstrcat(pool, "\"" MKTOWS_NS, action, "\"", NULL)},
        {"Accept", "text/xml"},
    };

    request->method = "POST";
    request->url = subscription->soap_endpoint;
    request->headers = apr_pmemdup(pool, headers, sizeof(headers));
    request->header_count = sizeof(headers) / sizeof(headers[0]);
    request->body = body;
}

/* Order and case of the schema's sequence (contract 2.1): unknown elements are silently ignored
 * by Marketo, and a wrong `Email` would make a second lead. */
static void lead_record(struct message *message, const struct mkto_lead *lead)
{
    open_element(message, "leadRecord");
    if (lead->email != NULL) {
        element(message, "Email", lead->email);
    }
    if (lead->field_count > 0) {
        open_element(message, "leadAttributeList");
        for (size_t i = 0; i < lead->field_count; i++) {
            open_element(message, "attribute");
            element(message, "attrName", lead->fields[i].name);
            element(message, "attrValue", lead->fields[i].value);
            close_element(message);
        }
        close_element(message);
    }
    close_element(message);
}

void mkto_soap_sync_lead(const struct mkto_subscription *subscription,
                         const struct mkto_soap_credentials *credentials, int64_t now_ms,
                         const struct mkto_lead *lead, struct mkto_http_request *request,
                         apr_pool_t *pool)
{
    struct message message;

    open_message(&message, credentials, now_ms, subscription->soap_workspace, pool);
    open_element(&message, "ns1:paramsSyncLead");
    lead_record(&message, lead);
    element(&message, "returnLead", "false");
    if (lead->cookie != NULL) {
        element(&message, "marketoCookie", lead->cookie);
    }
    close_element(&message);
    fill_request(request, subscription, "syncLead", close_message(&message), pool);
}

void mkto_soap_sync_multiple(const struct mkto_subscription *subscription,
                             const struct mkto_soap_credentials *credentials, int64_t now_ms,
                             const struct mkto_lead *const *leads, size_t count,
                             struct mkto_http_request *request, apr_pool_t *pool)
{
    struct message message;

    open_message(&message, credentials, now_ms, NULL, pool);
    open_element(&message, "ns1:paramsSyncMultipleLeads");
    open_element(&message, "leadRecordList");
    for (size_t i = 0; i < count && i < MKTO_SOAP_BATCH_MAX; i++) {
        lead_record(&message, leads[i]);
    }
    close_element(&message);
    element(&message, "dedupEnabled", "true");
    close_element(&message);
    fill_request(request, subscription, "syncMultipleLeads", close_message(&message), pool);
}

void mkto_soap_probe(const struct mkto_subscription *subscription,
                     const struct mkto_soap_credentials *credentials, int64_t now_ms,
                     struct mkto_http_request *request, apr_pool_t *pool)
{
    struct message message;

    open_message(&message, credentials, now_ms, NULL, pool);
    open_element(&message, "ns1:paramsListMObjects");
    close_element(&message);
    fill_request(request, subscription, "listMObjects", close_message(&message), pool);
}
