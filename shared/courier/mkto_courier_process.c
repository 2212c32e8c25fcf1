/*
 * The process: what it takes over from whoever started it (nothing), and who it runs as.
 */
#include "mkto_courier_state.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int mkto_courier_detach(struct mkto_error *err)
{
    closefrom(3); /* first: a listening socket of the server kept open blocks its restart */
    const pid_t pid = fork();
    if (pid < 0) {
        return mkto_error_set(err, "fork: %s", strerror(errno));
    }
    if (pid > 0) {
        _exit(0); /* the spawner waits for this one only */
    }
    /* A session of its own: signals to the server's group do not reach it. */
    return setsid() < 0 ? mkto_error_set(err, "setsid: %s", strerror(errno)) : 0;
}

void mkto_courier_program_note(struct mkto_courier_program *program)
{
    struct stat st;
    const ssize_t len = readlink("/proc/self/exe", program->path, sizeof(program->path) - 1);
    program->path[len > 0 ? len : 0] = '\0';
    if (stat("/proc/self/exe", &st) == 0) {
        program->device = st.st_dev;
        program->inode = st.st_ino;
    }
}

bool mkto_courier_program_replaced(const struct mkto_courier_program *program)
{
    struct stat st;
    return stat(program->path, &st) != 0 || st.st_dev != program->device ||
           st.st_ino != program->inode;
}

/* httpd starts its children with all signals blocked, nginx with some ignored. */
static void reset_signals(void)
{
    sigset_t none;
    for (int number = 1; number < NSIG; number++) {
        signal(number, SIG_DFL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN); /* a client that has gone is an errno */
    signal(SIGXFSZ, SIG_IGN); /* and so is a file that may not grow */
}

static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* nginx pins its workers; a courier that stays on the worker's processor halves both. */
static void unpin(void)
{
    cpu_set_t all;
    memset(&all, 0xff, sizeof(all));
    sched_setaffinity(0, sizeof(all), &all);
}

void mkto_courier_settle(void)
{
    umask(077);
    reset_signals();
    raise_limits();
    unpin();
#if !defined(__SANITIZE_ADDRESS__)
    prctl(PR_SET_DUMPABLE, 0); /* secrets: no core file, no ptrace by others of our uid */
#endif
}

int mkto_courier_drop_root(const char *spool, struct mkto_error *err)
{
    struct stat owner;
    if (geteuid() != 0) {
        return 0;
    }
    if (stat(spool, &owner) != 0) {
        return mkto_error_set(err,
                              "spool %s: %s: started as root, the courier runs as the owner of "
                              "this directory: make it and give it to that user",
                              spool, strerror(errno));
    }
    if (owner.st_uid == 0) {
        return mkto_error_set(err,
                              "spool %s: belongs to root, and the courier does not run as root: "
                              "give the directory to the user that it shall run as",
                              spool);
    }
    if (setgroups(1, &owner.st_gid) != 0 ||
        setresgid(owner.st_gid, owner.st_gid, owner.st_gid) != 0 ||
        setresuid(owner.st_uid, owner.st_uid, owner.st_uid) != 0) {
        return mkto_error_set(err, "spool %s: cannot become its owner (uid %ld): %s", spool,
                              (long)owner.st_uid, strerror(errno));
    }
    return 0;
}
