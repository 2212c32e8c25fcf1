/*
 * mkto_reply: a whole HTTP answer: status, headers, body. Both servers write down what stands here
 * and add nothing of their own but Date, Server and framing, so they answer byte for byte alike.
 *
 * All slices point into static memory, into the reply itself (so it must not be moved or copied),
 * or into what the caller gave.
 */
#ifndef MKTO_REPLY_H
#define MKTO_REPLY_H

#include "mkto_answer.h"
#include "mkto_request.h"

#define MKTO_REPLY_HEADERS_MAX 10
#define MKTO_REPLY_MAX_AGE                                                                         \
    3600 /* seconds that marketo.js may be cached before it is asked for again */
#define MKTO_REPLY_PREFLIGHT_AGE 7200 /* seconds; more is cut by browsers */
#define MKTO_REPLY_SETTINGS_AGE 300   /* seconds that the settings may be cached */
#define MKTO_SETTINGS_MAX 2048        /* bytes of the settings document */

struct mkto_reply_header {
    const char *name;
    struct mkto_slice value;
};

struct mkto_reply {
    int status;
    struct mkto_slice content_type; /* absent: no body and no Content-Type */
    struct mkto_slice body;
    struct mkto_reply_header headers[MKTO_REPLY_HEADERS_MAX];
    size_t header_count;
    char number[24];              /* Retry-After */
    char text[MKTO_SETTINGS_MAX]; /* a body that is made here */
};

/* What an answer needs beside its code. Zeroed is fine. */
struct mkto_reply_more {
    int retry_after;          /* seconds; 0: the table's */
    const char *allow;        /* with BAD_METHOD */
    struct mkto_slice body;   /* empty: the table's */
    struct mkto_slice origin; /* Origin of a MKTO_SITE_ALLOWED request: CORS headers; else absent */
    bool varies;              /* marketo_allow_origin is set here: Vary: Origin */
};

/* The JSON answer of a tracking call. Cache-Control: no-store. To an allowed origin: CORS headers
 * with credentials, and Retry-After exposed, which analytics.js 2 reads. */
void mkto_reply_answer(struct mkto_reply *reply, enum mkto_answer answer,
                       const struct mkto_reply_more *more);

/* The 1x1 GIF, 200 whatever became of the event. Cache-Control: no-store. */
void mkto_reply_pixel(struct mkto_reply *reply);

/*
 * OPTIONS. From an allowed origin: 204 with the CORS headers of a preflight (methods, the headers
 * Authorization, Content-Type, X-Retry-Count, max age). From a foreign one: 403. Else, from the own
 * site or without Origin: 204 with Allow. `allow` is what mkto_route_check said.
 */
void mkto_reply_preflight(struct mkto_reply *reply, const char *allow,
                          const struct mkto_reply_more *more, bool foreign);

/* marketo.js: 200, or 304 when if_none_match has the etag, strong or weak, or is "*". etag: with
 * its quotes, NUL-terminated, outlives the reply. */
void mkto_reply_script(struct mkto_reply *reply, struct mkto_slice script, const char *etag,
                       struct mkto_slice if_none_match);

/*
 * What analytics.js 2 asks for before it starts: the Segment.io integration with this site's host
 * and path as apiHost, a plan that lets all events through (contract segment-api-and-mapping 4,
 * NEXT). prefix is the path of the tracking location, "/mkto/" or "/mkto"; what may not stand in a
 * URL is percent-encoded. key: mkto_route_check has checked it. The protocol is https when the
 * request came by it, or from a page that did (Origin, Referer): TLS may end at a proxy. A Host
 * header that is no clean host gives 400, so does a document over MKTO_SETTINGS_MAX. May be cached
 * for MKTO_REPLY_SETTINGS_AGE.
 */
void mkto_reply_settings(struct mkto_reply *reply, const struct mkto_request *request,
                         struct mkto_slice prefix, struct mkto_slice key,
                         const struct mkto_reply_more *more);

/* What is asked for where marketo_status stands. */
enum mkto_reply_part {
    MKTO_REPLY_PAGE,  /* the page, text/html */
    MKTO_REPLY_STYLE, /* ?css */
    MKTO_REPLY_CODE,  /* ?js */
    MKTO_REPLY_STATUS /* ?json, or Accept: application/json: MKTO_CALL_STATUS of the courier */
};

enum mkto_reply_part mkto_reply_part(const struct mkto_request *request);

/* 200 with a part of the status page, never stored, under a policy that allows these parts only. */
void mkto_reply_document(struct mkto_reply *reply, enum mkto_reply_part part,
                         struct mkto_slice text);

#endif
