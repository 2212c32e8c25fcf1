/*
 * core_speed: what parsing, deciding, mapping, writing and reading cost alone, on one core, without
 * sockets and disk. Prints one JSON object, in ns an event or a lead; `make bench` shows it.
 *
 *   parse  the JSON alone          door   parse, check, decide: what an event costs before it is
 * stored map    parse, check, map       visit  the same and the Munchkin request written
 *
 *   core_speed [MILLISECONDS-A-FIGURE]
 */
#include <apr_general.h>
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "mkto_event.h"
#include "mkto_map.h"
#include "mkto_munchkin.h"
#include "mkto_rest.h"
#include "mkto_soap.h"

#define LEADS 300 /* in one call */

static const size_t sizes[] = {300, 2048, 32 * 1024};

static double budget_ns = 200e6;
static apr_pool_t *scratch;
static struct mkto_subscription subscription = {
    .name = "",
    .munchkin_id = "561-HYG-937",
    .host = "www.example.com",
    .munchkin_endpoint = "https://561-hyg-937.mktoresp.com",
    .rest_endpoint = "https://561-hyg-937.mktorest.com",
    .soap_endpoint = "https://561-hyg-937.mktoapi.com/soap/mktows/3_1"};

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Median of nine rounds, each long enough for the clock. */
typedef void work_fn(void *ctx);

static int by_value(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double measure(work_fn *work, void *ctx)
{
    enum { ROUNDS = 9 };
    double rounds[ROUNDS];
    long count = 1;
    for (double took = 0; took < budget_ns / ROUNDS; count *= 2) {
        const double begun = now_ns();
        for (long i = 0; i < count; i++) {
            work(ctx);
        }
        took = now_ns() - begun;
    }
    count /= 2;
    for (int round = 0; round < ROUNDS; round++) {
        const double begun = now_ns();
        for (long i = 0; i < count; i++) {
            work(ctx);
        }
        rounds[round] = (now_ns() - begun) / (double)count;
    }
    qsort(rounds, ROUNDS, sizeof(rounds[0]), by_value);
    return rounds[ROUNDS / 2];
}

/* ---- an event ---- */

struct subject {
    struct mkto_envelope envelope;
    enum mkto_api api;
    struct mkto_event *event;
};

static void die(const char *what)
{
    fprintf(stderr, "core_speed: %s\n", what);
    exit(3);
}

static void parse(void *ctx)
{
    struct subject *subject = ctx;
    struct mkto_json *root = NULL;
    struct mkto_error err = MKTO_ERROR_INIT;
    apr_pool_clear(scratch);
    if (mkto_json_parse(subject->envelope.body, &root, &err, scratch) != 0) {
        die(err.text);
    }
}

static void read_event(void *ctx)
{
    struct subject *subject = ctx;
    struct mkto_event_fault fault;
    apr_pool_clear(scratch);
    if (mkto_event_read(&subject->envelope, &subject->event, &fault, scratch) != 0) {
        die(fault.error.text);
    }
}

static void read_and_check(void *ctx)
{
    const struct subject *subject = ctx;
    struct mkto_delivery delivery;
    read_event(ctx);
    mkto_map_check(subject->event, &subscription, subject->api, &delivery, scratch);
}

static void read_and_map(void *ctx)
{
    const struct subject *subject = ctx;
    struct mkto_delivery delivery;
    read_event(ctx);
    mkto_map(subject->event, &subscription, subject->api, &delivery, scratch);
    if (delivery.kind != MKTO_DELIVERY_LEAD && delivery.kind != MKTO_DELIVERY_VISIT) {
        die(delivery.detail);
    }
}

static void read_map_and_write(void *ctx)
{
    const struct subject *subject = ctx;
    struct mkto_delivery delivery;
    struct mkto_http_request request;
    read_event(ctx);
    mkto_map(subject->event, &subscription, subject->api, &delivery, scratch);
    mkto_munchkin_visit(&subscription, &delivery.visit, &request, scratch);
}

/* ---- a text of a wanted length: many short members, as traits and properties are ---- */

static const char *filled(const char *head, const char *tail, size_t size, apr_pool_t *pool)
{
    char *text = apr_palloc(pool, size + 256);
    size_t len = (size_t)snprintf(text, size + 256, "%s", head);
    const size_t end = size - strlen(tail);
    for (int n = 0; len + 48 < end && n < 200; n++) {
        len += (size_t)snprintf(text + len, 64, "\"member%d\":\"value of member %d\",", n, n);
    }
    len += (size_t)snprintf(text + len, 16, "\"pad\":\"");
    while (len + 1 < end) {
        text[len++] = 'x';
    }
    text[len] = '\0';
    return apr_pstrcat(pool, text, "\"", tail, NULL);
}

static const char *track(size_t size, apr_pool_t *pool)
{
    return filled("{\"userId\":\"019mr8mf4r\",\"event\":\"Update Buying Period\",\"context\":"
                  "{\"page\":{\"url\":\"https://www.example.com/pricing?utm_source=news\","
                  "\"title\":\"Pricing\"}},\"properties\":{\"newPeriod\":\"2016-01-01\",",
                  "}}", size, pool);
}

static const char *identify(size_t size, apr_pool_t *pool)
{
    return filled("{\"userId\":\"019mr8mf4r\",\"traits\":{\"email\":\"ada@example.com\","
                  "\"firstName\":\"Ada\",\"lastName\":\"Lovelace\",\"company\":{\"name\":\"AE\"},",
                  "}}", size, pool);
}

static void show_event(const char *name, enum mkto_call call, const char *body, bool visit,
                       bool last)
{
    struct subject subject = {.api = MKTO_API_REST};
    subject.envelope = (struct mkto_envelope){
        .call = call,
        .received_ms = 1700000000000,
        .body = mkto_slice_str(body),
        .remote_addr = MKTO_SLICE_LIT("203.0.113.9"),
        .host = MKTO_SLICE_LIT("www.example.com"),
        .user_agent = MKTO_SLICE_LIT("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0")};
    printf("{\"event\":\"%s\",\"bytes\":%zu,\"parse_ns\":%.0f,\"door_ns\":%.0f,\"map_ns\":%.0f",
           name, strlen(body), measure(parse, &subject), measure(read_and_check, &subject),
           measure(read_and_map, &subject));
    if (visit) {
        printf(",\"visit_ns\":%.0f", measure(read_map_and_write, &subject));
    }
    printf("}%s\n", last ? "" : ",");
}

/* ---- 300 leads through the writers and readers of both APIs ---- */

struct crowd {
    const struct mkto_lead *leads[LEADS];
    const char *answer;
};

static void write_rest(void *ctx)
{
    const struct crowd *crowd = ctx;
    struct mkto_http_request request;
    apr_pool_clear(scratch);
    if (mkto_rest_sync(&subscription, "token", crowd->leads, LEADS, &request, scratch) != LEADS) {
        die("the leads do not fit one REST call");
    }
}

static void write_soap(void *ctx)
{
    const struct crowd *crowd = ctx;
    const struct mkto_soap_credentials credentials = {MKTO_SLICE_LIT("user"),
                                                      MKTO_SLICE_LIT("0123456789abcdef")};
    struct mkto_http_request request;
    apr_pool_clear(scratch);
    mkto_soap_sync_multiple(&subscription, &credentials, 1700000000000, crowd->leads, LEADS,
                            &request, scratch);
}

static void read_rest(void *ctx)
{
    const struct crowd *crowd = ctx;
    struct mkto_call_result result;
    apr_pool_clear(scratch);
    mkto_rest_read(mkto_slice_str(crowd->answer), &result, scratch);
    if (result.record_count != LEADS) {
        die("the REST answer was not understood");
    }
}

static void read_soap(void *ctx)
{
    const struct crowd *crowd = ctx;
    struct mkto_call_result result;
    apr_pool_clear(scratch);
    mkto_soap_read(mkto_slice_str(crowd->answer), &result, scratch);
    if (result.record_count != LEADS) {
        die("the SOAP answer was not understood");
    }
}

/* A record for each lead between head and tail. */
static const char *answer(const char *head, const char *record, const char *tail, apr_pool_t *pool)
{
    const size_t size = strlen(head) + LEADS * (strlen(record) + 16) + strlen(tail) + 1;
    char *text = apr_palloc(pool, size);
    const char *number = strchr(record, '#');
    size_t len = (size_t)snprintf(text, size, "%s", head);
    for (int i = 0; i < LEADS; i++) {
        const bool last = i + 1 == LEADS && record[strlen(record) - 1] == ',';
        len +=
            (size_t)snprintf(text + len, size - len, "%.*s%d%.*s", (int)(number - record), record,
                             1000000 + i, (int)strlen(number + 1) - (last ? 1 : 0), number + 1);
    }
    snprintf(text + len, size - len, "%s", tail);
    return text;
}

static void fill_crowd(struct crowd *crowd, enum mkto_api api, apr_pool_t *pool)
{
    static const char *const names[][2] = {{"firstName", "FirstName"}, {"lastName", "LastName"},
                                           {"company", "Company"},     {"phone", "Phone"},
                                           {"plan", "Plan"},           {"userId", "UserId"}};
    enum { FIELDS = sizeof(names) / sizeof(names[0]) };
    for (int i = 0; i < LEADS; i++) {
        struct mkto_field *fields = apr_pcalloc(pool, FIELDS * sizeof(*fields));
        struct mkto_lead *lead = apr_pcalloc(pool, sizeof(*lead));
        for (int n = 0; n < FIELDS; n++) {
            fields[n].name = names[n][api == MKTO_API_SOAP ? 1 : 0];
            fields[n].value = apr_psprintf(pool, "value %d of %d", n, i);
        }
        lead->email = apr_psprintf(pool, "person%d@example.com", i);
        lead->fields = fields;
        lead->field_count = FIELDS;
        crowd->leads[i] = lead;
    }
}

static void show_leads(apr_pool_t *pool)
{
    struct crowd rest, soap;
    fill_crowd(&rest, MKTO_API_REST, pool);
    fill_crowd(&soap, MKTO_API_SOAP, pool);
    rest.answer = answer("{\"requestId\":\"e42b#14272d07d78\",\"success\":true,\"result\":[",
                         "{\"id\":#,\"status\":\"updated\"},", "]}", pool);
    soap.answer =
        answer("<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\" "
               "xmlns:ns1=\"http://www.marketo.com/mktows/\"><SOAP-ENV:Body>"
               "<ns1:successSyncMultipleLeads><result><syncStatusList>",
               "<syncStatus><leadId>#</leadId><status>UPDATED</status><error></error></syncStatus>",
               "</syncStatusList></result></ns1:successSyncMultipleLeads></SOAP-ENV:Body>"
               "</SOAP-ENV:Envelope>",
               pool);
    printf("\"leads\":{\"rest_write_ns\":%.0f,\"rest_read_ns\":%.0f,\"soap_write_ns\":%.0f,"
           "\"soap_read_ns\":%.0f}",
           measure(write_rest, &rest) / LEADS, measure(read_rest, &rest) / LEADS,
           measure(write_soap, &soap) / LEADS, measure(read_soap, &soap) / LEADS);
}

int main(int argc, char **argv)
{
    apr_pool_t *pool;
    budget_ns = argc > 1 ? atof(argv[1]) * 1e6 : budget_ns;
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS ||
        apr_pool_create(&scratch, pool) != APR_SUCCESS) {
        die("no memory");
    }
    printf("{\"events\":[\n");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        show_event("track", MKTO_CALL_TRACK, track(sizes[i], pool), true, false);
        show_event("identify", MKTO_CALL_IDENTIFY, identify(sizes[i], pool), false,
                   i + 1 == sizeof(sizes) / sizeof(sizes[0]));
    }
    printf("],\n");
    show_leads(pool);
    printf("}\n");
    apr_terminate();
    return 0;
}
