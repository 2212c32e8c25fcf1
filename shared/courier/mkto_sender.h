/*
 * mkto_sender: who sent an event, in a word: the name of the [sources] row whose write key came
 * with it, else "browser" or "server" (a call without Origin and Sec-Fetch-Site).
 */
#ifndef MKTO_SENDER_H
#define MKTO_SENDER_H

#include <apr_pools.h>

#include "mkto_envelope.h"

const char *mkto_sender_word(const struct mkto_envelope *envelope, apr_pool_t *pool);

#endif
