/*
 * mkto_clock: the courier's two clocks, behind pointers so that tests can move them.
 */
#ifndef MKTO_CLOCK_H
#define MKTO_CLOCK_H

#include <stdint.h>

struct mkto_clock {
    uint64_t (*mono_ms)(void *ctx); /* CLOCK_MONOTONIC: deadlines, intervals within one life */
    int64_t (*wall_ms)(void *ctx);  /* CLOCK_REALTIME, ms since the epoch: whatever is saved */
    void *ctx;
};

extern const struct mkto_clock mkto_clock_system;

#endif
