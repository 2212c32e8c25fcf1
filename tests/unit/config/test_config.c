/* marketo.conf: what it means. */
#include "config_text.h"

static void test_defaults(void **state)
{
    const struct mkto_config *config = must_read(REST);
    const struct mkto_subscription *s = &config->subscriptions[0];
    char path[PATH_MAX];

    (void)state;
    assert_non_null(realpath(CONF, path));
    assert_string_equal(config->file, path);
    assert_string_equal(config->spool_path, "/var/lib/marketo");
    assert_int_equal(config->spool_max_size, INT64_C(2) << 30);
    assert_int_equal(config->spool_keep_free, 0);
    assert_int_equal(config->spool_keep_free_percent, 5);
    assert_string_equal(config->socket, "/var/lib/marketo/courier.sock");
    assert_int_equal(config->linger_ms, 10000);
    assert_int_equal(config->source_count, 0);
    assert_int_equal(config->subscription_count, 1);
    assert_string_equal(s->name, "");
    assert_int_equal(s->line, 1);
    assert_string_equal(s->munchkin_id, "561-HYG-937");
    assert_int_equal(s->api, MKTO_API_REST);
    assert_int_equal(s->naming, MKTO_NAMING_PASCAL);
    assert_null(s->host);
    assert_string_equal(s->rest_endpoint, "https://561-hyg-937.mktorest.com");
    assert_string_equal(s->munchkin_endpoint, "https://561-hyg-937.mktoresp.com");
    assert_null(s->soap_endpoint);
    assert_null(s->rest_partition);
    assert_null(s->soap_workspace);
    assert_null(s->munchkin_private_key_file);
    assert_null(s->ca_file);
    assert_int_equal(s->lead_interval_ms, 30000);
    assert_int_equal(s->unchanged_for_ms, 24 * 3600 * 1000);
    assert_int_equal(s->batch_wait_ms, 1000);
    assert_int_equal(s->batch_size, 300);
    assert_int_equal(s->calls_per_20s, 50);
    assert_int_equal(s->calls_at_once, 5);
    assert_int_equal(s->calls_per_day, 10000);
    assert_int_equal(s->calls_reserve, 1000);
    assert_int_equal(s->visits_at_once, 32);
    assert_int_equal(s->retry_for_ms, INT64_C(72) * 3600 * 1000);
    assert_int_equal(s->connect_timeout_ms, 10000);
    assert_int_equal(s->timeout_ms, 90000);
    assert_int_equal(s->identify, MKTO_IDENTIFY_SAME_ORIGIN);
    assert_int_equal(s->rate, 25);
    assert_int_equal(s->rate_burst, 500);
    assert_int_equal(s->respect, 0);
    assert_false(s->anonymize_ip);
    assert_int_equal(s->events_allow.count, 0);
    assert_int_equal(s->events_deny.count, 0);
    assert_int_equal(s->fields_allow.count, 0);
    assert_int_equal(s->fields_deny.count, 0);
    assert_int_equal(s->fields_protected.count, 0);
    assert_int_equal(s->field_count, 0);
    mkto_config_free(config);
}

static void test_everything_set(void **state)
{
    const struct mkto_config *config =
        must_read("[marketo]\n"
                  "munchkin_id = 561-hyg-937\n"
                  "api = soap\n"
                  "naming = full_pascal\n"
                  "host = www.example.com\n"
                  "rest_endpoint = http://127.0.0.1:8080/gate/\n"
                  "rest_client_id = cid\n"
                  "rest_client_secret_file = /s/rest\n"
                  "rest_partition = North America\n"
                  "soap_endpoint = https://561-HYG-937.mktoapi.com/soap/mktows/3_1/\n"
                  "soap_user_id = user_1\n"
                  "soap_encryption_key_file = /s/soap\n"
                  "soap_workspace = Futures Institute\n"
                  "munchkin_endpoint = http://[::1]:9\n"
                  "munchkin_private_key_file = /s/munchkin\n"
                  "ca_file = /s/ca.pem\n"
                  "[spool]\npath = /srv/spool//\nmax_size = 64M\nkeep_free = 500M\n"
                  "[courier]\nsocket = /run/marketo/c.sock\nlinger = 0\n");
    const struct mkto_subscription *s = &config->subscriptions[0];

    (void)state;
    assert_string_equal(s->munchkin_id, "561-HYG-937");
    assert_int_equal(s->api, MKTO_API_SOAP);
    assert_int_equal(s->naming, MKTO_NAMING_FULL_PASCAL);
    assert_string_equal(s->host, "www.example.com");
    assert_string_equal(s->rest_endpoint, "http://127.0.0.1:8080/gate");
    assert_string_equal(s->rest_partition, "North America");
    assert_string_equal(s->soap_endpoint, "https://561-HYG-937.mktoapi.com/soap/mktows/3_1");
    assert_string_equal(s->soap_user_id, "user_1");
    assert_string_equal(s->soap_encryption_key_file, "/s/soap");
    assert_string_equal(s->soap_workspace, "Futures Institute");
    assert_string_equal(s->munchkin_endpoint, "http://[::1]:9");
    assert_string_equal(s->munchkin_private_key_file, "/s/munchkin");
    assert_string_equal(s->ca_file, "/s/ca.pem");
    assert_string_equal(config->spool_path, "/srv/spool");
    assert_int_equal(config->spool_max_size, 64 << 20);
    assert_int_equal(config->spool_keep_free, 500 << 20);
    assert_int_equal(config->spool_keep_free_percent, 0);
    assert_string_equal(config->socket, "/run/marketo/c.sock");
    assert_int_equal(config->linger_ms, 0);
    mkto_config_free(config);
}

static void test_several_subscriptions(void **state)
{
    const struct mkto_config *config =
        must_read("[fields brand-b]\nplan = Other_Plan__c\nseats = \n" REST
                  "[marketo brand-b]\nmunchkin_id = AAA-BBB-CCC\nrest_client_id = b\n"
                  "rest_client_secret_file = /nowhere/b\n"
                  "[fields]\nplan = Plan_Name__c\n"
                  "[sources]\nsite = wk_1\nshop = wk_22\n");
    const struct mkto_subscription *a = mkto_config_subscription(config, MKTO_SLICE_LIT(""));
    const struct mkto_subscription *b = mkto_config_subscription(config, MKTO_SLICE_LIT("brand-b"));

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    assert_null(mkto_config_subscription(config, MKTO_SLICE_LIT("brand-c")));
    assert_string_equal(mkto_config_field(a, MKTO_SLICE_LIT("plan"))->name, "Plan_Name__c");
    assert_null(mkto_config_field(a, MKTO_SLICE_LIT("seats")));
    assert_string_equal(mkto_config_field(b, MKTO_SLICE_LIT("plan"))->name, "Other_Plan__c");
    assert_string_equal(mkto_config_field(b, MKTO_SLICE_LIT("seats"))->name, "");
    assert_null(mkto_config_field(b, MKTO_SLICE_LIT("Plan")));
    assert_int_equal(b->field_count, 3);
    assert_string_equal(mkto_config_source(config, MKTO_SLICE_LIT("wk_22"))->name, "shop");
    assert_null(mkto_config_source(config, MKTO_SLICE_LIT("wk_2")));
    assert_null(mkto_config_source(config, MKTO_SLICE_LIT("wk_222")));
    assert_null(mkto_config_source(config, MKTO_SLICE_NONE));
    mkto_config_free(config);
}

static void test_only_subscription_has_no_need_of_its_name(void **state)
{
    const struct mkto_config *config =
        must_read("[marketo x]\nmunchkin_id = AAA-BBB-CCC\nrest_client_id = "
                  "b\nrest_client_secret_file = /b\n");

    (void)state;
    assert_ptr_equal(mkto_config_subscription(config, MKTO_SLICE_NONE), &config->subscriptions[0]);
    mkto_config_free(config);
}

static void test_layout_is_free(void **state)
{
    const struct mkto_config *config =
        must_read("\xef\xbb\xbf; comment\r\n# other\r\n\r\n   \t\r\n  ; indented comment\r\n"
                  "\t# and another\r\n[ marketo ]   ; the one\r\n"
                  "munchkin_id=561-HYG-937 ;id\r\n"
                  "rest_client_id\t =  a;b#c\t; what is behind ' ;' is a comment\r\n"
                  "rest_client_secret_file = /a=b:c\r\n"
                  "rest_partition = Team #1: north\r\n"
                  "[spool]\r\npath = /s");

    (void)state;
    assert_string_equal(config->subscriptions[0].rest_client_id, "a;b#c");
    assert_string_equal(config->subscriptions[0].rest_client_secret_file, "/a=b:c");
    assert_string_equal(config->subscriptions[0].rest_partition, "Team #1: north");
    assert_int_equal(config->subscriptions[0].line, 7);
    assert_string_equal(config->spool_path, "/s");
    mkto_config_free(config);
}

static void test_digest_follows_the_bytes(void **state)
{
    const struct mkto_config *a = must_read(REST);
    const struct mkto_config *b = must_read(REST "\n");
    const struct mkto_config *c = must_read(REST);

    (void)state;
    assert_true(a->digest != 0);
    assert_true(a->digest != b->digest);
    assert_true(a->digest == c->digest);
    mkto_config_free(a);
    mkto_config_free(b);
    mkto_config_free(c);
}

static void test_reserve_follows_a_small_day(void **state)
{
    const struct mkto_config *config = must_read(REST "calls_per_day = 500\n");

    (void)state;
    assert_int_equal(config->subscriptions[0].calls_reserve, 50);
    mkto_config_free(config);
}

static void test_units(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } durations[] = {
        {"500ms", 500},
        {"30s", 30000},
        {"5m", 300000},
        {"24h", INT64_C(86400000)},
        {"0", 0},
        {"0s", 0},
        {"3d", INT64_C(259200000)},
    };
    static const struct {
        const char *text;
        int64_t bytes;
    } sizes[] = {
        {"1048576", 1 << 20},         {"2048k", 2 << 20},       {"2048K", 2 << 20},
        {"500M", INT64_C(500) << 20}, {"2G", INT64_C(2) << 30}, {"1T", INT64_C(1) << 40},
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        snprintf(text, sizeof(text), REST "unchanged_for = %s\n", durations[i].text);
        const struct mkto_config *config = must_read(text);
        assert_int_equal(config->subscriptions[0].unchanged_for_ms, durations[i].ms);
        mkto_config_free(config);
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        snprintf(text, sizeof(text), REST "[spool]\nmax_size = %s\n", sizes[i].text);
        const struct mkto_config *config = must_read(text);
        assert_int_equal(config->spool_max_size, sizes[i].bytes);
        mkto_config_free(config);
    }
}

/* ---- every key at its edges ---- */

static void write_edge(const struct mkto_config_key *key, int64_t value, char *out, size_t size)
{
    const char *unit = key->kind == MKTO_CONFIG_KIND_DURATION ? "ms" : "";
    const char *beside = "";

    if (strcmp(key->key, "calls_reserve") == 0) {
        beside = "calls_per_day = 1000000\n";
    } else if (strcmp(key->key, "timeout") == 0) {
        beside = "connect_timeout = 100ms\n";
    }
    if (strcmp(key->section, "marketo") == 0) {
        snprintf(out, size, REST "%s = %" PRId64 "%s\n%s", key->key, value, unit, beside);
    } else {
        snprintf(out, size, REST "[%s]\n%s = %" PRId64 "%s\n", key->section, key->key, value, unit);
    }
}

static int64_t value_of(const struct mkto_config *config, const struct mkto_config_key *key)
{
    const char *base = strcmp(key->section, "marketo") == 0
                           ? (const char *)&config->subscriptions[0]
                           : (const char *)config;

    return key->kind == MKTO_CONFIG_KIND_COUNT ? *(const unsigned *)(base + key->offset)
                                               : *(const int64_t *)(base + key->offset);
}

static void check_edge(const struct mkto_config_key *key, int64_t value, bool good)
{
    char text[512];
    char said[1024];
    const struct mkto_config *config;

    write_edge(key, value, text, sizeof(text));
    config = read_bytes(text, strlen(text), said, sizeof(said));
    if (good) {
        assert_string_equal(said, "");
        assert_int_equal(value_of(config, key), value);
    } else {
        assert_null(config);
        assert_non_null(strstr(said, " is out of range ("));
        assert_non_null(strstr(said, key->value));
    }
    mkto_config_free(config);
}

static void test_every_key_at_its_edges(void **state)
{
    size_t count;
    const struct mkto_config_key *keys = mkto_config_keys(&count);
    int checked = 0;

    (void)state;
    for (size_t i = 0; i < count; i++) {
        if (keys[i].kind < MKTO_CONFIG_KIND_COUNT) {
            continue;
        }
        check_edge(&keys[i], keys[i].min, true);
        check_edge(&keys[i], keys[i].max, true);
        check_edge(&keys[i], keys[i].max + 1, false);
        if (keys[i].min > 0) {
            check_edge(&keys[i], keys[i].min - 1, false);
        }
        checked++;
    }
    assert_int_equal(checked, 17);
}

static void test_percent_edges(void **state)
{
    const struct mkto_config *config = must_read(REST "[spool]\nkeep_free = 90%\n");

    (void)state;
    assert_int_equal(config->spool_keep_free_percent, 90);
    mkto_config_free(config);
    config = must_read(REST "[spool]\nkeep_free = 0%\n");
    assert_int_equal(config->spool_keep_free_percent, 0);
    mkto_config_free(config);
}

/* The words of the table are true: the section exists, the default is read, the range is named. */
static void test_key_table(void **state)
{
    size_t count;
    const struct mkto_config_key *keys = mkto_config_keys(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        assert_true(strcmp(keys[i].section, "marketo") == 0 ||
                    strcmp(keys[i].section, "spool") == 0 ||
                    strcmp(keys[i].section, "courier") == 0);
        assert_true(keys[i].help[0] != '\0' && keys[i].value[0] != '\0');
        for (size_t j = 0; j < i; j++) {
            assert_false(strcmp(keys[i].section, keys[j].section) == 0 &&
                         strcmp(keys[i].key, keys[j].key) == 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_everything_set),
        cmocka_unit_test(test_several_subscriptions),
        cmocka_unit_test(test_only_subscription_has_no_need_of_its_name),
        cmocka_unit_test(test_layout_is_free),
        cmocka_unit_test(test_digest_follows_the_bytes),
        cmocka_unit_test(test_reserve_follows_a_small_day),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_every_key_at_its_edges),
        cmocka_unit_test(test_percent_edges),
        cmocka_unit_test(test_key_table),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
