/*
 * mkto_letter: a dead letter for a person to read: what mkto_dead tells of it.
 */
#ifndef MKTO_LETTER_H
#define MKTO_LETTER_H

#include <apr_pools.h>
#include <stdio.h>

#include "mkto_json.h"

/* id, when it died, subscription and kind, reason, attempts, lead, what Marketo said. */
void mkto_letter_line(FILE *out, const struct mkto_json *letter);

/* All members, and the event as it came. */
void mkto_letter_whole(FILE *out, const struct mkto_json *letter, apr_pool_t *pool);

/* One JSON object, in which the event stands byte for byte as it came. */
void mkto_letter_json(FILE *out, const struct mkto_json *letter, apr_pool_t *pool);

#endif
