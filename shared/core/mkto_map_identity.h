/*
 * mkto_map_identity: whose event it is (DESIGN section 5). For mkto_map*.c only.
 */
#ifndef MKTO_MAP_IDENTITY_H
#define MKTO_MAP_IDENTITY_H

#include "mkto_config.h"
#include "mkto_event.h"

struct mkto_map_identity {
    bool found;             /* false: there is no id at all to make a cookie from */
    bool made;              /* from an id: no browser has it */
    struct mkto_slice from; /* that id */
    struct mkto_cookie own; /* the visitor's, unless one is made */
};

/* The visitor's own cookie, else one made from userId, else from anonymousId or sessionId. Copies
 * nothing; `found` holds for the two below. */
void mkto_map_identity_find(const struct mkto_event *event,
                            const struct mkto_subscription *subscription,
                            struct mkto_map_identity *identity);

/* Its token, and the cookie as it is written. */
const char *mkto_map_identity_token(const struct mkto_map_identity *identity,
                                    const struct mkto_subscription *subscription, apr_pool_t *pool);
const char *mkto_map_identity_cookie(const struct mkto_map_identity *identity,
                                     const struct mkto_subscription *subscription,
                                     apr_pool_t *pool);

#endif
