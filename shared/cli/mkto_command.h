/*
 * mkto_command: the parts of the `marketo` command: one row and one file for each.
 */
#ifndef MKTO_COMMAND_H
#define MKTO_COMMAND_H

#include <apr_pools.h>
#include <stdbool.h>
#include <stdio.h>

#include "mkto_config.h"
#include "mkto_json.h"

/* Exit codes. 2 is not used: it means "fatal" to nginx when it runs as PID 1. */
enum mkto_command_exit {
    MKTO_EXIT_FINE = 0,
    MKTO_EXIT_FOUND = 1,     /* it ran, and found something to see to */
    MKTO_EXIT_COULD_NOT = 3, /* it could not run */
};

struct mkto_command {
    const char *name;     /* "map" */
    const char *synopsis; /* "[--api rest|soap] … < EVENTS" */
    const char *summary;  /* one line for `marketo --help` */
    const char *text;     /* paragraphs of its own --help, lines of at most 80 columns */
    /* argv[0] is the name. Returns an exit code. */
    int (*run)(const struct mkto_command *self, int argc, char **argv, apr_pool_t *pool);
};

extern const struct mkto_command mkto_command_courier;
extern const struct mkto_command mkto_command_check;
extern const struct mkto_command mkto_command_map;
extern const struct mkto_command mkto_command_hash;
extern const struct mkto_command mkto_command_status;
extern const struct mkto_command mkto_command_tail;
extern const struct mkto_command mkto_command_dead;
extern const struct mkto_command mkto_command_forget;

/* Says "marketo NAME: …" on stderr and returns MKTO_EXIT_COULD_NOT. */
__attribute__((format(printf, 2, 3))) int mkto_command_fail(const struct mkto_command *self,
                                                            const char *format, ...);

/* It is the default file, and not there: nobody has named one. */
bool mkto_command_no_file(const char *file);

/* The config, or NULL when it has been said on stderr what is wrong with it: every mistake. */
const struct mkto_config *mkto_command_config(const char *file, bool skip_secret_files);

/* The subscription of that name (NULL: the unnamed or only one), or NULL when it has been said. */
const struct mkto_subscription *mkto_command_subscription(const struct mkto_command *self,
                                                          const struct mkto_config *config,
                                                          const char *name);

/* Wall clock, ms since the epoch. */
int64_t mkto_command_now(void);

/* Writes a JSON line to stdout. */
void mkto_command_line(struct mkto_slice json);

#endif
