/*
 * disk_clock: how often and how long a process waits for its disk; or it sleeps that long in place
 * of the wait, which is what a disk of that speed would cost.
 *
 *   LD_PRELOAD=disk_clock.so MKTO_CLOCK_FILE=/file [MKTO_CLOCK_US=150] marketo courier …
 *
 * The file has three numbers of 64 bits: calls of fsync and fdatasync, nanoseconds in them, and the
 * longest. One thread of the courier writes to disk, so nothing is locked.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLACK_NS 1000UL /* the kernel's 50 us would make a sleep of 150 one of 200 */

struct counts {
    uint64_t calls;
    uint64_t ns;
    uint64_t longest_ns;
};

static struct counts unshared;
static struct counts *counts = &unshared;
static long sleep_us;

__attribute__((constructor)) static void attach(void)
{
    const char *path = getenv("MKTO_CLOCK_FILE");
    const char *us = getenv("MKTO_CLOCK_US");
    if (us != NULL) {
        sleep_us = strtol(us, NULL, 10);
        prctl(PR_SET_TIMERSLACK, SLACK_NS, 0, 0, 0);
    }
    if (path == NULL) {
        return;
    }
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED
                       : mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        abort();
    }
    close(fd); /* the map stays */
    counts = map;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int timed(int fd, long number)
{
    const uint64_t begun = now_ns();
    int rc = 0;
    if (sleep_us > 0) {
        const struct timespec pause = {.tv_sec = sleep_us / 1000000,
                                       .tv_nsec = sleep_us % 1000000 * 1000};
        nanosleep(&pause, NULL);
    } else {
        rc = (int)syscall(number, fd);
    }
    const uint64_t spent = now_ns() - begun;
    counts->calls++;
    counts->ns += spent;
    counts->longest_ns = spent > counts->longest_ns ? spent : counts->longest_ns;
    return rc;
}

int fsync(int fd)
{
    return timed(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return timed(fd, SYS_fdatasync);
}
