/*
 * mkto_desk: where questions of tools about what is in the spool are worked on (`marketo dead`,
 * `marketo forget`): by the courier between two turns, or by the tool itself when no courier runs.
 *
 * Both sides speak JSON objects. A question that would take long is answered in parts: each part
 * looks at rows for MKTO_DESK_MS at most and says in "after" how far it came and in "more" whether
 * there is more; the tool asks again with that "after". "until" is the newest id when the first
 * part was asked for: what comes later is not looked at, or a replay that fails again would never
 * end. An answer with "error" has no other member that counts.
 */
#ifndef MKTO_DESK_H
#define MKTO_DESK_H

#include "mkto_clock.h"
#include "mkto_config.h"
#include "mkto_dispatch.h"
#include "mkto_note.h"
#include "mkto_spool.h"

#define MKTO_DESK_MS 2    /* that one part takes, about; at least MKTO_DESK_ROWS are looked at */
#define MKTO_DESK_ROWS 32 /* rows that are read at a time */
#define MKTO_DESK_CHANGES_MAX 256 /* rows that one part changes: one transaction */

struct mkto_desk {
    const struct mkto_config *config;
    struct mkto_spool *spool;       /* not in a transaction */
    struct mkto_dispatch *dispatch; /* NULL: nobody delivers meanwhile */
    const struct mkto_clock *clock;
};

/* The question's object. Returns 0, or -1 with the reason. */
int mkto_desk_read(struct mkto_slice args, const struct mkto_json **question,
                   struct mkto_error *err, apr_pool_t *pool);

/* Members of a question: NULL or the fallback when it is not there, or of another type. */
const char *mkto_desk_text(const struct mkto_json *question, const char *key);
int64_t mkto_desk_number(const struct mkto_json *question, const char *key, int64_t fallback);
bool mkto_desk_flag(const struct mkto_json *question, const char *key);

/* {"success":false,"error":"…"} */
struct mkto_slice mkto_desk_fail(const struct mkto_error *err, apr_pool_t *pool);

/* Monotonic ms at which a part that begins now ends. */
uint64_t mkto_desk_deadline(const struct mkto_desk *desk);
bool mkto_desk_late(const struct mkto_desk *desk, uint64_t deadline);

/* "1a2b3c4d": as a lead is named in logs and lines; NULL for 0. */
const char *mkto_desk_lead(uint64_t lead, apr_pool_t *pool);

#endif
