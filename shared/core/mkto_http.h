/*
 * mkto_http: a request to Marketo as data, and the answer to it. The writers in soap, rest and
 * munchkin make requests; the courier's transport sends them; `marketo map --wire` prints them.
 */
#ifndef MKTO_HTTP_H
#define MKTO_HTTP_H

#include <apr_pools.h>

#include "mkto_slice.h"

#define MKTO_HTTP_ANSWER_MAX                                                                       \
    (4u                                                                                            \
     << 20) /* bytes of an answer that are read; more ends the call as MKTO_TRANSPORT_TOO_LARGE */

struct mkto_http_header {
    const char *name;
    const char *value;
};

struct mkto_http_request {
    const char *method; /* "POST" */
    const char *url;
    const struct mkto_http_header
        *headers; /* without Host, Content-Length, Connection: the transport's */
    size_t header_count;
    struct mkto_slice body; /* absent: no body, Content-Length 0 with POST */
};

enum mkto_transport_result {
    MKTO_TRANSPORT_OK = 0,    /* there is an HTTP status */
    MKTO_TRANSPORT_REFUSED,   /* name or connection: nothing was sent */
    MKTO_TRANSPORT_TLS,       /* certificate or handshake: nothing was sent */
    MKTO_TRANSPORT_TIMEOUT,   /* no answer in time: it may have happened */
    MKTO_TRANSPORT_BROKEN,    /* the connection broke off: it may have happened */
    MKTO_TRANSPORT_TOO_LARGE, /* answer over MKTO_HTTP_ANSWER_MAX */
    MKTO_TRANSPORT_COUNT
};

struct mkto_http_answer {
    enum mkto_transport_result result;
    int status; /* HTTP status, with OK */
    struct mkto_slice body;
    int64_t date_ms;        /* of the Date header; -1 if none */
    int64_t retry_after_ms; /* of Retry-After in seconds or as a date; -1 if none */
    const char *detail;     /* what the transport said when result is not OK; no secrets */
    int64_t took_ms;
};

/* The request as HTTP/1.1 text, as it would go over the wire. */
const char *mkto_http_text(const struct mkto_http_request *request, apr_pool_t *pool);

#endif
