/*
 * mkto_forget: removes a person from this host: the answer to "forget".
 *
 *   {"email":"ada@example.com","apply":true,"pass":false, "phase":"events","after":0,"until":…}
 *      -> {"events":2,"tried":1,"dead":1,"known":3,"sent":1,"busy":0,"passed":0,
 *          "phase":"known","after":…,"until":…,"more":true}
 *
 * Without apply it only counts. What is the person's:
 *   events   waiting ones that name the address anywhere (mkto_person): those of its lead's lane,
 *            and visits and others with the address in them; "tried" of them have a retry row.
 *            Other visits of the same cookie have no name in them, and stay
 *   dead     dead letters, by the same rule, or by the hash of the lead
 *   known    which cookies are associated with the lead; sent: what it was last told. Both are kept
 *            under hashes, for each subscription of the config
 * The phases are events, dead, known, sent, files, done; "phase" and "after" of an answer go into
 * the next question. The phase files, when something is applied, leaves no byte of what was removed
 * in the files (mkto_spool_scrub).
 *
 * An event whose lead is in a call now is waited for: the answer says "busy" and comes no further,
 * until it is asked with "pass", which leaves such events out and counts them. Events that were
 * answered before they are on disk (ack memory, and the disk fails) cannot be searched: the
 * question is refused while there are any.
 */
#ifndef MKTO_FORGET_H
#define MKTO_FORGET_H

#include "mkto_desk.h"

/* unstored: how many events wait in memory for the disk. */
struct mkto_slice mkto_forget_answer(const struct mkto_desk *desk, size_t unstored,
                                     struct mkto_slice args, apr_pool_t *pool);

#endif
