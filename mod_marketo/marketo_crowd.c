#include "mod_marketo.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "apr_shm.h"

/* A seat frees itself: by its owner, by `until` when the owner was killed while it waited, and by
 * the next child that finds its owner dead. */
struct marketo_seat {
    _Atomic pid_t owner;
    _Atomic uint64_t since; /* waits since then (ms); 0: does not wait */
    _Atomic uint64_t until; /* and at most until then */
};

struct marketo_crowd {
    _Atomic pid_t watcher;  /* who watches over the courier; 0: nobody */
    _Atomic uint64_t beat;  /* when it last did (ms) */
    _Atomic uint64_t heard; /* when any child last had a verdict (ms) */
    size_t count;
    struct marketo_seat seats[];
};

apr_status_t marketo_crowd_create(struct marketo_crowd **crowd, size_t seats, apr_pool_t *pconf)
{
    apr_shm_t *memory;
    const size_t size = sizeof(**crowd) + seats * sizeof(struct marketo_seat);
    const apr_status_t status = apr_shm_create(&memory, size, NULL, pconf);
    if (status != APR_SUCCESS) {
        return status;
    }
    *crowd = apr_shm_baseaddr_get(memory);
    memset(*crowd, 0, size);
    (*crowd)->count = seats;
    return APR_SUCCESS;
}

struct marketo_seat *marketo_crowd_sit(struct marketo_crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++) {
        struct marketo_seat *seat = &crowd->seats[i];
        pid_t owner = atomic_load(&seat->owner);
        const bool free = owner == 0 || (kill(owner, 0) != 0 && errno == ESRCH);
        if (free && atomic_compare_exchange_strong(&seat->owner, &owner, getpid())) {
            atomic_store(&seat->since, 0);
            return seat;
        }
    }
    return NULL;
}

void marketo_crowd_leave(struct marketo_seat *seat)
{
    atomic_store(&seat->since, 0);
    atomic_store(&seat->owner, 0);
}

/* A pid alone would not do: it may belong to another process by now. */
bool marketo_crowd_watch(struct marketo_crowd *crowd, uint64_t now)
{
    pid_t watcher = atomic_load(&crowd->watcher);
    if (watcher != getpid()) {
        if (watcher != 0 && now < atomic_load(&crowd->beat) + MARKETO_WATCH_LOST) {
            return false;
        }
        if (!atomic_compare_exchange_strong(&crowd->watcher, &watcher, getpid())) {
            return false;
        }
    }
    atomic_store(&crowd->beat, now);
    return true;
}

void marketo_crowd_unwatch(struct marketo_crowd *crowd)
{
    pid_t watcher = getpid();
    atomic_compare_exchange_strong(&crowd->watcher, &watcher, 0);
}

void marketo_crowd_wait(struct marketo_seat *seat, uint64_t since, uint64_t until)
{
    atomic_store(&seat->until, until);
    atomic_store(&seat->since, since);
}

void marketo_crowd_done(struct marketo_seat *seat)
{
    atomic_store(&seat->since, 0);
}

void marketo_crowd_heard(struct marketo_crowd *crowd, uint64_t now)
{
    atomic_store(&crowd->heard, now);
}

size_t marketo_crowd_before(const struct marketo_crowd *crowd, uint64_t since, uint64_t now,
                            uint64_t *quiet)
{
    size_t before = 0;
    uint64_t oldest = *quiet;
    for (size_t i = 0; i < crowd->count; i++) {
        const uint64_t other = atomic_load(&crowd->seats[i].since);
        if (other != 0 && other < since && atomic_load(&crowd->seats[i].until) >= now) {
            before++;
            oldest = other < oldest ? other : oldest;
        }
    }
    const uint64_t heard = atomic_load(&crowd->heard);
    *quiet = oldest > heard ? oldest : heard;
    return before;
}
