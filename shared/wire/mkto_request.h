/*
 * mkto_request: one HTTP request as both servers show it to the rules in this folder: who may send
 * (mkto_origin), what is private (mkto_privacy), what is a page view (mkto_page), which cookie goes
 * back (mkto_cookie_set), what crosses the socket (mkto_envelope).
 *
 * A server begins with mkto_request_begin or zeroes, sets the members above `header`, calls
 * mkto_request_header once for each header that came, then mkto_request_settle; the last is the
 * courier's for a page view that the server only passes on (mkto_view). Slices point into the
 * server's own memory and must outlive the request.
 */
#ifndef MKTO_REQUEST_H
#define MKTO_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "mkto_cookie.h"
#include "mkto_envelope.h"
#include "mkto_slice.h"

#define MKTO_OPT_OUT_NAME "mkto_opt_out" /* Munchkin's cookie (contract munchkin-and-rest A1) */
#define MKTO_REQUEST_COOKIES_MAX 8       /* _mkto_trk cookies that are kept; of more, the best */

/* The headers that a rule looks at. A header that comes twice counts as its first, but for those of
 * mkto_header_asks: there the one that asks counts. Two Content-Type contradict each other, and
 * count as an empty one, which is no type; two Origin or Sec-Fetch-Site as "null", which is no
 * site. httpd joins the lines of a header, and so comes to the same. */
enum mkto_header {
    MKTO_HEADER_ACCEPT,
    MKTO_HEADER_ACCEPT_LANGUAGE,
    MKTO_HEADER_AUTHORIZATION,
    MKTO_HEADER_CONTENT_ENCODING,
    MKTO_HEADER_CONTENT_TYPE,
    MKTO_HEADER_COOKIE, /* only what it says of the visitor is kept, in other members */
    MKTO_HEADER_DNT,
    MKTO_HEADER_IF_NONE_MATCH,
    MKTO_HEADER_ORIGIN,
    MKTO_HEADER_PURPOSE,
    MKTO_HEADER_REFERER,
    MKTO_HEADER_SEC_FETCH_DEST,
    MKTO_HEADER_SEC_FETCH_MODE,
    MKTO_HEADER_SEC_FETCH_SITE,
    MKTO_HEADER_SEC_GPC,
    MKTO_HEADER_SEC_PURPOSE,
    MKTO_HEADER_USER_AGENT,
    MKTO_HEADER_X_MARKETO_HASH, /* the hash endpoint's: a page of another site cannot send it */
    MKTO_HEADER_X_MOZ,
    MKTO_HEADER_X_PURPOSE,
    MKTO_HEADER_X_REQUESTED_WITH,
    MKTO_HEADER_COUNT
};

struct mkto_request {
    struct mkto_slice method;      /* "GET" */
    struct mkto_slice uri;         /* path and query, as the client sent them */
    struct mkto_slice host;        /* Host header with its port, or what HTTP/2 says */
    struct mkto_slice remote_addr; /* as the web server resolved it: text form, no port; absent for
                                      a unix socket */
    struct mkto_slice munchkin_id; /* of the subscription: decides between several cookies */
    bool https;                    /* as mkto_request_is_https says */

    struct mkto_slice header[MKTO_HEADER_COUNT]; /* absent ones are MKTO_SLICE_NONE */
    bool opt_out;                                /* there is a mkto_opt_out with a value */
    size_t cookie_count;
    /* The values of _mkto_trk as they came, but for those over MKTO_COOKIE_RAW_MAX. When there are
     * too many, those go that mkto_request_settle would not choose. */
    struct mkto_slice cookies[MKTO_REQUEST_COOKIES_MAX];
    struct mkto_cookie_pick visitor; /* the best of them; mkto_request_settle finds it */
};

/* Nothing has come. Each page of a site costs this: of cookies and visitor it writes no more than
 * says that there are none. */
static inline void mkto_request_begin(struct mkto_request *request)
{
    memset(request, 0, offsetof(struct mkto_request, cookies));
    request->visitor.found = false;
    request->visitor.rank = 0;
    request->visitor.best.id[0] = '\0';
    request->visitor.best.token[0] = '\0';
}

/* The header's number, or MKTO_HEADER_COUNT for those that no rule looks at. Any case. */
enum mkto_header mkto_header_find(struct mkto_slice name);

/*
 * Whether a value of a header asks to leave the request out: one of its parts is 1 (DNT, Sec-GPC),
 * or prefetch, prerender, preview or instant in any case (Sec-Purpose, Purpose, X-Purpose, X-Moz).
 * Parts end at ',' or ';': a server may show several lines as one. Other headers ask nothing.
 */
bool mkto_header_asks(enum mkto_header header, struct mkto_slice value);

/* Takes one header: notes it, or what of it is ours when it is a Cookie. */
void mkto_request_header(struct mkto_request *request, struct mkto_slice name,
                         struct mkto_slice value);

/*
 * Whether the visitor's own connection is https. said: what marketo_scheme gives, "https" or "http"
 * in any case; anything else, as of a header that did not come, says nothing: then it is
 * `connection`, which is the server's own.
 */
bool mkto_request_is_https(struct mkto_slice said, bool connection);

/* All headers are there: reads the cookies, and finds the visitor. */
void mkto_request_settle(struct mkto_request *request);

/* From now on this is the visitor's cookie, whatever came: the answer brings it. Its value is
 * written to `text` (MKTO_COOKIE_MAX bytes, which must live as long as the request). */
void mkto_request_keep(struct mkto_request *request, const struct mkto_cookie *cookie, char *text);

/* What stands behind the first '?' of a URL; absent when there is no '?'. */
struct mkto_slice mkto_request_query(struct mkto_slice url);

/* The value of one parameter of a query, undecoded; absent when it is not there. */
struct mkto_slice mkto_request_parameter(struct mkto_slice query, const char *name);

/*
 * Fills an envelope's view of the request: flags HTTPS and BROWSER, address, host, headers, and the
 * visitor's cookie, which is written to `cookie` (MKTO_COOKIE_MAX bytes, must live as long as the
 * envelope). Call, received_ms, subscription, request_id, body, email and the other flags are the
 * caller's.
 */
void mkto_request_envelope(const struct mkto_request *request, struct mkto_envelope *envelope,
                           char *cookie);

#endif
