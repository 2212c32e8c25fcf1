/* Calls: made, posted, written and handed to the transport; the token that REST needs. */
#include <stdlib.h>
#include <string.h>

#include "mkto_dispatch_state.h"

/* ---- life ---- */

struct errand *mkto_dispatch_errand(struct mkto_dispatch *dispatch, struct channel *channel,
                                    enum errand_kind kind)
{
    struct errand *errand = dispatch->spare;

    if (errand != NULL) {
        dispatch->spare = errand->next;
    } else {
        errand = apr_palloc(dispatch->pool, sizeof(*errand));
    }
    memset(errand, 0, sizeof(*errand));
    errand->dispatch = dispatch;
    errand->channel = channel;
    errand->kind = kind;
    errand->api = kind == ERRAND_VISIT ? MKTO_API_MUNCHKIN : channel->sub->api;
    errand->parcels = &errand->one;
    errand->max = 1;
    if (kind != ERRAND_VISIT && kind != ERRAND_TOKEN) {
        apr_pool_create(&errand->pool, dispatch->pool);
    }
    return errand;
}

void mkto_dispatch_errand_free(struct errand *errand)
{
    struct mkto_dispatch *dispatch = errand->dispatch;

    mkto_dispatch_split_drop(errand->split);
    if (errand->pool != NULL) {
        apr_pool_destroy(errand->pool);
        errand->pool = NULL;
    }
    errand->next = dispatch->spare;
    dispatch->spare = errand;
}

/* ---- may it go? ---- */

static bool has_token(const struct channel *channel, uint64_t now)
{
    return channel->token != NULL && now < channel->token_until;
}

static uint64_t token_when(const struct channel *channel, uint64_t now)
{
    if (channel->sub->api != MKTO_API_REST || has_token(channel, now)) {
        return 0;
    }
    if (channel->token_coming) {
        return UINT64_MAX;
    }
    return channel->token_asked == 0 ? 0 : channel->token_asked + MKTO_DISPATCH_TOKEN_MIN_MS;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t mkto_dispatch_api_when(struct channel *channel, const struct mkto_dispatch *dispatch,
                                enum mkto_budget_use use)
{
    uint64_t now = mkto_dispatch_mono(dispatch);
    uint64_t when = mkto_gate_when(&channel->leads, now);

    when = later(when, token_when(channel, now));
    return later(when, mkto_budget_when(&channel->budget, use, now, mkto_dispatch_wall(dispatch)));
}

/* ---- sending ---- */

static bool read_secret(struct mkto_dispatch *dispatch, struct channel *channel, const char *file,
                        char secret[MKTO_DISPATCH_SECRET_MAX], size_t *len)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_verdict_decision decision = {.kind = MKTO_VERDICT_PAUSE,
                                             .pause = MKTO_PAUSE_CREDENTIALS,
                                             .reason = "secret",
                                             .hint = "mend the file; delivery goes on by itself"};
    long got = -1;

    if (file == NULL) {
        (void)mkto_error_set(&err, "no credentials are configured for api = %s",
                             channel->sub->api == MKTO_API_REST ? "rest" : "soap");
    } else {
        got = mkto_config_secret(file, secret, MKTO_DISPATCH_SECRET_MAX, &err);
    }
    if (got < 0) {
        mkto_dispatch_pause(dispatch, channel, channel->sub->api, &decision,
                            channel->leads.kind != MKTO_PAUSE_NONE, 0, err.text);
        return false;
    }
    *len = (size_t)got;
    return true;
}

static void hand_over(struct errand *errand, const struct mkto_http_request *request)
{
    struct mkto_dispatch *dispatch = errand->dispatch;
    const struct mkto_subscription *sub = errand->channel->sub;

    errand->sent_ms = mkto_dispatch_mono(dispatch);
    errand->sent_wall_ms = mkto_dispatch_wall(dispatch);
    dispatch->in_flight++;
    dispatch->transport->send(dispatch->transport, request, sub->connect_timeout_ms,
                              sub->timeout_ms, sub->ca_file, mkto_dispatch_answered, errand);
}

static const struct mkto_lead **leads_of(const struct errand *errand)
{
    const struct mkto_lead **leads = apr_palloc(errand->pool, errand->count * sizeof(*leads));

    for (unsigned i = 0; i < errand->count; i++) {
        leads[i] = &errand->parcels[i].merged;
    }
    return leads;
}

/* Lanes that did not fit into the request go out with the next one. */
static void cut(struct errand *errand, size_t count)
{
    while (errand->count > count) {
        mkto_dispatch_put_back(errand->dispatch, errand->parcels[--errand->count].lane);
    }
}

static void write_rest(struct errand *errand, struct mkto_http_request *request)
{
    const struct channel *channel = errand->channel;
    const struct parcel *parcel = &errand->parcels[0];

    errand->token_number = channel->token_number;
    switch (errand->kind) {
    case ERRAND_LINK:
        mkto_rest_associate(channel->sub, channel->token, parcel->lead_id, errand->cookie, request,
                            errand->pool);
        break;
    case ERRAND_UPDATE: mkto_dispatch_update(errand, request); break;
    default:
        cut(errand, mkto_rest_sync(channel->sub, channel->token, leads_of(errand), errand->count,
                                   request, errand->pool));
    }
}

static bool write_soap(struct errand *errand, struct mkto_http_request *request)
{
    struct mkto_dispatch *dispatch = errand->dispatch;
    struct channel *channel = errand->channel;
    char key[MKTO_DISPATCH_SECRET_MAX];
    size_t len;

    if (!read_secret(dispatch, channel, channel->sub->soap_encryption_key_file, key, &len)) {
        return false;
    }
    struct mkto_soap_credentials credentials = {mkto_slice_str(channel->sub->soap_user_id),
                                                {key, len}};
    int64_t now = mkto_dispatch_wall(dispatch) + channel->clock_offset_ms;
    if (errand->kind == ERRAND_SINGLE) {
        mkto_soap_sync_lead(channel->sub, &credentials, now, &errand->parcels[0].merged, request,
                            errand->pool);
    } else {
        mkto_soap_sync_multiple(channel->sub, &credentials, now, leads_of(errand), errand->count,
                                request, errand->pool);
    }
    explicit_bzero(key, sizeof(key));
    return true;
}

/* It cannot go after all: no secret, or the subscription has left the config in between. */
static void give_up(struct errand *errand)
{
    struct channel *channel = errand->channel;

    mkto_budget_end(&channel->budget);
    cut(errand, 0);
    if (errand->probe) {
        channel->leads.probing = false;
    }
    mkto_dispatch_errand_free(errand);
}

void mkto_dispatch_errand_post(struct errand *errand)
{
    struct mkto_dispatch *dispatch = errand->dispatch;
    struct channel *channel = errand->channel;
    struct errand **last = &channel->outbox;

    mkto_budget_spend(&channel->budget, mkto_dispatch_mono(dispatch), mkto_dispatch_wall(dispatch));
    channel->unsaved = true;
    channel->link_turn = errand->kind != ERRAND_LINK;
    errand->probe = mkto_gate_enter(&channel->leads);
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = errand;
}

void mkto_dispatch_errand_send(struct errand *errand)
{
    struct channel *channel = errand->channel;
    struct mkto_http_request request = {0};

    if (channel->sub == NULL || channel->sub->api != errand->api ||
        (errand->api == MKTO_API_REST && channel->token == NULL)) {
        give_up(errand);
        return;
    }
    if (errand->api == MKTO_API_REST) {
        write_rest(errand, &request);
    } else if (!write_soap(errand, &request)) {
        give_up(errand);
        return;
    }
    channel->counters.calls++;
    hand_over(errand, &request);
}

/* ---- the token ---- */

void mkto_dispatch_token_drop(struct channel *channel)
{
    if (channel->token != NULL) {
        explicit_bzero(channel->token, strlen(channel->token));
        free(channel->token);
        channel->token = NULL;
    }
}

bool mkto_dispatch_token(struct mkto_dispatch *dispatch, struct channel *channel)
{
    char secret[MKTO_DISPATCH_SECRET_MAX];
    size_t len;
    struct mkto_http_request request = {0};

    if (channel->sub->api != MKTO_API_REST || has_token(channel, mkto_dispatch_mono(dispatch))) {
        return true;
    }
    channel->token_asked = mkto_dispatch_mono(dispatch) + 1;
    if (!read_secret(dispatch, channel, channel->sub->rest_client_secret_file, secret, &len)) {
        return false;
    }
    struct errand *errand = mkto_dispatch_errand(dispatch, channel, ERRAND_TOKEN);
    errand->probe = mkto_gate_enter(&channel->leads);
    channel->token_coming = true;
    apr_pool_clear(dispatch->scratch);
    mkto_rest_token(channel->sub, (struct mkto_slice){secret, len}, &request, dispatch->scratch);
    explicit_bzero(secret, sizeof(secret));
    hand_over(errand, &request);
    return false;
}
