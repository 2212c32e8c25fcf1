/*
 * fuzz_event: one call as a client sends it. Input: a line with the call ("identify", "track"; any
 * other word: page), a line with the request's cookie, a line with its Referer, then the body.
 */
#include "check_core.h"

static void check_fault(const struct mkto_event_fault *fault, size_t size)
{
    check_error(&fault->error, size);
    HOLDS(check_clean(fault->error.text)); /* it goes into an answer of JSON */
    HOLDS(fault->answer == MKTO_ANSWER_BAD_REQUEST || fault->answer == MKTO_ANSWER_TOO_LARGE);
}

static void check_event(const struct mkto_event *event, apr_pool_t *pool)
{
    struct mkto_cookie cookie;
    const struct mkto_slice email = mkto_event_email(event);

    HOLDS(event->message_id.len <= MKTO_EVENT_MESSAGE_ID_MAX);
    HOLDS(email.data == NULL || email.len > 0);
    HOLDS(!mkto_event_cookie(event, &cookie) || cookie.token[0] != '\0');
    mkto_event_write_key(MKTO_SLICE_LIT("Basic d2tfOg=="), event->root, pool);
    check_json(event->root, pool);
    check_deliveries(event, pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mkto_slice rest = {(const char *)data, size};
    const enum mkto_call call = mkto_call_find(check_line(&rest));
    const bool single = call > MKTO_CALL_NONE && call < MKTO_CALL_BATCH;
    struct mkto_envelope envelope = {
        .call = single ? call : MKTO_CALL_PAGE,
        .flags = MKTO_ENVELOPE_HTTPS | MKTO_ENVELOPE_BROWSER,
        .received_ms = INT64_C(1700000000000),
        .remote_addr = MKTO_SLICE_LIT("192.0.2.1"),
        .host = MKTO_SLICE_LIT("www.example.com:8443"),
        .user_agent = MKTO_SLICE_LIT("Mozilla/5.0"),
        .cookie = check_line(&rest),
        .referer = check_line(&rest),
        .request_id = MKTO_SLICE_LIT("r1"),
    };
    struct mkto_event *event = NULL;
    struct mkto_event_fault fault = {.answer = MKTO_ANSWER_STORED};
    apr_pool_t *pool = check_pool();

    envelope.body = rest;
    if (mkto_event_read(&envelope, &event, &fault, pool) != 0) {
        check_fault(&fault, rest.len);
    } else {
        check_event(event, pool);
    }
    check_pool_end(pool);
    return 0;
}
