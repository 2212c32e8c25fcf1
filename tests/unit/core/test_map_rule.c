/* What the rules of a subscription say of events and fields. */
#include "map_text.h"

#define LIST(...)                                                                                  \
    {                                                                                              \
        (const char *const[]){__VA_ARGS__},                                                        \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)                      \
    }

#define TOM "\"traits\":{\"email\":\"tom@x.org\""
#define KEYED MKTO_ENVELOPE_KEYED
#define FOREIGN MKTO_ENVELOPE_BROWSER
#define OWN (MKTO_ENVELOPE_BROWSER | MKTO_ENVELOPE_OWN)

/* ---- who may say who somebody is ---- */

/* What was taken once is sent, whatever `identify` has become. */
static bool sends(enum mkto_call call, const char *json)
{
    struct mkto_event *event = NULL;
    struct mkto_event_fault fault;
    struct mkto_delivery delivery;
    envelope.call = call;
    envelope.body = mkto_slice_str(json);
    assert_int_equal(mkto_event_read(&envelope, &event, &fault, pool), 0);
    mkto_map_stored(event, &subscription, MKTO_API_REST, &delivery, pool);
    return delivery.kind == MKTO_DELIVERY_LEAD;
}

static void test_identify(void **state)
{
    static const struct {
        enum mkto_identify identify;
        uint32_t flags;
        const char *vouched;
        bool taken;
    } rows[] = {
        {MKTO_IDENTIFY_OPEN, FOREIGN, "", true},
        {MKTO_IDENTIFY_OPEN, OWN, "", true},
        {MKTO_IDENTIFY_OPEN, 0, "", true},
        {MKTO_IDENTIFY_SAME_ORIGIN, FOREIGN, "", false},
        {MKTO_IDENTIFY_SAME_ORIGIN, FOREIGN, "tom@x.org", false},
        {MKTO_IDENTIFY_SAME_ORIGIN, FOREIGN | KEYED, "", true},
        {MKTO_IDENTIFY_SAME_ORIGIN, OWN, "", true},
        {MKTO_IDENTIFY_SAME_ORIGIN, 0, "", true},
        {MKTO_IDENTIFY_TRUSTED, OWN, "", false},
        {MKTO_IDENTIFY_TRUSTED, 0, "", false},
        {MKTO_IDENTIFY_TRUSTED, OWN, "tom", false},
        {MKTO_IDENTIFY_TRUSTED, OWN, "tom@x.org", true},
        {MKTO_IDENTIFY_TRUSTED, KEYED, "", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        subscription.identify = rows[i].identify;
        envelope.flags = rows[i].flags;
        envelope.email = mkto_slice_str(rows[i].vouched);
        struct mkto_delivery lead = map(MKTO_CALL_IDENTIFY, MKTO_API_REST, "{" TOM "}}");
        struct mkto_delivery group =
            map(MKTO_CALL_GROUP, MKTO_API_REST,
                "{\"userId\":\"u\",\"groupId\":\"g\",\"traits\":{\"name\":\"Acme\"}}");
        const char *wanted = rows[i].taken ? "" : "rejected identify";
        assert_string_equal(delivery_text(&lead), wanted);
        assert_int_equal(lead.forbidden, !rows[i].taken);
        assert_true(sends(MKTO_CALL_IDENTIFY, "{" TOM "}}"));
        assert_string_equal(delivery_text(&group), rows[i].taken ? "company=Acme" : wanted);
        struct mkto_delivery page =
            map(MKTO_CALL_PAGE, MKTO_API_REST,
                "{\"userId\":\"u\",\"properties\":{\"url\":\"https://x.org/\"}}");
        assert_string_equal(delivery_text(&page), "https://x.org/?");
    }
}

static void test_the_site_knows_better(void **state)
{
    (void)state;
    envelope.flags = OWN;
    envelope.email = MKTO_SLICE_LIT("ada@x.org");
    struct mkto_delivery delivery =
        map(MKTO_CALL_IDENTIFY, MKTO_API_REST, "{\"userId\":\"eve@x.org\"," TOM "}}");
    assert_string_equal(delivery.lead.email, "ada@x.org");
    envelope.flags |= KEYED;
    delivery = map(MKTO_CALL_IDENTIFY, MKTO_API_REST, "{" TOM "}}");
    assert_string_equal(delivery.lead.email, "tom@x.org");
}

/* ---- events ---- */

#define PAGE "{\"userId\":\"u\",\"properties\":{\"url\":\"https://x.org/\"}}"
#define NAMED(name) "{\"userId\":\"u\",\"event\":\"" name "\"}"

static void test_bots(void **state)
{
    (void)state;
    envelope.user_agent = MKTO_SLICE_LIT("Mozilla/5.0 (compatible; Googlebot/2.1)");
    maps(MKTO_CALL_PAGE, MKTO_API_REST, PAGE, "https://x.org/?"); /* a server passes it on */
    envelope.flags = OWN;
    maps(MKTO_CALL_PAGE, MKTO_API_REST, PAGE, "filtered bot");
    envelope.flags |= KEYED;
    maps(MKTO_CALL_PAGE, MKTO_API_REST, PAGE, "https://x.org/?");
    envelope.flags = OWN;
    envelope.user_agent = MKTO_SLICE_NONE;
    maps(MKTO_CALL_PAGE, MKTO_API_REST, PAGE, "filtered bot");
}

static void test_events_deny(void **state)
{
    (void)state;
    subscription.host = "x.org";
    subscription.events_deny =
        (struct mkto_config_list)LIST("Order Completed", "group", "/event/Test");
    envelope.flags = KEYED; /* whoever sends it */
    maps(MKTO_CALL_TRACK, MKTO_API_REST, NAMED("Order Completed"), "filtered events_deny");
    maps(MKTO_CALL_TRACK, MKTO_API_REST, NAMED("order_completed"), "filtered events_deny");
    maps(MKTO_CALL_TRACK, MKTO_API_REST, NAMED("/event/Order-Completed"), "filtered events_deny");
    maps(MKTO_CALL_TRACK, MKTO_API_REST, NAMED("test"), "filtered events_deny");
    maps(MKTO_CALL_TRACK, MKTO_API_REST, NAMED("group"), "filtered events_deny");
    maps(MKTO_CALL_TRACK, MKTO_API_REST, NAMED("Order Completed!"),
         "api https://x.org/event/Order-Completed!?");
    maps(MKTO_CALL_GROUP, MKTO_API_REST, "{\"userId\":\"u\",\"traits\":{\"name\":\"A\"}}",
         "filtered events_deny");
    maps(MKTO_CALL_PAGE, MKTO_API_REST, PAGE, "https://x.org/?");
}

static void test_events_allow(void **state)
{
    (void)state;
    subscription.host = "x.org";
    subscription.events_allow = (struct mkto_config_list)LIST("page", "Signed Up");
    maps(MKTO_CALL_PAGE, MKTO_API_REST, PAGE, "https://x.org/?");
    maps(MKTO_CALL_TRACK, MKTO_API_REST, NAMED("Signed Up"), "api https://x.org/event/Signed-Up?");
    maps(MKTO_CALL_TRACK, MKTO_API_REST, NAMED("Other"), "filtered events_allow");
    maps(MKTO_CALL_IDENTIFY, MKTO_API_REST, "{" TOM "}}", "filtered events_allow");
    subscription.events_deny = (struct mkto_config_list)LIST("page");
    maps(MKTO_CALL_PAGE, MKTO_API_REST, PAGE, "filtered events_deny");
}

/* ---- fields ---- */

/* "LeadScore fields_protected|…", the last one first. */
static void withholds(const char *traits, const char *fields, const char *withheld)
{
    const char *body = apr_psprintf(pool, "{" TOM ",%s}}", traits);
    struct mkto_delivery delivery = map(MKTO_CALL_IDENTIFY, MKTO_API_REST, body);
    const char *text = "";
    assert_string_equal(delivery_text(&delivery), fields);
    for (const struct mkto_withheld *each = delivery.withheld; each != NULL; each = each->next) {
        text = apr_psprintf(pool, "%s%s%s %s", text, text[0] == '\0' ? "" : "|", each->name,
                            each->rule);
    }
    assert_string_equal(text, withheld);
}

static void test_protected(void **state)
{
    static const struct mkto_config_field rows[] = {{"points", "leadScore", 1}};
    (void)state;
    withholds("\"leadScore\":5,\"city\":\"Rome\"", "city=Rome", "leadScore fields_protected");
    withholds("\"Lead_Score\":5,\"LEADSCORE\":6", "",
              "lEADSCORE fields_protected|lead_Score fields_protected");
    withholds("\"unsubscribed\":false,\"score\":1,\"emailInvalid\":false,\"blackListed\":false", "",
              "blackListed fields_protected|emailInvalid fields_protected|score "
              "fields_protected|unsubscribed fields_protected");
    subscription.fields = rows;
    subscription.field_count = 1;
    withholds("\"points\":5", "", "leadScore fields_protected");
    subscription.fields_protected = (struct mkto_config_list)LIST("Behavior_Score__c");
    withholds("\"behaviorScoreC\":5,\"plan\":\"a\"", "plan=a", "behaviorScoreC fields_protected");
    envelope.flags = KEYED;
    withholds("\"points\":5,\"behaviorScoreC\":6,\"unsubscribed\":true",
              "leadScore=#5|behaviorScoreC=#6|unsubscribed=?true", "");
}

static void test_fields_deny(void **state)
{
    (void)state;
    envelope.flags = KEYED;
    subscription.fields_deny = (struct mkto_config_list)LIST("name", "Mobile Phone", "postalCode");
    withholds("\"name\":\"Tom Poe\",\"mobile_phone\":\"1\",\"address\":{\"city\":\"Rome\","
              "\"zip\":\"00100\"}",
              "city=Rome", "postalCode fields_deny|mobile_phone fields_deny|name fields_deny");
}

static void test_fields_allow(void **state)
{
    (void)state;
    envelope.flags = KEYED;
    subscription.fields_allow = (struct mkto_config_list)LIST("firstName", "address", "plan");
    withholds("\"name\":\"Tom Poe\",\"address\":{\"city\":\"Rome\"},\"plan\":\"a\",\"x\":\"y\"",
              "firstName=Tom|city=Rome|plan=a", "x fields_allow|lastName fields_allow");
    subscription.fields_deny = (struct mkto_config_list)LIST("plan");
    withholds("\"plan\":\"a\"", "", "plan fields_deny");
    struct mkto_delivery delivery =
        map(MKTO_CALL_IDENTIFY, MKTO_API_REST, "{\"userId\":\"7\"," TOM "}}");
    assert_string_equal(delivery_text(&delivery), "userId=7"); /* who it is, always */
    assert_string_equal(delivery.lead.email, "tom@x.org");
}

static void test_a_group_of_nothing_permitted(void **state)
{
    (void)state;
    subscription.fields_deny = (struct mkto_config_list)LIST("company");
    struct mkto_delivery delivery =
        map(MKTO_CALL_GROUP, MKTO_API_REST, "{\"userId\":\"u\",\"traits\":{\"name\":\"Acme\"}}");
    assert_string_equal(delivery_text(&delivery), "filtered no_company");
    assert_string_equal(delivery.withheld->name, "company");
}

/* ---- address ---- */

static void test_anonymize_ip(void **state)
{
    (void)state;
    envelope.remote_addr = MKTO_SLICE_LIT("192.0.2.77");
    assert_string_equal(map(MKTO_CALL_PAGE, MKTO_API_REST, PAGE).visit.remote_addr, "192.0.2.77");
    subscription.anonymize_ip = true;
    struct mkto_delivery delivery = map(MKTO_CALL_PAGE, MKTO_API_REST, PAGE);
    assert_string_equal(delivery.visit.remote_addr, "192.0.2.0");
    assert_true(delivery.visit.anonymize);
    envelope.flags = KEYED;
    delivery = map(MKTO_CALL_PAGE, MKTO_API_REST,
                   "{\"userId\":\"u\",\"context\":{\"ip\":\"2001:db8:1:2::3\"},"
                   "\"properties\":{\"url\":\"https://x.org/\"}}");
    assert_string_equal(delivery.visit.remote_addr, "2001:db8:1::");
}

#define RULE_TEST(name) cmocka_unit_test_setup_teardown(name, make_pool, drop_pool)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE_TEST(test_identify),     RULE_TEST(test_the_site_knows_better),
        RULE_TEST(test_bots),         RULE_TEST(test_events_deny),
        RULE_TEST(test_events_allow), RULE_TEST(test_protected),
        RULE_TEST(test_fields_deny),  RULE_TEST(test_fields_allow),
        RULE_TEST(test_anonymize_ip), RULE_TEST(test_a_group_of_nothing_permitted),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
