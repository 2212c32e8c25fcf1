#include "mkto_forget.h"

#include <apr_strings.h>
#include <string.h>

#include "mkto_lanes.h"
#include "mkto_person.h"

enum phase {
    PHASE_EVENTS,
    PHASE_DEAD,
    PHASE_KNOWN,
    PHASE_SENT,
    PHASE_FILES,
    PHASE_DONE,
    PHASE_COUNT
};

static const char *const phase_names[PHASE_COUNT] = {"events", "dead",  "known",
                                                     "sent",   "files", "done"};

/* A question while it is answered. */
struct asking {
    const struct mkto_desk *desk;
    struct mkto_person person;
    const char *email;
    bool apply;
    bool pass; /* events that are in a call are left out, not waited for */
    enum phase phase;
    int64_t after;
    int64_t until;
    uint64_t deadline;
    bool stop; /* the part ends here */
    int64_t events;
    int64_t tried;
    int64_t dead;
    int64_t known;
    int64_t sent;
    int64_t busy;
    int64_t passed;
    struct mkto_spool_row *gone; /* of this part, for dispatch */
    unsigned gone_count;
    struct mkto_error err;
    apr_pool_t *pool;
    apr_pool_t *rows; /* what gone points to */
};

/* ---- the question ---- */

static int read_phase(const struct mkto_json *question, struct asking *asking)
{
    const char *name = mkto_desk_text(question, "phase");
    for (int phase = 0; phase < PHASE_DONE; phase++) {
        if (strcmp(name == NULL ? "events" : name, phase_names[phase]) == 0) {
            asking->phase = (enum phase)phase;
            return 0;
        }
    }
    return mkto_error_set(&asking->err, "forget: there is no such phase");
}

static int read_question(struct mkto_slice args, struct asking *asking)
{
    const struct mkto_json *question = NULL;
    if (mkto_desk_read(args, &question, &asking->err, asking->pool) != 0) {
        return -1;
    }
    const char *email = mkto_desk_text(question, "email");
    if (mkto_person_init(&asking->person, mkto_slice_str(email), &asking->err) != 0 ||
        read_phase(question, asking) != 0) {
        return -1;
    }
    asking->email =
        apr_pstrmemdup(asking->pool, asking->person.email.data, asking->person.email.len);
    asking->apply = mkto_desk_flag(question, "apply");
    asking->pass = mkto_desk_flag(question, "pass");
    asking->after = mkto_desk_number(question, "after", 0);
    asking->until = mkto_desk_number(question, "until", mkto_spool_last_id(asking->desk->spool));
    asking->deadline = mkto_desk_deadline(asking->desk);
    return 0;
}

static void enter(struct asking *asking, enum phase phase)
{
    asking->phase = phase == PHASE_FILES && !asking->apply ? PHASE_DONE : phase;
    asking->after = phase == PHASE_KNOWN ? INT64_MIN : 0;
}

/* ---- waiting events ---- */

/* An event of the person. Returns false when the part ends before it. */
static bool leave_event(struct asking *asking, const struct mkto_spool_row *row)
{
    const struct mkto_desk *desk = asking->desk;
    if (asking->apply && desk->dispatch != NULL && mkto_dispatch_busy(desk->dispatch, row)) {
        if (!asking->pass) {
            asking->busy++;
            asking->stop = true;
            return false;
        }
        asking->passed++;
        return true;
    }
    asking->events++;
    asking->tried += row->has_retry ? 1 : 0;
    if (asking->apply) {
        asking->gone[asking->gone_count++] = *row;
    }
    return true;
}

static bool is_person(const struct asking *asking, const struct mkto_spool_row *row,
                      apr_pool_t *scratch)
{
    return mkto_person_in_event(&asking->person, row->envelope, row->raw, scratch);
}

/* Rows of one read; the phase ends with the last. */
static void take_events(struct asking *asking, const struct mkto_spool_row *rows, int count)
{
    apr_pool_t *scratch;
    apr_pool_create(&scratch, asking->rows);
    for (int i = 0; i < count && rows[i].id <= asking->until; i++) {
        if (asking->gone_count == MKTO_DESK_CHANGES_MAX) {
            asking->stop = true;
            break;
        }
        if (is_person(asking, &rows[i], scratch) && !leave_event(asking, &rows[i])) {
            break;
        }
        asking->after = rows[i].id;
        apr_pool_clear(scratch);
    }
    apr_pool_destroy(scratch);
    const bool last = count < MKTO_DESK_ROWS || rows[count - 1].id >= asking->until;
    if (!asking->stop && last) {
        enter(asking, PHASE_DEAD);
    }
}

static int look_at_events(struct asking *asking)
{
    struct mkto_spool_row rows[MKTO_DESK_ROWS];
    if (asking->gone_count == 0) {
        apr_pool_clear(asking->rows);
    }
    const int count = mkto_spool_read(asking->desk->spool, asking->after, MKTO_DESK_ROWS, rows,
                                      &asking->err, asking->rows);
    if (count < 0) {
        return -1;
    }
    take_events(asking, rows, count);
    return 0;
}

/* In one transaction; dispatch hears of it when it is durable. */
static int remove_events(struct asking *asking)
{
    const struct mkto_desk *desk = asking->desk;
    if (asking->gone_count == 0) {
        return 0;
    }
    if (mkto_spool_begin(desk->spool, &asking->err) != 0) {
        return -1;
    }
    for (unsigned i = 0; i < asking->gone_count; i++) {
        if (mkto_spool_done(desk->spool, asking->gone[i].id, &asking->err) != 0) {
            mkto_spool_rollback(desk->spool);
            return -1;
        }
    }
    if (mkto_spool_commit(desk->spool, &asking->err) != 0) {
        return -1;
    }
    for (unsigned i = 0; i < asking->gone_count && desk->dispatch != NULL; i++) {
        mkto_dispatch_forget(desk->dispatch, &asking->gone[i]);
    }
    return 0;
}

/* ---- dead letters ---- */

static bool is_letter(const struct asking *asking, const struct mkto_spool_dead *row)
{
    const struct mkto_subscription *sub =
        mkto_config_subscription(asking->desk->config, mkto_slice_str(row->subscription));
    return (row->lead != 0 && sub != NULL &&
            row->lead == mkto_lane_of_email(mkto_lanes_scope(sub, asking->rows), asking->email)) ||
           mkto_person_in_event(&asking->person, row->envelope, row->raw, asking->rows);
}

static int take_dead(struct asking *asking, const struct mkto_spool_dead *rows, int count)
{
    for (int i = 0; i < count && rows[i].id <= asking->until; i++) {
        if (is_letter(asking, &rows[i])) {
            asking->dead++;
            if (asking->apply &&
                mkto_spool_dead_purge(asking->desk->spool, rows[i].id, &asking->err) != 0) {
                return -1;
            }
        }
        asking->after = rows[i].id;
    }
    if (count < MKTO_DESK_ROWS || rows[count - 1].id >= asking->until) {
        enter(asking, PHASE_KNOWN);
    }
    return 0;
}

static int look_at_dead(struct asking *asking)
{
    struct mkto_spool_dead rows[MKTO_DESK_ROWS];
    apr_pool_clear(asking->rows);
    const int count = mkto_spool_dead_read(asking->desk->spool, asking->after, MKTO_DESK_ROWS, rows,
                                           &asking->err, asking->rows);
    return count < 0 ? -1 : take_dead(asking, rows, count);
}

/* ---- what is remembered ---- */

static uint64_t lead_in(const struct asking *asking, size_t nth)
{
    const struct mkto_subscription *sub = &asking->desk->config->subscriptions[nth];
    return mkto_lane_of_email(mkto_lanes_scope(sub, asking->pool), asking->email);
}

static int look_at_known(struct asking *asking)
{
    const struct mkto_desk *desk = asking->desk;
    int64_t cursor = asking->after;
    for (size_t i = 0; i < desk->config->subscription_count; i++) {
        cursor = asking->after; /* all of them in the same piece */
        const int count = mkto_spool_known_forget(desk->spool, lead_in(asking, i), asking->apply,
                                                  &cursor, &asking->err);
        if (count < 0) {
            return -1;
        }
        asking->known += count;
    }
    asking->after = cursor;
    if (cursor == INT64_MAX) {
        enter(asking, PHASE_SENT);
    }
    return 0;
}

static int look_at_sent(struct asking *asking)
{
    const struct mkto_desk *desk = asking->desk;
    for (size_t i = 0; i < desk->config->subscription_count; i++) {
        const uint64_t lead = lead_in(asking, i);
        uint64_t digest = 0;
        int64_t at_ms = 0;
        const bool found = mkto_spool_sent_get(desk->spool, lead, &digest, &at_ms);
        if (found && asking->apply && mkto_spool_sent_drop(desk->spool, lead, &asking->err) < 0) {
            return -1;
        }
        asking->sent += found ? 1 : 0;
    }
    enter(asking, PHASE_FILES);
    return 0;
}

/* ---- parts ---- */

/* A piece of another phase, with the transaction that it needs. */
static int in_transaction(struct asking *asking, int (*look)(struct asking *asking))
{
    struct mkto_spool *spool = asking->desk->spool;
    if (!asking->apply) {
        return look(asking);
    }
    if (mkto_spool_begin(spool, &asking->err) != 0) {
        return -1;
    }
    if (look(asking) != 0) {
        mkto_spool_rollback(spool);
        return -1;
    }
    return mkto_spool_commit(spool, &asking->err);
}

static int clean_files(struct asking *asking)
{
    asking->stop = true; /* it is work for a part of its own */
    if (mkto_spool_scrub(asking->desk->spool, &asking->after, &asking->err) != 0) {
        return -1;
    }
    if (asking->after == MKTO_SPOOL_SCRUB_DONE) {
        enter(asking, PHASE_DONE);
    }
    return 0;
}

static int step(struct asking *asking)
{
    switch (asking->phase) {
    case PHASE_EVENTS: return look_at_events(asking);
    case PHASE_DEAD: return in_transaction(asking, look_at_dead);
    case PHASE_KNOWN: return in_transaction(asking, look_at_known);
    case PHASE_SENT: return in_transaction(asking, look_at_sent);
    case PHASE_FILES: return clean_files(asking);
    default: asking->stop = true; return 0;
    }
}

/* What a part has found of one phase is removed before the next begins. */
static int work(struct asking *asking)
{
    const enum phase phase = asking->phase;
    while (!asking->stop && asking->phase == phase) {
        if (step(asking) != 0) {
            return -1;
        }
        if (mkto_desk_late(asking->desk, asking->deadline)) {
            break;
        }
    }
    return remove_events(asking);
}

static struct mkto_slice tell(const struct asking *asking)
{
    struct mkto_note answer = mkto_note_object(asking->pool);
    mkto_note_number(&answer, "events", asking->events);
    mkto_note_number(&answer, "tried", asking->tried);
    mkto_note_number(&answer, "dead", asking->dead);
    mkto_note_number(&answer, "known", asking->known);
    mkto_note_number(&answer, "sent", asking->sent);
    mkto_note_number(&answer, "busy", asking->busy);
    mkto_note_number(&answer, "passed", asking->passed);
    mkto_note_text(&answer, "phase", phase_names[asking->phase]);
    mkto_note_number(&answer, "after", asking->after);
    mkto_note_number(&answer, "until", asking->until);
    mkto_note_bool(&answer, "more", asking->phase != PHASE_DONE);
    return mkto_note_json(&answer);
}

static int refuse_unstored(struct asking *asking, size_t unstored)
{
    return unstored == 0 || !asking->apply
               ? 0
               : mkto_error_set(&asking->err,
                                "%zu events wait in memory for the disk, and cannot be searched: "
                                "ask again when the spool works",
                                unstored);
}

struct mkto_slice mkto_forget_answer(const struct mkto_desk *desk, size_t unstored,
                                     struct mkto_slice args, apr_pool_t *pool)
{
    struct asking asking = {.desk = desk, .err = MKTO_ERROR_INIT, .pool = pool};
    asking.gone = apr_pcalloc(pool, MKTO_DESK_CHANGES_MAX * sizeof(*asking.gone));
    apr_pool_create(&asking.rows, pool);
    const bool fine = read_question(args, &asking) == 0 &&
                      refuse_unstored(&asking, unstored) == 0 && work(&asking) == 0;
    apr_pool_destroy(asking.rows);
    return fine ? tell(&asking) : mkto_desk_fail(&asking.err, pool);
}
