#include "mkto_answer.h"

#define RETRY_SOON 5   /* seconds: a restart or a spell of load is over by then */
#define RETRY_LATER 30 /* seconds: a full disk is not */

struct row {
    const char *name;
    int status;
    int retry_after;
    struct mkto_slice body;
};

/* clang-format off */
#define SUCCESS { "{\"success\":true}", sizeof("{\"success\":true}") - 1 }
#define FAILURE(text) \
    { "{\"success\":false,\"error\":\"" text "\"}", \
      sizeof("{\"success\":false,\"error\":\"" text "\"}") - 1 }

static const struct row table[MKTO_ANSWER_COUNT] = {
    [MKTO_ANSWER_STORED]         = {"stored", 200, 0, SUCCESS},
    [MKTO_ANSWER_FILTERED]       = {"filtered", 200, 0, SUCCESS},
    [MKTO_ANSWER_BAD_REQUEST]    = {"bad_request", 400, 0,
        FAILURE("the request is not a valid tracking call")},
    [MKTO_ANSWER_UNAUTHORIZED]   = {"unauthorized", 401, 0,
        FAILURE("a write key is needed; it is missing or not one of this server")},
    [MKTO_ANSWER_FORBIDDEN]      = {"forbidden", 403, 0,
        FAILURE("pages of this origin may not send events here")},
    [MKTO_ANSWER_NOT_FOUND]      = {"not_found", 404, 0,
        FAILURE("there is no such call; try v1/identify, v1/track, v1/page or v1/batch")},
    [MKTO_ANSWER_BAD_METHOD]     = {"bad_method", 405, 0,
        FAILURE("this call does not take that method; see the Allow header")},
    [MKTO_ANSWER_TOO_LARGE]      = {"too_large", 413, 0,
        FAILURE("the body is larger than this server takes; send smaller batches")},
    [MKTO_ANSWER_BAD_MEDIA_TYPE] = {"bad_media_type", 415, 0,
        FAILURE("send application/json or text/plain, in UTF-8, plain or as gzip")},
    [MKTO_ANSWER_RATE_LIMITED]   = {"rate_limited", 429, RETRY_SOON,
        FAILURE("too many events; send them again more slowly")},
    [MKTO_ANSWER_AWAY]           = {"away", 503, RETRY_SOON,
        FAILURE("the event could not be stored in time; send it again")},
    [MKTO_ANSWER_BUSY]           = {"busy", 503, RETRY_SOON,
        FAILURE("too many events are waiting to be stored; send it again")},
    [MKTO_ANSWER_FULL]           = {"full", 503, RETRY_LATER,
        FAILURE("there is no room to store the event; send it again later")},
    [MKTO_ANSWER_EXPIRED]        = {"expired", 503, RETRY_SOON,
        FAILURE("the event could not be stored in time; send it again")},
};
/* clang-format on */

static const struct row unknown = {"unknown", 500, 0, FAILURE("internal error")};

static const struct row *row_of(enum mkto_answer answer)
{
    const unsigned index = (unsigned)answer;
    return index < MKTO_ANSWER_COUNT ? &table[index] : &unknown;
}

int mkto_answer_status(enum mkto_answer answer)
{
    return row_of(answer)->status;
}

int mkto_answer_retry_after(enum mkto_answer answer)
{
    return row_of(answer)->retry_after;
}

const char *mkto_answer_name(enum mkto_answer answer)
{
    return row_of(answer)->name;
}

struct mkto_slice mkto_answer_body(enum mkto_answer answer)
{
    return row_of(answer)->body;
}
