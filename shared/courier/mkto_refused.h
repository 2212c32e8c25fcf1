/*
 * mkto_refused: names of fields that Marketo does not take from this subscription (1006, 20105,
 * 1021). Left out before sending, until the config is read again or the courier starts anew.
 */
#ifndef MKTO_REFUSED_H
#define MKTO_REFUSED_H

#include <stdbool.h>
#include <stdint.h>

#define MKTO_REFUSED_MAX 512        /* names; more are not remembered, their leads go dead */
#define MKTO_REFUSED_SAY_MS 3600000 /* one warning an hour */

struct mkto_refused {
    char *names[MKTO_REFUSED_MAX];
    unsigned count;
    uint64_t said; /* monotonic ms of the last warning; 0: none yet */
};

/* Returns true when the name is new. */
bool mkto_refused_add(struct mkto_refused *refused, const char *name);
bool mkto_refused_has(const struct mkto_refused *refused, const char *name);
void mkto_refused_clear(struct mkto_refused *refused);

/* True when a warning is due; notes that it was given. */
bool mkto_refused_say(struct mkto_refused *refused, uint64_t now);

#endif
