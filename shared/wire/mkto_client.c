#include "mkto_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "mkto_counts.h"
#include "mkto_inbox.h"
#include "mkto_queue.h"

#define NEVER UINT64_MAX

_Static_assert(MKTO_CLIENT_GATHER < MKTO_QUEUE_SHARED, "a frame has room for what gathers");
_Static_assert(MKTO_QUEUE_SHARED <= MKTO_FRAME_HEADER + MKTO_FRAME_MAX, "the courier takes it");

struct mkto_client {
    struct mkto_client_conf conf;
    enum mkto_client_state state;
    bool broken; /* the stream is of no use: wants says CLOSE */
    bool tripped;
    uint64_t silent_at;  /* READY: when to give the connection up if no verdict comes until then */
    unsigned silences;   /* connections given up for that since the last verdict */
    uint64_t give_up_at; /* CONNECTING, GREETING: when it took too long */
    uint64_t retry_at;   /* WAITING: when to connect again */
    uint64_t backoff;    /* ms of the last wait; 0 after a WELCOME */
    uint64_t next_seq;

    struct mkto_queue queue;
    struct mkto_counts counts;

    uint8_t *hello;
    size_t hello_len, hello_offset;
    struct mkto_inbox inbox;

    uint8_t refusal;
    char reason[MKTO_ERROR_MAX];
};

static void look_at_counts(struct mkto_client *client, uint64_t now)
{
    if (client->state == MKTO_CLIENT_READY) {
        mkto_counts_tick(&client->counts, MKTO_CLIENT_COUNTS_EVERY, now);
    }
}

void mkto_client_count(struct mkto_client *client, enum mkto_skip skip, uint64_t now)
{
    if (skip > MKTO_SKIP_NONE && skip < MKTO_SKIP_COUNT) {
        mkto_counts_add(&client->counts, skip, 1);
        look_at_counts(client, now);
    }
}

/* Ends a request. The callback comes last: it may submit and cancel. */
static void answer(struct mkto_client *client, struct mkto_queue_node *node,
                   const struct mkto_verdict_frame *verdict)
{
    void *request = mkto_queue_end(&client->queue, node);
    if (request != NULL) {
        client->conf.answered(client->conf.ctx, request, verdict);
    }
}

static void trip(struct mkto_client *client, uint64_t now)
{
    if (!client->tripped) {
        client->tripped = true;
        client->silent_at = now + MKTO_CLIENT_SILENCE;
    }
}

static void untrip(struct mkto_client *client)
{
    client->tripped = false;
    client->silent_at = NEVER;
}

/* Nobody would notice that those of fire and forget are never answered. */
static void expect(struct mkto_client *client, uint64_t now)
{
    if (client->state == MKTO_CLIENT_READY && client->silent_at == NEVER &&
        client->queue.background_waiting > 0) {
        client->silent_at = now + MKTO_CLIENT_DEAF;
    }
}

static void count_expired(struct mkto_client *client, const struct mkto_queue_node *node)
{
    mkto_counts_add(&client->counts, MKTO_SKIP_NOT_STORED, (uint32_t)node->calls);
}

static void expire(struct mkto_client *client, uint64_t now)
{
    struct mkto_queue_node *node;
    while ((node = client->queue.soonest) != NULL && node->deadline <= now) {
        const struct mkto_verdict_frame away = {.seq = node->seq, .answer = MKTO_ANSWER_AWAY};
        if (node->background) {
            count_expired(client, node);
            look_at_counts(client, now);
        } else {
            trip(client, now);
        }
        answer(client, node, &away);
    }
}

/* Life. */

static bool encode_hello(struct mkto_client *client)
{
    const size_t size = mkto_hello_write(&client->conf.hello, NULL);
    client->hello = size == 0 ? NULL : malloc(size);
    if (client->hello == NULL) {
        return false;
    }
    client->hello_len = mkto_hello_write(&client->conf.hello, client->hello);
    client->conf.hello.config_path = MKTO_SLICE_NONE; /* the caller's memory */
    return true;
}

struct mkto_client *mkto_client_create(const struct mkto_client_conf *conf, uint64_t now)
{
    (void)now;
    struct mkto_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return NULL;
    }
    client->conf = *conf;
    if (conf->max_bytes == 0) {
        client->conf.max_bytes = MKTO_CLIENT_BUFFER_DEFAULT;
    }
    if (conf->max_waiting == 0) {
        client->conf.max_waiting = MKTO_CLIENT_WAITING_DEFAULT;
    }
    client->next_seq = 1;
    client->silent_at = NEVER;
    if (!mkto_queue_init(&client->queue) || !encode_hello(client)) {
        mkto_client_destroy(client);
        return NULL;
    }
    return client;
}

void mkto_client_destroy(struct mkto_client *client)
{
    if (client == NULL) {
        return;
    }
    mkto_queue_free(&client->queue);
    free(client->hello);
    mkto_inbox_clear(&client->inbox);
    free(client);
}

/* Requests. */

/* Whether a frame of len bytes has no room. Fire and forget takes at most half of it. */
static bool is_busy(const struct mkto_client *client, size_t len, bool background)
{
    const struct mkto_queue *queue = &client->queue;
    const size_t bytes = client->conf.max_bytes, waiting = client->conf.max_waiting;
    if (queue->waiting >= waiting || len > bytes || queue->bytes > bytes - len) {
        return true;
    }
    return background && (queue->background_waiting >= waiting / 2 || len > bytes / 2 ||
                          queue->background_bytes > bytes / 2 - len);
}

/* Tripped spares those that wait a timeout each; what is fire and forget has time. */
static bool is_away(const struct mkto_client *client, uint64_t deadline, bool background,
                    uint64_t now)
{
    return deadline <= now || (client->tripped && !background);
}

/* The node takes the next seq. */
static void number(struct mkto_client *client, uint64_t now)
{
    client->next_seq++;
    expect(client, now);
}

static enum mkto_answer submit(struct mkto_client *client, const struct mkto_event_frame *event,
                               const struct mkto_envelope *envelope, void *request, uint64_t now)
{
    if (is_away(client, event->deadline_ms, request == NULL, now)) {
        return MKTO_ANSWER_AWAY;
    }
    if (envelope->body.len > MKTO_BODY_MAX) {
        return MKTO_ANSWER_TOO_LARGE;
    }
    struct mkto_event_frame numbered = *event;
    numbered.seq = client->next_seq;
    const size_t len = mkto_event_write(&numbered, envelope, NULL);
    if (len == 0) {
        return MKTO_ANSWER_TOO_LARGE;
    }
    struct mkto_queue_node *node =
        is_busy(client, len, request == NULL)
            ? NULL
            : mkto_queue_add(&client->queue, numbered.seq, event->deadline_ms, len, request);
    if (node == NULL) {
        return MKTO_ANSWER_BUSY;
    }
    number(client, now);
    mkto_event_write(&numbered, envelope, node->frame);
    return MKTO_ANSWER_STORED;
}

/* The node at whose end a view of len bytes is to be written; NULL: BUSY. */
static struct mkto_queue_node *room_for_view(struct mkto_client *client, uint64_t deadline,
                                             size_t len, uint64_t now)
{
    if (is_busy(client, MKTO_VIEW_HEAD + len, true)) {
        return NULL;
    }
    struct mkto_queue_node *node = mkto_queue_join(&client->queue, deadline, len, MKTO_VIEWS_MAX);
    if (node == NULL) {
        node = mkto_queue_open(&client->queue, client->next_seq, deadline, MKTO_VIEW_HEAD + len);
        if (node != NULL) {
            number(client, now);
        }
    }
    return node;
}

static enum mkto_answer submit_view(struct mkto_client *client, struct mkto_view *view,
                                    struct mkto_request *request, uint64_t now)
{
    if (is_away(client, view->deadline_ms, true, now)) {
        return MKTO_ANSWER_AWAY;
    }
    const size_t len = mkto_view_fit(view, request);
    if (len == 0) {
        return MKTO_ANSWER_TOO_LARGE;
    }
    struct mkto_queue_node *node = room_for_view(client, view->deadline_ms, len, now);
    if (node == NULL) {
        return MKTO_ANSWER_BUSY;
    }
    mkto_view_put(view, request, node->frame + node->len - len);
    mkto_view_head(node->seq, node->deadline, node->len, node->frame);
    return MKTO_ANSWER_STORED;
}

enum mkto_answer mkto_client_submit(struct mkto_client *client,
                                    const struct mkto_event_frame *event,
                                    const struct mkto_envelope *envelope, void *request,
                                    uint64_t now)
{
    const enum mkto_answer answer = submit(client, event, envelope, request, now);
    if (request == NULL && answer != MKTO_ANSWER_STORED) {
        mkto_client_count(client, MKTO_SKIP_NOT_STORED, now);
    }
    return answer;
}

enum mkto_answer mkto_client_view(struct mkto_client *client, struct mkto_view *view,
                                  struct mkto_request *request, uint64_t now)
{
    const enum mkto_answer answer = submit_view(client, view, request, now);
    if (answer != MKTO_ANSWER_STORED) {
        mkto_client_count(client, MKTO_SKIP_NOT_STORED, now);
    }
    return answer;
}

bool mkto_client_gathered(const struct mkto_client *client)
{
    const struct mkto_queue *queue = &client->queue;
    return queue->unsent != NULL &&
           (queue->unsent != queue->open || queue->open->len >= MKTO_CLIENT_GATHER);
}

void mkto_client_cancel(struct mkto_client *client, void *request)
{
    if (request != NULL) {
        mkto_queue_cancel(&client->queue, request);
    }
}

/* What the caller should do. */

static bool has_output(const struct mkto_client *client)
{
    return (client->state == MKTO_CLIENT_GREETING && client->hello_offset < client->hello_len) ||
           (client->state == MKTO_CLIENT_READY &&
            (client->queue.unsent != NULL || mkto_counts_have_output(&client->counts)));
}

unsigned mkto_client_wants(const struct mkto_client *client, uint64_t now)
{
    if (client->broken) {
        return MKTO_WANT_CLOSE;
    }
    switch (client->state) {
    case MKTO_CLIENT_IDLE: return MKTO_WANT_CONNECT;
    case MKTO_CLIENT_WAITING: return now >= client->retry_at ? MKTO_WANT_CONNECT : 0;
    case MKTO_CLIENT_CONNECTING: return 0;
    case MKTO_CLIENT_GREETING:
    case MKTO_CLIENT_READY: break;
    }
    return MKTO_WANT_READ | (has_output(client) ? (unsigned)MKTO_WANT_WRITE : 0u);
}

static uint64_t connection_deadline(const struct mkto_client *client)
{
    if (client->broken) {
        return NEVER;
    }
    switch (client->state) {
    case MKTO_CLIENT_WAITING: return client->retry_at;
    case MKTO_CLIENT_CONNECTING:
    case MKTO_CLIENT_GREETING: return client->give_up_at;
    case MKTO_CLIENT_READY: return client->silent_at;
    case MKTO_CLIENT_IDLE: break;
    }
    return NEVER;
}

uint64_t mkto_client_deadline(const struct mkto_client *client)
{
    const struct mkto_queue_node *soonest = client->queue.soonest;
    const uint64_t request = soonest == NULL ? NEVER : soonest->deadline;
    const uint64_t connection = connection_deadline(client);
    const uint64_t counts =
        client->state == MKTO_CLIENT_READY ? mkto_counts_deadline(&client->counts) : NEVER;
    const uint64_t sooner = request < connection ? request : connection;
    return sooner < counts ? sooner : counts;
}

/* The first reason of a connection is the one that is kept. */
static int break_stream(struct mkto_client *client, const char *text)
{
    if (!client->broken) {
        client->broken = true;
        snprintf(client->reason, sizeof(client->reason), "%s", text);
    }
    return -1;
}

void mkto_client_tick(struct mkto_client *client, uint64_t now)
{
    expire(client, now);
    look_at_counts(client, now);
    if (connection_deadline(client) > now) {
        return;
    }
    if (client->state == MKTO_CLIENT_CONNECTING) {
        break_stream(client, "the courier did not take the connection in time");
    } else if (client->state == MKTO_CLIENT_GREETING) {
        break_stream(client, "the courier did not welcome us in time");
    } else if (client->state == MKTO_CLIENT_READY) {
        client->silences++;
        break_stream(client, "the courier does not answer");
    }
}

/* The connection. */

void mkto_client_connecting(struct mkto_client *client, uint64_t now)
{
    client->state = MKTO_CLIENT_CONNECTING;
    client->refusal = 0;
    client->give_up_at = now + MKTO_CLIENT_CONNECT_TIMEOUT;
}

void mkto_client_connected(struct mkto_client *client, uint64_t now)
{
    client->state = MKTO_CLIENT_GREETING;
    client->give_up_at = now + MKTO_CLIENT_CONNECT_TIMEOUT;
    client->hello_offset = 0;
    client->refusal = 0;
}

static uint64_t next_backoff(const struct mkto_client *client)
{
    switch (client->refusal) {
    case MKTO_REFUSED_LEAVING: return MKTO_CLIENT_BACKOFF_MIN;
    case MKTO_REFUSED_VERSION:
    case MKTO_REFUSED_CONFIG:
    case MKTO_REFUSED_PEER: return MKTO_CLIENT_BACKOFF_MAX;
    default: break;
    }
    if (client->backoff == 0) {
        return MKTO_CLIENT_BACKOFF_MIN;
    }
    return client->backoff * 2 < MKTO_CLIENT_BACKOFF_MAX ? client->backoff * 2
                                                         : MKTO_CLIENT_BACKOFF_MAX;
}

static void end_connection(struct mkto_client *client, uint64_t now)
{
    client->broken = false;
    client->state = MKTO_CLIENT_WAITING;
    client->backoff = next_backoff(client);
    client->retry_at = now + client->backoff;
    mkto_inbox_clear(&client->inbox);
    mkto_counts_rewind(&client->counts);
    mkto_queue_rewind(&client->queue);
    expire(client, now);
}

void mkto_client_failed(struct mkto_client *client, int error, uint64_t now)
{
    client->refusal = 0;
    snprintf(client->reason, sizeof(client->reason), "connect: %s", strerror(error));
    end_connection(client, now);
}

void mkto_client_closed(struct mkto_client *client, int error, uint64_t now)
{
    if (!client->broken) {
        snprintf(client->reason, sizeof(client->reason), "%s",
                 error == 0 ? "the courier closed the connection" : strerror(error));
    }
    end_connection(client, now);
}

/* Output. */

int mkto_client_output(struct mkto_client *client, struct iovec *iov, int max)
{
    if (max < 1 || client->broken || !has_output(client)) {
        return 0;
    }
    if (client->state == MKTO_CLIENT_GREETING) {
        iov[0].iov_base = client->hello + client->hello_offset;
        iov[0].iov_len = client->hello_len - client->hello_offset;
        return 1;
    }
    const int own = mkto_counts_output(&client->counts, client->queue.unsent_offset == 0, iov);
    return own + mkto_queue_output(&client->queue, iov + own, max - own);
}

void mkto_client_sent(struct mkto_client *client, size_t bytes)
{
    if (client->state == MKTO_CLIENT_GREETING) {
        client->hello_offset += bytes;
        return;
    }
    bytes = mkto_counts_sent(&client->counts, bytes);
    mkto_queue_sent(&client->queue, bytes);
}

/* Input. */

static int on_welcome(struct mkto_client *client, const struct mkto_frame *frame,
                      struct mkto_error *err)
{
    struct mkto_welcome welcome;
    if (mkto_welcome_read(frame, &welcome, err) != 0) {
        return -1;
    }
    if (client->state != MKTO_CLIENT_GREETING || client->hello_offset < client->hello_len) {
        return mkto_error_set(err, "WELCOME frame before or after its time");
    }
    if (welcome.version != MKTO_WIRE_VERSION) {
        client->refusal = MKTO_REFUSED_VERSION;
        return mkto_error_set(err, "the courier speaks wire version %u, this server %d",
                              welcome.version, MKTO_WIRE_VERSION);
    }
    client->state = MKTO_CLIENT_READY;
    client->backoff = 0;
    client->reason[0] = '\0';
    untrip(client);
    return 0;
}

static int on_refused(struct mkto_client *client, const struct mkto_frame *frame,
                      struct mkto_error *err)
{
    struct mkto_refused refused;
    if (mkto_refused_read(frame, &refused, err) != 0) {
        return -1;
    }
    client->refusal = refused.reason;
    return mkto_error_set(err, "the courier refused: %.*s", (int)refused.text.len,
                          refused.text.data);
}

static int on_verdicts(struct mkto_client *client, const struct mkto_frame *frame,
                       struct mkto_error *err)
{
    struct mkto_verdict_iter iter = {0, 0};
    struct mkto_verdict_frame verdict;
    int more;
    while ((more = mkto_verdicts_next(frame, &iter, &verdict, err)) == 1) {
        untrip(client);
        client->silences = 0;
        struct mkto_queue_node *node = mkto_queue_find_sent(&client->queue, verdict.seq);
        if (node != NULL) { /* else it has timed out, or is none of ours */
            if (node->background && verdict.answer == MKTO_ANSWER_EXPIRED) {
                count_expired(client, node); /* the courier's clock was first */
            }
            answer(client, node, &verdict);
        }
    }
    return more;
}

static int on_log(struct mkto_client *client, const struct mkto_frame *frame,
                  struct mkto_error *err)
{
    struct mkto_log_frame log;
    if (mkto_log_read(frame, &log, err) != 0) {
        return -1;
    }
    if (client->conf.log != NULL) {
        client->conf.log(client->conf.ctx, &log);
    }
    return 0;
}

static int on_frame(struct mkto_client *client, const struct mkto_frame *frame,
                    struct mkto_error *err)
{
    switch (frame->type) {
    case MKTO_FRAME_WELCOME: return on_welcome(client, frame, err);
    case MKTO_FRAME_REFUSED: return on_refused(client, frame, err);
    case MKTO_FRAME_VERDICTS:
        if (client->state == MKTO_CLIENT_READY) {
            return on_verdicts(client, frame, err);
        }
        break;
    case MKTO_FRAME_LOG:
        if (client->state == MKTO_CLIENT_READY) {
            return on_log(client, frame, err);
        }
        break;
    default: break;
    }
    return mkto_error_set(err, "unexpected frame of type %d", (int)frame->type);
}

/* One frame, or what there is of it. Returns the bytes used, or -1. */
static long step(struct mkto_client *client, const uint8_t *data, size_t len,
                 struct mkto_error *err)
{
    struct mkto_frame frame;
    const long used = mkto_inbox_take(&client->inbox, data, len, &frame, err);
    return used > 0 && frame.payload != NULL && on_frame(client, &frame, err) != 0 ? -1 : used;
}

int mkto_client_input(struct mkto_client *client, const uint8_t *data, size_t len, uint64_t now)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    while (len > 0 && !client->broken) {
        const long used = step(client, data, len, &err);
        if (used < 0) {
            return break_stream(client, err.text);
        }
        data += used;
        len -= (size_t)used;
    }
    expire(client, now);
    expect(client, now);
    look_at_counts(client, now);
    return client->broken ? -1 : 0;
}

enum mkto_client_state mkto_client_state_of(const struct mkto_client *client)
{
    return client->state;
}

bool mkto_client_tripped(const struct mkto_client *client)
{
    return client->tripped;
}

size_t mkto_client_waiting(const struct mkto_client *client)
{
    return client->queue.waiting - client->queue.background_waiting;
}

size_t mkto_client_background(const struct mkto_client *client)
{
    return client->queue.background_waiting;
}

const char *mkto_client_reason(const struct mkto_client *client)
{
    return client->reason;
}

unsigned mkto_client_silences(const struct mkto_client *client)
{
    return client->silences;
}

uint8_t mkto_client_refusal(const struct mkto_client *client)
{
    return client->refusal;
}
