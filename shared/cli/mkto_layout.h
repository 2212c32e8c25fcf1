/*
 * mkto_layout: a JSON value for a person to read: members under each other, with their units.
 *
 *   waiting         12
 *   oldest          3 h 5 min          from "oldest_ms"
 *   dispatch:
 *     held          no
 *
 * The last word of a key names the unit: bytes, ms, s. A number past 10^12 is a date in ms. Text is
 * shown without control characters, for it may come from elsewhere.
 */
#ifndef MKTO_LAYOUT_H
#define MKTO_LAYOUT_H

#include <stdio.h>

#include "mkto_json.h"

void mkto_layout_print(FILE *out, const struct mkto_json *value);

/* Text without control characters. */
void mkto_layout_text(FILE *out, struct mkto_slice text);

/* "1 d 2 h", "3 min 5 s", "0.5 s", "12 ms". */
void mkto_layout_duration(int64_t ms, char *out, size_t size);

/* "2026-01-02 03:04:05 UTC" of ms since 1970. */
void mkto_layout_date(int64_t ms, char *out, size_t size);

/* "1.5 GB": of 1024. */
void mkto_layout_size(int64_t bytes, char *out, size_t size);

#endif
