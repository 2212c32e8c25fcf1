/*
 * mkto_config_lines: the INI text as sections and pairs, each with its true line.
 *
 * Debian's inih 55 splits the lines, but is not left alone with them: it cuts lines at 199 bytes,
 * takes ':' for '=', joins indented lines to the one before, forgets empty sections and miscounts
 * lines once it has cut one. So each line is looked at here first, and a long one is handed over in
 * pieces, as the continuation lines that inih joins.
 */
#ifndef MKTO_CONFIG_LINES_H
#define MKTO_CONFIG_LINES_H

#include "mkto_slice.h"

struct mkto_config_lines_sink {
    void *ctx;
    /* The text between the brackets, without white space around it. */
    void (*section)(void *ctx, unsigned line, const char *name);
    /* value may be empty. */
    void (*pair)(void *ctx, unsigned line, const char *key, const char *value);
    /* A line that is neither, and why; pairs of other lines still come. */
    void (*mistake)(void *ctx, unsigned line, const char *reason);
};

void mkto_config_lines(struct mkto_slice text, const struct mkto_config_lines_sink *sink);

#endif
