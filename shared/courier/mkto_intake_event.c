/*
 * One event: is it one, may it be sent, what would become of it? Then it goes to the spool.
 */
#include "mkto_intake_state.h"

#include "mkto_hash.h"
#include "mkto_pixel.h"

struct mkto_slice mkto_intake_body(struct mkto_intake *intake, const char *text)
{
    struct mkto_note note = mkto_note_object(intake->turn_pool);
    mkto_note_bool(&note, "success", false);
    mkto_note_text(&note, "error", text);
    return mkto_note_json(&note);
}

void mkto_intake_answer(struct mkto_intake_call *call, enum mkto_answer answer, const char *text)
{
    const struct mkto_due due = {
        .verdict = {.seq = call->frame.seq,
                    .answer = (uint8_t)answer,
                    .retry_after = call->retry_after,
                    .body = text == NULL ? MKTO_SLICE_NONE
                                         : mkto_intake_body(call->peer->intake, text)},
        .stored = answer == MKTO_ANSWER_STORED,
        .shares = call->shares,
        .view = (call->envelope.flags & MKTO_ENVELOPE_SERVER) != 0,
    };
    mkto_peer_verdict(call->peer, &due);
}

void mkto_intake_reject(struct mkto_intake_call *call, enum mkto_answer answer, const char *reason,
                        const char *text)
{
    struct mkto_intake *intake = call->peer->intake;
    intake->counters.rejected++;
    const char *word = reason != NULL ? reason : mkto_answer_name(answer);
    const struct mkto_intake_fate fate = {"rejected", word, text, 0, false};
    mkto_tally_add(&intake->rejected_by, word, 1, intake->wall);
    mkto_intake_note(call, call->envelope.call, NULL, &fate);
    mkto_intake_answer(call, answer, text);
}

void mkto_intake_filter(struct mkto_intake_call *call, enum mkto_call type,
                        const struct mkto_event *event, const char *reason)
{
    struct mkto_intake *intake = call->peer->intake;
    const struct mkto_intake_fate fate = {"filtered", reason, NULL, 0, false};
    intake->counters.filtered++;
    mkto_tally_add(&intake->filtered_by, reason, 1, intake->wall);
    mkto_intake_note(call, type, event, &fate);
}

uint64_t mkto_intake_hash(const struct mkto_subscription *subscription, struct mkto_slice id)
{
    if (id.len == 0) {
        return 0;
    }
    const uint64_t hash = mkto_hash_64(mkto_slice_str(subscription->name), id);
    return hash != 0 ? hash : 1;
}

bool mkto_intake_key(struct mkto_intake_call *call, const struct mkto_json *root)
{
    struct mkto_intake *intake = call->peer->intake;
    const struct mkto_config *config = intake->config;
    if (config->source_count == 0) {
        return true;
    }
    const struct mkto_slice key =
        mkto_event_write_key(call->frame.authorization, root, intake->scratch);
    const struct mkto_config_source *source = key.len > 0 ? mkto_config_source(config, key) : NULL;
    if (source != NULL) {
        const bool browser = (call->envelope.flags & MKTO_ENVELOPE_BROWSER) != 0;
        call->envelope.flags |= browser ? 0 : (uint32_t)MKTO_ENVELOPE_KEYED;
        call->envelope.source = mkto_slice_str(source->name);
        call->verbatim = false;
        return true;
    }
    /* a browser needs none, and a page view that the web server itself reports is no caller's */
    return (call->envelope.flags & (MKTO_ENVELOPE_BROWSER | MKTO_ENVELOPE_SERVER)) != 0;
}

/* The bytes to store: as they came, unless something in them is not the web server's to say. */
static struct mkto_slice bytes_to_store(struct mkto_intake_call *call,
                                        const struct mkto_event *event)
{
    const struct mkto_slice body = mkto_intake_masked(call, event, call->envelope.body);
    call->verbatim = call->verbatim && body.data == call->envelope.body.data;
    call->envelope.body = body;
    if (call->verbatim) {
        return call->frame.envelope;
    }
    uint8_t *out = apr_palloc(call->peer->intake->scratch, mkto_envelope_size(&call->envelope));
    const size_t len = mkto_envelope_encode(&call->envelope, out);
    return (struct mkto_slice){(const char *)out, len};
}

static void store(struct mkto_intake_call *call, const struct mkto_event *event)
{
    struct mkto_intake *intake = call->peer->intake;
    const struct mkto_slice id =
        event->message_id.len > 0 ? event->message_id : call->envelope.request_id;
    const uint64_t hash = mkto_intake_hash(call->subscription, id);
    const bool early = call->frame.ack == MKTO_ACK_MEMORY && mkto_intake_early(intake);
    const enum mkto_stored stored =
        mkto_intake_store(intake, bytes_to_store(call, event), hash, early);
    const struct mkto_due due = {
        .verdict = {.seq = call->frame.seq,
                    .answer = stored == MKTO_STORED_NOT ? MKTO_ANSWER_FULL : MKTO_ANSWER_STORED},
        .stored = true,
        .early = early && stored == MKTO_STORED_NEW,
        .shares = call->shares,
        .view = (call->envelope.flags & MKTO_ENVELOPE_SERVER) != 0,
    };
    intake->turn.early = intake->turn.early || due.early;
    mkto_intake_note_stored(call, call->envelope.call, event, stored, early);
    mkto_peer_verdict(call->peer, &due);
}

/* An event that could never be delivered is refused while there is somebody to tell. */
void mkto_intake_single(struct mkto_intake_call *call)
{
    struct mkto_intake *intake = call->peer->intake;
    struct mkto_event_fault fault;
    struct mkto_event *event = NULL;
    struct mkto_delivery delivery;
    if (mkto_event_read(&call->envelope, &event, &fault, intake->scratch) != 0) {
        mkto_intake_reject(call, fault.answer, NULL, fault.error.text);
        return;
    }
    if (!mkto_intake_key(call, event->root)) {
        mkto_intake_reject(call, MKTO_ANSWER_UNAUTHORIZED, NULL, NULL);
        return;
    }
    if (!mkto_intake_admit(call, 1)) {
        return;
    }
    mkto_map_check(event, call->subscription, call->subscription->api, &delivery, intake->scratch);
    if (delivery.kind == MKTO_DELIVERY_REJECTED) {
        mkto_intake_reject(call,
                           delivery.forbidden ? MKTO_ANSWER_FORBIDDEN : MKTO_ANSWER_BAD_REQUEST,
                           delivery.reason, delivery.detail);
    } else if (delivery.kind == MKTO_DELIVERY_FILTERED) {
        mkto_intake_filter(call, call->envelope.call, event, delivery.reason);
        mkto_intake_answer(call, MKTO_ANSWER_FILTERED, NULL);
    } else {
        mkto_intake_mask(call);
        store(call, event);
    }
}

/* Server and courier read different configs, or one was changed and not reloaded. */
bool mkto_intake_subscription(struct mkto_intake_call *call)
{
    struct mkto_intake *intake = call->peer->intake;
    call->subscription = mkto_config_subscription(intake->config, call->envelope.subscription);
    if (call->subscription != NULL) {
        return true;
    }
    if (mkto_intake_may_say(intake, &intake->unknown_said)) {
        mkto_intake_log(intake, LOG_ERR,
                        "MKTO0206 a web server sends events for [marketo %.*s], which is not in %s",
                        (int)call->envelope.subscription.len, call->envelope.subscription.data,
                        intake->config->file);
    }
    mkto_intake_answer(call, MKTO_ANSWER_AWAY, "the courier does not know this subscription");
    return false;
}

/* The text takes the place of the gzip: only that is ever stored. */
static bool inflate_body(struct mkto_intake_call *call)
{
    struct mkto_intake *intake = call->peer->intake;
    struct mkto_envelope *envelope = &call->envelope;
    struct mkto_event_fault fault = {MKTO_ANSWER_BAD_REQUEST, MKTO_ERROR_INIT};
    size_t max = envelope->text_max;
    if (envelope->call != MKTO_CALL_BATCH && max > MKTO_EVENT_MAX) {
        max = MKTO_EVENT_MAX;
    }
    if (intake->gunzip == NULL) {
        intake->gunzip = mkto_gunzip_create(intake->pool);
    }
    if (mkto_gunzip_read(intake->gunzip, envelope->body, max, &envelope->body, &fault) != 0) {
        if (envelope->call == MKTO_CALL_HASH) {
            mkto_intake_answer_aside(call, fault.answer, fault.error.text);
        } else {
            mkto_intake_reject(call, fault.answer, NULL, fault.error.text);
        }
        return false;
    }
    envelope->text_max = 0;
    call->verbatim = false;
    return true;
}

/* A pixel's query becomes the JSON that it means: only that is ever stored. Who loads an image is a
 * browser, whatever its headers say. */
static bool read_pixel(struct mkto_intake_call *call)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    if (mkto_pixel_read(call->envelope.body, &call->envelope.body, &err,
                        call->peer->intake->scratch) != 0) {
        mkto_intake_reject(call, MKTO_ANSWER_BAD_REQUEST, NULL, err.text);
        return false;
    }
    call->envelope.flags &= ~(uint32_t)MKTO_ENVELOPE_PIXEL;
    call->envelope.flags |= MKTO_ENVELOPE_BROWSER;
    call->verbatim = false;
    return true;
}

static void take_call(struct mkto_intake_call *call)
{
    if (call->envelope.text_max > 0 && !inflate_body(call)) {
        return;
    }
    if ((call->envelope.flags & MKTO_ENVELOPE_PIXEL) != 0 && !read_pixel(call)) {
        return;
    }
    switch (call->envelope.call) {
    case MKTO_CALL_BATCH: mkto_intake_batch(call); break;
    case MKTO_CALL_HASH: mkto_intake_sign(call); break;
    case MKTO_CALL_STATUS: mkto_intake_ask_status(call); break;
    default: mkto_intake_single(call); break;
    }
}

bool mkto_intake_in_time(struct mkto_intake_call *call)
{
    const bool in_time = call->frame.deadline_ms > call->peer->intake->now;
    if (!in_time) {
        mkto_intake_answer(call, MKTO_ANSWER_EXPIRED, NULL);
    }
    return in_time;
}

void mkto_intake_event(struct mkto_peer *peer, const struct mkto_event_frame *frame)
{
    struct mkto_intake *intake = peer->intake;
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_intake_call call = {.peer = peer, .frame = *frame};
    apr_pool_clear(intake->scratch);
    if (!mkto_intake_in_time(&call)) {
        return;
    }
    if (mkto_envelope_decode((const uint8_t *)frame->envelope.data, frame->envelope.len,
                             &call.envelope, &err) != 0) {
        mkto_intake_answer(&call, MKTO_ANSWER_BAD_REQUEST, err.text);
        return;
    }
    call.verbatim = (call.envelope.flags & MKTO_ENVELOPE_KEYED) == 0 &&
                    call.envelope.defaults.data == NULL && call.envelope.source.data == NULL;
    call.envelope.flags &= ~(uint32_t)MKTO_ENVELOPE_KEYED;
    call.envelope.defaults = MKTO_SLICE_NONE;
    call.envelope.source = MKTO_SLICE_NONE;
    if (mkto_intake_subscription(&call)) {
        take_call(&call);
    }
}
