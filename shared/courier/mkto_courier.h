/*
 * mkto_courier: the one process per host that takes events from the web servers and brings them to
 * Marketo.
 */
#ifndef MKTO_COURIER_H
#define MKTO_COURIER_H

#include <stdbool.h>

#define MKTO_COURIER_LISTEN_BACKLOG 1024
#define MKTO_COURIER_CLIENTS_MAX 4096 /* connections; more are refused with MKTO_REFUSED_CROWD */

struct mkto_courier_options {
    const char *config; /* path of marketo.conf */
    const char *socket; /* NULL: from the config */
    bool spawned; /* by a web server: detach, log to it, leave when the last presence has gone */
    bool hold;    /* accept, but deliver nothing (benchmarks) */
};

/* Runs until told to stop. Returns the exit code: 0 fine (also: another courier holds the spool), 3
 * could not run. */
int mkto_courier_run(const struct mkto_courier_options *options);

#endif
