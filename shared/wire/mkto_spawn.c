#include "mkto_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_SIZE 4096
#define ENTRY_SIZE 4096 /* bytes of a line of /etc/passwd or /etc/group; the rest has no name */
#define WHO_SIZE 64

extern char **environ;

bool mkto_spawn_can_run(const char *program)
{
    struct stat status;
    return stat(program, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 0111) != 0;
}

static int set_files(posix_spawn_file_actions_t *files)
{
    int rc = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (rc == 0) {
        rc = posix_spawn_file_actions_addopen(files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    }
    if (rc == 0) {
        rc = posix_spawn_file_actions_addopen(files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    }
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    /* A listening socket that lives on in the courier would make the server's restart fail. */
    if (rc == 0) {
        rc = posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
    }
#endif
    return rc;
}

/* httpd blocks signals in its threads, nginx ignores some: the child starts with none of that. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    int rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (rc == 0) {
        rc = posix_spawnattr_setsigmask(attributes, &none);
    }
    if (rc == 0) {
        rc = posix_spawnattr_setsigdefault(attributes, &all);
    }
    return rc;
}

/* posix_spawn wants char *; it does not write to them. */
static char *argument(const char *text)
{
    union {
        const char *in;
        char *out;
    } pointer = {text};
    return pointer.out;
}

int mkto_spawn_courier(const struct mkto_spawn *spawn, pid_t *pid, struct mkto_error *err)
{
    char *const argv[] = {
        argument(spawn->program), argument("courier"),
        argument("--spawned"),    argument("--config"),
        argument(spawn->config),  argument("--socket"),
        argument(spawn->socket),  NULL,
    };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;

    int rc = posix_spawn_file_actions_init(&files);
    if (rc != 0) {
        return mkto_error_set(err, "cannot start %s: %s", spawn->program, strerror(rc));
    }
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = set_files(&files);
        if (rc == 0) {
            rc = set_attributes(&attributes);
        }
        if (rc == 0) {
            rc = posix_spawn(pid, spawn->program, &files, &attributes, argv, environ);
        }
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    if (rc != 0) {
        return mkto_error_set(err, "cannot start %s: %s", spawn->program, strerror(rc));
    }
    return 0;
}

bool mkto_spawn_reap(pid_t pid)
{
    const pid_t ended = waitpid(pid, NULL, WNOHANG);
    return ended == pid || (ended < 0 && errno == ECHILD);
}

static void describe(char out[WHO_SIZE], const char *name, const char *kind, unsigned id)
{
    if (name == NULL) {
        snprintf(out, WHO_SIZE, "%s %u", kind, id);
    } else {
        snprintf(out, WHO_SIZE, "%.32s (%s %u)", name, kind, id);
    }
}

static void describe_user(char out[WHO_SIZE], uid_t uid)
{
    char buffer[ENTRY_SIZE];
    struct passwd entry, *found = NULL;
    FILE *file = fopen("/etc/passwd", "re");
    while (file != NULL && fgetpwent_r(file, &entry, buffer, sizeof(buffer), &found) == 0 &&
           found->pw_uid != uid) {
        found = NULL;
    }
    describe(out, found == NULL ? NULL : found->pw_name, "uid", (unsigned)uid);
    if (file != NULL) {
        fclose(file);
    }
}

static void describe_group(char out[WHO_SIZE], gid_t gid)
{
    char buffer[ENTRY_SIZE];
    struct group entry, *found = NULL;
    FILE *file = fopen("/etc/group", "re");
    while (file != NULL && fgetgrent_r(file, &entry, buffer, sizeof(buffer), &found) == 0 &&
           found->gr_gid != gid) {
        found = NULL;
    }
    describe(out, found == NULL ? NULL : found->gr_name, "gid", (unsigned)gid);
    if (file != NULL) {
        fclose(file);
    }
}

/* Names whatever stands in the way: the socket, or the nearest directory above it that can be seen.
 */
static void set_denied(const char *socket, struct mkto_error *err)
{
    char path[PATH_SIZE];
    char owner[WHO_SIZE], group[WHO_SIZE], user[WHO_SIZE], own_group[WHO_SIZE];
    struct stat status;
    snprintf(path, sizeof(path), "%s", socket);
    while (stat(path, &status) != 0) {
        char *slash = strrchr(path, '/');
        if (slash == NULL || slash == path) {
            mkto_error_set(err, "cannot connect to %s: %s", socket, strerror(EACCES));
            return;
        }
        *slash = '\0';
    }
    describe_user(owner, status.st_uid);
    describe_group(group, status.st_gid);
    describe_user(user, geteuid());
    describe_group(own_group, getegid());
    mkto_error_set(err,
                   "cannot connect to %s: %s is owned by %s, %s with mode %04o; this process is "
                   "%s, %s",
                   socket, path, owner, group, (unsigned)status.st_mode & 07777u, user, own_group);
}

int mkto_spawn_wanted(int connect_errno, const char *socket, struct mkto_error *err)
{
    switch (connect_errno) {
    case ENOENT:
    case ECONNREFUSED: return 1;
    case EACCES:
    case EPERM: set_denied(socket, err); return 0;
    case EAGAIN: /* the courier's backlog is full: it is there */
    case EINTR:
    case EINPROGRESS:
    case ETIMEDOUT: return 0;
    default:
        mkto_error_set(err, "cannot connect to %s: %s", socket, strerror(connect_errno));
        return 0;
    }
}

uint64_t mkto_spawn_backoff(uint64_t last)
{
    if (last == 0) {
        return MKTO_SPAWN_BACKOFF_MIN;
    }
    return last >= MKTO_SPAWN_BACKOFF_MAX / 2 ? MKTO_SPAWN_BACKOFF_MAX : last * 2;
}
