/*
 * What `marketo tail` hears of intake: a line for each event, when its fate is known at the end of
 * the turn; and lines of others.
 */
#include "mkto_intake_state.h"

#include <apr_strings.h>
#include <inttypes.h>
#include <stdio.h>

#include "mkto_lanes.h"
#include "mkto_mask.h"
#include "mkto_sender.h"

#define BEHIND_MAX (1u << 20) /* bytes a tail has not read: lines are lost for it */
#define LOST_MAX 64           /* bytes of the line that says so */

bool mkto_intake_tailing(const struct mkto_intake *intake)
{
    return intake->tails > 0;
}

/* The gap is named as soon as the listener reads again. */
static void tell_lost(struct mkto_peer *peer)
{
    char text[LOST_MAX];
    if (peer->lost_lines == 0) {
        return;
    }
    snprintf(text, sizeof(text), "{\"type\":\"lost\",\"lines\":%" PRIu64 "}", peer->lost_lines);
    peer->lost_lines = 0;
    mkto_peer_tell(peer, mkto_slice_str(text), false);
}

void mkto_intake_tell_tail(struct mkto_intake *intake, struct mkto_slice json)
{
    for (struct mkto_peer *peer = intake->peers; peer != NULL; peer = peer->next) {
        if (!peer->tailing || peer->ending) {
            continue;
        }
        if (mkto_peer_unsent(peer) > BEHIND_MAX) {
            peer->lost_lines++;
            continue;
        }
        tell_lost(peer);
        mkto_peer_tell(peer, json, false);
    }
}

/* ---- events ---- */

static const char *lead_of(const struct mkto_intake_call *call, const struct mkto_event *event,
                           apr_pool_t *pool)
{
    const struct mkto_slice email = event == NULL ? MKTO_SLICE_NONE : mkto_event_email(event);
    if (email.len == 0) {
        return NULL;
    }
    const uint64_t lead = mkto_lane_of_email(mkto_lanes_scope(call->subscription, pool),
                                             apr_pstrmemdup(pool, email.data, email.len));
    return apr_psprintf(pool, "%08" PRIx64, lead >> 32);
}

void mkto_intake_note(struct mkto_intake_call *call, enum mkto_call type,
                      const struct mkto_event *event, const struct mkto_intake_fate *fate)
{
    struct mkto_intake *intake = call->peer->intake;
    struct mkto_turn *turn = &intake->turn;
    if (intake->tails == 0) {
        return;
    }
    if (turn->line_count == MKTO_INTAKE_LINES_MAX) {
        turn->lines_lost++;
        return;
    }
    apr_pool_t *pool = intake->turn_pool;
    struct mkto_line *line = apr_pcalloc(pool, sizeof(*line));
    line->fate = *fate;
    line->note = mkto_note_object(pool);
    mkto_note_number(&line->note, "time", intake->wall);
    mkto_note_text(&line->note, "subscription", call->subscription->name);
    mkto_note_text(&line->note, "source", mkto_sender_word(&call->envelope, pool));
    mkto_note_text(&line->note, "call", mkto_call_name(type));
    mkto_note_text(&line->note, "type", "event");
    mkto_note_text(&line->note, "lead", lead_of(call, event, pool));
    char *text = fate->text == NULL ? NULL : apr_pstrdup(pool, fate->text);
    mkto_mask_addresses(text);
    line->fate.text = text;
    *(turn->lines == NULL ? &turn->lines : &turn->last_line->next) = line;
    turn->last_line = line;
    turn->line_count++;
}

void mkto_intake_note_stored(struct mkto_intake_call *call, enum mkto_call type,
                             const struct mkto_event *event, enum mkto_stored stored, bool memory)
{
    const int64_t id = call->peer->intake->turn.last_id;
    const struct mkto_intake_fate fates[] = {
        [MKTO_STORED_NEW] = {"accepted", NULL, NULL, id, !memory},
        [MKTO_STORED_SEEN] = {"duplicate", NULL, NULL, 0, true},
        [MKTO_STORED_NOT] = {"refused", "full", NULL, 0, false},
    };
    mkto_intake_note(call, type, event, &fates[stored]);
}

static void tell_line(struct mkto_intake *intake, struct mkto_line *line, bool failed)
{
    const struct mkto_intake_fate *fate = &line->fate;
    const bool lost = failed && fate->stored;
    if (fate->id != 0 && !failed) { /* what memory holds gets its id later */
        mkto_note_number(&line->note, "event", fate->id);
    }
    mkto_note_text(&line->note, "verdict", lost ? "refused" : fate->verdict);
    mkto_note_text(&line->note, "reason", lost ? "full" : fate->reason);
    mkto_note_text(&line->note, "text", fate->text);
    mkto_intake_tell_tail(intake, mkto_note_json(&line->note));
}

void mkto_intake_tell_lines(struct mkto_intake *intake, bool failed)
{
    for (struct mkto_line *line = intake->turn.lines; line != NULL; line = line->next) {
        tell_line(intake, line, failed);
    }
    for (struct mkto_peer *peer = intake->turn.lines_lost == 0 ? NULL : intake->peers; peer != NULL;
         peer = peer->next) {
        peer->lost_lines += peer->tailing ? intake->turn.lines_lost : 0;
    }
}
