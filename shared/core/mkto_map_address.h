/*
 * mkto_map_address: a page's address taken apart as a browser's location is. For mkto_map*.c only.
 *
 * The parts point into the text that was taken apart: nothing is copied before somebody wants it.
 */
#ifndef MKTO_MAP_ADDRESS_H
#define MKTO_MAP_ADDRESS_H

#include <apr_pools.h>
#include <stdbool.h>

#include "mkto_lead.h"
#include "mkto_slice.h"

#define MKTO_MAP_PORT_OWN (-1) /* the scheme's own */

struct mkto_map_address {
    const char *scheme;      /* "https:" or "http:" */
    struct mkto_slice host;  /* as written, no port; "[::1]" with its brackets; absent: none */
    int port;                /* or MKTO_MAP_PORT_OWN */
    struct mkto_slice path;  /* a '/' that it does not begin with is meant all the same */
    struct mkto_slice query; /* without '?' */
    struct mkto_slice hash;  /* with '#', or empty */
};

/*
 * Takes an http or https URL apart. Without a scheme it is taken as seen from base, which may be
 * NULL. false: nothing that a browser shows a page of (another scheme, no host), or relative and no
 * base.
 */
bool mkto_map_address_parse(struct mkto_slice url, const struct mkto_map_address *base,
                            struct mkto_map_address *address);

/* The root page of a host ("www.example.com:8443"). */
bool mkto_map_address_root(const char *scheme, struct mkto_slice host,
                           struct mkto_map_address *address);

/* Copies the parts into a visit: the host in lower case, the port "" when it is the scheme's own.
 */
void mkto_map_address_write(const struct mkto_map_address *address, struct mkto_visit *visit,
                            apr_pool_t *pool);

#endif
