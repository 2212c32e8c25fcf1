/*
 * mkto_queue: the requests that wait for a verdict, in the order of their seqs and of their
 * deadlines; found by seq and by request pointer in O(1). The part of mkto_client that holds them.
 *
 * A node owns its encoded frame, because a frame must be sent again after a reconnect. One that
 * ends halfway through the socket stays until the rest of its frame is out. Nodes of the usual size
 * are kept for the next call.
 */
#ifndef MKTO_QUEUE_H
#define MKTO_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define MKTO_QUEUE_ROOM 1920     /* bytes: a frame up to this long is of the usual size */
#define MKTO_QUEUE_SPARE_MAX 256 /* nodes of the usual size that are kept: 512 KiB */
#define MKTO_QUEUE_SHARED                                                                          \
    262144 /* bytes: room of a frame that calls share; unused, it is no memory but addresses */
#define MKTO_QUEUE_SHARED_SPARE 4 /* nodes of such frames that are kept: up to 1 MiB */
#define MKTO_QUEUE_SHARE_TIME                                                                      \
    1000 /* ms: how much earlier than its own a shared deadline may be                             \
          */

struct mkto_queue_node {
    uint64_t seq;
    uint64_t deadline;                               /* CLOCK_MONOTONIC, ms */
    void *request;                                   /* NULL: nobody waits any more */
    struct mkto_queue_node *prev, *next;             /* all of them, in seq order */
    struct mkto_queue_node *sooner, *later;          /* those that wait, by deadline */
    struct mkto_queue_node *seq_next, *request_next; /* chains of the two tables */
    bool waiting;                                    /* no verdict yet, deadline ahead */
    bool background;                                 /* fire and forget from the start */
    size_t calls;                                    /* that share it; mostly 1 */
    size_t len;                                      /* bytes of the frame */
    size_t room;                                     /* bytes that it may have */
    uint8_t frame[];
};

/* Nodes of one size that wait for their next call. */
struct mkto_queue_spare {
    struct mkto_queue_node *first; /* by next */
    size_t count;
};

struct mkto_queue {
    struct mkto_queue_node *first, *last; /* seq order */
    struct mkto_queue_node *unsent; /* the first that is not wholly written on this connection */
    size_t unsent_offset;           /* bytes of it that are */
    struct mkto_queue_node *soonest, *latest;      /* deadline order */
    struct mkto_queue_node *open;                  /* takes more calls; NULL: none does */
    size_t waiting;                                /* calls without a verdict */
    size_t bytes;                                  /* frames of all nodes */
    size_t background_waiting, background_bytes;   /* of these: fire and forget */
    struct mkto_queue_node **by_seq, **by_request; /* table_size buckets each */
    size_t table_size;
    struct mkto_queue_spare usual, shared;
};

/* On zeroed memory. false when memory runs out. */
bool mkto_queue_init(struct mkto_queue *queue);
void mkto_queue_free(struct mkto_queue *queue);

/* Lets a call wait whose frame has len bytes, which the caller writes to the node at once; without
 * a request it is fire and forget. Seqs must rise. NULL when memory runs out. */
struct mkto_queue_node *mkto_queue_add(struct mkto_queue *queue, uint64_t seq, uint64_t deadline,
                                       size_t len, void *request);

/*
 * Calls that are fire and forget may share a frame, one deadline and one verdict, until the frame
 * is output. open: as add, without a request, but more may join. join: the node of the one that is
 * open, now len bytes longer, which the caller writes at its end; NULL when there is none, or it
 * has no room, calls_max calls, or a deadline that is too far from this one.
 */
struct mkto_queue_node *mkto_queue_open(struct mkto_queue *queue, uint64_t seq, uint64_t deadline,
                                        size_t len);
struct mkto_queue_node *mkto_queue_join(struct mkto_queue *queue, uint64_t deadline, size_t len,
                                        size_t calls_max);

/* Forgets the pointer wherever it stands. */
void mkto_queue_cancel(struct mkto_queue *queue, const void *request);

/* The waiting node of a seq whose frame went out whole, or NULL. */
struct mkto_queue_node *mkto_queue_find_sent(const struct mkto_queue *queue, uint64_t seq);

/* A waiting node has its answer: takes it out and returns its request. */
void *mkto_queue_end(struct mkto_queue *queue, struct mkto_queue_node *node);

/* The connection is gone: everything that waits is to be sent again, from its first byte. */
void mkto_queue_rewind(struct mkto_queue *queue);

int mkto_queue_output(struct mkto_queue *queue, struct iovec *iov, int max);
void mkto_queue_sent(struct mkto_queue *queue, size_t bytes);

#endif
