#include "mod_marketo.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define END_WAIT 300 /* ms that the end of a child may wait for what is on its way out */
#define END_TURN 5   /* ms between two turns then */

/* Never freed: its thread may outlive the child's pool by a moment. */
struct marketo_flusher {
    marketo_flusher_turn *turn;
    void *data;
    int bell; /* eventfd */
    bool started;
    _Atomic bool stops, ended;
};

struct marketo_flusher *marketo_flusher_create(marketo_flusher_turn *turn, void *data)
{
    struct marketo_flusher *flusher = calloc(1, sizeof(*flusher));
    if (flusher != NULL) {
        flusher->turn = turn;
        flusher->data = data;
        flusher->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    return flusher;
}

static void listen_for(struct marketo_flusher *flusher, int timeout)
{
    struct pollfd file = {.fd = flusher->bell, .events = POLLIN};
    uint64_t count;
    if (poll(&file, 1, timeout) > 0) {
        (void)!read(flusher->bell, &count, sizeof(count));
    }
}

static void *run(void *data)
{
    struct marketo_flusher *flusher = data;
    int timeout = -1;
    while (!atomic_load(&flusher->stops)) {
        listen_for(flusher, timeout);
        timeout = flusher->turn(flusher->data, MARKETO_GOES_ON);
    }
    for (int i = 0; i < END_WAIT / END_TURN && flusher->turn(flusher->data, MARKETO_ENDS) >= 0;
         i++) {
        listen_for(flusher, END_TURN);
    }
    flusher->turn(flusher->data, MARKETO_ENDED);
    atomic_store(&flusher->ended, true);
    return NULL;
}

/* No signal is for it: httpd's are for the threads that expect them. */
static void start(struct marketo_flusher *flusher)
{
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, run, flusher) == 0) {
        pthread_detach(thread);
        flusher->started = true;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void ring(const struct marketo_flusher *flusher)
{
    const uint64_t one = 1;
    (void)!write(flusher->bell, &one, sizeof(one));
}

/* Without a thread, who comes next takes the turn; so its lack loses nothing yet. */
void marketo_flusher_wake(struct marketo_flusher *flusher)
{
    if (!flusher->started) {
        start(flusher);
    }
    ring(flusher);
}

void marketo_flusher_stop(struct marketo_flusher *flusher)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    atomic_store(&flusher->stops, true);
    ring(flusher);
    for (int i = 0; flusher->started && !atomic_load(&flusher->ended) && i < 2 * END_WAIT; i++) {
        nanosleep(&moment, NULL);
    }
}
