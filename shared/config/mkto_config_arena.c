#include "mkto_config_arena.h"

#include <stdlib.h>
#include <string.h>

struct mkto_config_block {
    struct mkto_config_block *next;
    max_align_t data[];
};

void *mkto_config_arena_get(struct mkto_config_arena *arena, size_t size)
{
    struct mkto_config_block *block = calloc(1, sizeof(*block) + size);

    if (block == NULL) {
        arena->exhausted = true;
        return NULL;
    }
    block->next = arena->blocks;
    arena->blocks = block;
    return block->data;
}

char *mkto_config_arena_text(struct mkto_config_arena *arena, const char *text, size_t len)
{
    char *copy = mkto_config_arena_get(arena, len + 1);

    if (copy != NULL && len > 0) {
        memcpy(copy, text, len);
    }
    return copy;
}

void mkto_config_arena_free(struct mkto_config_arena *arena)
{
    /* The arena itself may lie in one of its blocks. */
    struct mkto_config_block *block = arena->blocks;

    while (block != NULL) {
        struct mkto_config_block *next = block->next;

        free(block);
        block = next;
    }
}
