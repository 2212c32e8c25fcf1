/*
 * mkto_writer: text that grows in a buffer of somebody else's. It never writes past the end, and
 * counts on: what did not fit shows in the length.
 */
#ifndef MKTO_WRITER_H
#define MKTO_WRITER_H

#include <stdint.h>

#include "mkto_slice.h"

struct mkto_writer {
    char *out;
    size_t size; /* bytes of out */
    size_t len;  /* bytes that were put; over size: the text is not whole */
};

/* Which bytes stand as they are: 1 for each of them, ASCII only; all others are percent-encoded. */
struct mkto_writer_set {
    uint8_t plain[256];
};

/* A URL: not white space, controls, quotes, backslashes, "<>^`{|}". So it ends no JSON string. */
extern const struct mkto_writer_set mkto_writer_url;

/* A path of one: neither '?', '#', '[' nor ']' besides. */
extern const struct mkto_writer_set mkto_writer_path;

/* encodeURIComponent of JavaScript: letters, digits, "-_.!~*'()". */
extern const struct mkto_writer_set mkto_writer_component;

void mkto_writer_put(struct mkto_writer *writer, struct mkto_slice text);
void mkto_writer_put_encoded(struct mkto_writer *writer, struct mkto_slice text,
                             const struct mkto_writer_set *plain);

#endif
