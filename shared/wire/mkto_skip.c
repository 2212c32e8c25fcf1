#include "mkto_skip.h"

/* clang-format off */
static const char *const names[MKTO_SKIP_COUNT] = {
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
/* clang-format on */

const char *mkto_skip_name(enum mkto_skip skip)
{
    const unsigned index = (unsigned)skip;
    return index < MKTO_SKIP_COUNT ? names[index] : names[MKTO_SKIP_NONE];
}
