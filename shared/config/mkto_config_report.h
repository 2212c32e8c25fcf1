/*
 * mkto_config_report: the mistakes of one file, collected and told in the order of its lines.
 */
#ifndef MKTO_CONFIG_REPORT_H
#define MKTO_CONFIG_REPORT_H

#include <stdio.h>

#include "mkto_config_arena.h"
#include "mkto_error.h"

struct mkto_config_mistake;

struct mkto_config_report {
    struct mkto_config_arena *arena;
    struct mkto_config_mistake *first; /* by line; within a line as they were found */
    size_t count;
};

/* line 0: the file as a whole. key may be NULL. */
void mkto_config_report_add(struct mkto_config_report *report, unsigned line, const char *key,
                            const char *reason);

/* "FILE:LINE: key: reason" of the first into err, and of each into all. Both may be NULL. */
void mkto_config_report_tell(const struct mkto_config_report *report, const char *file,
                             struct mkto_error *err, FILE *all);

#endif
