/*
 * mkto_inquiry: a question to the courier over its socket (mkto_frame: HELLO as a tool, ASK, TELL
 * until the last). Blocking, with a limit on each wait.
 */
#ifndef MKTO_INQUIRY_H
#define MKTO_INQUIRY_H

#include <apr_pools.h>
#include <stdbool.h>

#include "mkto_config.h"
#include "mkto_frame.h"

#define MKTO_INQUIRY_WAIT_MS 5000 /* for the welcome, and for each part of an answer */

struct mkto_inquiry;

enum mkto_inquiry_found {
    MKTO_INQUIRY_OPEN = 0,
    MKTO_INQUIRY_NOBODY,  /* no socket, or nobody behind it */
    MKTO_INQUIRY_REFUSED, /* somebody is there and does not answer us; err says why */
};

/* Connects to the socket at path and greets. The connection is closed with the pool. */
enum mkto_inquiry_found mkto_inquiry_open(const char *path, const struct mkto_config *config,
                                          struct mkto_inquiry **inquiry, struct mkto_error *err,
                                          apr_pool_t *pool);

/* Who answered. */
const struct mkto_welcome *mkto_inquiry_welcome(const struct mkto_inquiry *inquiry);

/* What is called with each part of the answer; false ends the asking. */
typedef bool mkto_inquiry_tell(void *ctx, struct mkto_slice json, bool last);

/*
 * Asks; args is a JSON object or absent. wait_ms limits the wait for each part, -1: for ever
 * (tail). Returns 0 after the last part or when tell returned false, or -1 with the reason.
 */
int mkto_inquiry_ask(struct mkto_inquiry *inquiry, const char *what, struct mkto_slice args,
                     int wait_ms, mkto_inquiry_tell *tell, void *ctx, struct mkto_error *err);

#endif
