/*
 * mkto_route: the paths below the tracking location, and what may be asked of them (DESIGN section
 * 4; contract segment-api-and-mapping section 4).
 *
 * Both servers call mkto_route_check with what stands in the request line and headers, before they
 * read a body, and know then whether to read it or what to answer.
 */
#ifndef MKTO_ROUTE_H
#define MKTO_ROUTE_H

#include "mkto_answer.h"
#include "mkto_slice.h"

#define MKTO_BODY_DEFAULT                                                                          \
    512000 /* bytes: 500 KB, the Segment limit of one batch; default of marketo_max_body */
#define MKTO_BODY_MAX                                                                              \
    1048576 /* bytes: the largest marketo_max_body; a frame always has room for it */

enum mkto_call {
    MKTO_CALL_NONE = 0,
    MKTO_CALL_IDENTIFY,
    MKTO_CALL_TRACK,
    MKTO_CALL_PAGE,
    MKTO_CALL_SCREEN,
    MKTO_CALL_GROUP,
    MKTO_CALL_ALIAS,
    MKTO_CALL_BATCH, /* over the socket only: the courier spools its items one by one */
    MKTO_CALL_COUNT
};

struct mkto_route_request {
    struct mkto_slice
        path; /* what follows the location's prefix: "v1/identify" or "/v1/identify" */
    struct mkto_slice method;           /* "POST" */
    struct mkto_slice content_type;     /* absent is allowed: then it counts as application/json */
    struct mkto_slice content_encoding; /* absent, empty or "identity"; others are refused */
    long long content_length;           /* -1 when unknown (chunked, HTTP/2) */
    long long max_body;                 /* bytes: the location's marketo_max_body */
};

struct mkto_route_result {
    enum mkto_call call; /* set when answer is MKTO_ANSWER_STORED, which here means "go on and read
                            the body" */
    enum mkto_answer answer; /* otherwise what to answer at once: NOT_FOUND, BAD_METHOD,
                                BAD_MEDIA_TYPE, TOO_LARGE */
    const char *allow;       /* value of Allow with BAD_METHOD, else NULL. Static. */
};

/* application/json and text/plain, with any parameters, in any case, are taken; a charset other
 * than utf-8, or a compressed body, is not. */
struct mkto_route_result mkto_route_check(const struct mkto_route_request *request);

/* "identify", "track" …; "none" for values out of range. The word of the Segment spec, also its
 * `type` in a batch. */
const char *mkto_call_name(enum mkto_call call);

/* The call of a spec word ("identify"), or MKTO_CALL_NONE. */
enum mkto_call mkto_call_find(struct mkto_slice name);

#endif
