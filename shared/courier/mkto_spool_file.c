/*
 * The spool's directory, its lock, and what is known of the file before SQLite touches it.
 */
#include "mkto_spool_db.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define NEW_FILE MKTO_SPOOL_FILE ".new" /* of a salvage */
#define HEADER_SIZE 100                 /* bytes of SQLite's file header */
#define HEADER_MAGIC "SQLite format 3"
#define HEADER_VERSION_AT 60     /* user_version, big-endian */
#define HEADER_APPLICATION_AT 68 /* application_id */

/* f_type of statfs; some are not in every linux/magic.h. */
#define FS_NFS 0x6969L
#define FS_SMB 0x517bL
#define FS_SMB2 0xfe534d42L
#define FS_CIFS 0xff534d42L
#define FS_AFS 0x5346414fL
#define FS_TMPFS 0x01021994L
#define FS_RAMFS 0x858458f6L
#define FS_OVERLAY 0x794c7630L

int mkto_spool_file_name(const char *path, const char *file, char *out, size_t size,
                         struct mkto_error *err)
{
    const int length = snprintf(out, size, "%s/%s", path, file);
    if (length < 0 || (size_t)length >= size) {
        return mkto_error_set(err, "spool: the path is too long");
    }
    return 0;
}

/* A new name in a directory is only there for good when the directory was fsynced, too. */
static int sync_directory(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    const int rc = fsync(fd);
    close(fd);
    return rc;
}

static int make_directory(const char *path, struct mkto_error *err)
{
    char parent[PATH_MAX];
    if (mkdir(path, 0700) != 0) {
        return errno == EEXIST
                   ? 0
                   : mkto_error_set(err, "spool %s: cannot be made: %s", path, strerror(errno));
    }
    if (snprintf(parent, sizeof(parent), "%s", path) >= (int)sizeof(parent) ||
        sync_directory(dirname(parent)) != 0) {
        return mkto_error_set(err, "spool %s: its parent cannot be synced: %s", path,
                              strerror(errno));
    }
    return 0;
}

static int check_filesystem(const char *path, struct mkto_spool_opened *opened,
                            struct mkto_error *err)
{
    struct statfs fs;
    if (statfs(path, &fs) != 0) {
        return mkto_error_set(err, "spool %s: %s", path, strerror(errno));
    }
    switch ((long)fs.f_type & 0xffffffffL) {
    case FS_NFS:
    case FS_SMB:
    case FS_SMB2:
    case FS_CIFS:
    case FS_AFS:
        return mkto_error_set(err,
                              "spool %s: is on a network file system, whose locks and fsync "
                              "cannot be trusted: use a local disk",
                              path);
    case FS_TMPFS:
    case FS_RAMFS:
    case FS_OVERLAY: opened->volatile_fs = true; return 0;
    default: return 0;
    }
}

/* A tool that runs as root must not leave a lock file that the courier's user cannot open. */
static void give_to_owner(int fd, const char *path)
{
    struct stat directory;
    if (geteuid() == 0 && stat(path, &directory) == 0 && directory.st_uid != 0 &&
        fchown(fd, directory.st_uid, directory.st_gid) != 0) {
        return; /* the next one to come then says that it cannot open it */
    }
}

static int take_lock(const char *path, struct mkto_spool *spool, struct mkto_spool_opened *opened,
                     struct mkto_error *err)
{
    char name[PATH_MAX];
    if (mkto_spool_file_name(path, MKTO_SPOOL_LOCK_FILE, name, sizeof(name), err) != 0) {
        return -1;
    }
    spool->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (spool->lock < 0) {
        return mkto_error_set(err, "spool: lock %s: %s", name, strerror(errno));
    }
    if (flock(spool->lock, LOCK_EX | LOCK_NB) == 0) {
        give_to_owner(spool->lock, path);
        return 0;
    }
    opened->held = errno == EWOULDBLOCK;
    return mkto_error_set(err, "spool %s: %s", path,
                          opened->held ? "another process has it" : strerror(errno));
}

static uint32_t header_number(const uint8_t *header, size_t at)
{
    return (uint32_t)header[at] << 24 | (uint32_t)header[at + 1] << 16 |
           (uint32_t)header[at + 2] << 8 | (uint32_t)header[at + 3];
}

/* 0 go on, 1 not a database, -1 refused. Looks without SQLite, which would write on the way. */
static int check_header(const uint8_t *header, size_t len, struct mkto_error *err)
{
    if (len == 0) {
        return 0;
    }
    if (len < HEADER_SIZE || memcmp(header, HEADER_MAGIC, sizeof(HEADER_MAGIC)) != 0) {
        return 1;
    }
    const uint32_t version = header_number(header, HEADER_VERSION_AT);
    const uint32_t application = header_number(header, HEADER_APPLICATION_AT);
    if (application != MKTO_SPOOL_APPLICATION && (application != 0 || version != 0)) {
        return mkto_error_set(err, "spool: " MKTO_SPOOL_FILE " belongs to another program");
    }
    if (version != 0 && version != MKTO_SPOOL_SCHEMA) {
        return mkto_error_set(err,
                              "spool: " MKTO_SPOOL_FILE " has schema version %u, this courier "
                              "knows %d: use the courier that wrote it, or move it away",
                              version, MKTO_SPOOL_SCHEMA);
    }
    return 0;
}

int mkto_spool_file_create(const struct mkto_spool_options *options, struct mkto_error *err)
{
    char name[PATH_MAX];
    if (mkto_spool_file_name(options->path, MKTO_SPOOL_FILE, name, sizeof(name), err) != 0) {
        return -1;
    }
    const int fd = open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
        return mkto_error_set(err, "spool: %s cannot be made: %s", name, strerror(errno));
    }
    give_to_owner(fd, options->path);
    close(fd);
    return sync_directory(options->path) == 0
               ? 0
               : mkto_error_set(err, "spool %s: %s", options->path, strerror(errno));
}

/* The power went while the tables were made: the first page may be torn, and SQLite takes the
 * transaction back by its journal. What it cannot mend it refuses, and then it is set aside. */
static bool has_journal(const char *name)
{
    char journal[PATH_MAX];
    struct stat file;
    return snprintf(journal, sizeof(journal), "%s-journal", name) < (int)sizeof(journal) &&
           stat(journal, &file) == 0 && file.st_size > 0;
}

/* As check_header, on the file; one that is missing is made. */
static int check_file(const struct mkto_spool_options *options, const char *name,
                      struct mkto_error *err)
{
    uint8_t header[HEADER_SIZE];
    const int fd = open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT && options->create) {
        return mkto_spool_file_create(options, err);
    }
    if (fd < 0) {
        return mkto_error_set(err, "spool: %s: %s", name, strerror(errno));
    }
    const ssize_t got = pread(fd, header, sizeof(header), 0);
    close(fd); /* before SQLite opens it: closing later would drop SQLite's POSIX locks */
    if (got < 0) {
        return mkto_error_set(err, "spool: %s: %s", name, strerror(errno));
    }
    const int found = check_header(header, (size_t)got, err);
    return found == 1 && has_journal(name) ? 0 : found;
}

int mkto_spool_file_broken(const struct mkto_spool_options *options, struct mkto_error *err)
{
    return mkto_error_set(err,
                          "spool %s: " MKTO_SPOOL_FILE " cannot be read as a database; the courier "
                          "sets it aside when it starts",
                          options->path);
}

int mkto_spool_file_set_aside(const char *path, int64_t now_ms, struct mkto_spool_opened *opened,
                              struct mkto_error *err)
{
    static const char *const suffixes[] = {"", "-wal", "-journal", "-shm"};
    char from[PATH_MAX];
    char to[PATH_MAX];
    const long long at = (long long)now_ms / 1000;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        const int a = snprintf(from, sizeof(from), "%s/" MKTO_SPOOL_FILE "%s", path, suffixes[i]);
        const int b =
            snprintf(to, sizeof(to), "%s/" MKTO_SPOOL_FILE ".bad-%lld%s", path, at, suffixes[i]);
        if (a >= (int)sizeof(from) || b >= (int)sizeof(to)) {
            return mkto_error_set(err, "spool: the path is too long");
        }
        if (i == 0 && snprintf(opened->set_aside, sizeof(opened->set_aside), "%s", to) >=
                          (int)sizeof(opened->set_aside)) {
            return mkto_error_set(err, "spool: the path is too long");
        }
        if (rename(from, to) != 0 && errno != ENOENT) {
            return mkto_error_set(err, "spool: %s cannot be set aside: %s", from, strerror(errno));
        }
    }
    return sync_directory(path) == 0 ? 0
                                     : mkto_error_set(err, "spool %s: %s", path, strerror(errno));
}

int mkto_spool_file_new(const char *path, char *name, size_t size, struct mkto_error *err)
{
    if (mkto_spool_file_name(path, NEW_FILE, name, size, err) != 0) {
        return -1;
    }
    if (unlink(name) != 0 && errno != ENOENT) {
        return mkto_error_set(err, "spool: %s: %s", name, strerror(errno));
    }
    const int fd = open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
        return mkto_error_set(err, "spool: %s cannot be made: %s", name, strerror(errno));
    }
    close(fd);
    return 0;
}

int mkto_spool_file_sync(const char *path, const char *name, struct mkto_error *err)
{
    const int fd = open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    const int rc = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0) {
        close(fd);
    }
    return rc == 0 && sync_directory(path) == 0
               ? 0
               : mkto_error_set(err, "spool: %s: %s", name, strerror(errno));
}

int mkto_spool_file_install(const char *path, struct mkto_error *err)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    if (mkto_spool_file_name(path, NEW_FILE, from, sizeof(from), err) != 0 ||
        mkto_spool_file_name(path, MKTO_SPOOL_FILE, to, sizeof(to), err) != 0) {
        return -1;
    }
    return rename(from, to) == 0 && sync_directory(path) == 0
               ? 0
               : mkto_error_set(err, "spool: %s: %s", to, strerror(errno));
}

/*
 * The damaged file is set aside only when the new one is whole and durable: without a spool.db, a
 * new one is the spool. What is left of the old one's WAL must not be taken for its own.
 */
int mkto_spool_file_resume(const char *path, int64_t now_ms, struct mkto_error *err)
{
    struct mkto_spool_opened unused;
    char name[PATH_MAX];
    char ready[PATH_MAX];
    if (mkto_spool_file_name(path, MKTO_SPOOL_FILE, name, sizeof(name), err) != 0 ||
        mkto_spool_file_name(path, NEW_FILE, ready, sizeof(ready), err) != 0) {
        return -1;
    }
    if (access(name, F_OK) == 0 || access(ready, F_OK) != 0) {
        return 0;
    }
    return mkto_spool_file_set_aside(path, now_ms, &unused, err) != 0
               ? -1
               : mkto_spool_file_install(path, err);
}

int mkto_spool_file_prepare(const struct mkto_spool_options *options, struct mkto_spool *spool,
                            int64_t now_ms, struct mkto_spool_opened *opened,
                            struct mkto_error *err)
{
    char name[PATH_MAX];
    if (options->create && make_directory(options->path, err) != 0) {
        return -1;
    }
    if (mkto_spool_file_name(options->path, MKTO_SPOOL_FILE, name, sizeof(name), err) != 0 ||
        check_filesystem(options->path, opened, err) != 0) {
        return -1;
    }
    if (!options->create && access(name, F_OK) != 0) {
        return mkto_error_set(err, "spool: %s: %s", name, strerror(errno));
    }
    if (take_lock(options->path, spool, opened, err) != 0) {
        return -1;
    }
    if (options->create && mkto_spool_file_resume(options->path, now_ms, err) != 0) {
        return -1;
    }
    const int found = check_file(options, name, err);
    if (found <= 0) {
        return found;
    }
    if (!options->create) {
        return mkto_spool_file_broken(options, err);
    }
    if (mkto_spool_file_set_aside(options->path, now_ms, opened, err) != 0) {
        return -1;
    }
    return mkto_spool_file_create(options, err);
}
