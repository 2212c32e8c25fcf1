#include "mkto_counts.h"

void mkto_counts_add(struct mkto_counts *counts, unsigned skip, uint32_t more)
{
    uint32_t *count = &counts->waiting.of[skip];
    *count = more > UINT32_MAX - *count ? UINT32_MAX : *count + more;
    counts->any = counts->any || more > 0;
}

void mkto_counts_tick(struct mkto_counts *counts, uint64_t every, uint64_t now)
{
    if (counts->any && !counts->due && now >= counts->next_at) {
        counts->due = true;
        counts->next_at = now + every;
    }
}

uint64_t mkto_counts_deadline(const struct mkto_counts *counts)
{
    return counts->any && !counts->due ? counts->next_at : UINT64_MAX;
}

bool mkto_counts_have_output(const struct mkto_counts *counts)
{
    return counts->len > 0 || counts->due;
}

static void pack(struct mkto_counts *counts)
{
    counts->len = mkto_counts_frame_write(&counts->waiting, counts->frame);
    counts->offset = 0;
    memset(&counts->waiting, 0, sizeof(counts->waiting));
    counts->any = false;
    counts->due = false;
}

int mkto_counts_output(struct mkto_counts *counts, bool may_begin, struct iovec *iov)
{
    if (counts->len == 0 && counts->due && may_begin) {
        pack(counts);
    }
    if (counts->len == 0) {
        return 0;
    }
    iov->iov_base = counts->frame + counts->offset;
    iov->iov_len = counts->len - counts->offset;
    return 1;
}

size_t mkto_counts_sent(struct mkto_counts *counts, size_t bytes)
{
    const size_t left = counts->len - counts->offset;
    if (counts->len == 0) {
        return bytes;
    }
    if (bytes < left) {
        counts->offset += bytes;
        return 0;
    }
    counts->len = 0;
    counts->offset = 0;
    return bytes - left;
}

void mkto_counts_rewind(struct mkto_counts *counts)
{
    struct mkto_frame frame;
    struct mkto_counts_frame back;
    counts->due = false;
    if (counts->len > 0 && mkto_frame_next(counts->frame, counts->len, &frame, NULL) > 0 &&
        mkto_counts_frame_read(&frame, &back, NULL) == 0) {
        for (unsigned i = 0; i < MKTO_SKIP_COUNT; i++) {
            mkto_counts_add(counts, i, back.of[i]);
        }
    }
    counts->len = 0;
    counts->offset = 0;
}
