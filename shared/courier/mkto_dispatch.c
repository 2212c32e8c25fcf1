#include "mkto_dispatch.h"

#include <apr_strings.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "mkto_dispatch_state.h"

#define LOG_MAX 640    /* bytes of a line for the log with its NUL */
#define LATE_EVERY 256 /* lanes that are woken between two looks at the clock */

/* ---- small things ---- */

uint64_t mkto_dispatch_mono(const struct mkto_dispatch *dispatch)
{
    return dispatch->clock.mono_ms(dispatch->clock.ctx);
}

int64_t mkto_dispatch_wall(const struct mkto_dispatch *dispatch)
{
    return dispatch->clock.wall_ms(dispatch->clock.ctx);
}

bool mkto_dispatch_late(const struct mkto_dispatch *dispatch)
{
    return mkto_dispatch_mono(dispatch) >= dispatch->deadline;
}

void mkto_dispatch_log(struct mkto_dispatch *dispatch, int level, const char *format, ...)
{
    char text[LOG_MAX];
    va_list args;

    if (dispatch->hooks.log == NULL) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    dispatch->hooks.log(dispatch->hooks.ctx, level, text);
}

/* ---- channels ---- */

static struct mkto_budget_limits limits_of(const struct mkto_subscription *sub)
{
    return (struct mkto_budget_limits){sub->calls_per_20s, sub->calls_at_once, sub->calls_per_day,
                                       sub->calls_reserve};
}

static void restore_budget(struct mkto_dispatch *dispatch, struct channel *channel)
{
    apr_pool_t *pool;

    apr_pool_create(&pool, dispatch->pool);
    const char *key = apr_psprintf(pool, "budget/%s", channel->name);
    mkto_budget_restore(&channel->budget, mkto_spool_state_get(dispatch->spool, key, pool),
                        mkto_dispatch_mono(dispatch), mkto_dispatch_wall(dispatch));
    apr_pool_destroy(pool);
}

static struct channel *channel_new(struct mkto_dispatch *dispatch,
                                   const struct mkto_subscription *sub)
{
    struct mkto_budget_limits limits = limits_of(sub);
    struct channel *channel;

    if (dispatch->channel_count == MKTO_LANES_CHANNELS_MAX) {
        mkto_dispatch_log(
            dispatch, LOG_ERR,
            "MKTO0311 over %d subscriptions in one life of the courier: start it anew",
            MKTO_LANES_CHANNELS_MAX);
        return NULL;
    }
    channel = apr_pcalloc(dispatch->pool, sizeof(*channel));
    channel->name = apr_pstrdup(dispatch->pool, sub->name);
    channel->label = sub->name[0] == '\0' ? "[marketo]"
                                          : apr_psprintf(dispatch->pool, "[marketo %s]", sub->name);
    channel->number = (uint8_t)dispatch->channel_count;
    channel->batch = MKTO_LANE_QUEUE_EMPTY;
    channel->single = MKTO_LANE_QUEUE_EMPTY;
    channel->links = MKTO_LANE_QUEUE_EMPTY;
    channel->views = MKTO_LANE_QUEUE_EMPTY;
    mkto_budget_init(&channel->budget, &limits);
    restore_budget(dispatch, channel);
    dispatch->channels[dispatch->channel_count++] = channel;
    return channel;
}

static void attach(struct mkto_dispatch *dispatch, const struct mkto_subscription *sub)
{
    struct channel *channel = NULL;

    for (unsigned i = 0; i < dispatch->channel_count && channel == NULL; i++) {
        if (strcmp(dispatch->channels[i]->name, sub->name) == 0) {
            channel = dispatch->channels[i];
        }
    }
    if (channel == NULL) {
        channel = channel_new(dispatch, sub);
    }
    if (channel == NULL) {
        return;
    }
    struct mkto_budget_limits limits = limits_of(sub);
    mkto_budget_limit(&channel->budget, &limits);
    const char *scope = mkto_lanes_scope(sub, dispatch->scratch);
    if (channel->scope == NULL || strcmp(channel->scope, scope) != 0) {
        channel->scope = apr_pstrdup(dispatch->pool, scope);
    }
    channel->sub = sub;
    channel->lead_interval_ms = sub->lead_interval_ms;
    channel->retry_for_ms = sub->retry_for_ms;
}

static void attach_all(struct mkto_dispatch *dispatch, const struct mkto_config *config)
{
    dispatch->config = config;
    for (size_t i = 0; i < config->subscription_count; i++) {
        attach(dispatch, &config->subscriptions[i]);
    }
}

/* ---- life ---- */

struct mkto_dispatch *
mkto_dispatch_create(const struct mkto_config *config, struct mkto_spool *spool,
                     struct mkto_transport *transport, const struct mkto_clock *clock,
                     const struct mkto_dispatch_hooks *hooks, apr_pool_t *pool)
{
    struct mkto_dispatch *dispatch = apr_pcalloc(pool, sizeof(*dispatch));

    apr_pool_create(&dispatch->pool, pool);
    apr_pool_create(&dispatch->scratch, dispatch->pool);
    apr_pool_create(&dispatch->answers, dispatch->pool);
    dispatch->spool = spool;
    dispatch->transport = transport;
    dispatch->clock = *clock;
    dispatch->hooks = *hooks;
    dispatch->events_max = hooks->events_max > 0 ? hooks->events_max : MKTO_LANES_EVENTS_MAX;
    dispatch->lanes = mkto_lanes_create(dispatch->events_max, dispatch->pool);
    dispatch->more = true;
    if (getrandom(&dispatch->backoff.state, sizeof(dispatch->backoff.state), GRND_NONBLOCK) < 0) {
        dispatch->backoff.state = (uint64_t)mkto_dispatch_wall(dispatch);
    }
    attach_all(dispatch, config);
    return dispatch;
}

static void free_channel(struct channel *channel)
{
    mkto_dispatch_token_drop(channel);
    mkto_refused_clear(&channel->refused);
    if (channel->filling != NULL) {
        mkto_dispatch_group_end(channel->filling);
    }
    while (channel->groups != NULL) {
        mkto_dispatch_group_drop(channel);
    }
}

void mkto_dispatch_destroy(struct mkto_dispatch *dispatch)
{
    dispatch->leaving = true;
    dispatch->transport->cancel_all(dispatch->transport);
    dispatch->in_flight = 0;
    /* what was answered is written; what was not is still in the spool */
    while (dispatch->outcomes.count > 0 && !dispatch->blocked) {
        mkto_dispatch_record(dispatch);
    }
    mkto_outcomes_clear(&dispatch->outcomes);
    mkto_dispatch_ahead_clear(dispatch);
    for (unsigned i = 0; i < dispatch->channel_count; i++) {
        free_channel(dispatch->channels[i]);
    }
    apr_pool_destroy(dispatch->pool);
}

static void forget_config(struct mkto_dispatch *dispatch, struct channel *channel)
{
    uint64_t now = mkto_dispatch_mono(dispatch);

    mkto_dispatch_unpack(dispatch, channel);
    mkto_refused_clear(&channel->refused);
    mkto_dispatch_token_drop(channel);
    channel->token_asked = 0;
    mkto_gate_retry(&channel->leads, now);
    mkto_gate_retry(&channel->visits, now);
    channel->sub = NULL;
}

void mkto_dispatch_reload(struct mkto_dispatch *dispatch, const struct mkto_config *config)
{
    for (unsigned i = 0; i < dispatch->channel_count; i++) {
        forget_config(dispatch, dispatch->channels[i]);
    }
    attach_all(dispatch, config);
    dispatch->next = 0;
}

void mkto_dispatch_accepted(struct mkto_dispatch *dispatch, int64_t last_id)
{
    if (last_id > dispatch->accepted) {
        dispatch->accepted = last_id;
    }
    if (dispatch->accepted > dispatch->cursor) {
        dispatch->more = true;
        dispatch->ahead.more = true;
        dispatch->next = 0;
    }
}

void mkto_dispatch_hold(struct mkto_dispatch *dispatch, bool hold)
{
    dispatch->hold = hold;
    dispatch->next = 0;
}

size_t mkto_dispatch_in_flight(const struct mkto_dispatch *dispatch)
{
    return dispatch->in_flight;
}

/* ---- turns ---- */

static void wake_lanes(struct mkto_dispatch *dispatch)
{
    uint64_t now = mkto_dispatch_mono(dispatch);
    unsigned woken = 0;

    for (;;) {
        uint32_t lane = mkto_lanes_due(dispatch->lanes, now);
        if (lane == MKTO_LANE_NONE) {
            return;
        }
        mkto_dispatch_ready(dispatch, lane);
        if (++woken % LATE_EVERY == 0 && mkto_dispatch_late(dispatch)) {
            return;
        }
    }
}

/* Answers are recorded before more are asked for. */
static bool may_start(const struct mkto_dispatch *dispatch)
{
    return !dispatch->hold && !dispatch->blocked && !dispatch->leaving &&
           dispatch->outcomes.count < 4 * MKTO_DISPATCH_RECORD_MAX;
}

/*
 * Leads and Associate Lead share slots and window call by call: whoever did not go last goes first,
 * so that neither waits for the end of the other's backlog. In the day's budget leads have their
 * reserve.
 */
static bool start_leads(struct mkto_dispatch *dispatch, struct channel *channel, uint64_t now)
{
    bool links_first = channel->link_turn;
    bool some = false;

    for (unsigned i = 0; i < 2; i++) {
        if (links_first == (i == 0) && mkto_dispatch_link_when(channel, dispatch) <= now) {
            mkto_dispatch_link_start(dispatch, channel);
            some = true;
        } else if (links_first != (i == 0) && mkto_dispatch_lead_when(channel, dispatch) <= now) {
            mkto_dispatch_lead_start(dispatch, channel);
            some = true;
        }
    }
    return some;
}

/* One call of each kind that can go. Returns true when one went, or was worked on. */
static bool start_some(struct mkto_dispatch *dispatch, struct channel *channel)
{
    uint64_t now = mkto_dispatch_mono(dispatch);

    if (channel->sub == NULL) {
        mkto_dispatch_orphans(dispatch, channel);
        return false;
    }
    bool some = start_leads(dispatch, channel, now);
    if (mkto_dispatch_visit_when(channel, dispatch) <= now) {
        mkto_dispatch_visit_start(dispatch, channel);
        some = true;
    }
    return some;
}

/* Subscriptions take turns, so that none waits for another's backlog. */
static void start_calls(struct mkto_dispatch *dispatch)
{
    unsigned count = dispatch->channel_count;
    unsigned idle = 0;

    while (count > 0 && idle < count && may_start(dispatch)) {
        struct channel *channel = dispatch->channels[dispatch->turn_of++ % count];
        idle = start_some(dispatch, channel) ? 0 : idle + 1;
        if (mkto_dispatch_late(dispatch)) {
            return;
        }
    }
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t channel_next(struct channel *channel, const struct mkto_dispatch *dispatch)
{
    if (channel->sub == NULL) {
        bool any = channel->groups != NULL || channel->batch.count + channel->single.count +
                                                      channel->links.count + channel->views.count >
                                                  0;
        return any ? 0 : UINT64_MAX;
    }
    uint64_t next = mkto_dispatch_lead_when(channel, dispatch);
    next = sooner(next, mkto_dispatch_link_when(channel, dispatch));
    next = sooner(next, mkto_dispatch_visit_when(channel, dispatch));
    return sooner(next, mkto_dispatch_say_when(channel));
}

static uint64_t next_of(const struct mkto_dispatch *dispatch)
{
    uint64_t next = mkto_dispatch_record_when(dispatch);

    if (!may_start(dispatch)) {
        return next;
    }
    next = sooner(next, mkto_lanes_next_due(dispatch->lanes));
    next = sooner(next, mkto_dispatch_load_when(dispatch, mkto_dispatch_mono(dispatch)));
    for (unsigned i = 0; i < dispatch->channel_count; i++) {
        next = sooner(next, channel_next(dispatch->channels[i], dispatch));
    }
    return next;
}

bool mkto_dispatch_turn(struct mkto_dispatch *dispatch, int budget_ms)
{
    dispatch->deadline = mkto_dispatch_mono(dispatch) + (uint64_t)(budget_ms > 0 ? budget_ms : 1);
    mkto_dispatch_record(dispatch);
    if (may_start(dispatch)) {
        for (unsigned i = 0; i < dispatch->channel_count; i++) {
            mkto_dispatch_say_gates(dispatch, dispatch->channels[i]);
        }
        wake_lanes(dispatch);
        start_calls(dispatch);
        mkto_dispatch_load(dispatch);
        if (!mkto_dispatch_late(dispatch)) {
            start_calls(dispatch);
        }
    }
    mkto_dispatch_record(dispatch);
    dispatch->next = next_of(dispatch);
    return dispatch->next <= mkto_dispatch_mono(dispatch);
}

uint64_t mkto_dispatch_next(const struct mkto_dispatch *dispatch)
{
    return dispatch->next;
}
