/*
 * mkto_spawn: starting the courier from a web server worker (DESIGN section 3, "Who starts the
 * courier").
 *
 * posix_spawn, never fork. The child is `marketo courier --spawned --config FILE --socket PATH`; it
 * detaches itself, so the direct child ends within milliseconds and is reaped by mkto_spawn_reap or
 * by the server's own SIGCHLD handler.
 */
#ifndef MKTO_SPAWN_H
#define MKTO_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "mkto_error.h"

#define MKTO_SPAWN_BACKOFF_MIN 1000  /* ms between two attempts; doubles */
#define MKTO_SPAWN_BACKOFF_MAX 60000 /* ms */

struct mkto_spawn {
    const char *program; /* absolute path of the marketo command */
    const char *config;  /* absolute path of marketo.conf */
    const char *socket;  /* absolute path */
};

/* A file that somebody may execute; whether the worker may is seen when it does. */
bool mkto_spawn_can_run(const char *program);

/* Starts it. stdin, stdout and stderr of the child are /dev/null. Returns 0 and the direct child's
 * pid, or -1. */
int mkto_spawn_courier(const struct mkto_spawn *spawn, pid_t *pid, struct mkto_error *err);

/* Whether the direct child has ended (also when somebody else has reaped it); never waits. */
bool mkto_spawn_reap(pid_t pid);

/*
 * What a failed connect means: ENOENT and ECONNREFUSED are "nobody is there", the only reasons to
 * spawn. EACCES names the socket's owner and mode in err: ids, and the names that /etc/passwd and
 * /etc/group have for them, since a name service could hold a worker up. Returns 1 to spawn, 0 not
 * to (err says why when there is something to say).
 */
int mkto_spawn_wanted(int connect_errno, const char *socket, struct mkto_error *err);

/* Back-off between spawns: next delay after `last` ms (0 first). */
uint64_t mkto_spawn_backoff(uint64_t last);

#endif
