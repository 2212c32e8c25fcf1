#include "mkto_sender.h"

#include <apr_strings.h>

const char *mkto_sender_word(const struct mkto_envelope *envelope, apr_pool_t *pool)
{
    if (envelope->source.len > 0) {
        return apr_pstrmemdup(pool, envelope->source.data, envelope->source.len);
    }
    return (envelope->flags & MKTO_ENVELOPE_BROWSER) != 0 ? "browser" : "server";
}
