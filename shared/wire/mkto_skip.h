/*
 * mkto_skip: why a web server module kept something away from the courier. The module counts
 * (mkto_client_count), the courier adds up and shows the words in `marketo status`: what was left
 * out on purpose as filtered, a call that was refused as rejected, under its answer's word.
 */
#ifndef MKTO_SKIP_H
#define MKTO_SKIP_H

#include "mkto_answer.h"

/* Numbers stand on the wire: add at the end. */
enum mkto_skip {
    MKTO_SKIP_NONE = 0,
    MKTO_SKIP_CONSENT,    /* marketo_consent says no */
    MKTO_SKIP_OPT_OUT,    /* Munchkin's opt-out: cookie or parameter */
    MKTO_SKIP_GPC,        /* Sec-GPC, with respect = gpc */
    MKTO_SKIP_DNT,        /* DNT, with respect = dnt */
    MKTO_SKIP_BOT,        /* the user agent is no person */
    MKTO_SKIP_PREFETCH,   /* prefetch, prerender, preview: nobody has looked yet */
    MKTO_SKIP_NO_VISITOR, /* a page view of somebody without cookie (marketo_cookie mint gives
                               one) */
    MKTO_SKIP_NOT_STORED, /* a page view for which there was no courier, no room, or no time */
    MKTO_SKIP_ORIGIN,     /* a pixel of another site's page */
    MKTO_SKIP_MEDIA_TYPE, /* a call that was answered 415 */
    MKTO_SKIP_TOO_LARGE,  /* 413 */
    MKTO_SKIP_FORBIDDEN,  /* 403 */
    MKTO_SKIP_COUNT
};

/* "consent", "opt_out" …; "none" for values out of range. */
const char *mkto_skip_name(enum mkto_skip skip);

/* What the client was told: FILTERED for what was left out, else the answer that refused it. */
enum mkto_answer mkto_skip_answer(enum mkto_skip skip);

/* What a call that a module refuses with that answer counts as; NONE: it is no call, or the client
 * sends it again. */
enum mkto_skip mkto_skip_refused(enum mkto_answer answer);

#endif
