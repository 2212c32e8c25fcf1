/*
 * mkto_map_text: values as text that every writer can take. For mkto_map*.c only.
 */
#ifndef MKTO_MAP_TEXT_H
#define MKTO_MAP_TEXT_H

#include <apr_pools.h>

#include "mkto_json.h"
#include "mkto_lead.h"

/* A copy in the pool, NUL-terminated, in which U+FFFD stands for each character that XML 1.0 does
 * not have: C0 controls but TAB, LF and CR; U+FFFE, U+FFFF. */
const char *mkto_map_text_clean(struct mkto_slice text, apr_pool_t *pool);

/* A scalar as a field's value. NULL for null, objects and arrays. */
const char *mkto_map_text_scalar(const struct mkto_json *value, enum mkto_field_kind *kind,
                                 apr_pool_t *pool);

/* ISO 8601 in UTC ("2014-05-13T16:53:20+00:00") of a number, or a text of digits, that counts
 * seconds or, from 31557600000 up, milliseconds since 1970. NULL for anything else. */
const char *mkto_map_text_time(const struct mkto_json *value, apr_pool_t *pool);

/* "YYYY-MM-DD" of a text that begins so, or of such a number. NULL for anything else. */
const char *mkto_map_text_date(const struct mkto_json *value, apr_pool_t *pool);

#endif
