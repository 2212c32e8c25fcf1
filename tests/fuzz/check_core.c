#include "check_core.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <curl/curl.h>
#include <libxml/parser.h>
#include <stdlib.h>

#include "mkto_map.h"
#include "mkto_munchkin.h"
#include "mkto_rest.h"
#include "mkto_soap.h"
#include "mkto_utf8.h"
#include "mkto_verdict.h"

const struct mkto_subscription check_subscription = {
    .name = "",
    .munchkin_id = "561-HYG-937",
    .host = "www.example.com",
    .rest_endpoint = "https://561-hyg-937.mktorest.com",
    .soap_endpoint = "https://561-hyg-937.mktoapi.com/soap/mktows/3_1",
    .munchkin_endpoint = "https://561-hyg-937.mktoresp.com",
};

apr_pool_t *check_pool(void)
{
    static bool ready;
    apr_allocator_t *allocator;
    apr_pool_t *pool;

    if (!ready) {
        apr_initialize();
        ready = true;
    }
    HOLDS(apr_allocator_create(&allocator) == APR_SUCCESS);
    apr_allocator_max_free_set(allocator, 1);
    HOLDS(apr_pool_create_ex(&pool, NULL, NULL, allocator) == APR_SUCCESS);
    apr_allocator_owner_set(allocator, pool);
    return pool;
}

void check_pool_end(apr_pool_t *pool)
{
    apr_pool_destroy(pool);
}

static bool is_utf8(const char *text)
{
    return mkto_utf8_valid(mkto_slice_str(text)) == strlen(text);
}

bool check_clean(const char *text)
{
    if (text == NULL) {
        return true;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (((unsigned char)*at < 0x20 && strchr("\t\r\n", *at) == NULL) || *at == 0x7f) {
            return false;
        }
    }
    return is_utf8(text);
}

/* ---- JSON ---- */

static void same_tree(const struct mkto_json *a, const struct mkto_json *b)
{
    HOLDS(a->type == b->type && a->count == b->count);
    HOLDS(mkto_slice_eq(a->key, b->key) && mkto_slice_eq(a->text, b->text));
    const struct mkto_json *other = b->first;
    for (const struct mkto_json *node = a->first; node != NULL; node = node->next) {
        HOLDS(other != NULL);
        same_tree(node, other);
        other = other->next;
    }
    HOLDS(other == NULL);
}

void check_json(const struct mkto_json *root, apr_pool_t *pool)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_json *again;
    struct mkto_slice text = mkto_json_text(root, pool);

    HOLDS(text.data[text.len] == '\0');
    HOLDS_FOR(mkto_json_parse(text, &again, &err, pool) == 0, err.text);
    same_tree(root, again);
}

/* ---- requests ---- */

static void check_headers(const struct mkto_http_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        const char *value = request->headers[i].value;
        HOLDS(check_one_line(mkto_slice_str(value)));
        HOLDS(strlen(value) <= MKTO_MUNCHKIN_HEADER_MAX);
    }
}

const char *check_parameter(const char *url, const char *name, apr_pool_t *pool)
{
    const char *prefix = apr_pstrcat(pool, name, "=", NULL);
    const char *at = strchr(url, '?');

    while (at != NULL && strncmp(at + 1, prefix, strlen(prefix)) != 0) {
        at = strchr(at + 1, '&');
    }
    if (at == NULL) {
        return NULL;
    }
    const char *value = at + 1 + strlen(prefix);
    const char *copy = apr_pstrndup(pool, value, strcspn(value, "&"));
    int len;
    char *decoded = curl_easy_unescape(NULL, copy, 0, &len);
    HOLDS(decoded != NULL); /* with a NUL in it when a link has %00 */
    const char *kept = apr_pstrmemdup(pool, decoded, (apr_size_t)len);
    curl_free(decoded);
    return kept;
}

static void check_url(const char *url)
{
    CURLU *parsed = curl_url();
    char *query = NULL;
    char *fragment = NULL;

    HOLDS(strlen(url) <= MKTO_MUNCHKIN_URL_MAX);
    for (const char *at = url; *at != '\0'; at++) {
        HOLDS_FOR(*at > 0x20 && *at < 0x7f && strchr("\"<>\\^`{|}#", *at) == NULL, url);
        HOLDS_FOR(*at != '%' || (strchr("0123456789ABCDEF", at[1]) != NULL && at[1] != '\0' &&
                                 strchr("0123456789ABCDEF", at[2]) != NULL && at[2] != '\0'),
                  url);
    }
    HOLDS(curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK);
    HOLDS(curl_url_get(parsed, CURLUPART_QUERY, &query, 0) == CURLUE_OK);
    HOLDS(strcmp(query, strchr(url, '?') + 1) == 0);
    HOLDS(curl_url_get(parsed, CURLUPART_FRAGMENT, &fragment, 0) == CURLUE_NO_FRAGMENT);
    curl_free(query);
    curl_url_cleanup(parsed);
}

/* A parameter that was given as text holds it, or, in a URL that is full, a whole beginning of it.
 */
static void check_text(const char *url, const char *name, const char *text, apr_pool_t *pool)
{
    const char *value = check_parameter(url, name, pool);

    HOLDS_FOR(value != NULL, name);
    HOLDS_FOR(strncmp(text, value, strlen(value)) == 0, name);
    if (is_utf8(text)) {
        HOLDS_FOR(is_utf8(value), name);
    }
    HOLDS_FOR(strcmp(text, value) == 0 || strlen(url) > MKTO_MUNCHKIN_URL_MAX - 12, name);
}

/* Two copies of a link are cut, each at a whole character: twice as much may be left of the room.
 */
static void check_link(const char *url, const struct mkto_visit *visit, apr_pool_t *pool)
{
    const char *link = check_parameter(url, "_mchHr", pool);
    const char *again = check_parameter(url, "_mchLr", pool);

    HOLDS(link != NULL && url[strlen(url) - 1] == '&');
    HOLDS(visit->api ? again != NULL && strcmp(again, link) == 0 : again == NULL);
    if (visit->api) {
        HOLDS(strncmp(visit->href, link, strlen(link)) == 0);
        HOLDS(!is_utf8(visit->href) || is_utf8(link));
        HOLDS(strcmp(visit->href, link) == 0 || strlen(url) > MKTO_MUNCHKIN_URL_MAX - 24);
    }
}

void check_visit(const struct mkto_visit *visit, apr_pool_t *pool)
{
    struct mkto_http_request request;

    mkto_munchkin_visit(&check_subscription, visit, &request, pool);
    check_url(request.url);
    check_headers(&request);
    HOLDS(request.body.len == 0);
    HOLDS(strcmp(check_parameter(request.url, "_mchId", pool), "561-HYG-937") == 0);
    check_text(request.url, "_mchTk", visit->token == NULL ? "" : visit->token, pool);
    check_text(request.url, "_mchHo", visit->host == NULL ? "" : visit->host, pool);
    if (visit->href != NULL) {
        check_link(request.url, visit, pool);
        return;
    }
    if (visit->api && visit->path != NULL) {
        check_text(request.url, "_mchRu", visit->path, pool);
    }
    if (visit->api && visit->query != NULL) {
        check_text(request.url, "_mchQp", visit->query, pool);
    }
}

static void check_xml(struct mkto_slice text)
{
    xmlDocPtr document = xmlReadMemory(text.data, (int)text.len, NULL, NULL,
                                       XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    HOLDS_FOR(document != NULL, text.data);
    xmlFreeDoc(document);
}

static void check_lead(const struct mkto_lead *lead, enum mkto_api api, apr_pool_t *pool)
{
    const struct mkto_soap_credentials credentials = {MKTO_SLICE_LIT("user"),
                                                      MKTO_SLICE_LIT("key")};
    struct mkto_http_request request = {.header_count = 0};
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_json *root;

    HOLDS(lead->field_count <= MKTO_LEAD_FIELDS_MAX);
    for (size_t i = 0; i < lead->field_count; i++) {
        HOLDS(lead->fields[i].name[0] != '\0' && is_utf8(lead->fields[i].name));
        HOLDS(is_utf8(lead->fields[i].value));
        HOLDS(strlen(lead->fields[i].value) <= MKTO_MAP_VALUE_MAX);
        for (size_t j = 0; j < i; j++) {
            HOLDS(strcmp(lead->fields[i].name, lead->fields[j].name) != 0);
        }
    }
    if (api == MKTO_API_SOAP) {
        mkto_soap_sync_lead(&check_subscription, &credentials, 1700000000000, lead, &request, pool);
        check_xml(request.body);
        mkto_soap_sync_multiple(&check_subscription, &credentials, 1700000000000, &lead, 1,
                                &request, pool);
        check_xml(request.body);
    } else if (lead->email != NULL) {
        HOLDS(mkto_rest_sync(&check_subscription, "token", &lead, 1, &request, pool) == 1);
        HOLDS_FOR(mkto_json_parse(request.body, &root, &err, pool) == 0 ||
                      strstr(err.text, "members") != NULL,
                  err.text);
    }
    check_headers(&request);
}

static void check_delivery(const struct mkto_delivery *delivery, apr_pool_t *pool)
{
    switch (delivery->kind) {
    case MKTO_DELIVERY_LEAD: check_lead(&delivery->lead, delivery->api, pool); return;
    case MKTO_DELIVERY_VISIT:
        HOLDS(delivery->api == MKTO_API_MUNCHKIN);
        check_visit(&delivery->visit, pool);
        return;
    case MKTO_DELIVERY_REJECTED:
    case MKTO_DELIVERY_FILTERED:
        HOLDS(delivery->reason != NULL && delivery->reason[0] != '\0');
        HOLDS(delivery->detail != NULL && check_clean(delivery->detail));
        return;
    }
    HOLDS(false);
}

void check_deliveries(const struct mkto_event *event, apr_pool_t *pool)
{
    static const enum mkto_api apis[] = {MKTO_API_REST, MKTO_API_SOAP};

    for (size_t i = 0; i < 2; i++) {
        struct mkto_delivery delivery;
        mkto_map(event, &check_subscription, apis[i], &delivery, pool);
        check_delivery(&delivery, pool);
        mkto_map_stored(event, &check_subscription, apis[i], &delivery, pool);
        HOLDS(!delivery.forbidden);
        check_delivery(&delivery, pool);
    }
}

/* ---- answers ---- */

static void check_record(enum mkto_api api, const struct mkto_http_answer *answer,
                         const struct mkto_call_result *result, const struct mkto_result *record,
                         apr_pool_t *pool)
{
    struct mkto_verdict_decision decision;

    HOLDS(check_clean(record->text) && check_clean(record->status));
    HOLDS(record->text == NULL || strlen(record->text) <= 2 * MKTO_RESULT_TEXT_MAX + 2);
    mkto_verdict(api, answer, result, record, &decision, pool);
    HOLDS((unsigned)decision.kind < MKTO_VERDICT_COUNT);
    HOLDS((unsigned)decision.pause < MKTO_PAUSE_COUNT);
    HOLDS((decision.kind == MKTO_VERDICT_PAUSE) == (decision.pause != MKTO_PAUSE_NONE));
    HOLDS(decision.after_ms >= 0 && decision.after_ms <= 2 * MKTO_VERDICT_AFTER_MAX_MS);
    HOLDS(decision.reason != NULL && check_one_line(mkto_slice_str(decision.reason)));
    HOLDS(decision.kind != MKTO_VERDICT_DELIVERED || record->ok);
    for (size_t i = 0; decision.fields != NULL && decision.fields[i] != NULL; i++) {
        HOLDS(i < MKTO_VERDICT_STRIP_MAX && decision.fields[i][0] != '\0');
    }
}

void check_result(enum mkto_api api, struct mkto_slice body, const struct mkto_call_result *result,
                  size_t records_max, apr_pool_t *pool)
{
    static const int statuses[] = {200, 401, 500};

    HOLDS(result->record_count <= records_max);
    HOLDS(result->record_count == 0 || (result->understood && result->call.ok));
    HOLDS(result->understood || (!result->call.ok && result->token == NULL));
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        const struct mkto_http_answer answer = {.result = MKTO_TRANSPORT_OK,
                                                .status = statuses[i],
                                                .body = body,
                                                .date_ms = -1,
                                                .retry_after_ms = -1};
        check_record(api, &answer, result, &result->call, pool);
        for (size_t j = 0; j < result->record_count; j++) {
            check_record(api, &answer, result, &result->records[j], pool);
        }
    }
}
