/* What a spooled row means by today's config. */
#include <apr_strings.h>

#include "mkto_cookie.h"
#include "mkto_dispatch_state.h"

static void end(struct reading *reading, enum fate fate, const char *reason, const char *detail)
{
    reading->fate = fate;
    reading->reason = reason;
    reading->detail = detail;
}

static struct channel *channel_of(struct mkto_dispatch *dispatch, struct mkto_slice name)
{
    const struct mkto_subscription *sub = mkto_config_subscription(dispatch->config, name);

    for (unsigned i = 0; i < dispatch->channel_count; i++) {
        struct channel *channel = dispatch->channels[i];
        if (sub == NULL ? mkto_slice_is(name, channel->name) : channel->sub == sub) {
            return channel;
        }
    }
    return NULL;
}

static uint64_t token_of_cookie(const struct channel *channel, const char *text,
                                struct mkto_slice *token, apr_pool_t *pool)
{
    struct mkto_cookie cookie;

    *token = MKTO_SLICE_NONE;
    if (text == NULL || mkto_cookie_parse(mkto_slice_str(text), &cookie) != 0) {
        return 0;
    }
    *token = mkto_slice_str(apr_pstrdup(pool, cookie.token));
    return mkto_lane_token(channel->scope, *token);
}

/*
 * A lead's lane is its e-mail's. Without one, REST can only mean the lead that the cookie is known
 * to belong to, whose lane keeps the order; until it is known, and with SOAP always, the lane is
 * the cookie's.
 */
static uint64_t lead_lane(struct mkto_dispatch *dispatch, const struct reading *reading,
                          struct mkto_slice token)
{
    const struct channel *channel = reading->channel;
    const char *email = reading->delivery.lead.email;
    uint64_t lead = 0;

    if (email != NULL) {
        return mkto_lane_of_email(channel->scope, email);
    }
    if (reading->delivery.api == MKTO_API_REST && reading->token != 0 &&
        mkto_spool_known_lead(dispatch->spool, reading->token, &lead) != 0) {
        return lead;
    }
    return mkto_lane_of_cookie(channel->scope, token);
}

static void place_lead(struct mkto_dispatch *dispatch, struct reading *reading, apr_pool_t *pool)
{
    const struct mkto_lead *lead = &reading->delivery.lead;
    struct mkto_slice token;

    reading->token = token_of_cookie(reading->channel, lead->cookie, &token, pool);
    if (lead->email == NULL && reading->token == 0) {
        end(reading, FATE_REJECTED, "no_identity", "neither an e-mail nor a cookie names the lead");
        return;
    }
    reading->lead = lead_lane(dispatch, reading, token);
    reading->alone = lead->email == NULL ? mkto_lane_of_cookie(reading->channel->scope, token) : 0;
    reading->lane = reading->lead;
    reading->kind = MKTO_LANE_LEAD;
    if (reading->row.has_retry && (reading->row.retry.stage & STAGE_LINK) != 0 &&
        reading->token != 0) {
        reading->kind = MKTO_LANE_LINK;
        reading->lane = mkto_lane_of_links(reading->channel->scope, token);
    }
}

static void place_visit(struct reading *reading)
{
    reading->kind = MKTO_LANE_VISIT;
    reading->lane =
        mkto_lane_of_visits(reading->channel->scope, mkto_slice_str(reading->delivery.visit.token));
}

static void map_event(struct mkto_dispatch *dispatch, struct reading *reading,
                      const struct mkto_event *event, apr_pool_t *pool)
{
    struct mkto_delivery *delivery = &reading->delivery;

    mkto_map_stored(event, reading->channel->sub, reading->channel->sub->api, delivery, pool);
    switch (delivery->kind) {
    case MKTO_DELIVERY_LEAD: place_lead(dispatch, reading, pool); break;
    case MKTO_DELIVERY_VISIT: place_visit(reading); break;
    case MKTO_DELIVERY_REJECTED:
        end(reading, FATE_REJECTED, delivery->reason, delivery->detail);
        break;
    case MKTO_DELIVERY_FILTERED:
        end(reading, FATE_FILTERED, delivery->reason, delivery->detail);
        break;
    }
}

void mkto_dispatch_read_row(struct mkto_dispatch *dispatch, struct reading *reading,
                            apr_pool_t *pool)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_event_fault fault = {0};
    struct mkto_event *event = NULL;
    struct mkto_slice envelope = reading->row.envelope;

    reading->fate = FATE_TAKEN;
    if (reading->row.bad) {
        end(reading, FATE_BAD, "bad_row", "its checksum does not match");
        return;
    }
    if (mkto_envelope_decode((const uint8_t *)envelope.data, envelope.len, &reading->envelope,
                             &err) != 0) {
        end(reading, FATE_BAD, "bad_row", apr_pstrdup(pool, err.text));
        return;
    }
    reading->channel = channel_of(dispatch, reading->envelope.subscription);
    if (reading->channel == NULL || reading->channel->sub == NULL) {
        end(reading, FATE_REJECTED, "no_subscription", "the config has no such subscription");
        return;
    }
    if (mkto_event_read(&reading->envelope, &event, &fault, pool) != 0) {
        end(reading, FATE_REJECTED, "bad_event", apr_pstrdup(pool, fault.error.text));
        return;
    }
    map_event(dispatch, reading, event, pool);
}

bool mkto_dispatch_read(struct mkto_dispatch *dispatch, int64_t id, struct reading *reading,
                        apr_pool_t *pool)
{
    struct mkto_error err = MKTO_ERROR_INIT;

    memset(reading, 0, sizeof(*reading));
    int got = mkto_spool_get(dispatch->spool, id, &reading->row, &err, pool);
    if (got < 0) {
        mkto_dispatch_log(dispatch, LOG_ERR, "MKTO0313 an event cannot be read from the spool: %s",
                          err.text);
        return false;
    }
    reading->row.id = id;
    if (got == 0) {
        end(reading, FATE_GONE, "gone", NULL);
        return true;
    }
    mkto_dispatch_read_row(dispatch, reading, pool);
    return true;
}

bool mkto_dispatch_needs_cookie(struct mkto_dispatch *dispatch, const struct reading *reading)
{
    const struct mkto_lead *lead = &reading->delivery.lead;

    if (lead->cookie == NULL) {
        return false;
    }
    /* without an e-mail the cookie is all that names the lead */
    return lead->email == NULL || !lead->cookie_made ||
           mkto_spool_known_get(dispatch->spool, reading->lead, reading->token) == 0;
}

bool mkto_dispatch_goes_alone(struct mkto_dispatch *dispatch, const struct reading *reading)
{
    if (reading->delivery.api == MKTO_API_SOAP) {
        return mkto_dispatch_needs_cookie(dispatch, reading);
    }
    return reading->delivery.lead.email == NULL;
}
