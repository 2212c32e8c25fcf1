/* What every test program of this room includes: cmocka in the order that it wants, and a small
 * seeded generator, so that a failing run can be repeated. */
#ifndef WIRE_TEST_H
#define WIRE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "mkto_slice.h"

/* xorshift64* */
static inline uint64_t wire_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static inline size_t wire_below(uint64_t *state, size_t limit)
{
    return (size_t)(wire_random(state) >> 11) % limit;
}

/* From the environment, else from the clock; printed, so that a failure can be repeated. */
static inline uint64_t wire_seed(void)
{
    const char *given = getenv("MKTO_TEST_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 10)
                                        : (uint64_t)now.tv_nsec + ((uint64_t)now.tv_sec << 20);
    printf("# MKTO_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed | 1u;
}

#define assert_slice(slice, text)                                                                  \
    do {                                                                                           \
        const struct mkto_slice slice_ = (slice);                                                  \
        const char *text_ = (text);                                                                \
        assert_int_equal(slice_.len, strlen(text_));                                               \
        assert_memory_equal(slice_.data, text_, slice_.len);                                       \
    } while (0)

#endif
