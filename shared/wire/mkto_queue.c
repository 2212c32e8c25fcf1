#include "mkto_queue.h"

#include <stdlib.h>

#define TABLE_MIN 64 /* buckets; a power of two */

/* The two tables. Seqs are consecutive, so that masking spreads them perfectly; pointers are mixed.
 */

static size_t seq_bucket(const struct mkto_queue *queue, uint64_t seq)
{
    return (size_t)seq & (queue->table_size - 1);
}

static size_t request_bucket(const struct mkto_queue *queue, const void *request)
{
    const uint64_t mixed = (uint64_t)(uintptr_t)request * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(mixed >> 32) & (queue->table_size - 1);
}

static void table_insert(struct mkto_queue *queue, struct mkto_queue_node *node)
{
    struct mkto_queue_node **head = &queue->by_seq[seq_bucket(queue, node->seq)];
    node->seq_next = *head;
    *head = node;
    if (node->request != NULL) {
        head = &queue->by_request[request_bucket(queue, node->request)];
        node->request_next = *head;
        *head = node;
    }
}

static void forget_request(struct mkto_queue *queue, struct mkto_queue_node *node)
{
    if (node->request == NULL) {
        return;
    }
    struct mkto_queue_node **link = &queue->by_request[request_bucket(queue, node->request)];
    while (*link != node) {
        link = &(*link)->request_next;
    }
    *link = node->request_next;
    node->request = NULL;
}

static void forget_seq(struct mkto_queue *queue, struct mkto_queue_node *node)
{
    struct mkto_queue_node **link = &queue->by_seq[seq_bucket(queue, node->seq)];
    while (*link != node) {
        link = &(*link)->seq_next;
    }
    *link = node->seq_next;
}

/* When memory is short the tables stay as they are: longer chains, no failure. */
static void table_grow(struct mkto_queue *queue)
{
    const size_t size = queue->table_size == 0 ? TABLE_MIN : queue->table_size * 2;
    struct mkto_queue_node **by_seq = calloc(size, sizeof(*by_seq));
    struct mkto_queue_node **by_request = calloc(size, sizeof(*by_request));
    if (by_seq == NULL || by_request == NULL) {
        free(by_seq);
        free(by_request);
        return;
    }
    free(queue->by_seq);
    free(queue->by_request);
    queue->by_seq = by_seq;
    queue->by_request = by_request;
    queue->table_size = size;
    for (struct mkto_queue_node *node = queue->first; node != NULL; node = node->next) {
        table_insert(queue, node);
    }
}

static struct mkto_queue_node *find(const struct mkto_queue *queue, uint64_t seq)
{
    struct mkto_queue_node *node = queue->by_seq[seq_bucket(queue, seq)];
    while (node != NULL && node->seq != seq) {
        node = node->seq_next;
    }
    return node;
}

/* The two lists. */

static void append(struct mkto_queue *queue, struct mkto_queue_node *node)
{
    node->prev = queue->last;
    node->next = NULL;
    *(queue->last == NULL ? &queue->first : &queue->last->next) = node;
    queue->last = node;
    if (queue->unsent == NULL) {
        queue->unsent = node;
        queue->unsent_offset = 0;
    }
    queue->bytes += node->len;
    queue->background_bytes += node->background ? node->len : 0;
}

/* From the tail: the requests of a worker mostly share one timeout, so that the place is found at
 * once. */
static void insert_by_deadline(struct mkto_queue *queue, struct mkto_queue_node *node)
{
    struct mkto_queue_node *before = queue->latest;
    while (before != NULL && before->deadline > node->deadline) {
        before = before->sooner;
    }
    node->sooner = before;
    node->later = before == NULL ? queue->soonest : before->later;
    *(before == NULL ? &queue->soonest : &before->later) = node;
    *(node->later == NULL ? &queue->latest : &node->later->sooner) = node;
    node->waiting = true;
    queue->waiting += node->calls;
    queue->background_waiting += node->background ? node->calls : 0;
}

static void stop_waiting(struct mkto_queue *queue, struct mkto_queue_node *node)
{
    *(node->sooner == NULL ? &queue->soonest : &node->sooner->later) = node->later;
    *(node->later == NULL ? &queue->latest : &node->later->sooner) = node->sooner;
    node->waiting = false;
    queue->waiting -= node->calls;
    queue->background_waiting -= node->background ? node->calls : 0;
    forget_request(queue, node);
}

static bool half_sent(const struct mkto_queue *queue, const struct mkto_queue_node *node)
{
    return node == queue->unsent && queue->unsent_offset > 0;
}

static struct mkto_queue_spare *spare_of(struct mkto_queue *queue, size_t room, size_t *max)
{
    *max = room == MKTO_QUEUE_ROOM ? MKTO_QUEUE_SPARE_MAX : MKTO_QUEUE_SHARED_SPARE;
    return room == MKTO_QUEUE_ROOM     ? &queue->usual
           : room == MKTO_QUEUE_SHARED ? &queue->shared
                                       : NULL;
}

static void give_back(struct mkto_queue *queue, struct mkto_queue_node *node)
{
    size_t max;
    struct mkto_queue_spare *spare = spare_of(queue, node->room, &max);
    if (spare == NULL || spare->count == max) {
        free(node);
        return;
    }
    node->next = spare->first;
    spare->first = node;
    spare->count++;
}

/* A node with so much room, or NULL. */
static struct mkto_queue_node *take_node(struct mkto_queue *queue, size_t room)
{
    size_t max;
    struct mkto_queue_spare *spare = spare_of(queue, room, &max);
    struct mkto_queue_node *node = spare == NULL ? NULL : spare->first;
    if (node == NULL) {
        node = malloc(sizeof(*node) + room);
        if (node != NULL) {
            node->room = room;
        }
        return node;
    }
    spare->first = node->next;
    spare->count--;
    return node;
}

/* For a frame of len bytes. A long queue is not made longer by room that is not used. */
static size_t room_for(const struct mkto_queue *queue, size_t len)
{
    const bool usual = len <= MKTO_QUEUE_ROOM &&
                       (queue->usual.first != NULL || queue->waiting < MKTO_QUEUE_SPARE_MAX);
    return usual ? MKTO_QUEUE_ROOM : len;
}

static void drop(struct mkto_queue *queue, struct mkto_queue_node *node)
{
    if (node->waiting) {
        stop_waiting(queue, node);
    }
    forget_seq(queue, node);
    if (node == queue->unsent) {
        queue->unsent = node->next;
        queue->unsent_offset = 0;
    }
    if (node == queue->open) {
        queue->open = NULL;
    }
    *(node->prev == NULL ? &queue->first : &node->prev->next) = node->next;
    *(node->next == NULL ? &queue->last : &node->next->prev) = node->prev;
    queue->bytes -= node->len;
    queue->background_bytes -= node->background ? node->len : 0;
    give_back(queue, node);
}

bool mkto_queue_init(struct mkto_queue *queue)
{
    table_grow(queue);
    return queue->table_size > 0;
}

static void free_spare(struct mkto_queue_spare *spare)
{
    while (spare->first != NULL) {
        struct mkto_queue_node *node = spare->first;
        spare->first = node->next;
        free(node);
    }
}

void mkto_queue_free(struct mkto_queue *queue)
{
    while (queue->first != NULL) {
        drop(queue, queue->first);
    }
    free_spare(&queue->usual);
    free_spare(&queue->shared);
    free(queue->by_seq);
    free(queue->by_request);
}

static void add(struct mkto_queue *queue, struct mkto_queue_node *node, uint64_t seq,
                uint64_t deadline, size_t len, void *request)
{
    *node = (struct mkto_queue_node){.seq = seq,
                                     .deadline = deadline,
                                     .request = request,
                                     .background = request == NULL,
                                     .calls = 1,
                                     .len = len,
                                     .room = node->room};
    if (queue->waiting >= queue->table_size) {
        table_grow(queue);
    }
    table_insert(queue, node);
    append(queue, node);
    insert_by_deadline(queue, node);
}

struct mkto_queue_node *mkto_queue_add(struct mkto_queue *queue, uint64_t seq, uint64_t deadline,
                                       size_t len, void *request)
{
    struct mkto_queue_node *node = take_node(queue, room_for(queue, len));
    if (node != NULL) {
        add(queue, node, seq, deadline, len, request);
    }
    return node;
}

struct mkto_queue_node *mkto_queue_open(struct mkto_queue *queue, uint64_t seq, uint64_t deadline,
                                        size_t len)
{
    struct mkto_queue_node *node =
        take_node(queue, len < MKTO_QUEUE_SHARED ? MKTO_QUEUE_SHARED : len);
    if (node != NULL) {
        add(queue, node, seq, deadline, len, NULL);
        queue->open = node;
    }
    return node;
}

struct mkto_queue_node *mkto_queue_join(struct mkto_queue *queue, uint64_t deadline, size_t len,
                                        size_t calls_max)
{
    struct mkto_queue_node *node = queue->open;
    if (node == NULL || len > node->room - node->len || node->calls >= calls_max ||
        deadline < node->deadline || deadline - node->deadline > MKTO_QUEUE_SHARE_TIME) {
        return NULL;
    }
    node->len += len;
    node->calls++;
    queue->bytes += len;
    queue->background_bytes += len;
    queue->waiting++;
    queue->background_waiting++;
    return node;
}

void mkto_queue_cancel(struct mkto_queue *queue, const void *request)
{
    struct mkto_queue_node *node = queue->by_request[request_bucket(queue, request)];
    while (node != NULL) {
        struct mkto_queue_node *next = node->request_next;
        if (node->request == request) {
            forget_request(queue, node);
        }
        node = next;
    }
}

struct mkto_queue_node *mkto_queue_find_sent(const struct mkto_queue *queue, uint64_t seq)
{
    struct mkto_queue_node *node = find(queue, seq);
    if (node == NULL || !node->waiting ||
        (queue->unsent != NULL && node->seq >= queue->unsent->seq)) {
        return NULL;
    }
    return node;
}

void *mkto_queue_end(struct mkto_queue *queue, struct mkto_queue_node *node)
{
    void *request = node->request;
    if (half_sent(queue, node)) {
        stop_waiting(queue, node); /* the rest of the frame must still go out */
    } else {
        drop(queue, node);
    }
    return request;
}

void mkto_queue_rewind(struct mkto_queue *queue)
{
    if (queue->unsent != NULL && !queue->unsent->waiting) {
        drop(queue, queue->unsent); /* only the rest of its frame kept it */
    }
    queue->unsent = queue->first;
    queue->unsent_offset = 0;
}

int mkto_queue_output(struct mkto_queue *queue, struct iovec *iov, int max)
{
    size_t offset = queue->unsent_offset;
    int count = 0;
    for (struct mkto_queue_node *node = queue->unsent; node != NULL && count < max;
         node = node->next) {
        if (node == queue->open) {
            queue->open = NULL; /* it is on its way */
        }
        iov[count].iov_base = node->frame + offset;
        iov[count].iov_len = node->len - offset;
        offset = 0;
        count++;
    }
    return count;
}

void mkto_queue_sent(struct mkto_queue *queue, size_t bytes)
{
    while (bytes > 0 && queue->unsent != NULL) {
        struct mkto_queue_node *node = queue->unsent;
        const size_t left = node->len - queue->unsent_offset;
        if (bytes < left) {
            queue->unsent_offset += bytes;
            return;
        }
        bytes -= left;
        queue->unsent = node->next;
        queue->unsent_offset = 0;
        if (!node->waiting) {
            drop(queue, node);
        }
    }
}
