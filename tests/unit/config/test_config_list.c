/* marketo.conf: keys that hold several words. */
#include "config_text.h"

#include "mkto_privacy.h"

static void test_words_of_a_choice(void **state)
{
    static const struct {
        const char *text;
        enum mkto_identify identify;
        unsigned respect;
        bool anonymize;
    } table[] = {
        {"identify = open\nrespect = gpc\nanonymize_ip = on\n", MKTO_IDENTIFY_OPEN,
         MKTO_RESPECT_GPC, true},
        {"identify = trusted\nrespect = dnt\nanonymize_ip = off\n", MKTO_IDENTIFY_TRUSTED,
         MKTO_RESPECT_DNT, false},
        {"identify = same_origin\nrespect = dnt  gpc\n", MKTO_IDENTIFY_SAME_ORIGIN,
         MKTO_RESPECT_GPC | MKTO_RESPECT_DNT, false},
        {"respect = gpc, dnt, gpc\n", MKTO_IDENTIFY_SAME_ORIGIN,
         MKTO_RESPECT_GPC | MKTO_RESPECT_DNT, false},
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        snprintf(text, sizeof(text), REST "%s", table[i].text);
        const struct mkto_config *config = must_read(text);
        assert_int_equal(config->subscriptions[0].identify, table[i].identify);
        assert_int_equal(config->subscriptions[0].respect, table[i].respect);
        assert_int_equal(config->subscriptions[0].anonymize_ip, table[i].anonymize);
        mkto_config_free(config);
    }
}

static void test_lists(void **state)
{
    const struct mkto_config *config = must_read(
        REST "events_allow = page,Order Completed ,\tidentify\nevents_deny = \xe6\xb3\xa8\n"
             "fields_allow = email, address.city\nfields_deny = ssn ; never\n"
             "fields_protected = Behavior_Score__c\n");
    const struct mkto_subscription *s = &config->subscriptions[0];

    (void)state;
    assert_int_equal(s->events_allow.count, 3);
    assert_string_equal(s->events_allow.names[0], "page");
    assert_string_equal(s->events_allow.names[1], "Order Completed");
    assert_string_equal(s->events_allow.names[2], "identify");
    assert_int_equal(s->events_deny.count, 1);
    assert_int_equal(s->fields_allow.count, 2);
    assert_string_equal(s->fields_allow.names[1], "address.city");
    assert_int_equal(s->fields_deny.count, 1);
    assert_string_equal(s->fields_deny.names[0], "ssn");
    assert_string_equal(s->fields_protected.names[0], "Behavior_Score__c");
    mkto_config_free(config);
}

static void test_each_subscription_has_its_own(void **state)
{
    const struct mkto_config *config =
        must_read(REST "rate = 0\nevents_deny = a\n[marketo b]\nmunchkin_id = AAA-BBB-CCC\n"
                       "rest_client_id = b\nrest_client_secret_file = /nowhere/b\n");

    (void)state;
    assert_int_equal(config->subscriptions[0].rate, 0);
    assert_int_equal(config->subscriptions[1].rate, 25);
    assert_int_equal(config->subscriptions[1].events_deny.count, 0);
    mkto_config_free(config);
}

static void test_mistakes(void **state)
{
    static const char *const table[][2] = {
        {"identify = closed\n",
         CONF ":5: identify: must be open, same_origin or trusted, not \"closed\"\n"},
        {"respect = gpc DNT\n", CONF ":5: respect: must be gpc, dnt or both, not \"DNT\"\n"},
        {"anonymize_ip = yes\n", CONF ":5: anonymize_ip: must be on or off, not \"yes\"\n"},
        {"rate = many\n", CONF ":5: rate: must be a whole number (0..100000)\n"},
        {"rate_burst = 0\n", CONF ":5: rate_burst: 0 is out of range (1..1000000)\n"},
        {"events_deny = a,,b\n",
         CONF ":5: events_deny: has an empty name: one comma stands between two names\n"},
        {"events_allow = a,\n",
         CONF ":5: events_allow: has an empty name: one comma stands between two names\n"},
        {"fields_deny = a, b, a\n", CONF ":5: fields_deny: name 1 stands there twice\n"},
        {"fields_protected = a, ***\n",
         CONF ":5: fields_protected: name 2 has neither letter nor digit\n"},
        {"fields_allow = \"a\"\n", CONF ":5: fields_allow: values are written without quotes\n"},
        {"event_deny = a\n", CONF ":5: event_deny: unknown key; did you mean events_deny?\n"},
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        snprintf(text, sizeof(text), REST "%s", table[i][0]);
        must_refuse(text, table[i][1]);
    }
}

/* A list of count names, each of len bytes and none like another. */
static const char *list_of(size_t count, size_t len)
{
    static char text[MKTO_CONFIG_LINE_MAX + 512];
    size_t at = (size_t)snprintf(text, sizeof(text), REST "fields_deny = ");

    for (size_t i = 0; i < count; i++) {
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%0*zu", i == 0 ? "" : ",", (int)len,
                               i);
    }
    snprintf(text + at, sizeof(text) - at, "\n");
    return text;
}

static void test_limits(void **state)
{
    (void)state;
    mkto_config_free(must_read(list_of(MKTO_CONFIG_LIST_MAX, 4)));
    must_refuse(list_of(MKTO_CONFIG_LIST_MAX + 1, 4),
                CONF ":5: fields_deny: holds more than 256 names\n");
    mkto_config_free(must_read(list_of(2, MKTO_CONFIG_TEXT_MAX)));
    must_refuse(list_of(2, MKTO_CONFIG_TEXT_MAX + 1),
                CONF ":5: fields_deny: holds a name of 256 bytes; at most 255 are allowed\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_of_a_choice),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_each_subscription_has_its_own),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, enter, leave);
}
