/* marketo.conf: every maximum, one past it, and lines longer than the parser's own buffer. */
#include "config_text.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_length_maxima),
        cmocka_unit_test(test_file_size),
        cmocka_unit_test(test_count_maxima),
        cmocka_unit_test(test_long_values_are_whole),
        cmocka_unit_test(test_value_that_cannot_be_cut),
        cmocka_unit_test(test_nul_byte),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
