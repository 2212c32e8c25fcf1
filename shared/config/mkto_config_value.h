/*
 * mkto_config_value: the text behind '=' as a value of its key's kind.
 */
#ifndef MKTO_CONFIG_VALUE_H
#define MKTO_CONFIG_VALUE_H

#include "mkto_config.h"
#include "mkto_config_arena.h"

#define MKTO_CONFIG_PERCENT_MAX 90 /* of keep_free */

/*
 * Reads text as the key wants it and stores it at key->offset of base (a struct mkto_subscription
 * or mkto_config). Returns 0, or -1 with the reason in err; the reason repeats numbers and words of
 * a list only, for what stands in a wrong place may be a secret.
 */
int mkto_config_value_set(const struct mkto_config_key *key, const char *text, void *base,
                          struct mkto_config_arena *arena, struct mkto_error *err);

/* Checks of text for rows that have no key of their own: [fields] and [sources]. */
int mkto_config_value_word(const char *text, size_t max, struct mkto_error *err);

/* "name" of [marketo name] and of a source: letters, digits and ._- */
int mkto_config_value_name(const char *text, struct mkto_error *err);

#endif
