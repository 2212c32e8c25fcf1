/* marketo.conf: what it means, and what is said about one that is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mkto_config.h"
#include "mkto_config_draft.h"

#define CONF "m.conf"
#define REST                                                                                       \
    "[marketo]\nmunchkin_id = 561-HYG-937\nrest_client_id = cid\n"                                 \
    "rest_client_secret_file = /nowhere/secret\n"

/* Secret files have their own tests. */
static const struct mkto_config_options no_files = {.reader = (uid_t)-1, .skip_secret_files = true};

static char directory[] = "/tmp/mkto-config-XXXXXX";

static int enter(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL || chdir(directory) != 0;
}

static int leave(void **state)
{
    (void)state;
    unlink(CONF);
    return chdir("/") != 0 || rmdir(directory) != 0;
}

static void write_conf(const char *text, size_t len)
{
    FILE *f = fopen(CONF, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* Reads text of len bytes; all that is said about it comes into said. */
static const struct mkto_config *read_bytes(const char *text, size_t len, char *said, size_t size)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    FILE *all = fmemopen(said, size, "w");
    const struct mkto_config *config;
    char first[MKTO_ERROR_MAX];

    write_conf(text, len);
    memset(said, 0, size);
    assert_non_null(all);
    config = mkto_config_read(CONF, &no_files, &err, all);
    assert_int_equal(fclose(all), 0);
    if (config == NULL) {
        snprintf(first, sizeof(first), "%.*s", (int)strcspn(said, "\n"), said);
        assert_string_equal(first, err.text);
    } else {
        assert_string_equal(err.text, "");
    }
    return config;
}

static const struct mkto_config *must_read(const char *text)
{
    char said[4096];
    const struct mkto_config *config = read_bytes(text, strlen(text), said, sizeof(said));

    if (config == NULL) {
        print_error("%s", said);
    }
    assert_non_null(config);
    return config;
}

static void must_refuse(const char *text, const char *expected)
{
    char said[65536];
    const struct mkto_config *config = read_bytes(text, strlen(text), said, sizeof(said));

    if (config != NULL) {
        print_error("accepted:\n%s", text);
    }
    assert_null(config);
    assert_string_equal(said, expected);
}

/* ---- what is read ---- */

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

/* ---- what is refused ---- */

struct bad {
    const char *text;
    const char *said; /* all of it */
};

static void refuse_all(const struct bad *bad, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        must_refuse(bad[i].text, bad[i].said);
    }
}
#define REFUSE_ALL(table) refuse_all(table, sizeof(table) / sizeof((table)[0]))

static void test_bad_lines(void **state)
{
    static const struct bad table[] = {
        {"", CONF ": there is no [marketo] section\n"},
        {"a = b\n" REST, CONF ":1: a: stands before any section; begin with [marketo]\n"},
        {REST "host: a.b\n",
         CONF ":5: ':' does not separate a key from its value here: write key = value\n"},
        {REST "host:x = a.b\n",
         CONF ":5: ':' does not separate a key from its value here: write key = value\n"},
        {REST "host\n", CONF ":5: neither key = value nor [section]\n"},
        {REST "= x\n", CONF ":5: there is no key before '='\n"},
        {REST "host =\n", CONF ":5: host: has no value\n"},
        {REST "host = ; not set\n", CONF ":5: host: has no value\n"},
        {REST "host ;= x\n", CONF ":5: neither key = value nor [section]\n"},
        {REST " host = a.b\n", CONF ":5: the line is indented: a value cannot go on in a second "
                                    "line, and a key begins at the first column\n"},
        {REST "host = a\n\t.example.com\n",
         CONF ":6: the line is indented: a value cannot go on in a second line, and a key begins "
              "at the first column\n"},
        {REST "host = a\x01z\n", CONF ":5: a control character\n"},
        {REST "host = a\rb\n", CONF ":5: a control character\n"},
        {REST "rest_partition = \xff\n", CONF ":5: the line is not UTF-8\n"},
        {REST "rest_partition = \xc0\xaf\n", CONF ":5: the line is not UTF-8\n"},
        {REST "rest_partition = \xed\xa0\x80\n", CONF ":5: the line is not UTF-8\n"},
        {REST "rest_partition = \xe2\x82\n", CONF ":5: the line is not UTF-8\n"},
        {REST "[spool\n", CONF ":5: the section's ']' is missing\n"},
        {REST "[spool] path = /x\n", CONF ":5: text behind the section's ']'\n"},
        {REST "[]\n", CONF ":5: the section has no name\n"},
        {REST "[ ]\n", CONF ":5: the section has no name\n"},
        {REST "[marketo 12345678901234567890123456789012345678901]\n",
         CONF ":5: the name is longer than 40 bytes\n"},
        {REST "[marketo 123456789012345678901234567890123456789012]\n",
         CONF ":5: the section's name is longer than 49 bytes\n"},
    };

    (void)state;
    REFUSE_ALL(table);
}

static void test_bad_sections(void **state)
{
    static const struct bad table[] = {
        {REST "[spol]\npath = /x\n", CONF ":5: unknown section [spol]; did you mean [spool]?\n"},
        {REST "[feilds]\n", CONF ":5: unknown section [feilds]; did you mean [fields]?\n"},
        {REST "[Marketo]\n", CONF ":5: unknown section [Marketo]; did you mean [marketo]?\n"},
        {REST "[http]\n",
         CONF ":5: unknown section [http]; there are [marketo], [marketo NAME], [spool], "
              "[courier], [fields], [fields NAME] and [sources]\n"},
        {REST REST, CONF ":5: this section stands in line 1 already\n"},
        {REST "[spool]\n[courier]\n[spool]\n", CONF ":7: this section stands in line 5 already\n"},
        {REST "[sources]\n[sources]\n", CONF ":6: this section stands in line 5 already\n"},
        {REST "[fields]\n[fields]\n", CONF ":6: this section stands in line 5 already\n"},
        {REST "[spool x]\n", CONF ":5: [spool] takes no name\n"},
        {REST "[fields brand-b]\n", CONF ":5: there is no [marketo] section of this name\n"},
        {REST "[fields \"x\"]\n", CONF ":5: a name is made of letters, digits, '.', '_' and '-'\n"},
        {"[marketo a b]\n", CONF ": there is no [marketo] section\n" CONF
                                 ":1: a name is made of letters, digits, '.', '_' and '-'\n"},
    };

    (void)state;
    REFUSE_ALL(table);
}

static void test_bad_keys(void **state)
{
    static const struct bad table[] = {
        {REST "batchsize = 3\n", CONF ":5: batchsize: unknown key; did you mean batch_size?\n"},
        {REST "bathc_size = 3\n", CONF ":5: bathc_size: unknown key; did you mean batch_size?\n"},
        {REST "apis = rest\n", CONF ":5: apis: unknown key; did you mean api?\n"},
        {REST "colour = red\n", CONF ":5: colour: unknown key in [marketo]\n"},
        {REST "max_size = 2G\n",
         CONF ":5: max_size: this key belongs in [spool], not in [marketo]\n"},
        {REST "soap_encryption_key = abc\n",
         CONF ":5: soap_encryption_key: unknown key; a secret stands in a file of its own, named "
              "by soap_encryption_key_file\n"},
        {REST "munchkin_id = AAA-BBB-CCC\n", CONF ":5: munchkin_id: stands in line 2 already\n"},
        {REST "[fields]\na = B\na = C\n", CONF ":7: a: stands in line 6 already\n"},
        {REST "[sources]\na = k1\na = k2\n", CONF ":7: a: stands in line 6 already\n"},
        {REST "[sources]\na = k1\nb = k1\n", CONF ":7: b: has the same write key as a in line 6\n"},
        {REST "[sources]\na =\n", CONF ":6: a: has no write key\n"},
        {REST "[sources]\na = k 1\n",
         CONF ":6: a: must not hold spaces; a comment behind a value begins with ';'\n"},
        {REST "[sources]\na b = k\n",
         CONF ":6: a b: a name is made of letters, digits, '.', '_' and '-'\n"},
        {REST "[fields]\nplan = Plan Name\n",
         CONF ":6: plan: must not hold spaces; a comment behind a value begins with ';'\n"},
        {REST "[fields]\nplan = \"Plan\"\n", CONF ":6: plan: values are written without quotes\n"},
    };

    (void)state;
    REFUSE_ALL(table);
}

static void test_bad_values(void **state)
{
    static const struct bad table[] = {
        {REST "host = \"www.example.com\"\n", CONF ":5: host: values are written without quotes\n"},
        {REST "host = www.example.com:80\n",
         CONF ":5: host: must be a host name alone, like www.example.com\n"},
        {REST "host = a..b\n", CONF ":5: host: must be a host name alone, like www.example.com\n"},
        {REST "naming = camel\n",
         CONF ":5: naming: must be pascal or full_pascal, not \"camel\"\n"},
        {REST "api = sopa # or rest\n",
         CONF ":5: api: must be rest or soap, not \"sopa # or rest\"\n"},
        {REST "batch_size = ten\n", CONF ":5: batch_size: must be a whole number (1..300)\n"},
        {REST "batch_size = -1\n", CONF ":5: batch_size: must be a whole number (1..300)\n"},
        {REST "batch_size = 1 0\n", CONF ":5: batch_size: must be a whole number (1..300)\n"},
        {REST "batch_size = 99999999999999999999\n",
         CONF ":5: batch_size: must be a whole number (1..300)\n"},
        {REST "lead_interval = 30\n",
         CONF ":5: lead_interval: must be a number with a unit, ms s m h or d, like 30s "
              "(duration, 0..1h)\n"},
        {REST "lead_interval = 30 s\n",
         CONF ":5: lead_interval: must be a number with a unit, ms s m h or d, like 30s "
              "(duration, 0..1h)\n"},
        {REST "lead_interval = 9223372036854775807d\n",
         CONF ":5: lead_interval: must be a number with a unit, ms s m h or d, like 30s "
              "(duration, 0..1h)\n"},
        {REST "lead_interval = 900000000000000000d\n",
         CONF ":5: lead_interval: 900000000000000000d is out of range (duration, 0..1h)\n"},
        {REST "[spool]\nmax_size = 2GB\n",
         CONF ":6: max_size: must be a number with a unit, k M G or T, like 500M (size, "
              "1M..16T)\n"},
        {REST "[spool]\nkeep_free = 91%\n",
         CONF ":6: keep_free: 91% is out of range (percent, 0%..90%, or size, 0..16T)\n"},
        {REST "[spool]\nkeep_free = %\n",
         CONF ":6: keep_free: must be a number with a unit, k M G or T, like 500M (percent, "
              "0%..90%, or size, 0..16T)\n"},
        {REST "[spool]\npath = spool\n",
         CONF ":6: path: must be an absolute path, one that begins with '/'\n"},
        {REST "[spool]\npath = ///\n", CONF ":6: path: must not be the root directory\n"},
        {REST "[spool]\npath = /tmp\n",
         CONF ":6: path: the socket must not lie directly in a directory that everybody may write "
              "to\n"},
        {REST "[courier]\nsocket = /tmp/courier.sock\n",
         CONF ":6: socket: the socket must not lie directly in a directory that everybody may "
              "write to\n"},
    };

    (void)state;
    REFUSE_ALL(table);
}

static void test_missing_and_pairs(void **state)
{
    static const struct bad table[] = {
        {"[marketo]\n", CONF ":1: munchkin_id: missing; every [marketo] section needs it\n" CONF
                             ":1: rest_client_id: missing; api = rest needs it\n" CONF
                             ":1: rest_client_secret_file: missing; api = rest needs it\n"},
        {"[marketo]\nmunchkin_id = 561-HYG-937\nrest_client_id = c\n",
         CONF ":3: rest_client_id: needs rest_client_secret_file beside it\n"},
        {"[marketo]\nmunchkin_id = 561-HYG-937\nrest_client_secret_file = /c\n",
         CONF ":3: rest_client_secret_file: needs rest_client_id beside it\n"},
        {"[marketo]\nmunchkin_id = 561-HYG-937\napi = soap\n",
         CONF ":1: soap_endpoint: missing; api = soap needs it\n" CONF
              ":1: soap_user_id: missing; api = soap needs it\n" CONF
              ":1: soap_encryption_key_file: missing; api = soap needs it\n"},
        {"[marketo]\nmunchkin_id = 561-HYG-937\napi = soap\nsoap_user_id = u\n"
         "soap_endpoint = https://a.b/c\nsoap_encryption_key_file = /k\nrest_client_id = c\n",
         CONF ":7: rest_client_id: needs rest_client_secret_file beside it\n"},
        {REST "soap_user_id = u\n",
         CONF ":5: soap_user_id: needs soap_encryption_key_file beside it\n"},
        {REST "calls_per_day = 500\ncalls_reserve = 501\n",
         CONF ":6: calls_reserve: is larger than calls_per_day\n"},
        {REST "connect_timeout = 20s\ntimeout = 19999ms\n",
         CONF ":5: connect_timeout: is longer than timeout\n"},
        {REST "timeout = 9s\n", CONF ":5: timeout: is shorter than connect_timeout\n"},
        {"[marketo]\nmunchkin_id = 561-HYG-93\napi = sop\n",
         CONF ":2: munchkin_id: must be a Munchkin id, three groups of three letters or digits: "
              "561-HYG-937\n" CONF ":3: api: must be rest or soap, not \"sop\"\n"},
    };

    (void)state;
    REFUSE_ALL(table);
}

static void test_munchkin_ids(void **state)
{
    static const char *const bad[] = {"561HYG937", "561-HYG-9377", "561-HY-937", "56_-HYG-937",
                                      "561-HYG-937-1"};
    char text[256];
    char said[512];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int len = snprintf(text, sizeof(text),
                           "[marketo]\nmunchkin_id = %s\nrest_client_id = c\n"
                           "rest_client_secret_file = /c\n",
                           bad[i]);
        assert_null(read_bytes(text, (size_t)len, said, sizeof(said)));
        assert_string_equal(said, CONF ":2: munchkin_id: must be a Munchkin id, three groups of "
                                       "three letters or digits: 561-HYG-937\n");
    }
}

static void test_all_mistakes_in_one_pass(void **state)
{
    (void)state;
    must_refuse("a = b\n[marketo]\nmunchkin_id = x\nrest_client_id = c\n"
                "timeouts = 3s\nhost\n[spool]\npath = x\n[fields z]\n",
                CONF ":1: a: stands before any section; begin with [marketo]\n" CONF
                     ":3: munchkin_id: must be a Munchkin id, three groups of three letters or "
                     "digits: 561-HYG-937\n" CONF
                     ":4: rest_client_id: needs rest_client_secret_file beside it\n" CONF
                     ":5: timeouts: unknown key; did you mean timeout?\n" CONF
                     ":6: neither key = value nor [section]\n" CONF
                     ":8: path: must be an absolute path, one that begins with '/'\n" CONF
                     ":9: there is no [marketo] section of this name\n");
}

static void test_mistakes_max(void **state)
{
    char text[8192] = REST;
    char said[65536];
    size_t len = strlen(text);
    size_t lines = 0;

    (void)state;
    for (int i = 0; i < MKTO_CONFIG_MISTAKES_MAX + 3; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "x\n");
    }
    assert_null(read_bytes(text, len, said, sizeof(said)));
    for (const char *p = said; *p != '\0'; p++) {
        lines += *p == '\n';
    }
    assert_int_equal(lines, MKTO_CONFIG_MISTAKES_MAX + 1);
    assert_non_null(strstr(said, CONF ": 3 more mistakes\n"));
}

static void test_no_value_of_a_secret_is_repeated(void **state)
{
    static const char *const keys[] = {"rest_client_secret_file", "soap_encryption_key_file",
                                       "munchkin_private_key_file", "rest_client_secret",
                                       "soap_user_id"};
    char text[256];
    char said[1024];

    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        int len = snprintf(text, sizeof(text), "[marketo]\n%s = hunter2 hunter2\n", keys[i]);
        assert_null(read_bytes(text, (size_t)len, said, sizeof(said)));
        assert_null(strstr(said, "hunter2"));
    }
}

static void test_not_a_file(void **state)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_error other = MKTO_ERROR_INIT;

    (void)state;
    assert_null(mkto_config_read("nowhere.conf", NULL, &err, NULL));
    assert_string_equal(err.text, "nowhere.conf: there is no such file");
    assert_null(mkto_config_read("/tmp", NULL, &other, NULL));
    assert_string_equal(other.text, "/tmp: not a regular file");
    assert_null(mkto_config_read("nowhere.conf", NULL, NULL, NULL));
    mkto_config_free(NULL);
}

static void test_secret_files_have_lines(void **state)
{
    const struct mkto_config_options options = {.reader = (uid_t)-1};
    struct mkto_error err = MKTO_ERROR_INIT;

    (void)state;
    write_conf(REST "ca_file = /nowhere/ca\n", strlen(REST "ca_file = /nowhere/ca\n"));
    assert_null(mkto_config_read(CONF, &options, &err, NULL));
    assert_string_equal(err.text, CONF ":4: rest_client_secret_file: there is no such file");
    write_conf(REST, strlen(REST));
    memset(&err, 0, sizeof(err));
    assert_null(mkto_config_read(CONF, NULL, &err, NULL));
    assert_string_equal(err.text, CONF ":4: rest_client_secret_file: there is no such file");
}

/* ---- maxima ---- */

/* REST, and key = value with a value of that many bytes; returns what is said. */
static const char *with_length(const char *before, const char *start, size_t len, const char *after)
{
    static char text[MKTO_CONFIG_SIZE_MAX + 4096];
    static char said[8192];
    int head = snprintf(text, sizeof(text), "%s%s", before, start);
    const struct mkto_config *config;
    size_t at = (size_t)head;

    memset(text + at, 'a', len);
    at += len;
    at += (size_t)snprintf(text + at, sizeof(text) - at, "%s", after);
    config = read_bytes(text, at, said, sizeof(said));
    mkto_config_free(config);
    return config == NULL ? said : "";
}

static void test_length_maxima(void **state)
{
    static const struct {
        const char *before;
        const char *start; /* that counts */
        size_t max;
        const char *after;
        const char *said;
    } table[] = {
        {REST "rest_partition = ", "", 255, "\n",
         CONF ":5: rest_partition: has 256 bytes; at most 255 are allowed\n"},
        {REST "soap_endpoint = ", "https://a.b/", 512, "\n",
         CONF ":5: soap_endpoint: has 513 bytes; at most 512 are allowed\n"},
        {REST "ca_file = ", "/", 1023, "\n",
         CONF ":5: ca_file: has 1024 bytes; at most 1023 are allowed\n"},
        {REST "[fields]\nx = ", "", 255, "\n",
         CONF ":6: x: has 256 bytes; at most 255 are allowed\n"},
        {REST "[sources]\nx = ", "", 255, "\n",
         CONF ":6: x: has 256 bytes; at most 255 are allowed\n"},
        {REST "[fields]\n", "", 128, " = X\n", CONF ":6: the key is longer than 128 bytes\n"},
        {REST "[courier]\nsocket = ", "/", 107, "\n",
         CONF ":6: socket: the socket's path has 108 bytes; at most 107 are possible\n"},
        {REST "[spool]\npath = ", "/", 107 - 13, "\n",
         CONF ":6: path: the socket's path, <path>/courier.sock, has 108 bytes; at most 107 are "
              "possible\n"},
        {REST, "; ", 4096, "\n", CONF ":5: the line is longer than 4096 bytes\n"},
        {"[marketo x]\nmunchkin_id = AAA-BBB-CCC\nrest_client_id = c\n"
         "rest_client_secret_file = /c\n[sources]\n",
         "", 40, " = k\n",
         CONF ":6: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: the name is longer than 40 bytes\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char before[512];
        size_t len = table[i].max - strlen(table[i].start);

        snprintf(before, sizeof(before), "%s", table[i].before);
        assert_string_equal(with_length(before, table[i].start, len, table[i].after), "");
        assert_string_equal(with_length(before, table[i].start, len + 1, table[i].after),
                            table[i].said);
    }
}

static void test_file_size(void **state)
{
    static char text[MKTO_CONFIG_SIZE_MAX + 1];
    char said[256];
    const struct mkto_config *config;

    (void)state;
    memset(text, '\n', sizeof(text));
    memcpy(text, REST, strlen(REST));
    config = read_bytes(text, MKTO_CONFIG_SIZE_MAX, said, sizeof(said));
    assert_non_null(config);
    mkto_config_free(config);
    assert_null(read_bytes(text, MKTO_CONFIG_SIZE_MAX + 1, said, sizeof(said)));
    assert_string_equal(said, CONF ": larger than 1 MB\n");
}

/* head, then `count` times a row made of format and the number, then head again. */
static const char *with_rows(const char *head, const char *row, int count)
{
    static char text[1 << 20];
    static char said[8192];
    size_t at = (size_t)snprintf(text, sizeof(text), "%s", head);
    const struct mkto_config *config;

    for (int i = 0; i < count; i++) {
        char number[16];

        snprintf(number, sizeof(number), "%d", i);
        for (const char *p = row; *p != '\0'; p++) {
            at += (size_t)snprintf(text + at, sizeof(text) - at, *p == '@' ? "%s" : "%.1s",
                                   *p == '@' ? number : p);
        }
    }
    config = read_bytes(text, at, said, sizeof(said));
    mkto_config_free(config);
    return config == NULL ? said : "";
}

static void test_count_maxima(void **state)
{
    const char *subscription = "[marketo s@]\nmunchkin_id = AAA-BBB-CCC\nrest_client_id = c\n"
                               "rest_client_secret_file = /c\n";

    (void)state;
    assert_string_equal(with_rows(REST "[fields]\n", "t@ = F\n", MKTO_CONFIG_FIELDS_MAX), "");
    assert_string_equal(with_rows(REST "[fields]\n", "t@ = F\n", MKTO_CONFIG_FIELDS_MAX + 1),
                        CONF ":1030: t1024: more than 1024 rows in all [fields] sections\n");
    assert_string_equal(with_rows(REST "[sources]\n", "s@ = k@\n", MKTO_CONFIG_SOURCES_MAX), "");
    assert_string_equal(with_rows(REST "[sources]\n", "s@ = k@\n", MKTO_CONFIG_SOURCES_MAX + 1),
                        CONF ":1030: s1024: more than 1024 sources\n");
    assert_string_equal(with_rows("", subscription, MKTO_CONFIG_SUBSCRIPTIONS_MAX), "");
    assert_string_equal(with_rows("", subscription, MKTO_CONFIG_SUBSCRIPTIONS_MAX + 1),
                        CONF ":257: more than 64 [marketo NAME] sections\n");
}

/* Lines of every length up to the maximum come through whole, whatever their bytes, although inih's
 * own buffer has 200 bytes. */
static void test_long_values_are_whole(void **state)
{
    static const char pattern[] = "ab c;d# e=f:g[h] \"i\" #j";
    char text[1024];
    char value[MKTO_CONFIG_TEXT_MAX + 1];

    (void)state;
    for (size_t len = 150; len <= MKTO_CONFIG_TEXT_MAX; len++) {
        const struct mkto_config *config;

        for (size_t i = 0; i < len; i++) {
            value[i] = pattern[i % (sizeof(pattern) - 1)];
        }
        value[len - 1] = 'z';
        value[len] = '\0';
        snprintf(text, sizeof(text), REST "rest_partition = %s   ; and\n", value);
        config = must_read(text);
        assert_string_equal(config->subscriptions[0].rest_partition, value);
        mkto_config_free(config);
    }
}

static void test_value_that_cannot_be_cut(void **state)
{
    char text[1024];
    char said[1024];
    int len;

    (void)state;
    len = snprintf(text, sizeof(text), REST "rest_partition = a%*sb\nhost = a.b\n", 240, "");
    assert_null(read_bytes(text, (size_t)len, said, sizeof(said)));
    assert_string_equal(said, CONF ":5: too many spaces, ';' or '#' in a row\n");
}

static void test_nul_byte(void **state)
{
    char text[] = REST "host = a\0b\n[spool]\npath = x\n";
    char said[1024];

    (void)state;
    assert_null(read_bytes(text, sizeof(text) - 1, said, sizeof(said)));
    assert_string_equal(said,
                        CONF ":5: a NUL byte\n" CONF
                             ":7: path: must be an absolute path, one that begins with '/'\n");
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
    assert_int_equal(checked, 15);
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

static void test_near(void **state)
{
    (void)state;
    assert_true(mkto_config_draft_is_near("spool", "spol"));
    assert_true(mkto_config_draft_is_near("spol", "spool"));
    assert_true(mkto_config_draft_is_near("spool", "spoon"));
    assert_true(mkto_config_draft_is_near("spool", "spolo"));
    assert_true(mkto_config_draft_is_near("", "a"));
    assert_false(mkto_config_draft_is_near("spool", "spool"));
    assert_false(mkto_config_draft_is_near("spool", "poll"));
    assert_false(mkto_config_draft_is_near("spool", "spooled"));
    assert_false(mkto_config_draft_is_near("ab", "cd"));
    assert_false(mkto_config_draft_is_near("", ""));
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
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_bad_sections),
        cmocka_unit_test(test_bad_keys),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_missing_and_pairs),
        cmocka_unit_test(test_munchkin_ids),
        cmocka_unit_test(test_all_mistakes_in_one_pass),
        cmocka_unit_test(test_mistakes_max),
        cmocka_unit_test(test_no_value_of_a_secret_is_repeated),
        cmocka_unit_test(test_not_a_file),
        cmocka_unit_test(test_secret_files_have_lines),
        cmocka_unit_test(test_length_maxima),
        cmocka_unit_test(test_file_size),
        cmocka_unit_test(test_count_maxima),
        cmocka_unit_test(test_long_values_are_whole),
        cmocka_unit_test(test_value_that_cannot_be_cut),
        cmocka_unit_test(test_nul_byte),
        cmocka_unit_test(test_every_key_at_its_edges),
        cmocka_unit_test(test_percent_edges),
        cmocka_unit_test(test_key_table),
        cmocka_unit_test(test_near),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
