#include "mkto_config_access.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define GROUPS_MAX 256     /* groups of a user that are looked at */
#define ENTRY_BUFFER 16384 /* bytes for a passwd or group entry */

void mkto_config_access_user(uid_t uid, char *out, size_t size)
{
    char buffer[ENTRY_BUFFER];
    struct passwd passwd;
    struct passwd *found = NULL;

    if (getpwuid_r(uid, &passwd, buffer, sizeof(buffer), &found) == 0 && found != NULL) {
        snprintf(out, size, "%.96s (uid %ld)", found->pw_name, (long)uid);
    } else {
        snprintf(out, size, "uid %ld", (long)uid);
    }
}

void mkto_config_access_group(gid_t gid, char *out, size_t size)
{
    char buffer[ENTRY_BUFFER];
    struct group group;
    struct group *found = NULL;

    if (getgrgid_r(gid, &group, buffer, sizeof(buffer), &found) == 0 && found != NULL) {
        snprintf(out, size, "%.96s (gid %ld)", found->gr_name, (long)gid);
    } else {
        snprintf(out, size, "gid %ld", (long)gid);
    }
}

static bool is_in_group(uid_t user, gid_t group)
{
    char buffer[ENTRY_BUFFER];
    struct passwd passwd;
    struct passwd *found = NULL;
    gid_t groups[GROUPS_MAX];
    int count = GROUPS_MAX;

    if (getpwuid_r(user, &passwd, buffer, sizeof(buffer), &found) != 0 || found == NULL) {
        return false;
    }
    if (getgrouplist(found->pw_name, found->pw_gid, groups, &count) < 0) {
        return true; /* in more groups than are looked at: not known, so no complaint */
    }
    for (int i = 0; i < count; i++) {
        if (groups[i] == group) {
            return true;
        }
    }
    return false;
}

/* The rule of the first that fits: owner, group, other. */
static bool has_bits(const struct stat *st, uid_t user, unsigned bits)
{
    unsigned mode = (unsigned)st->st_mode;

    if (st->st_uid == user) {
        return (mode >> 6 & bits) == bits;
    }
    if (is_in_group(user, st->st_gid)) {
        return (mode >> 3 & bits) == bits;
    }
    return (mode & bits) == bits;
}

/* What the kernel says when the user is we; else by the mode. What cannot be looked at passes: a
 * directory that is closed to us may be open to the user. */
static bool is_open(const char *path, struct stat *st, uid_t user, unsigned bits)
{
    if (stat(path, st) != 0 || user == 0) {
        return true;
    }
    if (user == geteuid()) {
        return faccessat(AT_FDCWD, path, (int)bits, AT_EACCESS) == 0;
    }
    return has_bits(st, user, bits) || getxattr(path, "system.posix_acl_access", NULL, 0) > 0;
}

static int check(const char *path, uid_t user, unsigned bits, const char *verb,
                 struct mkto_error *err)
{
    char who[3][MKTO_CONFIG_ACCESS_NAME_MAX];
    struct stat st;

    if (is_open(path, &st, user, bits)) {
        return 0;
    }
    mkto_config_access_user(user, who[0], sizeof(who[0]));
    mkto_config_access_user(st.st_uid, who[1], sizeof(who[1]));
    mkto_config_access_group(st.st_gid, who[2], sizeof(who[2]));
    return mkto_error_set(err, "%s may not %s %s (owner %s, group %s, mode %04o)", who[0], verb,
                          path, who[1], who[2], (unsigned)st.st_mode & 07777u);
}

static int check_above(const char *path, uid_t user, struct mkto_error *err)
{
    char directory[PATH_MAX];
    size_t len = strlen(path);

    if (len >= sizeof(directory) || path[0] != '/') {
        return 0;
    }
    if (check("/", user, MKTO_CONFIG_ACCESS_ENTER, "enter", err) != 0) {
        return -1;
    }
    for (size_t i = 1; i < len; i++) {
        if (path[i] != '/') {
            continue;
        }
        memcpy(directory, path, i);
        directory[i] = '\0';
        if (check(directory, user, MKTO_CONFIG_ACCESS_ENTER, "enter", err) != 0) {
            return -1;
        }
    }
    return 0;
}

int mkto_config_access_parents(const char *path, uid_t user, struct mkto_error *err)
{
    char *real;
    int rc = check_above(path, user, err);

    if (rc != 0) {
        return rc;
    }
    real = realpath(path, NULL);
    if (real != NULL && strcmp(real, path) != 0) {
        rc = check_above(real, user, err);
    }
    free(real);
    return rc;
}

int mkto_config_access(const char *path, uid_t user, unsigned bits, struct mkto_error *err)
{
    const char *verb = bits == MKTO_CONFIG_ACCESS_READ ? "read" : "write to";

    if (mkto_config_access_parents(path, user, err) != 0) {
        return -1;
    }
    return check(path, user, bits, verb, err);
}
