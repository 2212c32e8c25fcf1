/*
 * diskshim: what a process does to the files of one directory, written down or made to fail.
 *
 *   LD_PRELOAD=diskshim.so MKTO_SHIM_DIR=/absolute/spool MKTO_SHIM_JOURNAL=/file marketo courier …
 *
 * SQLite reaches the system through libc's open64, pwrite64, ftruncate64, fdatasync and unlink, and
 * the spool through open, fsync and rename: all of them are wrapped. (SQLite's WAL index lives in
 * memory here, and would be rebuilt in any case.) A write that fails has done its first half, as a
 * full disk does it. The spool has one thread, so nothing is locked.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disk_journal.h"

/* libc declares only those that the feature macros ask for. */
int open64(const char *path, int flags, ...);
int openat64(int at, const char *path, int flags, ...);
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset);
int ftruncate64(int fd, off64_t size);

static struct disk_head *head;
static uint8_t *records;
static char directory[PATH_MAX];
static size_t directory_len;

__attribute__((constructor)) static void attach(void)
{
    const char *path = getenv("MKTO_SHIM_JOURNAL");
    const char *watched = getenv("MKTO_SHIM_DIR");
    struct stat file;
    if (path == NULL || watched == NULL) {
        return;
    }
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0 || fstat(fd, &file) != 0) {
        abort();
    }
    void *map = mmap(NULL, (size_t)file.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        abort();
    }
    close(fd); /* the map stays, whatever the process closes */
    directory_len = (size_t)snprintf(directory, sizeof(directory), "%s", watched);
    records = (uint8_t *)map + sizeof(*head);
    head = map;
}

/* ---- which file ---- */

struct place {
    uint64_t inode;
    bool is_directory;
    char name[DISK_NAME_MAX];
};

static bool place_of_path(const char *path, struct place *place)
{
    memset(place, 0, sizeof(*place));
    if (head == NULL || strncmp(path, directory, directory_len) != 0) {
        return false;
    }
    place->is_directory = path[directory_len] == '\0';
    if (!place->is_directory && path[directory_len] != '/') {
        return false;
    }
    const char *name = path + directory_len + (place->is_directory ? 0 : 1);
    if (snprintf(place->name, sizeof(place->name), "%s", name) >= (int)sizeof(place->name)) {
        abort();
    }
    return true;
}

static bool place_of_fd(int fd, struct place *place)
{
    char link[64];
    char path[PATH_MAX];
    struct stat file;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    const ssize_t len = head == NULL ? -1 : readlink(link, path, sizeof(path) - 1);
    if (len <= 0) {
        return false;
    }
    path[len] = '\0';
    if (!place_of_path(path, place) || fstat(fd, &file) != 0) {
        return false;
    }
    place->inode = file.st_ino;
    return true;
}

/* ---- the journal ---- */

static void record(enum disk_kind kind, const struct place *place, uint64_t offset,
                   const void *data, size_t len)
{
    const size_t padded = (len + 7) & ~(size_t)7;
    if (head->capacity == 0) {
        return;
    }
    if (head->size + sizeof(struct disk_record) + padded > head->capacity) {
        head->lost++;
        return;
    }
    struct disk_record *out = (struct disk_record *)(void *)(records + head->size);
    out->kind = kind;
    out->len = (uint32_t)len;
    out->inode = place->inode;
    out->offset = offset;
    memcpy(out->name, place->name, sizeof(out->name));
    if (len > 0) {
        memcpy(out + 1, data, len);
    }
    head->size += sizeof(*out) + padded;
    __atomic_store_n(&head->count, head->count + 1, __ATOMIC_RELEASE);
}

static bool fails(enum disk_kind kind, const struct place *place)
{
    if ((head->fail_kinds >> kind & 1) == 0 ||
        (head->fail_files != 0 && strcmp(place->name, "spool.db") != 0)) {
        return false;
    }
    const uint64_t call = head->calls++;
    if (call < head->fail_from || call >= head->fail_to) {
        return false;
    }
    head->failed++;
    return true;
}

static int failure(void)
{
    errno = (int)head->fail_errno;
    return -1;
}

/* ---- what is wrapped ---- */

static int shim_open(int at, const char *path, int flags, mode_t mode)
{
    struct place place;
    struct stat file;
    const bool ours = (flags & O_CREAT) != 0 && place_of_path(path, &place);
    const bool missing = ours && lstat(path, &file) != 0;
    if (missing && fails(DISK_CREATE, &place)) {
        return failure();
    }
    const int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    if (fd >= 0 && missing && place_of_fd(fd, &place)) {
        record(DISK_CREATE, &place, 0, NULL, 0);
    }
    return fd;
}

#define OPEN(at, path, flags)                                                                      \
    do {                                                                                           \
        mode_t mode = 0;                                                                           \
        if (((flags) & (O_CREAT | O_TMPFILE)) != 0) {                                              \
            va_list args;                                                                          \
            va_start(args, flags);                                                                 \
            mode = va_arg(args, mode_t);                                                           \
            va_end(args);                                                                          \
        }                                                                                          \
        return shim_open(at, path, flags, mode);                                                   \
    } while (0)

int open(const char *path, int flags, ...)
{
    OPEN(AT_FDCWD, path, flags);
}

int open64(const char *path, int flags, ...)
{
    OPEN(AT_FDCWD, path, flags);
}

int openat(int at, const char *path, int flags, ...)
{
    OPEN(at, path, flags);
}

int openat64(int at, const char *path, int flags, ...)
{
    OPEN(at, path, flags);
}

int __open_2(const char *path, int flags)
{
    return shim_open(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
    return shim_open(AT_FDCWD, path, flags, 0);
}

static ssize_t shim_pwrite(int fd, const void *data, size_t len, off64_t offset)
{
    struct place place;
    if (!place_of_fd(fd, &place)) {
        return (ssize_t)syscall(SYS_pwrite64, fd, data, len, offset);
    }
    const bool failing = fails(DISK_WRITE, &place);
    const ssize_t done = (ssize_t)syscall(SYS_pwrite64, fd, data, failing ? len / 2 : len, offset);
    if (done > 0) {
        record(DISK_WRITE, &place, (uint64_t)offset, data, (size_t)done);
    }
    return failing ? failure() : done;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    return shim_pwrite(fd, data, len, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
    return shim_pwrite(fd, data, len, offset);
}

ssize_t write(int fd, const void *data, size_t len)
{
    struct place place;
    if (!place_of_fd(fd, &place)) {
        return (ssize_t)syscall(SYS_write, fd, data, len);
    }
    const off_t at = lseek(fd, 0, SEEK_CUR);
    const ssize_t done = shim_pwrite(fd, data, len, at);
    if (done > 0) {
        lseek(fd, at + done, SEEK_SET);
    }
    return done;
}

static int shim_truncate(int fd, off64_t size)
{
    struct place place;
    const bool ours = place_of_fd(fd, &place);
    if (ours && fails(DISK_TRUNCATE, &place)) {
        return failure();
    }
    const int rc = (int)syscall(SYS_ftruncate, fd, size);
    if (ours && rc == 0) {
        record(DISK_TRUNCATE, &place, (uint64_t)size, NULL, 0);
    }
    return rc;
}

int ftruncate(int fd, off_t size)
{
    return shim_truncate(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    return shim_truncate(fd, size);
}

static int shim_sync(int fd, long number)
{
    struct place place;
    const bool ours = place_of_fd(fd, &place);
    const enum disk_kind kind = ours && place.is_directory ? DISK_SYNC_DIR : DISK_SYNC;
    if (ours && fails(kind, &place)) {
        return failure();
    }
    const int rc = (int)syscall(number, fd);
    if (ours && rc == 0) {
        record(kind, &place, 0, NULL, 0);
    }
    return rc;
}

int fsync(int fd)
{
    return shim_sync(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return shim_sync(fd, SYS_fdatasync);
}

int rename(const char *from, const char *to)
{
    struct place place;
    struct place next;
    const bool ours = place_of_path(from, &place) && place_of_path(to, &next);
    const int rc = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (ours && rc == 0) {
        record(DISK_RENAME, &place, 0, next.name, strlen(next.name) + 1);
    }
    return rc;
}

int unlink(const char *path)
{
    struct place place;
    const bool ours = place_of_path(path, &place);
    const int rc = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (ours && rc == 0) {
        record(DISK_UNLINK, &place, 0, NULL, 0);
    }
    return rc;
}
