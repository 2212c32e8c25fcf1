/*
 * mkto_answer: what the client of the tracking API sees. One table for both servers and the
 * courier.
 *
 * The courier sends an answer's code over the socket; the servers turn it into status, Retry-After
 * and body here, so that nginx and httpd answer byte for byte alike. Bodies are application/json
 * (DESIGN section 4).
 */
#ifndef MKTO_ANSWER_H
#define MKTO_ANSWER_H

#include "mkto_slice.h"

enum mkto_answer {
    MKTO_ANSWER_STORED = 0,     /* 200: durable at the acknowledgement level that was asked for */
    MKTO_ANSWER_FILTERED,       /* 200: not stored on purpose; counted with its reason */
    MKTO_ANSWER_BAD_REQUEST,    /* 400: names the field or the byte offset */
    MKTO_ANSWER_UNAUTHORIZED,   /* 401: write key missing or wrong */
    MKTO_ANSWER_FORBIDDEN,      /* 403: origin */
    MKTO_ANSWER_NOT_FOUND,      /* 404: no such path below the tracking location */
    MKTO_ANSWER_BAD_METHOD,     /* 405: with Allow */
    MKTO_ANSWER_TOO_LARGE,      /* 413 */
    MKTO_ANSWER_BAD_MEDIA_TYPE, /* 415 */
    MKTO_ANSWER_RATE_LIMITED,   /* 429, with Retry-After */
    MKTO_ANSWER_AWAY,           /* 503: the courier cannot be reached, or did not answer in time */
    MKTO_ANSWER_BUSY,           /* 503: too many requests wait for the courier already */
    MKTO_ANSWER_FULL,           /* 503: the spool or its disk is full, or failing */
    MKTO_ANSWER_EXPIRED, /* 503: the courier met the frame after its deadline, and did not store it
                          */
    MKTO_ANSWER_COUNT
};

/* HTTP status of an answer; 500 for a value out of range. */
int mkto_answer_status(enum mkto_answer answer);

/* Seconds for Retry-After, or 0 for "no such header". */
int mkto_answer_retry_after(enum mkto_answer answer);

/* Short stable word for logs, variables and counters: "stored", "filtered", "bad_request" … */
const char *mkto_answer_name(enum mkto_answer answer);

/* The body when the courier sent none: {"success":true} or {"success":false,"error":"…"}. Static
 * memory. */
struct mkto_slice mkto_answer_body(enum mkto_answer answer);

#endif
