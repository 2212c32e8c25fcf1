/* mkto_event: what is an event and what is not, batches, the limits at their edges. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <stdio.h>

#include "mkto_event.h"

#define COOKIE "id:561-HYG-937&token:_mch-marketo.com-1374552656411-90718"

static apr_pool_t *pool;

static int make_pool(void **state)
{
    (void)state;
    apr_pool_create(&pool, NULL);
    return 0;
}

static int drop_pool(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static struct mkto_envelope *envelope(enum mkto_call call, const char *body)
{
    struct mkto_envelope *made = apr_pcalloc(pool, sizeof(*made));
    made->call = call;
    made->body = mkto_slice_str(body);
    return made;
}

static struct mkto_event *taken_from(const struct mkto_envelope *from)
{
    struct mkto_event *event = NULL;
    struct mkto_event_fault fault;
    if (mkto_event_read(from, &event, &fault, pool) != 0) {
        fail_msg("%.*s: %s", (int)from->body.len, from->body.data, fault.error.text);
    }
    return event;
}

static struct mkto_event *taken(enum mkto_call call, const char *body)
{
    return taken_from(envelope(call, body));
}

static void refused(enum mkto_call call, const char *body, const char *why)
{
    struct mkto_event *event = NULL;
    struct mkto_event_fault fault;
    assert_int_equal(mkto_event_read(envelope(call, body), &event, &fault, pool), -1);
    assert_string_equal(fault.error.text, why);
    assert_int_equal(fault.answer, MKTO_ANSWER_BAD_REQUEST);
}

static void test_members(void **state)
{
    (void)state;
    const struct mkto_event *event =
        taken(MKTO_CALL_IDENTIFY, "{\"userId\":\"u1\",\"anonymousId\":\"a1\",\"sessionId\":\"s1\","
                                  "\"messageId\":\"m1\",\"traits\":{\"email\":\"e@x.org\"},"
                                  "\"context\":{\"ip\":\"1.2.3.4\"},\"integrations\":{},"
                                  "\"event\":[],\"name\":7,\"groupId\":false}");
    assert_true(mkto_slice_is(event->user_id, "u1"));
    assert_true(mkto_slice_is(event->anonymous_id, "a1"));
    assert_true(mkto_slice_is(event->message_id, "m1"));
    assert_int_equal(event->traits->count, 1);
    assert_int_equal(event->context->count, 1);
    assert_int_equal(event->integrations->count, 0);
    assert_null(event->properties);
    assert_null(event->name.data);

    event = taken(MKTO_CALL_PAGE, "{\"userId\":12345678901234567890,\"name\":\"Home\","
                                  "\"category\":\"c\",\"properties\":{},\"anonymousId\":\"\"}");
    assert_true(mkto_slice_is(event->user_id, "12345678901234567890"));
    assert_null(event->anonymous_id.data);
    assert_true(mkto_slice_is(event->name, "Home"));
    assert_true(mkto_slice_is(event->category, "c"));
    assert_non_null(event->properties);

    event = taken(MKTO_CALL_TRACK, "{\"sessionId\":1.5,\"event\":\"E\",\"userId\":null,"
                                   "\"properties\":null,\"messageId\":null}");
    assert_true(mkto_slice_is(event->anonymous_id, "1.5"));
    assert_null(event->user_id.data);
    assert_true(mkto_slice_is(event->name, "E"));
    assert_null(event->properties);

    event = taken(MKTO_CALL_GROUP, "{\"userId\":\"u\",\"groupId\":9}");
    assert_true(mkto_slice_is(event->group_id, "9"));
    event = taken(MKTO_CALL_GROUP, "{\"userId\":\"u\",\"traits\":{}}");
    assert_null(event->group_id.data);
    event = taken(MKTO_CALL_ALIAS, "{\"userId\":\"u\",\"previousId\":\"p\"}");
    assert_true(mkto_slice_is(event->previous_id, "p"));
}

static void test_refused(void **state)
{
    (void)state;
    refused(MKTO_CALL_IDENTIFY, "", "the text ends too soon at byte 0");
    refused(MKTO_CALL_IDENTIFY, "{\"userId\":\"u\"", "the text ends too soon at byte 13");
    refused(MKTO_CALL_IDENTIFY, "[]", "the event must be an object");
    refused(MKTO_CALL_IDENTIFY, "\"x\"", "the event must be an object");
    refused(MKTO_CALL_IDENTIFY, "{\"userId\":true}", "userId: must be a string or a number");
    refused(MKTO_CALL_IDENTIFY, "{\"userId\":{}}", "userId: must be a string or a number");
    refused(MKTO_CALL_IDENTIFY, "{\"anonymousId\":[]}",
            "anonymousId: must be a string or a number");
    refused(MKTO_CALL_IDENTIFY, "{\"userId\":\"u\",\"traits\":[]}", "traits: must be an object");
    refused(MKTO_CALL_TRACK, "{\"userId\":\"u\",\"event\":\"e\",\"properties\":\"p\"}",
            "properties: must be an object");
    refused(MKTO_CALL_PAGE, "{\"userId\":\"u\",\"context\":1}", "context: must be an object");
    refused(MKTO_CALL_PAGE, "{\"userId\":\"u\",\"integrations\":false}",
            "integrations: must be an object");
    refused(MKTO_CALL_PAGE, "{\"userId\":\"u\",\"name\":[]}", "name: must be a string");
    refused(MKTO_CALL_PAGE, "{\"userId\":\"u\",\"messageId\":1}", "messageId: must be a string");
    refused(MKTO_CALL_TRACK, "{\"userId\":\"u\"}", "event: must be a non-empty string");
    refused(MKTO_CALL_TRACK, "{\"userId\":\"u\",\"event\":\"\"}",
            "event: must be a non-empty string");
    refused(MKTO_CALL_TRACK, "{\"userId\":\"u\",\"event\":5}", "event: must be a string");
    refused(MKTO_CALL_GROUP, "{\"userId\":\"u\"}", "groupId: is needed by group");
    refused(MKTO_CALL_ALIAS, "{\"previousId\":\"u\"}", "userId: is needed by alias");
    refused(MKTO_CALL_ALIAS, "{\"userId\":\"u\"}", "previousId: is needed by alias");
    refused(MKTO_CALL_BATCH, "{\"batch\":[]}", "this is not a single call");
    refused(MKTO_CALL_NONE, "{}", "this is not a single call");
}

#define NOBODY                                                                                     \
    "userId or anonymousId: one of them is needed, or an email, or the visitor's Marketo cookie "  \
    "(no_user_anon_id)"

static void test_identity(void **state)
{
    (void)state;
    refused(MKTO_CALL_PAGE, "{}", NOBODY);
    refused(MKTO_CALL_PAGE, "{\"userId\":\"\",\"anonymousId\":null}", NOBODY);
    refused(MKTO_CALL_PAGE, "{\"context\":{\"Marketo\":{\"marketoCookie\":\"rubbish\"}}}", NOBODY);
    taken(MKTO_CALL_IDENTIFY, "{\"traits\":{\"email\":\"e@x.org\"}}");
    taken(MKTO_CALL_PAGE, "{\"context\":{\"traits\":{\"email\":\"e@x.org\"}}}");
    taken(MKTO_CALL_PAGE, "{\"context\":{\"Marketo\":{\"marketoCookie\":\"" COOKIE "\"}}}");
    struct mkto_envelope *with_cookie = envelope(MKTO_CALL_PAGE, "{}");
    with_cookie->cookie = MKTO_SLICE_LIT(COOKIE);
    taken_from(with_cookie);
}

static void test_limits(void **state)
{
    (void)state;
    char *id = apr_pcalloc(pool, MKTO_EVENT_MESSAGE_ID_MAX + 2);
    memset(id, 'm', MKTO_EVENT_MESSAGE_ID_MAX);
    taken(MKTO_CALL_PAGE, apr_psprintf(pool, "{\"userId\":\"u\",\"messageId\":\"%s\"}", id));
    id[MKTO_EVENT_MESSAGE_ID_MAX] = 'm';
    refused(MKTO_CALL_PAGE, apr_psprintf(pool, "{\"userId\":\"u\",\"messageId\":\"%s\"}", id),
            "messageId: has 101 bytes, the limit is 100");

    struct mkto_envelope *large = envelope(MKTO_CALL_PAGE, NULL);
    char *body = apr_palloc(pool, MKTO_EVENT_MAX + 1);
    memset(body, ' ', MKTO_EVENT_MAX + 1);
    memcpy(body, "{\"userId\":\"u\"}", 14);
    large->body = (struct mkto_slice){body, MKTO_EVENT_MAX};
    taken_from(large);
    large->body.len++;
    struct mkto_event *event;
    struct mkto_event_fault fault;
    assert_int_equal(mkto_event_read(large, &event, &fault, pool), -1);
    assert_int_equal(fault.answer, MKTO_ANSWER_TOO_LARGE);
    assert_string_equal(fault.error.text, "the event has 32769 bytes, the limit is 32768");
}

static void test_email(void **state)
{
    (void)state;
    /* clang-format off */
    const struct {
        enum mkto_call call;
        const char *body;
        const char *email;
    } rows[] = {
        {MKTO_CALL_IDENTIFY, "{\"userId\":\"u\",\"traits\":{\"email\":\"a@x.org\"}}", "a@x.org"},
        {MKTO_CALL_IDENTIFY, "{\"userId\":\"b@x.org\",\"traits\":{\"email\":\"a@x.org\"}}", "a@x.org"},
        {MKTO_CALL_IDENTIFY, "{\"userId\":\"b@x.org\",\"traits\":{\"email\":\" \"}}", "b@x.org"},
        {MKTO_CALL_IDENTIFY, "{\"userId\":\"b@x.org\",\"traits\":{\"email\":5}}", "b@x.org"},
        {MKTO_CALL_IDENTIFY, "{\"userId\":\"b@x.org\"}", "b@x.org"},
        {MKTO_CALL_IDENTIFY, "{\"userId\":\"u\",\"traits\":{\"E-Mail\":\" A@X.org\\n\"}}", "A@X.org"},
        {MKTO_CALL_IDENTIFY, "{\"userId\":\"u\",\"traits\":{\"email\":\"nonsense\"}}", "nonsense"},
        {MKTO_CALL_IDENTIFY, "{\"userId\":\"u\",\"context\":{\"traits\":{\"email\":\"a@x.org\"}}}", NULL},
        {MKTO_CALL_IDENTIFY, "{\"userId\":\"a@b\"}", NULL},
        {MKTO_CALL_IDENTIFY, "{\"userId\":\"a@b.\"}", NULL},
        {MKTO_CALL_IDENTIFY, "{\"userId\":\"a@.c\"}", NULL},
        {MKTO_CALL_IDENTIFY, "{\"userId\":\"@b.c\"}", NULL},
        {MKTO_CALL_IDENTIFY, "{\"userId\":\"a@b.c\"}", "a@b.c"},
        {MKTO_CALL_IDENTIFY, "{\"userId\":\"@@b.c\"}", "@@b.c"},
        {MKTO_CALL_TRACK, "{\"userId\":\"u\",\"event\":\"e\",\"traits\":{\"email\":\"a@x.org\"}}", NULL},
        {MKTO_CALL_TRACK, "{\"userId\":\"u\",\"event\":\"e\",\"properties\":{\"email\":\"p@x.org\"}}", "p@x.org"},
        {MKTO_CALL_TRACK, "{\"userId\":\"u@x.org\",\"event\":\"e\",\"properties\":{\"email\":\"p@x.org\"},"
                          "\"context\":{\"traits\":{\"email\":\"c@x.org\"}}}", "c@x.org"},
        {MKTO_CALL_GROUP, "{\"userId\":\"u@x.org\",\"traits\":{\"email\":\"info@firm.org\"}}", "u@x.org"},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_slice email = mkto_event_email(taken(rows[i].call, rows[i].body));
        if (rows[i].email == NULL) {
            assert_null(email.data);
        } else {
            assert_true(mkto_slice_is(email, rows[i].email));
        }
    }
}

static void test_cookie(void **state)
{
    (void)state;
#define GIVEN(place, key, token)                                                                   \
    "\"" place "\":{\"" key "\":{\"marketoCookie\":\"id:561-HYG-937&token:_mch-" token "\"}}"
    /* clang-format off */
    const struct {
        const char *members;
        const char *token;
    } rows[] = {
        {"\"a\":1", "_mch-r.org-1-33333"},
        {GIVEN("context", "Marketo", "c.org-1-22222"), "_mch-c.org-1-22222"},
        {GIVEN("context", "marketo", "c.org-1-22222"), "_mch-c.org-1-22222"},
        {GIVEN("integrations", "Marketo", "i.org-1-11111"), "_mch-i.org-1-11111"},
        {GIVEN("integrations", "Marketo", "i.org-1-11111") "," GIVEN("context", "Marketo", "c.org-1-22222"),
         "_mch-i.org-1-11111"},
        {"\"integrations\":{\"Marketo\":{\"marketoCookie\":\"none\"}},"
         GIVEN("context", "Marketo", "c.org-1-22222"), "_mch-c.org-1-22222"},
        {"\"integrations\":{\"Marketo\":true},\"context\":{\"Marketo\":{\"marketoCookie\":5}}",
         "_mch-r.org-1-33333"},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_envelope *from =
            envelope(MKTO_CALL_PAGE, apr_psprintf(pool, "{\"userId\":\"u\",%s}", rows[i].members));
        from->cookie = MKTO_SLICE_LIT("id:561-HYG-937&token:_mch-r.org-1-33333");
        struct mkto_cookie cookie;
        assert_true(mkto_event_cookie(taken_from(from), &cookie));
        assert_string_equal(cookie.token, rows[i].token);
        assert_string_equal(cookie.id, "561-HYG-937");
    }
    struct mkto_cookie cookie;
    assert_false(mkto_event_cookie(taken(MKTO_CALL_PAGE, "{\"userId\":\"u\"}"), &cookie));
}

static struct mkto_event_item *batch(const char *body, size_t count, struct mkto_slice *defaults)
{
    struct mkto_event_item *items = NULL;
    struct mkto_event_fault fault;
    size_t got = 0;
    if (mkto_event_read_batch(envelope(MKTO_CALL_BATCH, body), &items, &got, defaults, &fault,
                              pool) != 0) {
        fail_msg("%s", fault.error.text);
    }
    assert_int_equal(got, count);
    return items;
}

static void batch_refused(const char *body, enum mkto_answer answer, const char *why)
{
    struct mkto_event_item *items;
    struct mkto_slice defaults;
    struct mkto_event_fault fault;
    size_t count;
    assert_int_equal(mkto_event_read_batch(envelope(MKTO_CALL_BATCH, body), &items, &count,
                                           &defaults, &fault, pool),
                     -1);
    assert_string_equal(fault.error.text, why);
    assert_int_equal(fault.answer, answer);
}

static void test_batch(void **state)
{
    (void)state;
    struct mkto_slice defaults;
    const char *body = "{\"batch\":[ {\"type\":\"track\",\"userId\":\"u\",\"event\":\"E\"},"
                       "{\"type\":\"identify\",\"traits\":{\"email\":\"a@x.org\"},\"context\":{"
                       "\"ip\":\"9\",\"z\":1},"
                       "\"integrations\":{\"All\":false}} ],"
                       "\"context\":{\"ip\":\"1\",\"app\":{\"v\":1}},\"integrations\":{\"Marketo\":"
                       "true,\"All\":true},"
                       "\"sentAt\":\"2020-01-01T00:00:00Z\",\"writeKey\":\"wk\",\"other\":[]}";
    const struct mkto_event_item *items = batch(body, 2, &defaults);
    assert_string_equal(defaults.data, "{\"context\":{\"ip\":\"1\",\"app\":{\"v\":1}},"
                                       "\"integrations\":{\"Marketo\":true,\"All\":true},"
                                       "\"sentAt\":\"2020-01-01T00:00:00Z\"}");
    assert_true(mkto_slice_is(mkto_event_write_key(MKTO_SLICE_NONE, items->batch, pool), "wk"));

    assert_true(
        mkto_slice_is(items[0].text, "{\"type\":\"track\",\"userId\":\"u\",\"event\":\"E\"}"));
    assert_int_equal(items[0].call, MKTO_CALL_TRACK);
    assert_null(items[0].fault);
    assert_string_equal(mkto_json_get(items[0].event->context, "ip")->text.data, "1");
    assert_int_equal(mkto_json_get(items[0].event->integrations, "All")->type, MKTO_JSON_TRUE);

    assert_int_equal(items[1].call, MKTO_CALL_IDENTIFY);
    assert_string_equal(mkto_json_text(items[1].event->context, pool).data,
                        "{\"ip\":\"9\",\"z\":1,\"app\":{\"v\":1}}");
    assert_string_equal(mkto_json_text(items[1].event->integrations, pool).data,
                        "{\"All\":false,\"Marketo\":true}");

    /* Read back from the spool, the item means the same. */
    struct mkto_envelope *spooled = envelope(MKTO_CALL_IDENTIFY, NULL);
    spooled->body = items[1].text;
    spooled->defaults = defaults;
    const struct mkto_event *again = taken_from(spooled);
    assert_string_equal(mkto_json_text(again->context, pool).data,
                        mkto_json_text(items[1].event->context, pool).data);
    assert_string_equal(mkto_json_text(again->integrations, pool).data,
                        mkto_json_text(items[1].event->integrations, pool).data);
    assert_true(mkto_slice_is(mkto_event_email(again), "a@x.org"));
}

static void test_batch_faults(void **state)
{
    (void)state;
    struct mkto_slice defaults;
    char *large = apr_palloc(pool, MKTO_EVENT_MAX + 1);
    memset(large, 'x', MKTO_EVENT_MAX);
    large[MKTO_EVENT_MAX] = '\0';
    const char *ok = "{\"type\":\"page\",\"userId\":\"u\"}";
    const char *body = apr_psprintf(
        pool,
        "{\"batch\":[%s,5,{\"type\":\"page\"},{\"userId\":\"u\"},{\"type\":\"batch\"},"
        "{\"type\":\"track\",\"userId\":\"u\",\"event\":1},{\"a\":\"%s\"},{\"a\":1,\"a\":2},%s]}",
        ok, large, ok);
    const struct mkto_event_item *items = batch(body, 9, &defaults);
    assert_null(defaults.data);
    const char *const faults[] = {
        NULL,
        "batch[1]: must be an object",
        "batch[2]: " NOBODY,
        "batch[3]: type: must be identify, track, page, screen, group or alias",
        "batch[4]: type: must be identify, track, page, screen, group or alias",
        "batch[5]: event: must be a string",
        "batch[6]: has 32776 bytes, the limit is 32768",
        apr_psprintf(pool, "batch[7]: repeated key at byte %d",
                     (int)(strstr(body, "\"a\":2") - body)),
        NULL,
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        assert_true((items[i].event == NULL) == (faults[i] != NULL));
        if (faults[i] != NULL) {
            assert_string_equal(items[i].fault->error.text, faults[i]);
            assert_int_equal(items[i].fault->answer,
                             i == 6 ? MKTO_ANSWER_TOO_LARGE : MKTO_ANSWER_BAD_REQUEST);
        }
    }
}

static void test_batch_refused(void **state)
{
    (void)state;
    batch_refused("[]", MKTO_ANSWER_BAD_REQUEST, "the batch must be an object");
    batch_refused("{}", MKTO_ANSWER_BAD_REQUEST, "batch: must be a non-empty array");
    batch_refused("{\"batch\":{}}", MKTO_ANSWER_BAD_REQUEST, "batch: must be a non-empty array");
    batch_refused("{\"batch\":[]}", MKTO_ANSWER_BAD_REQUEST, "batch: must be a non-empty array");
    batch_refused("{\"batch\":[{}],\"context\":[]}", MKTO_ANSWER_BAD_REQUEST,
                  "context: must be an object");
    batch_refused("{\"batch\":[{}],\"sentAt\":5}", MKTO_ANSWER_BAD_REQUEST,
                  "sentAt: must be a string");
    batch_refused("{\"batch\":[{},{]}", MKTO_ANSWER_BAD_REQUEST,
                  "a key must be a string at byte 14");
}

static const char *items_of(size_t count)
{
    const size_t size = count * 40 + 40;
    char *body = apr_palloc(pool, size);
    size_t used = (size_t)snprintf(body, size, "{\"batch\":[");
    for (size_t i = 0; i < count; i++) {
        used += (size_t)snprintf(body + used, size - used,
                                 "%s{\"type\":\"page\",\"userId\":\"%zu\"}", i == 0 ? "" : ",", i);
    }
    snprintf(body + used, size - used, "]}");
    return body;
}

static void test_batch_limits(void **state)
{
    (void)state;
    struct mkto_slice defaults;
    batch(items_of(MKTO_EVENT_BATCH_MAX), MKTO_EVENT_BATCH_MAX, &defaults);
    batch_refused(items_of(MKTO_EVENT_BATCH_MAX + 1), MKTO_ANSWER_TOO_LARGE,
                  "batch: has 2501 events, the limit is 2500");

    char *filler = apr_palloc(pool, MKTO_EVENT_DEFAULTS_MAX + 1);
    memset(filler, 'x', MKTO_EVENT_DEFAULTS_MAX + 1);
    int fits = MKTO_EVENT_DEFAULTS_MAX - (int)strlen("{\"sentAt\":\"\"}");
    const char *rest = "\",\"batch\":[{\"type\":\"page\",\"userId\":1}]}";
    batch(apr_psprintf(pool, "{\"sentAt\":\"%.*s%s", fits, filler, rest), 1, &defaults);
    assert_int_equal(defaults.len, MKTO_EVENT_DEFAULTS_MAX);
    batch_refused(apr_psprintf(pool, "{\"sentAt\":\"%.*s%s", fits + 1, filler, rest),
                  MKTO_ANSWER_TOO_LARGE,
                  "context, integrations and sentAt of the batch have 8193 bytes, the limit is "
                  "8192");

    struct mkto_envelope *large = envelope(MKTO_CALL_BATCH, NULL);
    char *body = apr_palloc(pool, MKTO_BODY_MAX + 1);
    const char *one = items_of(1);
    memset(body, ' ', MKTO_BODY_MAX + 1);
    memcpy(body, one, strlen(one));
    large->body = (struct mkto_slice){body, MKTO_BODY_MAX};
    struct mkto_event_item *items;
    struct mkto_event_fault fault;
    size_t count;
    assert_int_equal(mkto_event_read_batch(large, &items, &count, &defaults, &fault, pool), 0);
    large->body.len++;
    assert_int_equal(mkto_event_read_batch(large, &items, &count, &defaults, &fault, pool), -1);
    assert_int_equal(fault.answer, MKTO_ANSWER_TOO_LARGE);
    assert_string_equal(fault.error.text, "the batch has 1048577 bytes, the limit is 1048576");
}

static void test_write_key(void **state)
{
    (void)state;
    const struct mkto_event *keyed =
        taken(MKTO_CALL_PAGE, "{\"userId\":\"u\",\"writeKey\":\"body\"}");
    const struct mkto_event *bare = taken(MKTO_CALL_PAGE, "{\"userId\":\"u\",\"writeKey\":5}");
    /* clang-format off */
    const struct {
        const char *header;
        const char *key;
    } rows[] = {
        {"Basic d2tfc2l0ZTo=", "wk_site"}, /* wk_site: */
        {"basic   d2tfc2l0ZQ==", "wk_site"}, /* no colon */
        {"Basic d2tfc2l0ZTpwYXNz", "wk_site"}, /* wk_site:pass */
        {"Basic d2tfc2l0ZTpw", "wk_site"},
        {"Basic Og==", NULL}, /* : */
        {"Basic ", NULL},
        {"Basic", NULL},
        {"Basic ????", NULL},
        {"Bearer wk_site", "wk_site"},
        {"bearer   wk_site ", "wk_site"},
        {"Bearer", NULL},
        {"Bearer ", NULL},
        {"Digest wk_site", NULL},
        {"", NULL},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_slice header = mkto_slice_str(rows[i].header);
        struct mkto_slice key = mkto_event_write_key(header, bare->root, pool);
        if (rows[i].key == NULL) {
            assert_null(key.data);
        } else {
            assert_true(mkto_slice_is(key, rows[i].key));
        }
        assert_true(mkto_slice_is(mkto_event_write_key(header, keyed->root, pool), "body"));
    }
    assert_null(mkto_event_write_key(MKTO_SLICE_NONE, NULL, pool).data);
}

static void test_vouched_email(void **state)
{
    static const struct {
        const char *vouched;
        uint32_t flags;
        const char *email;
    } rows[] = {
        {NULL, 0, "a@x.org"},
        {"", 0, "a@x.org"},
        {"tom@x.org", 0, "tom@x.org"},
        {" tom@x.org\n", MKTO_ENVELOPE_BROWSER, "tom@x.org"},
        {"tom@x.org", MKTO_ENVELOPE_KEYED, "a@x.org"},
        {"tom", 0, "a@x.org"},
        {"-", 0, "a@x.org"},
        {"t\xff@x.org", 0, "a@x.org"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_envelope *from =
            envelope(MKTO_CALL_IDENTIFY, "{\"traits\":{\"email\":\"a@x.org\"}}");
        from->email = rows[i].vouched == NULL ? MKTO_SLICE_NONE : mkto_slice_str(rows[i].vouched);
        from->flags = rows[i].flags;
        assert_true(mkto_slice_is(mkto_event_email(taken_from(from)), rows[i].email));
    }
}

int main(void)
{
    apr_initialize();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_members, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_refused, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_identity, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_limits, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_email, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_cookie, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_batch, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_batch_faults, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_batch_refused, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_batch_limits, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_write_key, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_vouched_email, make_pool, drop_pool),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
