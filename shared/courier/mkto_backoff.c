#include "mkto_backoff.h"

/* splitmix64: good enough to spread attempts, no secret depends on it */
uint64_t mkto_backoff_random(struct mkto_backoff *backoff, uint64_t below)
{
    uint64_t z = backoff->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return below == 0 ? 0 : z % below;
}

int64_t mkto_backoff_next(struct mkto_backoff *backoff, unsigned attempts, int64_t after_ms)
{
    uint64_t ceiling = MKTO_BACKOFF_MAX_MS;

    if (attempts < 10 && ((uint64_t)MKTO_BACKOFF_MIN_MS << attempts) < ceiling) {
        ceiling = (uint64_t)MKTO_BACKOFF_MIN_MS << attempts;
    }
    uint64_t spread = ceiling - MKTO_BACKOFF_MIN_MS + 1;
    int64_t wait = MKTO_BACKOFF_MIN_MS + (int64_t)mkto_backoff_random(backoff, spread);
    return wait > after_ms ? wait : after_ms;
}
