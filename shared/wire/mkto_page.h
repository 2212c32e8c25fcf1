/*
 * mkto_page: page views without JavaScript: which responses are one, and the event that it makes.
 */
#ifndef MKTO_PAGE_H
#define MKTO_PAGE_H

#include "mkto_skip.h"
#include "mkto_request.h"

/* Bytes of a page event's body at most. What is longer loses, one by one until it fits: the query
 * of the referrer, the page's own, the referrer. A path that is still too long is not recorded. */
#define MKTO_PAGE_BODY_MAX 16384

/* What the server is about to log. */
struct mkto_page_response {
    int status;
    struct mkto_slice content_type; /* with parameters; absent for none */
    struct mkto_slice mapped_type;  /* what the server maps the extension of the path to, for a 304
                                       without a type of its own; absent for none */
};

/*
 * Whether a person has been shown a page: a GET of the visitor's own (the caller passes no
 * subrequest), answered 200 with text/html or application/xhtml+xml, or 304 to somebody who asked
 * for a document (Sec-Fetch-Dest, else Accept), unless its type, or the one its path is mapped to,
 * is another (an image in a tab of its own); types of programs, text/x-… and application/x-…, say
 * nothing of what they answer with; fetched neither by script (Sec-Fetch-Dest other
 * than document, but for what a service worker makes of a navigation; without it, an Accept without
 * text/html; X-Requested-With, but for the app's name that an Android web view puts there) nor
 * ahead of time (Sec-Purpose, Purpose, X-Purpose, X-Moz). false: not a page view at all, *skip is
 * NONE, or PREFETCH for one that is kept out and counted.
 */
bool mkto_page_judge(const struct mkto_request *request, const struct mkto_page_response *response,
                     enum mkto_skip *skip);

/*
 * Then: who has seen it. BOT, else what mkto_privacy_judge has said, else NO_VISITOR, or NONE. A
 * request that privacy lets through must be settled.
 */
enum mkto_skip mkto_page_visitor(const struct mkto_request *request, enum mkto_skip privacy);

/* text/html and application/xhtml+xml, with any parameters. */
bool mkto_page_is_document(struct mkto_slice content_type);

/*
 * Whether a user agent is a program. Munchkin's own rule (contract munchkin-and-rest A3: AdsBot,
 * Wget, msnbot; Mozilla with slurp or bot), and the words of a list in mkto_page.c, which README
 * prints; an absent or empty one is a program.
 */
bool mkto_page_is_bot(struct mkto_slice user_agent);

/*
 * Writes the JSON body of the page event: {"properties":{"url":"https://host/path?query",
 * "referrer":"…"}}, without NUL. Bytes that may not stand in a URL are percent-encoded, so that it
 * is ASCII whatever came. Without fragments. Returns the length, or 0 when it does not fit size or
 * MKTO_PAGE_BODY_MAX bytes, or Host is no clean host (mkto_host_is_clean).
 */
size_t mkto_page_body(const struct mkto_request *request, char *out, size_t size);

/* Cuts of a path and a referrer what mkto_page_body would leave out anyway, since it grows none
 * shorter; together they have at most MKTO_PAGE_BODY_MAX bytes then. false: nothing would do. */
bool mkto_page_fit(struct mkto_slice *uri, struct mkto_slice *referrer);

#endif
