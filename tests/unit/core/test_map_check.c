/* mkto_map_check: the door and dispatch agree, over events that a generator puts together. */
#include "map_text.h"

#define EVENTS 60000

static uint64_t state = 88172645463325252u; /* xorshift64; the same events in every run */

static unsigned draw(unsigned below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state % below);
}

#define PICK(list) (list)[draw(sizeof(list) / sizeof((list)[0]))]

/* clang-format off */
/* Half of the words mean something; the others must not be taken for them. */
static const char *const urls[] = {
    "https://www.example.com/p?q=1#h", "http://a.b:8080", "/relative", "//other.org/x", "", "ftp://a/b", "https://", "http://a b/",
    "https://[::1]/x", "https://h:99999/", "  https://blank.org  ", "mailto:a@b.c", "?q", "#h", "https://u:p@h.org:443/",
};
static const char *const members[] = {
    "\"userId\":\"u\"", "\"userId\":\"ada@example.com\"", "\"userId\":7", "\"anonymousId\":\"a\"", "\"sessionId\":\"s\"",
    "\"event\":\"Signed Up\"", "\"event\":\"/event/x\"", "\"name\":\"Home Page\"", "\"groupId\":\"g\"", "\"previousId\":\"p\"",
    "\"integrations\":{\"All\":false}", "\"integrations\":{\"Marketo\":false}", ("\"integrations\":{\"Marketo\":{\"marketoCookie\":"
    "\"id:561-HYG-937&token:_mch-example.com-1374552656411-90718\"}}"), "\"channel\":\"browser\"",
    "\"integrations\":{\"Marketo\":{\"clickLink\":\"%s\"}}",
    "\"_metadata\":{\"bundled\":[\"Marketo\"]}", "\"options\":{\"all\":false}", "\"messageId\":\"m\"",
};
static const char *const traits[] = {
    "\"email\":\"ada@example.com\"", "\"email\":\"\"", "\"email\":4", "\"firstName\":\"Ada\"", "\"name\":\"Acme\"", "\"address\":{\"city\":\"x\"}",
    "\"plan\":\"pro\"", "\"website\":null", "\"industry\":[]", "\"employees\":5", "\"url\":\"%s\"", "\"path\":\"/p\"", "\"search\":\"?a=b\"",
};
static const char *const contexts[] = {
    "\"page\":{\"url\":\"%s\"}", "\"page\":{\"path\":\"/p\",\"search\":\"s\"}", "\"traits\":{\"email\":\"c@example.com\"}",
    "\"channel\":\"client\"", "\"Marketo\":{\"marketoCookie\":\"bad\"}", "\"referrer\":{\"url\":\"https://r.org\"}", "\"all\":false",
};
static const char *const hosts[] = {NULL, "www.example.com", "bad host", "a.b.c.example.co.uk"};
static const char *const headers[] = {"", "www.site.org:8443", "?", "[::1]:80"};
static const char *const cookies[] = {NULL, NULL, COOKIE, "id:&token:x"};
/* clang-format on */

/* Members of an object, each at most once; a %s becomes an address. */
static const char *some(const char *const *list, size_t count, unsigned most)
{
    const char *text = "";
    size_t at = draw((unsigned)count);
    for (unsigned n = draw(most + 1); n > 0; n--, at += 1 + draw(2)) {
        const char *format = list[at % count];
        const char *url = strstr(format, "%s");
        const char *member = url == NULL ? format
                                         : apr_psprintf(pool, "%.*s%s%s", (int)(url - format),
                                                        format, PICK(urls), url + 2);
        text = apr_pstrcat(pool, text, text[0] == '\0' ? "" : ",", member, NULL);
    }
    return text;
}

#define SOME(list, most) some(list, sizeof(list) / sizeof((list)[0]), most)

static const char *random_event(void)
{
    const char *own = SOME(members, 5);
    return apr_psprintf(pool, "{%s%s\"traits\":{%s},\"properties\":{%s},\"context\":{%s}}", own,
                        own[0] == '\0' ? "" : ",", SOME(traits, 3), SOME(traits, 3),
                        SOME(contexts, 2));
}

static const char *const agents[] = {"Mozilla/5.0", "Mozilla/5.0", "Wget/1.21"};
static const char *const emails[] = {"", "", "tom@example.com"};
static const char *const names[] = {"company", "E", "phone"};
static const struct mkto_config_list lists[] = {{NULL, 0}, {names, 1}, {names, 3}};

static void random_surroundings(struct mkto_envelope *own)
{
    static const enum mkto_call calls[] = {MKTO_CALL_IDENTIFY, MKTO_CALL_TRACK, MKTO_CALL_PAGE,
                                           MKTO_CALL_SCREEN,   MKTO_CALL_GROUP, MKTO_CALL_ALIAS};
    subscription.host = PICK(hosts);
    *own = (struct mkto_envelope){.call = PICK(calls), .received_ms = 1700000000000};
    own->flags = draw(4) == 0 ? MKTO_ENVELOPE_BROWSER : 0;
    own->flags |= draw(4) == 0 ? MKTO_ENVELOPE_OWN : 0;
    own->flags |= draw(4) == 0 ? MKTO_ENVELOPE_KEYED : 0;
    own->user_agent = mkto_slice_str(PICK(agents));
    own->email = mkto_slice_str(PICK(emails));
    subscription.identify = (enum mkto_identify)draw(3);
    subscription.fields_deny = lists[draw(3)];
    subscription.events_deny = lists[draw(6) / 4];
    own->host = mkto_slice_str(PICK(headers));
    own->referer = mkto_slice_str(PICK(urls));
    own->cookie = mkto_slice_str(PICK(cookies));
}

/* What is stored becomes the same, but that `identify` is not asked. */
static void check_stored(const struct mkto_event *event, enum mkto_api api,
                         const struct mkto_delivery *wanted)
{
    struct mkto_delivery delivery, open;
    struct mkto_subscription other = subscription;
    mkto_map_stored(event, &subscription, api, &delivery, pool);
    assert_false(delivery.forbidden);
    other.identify = MKTO_IDENTIFY_OPEN;
    mkto_map(event, &other, api, &open, pool);
    const struct mkto_delivery *same = wanted->forbidden ? &open : wanted;
    assert_int_equal(delivery.kind, same->kind);
    assert_string_equal(delivery.reason == NULL ? "" : delivery.reason,
                        same->reason == NULL ? "" : same->reason);
}

static void test_door_and_dispatch_agree(void **unused)
{
    (void)unused;
    unsigned kinds[MKTO_DELIVERY_FILTERED + 1] = {0};
    unsigned read = 0;
    for (int i = 0; i < EVENTS; i++) {
        struct mkto_envelope own;
        struct mkto_event *event = NULL;
        struct mkto_event_fault fault;
        struct mkto_delivery delivery;
        random_surroundings(&own);
        own.body = mkto_slice_str(random_event());
        if (mkto_event_read(&own, &event, &fault, pool) == 0) {
            const enum mkto_api api = draw(2) == 0 ? MKTO_API_SOAP : MKTO_API_REST;
            mkto_map(event, &subscription, api, &delivery, pool);
            check_agrees(event, api, &delivery);
            check_stored(event, api, &delivery);
            kinds[delivery.kind]++;
            read++;
        }
        apr_pool_clear(pool);
    }
    assert_true(read > EVENTS / 4); /* the generator is worth its name */
    for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
        assert_true(kinds[kind] > 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_door_and_dispatch_agree, make_pool, drop_pool),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
