/*
 * mkto_route: the paths below the tracking location, and what may be asked of them (DESIGN section
 * 4; contract segment-api-and-mapping section 4).
 *
 * Both servers call mkto_route_check with what stands in the request line and headers, before they
 * read a body, and know then whether to read it or what to answer.
 */
#ifndef MKTO_ROUTE_H
#define MKTO_ROUTE_H

#include <stdbool.h>

#include "mkto_answer.h"
#include "mkto_slice.h"

#define MKTO_BODY_DEFAULT                                                                          \
    512000 /* bytes: 500 KB, the Segment limit of one batch; default of marketo_max_body */
#define MKTO_BODY_MAX                                                                              \
    1048576 /* bytes: the largest marketo_max_body; a frame always has room for it */

#define MKTO_ROUTE_KEY_MAX 64 /* bytes of the write key in v1/projects/{key}/settings */

enum mkto_call {
    MKTO_CALL_NONE = 0,
    MKTO_CALL_IDENTIFY,
    MKTO_CALL_TRACK,
    MKTO_CALL_PAGE,
    MKTO_CALL_SCREEN,
    MKTO_CALL_GROUP,
    MKTO_CALL_ALIAS,
    MKTO_CALL_BATCH, /* over the socket only: the courier spools its items one by one */
    MKTO_CALL_HASH, /* over the socket only: {"email":"…"} in, the verdict's body is the answer */
    MKTO_CALL_STATUS, /* over the socket only: no body in, the verdict's body is the courier's
                         status */
    MKTO_CALL_COUNT
};

/* What a path below the tracking location is. */
enum mkto_endpoint {
    MKTO_ENDPOINT_NONE = 0,
    MKTO_ENDPOINT_CALL,  /* POST: read the body, hand it to the courier */
    MKTO_ENDPOINT_PIXEL, /* GET: the query is the body, with MKTO_ENVELOPE_PIXEL; answer the GIF */
    MKTO_ENDPOINT_HASH,  /* POST: as CALL, of the own site only, with X-Marketo-Hash */
    MKTO_ENDPOINT_METRICS,   /* POST: drop the body, answer 200 */
    MKTO_ENDPOINT_SETTINGS,  /* GET: mkto_reply_settings */
    MKTO_ENDPOINT_SCRIPT,    /* GET: mkto_reply_script */
    MKTO_ENDPOINT_PREFLIGHT, /* OPTIONS of any of them but HASH: mkto_reply_preflight */
};

struct mkto_route_request {
    struct mkto_slice
        path; /* what follows the location's prefix: "v1/identify" or "/v1/identify" */
    struct mkto_slice method;       /* "POST" */
    struct mkto_slice content_type; /* absent is allowed: then it counts as application/json */
    struct mkto_slice
        content_encoding;     /* absent, empty, identity, gzip or x-gzip; others are refused */
    long long content_length; /* -1 when unknown (chunked, HTTP/2) */
    long long max_body;       /* bytes: the location's marketo_max_body */
};

struct mkto_route_result {
    enum mkto_endpoint endpoint;
    enum mkto_call call;     /* of CALL, PIXEL and HASH */
    enum mkto_answer answer; /* MKTO_ANSWER_STORED: go on with the endpoint. Otherwise what to
                                answer at once: NOT_FOUND, BAD_METHOD, BAD_MEDIA_TYPE, TOO_LARGE */
    bool gzip;               /* the body is gzip: for the courier to inflate */
    const char *allow; /* methods of the path, with BAD_METHOD and PREFLIGHT, else NULL. Static */
    struct mkto_slice key; /* of SETTINGS: the write key in the path; letters, digits, '-', '_' */
};

/* application/json and text/plain, with any parameters, in any case, are taken; a charset other
 * than utf-8, several types, or a body compressed by anything but gzip, is not. HEAD goes where GET
 * goes. */
struct mkto_route_result mkto_route_check(const struct mkto_route_request *request);

/* "identify", "track" …; "none" for values out of range. The word of the Segment spec, also its
 * `type` in a batch. */
const char *mkto_call_name(enum mkto_call call);

/* The call of a spec word ("identify"), or MKTO_CALL_NONE. HASH and STATUS are no words of it. */
enum mkto_call mkto_call_find(struct mkto_slice name);

#endif
