#include "mkto_json_memory.h"

#include <stdint.h>
#include <string.h>

/* A pool forgets how large a piece is, and realloc has to know: it stands before each. Pools align
 * to eight bytes, which is all that yajl's structs need. */
struct head {
    uint64_t size;
};

static void *take(void *ctx, size_t size)
{
    struct head *head = apr_palloc(ctx, sizeof(*head) + size);
    head->size = size;
    return head + 1;
}

static void *grow(void *ctx, void *piece, size_t size)
{
    if (piece == NULL) {
        return take(ctx, size);
    }
    size_t had = ((const struct head *)piece)[-1].size;
    if (size <= had) {
        return piece;
    }
    void *larger = take(ctx, size);
    memcpy(larger, piece, had);
    return larger;
}

static void leave(void *ctx, void *piece)
{
    (void)ctx;
    (void)piece;
}

yajl_alloc_funcs mkto_json_memory(apr_pool_t *pool)
{
    return (yajl_alloc_funcs){.malloc = take, .realloc = grow, .free = leave, .ctx = pool};
}
