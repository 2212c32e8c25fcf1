/*
 * mkto_backoff: how long to wait before the next attempt: exponential with full jitter, so that
 * what failed together does not come back together.
 */
#ifndef MKTO_BACKOFF_H
#define MKTO_BACKOFF_H

#include <stdint.h>

#define MKTO_BACKOFF_MIN_MS 1000             /* the shortest wait */
#define MKTO_BACKOFF_MAX_MS (15 * 60 * 1000) /* the longest, but for a longer Retry-After */

struct mkto_backoff {
    uint64_t state; /* of the random numbers; any seed will do */
};

/* Wait in ms before attempt number attempts + 1: between MIN and min(MAX, MIN << attempts), and
 * after_ms at least. */
int64_t mkto_backoff_next(struct mkto_backoff *backoff, unsigned attempts, int64_t after_ms);

/* A random number from 0 to below - 1; 0 when below is 0. */
uint64_t mkto_backoff_random(struct mkto_backoff *backoff, uint64_t below);

#endif
