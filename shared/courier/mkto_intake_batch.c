/*
 * A batch: its items are stored one by one, each as if it had come alone. Items that cannot be
 * taken are named in the answer and do not spoil the others.
 */
#include "mkto_intake_state.h"

#include <stdio.h>

#define ITEM_ID_MAX (MKTO_ENVELOPE_NAME_MAX + 16) /* request id, ':' and an index */

struct batch {
    struct mkto_intake_call *call;
    struct mkto_slice defaults;
    struct mkto_note rejected; /* the first few */
    size_t rejected_count;
    size_t filtered;
    size_t stored; /* duplicates, too */
    bool early;    /* all may be answered before the commit */
    bool refused;  /* the spool did */
};

static void reject(struct batch *batch, size_t index, const struct mkto_event_item *item,
                   const char *word, const char *text)
{
    struct mkto_intake *intake = batch->call->peer->intake;
    const struct mkto_intake_fate fate = {"rejected", word, text, 0, false};
    mkto_intake_note(batch->call, item->call, item->event, &fate);
    intake->counters.rejected++;
    mkto_tally_add(&intake->rejected_by, word, 1, intake->wall);
    if (batch->rejected_count++ >= MKTO_INTAKE_REJECTED_MAX) {
        return;
    }
    struct mkto_note note = mkto_note_object(intake->turn_pool);
    mkto_note_number(&note, "index", (int64_t)index);
    mkto_note_text(&note, "error", text);
    mkto_note_add(&batch->rejected, NULL, &note);
}

/* The item as a call of its own: its text, with what the batch says for all beside it. */
static struct mkto_slice encode_item(const struct batch *batch, const struct mkto_event_item *item,
                                     struct mkto_slice id)
{
    struct mkto_envelope envelope = batch->call->envelope;
    envelope.call = item->call;
    envelope.body = mkto_intake_masked(batch->call, item->event, item->text);
    envelope.defaults = batch->defaults;
    envelope.request_id = id;
    uint8_t *out = apr_palloc(batch->call->peer->intake->scratch, mkto_envelope_size(&envelope));
    return (struct mkto_slice){(const char *)out, mkto_envelope_encode(&envelope, out)};
}

static void store_item(struct batch *batch, size_t index, const struct mkto_event_item *item)
{
    struct mkto_intake_call *call = batch->call;
    struct mkto_intake *intake = call->peer->intake;
    char id[ITEM_ID_MAX];
    struct mkto_slice own = MKTO_SLICE_NONE;
    if (call->envelope.request_id.len > 0) {
        const int len = snprintf(id, sizeof(id), "%.*s:%zu", (int)call->envelope.request_id.len,
                                 call->envelope.request_id.data, index);
        own = (struct mkto_slice){id, (size_t)len < sizeof(id) ? (size_t)len : sizeof(id) - 1};
    }
    const struct mkto_slice message = item->event->message_id;
    const uint64_t hash = mkto_intake_hash(call->subscription, message.len > 0 ? message : own);
    const enum mkto_stored stored =
        mkto_intake_store(intake, encode_item(batch, item, own), hash, batch->early);
    mkto_intake_note_stored(call, item->call, item->event, stored, batch->early);
    switch (stored) {
    case MKTO_STORED_NEW: batch->stored++; break;
    case MKTO_STORED_SEEN:
        batch->stored++;
        batch->early = false; /* it may be one of this turn */
        break;
    case MKTO_STORED_NOT: batch->refused = true; break;
    }
}

static void take_item(struct batch *batch, size_t index, const struct mkto_event_item *item)
{
    struct mkto_intake *intake = batch->call->peer->intake;
    const struct mkto_subscription *subscription = batch->call->subscription;
    struct mkto_delivery delivery;
    if (item->event == NULL) {
        reject(batch, index, item, mkto_answer_name(item->fault->answer), item->fault->error.text);
        return;
    }
    mkto_map_check(item->event, subscription, subscription->api, &delivery, intake->scratch);
    if (delivery.kind == MKTO_DELIVERY_REJECTED) {
        reject(batch, index, item, delivery.reason, delivery.detail);
    } else if (delivery.kind == MKTO_DELIVERY_FILTERED) {
        batch->filtered++;
        mkto_intake_filter(batch->call, item->call, item->event, delivery.reason);
    } else {
        store_item(batch, index, item);
    }
}

static enum mkto_answer answer_of(const struct batch *batch)
{
    if (batch->refused) {
        return MKTO_ANSWER_FULL;
    }
    if (batch->stored > 0) {
        return MKTO_ANSWER_STORED;
    }
    return batch->filtered > 0 ? MKTO_ANSWER_FILTERED : MKTO_ANSWER_BAD_REQUEST;
}

/* {"success":true,"rejected":[{"index":3,"error":"…"}],"rejected_total":1}; the list is short, the
 * total says how many there are. */
static struct mkto_slice body_of(struct batch *batch, enum mkto_answer answer)
{
    if (batch->rejected_count == 0 || answer == MKTO_ANSWER_FULL) {
        return MKTO_SLICE_NONE;
    }
    struct mkto_note note = mkto_note_object(batch->call->peer->intake->turn_pool);
    const bool success = answer != MKTO_ANSWER_BAD_REQUEST;
    mkto_note_bool(&note, "success", success);
    if (!success) {
        mkto_note_text(&note, "error", "no event of the batch can be taken");
    }
    mkto_note_add(&note, "rejected", &batch->rejected);
    mkto_note_number(&note, "rejected_total", (int64_t)batch->rejected_count);
    return mkto_note_json(&note);
}

static void answer(struct batch *batch)
{
    struct mkto_intake *intake = batch->call->peer->intake;
    const enum mkto_answer answer = answer_of(batch);
    const struct mkto_due due = {
        .verdict = {.seq = batch->call->frame.seq,
                    .answer = (uint8_t)answer,
                    .body = body_of(batch, answer)},
        .stored = answer == MKTO_ANSWER_STORED || answer == MKTO_ANSWER_FULL,
        .early = batch->early && answer == MKTO_ANSWER_STORED,
    };
    intake->turn.early = intake->turn.early || due.early;
    mkto_peer_verdict(batch->call->peer, &due);
}

void mkto_intake_batch(struct mkto_intake_call *call)
{
    struct mkto_intake *intake = call->peer->intake;
    struct mkto_event_fault fault;
    struct mkto_event_item *items = NULL;
    size_t count = 0;
    struct batch batch = {.call = call,
                          .rejected = mkto_note_array(intake->turn_pool),
                          .early = call->frame.ack == MKTO_ACK_MEMORY && mkto_intake_early(intake)};
    if (mkto_event_read_batch(&call->envelope, &items, &count, &batch.defaults, &fault,
                              intake->scratch) != 0) {
        mkto_intake_reject(call, fault.answer, NULL, fault.error.text);
        return;
    }
    if (!mkto_intake_key(call, count > 0 ? items[0].batch : NULL)) {
        mkto_intake_reject(call, MKTO_ANSWER_UNAUTHORIZED, NULL, NULL);
        return;
    }
    if (!mkto_intake_admit(call, (unsigned)count)) {
        return;
    }
    mkto_intake_mask(call);
    batch.defaults = mkto_intake_masked(call, NULL, batch.defaults);
    for (size_t i = 0; i < count && !batch.refused; i++) {
        take_item(&batch, i, &items[i]);
    }
    answer(&batch);
}
