/*
 * mkto_input: stdin as JSON documents: one document, or JSON lines.
 */
#ifndef MKTO_INPUT_H
#define MKTO_INPUT_H

#include <apr_pools.h>

#include "mkto_error.h"
#include "mkto_slice.h"

#define MKTO_INPUT_MAX (64u << 20) /* bytes of stdin */
#define MKTO_INPUT_LINE_MAX 1024   /* bytes of one line with its NUL; a longer one is cut */

struct mkto_input {
    struct mkto_slice left;
    bool lines; /* a document is a line */
};

/* Reads stdin to its end. JSON lines when the first line that is not blank is a document by itself.
 * Returns 0, or -1 with the reason. */
int mkto_input_read(struct mkto_input *input, struct mkto_error *err, apr_pool_t *pool);

/* The next document that is not blank; false at the end. */
bool mkto_input_next(struct mkto_input *input, struct mkto_slice *document);

/* The argument; for "-" a line of stdin instead, so that an e-mail does not stand in the list of
 * processes. NULL for NULL, and when there is no line. */
const char *mkto_input_word(const char *argument, char line[MKTO_INPUT_LINE_MAX]);

#endif
