/*
 * fuzz_batch: a batch's body. What it takes is read again as the spool has it, an item's text
 * beside the batch's defaults, and must mean the same.
 */
#include "check_core.h"

static const struct mkto_envelope batch = {
    .call = MKTO_CALL_BATCH,
    .flags = MKTO_ENVELOPE_HTTPS,
    .received_ms = INT64_C(1700000000000),
    .host = {"www.example.com", 15},
    .request_id = {"r1", 2},
};

static void check_spooled(const struct mkto_event_item *item, struct mkto_slice defaults,
                          apr_pool_t *pool)
{
    struct mkto_envelope envelope = batch;
    struct mkto_event *event = NULL;
    struct mkto_event_fault fault = {.answer = MKTO_ANSWER_STORED};

    envelope.call = item->call;
    envelope.body = item->text;
    envelope.defaults = defaults;
    HOLDS_FOR(mkto_event_read(&envelope, &event, &fault, pool) == 0, fault.error.text);
    HOLDS(event->call == item->call && item->event->call == item->call);
    HOLDS(mkto_slice_eq(event->user_id, item->event->user_id));
    HOLDS(mkto_slice_eq(event->anonymous_id, item->event->anonymous_id));
    HOLDS(mkto_slice_eq(event->message_id, item->event->message_id));
    HOLDS(mkto_slice_eq(mkto_event_email(event), mkto_event_email(item->event)));
    HOLDS(
        mkto_slice_eq(mkto_json_text(event->root, pool), mkto_json_text(item->event->root, pool)));
    check_deliveries(event, pool);
}

static void check_item(const struct mkto_event_item *item, struct mkto_slice body,
                       struct mkto_slice defaults, apr_pool_t *pool)
{
    HOLDS((item->event == NULL) == (item->fault != NULL));
    HOLDS(check_within(item->text, body.data, body.len));
    if (item->fault != NULL) {
        check_error(&item->fault->error, body.len);
        HOLDS(check_clean(item->fault->error.text));
        HOLDS(strncmp(item->fault->error.text, "batch[", 6) == 0);
        return;
    }
    HOLDS(item->text.len <= MKTO_EVENT_MAX);
    check_spooled(item, defaults, pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mkto_envelope envelope = batch;
    struct mkto_event_item *items = NULL;
    struct mkto_slice defaults = MKTO_SLICE_NONE;
    struct mkto_event_fault fault = {.answer = MKTO_ANSWER_STORED};
    size_t count = 0;
    apr_pool_t *pool = check_pool();

    envelope.body = (struct mkto_slice){(const char *)data, size};
    if (mkto_event_read_batch(&envelope, &items, &count, &defaults, &fault, pool) != 0) {
        check_error(&fault.error, size);
        HOLDS(check_clean(fault.error.text));
        HOLDS(fault.answer == MKTO_ANSWER_BAD_REQUEST || fault.answer == MKTO_ANSWER_TOO_LARGE);
    } else {
        HOLDS(count > 0 && count <= MKTO_EVENT_BATCH_MAX);
        HOLDS(defaults.len <= MKTO_EVENT_DEFAULTS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        check_item(&items[i], envelope.body, defaults, pool);
    }
    check_pool_end(pool);
    return 0;
}
