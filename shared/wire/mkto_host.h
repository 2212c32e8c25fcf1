/*
 * mkto_host: what stands in a Host header, and in the authority of an origin or a URL.
 *
 * Nothing here looks names up. Case does not count. All slices point into what was given.
 */
#ifndef MKTO_HOST_H
#define MKTO_HOST_H

#include "mkto_slice.h"

#define MKTO_HOST_MAX 255 /* bytes of a host without its port (RFC 1035); longer ones are none */

/* The host without its port, and without the dot of a fully qualified name; "[::1]" keeps its
 * brackets. */
struct mkto_slice mkto_host_name(struct mkto_slice host);

/* Behind the name: ":8080" is "8080"; absent for none. */
struct mkto_slice mkto_host_port(struct mkto_slice host);

/* An IPv4 address, or anything in brackets: it has no domains. */
bool mkto_host_is_address(struct mkto_slice name);

/*
 * What follows asks the Public Suffix List, as browsers do, in the state that libpsl was built
 * with.
 *
 * "uk", "co.uk", "github.io": a domain below which names are given to anybody.
 */
bool mkto_host_is_shared(struct mkto_slice domain);
/* Whether a browser takes a cookie of that domain from that host; neither has a port. */
bool mkto_host_may_set(struct mkto_slice host, struct mkto_slice domain);
/* "www.example.co.uk" -> "example.co.uk": the widest domain that is one owner's. Absent when there
 * is none, as in "localhost". */
struct mkto_slice mkto_host_site(struct mkto_slice name);

/* Whether domain is the host itself or a suffix of it that begins behind a dot. No port. */
bool mkto_host_covers(struct mkto_slice domain, struct mkto_slice name);

/*
 * Whether a host may go into JSON, a header or a URL: letters, digits, '-', '_', '.', or an IPv6
 * address in brackets, at most MKTO_HOST_MAX bytes of it; then a port of 1 to 65535 or none.
 */
bool mkto_host_is_clean(struct mkto_slice host);

/* The same name and port; 80, 443 and none count as the same port. */
bool mkto_host_same(struct mkto_slice a, struct mkto_slice b);

/* "www.example.com:8080" of "https://www.example.com:8080/path"; absent for what is no http or
 * https URL. */
struct mkto_slice mkto_host_of_url(struct mkto_slice url);

#endif
