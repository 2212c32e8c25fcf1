/*
 * Frames of a connection, in the order of the protocol: HELLO, then what the role allows.
 */
#include "mkto_intake_state.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mkto_build.h"

void mkto_intake_refuse(struct mkto_peer *peer, enum mkto_refusal refusal,
                        const struct mkto_error *why)
{
    if (peer->refusal == 0) {
        peer->refusal = (uint8_t)refusal;
        peer->refusal_text = *why;
        peer->intake->counters.refused++;
    }
    mkto_peer_stop_reading(peer);
}

static void refuse_frame(struct mkto_peer *peer, const struct mkto_error *why)
{
    struct mkto_intake *intake = peer->intake;
    if (mkto_intake_may_say(intake, &intake->frame_said)) {
        mkto_intake_log(intake, LOG_ERR,
                        "MKTO0205 a client (uid %ld) sent a frame that is refused: %s",
                        (long)peer->uid, why->text);
    }
    mkto_intake_refuse(peer, MKTO_REFUSED_FRAME, why);
}

static void welcome(struct mkto_peer *peer, const struct mkto_hello *hello, uint64_t digest)
{
    const struct mkto_welcome frame = {MKTO_WIRE_VERSION, MKTO_BUILD, digest, (uint32_t)getpid()};
    uint8_t *out = mkto_peer_reserve(peer, mkto_welcome_write(&frame, NULL));
    if (out == NULL) {
        return;
    }
    mkto_welcome_write(&frame, out);
    peer->role = hello->role;
    peer->intake->role_count[peer->role]++;
    event_remove_timer(peer->reading); /* the time for HELLO is over */
}

/* Whoever can open the socket may send events, unless it is only ours; tools see more. */
static bool may_connect(const struct mkto_peer *peer, uint8_t role)
{
    const struct mkto_intake *intake = peer->intake;
    return peer->uid == intake->uid || peer->uid == 0 ||
           (role != MKTO_ROLE_TOOL && !intake->own_uid_only);
}

static void take_hello(struct mkto_peer *peer, const struct mkto_frame *frame)
{
    struct mkto_intake *intake = peer->intake;
    struct mkto_error why = MKTO_ERROR_INIT;
    struct mkto_hello hello;
    uint64_t digest = 0;
    if (mkto_hello_read(frame, &hello, &why) != 0) {
        refuse_frame(peer, &why);
        return;
    }
    if (hello.role < MKTO_ROLE_EVENTS || hello.role > MKTO_ROLE_TOOL) {
        mkto_error_set(&why, "HELLO: role %u is not known", hello.role);
        refuse_frame(peer, &why);
        return;
    }
    if (peer->crowd) {
        mkto_error_set(&why, "too many connections: at most %zu", intake->clients_max);
        mkto_intake_refuse(peer, MKTO_REFUSED_CROWD, &why);
        return;
    }
    if (!may_connect(peer, hello.role)) {
        mkto_error_set(&why, "uid %ld may not connect as this role", (long)peer->uid);
        mkto_intake_refuse(peer, MKTO_REFUSED_PEER, &why);
        return;
    }
    const uint8_t refusal = intake->hooks.hello(intake->hooks.ctx, &hello, &digest, &why);
    if (refusal != 0) {
        mkto_intake_refuse(peer, refusal, &why);
        return;
    }
    welcome(peer, &hello, digest);
}

/* Some questions write to the spool, which is in the turn's transaction now. */
static void keep_question(struct mkto_peer *peer, const struct mkto_frame *frame)
{
    struct mkto_error why = MKTO_ERROR_INIT;
    if (peer->question != NULL) {
        mkto_error_set(&why, "a question before the last one was answered");
        refuse_frame(peer, &why);
        return;
    }
    peer->question = malloc(frame->len);
    if (peer->question == NULL) {
        mkto_error_set(&why, "out of memory");
        refuse_frame(peer, &why);
        return;
    }
    memcpy(peer->question, frame->payload, frame->len);
    peer->question_len = frame->len;
    mkto_intake_touch(peer);
}

static void take_ask(struct mkto_peer *peer, const struct mkto_frame *frame)
{
    struct mkto_intake *intake = peer->intake;
    struct mkto_error why = MKTO_ERROR_INIT;
    struct mkto_ask ask;
    if (mkto_ask_read(frame, &ask, &why) != 0) {
        refuse_frame(peer, &why);
        return;
    }
    if (mkto_slice_is(ask.what, "tail")) {
        intake->tails += peer->tailing ? 0 : 1;
        peer->tailing = true;
        return;
    }
    keep_question(peer, frame);
}

void mkto_intake_reply(struct mkto_peer *peer)
{
    struct mkto_intake *intake = peer->intake;
    const struct mkto_frame frame = {MKTO_FRAME_ASK, peer->question, peer->question_len};
    struct mkto_ask ask;
    if (peer->question == NULL || peer->broken || mkto_ask_read(&frame, &ask, NULL) != 0) {
        return;
    }
    apr_pool_clear(intake->scratch);
    struct mkto_slice answer = intake->hooks.ask(intake->hooks.ctx, &ask, intake->scratch);
    if (answer.data == NULL) {
        answer = mkto_intake_body(intake, "this courier does not know that question");
    }
    mkto_peer_tell(peer, answer, true);
    free(peer->question);
    peer->question = NULL;
}

static void take_event(struct mkto_peer *peer, const struct mkto_frame *frame)
{
    struct mkto_error why = MKTO_ERROR_INIT;
    struct mkto_event_frame event;
    if (mkto_event_frame_read(frame, &event, &why) != 0) {
        refuse_frame(peer, &why);
        return;
    }
    mkto_intake_event(peer, &event);
}

static void take_view(struct mkto_peer *peer, const struct mkto_frame *frame)
{
    struct mkto_error why = MKTO_ERROR_INIT;
    struct mkto_view_iter iter = {0};
    struct mkto_request request;
    struct mkto_view view;
    int more;
    while ((more = mkto_views_next(frame, &iter, &view, &request, &why)) == 1) {
        mkto_intake_view(peer, &view, &request, iter.seq, iter.offset == frame->len);
    }
    if (more < 0) {
        refuse_frame(peer, &why);
    }
}

/* What the web server kept away counts as what is filtered or refused here. */
static void count_skipped(struct mkto_intake *intake, enum mkto_skip skip, uint32_t number)
{
    const enum mkto_answer answer = mkto_skip_answer(skip);
    const bool refused = answer != MKTO_ANSWER_FILTERED;
    if (refused) {
        intake->counters.rejected += number;
        intake->counters.answers[answer] += number;
    } else {
        intake->counters.filtered += number;
    }
    mkto_tally_add(refused ? &intake->rejected_by : &intake->filtered_by, mkto_skip_name(skip),
                   number, intake->wall);
}

static void take_counts(struct mkto_peer *peer, const struct mkto_frame *frame)
{
    struct mkto_intake *intake = peer->intake;
    struct mkto_error why = MKTO_ERROR_INIT;
    struct mkto_counts_frame counts;
    if (mkto_counts_frame_read(frame, &counts, &why) != 0) {
        refuse_frame(peer, &why);
        return;
    }
    for (int skip = MKTO_SKIP_NONE + 1; skip < MKTO_SKIP_COUNT; skip++) {
        if (counts.of[skip] > 0) {
            count_skipped(intake, (enum mkto_skip)skip, counts.of[skip]);
        }
    }
}

static void take_frame(struct mkto_peer *peer, const struct mkto_frame *frame)
{
    const bool server = peer->role == MKTO_ROLE_EVENTS || peer->role == MKTO_ROLE_PRESENCE;
    if (peer->role == 0 && frame->type == MKTO_FRAME_HELLO) {
        take_hello(peer, frame);
    } else if (server && frame->type == MKTO_FRAME_EVENT) {
        take_event(peer, frame);
    } else if (server && frame->type == MKTO_FRAME_VIEW) {
        take_view(peer, frame);
    } else if (server && frame->type == MKTO_FRAME_COUNTS) {
        take_counts(peer, frame);
    } else if (peer->role == MKTO_ROLE_TOOL && frame->type == MKTO_FRAME_ASK) {
        take_ask(peer, frame);
    } else {
        struct mkto_error why = MKTO_ERROR_INIT;
        mkto_error_set(&why, "a frame of type %d does not belong here (role %u)", (int)frame->type,
                       peer->role);
        refuse_frame(peer, &why);
    }
}

size_t mkto_intake_frames(struct mkto_peer *peer, const uint8_t *data, size_t len)
{
    size_t used = 0;
    while (used < len && !peer->ending) {
        struct mkto_error why = MKTO_ERROR_INIT;
        struct mkto_frame frame;
        const long size = mkto_frame_next(data + used, len - used, &frame, &why);
        if (size < 0) {
            refuse_frame(peer, &why);
        }
        if (size <= 0) {
            break;
        }
        used += (size_t)size;
        take_frame(peer, &frame);
    }
    return used;
}
