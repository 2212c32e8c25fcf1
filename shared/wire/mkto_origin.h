/*
 * mkto_origin: which site's page sent a request, as far as a browser tells (Fetch Metadata,
 * Origin). Only browsers are bound by it: whoever writes the headers himself can claim anything.
 */
#ifndef MKTO_ORIGIN_H
#define MKTO_ORIGIN_H

#include "mkto_request.h"

#define MKTO_ORIGIN_MAX 300 /* bytes of one marketo_allow_origin */
#define MKTO_ORIGINS_MAX 64 /* values of marketo_allow_origin in one place */

enum mkto_site {
    MKTO_SITE_UNKNOWN = 0, /* neither Origin nor Sec-Fetch-Site: a server, a tool, an old browser */
    MKTO_SITE_OWN,         /* a page of this very host, or the visitor himself */
    MKTO_SITE_ALLOWED,     /* a page of a host of marketo_allow_origin */
    MKTO_SITE_FOREIGN      /* a page of any other */
};

/*
 * Sec-Fetch-Site: same-origin and none are OWN. Else an Origin that stands in `allowed` (values
 * that mkto_origin_read took) is ALLOWED. Then same-site and cross-site are FOREIGN, with an Origin
 * or without (an <img>). Without that header, or with a value that nobody knows yet, Origin is
 * compared with the Host, host and port only, for the scheme that the visitor sees may end at a
 * proxy; the default ports 80 and 443 count as no port. `Origin: null` is foreign.
 */
enum mkto_site mkto_origin_judge(const struct mkto_request *request,
                                 const struct mkto_slice *allowed, size_t count);

/*
 * Checks a value of marketo_allow_origin: "https://app.example.com", "http://localhost:3000", or
 * "app.example.com" for https. Exact hosts, no wildcard, no path. Writes the origin in the form
 * that browsers send (lower case, default port left out) with its NUL to out (MKTO_ORIGIN_MAX + 1
 * bytes). A name's final dot is dropped. Returns NULL, or what is wrong as a predicate:
 * "must be an origin like https://app.example.com".
 */
const char *mkto_origin_read(struct mkto_slice value, char *out);

#endif
