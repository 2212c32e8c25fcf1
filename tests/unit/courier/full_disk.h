/*
 * A disk that is full: files of this process grow to so many bytes and no further.
 */
#ifndef FULL_DISK_H
#define FULL_DISK_H

#include <signal.h>
#include <sys/resource.h>

/* Returns what full_disk_end takes. */
static inline struct rlimit full_disk_begin(rlim_t bytes)
{
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, old.rlim_max}), 0);
    return old;
}

static inline void full_disk_end(struct rlimit old)
{
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
}

#endif
