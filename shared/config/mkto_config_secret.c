#include "mkto_config_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mkto_config.h"
#include "mkto_config_access.h"

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
static int check_kind(const struct stat *st, bool secret, const struct place *place,
                      struct mkto_error *err)
{
    if (!S_ISREG(st->st_mode)) {
        return mkto_error_set(err, "%s is not a regular file", place->file);
    }
    if (!secret) {
        return 0;
    }
    if (!place->kept && (st->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return mkto_error_set(err, "%s is writable by group or other (mode %04o): chmod 0640 it",
                              place->file, (unsigned)st->st_mode & 07777u);
    }
    if (!place->kept && (st->st_mode & S_IROTH) != 0) {
        return mkto_error_set(err, "%s is readable by everybody (mode %04o): chmod 0640 it",
                              place->file, (unsigned)st->st_mode & 07777u);
    }
    if (st->st_size == 0) {
        return mkto_error_set(err, "%s is empty", place->file);
    }
    if (st->st_size > MKTO_CONFIG_SECRET_MAX) {
        return mkto_error_set(err, "%s has %lld bytes; a secret has at most %d", place->file,
                              (long long)st->st_size, MKTO_CONFIG_SECRET_MAX);
    }
    return 0;
}

static int check_reader(const struct place *place, uid_t reader, struct mkto_error *err)
{
    /* Kept files may be opened to the service in ways that no mode shows. */
    if (reader == (uid_t)-1 || (place->kept && reader != geteuid())) {
        return 0;
    }
    return mkto_config_access(place->file, reader, MKTO_CONFIG_ACCESS_READ, err);
}

/* Why it cannot be looked at: the directory that is closed, when there is one. */
static int check_missing(const struct place *place, uid_t reader, int error, struct mkto_error *err)
{
    if (error == EACCES && mkto_config_access_parents(place->file, reader, err) != 0) {
        return -1;
    }
    return mkto_error_set(err, "%s: %s", place->file, errno_words(error));
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
        return check_missing(&place, reader, errno, err);
    }
    if (check_kind(&st, secret, &place, err) != 0) {
        return -1;
    }
    return check_reader(&place, reader, err);
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
static long trim_secret(const char *text, size_t len, const struct place *place,
                        struct mkto_error *err)
{
    if (len > 0 && text[len - 1] == '\n') {
        len--;
    }
    if (len > 0 && text[len - 1] == '\r') {
        len--;
    }
    if (len == 0) {
        return mkto_error_set(err, "%s is empty", place->file);
    }
    if (memchr(text, '\n', len) != NULL || memchr(text, '\0', len) != NULL) {
        return mkto_error_set(err, "%s must hold one line of text", place->file);
    }
    return (long)len;
}

static long read_secret(int fd, const struct place *place, char *out, size_t size,
                        struct mkto_error *err)
{
    struct stat st;
    ssize_t len;

    if (fstat(fd, &st) != 0) {
        return mkto_error_set(err, "%s: %s", place->file, errno_words(errno));
    }
    if (check_kind(&st, true, place, err) != 0) {
        return -1;
    }
    if ((size_t)st.st_size > size) {
        return mkto_error_set(err, "%s has %lld bytes; there is room for %zu", place->file,
                              (long long)st.st_size, size);
    }
    len = read_all(fd, out, size);
    if (len < 0) {
        return mkto_error_set(err, "%s: %s", place->file, errno_words(errno));
    }
    return trim_secret(out, (size_t)len, place, err);
}

long mkto_config_secret(const char *file, char *out, size_t size, struct mkto_error *err)
{
    struct place place = {.kept = false};
    long len;
    int fd;

    if (find(file, &place, err) != 0) {
        return -1;
    }
    fd = open(place.file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return mkto_error_set(err, "%s: %s", place.file, errno_words(errno));
    }
    len = read_secret(fd, &place, out, size, err);
    close(fd);
    return len;
}
