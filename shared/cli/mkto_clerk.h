/*
 * mkto_clerk: has questions about the spool answered (mkto_desk): by the courier over its socket,
 * or, when none runs, here: then it takes the spool's lock and works on the file itself. It never
 * makes a spool.
 */
#ifndef MKTO_CLERK_H
#define MKTO_CLERK_H

#include "mkto_command.h"
#include "mkto_inquiry.h"
#include "mkto_note.h"
#include "mkto_spool.h"

struct mkto_clerk {
    const struct mkto_command *self;
    const struct mkto_config *config;
    struct mkto_inquiry *inquiry; /* the courier; NULL: none runs */
    struct mkto_spool *spool;     /* without a courier */
    apr_pool_t *pool;
};

/* socket NULL: the config's. Returns 0, or -1 when it has been said why there is no answer. */
int mkto_clerk_open(struct mkto_clerk *clerk, const struct mkto_command *self,
                    const struct mkto_config *config, const char *socket, apr_pool_t *pool);

/* Gives the lock back. */
void mkto_clerk_close(struct mkto_clerk *clerk);

/* The answer, in the pool; NULL with the reason in err. */
const struct mkto_json *mkto_clerk_ask(struct mkto_clerk *clerk, const char *what,
                                       const struct mkto_note *question, struct mkto_error *err,
                                       apr_pool_t *pool);

#endif
