/*
 * mkto_reason: the dead letters of the spool by reason, for the status: {"unknown_field":2, …}.
 */
#ifndef MKTO_REASON_H
#define MKTO_REASON_H

#include "mkto_note.h"
#include "mkto_spool.h"

#define MKTO_REASON_MAX 64 /* reasons that are told apart; the rarest are left out */

/* Of one subscription, or of all (NULL). */
struct mkto_note mkto_reason_note(struct mkto_spool *spool, const char *subscription,
                                  apr_pool_t *pool);

#endif
