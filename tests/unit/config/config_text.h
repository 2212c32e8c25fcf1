/*
 * config_text.h: marketo.conf as a text in a test, and what is said about it. One program, one use.
 */
#ifndef CONFIG_TEXT_H
#define CONFIG_TEXT_H

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

#define CONF "m.conf"
#define REST                                                                                       \
    "[marketo]\nmunchkin_id = 561-HYG-937\nrest_client_id = cid\n"                                 \
    "rest_client_secret_file = /nowhere/secret\n"

/* Secret files have their own tests. */
static const struct mkto_config_options no_files = {.reader = (uid_t)-1, .skip_secret_files = true};

static char directory[] = "/tmp/mkto-config-XXXXXX";

/* Group fixtures: the tests run in a directory of their own. */
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

__attribute__((unused)) static const struct mkto_config *must_read(const char *text)
{
    char said[4096];
    const struct mkto_config *config = read_bytes(text, strlen(text), said, sizeof(said));

    if (config == NULL) {
        print_error("%s", said);
    }
    assert_non_null(config);
    return config;
}

__attribute__((unused)) static void must_refuse(const char *text, const char *expected)
{
    char said[65536];
    const struct mkto_config *config = read_bytes(text, strlen(text), said, sizeof(said));

    if (config != NULL) {
        print_error("accepted:\n%s", text);
    }
    assert_null(config);
    assert_string_equal(said, expected);
}

#endif
