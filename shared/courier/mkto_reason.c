#include "mkto_reason.h"

#include <string.h>

/* Several subscriptions may have letters for the same reason: the first row takes them all. */
static int add_up(struct mkto_spool_reason *rows, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++) {
        int at = 0;
        while (at < kept && strcmp(rows[at].reason, rows[i].reason) != 0) {
            at++;
        }
        if (at < kept) {
            rows[at].letters += rows[i].letters;
        } else {
            rows[kept++] = rows[i];
        }
    }
    return kept;
}

struct mkto_note mkto_reason_note(struct mkto_spool *spool, const char *subscription,
                                  apr_pool_t *pool)
{
    struct mkto_note note = mkto_note_object(pool);
    struct mkto_spool_reason rows[MKTO_REASON_MAX];
    const int count =
        mkto_spool_dead_reasons(spool, subscription, MKTO_REASON_MAX, rows, NULL, pool);
    const int reasons = add_up(rows, count);
    for (int i = 0; i < reasons; i++) {
        mkto_note_number(&note, rows[i].reason, rows[i].letters);
    }
    return note;
}
