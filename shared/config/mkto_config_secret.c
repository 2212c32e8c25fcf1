#include "mkto_config_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mkto_config.h"

#define GROUPS_MAX 256      /* groups of a reader that are looked at */
#define PASSWD_BUFFER 16384 /* bytes for a passwd entry */

/* The file that counts, and whether the rules on its mode hold. */
struct place {
    char file[PATH_MAX];
    bool kept; /* by service manager or container runtime */
};

static bool is_below(const char *file, const char *directory)
{
    size_t len = strlen(directory);

    return strncmp(file, directory, len) == 0 && file[len] == '/' &&
           strstr(file + len, "/../") == NULL;
}

static int find(const char *file, struct place *place, struct mkto_error *err)
{
    const char *directory = secure_getenv("CREDENTIALS_DIRECTORY");
    const char *slash = strrchr(file, '/');
    struct stat st;
    int len;

    if (directory != NULL && directory[0] == '/') {
        len = snprintf(place->file, sizeof(place->file), "%s/%s", directory,
                       slash == NULL ? file : slash + 1);
        if (len > 0 && (size_t)len < sizeof(place->file) && stat(place->file, &st) == 0) {
            place->kept = true;
            return 0;
        }
    }
    len = snprintf(place->file, sizeof(place->file), "%s", file);
    if (len < 0 || (size_t)len >= sizeof(place->file)) {
        return mkto_error_set(err, "the path is too long");
    }
    place->kept =
        is_below(file, "/run/secrets") || (directory != NULL && is_below(file, directory));
    return 0;
}

/* strerror is not thread-safe, and its GNU variants differ; a few words are enough. */
static const char *errno_words(int error)
{
    switch (error) {
    case ENOENT: return "there is no such file";
    case ENOTDIR: return "a part of the path is not a directory";
    case EACCES: return "permission denied";
    case ELOOP: return "too many symbolic links";
    default: return "it cannot be read";
    }
}

/* What holds for the file whoever reads it. */
static int check_kind(const struct stat *st, bool secret, bool kept, struct mkto_error *err)
{
    if (!S_ISREG(st->st_mode)) {
        return mkto_error_set(err, "it is not a regular file");
    }
    if (!secret) {
        return 0;
    }
    if (!kept && (st->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return mkto_error_set(err, "it is writable by group or other (mode %04o)",
                              (unsigned)st->st_mode & 07777u);
    }
    if (!kept && (st->st_mode & S_IROTH) != 0) {
        return mkto_error_set(err, "it is readable by everybody (mode %04o)",
                              (unsigned)st->st_mode & 07777u);
    }
    if (st->st_size == 0) {
        return mkto_error_set(err, "it is empty");
    }
    if (st->st_size > MKTO_CONFIG_SECRET_MAX) {
        return mkto_error_set(err, "it has %lld bytes; a secret has at most %d",
                              (long long)st->st_size, MKTO_CONFIG_SECRET_MAX);
    }
    return 0;
}

static bool is_in_group(const struct passwd *passwd, gid_t group)
{
    gid_t groups[GROUPS_MAX];
    int count = GROUPS_MAX;

    if (getgrouplist(passwd->pw_name, passwd->pw_gid, groups, &count) < 0) {
        return true; /* in more groups than are looked at: not known, so no complaint */
    }
    for (int i = 0; i < count; i++) {
        if (groups[i] == group) {
            return true;
        }
    }
    return false;
}

/* May another uid read the file, by owner, group and other bits? */
static bool may_read(const struct stat *st, uid_t reader)
{
    char buffer[PASSWD_BUFFER];
    struct passwd passwd;
    struct passwd *found = NULL;

    if (reader == 0) {
        return true;
    }
    if (st->st_uid == reader) {
        return (st->st_mode & S_IRUSR) != 0;
    }
    if (getpwuid_r(reader, &passwd, buffer, sizeof(buffer), &found) == 0 && found != NULL &&
        is_in_group(found, st->st_gid)) {
        return (st->st_mode & S_IRGRP) != 0;
    }
    return (st->st_mode & S_IROTH) != 0;
}

static int check_reader(const struct place *place, const struct stat *st, uid_t reader,
                        struct mkto_error *err)
{
    bool readable;

    if (reader == (uid_t)-1) {
        return 0;
    }
    if (reader == geteuid()) {
        readable = faccessat(AT_FDCWD, place->file, R_OK, AT_EACCESS) == 0;
    } else {
        /* Kept files may be opened to the service by an access list, which a mode does not show. */
        readable = place->kept || may_read(st, reader);
    }
    if (!readable) {
        return mkto_error_set(err, "uid %ld may not read it (owner %ld, group %ld, mode %04o)",
                              (long)reader, (long)st->st_uid, (long)st->st_gid,
                              (unsigned)st->st_mode & 07777u);
    }
    return 0;
}

static int check(const char *file, uid_t reader, bool secret, struct mkto_error *err)
{
    struct place place = {.kept = false};
    struct stat st;

    if (find(file, &place, err) != 0) {
        return -1;
    }
    if (stat(place.file, &st) != 0) {
        /* A directory that is closed to us may be open to the reader. */
        if (errno == EACCES && reader != geteuid()) {
            return 0;
        }
        return mkto_error_set(err, "%s", errno_words(errno));
    }
    if (check_kind(&st, secret, place.kept, err) != 0) {
        return -1;
    }
    return check_reader(&place, &st, reader, err);
}

int mkto_config_secret_check(const char *file, uid_t reader, struct mkto_error *err)
{
    return check(file, reader, true, err);
}

int mkto_config_secret_check_plain(const char *file, uid_t reader, struct mkto_error *err)
{
    return check(file, reader, false, err);
}

/* Reads up to size bytes; -1 with errno. */
static ssize_t read_all(int fd, char *out, size_t size)
{
    size_t len = 0;

    while (len < size) {
        ssize_t got = read(fd, out + len, size - len);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        len += (size_t)got;
    }
    return (ssize_t)len;
}

/* Length of the secret without its newline; -1 when it is no single line of text. */
static long trim_secret(const char *text, size_t len, struct mkto_error *err)
{
    if (len > 0 && text[len - 1] == '\n') {
        len--;
    }
    if (len > 0 && text[len - 1] == '\r') {
        len--;
    }
    if (len == 0) {
        return mkto_error_set(err, "it is empty");
    }
    if (memchr(text, '\n', len) != NULL || memchr(text, '\0', len) != NULL) {
        return mkto_error_set(err, "it must hold one line of text");
    }
    return (long)len;
}

static long read_secret(int fd, bool kept, char *out, size_t size, struct mkto_error *err)
{
    struct stat st;
    ssize_t len;

    if (fstat(fd, &st) != 0) {
        return mkto_error_set(err, "%s", errno_words(errno));
    }
    if (check_kind(&st, true, kept, err) != 0) {
        return -1;
    }
    if ((size_t)st.st_size > size) {
        return mkto_error_set(err, "it has %lld bytes; there is room for %zu",
                              (long long)st.st_size, size);
    }
    len = read_all(fd, out, size);
    if (len < 0) {
        return mkto_error_set(err, "%s", errno_words(errno));
    }
    return trim_secret(out, (size_t)len, err);
}

long mkto_config_secret(const char *file, char *out, size_t size, struct mkto_error *err)
{
    struct place place = {.kept = false};
    struct mkto_error reason = MKTO_ERROR_INIT;
    long len;
    int fd;

    if (find(file, &place, err) != 0) {
        return -1;
    }
    fd = open(place.file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return mkto_error_set(err, "%s: %s", place.file, errno_words(errno));
    }
    len = read_secret(fd, place.kept, out, size, &reason);
    close(fd);
    if (len < 0) {
        return mkto_error_set(err, "%s: %s", place.file, reason.text);
    }
    return len;
}
