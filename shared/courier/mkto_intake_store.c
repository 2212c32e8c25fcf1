/*
 * The turn's transaction: begun by its first event, ended by the courier's loop.
 */
#include "mkto_intake_state.h"

#include <apr_strings.h>

static void refuse_turn(struct mkto_intake *intake, const struct mkto_error *err)
{
    intake->turn.refused = true;
    if (mkto_intake_may_say(intake, &intake->full_said)) {
        intake->full_told = true;
        mkto_intake_log(intake, LOG_ERR, "MKTO0201 events are refused with 503: %s", err->text);
    }
}

/* What memory holds goes first: it was accepted first. */
static bool store_kept(struct mkto_intake *intake, struct mkto_error *err)
{
    for (const struct mkto_kept *kept = intake->kept; kept != NULL; kept = kept->next) {
        if (mkto_spool_append(intake->spool, kept->envelope, kept->hash, intake->wall,
                              &intake->turn.last_id, err) != 0) {
            return false;
        }
        intake->turn.stored++;
    }
    return true;
}

static bool open_turn(struct mkto_intake *intake)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_turn *turn = &intake->turn;
    if (turn->open || turn->refused) {
        return turn->open && !turn->refused;
    }
    if (!mkto_spool_room(intake->spool, &err) || mkto_spool_begin(intake->spool, &err) != 0) {
        refuse_turn(intake, &err);
        return false;
    }
    turn->open = true;
    if (!store_kept(intake, &err)) {
        refuse_turn(intake, &err);
        return false;
    }
    return true;
}

bool mkto_intake_early(const struct mkto_intake *intake)
{
    return intake->kept == NULL && !intake->turn.refused;
}

static void keep(struct mkto_intake *intake, struct mkto_slice envelope, uint64_t hash)
{
    struct mkto_kept *kept = apr_palloc(intake->turn_pool, sizeof(*kept));
    *kept = (struct mkto_kept){
        intake->turn.kept,
        hash,
        {apr_pmemdup(intake->turn_pool, envelope.data, envelope.len), envelope.len}};
    intake->turn.kept = kept;
}

enum mkto_stored mkto_intake_store(struct mkto_intake *intake, struct mkto_slice envelope,
                                   uint64_t hash, bool memory)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    if (mkto_spool_seen(intake->spool, hash)) {
        intake->counters.duplicates++;
        return MKTO_STORED_SEEN;
    }
    if (!open_turn(intake)) {
        return MKTO_STORED_NOT;
    }
    if (mkto_spool_seen(intake->spool, hash)) { /* one that waited in memory until now */
        intake->counters.duplicates++;
        return MKTO_STORED_SEEN;
    }
    if (mkto_spool_append(intake->spool, envelope, hash, intake->wall, &intake->turn.last_id,
                          &err) != 0) {
        refuse_turn(intake, &err);
        return MKTO_STORED_NOT;
    }
    intake->turn.stored++;
    intake->turn.bytes += envelope.len;
    if (memory) {
        keep(intake, envelope, hash);
    }
    return MKTO_STORED_NEW;
}

/* The turn has failed: its events that were answered already move to the list that commit tries
 * again. The turn's pool goes with them, so nothing is copied. */
static void keep_for_later(struct mkto_intake *intake)
{
    struct mkto_kept *kept = intake->turn.kept;
    if (kept == NULL) {
        return;
    }
    struct mkto_kept *oldest_first = NULL;
    while (kept != NULL) {
        struct mkto_kept *next = kept->next;
        kept->next = oldest_first;
        oldest_first = kept;
        kept = next;
        intake->kept_count++;
    }
    intake->kept = oldest_first;
    intake->kept_pool = intake->turn_pool;
    intake->turn_pool = mkto_intake_pool(intake->pool);
    mkto_intake_log(intake, LOG_ERR,
                    "MKTO0202 %zu events were answered before they were stored (ack memory) and "
                    "wait in memory for the spool",
                    intake->kept_count);
}

static void drop_kept(struct mkto_intake *intake)
{
    if (intake->kept == NULL) {
        return;
    }
    mkto_intake_log(intake, LOG_NOTICE, "MKTO0203 the %zu events that waited in memory are stored",
                    intake->kept_count);
    apr_pool_destroy(intake->kept_pool);
    intake->kept_pool = NULL;
    intake->kept = NULL;
    intake->kept_count = 0;
}

static bool commit(struct mkto_intake *intake, struct mkto_error *err)
{
    if (intake->turn.refused) {
        mkto_spool_rollback(intake->spool);
        return false;
    }
    return mkto_spool_commit(intake->spool, err) == 0;
}

/* With nothing new, the list is tried now and then. */
static void try_kept(struct mkto_intake *intake)
{
    if (intake->kept == NULL || intake->turn.open || intake->turn.refused ||
        intake->now < intake->kept_again) {
        return;
    }
    intake->kept_again = intake->now + MKTO_INTAKE_RETAINED_MS;
    open_turn(intake);
}

bool mkto_intake_store_commit(struct mkto_intake *intake)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_turn *turn = &intake->turn;
    try_kept(intake);
    if (!turn->open) {
        return !turn->refused;
    }
    if (!commit(intake, &err)) {
        if (!turn->refused) {
            refuse_turn(intake, &err);
        }
        intake->counters.failures++;
        keep_for_later(intake);
        return false;
    }
    drop_kept(intake);
    if (intake->full_told) {
        intake->full_told = false;
        mkto_intake_log(intake, LOG_NOTICE, "MKTO0204 the spool takes events again");
    }
    intake->last_id = turn->last_id;
    intake->counters.commits++;
    intake->counters.stored += turn->stored;
    mkto_tally_tick(&intake->minute, turn->stored, intake->now);
    return true;
}
