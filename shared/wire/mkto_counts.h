/*
 * mkto_counts: the numbers of what was kept away, on their way to the courier. The part of
 * mkto_client that holds them.
 *
 * A COUNTS frame goes out where a frame ends, and counts as sent when its last byte is. One that is
 * under way when the connection ends is taken back.
 */
#ifndef MKTO_COUNTS_H
#define MKTO_COUNTS_H

#include <sys/uio.h>

#include "mkto_frame.h"

struct mkto_counts {
    struct mkto_counts_frame waiting; /* not in a frame yet */
    bool any;                         /* there are some */
    bool due;                         /* they may go out now */
    uint64_t next_at;                 /* ms, monotonic: when the next frame may be due */
    uint8_t frame[MKTO_COUNTS_FRAME_MAX];
    size_t len, offset; /* of the frame that is under way; len 0: there is none */
};

/* Zeroed memory is a beginning. A number stops at UINT32_MAX. */
void mkto_counts_add(struct mkto_counts *counts, unsigned skip, uint32_t more);

/* While there is a connection: makes them due, at most once in `every` ms. */
void mkto_counts_tick(struct mkto_counts *counts, uint64_t every, uint64_t now);

/* When tick would make them due; UINT64_MAX for never. */
uint64_t mkto_counts_deadline(const struct mkto_counts *counts);

bool mkto_counts_have_output(const struct mkto_counts *counts);

/* Fills one iovec and returns 1, or 0. A new frame begins only when may_begin. */
int mkto_counts_output(struct mkto_counts *counts, bool may_begin, struct iovec *iov);

/* Returns how many of the bytes were not of ours. */
size_t mkto_counts_sent(struct mkto_counts *counts, size_t bytes);

/* The connection is gone. */
void mkto_counts_rewind(struct mkto_counts *counts);

#endif
