/* For test_map*.c: events in, deliveries as one line of text out. */
#ifndef MAP_TEXT_H
#define MAP_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "mkto_map.h"

#define COOKIE "id:561-HYG-937&token:_mch-marketo.com-1374552656411-90718"

static apr_pool_t *pool;
static struct mkto_envelope envelope;
static struct mkto_subscription subscription;

static int make_pool(void **state)
{
    (void)state;
    apr_pool_create(&pool, NULL);
    envelope = (struct mkto_envelope){.received_ms = 1700000000000,
                                      .user_agent = MKTO_SLICE_LIT("Mozilla/5.0")};
    subscription = (struct mkto_subscription){.name = "", .munchkin_id = "561-HYG-937"};
    return 0;
}

static int drop_pool(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static void assert_same_word(const char *a, const char *b)
{
    assert_string_equal(a == NULL ? "(none)" : a, b == NULL ? "(none)" : b);
}

/* The door says of every event what dispatch will say. */
static void check_agrees(const struct mkto_event *event, enum mkto_api api,
                         const struct mkto_delivery *delivery)
{
    struct mkto_delivery checked;
    mkto_map_check(event, &subscription, api, &checked, pool);
    assert_int_equal(checked.kind, delivery->kind);
    assert_int_equal(checked.api, delivery->api);
    assert_same_word(checked.reason, delivery->reason);
    assert_same_word(checked.detail, delivery->detail);
}

/* The event is read into a pool of its own that is gone before the delivery is looked at: nothing
 * of a delivery may point into it. */
static struct mkto_delivery map(enum mkto_call call, enum mkto_api api, const char *body)
{
    apr_pool_t *events;
    apr_pool_create_unmanaged(&events); /* of its own memory, which goes back to malloc */
    char *text = apr_pstrdup(events, body);
    struct mkto_envelope own = envelope;
    own.call = call;
    own.body = mkto_slice_str(text);
    struct mkto_event *event = NULL;
    struct mkto_event_fault fault;
    if (mkto_event_read(&own, &event, &fault, events) != 0) {
        fail_msg("%s: %s", body, fault.error.text);
    }
    struct mkto_delivery delivery;
    mkto_map(event, &subscription, api, &delivery, pool);
    check_agrees(event, api, &delivery);
    memset(text, '#', strlen(text));
    apr_pool_destroy(events);
    return delivery;
}

/* "FirstName=Jake|LastName=…", numbers as =#5, booleans as =?true; then "-N" for N dropped traits.
 */
static const char *fields_text(const struct mkto_delivery *delivery)
{
    static const char *const marks[] = {"", "#", "?"};
    const char *text = "";
    for (size_t i = 0; i < delivery->lead.field_count; i++) {
        const struct mkto_field *field = &delivery->lead.fields[i];
        text = apr_psprintf(pool, "%s%s%s=%s%s", text, i == 0 ? "" : "|", field->name,
                            marks[field->kind], field->value);
    }
    return delivery->dropped == 0 ? text : apr_psprintf(pool, "%s-%u", text, delivery->dropped);
}

/* "https://host:port/path?query#hash" as taken apart, '<' referrer and '>' link when there are. */
static const char *visit_text(const struct mkto_visit *visit)
{
    return apr_psprintf(pool, "%s%s//%s%s%s%s?%s%s%s%s%s%s", visit->api ? "api " : "",
                        visit->scheme, visit->host, visit->port[0] == '\0' ? "" : ":", visit->port,
                        visit->path, visit->query, visit->hash,
                        visit->referrer[0] == '\0' ? "" : "<", visit->referrer,
                        visit->href == NULL ? "" : ">", visit->href == NULL ? "" : visit->href);
}

static const char *delivery_text(const struct mkto_delivery *delivery)
{
    switch (delivery->kind) {
    case MKTO_DELIVERY_LEAD: return fields_text(delivery);
    case MKTO_DELIVERY_VISIT: return visit_text(&delivery->visit);
    case MKTO_DELIVERY_REJECTED:
    case MKTO_DELIVERY_FILTERED: break;
    }
    assert_non_null(delivery->detail);
    return apr_psprintf(pool, "%s %s",
                        delivery->kind == MKTO_DELIVERY_REJECTED ? "rejected" : "filtered",
                        delivery->reason);
}

static inline void maps(enum mkto_call call, enum mkto_api api, const char *body,
                        const char *wanted)
{
    struct mkto_delivery delivery = map(call, api, body);
    assert_string_equal(delivery_text(&delivery), wanted);
}

#endif
