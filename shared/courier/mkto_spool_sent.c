/*
 * What a lead was last told, and when. Most leads were told nothing for a while, and to hear that
 * from SQLite costs more than all else that a new lead in a backlog takes; so marks in memory say
 * who may have been: one for every lead whose hash ends alike.
 */
#include "mkto_spool_db.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MARKS 32768 /* a power of two; 256 KiB */
#define STATE "sent/newest"

static int64_t *mark_of(const struct mkto_spool *spool, uint64_t lead)
{
    return &spool->sent.marks[lead & (MARKS - 1)];
}

/* What another version left in the file says nothing of the newest: it may be of just now. */
void mkto_spool_sent_open(struct mkto_spool *spool, int64_t now_ms)
{
    struct mkto_spool_sent *sent = &spool->sent;
    const char *text = mkto_spool_state_get(spool, STATE, spool->pool);

    sent->marks = calloc(MARKS, sizeof(*sent->marks));
    if (text == NULL || sscanf(text, "%" SCNd64, &sent->saved) != 1) {
        sent->saved = 0;
        sent->newest = mkto_spool_number(spool, MKTO_STMT_SENT_ANY, 1) == 0 ? 0 : now_ms;
        sent->before = sent->newest;
    } else {
        sent->newest = sent->saved < now_ms ? sent->saved : now_ms; /* a clock that was set back */
        sent->before = sent->saved; /* or is not right yet: it costs questions */
    }
}

void mkto_spool_sent_close(struct mkto_spool *spool)
{
    free(spool->sent.marks);
    spool->sent.marks = NULL;
}

int mkto_spool_sent_save(struct mkto_spool *spool, struct mkto_error *err)
{
    char text[24];

    if (spool->sent.newest == spool->sent.saved) {
        return 0;
    }
    (void)snprintf(text, sizeof(text), "%" PRId64, spool->sent.newest);
    return mkto_spool_state_put(spool, STATE, text, err);
}

static void later(int64_t *at_ms, int64_t than_ms)
{
    *at_ms = *at_ms > than_ms ? *at_ms : than_ms;
}

int mkto_spool_sent_put(struct mkto_spool *spool, uint64_t lead, uint64_t digest, int64_t at_ms,
                        struct mkto_error *err)
{
    sqlite3_stmt *statement = spool->statements[MKTO_STMT_SENT_PUT];
    if (mkto_spool_writing(spool, err) != 0) {
        return -1;
    }
    if (spool->sent.marks != NULL) {
        later(mark_of(spool, lead), at_ms);
    }
    later(&spool->sent.newest, at_ms);
    sqlite3_bind_int64(statement, 1, (int64_t)lead);
    sqlite3_bind_int64(statement, 2, (int64_t)digest);
    sqlite3_bind_int64(statement, 3, at_ms);
    return mkto_spool_run(spool, MKTO_STMT_SENT_PUT, "sent", err);
}

bool mkto_spool_sent_get(struct mkto_spool *spool, uint64_t lead, uint64_t *digest, int64_t *at_ms)
{
    sqlite3_stmt *statement = spool->statements[MKTO_STMT_SENT_GET];
    bool found = false;
    sqlite3_bind_int64(statement, 1, (int64_t)lead);
    if (sqlite3_step(statement) == SQLITE_ROW) {
        *digest = (uint64_t)sqlite3_column_int64(statement, 0);
        *at_ms = sqlite3_column_int64(statement, 1);
        found = true;
    }
    sqlite3_reset(statement);
    return found;
}

/* Of rows that were there at open only the newest one's time is known. When all are of another
 * time, no mark is looked at either. */
static bool may_be_since(const struct mkto_spool *spool, uint64_t lead, int64_t since_ms)
{
    const struct mkto_spool_sent *sent = &spool->sent;

    if (sent->before >= since_ms) {
        return true;
    }
    return sent->newest >= since_ms && (sent->marks == NULL || *mark_of(spool, lead) >= since_ms);
}

bool mkto_spool_sent_since(struct mkto_spool *spool, uint64_t lead, int64_t since_ms,
                           int64_t *at_ms)
{
    uint64_t digest;

    return may_be_since(spool, lead, since_ms) &&
           mkto_spool_sent_get(spool, lead, &digest, at_ms) && *at_ms >= since_ms;
}
