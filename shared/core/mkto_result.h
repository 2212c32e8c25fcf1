/*
 * mkto_result: what Marketo said about one record or one call, in a form that all three APIs share.
 * Readers fill it; mkto_verdict decides on it.
 */
#ifndef MKTO_RESULT_H
#define MKTO_RESULT_H

#include <apr_pools.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MKTO_RESULT_TEXT_MAX 8192 /* bytes of a text from Marketo; a longer one is cut */

struct mkto_result {
    bool ok;            /* created, updated, or another word that is not a failure */
    int64_t lead_id;    /* 0 when not told */
    int code;           /* Marketo's code; 0 when there is none */
    const char *status; /* "created", "updated", "skipped", "FAILED" … or NULL */
    const char *text;   /* message, or NULL; in the pool */
};

/* Answer to a whole call. */
struct mkto_call_result {
    bool understood; /* false: not this API's format at all (HTML, empty, cut): see HTTP status */
    struct mkto_result
        call; /* errors of the call as a whole: fault, errors[0]; ok when there are none */
    struct mkto_result *records; /* per record, in request order; when call.ok */
    size_t record_count;
    const char *token;    /* REST token call: access_token; NULL unless it is printable ASCII */
    int64_t token_for_ms; /* REST token call: expires_in */
};

/*
 * Text of Marketo's as it may go into a log or a dead letter: at most MKTO_RESULT_TEXT_MAX bytes,
 * cut at a whole character, control characters as blanks, bytes that are no UTF-8 as '?'. NULL when
 * it is empty.
 */
const char *mkto_result_text(const char *data, size_t len, apr_pool_t *pool);

#endif
