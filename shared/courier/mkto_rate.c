#include "mkto_rate.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN                                                                                      \
    1000 /* a token in thousandths: what one token a second gives in a ms is one of them */
#define NONE UINT32_MAX
#define CHAINS_BITS 14 /* as many chains as buckets */
#define CHAINS (1u << CHAINS_BITS)
#define REST_MAX INT64_C(1000000000) /* ms: by then every bucket is full */

_Static_assert(CHAINS == MKTO_RATE_BUCKETS_MAX, "chains stay short");

struct bucket {
    uint64_t key;
    int64_t filled; /* thousandths of a token; below 0: owed */
    uint64_t at;    /* when that was true */
    uint32_t chained;
    uint32_t newer;
    uint32_t older;
};

struct mkto_rate {
    uint32_t count;
    uint32_t newest;
    uint32_t oldest;
    uint32_t chains[CHAINS];
    struct bucket buckets[MKTO_RATE_BUCKETS_MAX];
};

struct mkto_rate *mkto_rate_create(void)
{
    struct mkto_rate *rate = malloc(sizeof(*rate));
    if (rate != NULL) {
        mkto_rate_clear(rate);
    }
    return rate;
}

void mkto_rate_destroy(struct mkto_rate *rate)
{
    free(rate);
}

void mkto_rate_clear(struct mkto_rate *rate)
{
    rate->count = 0;
    rate->newest = NONE;
    rate->oldest = NONE;
    memset(rate->chains, 0xff, sizeof(rate->chains));
}

size_t mkto_rate_count(const struct mkto_rate *rate)
{
    return rate->count;
}

static uint32_t *chain_of(struct mkto_rate *rate, uint64_t key)
{
    return &rate->chains[key * UINT64_C(0x9e3779b97f4a7c15) >> (64 - CHAINS_BITS)];
}

static uint32_t find(struct mkto_rate *rate, uint64_t key)
{
    uint32_t index = *chain_of(rate, key);
    while (index != NONE && rate->buckets[index].key != key) {
        index = rate->buckets[index].chained;
    }
    return index;
}

/* ---- by age ---- */

static void take_out(struct mkto_rate *rate, uint32_t index)
{
    const struct bucket *bucket = &rate->buckets[index];
    *(bucket->newer == NONE ? &rate->newest : &rate->buckets[bucket->newer].older) = bucket->older;
    *(bucket->older == NONE ? &rate->oldest : &rate->buckets[bucket->older].newer) = bucket->newer;
}

static void put_newest(struct mkto_rate *rate, uint32_t index)
{
    struct bucket *bucket = &rate->buckets[index];
    bucket->newer = NONE;
    bucket->older = rate->newest;
    *(rate->newest == NONE ? &rate->oldest : &rate->buckets[rate->newest].newer) = index;
    rate->newest = index;
}

/* The oldest one, out of its chain. */
static uint32_t evict(struct mkto_rate *rate)
{
    const uint32_t index = rate->oldest;
    uint32_t *at = chain_of(rate, rate->buckets[index].key);
    while (*at != index) {
        at = &rate->buckets[*at].chained;
    }
    *at = rate->buckets[index].chained;
    take_out(rate, index);
    return index;
}

static struct bucket *bucket_of(struct mkto_rate *rate, uint64_t key, int64_t full, uint64_t now)
{
    uint32_t index = find(rate, key);
    if (index != NONE) {
        take_out(rate, index);
    } else {
        uint32_t *chain = chain_of(rate, key);
        index = rate->count < MKTO_RATE_BUCKETS_MAX ? rate->count++ : evict(rate);
        rate->buckets[index] = (struct bucket){.key = key, .filled = full, .at = now};
        rate->buckets[index].chained = *chain;
        *chain = index;
    }
    put_newest(rate, index);
    return &rate->buckets[index];
}

uint64_t mkto_rate_take(struct mkto_rate *rate, uint64_t key, unsigned per_second, unsigned burst,
                        unsigned count, uint64_t now)
{
    const int64_t full = (int64_t)burst * TOKEN;
    struct bucket *bucket = bucket_of(rate, key, full, now);
    const int64_t rest = (int64_t)(now - bucket->at);
    bucket->filled += (rest < REST_MAX ? rest : REST_MAX) * (int64_t)per_second;
    bucket->filled = bucket->filled < full ? bucket->filled : full;
    bucket->at = now;
    if (bucket->filled < TOKEN) {
        return (uint64_t)(TOKEN - bucket->filled + per_second - 1) / per_second;
    }
    bucket->filled -= (int64_t)count * TOKEN;
    return 0;
}
