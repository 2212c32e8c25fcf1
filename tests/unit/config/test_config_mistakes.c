/* marketo.conf: what is said about one that is wrong. */
#include "config_text.h"

#include "mkto_config_draft.h"

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
    assert_string_equal(err.text,
                        CONF ":4: rest_client_secret_file: /nowhere/secret: there is no such file");
    write_conf(REST, strlen(REST));
    memset(&err, 0, sizeof(err));
    assert_null(mkto_config_read(CONF, NULL, &err, NULL));
    assert_string_equal(err.text,
                        CONF ":4: rest_client_secret_file: /nowhere/secret: there is no such file");
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
        cmocka_unit_test(test_near),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
