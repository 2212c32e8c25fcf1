/*
 * mkto_rate: token buckets by key, in bounded memory. Over MKTO_RATE_BUCKETS_MAX the one that was
 * asked longest ago makes room: it begins full again when it comes back, which whoever holds so
 * many networks has in any case.
 */
#ifndef MKTO_RATE_H
#define MKTO_RATE_H

#include <stddef.h>
#include <stdint.h>

#define MKTO_RATE_BUCKETS_MAX 16384 /* 48 bytes each */

struct mkto_rate;

/* NULL when memory runs out. */
struct mkto_rate *mkto_rate_create(void);
void mkto_rate_destroy(struct mkto_rate *rate); /* NULL is allowed */

/* All buckets are full again. */
void mkto_rate_clear(struct mkto_rate *rate);

/*
 * Takes count tokens from the key's bucket, which gets per_second (1..100000) of them each second
 * up to burst (1..1000000). A bucket with one token gives any count (at most a batch's) and stays
 * empty for as much longer, so that what is larger than burst still passes. Returns 0, or how many
 * ms the bucket needs for one token; now is monotonic, in ms.
 */
uint64_t mkto_rate_take(struct mkto_rate *rate, uint64_t key, unsigned per_second, unsigned burst,
                        unsigned count, uint64_t now);

/* Buckets in use. */
size_t mkto_rate_count(const struct mkto_rate *rate);

#endif
