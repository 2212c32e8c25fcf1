/*
 * mkto_map_address: a page's address taken apart as a browser's location is. For mkto_map*.c only.
 */
#ifndef MKTO_MAP_ADDRESS_H
#define MKTO_MAP_ADDRESS_H

#include <apr_pools.h>
#include <stdbool.h>

#include "mkto_slice.h"

struct mkto_map_address {
    const char *scheme; /* "https:" or "http:" */
    const char *host;   /* in lower case, no port; "[::1]" with its brackets */
    const char *port;   /* "" for the scheme's own */
    const char *path;   /* begins with '/' */
    const char *query;  /* without '?' */
    const char *hash;   /* with '#', or "" */
};

/*
 * Takes an http or https URL apart. Without a scheme it is taken as seen from base, which may be
 * NULL. false: nothing that a browser shows a page of (another scheme, no host), or relative and no
 * base.
 */
bool mkto_map_address_parse(struct mkto_slice url, const struct mkto_map_address *base,
                            struct mkto_map_address *address, apr_pool_t *pool);

/* The root page of a host ("www.example.com:8443"). */
bool mkto_map_address_root(const char *scheme, struct mkto_slice host,
                           struct mkto_map_address *address, apr_pool_t *pool);

#endif
