#include "wire_test.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mkto_spawn.h"

static char directory[] = "/tmp/mkto-spawn-XXXXXX";
static char program[64], output[64];

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    snprintf(program, sizeof(program), "%s/courier", directory);
    snprintf(output, sizeof(output), "%s/output", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(program);
    unlink(output);
    return rmdir(directory);
}

/* A child that says what it was given: arguments, descriptors, signals. The shell reads its signals
 * itself: while it starts another program it blocks them for a moment. */
static void write_program(void)
{
    FILE *file = fopen(program, "w");
    assert_non_null(file);
    fprintf(file,
            "#!/bin/sh\n"
            "exec 9>%s.new\n"
            "links=$(readlink /proc/$$/fd/[012] /proc/$$/fd/*)\n"
            "printf \"%%s\\n%%s\\n\" \"$*\" \"$links\" >&9\n"
            "while read -r line; do\n"
            "  case $line in Sig[BI]*) printf \"%%s\\n\" \"$line\" >&9;; esac\n"
            "done </proc/$$/status\n"
            "mv %s.new %s\n",
            output, output, output);
    fclose(file);
    assert_int_equal(chmod(program, 0700), 0);
}

static void await_child(pid_t pid)
{
    const struct timespec pause = {0, 1000000};
    for (int i = 0; i < 10000; i++) {
        if (mkto_spawn_reap(pid)) {
            return;
        }
        nanosleep(&pause, NULL);
    }
    fail_msg("the child did not end");
}

/* valgrind runs vfork as fork: a failed exec is then seen only as exit code 127, and now and then
 * the child begins with the signals blocked that valgrind itself held back at that moment. */
static bool under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");
    return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

static void child_is_clean(void **state)
{
    (void)state;
    char text[512] = {0};
    pid_t pid = 0;
    sigset_t blocked, before;
    struct mkto_error err = MKTO_ERROR_INIT;
    const struct mkto_spawn spawn = {program, "/c.conf", "/s.sock"};

    write_program();
    const int leak = open("/dev/zero", O_RDONLY); /* not close-on-exec, as a listening socket */
    assert_true(leak > 2);
    sigfillset(&blocked);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    void (*pipe_before)(int) = signal(SIGPIPE, SIG_IGN);
    assert_int_equal(mkto_spawn_courier(&spawn, &pid, &err), 0);
    signal(SIGPIPE, pipe_before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_true(pid > 0);
    await_child(pid);
    close(leak);

    FILE *file = fopen(output, "r");
    assert_non_null(file);
    const size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    assert_non_null(strstr(text, "courier --spawned --config /c.conf --socket /s.sock\n"
                                 "/dev/null\n/dev/null\n/dev/null\n"));
    if (!under_valgrind()) {
        assert_non_null(strstr(text, "SigBlk:\t0000000000000000\n"));
    }
    assert_null(strstr(text, "/dev/zero"));
    const char *ignored = strstr(text, "SigIgn:\t");
    assert_non_null(ignored);
    assert_false((strtoull(ignored + 8, NULL, 16) >> (SIGPIPE - 1)) & 1u);
}

static void missing_program(void **state)
{
    (void)state;
    if (under_valgrind()) {
        puts("skipped missing_program: valgrind does not report a failed exec as posix_spawn does");
        skip();
    }
    pid_t pid = 0;
    struct mkto_error err = MKTO_ERROR_INIT;
    const struct mkto_spawn spawn = {"/nonexistent/marketo", "/c", "/s"};
    assert_int_equal(mkto_spawn_courier(&spawn, &pid, &err), -1);
    assert_string_equal(err.text, "cannot start /nonexistent/marketo: No such file or directory");
}

static void reaping(void **state)
{
    (void)state;
    const pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    assert_false(mkto_spawn_reap(pid));
    kill(pid, SIGKILL);
    await_child(pid);
    assert_true(mkto_spawn_reap(pid)); /* nothing of that pid is ours any more */
}

static void when_to_spawn(void **state)
{
    (void)state;
    struct mkto_error err = MKTO_ERROR_INIT;
    assert_int_equal(mkto_spawn_wanted(ENOENT, "/s", &err), 1);
    assert_int_equal(mkto_spawn_wanted(ECONNREFUSED, "/s", &err), 1);
    assert_int_equal(mkto_spawn_wanted(EAGAIN, "/s", &err), 0);
    assert_int_equal(mkto_spawn_wanted(ETIMEDOUT, "/s", &err), 0);
    assert_string_equal(err.text, "");
    assert_int_equal(mkto_spawn_wanted(ENOTSOCK, "/s", &err), 0);
    assert_string_equal(err.text, "cannot connect to /s: Socket operation on non-socket");
}

static void what_can_run(void **state)
{
    (void)state;
    assert_true(mkto_spawn_can_run("/bin/true"));
    assert_false(mkto_spawn_can_run("/etc/passwd"));
    assert_false(mkto_spawn_can_run("/bin/"));
    assert_false(mkto_spawn_can_run("/nowhere/marketo"));
}

static void denied_names_the_owner(void **state)
{
    (void)state;
    char path[PATH_MAX], want[PATH_MAX];
    struct mkto_error err = MKTO_ERROR_INIT;
    snprintf(path, sizeof(path), "%s/deeper/courier.sock", directory);
    assert_int_equal(mkto_spawn_wanted(EACCES, path, &err), 0);
    const struct passwd *user = getpwuid(geteuid());
    const struct group *group = getgrgid(getegid());
    assert_non_null(strstr(err.text, path));
    snprintf(want, sizeof(want), "%s is owned by %s (uid %u), %s (gid %u) with mode 0700; this ",
             directory, user->pw_name, (unsigned)geteuid(), group->gr_name, (unsigned)getegid());
    assert_non_null(strstr(err.text, want));
    snprintf(want, sizeof(want), "this process is %s (uid %u), %s (gid %u)", user->pw_name,
             (unsigned)geteuid(), group->gr_name, (unsigned)getegid());
    assert_non_null(strstr(err.text, want));
    if (geteuid() == 0) {
        memset(&err, 0, sizeof(err));
        assert_int_equal(chown(directory, 54321, 54322), 0); /* nobody's */
        assert_int_equal(mkto_spawn_wanted(EACCES, path, &err), 0);
        assert_non_null(strstr(err.text, " is owned by uid 54321, gid 54322 with mode"));
        assert_int_equal(chown(directory, 0, 0), 0);
    }

    memset(&err, 0, sizeof(err));
    assert_int_equal(mkto_spawn_wanted(EACCES, "nothing-here", &err), 0);
    assert_string_equal(err.text, "cannot connect to nothing-here: Permission denied");
}

static void backoff(void **state)
{
    (void)state;
    static const uint64_t want[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    uint64_t last = 0;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        last = mkto_spawn_backoff(last);
        assert_int_equal(last, want[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(child_is_clean), cmocka_unit_test(missing_program),
        cmocka_unit_test(reaping),        cmocka_unit_test(when_to_spawn),
        cmocka_unit_test(what_can_run),   cmocka_unit_test(denied_names_the_owner),
        cmocka_unit_test(backoff),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
