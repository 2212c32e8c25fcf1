/*
 * mkto_map_identity: whose event it is (DESIGN section 5). For mkto_map*.c only.
 */
#ifndef MKTO_MAP_IDENTITY_H
#define MKTO_MAP_IDENTITY_H

#include "mkto_config.h"
#include "mkto_event.h"

struct mkto_map_identity {
    const char *cookie; /* formatted; NULL when there is no id at all to make one from */
    const char *token;  /* its token */
    bool made;          /* from an id: no browser has it */
};

/* The visitor's own cookie, else one made from userId, else from anonymousId or sessionId. */
void mkto_map_identity_read(const struct mkto_event *event,
                            const struct mkto_subscription *subscription,
                            struct mkto_map_identity *identity, apr_pool_t *pool);

#endif
