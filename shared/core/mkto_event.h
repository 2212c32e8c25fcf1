/*
 * mkto_event: one call of the Segment Tracking API, read and checked (contract
 * segment-api-and-mapping 3 and 4).
 */
#ifndef MKTO_EVENT_H
#define MKTO_EVENT_H

#include <apr_pools.h>
#include <stdint.h>

#include "mkto_cookie.h"
#include "mkto_envelope.h"
#include "mkto_json.h"

#define MKTO_EVENT_MAX 32768          /* bytes of one event's JSON text: 32 KB */
#define MKTO_EVENT_BATCH_MAX 2500     /* items of one batch */
#define MKTO_EVENT_MESSAGE_ID_MAX 100 /* bytes */
/* Bytes of the text that batch-level context, integrations and sentAt make: it is stored with each
 * of the batch's events, so a large one would blow a small request up to gigabytes. */
#define MKTO_EVENT_DEFAULTS_MAX 8192

struct mkto_event {
    enum mkto_call call;
    const struct mkto_envelope *envelope;
    const struct mkto_json *root;
    const struct mkto_json *defaults; /* what the batch says for all of its events, or NULL */
    struct mkto_slice
        user_id; /* numbers are taken as their text; empty strings and null are absent */
    struct mkto_slice anonymous_id; /* anonymousId, else sessionId */
    struct mkto_slice message_id;   /* the client's, or absent */
    struct mkto_slice name;         /* track: event; page and screen: name */
    struct mkto_slice category;
    struct mkto_slice group_id;
    struct mkto_slice previous_id;
    const struct mkto_json *traits;     /* identify and group; NULL when absent */
    const struct mkto_json *properties; /* track, page, screen; NULL when absent */
    const struct mkto_json *context;    /* the event's own, batch-level members behind it */
    const struct mkto_json *integrations;
};

/* Why an event cannot be taken: the answer's code, and words that name the field or the byte. */
struct mkto_event_fault {
    enum mkto_answer answer; /* BAD_REQUEST or TOO_LARGE */
    struct mkto_error error;
};

/*
 * Reads the envelope's body (one call, not a batch). Checks: JSON, an object, types of the members
 * above, event for track, userId and previousId for alias, groupId or traits for group (lenient:
 * the Segment API checks neither), some identity (userId, anonymousId, an email or a cookie),
 * messageId length, size. The envelope's defaults (of a batch) are merged in: context and
 * integrations member by member, the item's own win. Returns 0 or -1.
 */
int mkto_event_read(const struct mkto_envelope *envelope, struct mkto_event **event,
                    struct mkto_event_fault *fault, apr_pool_t *pool);

/*
 * A batch body, cut into its items: their texts are slices of the body, defaults is a JSON object
 * made of the batch-level context, integrations and sentAt (absent when there is none). An item
 * that cannot be taken has its fault here ("batch[3]: event: must be a non-empty string") and does
 * not spoil its neighbours; a body that is no batch at all, is empty or over a limit of the whole
 * returns -1. The body's own size is the web server's to check (marketo_max_body), up to
 * MKTO_BODY_MAX. An item's event has the batch's envelope, and a call of its own.
 */
struct mkto_event_item {
    struct mkto_slice text;
    enum mkto_call call;      /* from its `type` */
    struct mkto_event *event; /* NULL when fault is set */
    struct mkto_event_fault *fault;
    const struct mkto_json *batch; /* the whole body, the same in all: for mkto_event_write_key */
};
int mkto_event_read_batch(const struct mkto_envelope *envelope, struct mkto_event_item **items,
                          size_t *count, struct mkto_slice *defaults,
                          struct mkto_event_fault *fault, apr_pool_t *pool);

/*
 * The e-mail that the site vouches for (marketo_email), blanks around it cut off; absent when there
 * is none, when it does not look like one (.+@.+\..+), or with a write key: who has that knows
 * better than a session.
 */
struct mkto_slice mkto_event_vouched(const struct mkto_envelope *envelope);

/*
 * The email of an event, blanks around it cut off: the one that the site vouches for, whatever the
 * event says; else traits.email of an identify; else
 * context.traits.email, then properties.email (contract 4, "fallbacks"); else userId when it looks
 * like one (.+@.+\..+). Absent when there is none.
 */
struct mkto_slice mkto_event_email(const struct mkto_event *event);

/*
 * The visitor's own cookie: integrations.Marketo.marketoCookie, else context.Marketo.marketoCookie,
 * else the request's. One that cannot be parsed counts as nothing. false: there is none.
 */
bool mkto_event_cookie(const struct mkto_event *event, struct mkto_cookie *cookie);

/* The write key of a call: `writeKey` of the body or of the batch, else of an Authorization header
 * the Basic user (a missing colon is tolerated) or the Bearer token. Absent when there is none. */
struct mkto_slice mkto_event_write_key(struct mkto_slice authorization,
                                       const struct mkto_json *root, apr_pool_t *pool);

#endif
