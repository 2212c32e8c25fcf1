/*
 * mkto_cookie_set: the _mkto_trk cookie from the server: refreshed (a cookie that Munchkin wrote by
 * script is capped at 7 days by some browsers; one from the server is not), or made.
 */
#ifndef MKTO_COOKIE_SET_H
#define MKTO_COOKIE_SET_H

#include "mkto_request.h"

#define MKTO_COOKIE_LIFE                                                                           \
    63072000                    /* seconds: 730 days, as Munchkin (contract munchkin-and-rest A1) */
#define MKTO_COOKIE_RANDOM 16   /* bytes that a made token takes: 32 hex digits */
#define MKTO_SET_COOKIE_MAX 768 /* bytes of a Set-Cookie value with its NUL */
#define MKTO_COOKIE_DOMAIN_MAX                                                                     \
    200 /* bytes of domain=; a token with it fits MKTO_COOKIE_TOKEN_MAX */

enum mkto_cookie_mode { MKTO_COOKIE_OFF = 0, MKTO_COOKIE_REFRESH, MKTO_COOKIE_MINT };

struct mkto_cookie_rule {
    enum mkto_cookie_mode mode;
    struct mkto_slice
        domain; /* domain=…, lower case, no leading dot; absent: as Munchkin picks it */
    bool http_only;
};

/* What the response looks like before the cookie. */
struct mkto_cookie_response {
    int status;
    bool ours;       /* an answer of the tracking location: never cached */
    bool has_cookie; /* mkto_cookie_is_ours: the application's own wins */
    bool expires;    /* it has an Expires header */
    struct mkto_slice content_type;
    struct mkto_slice
        cache_control; /* all Cache-Control headers, joined by commas; absent for none */
    struct mkto_slice
        cdn_control; /* likewise CDN-Cache-Control and Surrogate-Control, for CDNs alone */
};

/* Checks a value of domain=. Returns NULL, or what is wrong as a predicate. */
const char *mkto_cookie_domain_read(struct mkto_slice value, char *out /* DOMAIN_MAX + 1 */);

enum mkto_cookie_step {
    MKTO_COOKIE_LEAVE,       /* set no cookie here */
    MKTO_COOKIE_SET,         /* set it: no shared cache stores this response */
    MKTO_COOKIE_SET_PRIVATE, /* set it, and add `private` to Cache-Control, or a cache might */
    /* Only what mkto_cookie_opt_out says: it was asked for, but caches may store the response. So
     * MKTO_COOKIE_UNCACHED takes the place of all that it says to caches. */
    MKTO_COOKIE_SET_OPT_OUT,
};

#define MKTO_COOKIE_UNCACHED "private, no-cache"

/* Whether a Set-Cookie value is one of _mkto_trk or mkto_opt_out. */
bool mkto_cookie_is_ours(struct mkto_slice value);

/*
 * Whether this response may carry the cookie: only to a GET or an answer of ours, only a document
 * (text/html, application/xhtml+xml; ours: any type, but no error), not 1xx, 304 or 206, not when
 * has_cookie, not when the response says that caches may store it: public, s-maxage, max-age over 0
 * without private, Expires without Cache-Control. no-store outweighs all of them. A CDN goes by
 * cdn_control before Cache-Control, so that must not let it store either. marketo.js is public, so
 * it never carries one. SET_OPT_OUT where a request with marketo_opt_out gets a document that may
 * be stored, or 304.
 */
enum mkto_cookie_step mkto_cookie_may_set(const struct mkto_request *request,
                                          const struct mkto_cookie_rule *rule,
                                          const struct mkto_cookie_response *response);

/*
 * The visitor's cookie from now on: munchkin_id of the request and a token. REFRESH and MINT keep a
 * token that came and is of a known form, whatever id came with it, as Munchkin does; one of
 * another form is left alone, for Marketo owns it. MINT makes one of `random` (MKTO_COOKIE_RANDOM
 * bytes, unguessable) for who has none: "_mch-" DOMAIN "-" 32 hex digits, but for a host that is an
 * IPv6 address. false: there is none to
 * set, and cookie is all zero.
 */
bool mkto_cookie_keep(const struct mkto_request *request, const struct mkto_cookie_rule *rule,
                      const uint8_t *random, struct mkto_cookie *cookie);

/*
 * Writes a Set-Cookie value with its NUL: "_mkto_trk=id:…&token:…; Max-Age=63072000; Path=/;
 * Domain=…; SameSite=Lax[; Secure][; HttpOnly]". Domain: the token's own, else the rule's, else
 * mkto_cookie_domain(host): the first that is the host or a suffix of it, has a dot, and is not
 * shared by many sites ("co.uk"); none of them, or an IP address: no Domain. Returns the length, 0
 * when it does not fit.
 */
size_t mkto_cookie_set_format(const struct mkto_request *request,
                              const struct mkto_cookie_rule *rule, const struct mkto_cookie *cookie,
                              char *out, size_t size);

/*
 * The opt-out, as Munchkin does it: who has opted out (mkto_privacy_opted_out) gets
 * mkto_opt_out=id:true for 730 days, again and again, for browsers drop early what a script wrote;
 * his _mkto_trk is ended, when one came or the query has marketo_opt_out=true.
 * marketo_opt_out=false ends mkto_opt_out. Writes up to two Set-Cookie values; returns how many.
 */
int mkto_cookie_opt_out(const struct mkto_request *request, const struct mkto_cookie_rule *rule,
                        char out[2][MKTO_SET_COOKIE_MAX]);

#endif
