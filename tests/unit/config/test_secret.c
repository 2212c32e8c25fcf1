/* Secret files: how they must be kept, and who may read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mkto_config.h"
#include "mkto_config_access.h"
#include "mkto_config_secret.h"

#define NOBODY ((uid_t)54321) /* owns nothing here */

static char directory[] = "/tmp/mkto-secret-XXXXXX";

static int enter(void **state)
{
    (void)state;
    unsetenv("CREDENTIALS_DIRECTORY");
    return mkdtemp(directory) == NULL;
}

static int leave(void **state)
{
    (void)state;
    return rmdir(directory);
}

static const char *path_of(const char *name)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static const char *make_secret(const char *name, const char *text, size_t len, mode_t mode)
{
    const char *path = path_of(name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

/* What is said about a file with that mode, asked for that reader; "" for nothing. */
static const char *said_about(mode_t mode, uid_t reader)
{
    static struct mkto_error err;
    const char *path = make_secret("s", "hunter2\n", 8, mode);
    int rc;

    memset(&err, 0, sizeof(err));
    rc = mkto_config_secret_check(path, reader, &err);
    assert_int_equal(rc == 0, err.text[0] == '\0');
    unlink(path);
    return err.text;
}

static void test_modes(void **state)
{
    char open[PATH_MAX + MKTO_ERROR_MAX];
    char writable[PATH_MAX + MKTO_ERROR_MAX];

    (void)state;
    assert_string_equal(said_about(0600, geteuid()), "");
    assert_string_equal(said_about(0400, geteuid()), "");
    assert_string_equal(said_about(0640, geteuid()), "");
    snprintf(open, sizeof(open), "%s is readable by everybody (mode 0644): chmod 0640 it",
             path_of("s"));
    assert_string_equal(said_about(0644, geteuid()), open);
    assert_string_equal(said_about(0644, (uid_t)-1), open);
    snprintf(writable, sizeof(writable),
             "%s is writable by group or other (mode 0660): chmod 0640 it", path_of("s"));
    assert_string_equal(said_about(0660, geteuid()), writable);
    assert_non_null(strstr(said_about(0602, geteuid()), "group or other (mode 0602)"));
    assert_non_null(strstr(said_about(0604, geteuid()), "by everybody (mode 0604)"));
}

/* What is said when that user cannot get past path with that mode; it is ours. */
static const char *refusal(uid_t user, const char *verb, const char *path, unsigned mode)
{
    static char said[PATH_MAX + MKTO_ERROR_MAX];
    char who[3][MKTO_CONFIG_ACCESS_NAME_MAX];
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    mkto_config_access_user(user, who[0], sizeof(who[0]));
    mkto_config_access_user(st.st_uid, who[1], sizeof(who[1]));
    mkto_config_access_group(st.st_gid, who[2], sizeof(who[2]));
    snprintf(said, sizeof(said), "%s may not %s %s (owner %s, group %s, mode %04o)", who[0], verb,
             path, who[1], who[2], mode);
    return said;
}

static void test_readers(void **state)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    const char *path;

    (void)state;
    assert_int_equal(chmod(directory, 0755), 0);
    assert_string_equal(said_about(0600, 0), "");
    assert_string_equal(said_about(0600, (uid_t)-1), "");
    path = make_secret("s", "x", 1, 0640);
    assert_int_equal(mkto_config_secret_check(path, NOBODY, &err), -1);
    assert_string_equal(err.text, refusal(NOBODY, "read", path, 0640));
    unlink(path);
}

/* A file that its reader may read, below a directory that he may not enter. */
static void test_closed_directory(void **state)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    const char *path;

    (void)state;
    path = make_secret("ca", "x", 1, 0644);
    assert_int_equal(chmod(directory, 0755), 0);
    assert_int_equal(mkto_config_access(path, NOBODY, MKTO_CONFIG_ACCESS_READ, &err), 0);
    assert_int_equal(chmod(directory, 0750), 0);
    assert_int_equal(mkto_config_access(path, 0, MKTO_CONFIG_ACCESS_READ, &err), 0);
    assert_int_equal(mkto_config_access(path, geteuid(), MKTO_CONFIG_ACCESS_READ, &err), 0);
    assert_int_equal(mkto_config_access(path, NOBODY, MKTO_CONFIG_ACCESS_READ, &err), -1);
    assert_string_equal(err.text, refusal(NOBODY, "enter", directory, 0750));
    memset(&err, 0, sizeof(err));
    assert_int_equal(mkto_config_secret_check_plain(path, NOBODY, &err), -1);
    assert_string_equal(err.text, refusal(NOBODY, "enter", directory, 0750));
    assert_int_equal(chmod(directory, 0755), 0);
    unlink(path);
}

static void test_names(void **state)
{
    char who[MKTO_CONFIG_ACCESS_NAME_MAX];

    (void)state;
    mkto_config_access_user(0, who, sizeof(who));
    assert_string_equal(who, "root (uid 0)");
    mkto_config_access_group(0, who, sizeof(who));
    assert_string_equal(who, "root (gid 0)");
    mkto_config_access_user(NOBODY, who, sizeof(who));
    assert_string_equal(who, "uid 54321");
}

/* A uid that owns the file, and one that is in its group: only root can make such files. */
static void test_owner_and_group(void **state)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    const char *path;

    (void)state;
    if (geteuid() != 0) {
        puts("skipped test_owner_and_group: needs root");
        skip();
    }
    assert_int_equal(chmod(directory, 0755), 0);
    path = make_secret("s", "x", 1, 0400);
    assert_int_equal(chown(path, 1, 1), 0);
    assert_int_equal(mkto_config_secret_check(path, 1, &err), 0);
    assert_int_equal(chmod(path, 0040), 0);
    assert_int_equal(mkto_config_secret_check(path, 1, &err), -1);
    assert_string_equal(err.text, refusal(1, "read", path, 0040));
    assert_int_equal(chown(path, 0, 1), 0); /* daemon's own group */
    memset(&err, 0, sizeof(err));
    assert_int_equal(mkto_config_secret_check(path, 1, &err), 0);
    assert_int_equal(mkto_config_secret_check(path, NOBODY, &err), -1);
    unlink(path);
}

static void test_what_is_no_secret_file(void **state)
{
    struct mkto_error err[3] = {MKTO_ERROR_INIT, MKTO_ERROR_INIT, MKTO_ERROR_INIT};
    const char *path;

    (void)state;
    assert_int_equal(mkto_config_secret_check(path_of("none"), geteuid(), &err[0]), -1);
    assert_non_null(strstr(err[0].text, "/none: there is no such file"));
    assert_int_equal(mkto_config_secret_check(directory, geteuid(), &err[1]), -1);
    assert_non_null(strstr(err[1].text, " is not a regular file"));
    path = make_secret("s", "", 0, 0600);
    assert_int_equal(mkto_config_secret_check(path, geteuid(), &err[2]), -1);
    assert_non_null(strstr(err[2].text, "/s is empty"));
    unlink(path);
}

static void test_plain_files(void **state)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    const char *path = make_secret("ca", "", 0, 0644);

    (void)state;
    assert_int_equal(chmod(directory, 0755), 0);
    assert_int_equal(mkto_config_secret_check_plain(path, NOBODY, &err), 0);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(mkto_config_secret_check_plain(path, NOBODY, &err), -1);
    unlink(path);
}

/* Reads a secret of that text; returns its length or -1, with what was said in err. */
static long take(const char *text, size_t len, char *out, size_t size, struct mkto_error *err)
{
    const char *path = make_secret("s", text, len, 0600);
    long got;

    memset(err, 0, sizeof(*err));
    got = mkto_config_secret(path, out, size, err);
    unlink(path);
    return got;
}

static void test_reading(void **state)
{
    struct mkto_error err;
    char out[64];
    char said[PATH_MAX + MKTO_ERROR_MAX];

    (void)state;
    assert_int_equal(take("hunter2\n", 8, out, sizeof(out), &err), 7);
    assert_memory_equal(out, "hunter2", 7);
    assert_int_equal(take("hunter2", 7, out, sizeof(out), &err), 7);
    assert_int_equal(take("hunter2\r\n", 9, out, sizeof(out), &err), 7);
    assert_int_equal(take(" a b ", 5, out, sizeof(out), &err), 5);
    assert_int_equal(take("\n", 1, out, sizeof(out), &err), -1);
    snprintf(said, sizeof(said), "%s is empty", path_of("s"));
    assert_string_equal(err.text, said);
    assert_int_equal(take("a\nb\n", 4, out, sizeof(out), &err), -1);
    snprintf(said, sizeof(said), "%s must hold one line of text", path_of("s"));
    assert_string_equal(err.text, said);
    assert_int_equal(take("a\0b", 3, out, sizeof(out), &err), -1);
    assert_string_equal(err.text, said);
}

static void test_size(void **state)
{
    static char text[MKTO_CONFIG_SECRET_MAX + 1];
    static char out[MKTO_CONFIG_SECRET_MAX + 1];
    struct mkto_error err;
    char said[PATH_MAX + MKTO_ERROR_MAX];

    (void)state;
    memset(text, 'k', sizeof(text));
    assert_int_equal(take(text, 64, out, 64, &err), 64);
    assert_int_equal(take(text, 65, out, 64, &err), -1);
    snprintf(said, sizeof(said), "%s has 65 bytes; there is room for 64", path_of("s"));
    assert_string_equal(err.text, said);
    assert_int_equal(take(text, MKTO_CONFIG_SECRET_MAX, out, sizeof(out), &err),
                     MKTO_CONFIG_SECRET_MAX);
    assert_int_equal(take(text, MKTO_CONFIG_SECRET_MAX + 1, out, sizeof(out), &err), -1);
    snprintf(said, sizeof(said), "%s has 4097 bytes; a secret has at most 4096", path_of("s"));
    assert_string_equal(err.text, said);
}

static void test_reading_checks_the_mode(void **state)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    char out[64];
    char said[PATH_MAX + MKTO_ERROR_MAX];
    const char *path = make_secret("s", "x", 1, 0644);

    (void)state;
    assert_int_equal(mkto_config_secret(path, out, sizeof(out), &err), -1);
    snprintf(said, sizeof(said), "%s is readable by everybody (mode 0644): chmod 0640 it", path);
    assert_string_equal(err.text, said);
    unlink(path);
}

/* The service manager's copy is taken before the file of the config, and its mode is its business.
 */
static void test_credentials_directory(void **state)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    char out[64];
    char path[PATH_MAX];

    (void)state;
    snprintf(path, sizeof(path), "%s", make_secret("rest.secret", "inner", 5, 0644));
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", directory, 1), 0);
    assert_int_equal(mkto_config_secret("/etc/marketo/rest.secret", out, sizeof(out), &err), 5);
    assert_memory_equal(out, "inner", 5);
    assert_int_equal(mkto_config_secret_check("/etc/marketo/rest.secret", geteuid(), &err), 0);
    assert_int_equal(mkto_config_secret_check(path, geteuid(), &err), 0);
    assert_int_equal(mkto_config_secret_check("/etc/marketo/other", geteuid(), &err), -1);
    assert_string_equal(err.text, "/etc/marketo/other: there is no such file");
    unsetenv("CREDENTIALS_DIRECTORY");
    memset(&err, 0, sizeof(err));
    assert_int_equal(mkto_config_secret_check(path, geteuid(), &err), -1);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_readers),
        cmocka_unit_test(test_closed_directory),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_owner_and_group),
        cmocka_unit_test(test_what_is_no_secret_file),
        cmocka_unit_test(test_plain_files),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_reading_checks_the_mode),
        cmocka_unit_test(test_credentials_directory),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
