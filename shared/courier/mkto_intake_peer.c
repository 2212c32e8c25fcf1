/*
 * One connection: bytes in, frames out.
 */
#include "mkto_intake_state.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define OUT_START 4096     /* bytes */
#define OUT_KEEP 65536     /* an output buffer that has grown beyond is given back */
#define DUE_KEEP 1024      /* verdicts */
#define BODIES_MAX 262144u /* bytes of bodies in one frame of verdicts */

/* ---- life ---- */

static void on_readable(evutil_socket_t fd, short what, void *data);
static void on_writable(evutil_socket_t fd, short what, void *data);

struct mkto_peer *mkto_peer_create(struct mkto_intake *intake, int fd, uid_t uid)
{
    const struct timeval hello = {MKTO_INTAKE_HELLO_MS / 1000, 0};
    struct mkto_peer *peer = calloc(1, sizeof(*peer));
    if (peer == NULL) {
        return NULL;
    }
    peer->intake = intake;
    peer->fd = fd;
    peer->uid = uid;
    peer->reading = event_new(intake->base, fd, EV_READ | EV_PERSIST, on_readable, peer);
    peer->writing = event_new(intake->base, fd, EV_WRITE, on_writable, peer);
    if (peer->reading == NULL || peer->writing == NULL || event_add(peer->reading, &hello) != 0) {
        peer->fd = -1; /* the caller's again */
        mkto_peer_destroy(peer);
        return NULL;
    }
    return peer;
}

void mkto_peer_destroy(struct mkto_peer *peer)
{
    if (peer->reading != NULL) {
        event_free(peer->reading);
    }
    if (peer->writing != NULL) {
        event_free(peer->writing);
    }
    if (peer->fd >= 0) {
        close(peer->fd);
    }
    free(peer->in.data);
    free(peer->out.data);
    free(peer->due);
    free(peer->question);
    free(peer);
}

/* Ends at the end of the turn, when its verdicts are known. */
static void end(struct mkto_peer *peer, bool broken)
{
    peer->ending = true;
    peer->broken = peer->broken || broken;
    event_del(peer->reading);
    mkto_intake_touch(peer);
}

void mkto_peer_stop_reading(struct mkto_peer *peer)
{
    end(peer, false);
}

/* ---- in ---- */

static bool make_room(struct mkto_bytes *bytes, size_t size)
{
    if (size <= bytes->size) {
        return true;
    }
    uint8_t *data = realloc(bytes->data, size);
    if (data == NULL) {
        return false;
    }
    bytes->data = data;
    bytes->size = size;
    return true;
}

/* How long the frame is that begins in `in`: its header says so, once that is there. */
static size_t frame_size(const struct mkto_bytes *in)
{
    if (in->len < MKTO_FRAME_HEADER) {
        return MKTO_FRAME_HEADER;
    }
    const uint32_t payload = (uint32_t)in->data[0] | (uint32_t)in->data[1] << 8 |
                             (uint32_t)in->data[2] << 16 | (uint32_t)in->data[3] << 24;
    return payload > MKTO_FRAME_MAX ? in->len : MKTO_FRAME_HEADER + (size_t)payload;
}

/* What is behind the last whole frame waits for its rest. */
static void save_rest(struct mkto_peer *peer, const uint8_t *data, size_t len)
{
    if (len == 0 || peer->ending) {
        return;
    }
    if (!make_room(&peer->in, len < MKTO_FRAME_HEADER ? MKTO_FRAME_HEADER : len)) {
        end(peer, true);
        return;
    }
    memcpy(peer->in.data, data, len);
    peer->in.len = len;
    peer->in_need = frame_size(&peer->in);
    if (!make_room(&peer->in, peer->in_need)) {
        end(peer, true);
    }
}

/* The waiting frame has got `got` more bytes: takes it when it is whole. */
static void complete(struct mkto_peer *peer, size_t got)
{
    struct mkto_bytes *in = &peer->in;
    in->len += got;
    if (in->len == MKTO_FRAME_HEADER && peer->in_need == MKTO_FRAME_HEADER) {
        peer->in_need = frame_size(in);
        if (!make_room(in, peer->in_need)) {
            end(peer, true);
            return;
        }
    }
    if (in->len < peer->in_need) {
        return;
    }
    mkto_intake_frames(peer, in->data, in->len);
    free(in->data);
    *in = (struct mkto_bytes){NULL, 0, 0};
    peer->in_need = 0;
}

static void take(struct mkto_peer *peer, const uint8_t *data, size_t len)
{
    while (peer->in.len > 0 && len > 0 && !peer->ending) { /* a header that was cut: twice */
        const size_t missing = peer->in_need - peer->in.len;
        const size_t more = missing < len ? missing : len;
        memcpy(peer->in.data + peer->in.len, data, more);
        data += more;
        len -= more;
        complete(peer, more);
    }
    if (peer->in.len == 0 && len > 0 && !peer->ending) {
        const size_t used = mkto_intake_frames(peer, data, len);
        save_rest(peer, data + used, len - used);
    }
}

/* One read: the rest of a waiting frame straight to its place, what follows to the buffer. Returns
 * the bytes, 0 when there is nothing (more). */
static size_t read_some(struct mkto_peer *peer)
{
    uint8_t *buffer = peer->intake->buffer;
    const size_t missing = peer->in.len > 0 ? peer->in_need - peer->in.len : 0;
    struct iovec parts[2] = {
        {missing > 0 ? peer->in.data + peer->in.len : buffer, missing},
        {buffer, MKTO_INTAKE_BUFFER},
    };
    const ssize_t got = readv(peer->fd, parts, 2);
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            end(peer, true);
        }
        return 0;
    }
    if (got == 0) {
        end(peer, false); /* it may still want its verdicts */
        return 0;
    }
    const size_t first = (size_t)got < missing ? (size_t)got : missing;
    if (first > 0) {
        complete(peer, first);
    }
    if ((size_t)got > first) {
        take(peer, buffer, (size_t)got - first);
    }
    return (size_t)got;
}

static void on_readable(evutil_socket_t fd, short what, void *data)
{
    (void)fd;
    struct mkto_peer *peer = data;
    struct mkto_intake *intake = peer->intake;
    size_t total = 0;
    size_t got = 0;
    if ((what & EV_TIMEOUT) != 0) {
        end(peer, true); /* no HELLO */
        return;
    }
    intake->now = intake->clock.mono_ms(intake->clock.ctx);
    intake->wall = intake->clock.wall_ms(intake->clock.ctx);
    do {
        got = read_some(peer);
        total += got;
    } while (got >= MKTO_INTAKE_BUFFER && total < MKTO_INTAKE_READ_MAX && !peer->ending);
    if (intake->turn.bytes >= MKTO_INTAKE_COMMIT_MAX) {
        mkto_intake_commit(intake);
    }
}

/* ---- out ---- */

size_t mkto_peer_unsent(const struct mkto_peer *peer)
{
    return peer->out.len - peer->out_at;
}

uint8_t *mkto_peer_reserve(struct mkto_peer *peer, size_t size)
{
    if (peer->broken || mkto_peer_unsent(peer) + size > MKTO_INTAKE_OUTPUT_MAX) {
        end(peer, true);
        return NULL;
    }
    if (peer->out_at > 0) {
        memmove(peer->out.data, peer->out.data + peer->out_at, mkto_peer_unsent(peer));
        peer->out.len = mkto_peer_unsent(peer);
        peer->out_at = 0;
    }
    size_t room = peer->out.size < OUT_START ? OUT_START : peer->out.size;
    while (room < peer->out.len + size) {
        room *= 2;
    }
    if (!make_room(&peer->out, room)) {
        end(peer, true);
        return NULL;
    }
    uint8_t *at = peer->out.data + peer->out.len;
    peer->out.len += size;
    mkto_intake_touch(peer);
    return at;
}

/* A client that does not read is not read either; later it is dropped. */
static void wait_for_client(struct mkto_peer *peer)
{
    const struct timeval stall = {MKTO_INTAKE_STALL_MS / 1000, 0};
    event_add(peer->writing, &stall);
    if (mkto_peer_unsent(peer) > MKTO_INTAKE_OUTPUT_PAUSE && !peer->ending) {
        event_del(peer->reading);
    }
}

static void all_sent(struct mkto_peer *peer)
{
    peer->out.len = 0;
    peer->out_at = 0;
    if (peer->out.size > OUT_KEEP) {
        free(peer->out.data);
        peer->out = (struct mkto_bytes){NULL, 0, 0};
    }
    if (peer->ending) {
        end(peer, true);
    } else if (!event_pending(peer->reading, EV_READ, NULL)) {
        event_add(peer->reading, NULL);
    }
}

void mkto_peer_flush(struct mkto_peer *peer)
{
    while (mkto_peer_unsent(peer) > 0 && !peer->broken) {
        const ssize_t sent =
            send(peer->fd, peer->out.data + peer->out_at, mkto_peer_unsent(peer), MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            wait_for_client(peer);
            return;
        }
        if (sent < 0 && errno != EINTR) {
            end(peer, true);
            return;
        }
        peer->out_at += sent > 0 ? (size_t)sent : 0;
    }
    if (!peer->broken) {
        all_sent(peer);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *data)
{
    (void)fd;
    struct mkto_peer *peer = data;
    if ((what & EV_TIMEOUT) != 0) {
        end(peer, true);
        return;
    }
    mkto_peer_flush(peer);
}

void mkto_peer_tell(struct mkto_peer *peer, struct mkto_slice text, bool last)
{
    const struct mkto_tell frame = {last, text};
    const size_t size = mkto_tell_write(&frame, NULL);
    uint8_t *out = size == 0 ? NULL : mkto_peer_reserve(peer, size);
    if (out != NULL) {
        mkto_tell_write(&frame, out);
    }
}

void mkto_peer_say_refusal(struct mkto_peer *peer)
{
    if (peer->refusal == 0 || peer->broken) {
        return;
    }
    const struct mkto_refused frame = {peer->refusal, mkto_slice_str(peer->refusal_text.text)};
    uint8_t *out = mkto_peer_reserve(peer, mkto_refused_write(&frame, NULL));
    if (out != NULL) {
        mkto_refused_write(&frame, out);
    }
    peer->refusal = 0;
}

/* ---- verdicts ---- */

void mkto_peer_verdict(struct mkto_peer *peer, const struct mkto_due *due)
{
    if (peer->due_count == peer->due_size) {
        const size_t size = peer->due_size == 0 ? 64 : peer->due_size * 2;
        struct mkto_due *grown = realloc(peer->due, size * sizeof(*grown));
        if (grown == NULL) {
            end(peer, true); /* it sends them again over a new connection */
            return;
        }
        peer->due = grown;
        peer->due_size = size;
    }
    peer->due[peer->due_count++] = *due;
    mkto_intake_touch(peer);
}

static void write_verdicts(struct mkto_peer *peer, const struct mkto_verdict_frame *verdicts,
                           size_t count)
{
    const size_t size = count == 0 ? 0 : mkto_verdicts_write(verdicts, count, NULL);
    uint8_t *out = size == 0 ? NULL : mkto_peer_reserve(peer, size);
    if (out != NULL) {
        mkto_verdicts_write(verdicts, count, out);
    }
}

/* Of what has expired the web server knows by itself (mkto_client). */
static void count_lost_view(struct mkto_intake *intake, uint8_t answer)
{
    if (answer == MKTO_ANSWER_FULL || answer == MKTO_ANSWER_AWAY) {
        intake->counters.filtered++;
        mkto_tally_add(&intake->filtered_by, mkto_skip_name(MKTO_SKIP_NOT_STORED), 1, intake->wall);
    }
}

/* What the client is told in the end: nothing of a turn that failed is stored. */
static const struct mkto_verdict_frame *settle(struct mkto_intake *intake, struct mkto_due *due,
                                               bool failed)
{
    if (failed && due->stored) {
        due->verdict =
            (struct mkto_verdict_frame){due->verdict.seq, MKTO_ANSWER_FULL, 0, MKTO_SLICE_NONE};
    }
    if (due->status) {
        const bool made = intake->turn.status.data != NULL;
        due->verdict.body = intake->turn.status;
        due->verdict.answer = made ? MKTO_ANSWER_STORED : MKTO_ANSWER_AWAY;
    }
    intake->counters.answers[due->verdict.answer] += due->aside ? 0 : 1;
    if (due->view) {
        count_lost_view(intake, due->verdict.answer);
    }
    return &due->verdict;
}

void mkto_peer_answer(struct mkto_peer *peer, bool early, bool failed)
{
    struct mkto_verdict_frame *chunk = peer->intake->chunk;
    size_t in_chunk = 0;
    size_t bodies = 0;
    size_t left = 0;
    for (size_t i = 0; i < peer->due_count; i++) {
        struct mkto_due *due = &peer->due[i];
        if (early && !due->early) {
            peer->due[left++] = *due;
            continue;
        }
        if (in_chunk == MKTO_VERDICTS_MAX || bodies + due->verdict.body.len > BODIES_MAX) {
            write_verdicts(peer, chunk, in_chunk);
            in_chunk = 0;
            bodies = 0;
        }
        chunk[in_chunk] = *settle(peer->intake, due, failed);
        if (!due->shares) {
            bodies += chunk[in_chunk++].body.len;
        }
    }
    write_verdicts(peer, chunk, in_chunk);
    peer->due_count = left;
    if (left == 0 && peer->due_size > DUE_KEEP) {
        free(peer->due);
        peer->due = NULL;
        peer->due_size = 0;
    }
}
