/* A whole API of a subscription stops, says so, and asks again. */
#include <stdio.h>

#include "mkto_dispatch_state.h"

static const char retired[] =
    "the endpoint has refused connections for an hour; Marketo removed its SOAP API on 2026-07-31: "
    "set api = rest, or soap_endpoint to a gateway that still speaks it";

static const char *api_name(const struct channel *channel, const struct mkto_gate *gate)
{
    if (gate == &channel->visits) {
        return "Munchkin";
    }
    return channel->sub != NULL && channel->sub->api == MKTO_API_SOAP ? "SOAP API" : "REST API";
}

static int level_of(enum mkto_pause_kind kind)
{
    return kind == MKTO_PAUSE_RATE || kind == MKTO_PAUSE_CONCURRENCY ? LOG_WARNING : LOG_ERR;
}

static const char *hint_of(const struct channel *channel, const struct mkto_gate *gate,
                           uint64_t now)
{
    bool soap =
        gate == &channel->leads && channel->sub != NULL && channel->sub->api == MKTO_API_SOAP;

    if (soap && gate->kind == MKTO_PAUSE_DOWN && now - gate->since >= MKTO_GATE_GONE_MS) {
        return retired;
    }
    return gate->hint;
}

static void say(struct mkto_dispatch *dispatch, struct channel *channel, struct mkto_gate *gate)
{
    uint64_t now = mkto_dispatch_mono(dispatch);
    const char *hint = hint_of(channel, gate, now);

    if (!mkto_gate_say(gate, now)) {
        return;
    }
    uint64_t wait = gate->until > now ? (gate->until - now) / 1000 : 0;
    mkto_dispatch_log(dispatch, level_of(gate->kind),
                      "%s %s: %s paused (%s, %s)%s%s; asks again in %llu s%s%s",
                      level_of(gate->kind) == LOG_ERR ? "MKTO0301" : "MKTO0306", channel->label,
                      api_name(channel, gate), mkto_verdict_pause_name(gate->kind), gate->reason,
                      gate->why[0] == '\0' ? "" : ": ", gate->why, (unsigned long long)wait,
                      hint == NULL ? "" : "; ", hint == NULL ? "" : hint);
}

static void say_on(struct mkto_dispatch *dispatch, const struct channel *channel,
                   const struct mkto_gate *gate)
{
    mkto_dispatch_log(dispatch, LOG_NOTICE, "MKTO0302 %s: %s goes on", channel->label,
                      api_name(channel, gate));
}

static void expire(struct mkto_dispatch *dispatch, struct channel *channel, struct mkto_gate *gate)
{
    if (mkto_gate_expire(gate, mkto_dispatch_mono(dispatch)) && gate->said != 0) {
        say_on(dispatch, channel, gate);
    }
}

static bool leads_wait(const struct channel *channel)
{
    return channel->waiting[MKTO_LANE_LEAD] + channel->waiting[MKTO_LANE_LINK] > 0;
}

/* Our own limit, so it is no pause: nothing is wrong, but somebody may want to know. */
static void say_budget(struct mkto_dispatch *dispatch, struct channel *channel)
{
    const struct mkto_budget *budget = &channel->budget;
    int64_t wall = mkto_dispatch_wall(dispatch);
    int64_t reset;
    int64_t day = mkto_budget_day(wall, &reset);

    if (channel->sub == NULL || day == channel->budget_said ||
        mkto_budget_today(budget, wall) < budget->limits.per_day) {
        return;
    }
    const unsigned long long waiting =
        channel->waiting[MKTO_LANE_LEAD] + channel->waiting[MKTO_LANE_LINK];
    channel->budget_said = day;
    mkto_dispatch_log(
        dispatch, LOG_WARNING,
        "MKTO0314 %s: the %u calls of today are used up (calls_per_day): %llu events wait for "
        "midnight US Central, in %lld min; visits go on",
        channel->label, budget->limits.per_day, waiting,
        (long long)((reset - wall + 59999) / 60000));
}

void mkto_dispatch_say_gates(struct mkto_dispatch *dispatch, struct channel *channel)
{
    expire(dispatch, channel, &channel->leads);
    expire(dispatch, channel, &channel->visits);
    /* with nothing to send nobody asks, and a pause is no news */
    if (leads_wait(channel)) {
        say_budget(dispatch, channel);
        say(dispatch, channel, &channel->leads);
    }
    if (channel->waiting[MKTO_LANE_VISIT] > 0) {
        say(dispatch, channel, &channel->visits);
    }
}

uint64_t mkto_dispatch_say_when(const struct channel *channel)
{
    uint64_t leads = leads_wait(channel) ? mkto_gate_say_when(&channel->leads) : UINT64_MAX;
    uint64_t visits =
        channel->waiting[MKTO_LANE_VISIT] > 0 ? mkto_gate_say_when(&channel->visits) : UINT64_MAX;
    return leads < visits ? leads : visits;
}

static int64_t wait_of(const struct mkto_dispatch *dispatch,
                       const struct mkto_verdict_decision *decision)
{
    int64_t reset;
    int64_t wall = mkto_dispatch_wall(dispatch);

    if (decision->pause != MKTO_PAUSE_QUOTA) {
        return decision->after_ms;
    }
    (void)mkto_budget_day(wall, &reset);
    return reset - wall > decision->after_ms ? reset - wall : decision->after_ms;
}

void mkto_dispatch_pause(struct mkto_dispatch *dispatch, struct channel *channel, enum mkto_api api,
                         const struct mkto_verdict_decision *decision, bool probe, int code,
                         const char *why)
{
    struct mkto_gate *gate = api == MKTO_API_MUNCHKIN ? &channel->visits : &channel->leads;

    gate->code = code;
    gate->hint = decision->hint;
    (void)snprintf(gate->why, sizeof(gate->why), "%s", why == NULL ? "" : why);
    mkto_gate_close(gate, decision, probe, wait_of(dispatch, decision),
                    mkto_dispatch_mono(dispatch));
    say(dispatch, channel, gate);
}

void mkto_dispatch_open(struct mkto_dispatch *dispatch, struct channel *channel, enum mkto_api api,
                        bool probe)
{
    struct mkto_gate *gate = api == MKTO_API_MUNCHKIN ? &channel->visits : &channel->leads;
    bool said = gate->said != 0;

    if (mkto_gate_answered(gate, probe) && said) {
        say_on(dispatch, channel, gate);
    }
}
