/*
 * mkto_layout: a JSON value for a person to read: members under each other, with their units.
 *
 *   waiting         12
 *   oldest          3 h 5 min          from "oldest_ms"
 *   marketo:
 *     api           rest
 *
 * By the end of a key: _ms is a duration, or a date when it is past the year 2001; _bytes is a
 * size. Text is shown without control characters, for it may come from elsewhere.
 */
#ifndef MKTO_LAYOUT_H
#define MKTO_LAYOUT_H

#include <stdio.h>

#include "mkto_json.h"

void mkto_layout_print(FILE *out, const struct mkto_json *value);

/* "1 d 2 h", "3 min 5 s", "0.5 s", "12 ms". */
void mkto_layout_duration(int64_t ms, char *out, size_t size);

/* "1.5 GB": of 1024. */
void mkto_layout_size(int64_t bytes, char *out, size_t size);

#endif
