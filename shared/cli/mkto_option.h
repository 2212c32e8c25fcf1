/*
 * mkto_option: the options of a command, one literal row each, from which both the reading and the
 * help are made.
 */
#ifndef MKTO_OPTION_H
#define MKTO_OPTION_H

#include "mkto_command.h"

#define MKTO_OPTION_MAX 16 /* rows of one command */

struct mkto_option {
    const char *name;  /* "config": given as --config VALUE or --config=VALUE */
    const char *value; /* word for the value in the help: "FILE"; NULL: a flag */
    const char *help;
    const char **text; /* where the value goes; with a value */
    bool *flag;        /* set to true; without */
};

#define MKTO_OPTION_CONFIG(where)                                                                  \
    {                                                                                              \
        "config", "FILE", "config file; default " MKTO_CONFIG_FILE, where, NULL                    \
    }
#define MKTO_OPTION_SUBSCRIPTION(where)                                                            \
    {                                                                                              \
        "subscription", "NAME", "a [marketo NAME] section; default the unnamed or only one",       \
            where, NULL                                                                            \
    }
#define MKTO_OPTION_JSON(where)                                                                    \
    {                                                                                              \
        "json", NULL, "print JSON", NULL, where                                                    \
    }
#define MKTO_OPTION_END                                                                            \
    {                                                                                              \
        NULL, NULL, NULL, NULL, NULL                                                               \
    }

/*
 * Reads argv. Returns -1 to go on, with *arguments at the first argument that is no option (argv is
 * reordered so that those come last); else the exit code: 0 after --help, 3 after a mistake that
 * was said. At most max arguments may follow.
 */
int mkto_option_read(const struct mkto_command *self, const struct mkto_option *options, int argc,
                     char **argv, int max, int *arguments);

/* A whole number of at least min; 0, or -1. */
int mkto_option_number(const char *text, int64_t min, int64_t *number);

#endif
