#include "mkto_gate.h"

uint64_t mkto_gate_when(const struct mkto_gate *gate, uint64_t now)
{
    if (gate->kind == MKTO_PAUSE_NONE) {
        return 0;
    }
    if (gate->probing) {
        return UINT64_MAX;
    }
    return now < gate->until ? gate->until : now;
}

bool mkto_gate_enter(struct mkto_gate *gate)
{
    if (gate->kind == MKTO_PAUSE_NONE) {
        return false;
    }
    gate->probing = true;
    return true;
}

/* Rate, concurrency and quota end by themselves at a known time; the others are probed. */
static bool is_timed(enum mkto_pause_kind kind)
{
    return kind == MKTO_PAUSE_RATE || kind == MKTO_PAUSE_CONCURRENCY || kind == MKTO_PAUSE_QUOTA;
}

static void lengthen(struct mkto_gate *gate)
{
    gate->step_ms *= 2;
    if (gate->step_ms > MKTO_GATE_PROBE_MAX_MS) {
        gate->step_ms = MKTO_GATE_PROBE_MAX_MS;
    }
}

void mkto_gate_close(struct mkto_gate *gate, const struct mkto_verdict_decision *decision,
                     bool probe, int64_t wait_ms, uint64_t now)
{
    if (probe) {
        gate->probing = false;
    }
    if (gate->kind == MKTO_PAUSE_NONE || gate->kind != decision->pause) {
        gate->since = gate->kind == MKTO_PAUSE_NONE ? now : gate->since;
        gate->said = gate->kind == MKTO_PAUSE_NONE ? 0 : gate->said;
        gate->step_ms = MKTO_GATE_PROBE_MIN_MS;
        gate->until = now;
    } else if (!probe) {
        return; /* sent before the gate was closed: it tells nothing new */
    }
    int64_t wait = wait_ms;
    if (!is_timed(decision->pause)) {
        wait = gate->step_ms > wait_ms ? gate->step_ms : wait_ms;
        lengthen(gate);
    }
    gate->kind = decision->pause;
    gate->reason = decision->reason;
    if (now + (uint64_t)wait > gate->until) {
        gate->until = now + (uint64_t)wait;
    }
}

static void open_gate(struct mkto_gate *gate)
{
    gate->kind = MKTO_PAUSE_NONE;
    gate->probing = false;
    gate->step_ms = 0;
}

bool mkto_gate_answered(struct mkto_gate *gate, bool probe)
{
    if (!probe || gate->kind == MKTO_PAUSE_NONE) {
        return false;
    }
    open_gate(gate);
    return true;
}

bool mkto_gate_expire(struct mkto_gate *gate, uint64_t now)
{
    if (!is_timed(gate->kind) || gate->probing || now < gate->until) {
        return false;
    }
    open_gate(gate);
    return true;
}

void mkto_gate_retry(struct mkto_gate *gate, uint64_t now)
{
    if (gate->kind != MKTO_PAUSE_NONE && !is_timed(gate->kind)) {
        gate->until = now;
        gate->step_ms = MKTO_GATE_PROBE_MIN_MS;
    }
}

uint64_t mkto_gate_say_when(const struct mkto_gate *gate)
{
    if (gate->kind == MKTO_PAUSE_NONE || gate->kind == MKTO_PAUSE_CONCURRENCY) {
        return UINT64_MAX;
    }
    return gate->said == 0 ? 0 : gate->said + MKTO_GATE_SAY_MS;
}

bool mkto_gate_say(struct mkto_gate *gate, uint64_t now)
{
    if (mkto_gate_say_when(gate) > now) {
        return false;
    }
    gate->said = now == 0 ? 1 : now;
    return true;
}
