#include "mkto_skip.h"

/* clang-format off */
static const char *const names[MKTO_SKIP_MEDIA_TYPE] = {
    [MKTO_SKIP_NONE]       = "none",
    [MKTO_SKIP_CONSENT]    = "consent",
    [MKTO_SKIP_OPT_OUT]    = "opt_out",
    [MKTO_SKIP_GPC]        = "gpc",
    [MKTO_SKIP_DNT]        = "dnt",
    [MKTO_SKIP_BOT]        = "bot",
    [MKTO_SKIP_PREFETCH]   = "prefetch",
    [MKTO_SKIP_NO_VISITOR] = "no_visitor",
    [MKTO_SKIP_NOT_STORED] = "not_stored",
    [MKTO_SKIP_ORIGIN]     = "origin",
};

/* Named by their answers; 0 (STORED) for all others. */
static const enum mkto_answer refusals[MKTO_SKIP_COUNT] = {
    [MKTO_SKIP_MEDIA_TYPE] = MKTO_ANSWER_BAD_MEDIA_TYPE,
    [MKTO_SKIP_TOO_LARGE]  = MKTO_ANSWER_TOO_LARGE,
    [MKTO_SKIP_FORBIDDEN]  = MKTO_ANSWER_FORBIDDEN,
};
/* clang-format on */

const char *mkto_skip_name(enum mkto_skip skip)
{
    const enum mkto_answer answer = mkto_skip_answer(skip);
    if (answer != MKTO_ANSWER_FILTERED) {
        return mkto_answer_name(answer);
    }
    const unsigned index = (unsigned)skip;
    return index < MKTO_SKIP_MEDIA_TYPE ? names[index] : names[MKTO_SKIP_NONE];
}

enum mkto_answer mkto_skip_answer(enum mkto_skip skip)
{
    const unsigned index = (unsigned)skip;
    return index < MKTO_SKIP_COUNT && refusals[index] != MKTO_ANSWER_STORED ? refusals[index]
                                                                            : MKTO_ANSWER_FILTERED;
}

enum mkto_skip mkto_skip_refused(enum mkto_answer answer)
{
    for (unsigned skip = MKTO_SKIP_MEDIA_TYPE; skip < MKTO_SKIP_COUNT; skip++) {
        if (refusals[skip] == answer) {
            return (enum mkto_skip)skip;
        }
    }
    return MKTO_SKIP_NONE;
}
