/*
 * mkto_config_arena: memory of one config, given back all at once. malloc, since nginx and httpd
 * link this and neither's pools may be known here.
 */
#ifndef MKTO_CONFIG_ARENA_H
#define MKTO_CONFIG_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct mkto_config_block; /* one allocation */

struct mkto_config_arena {
    struct mkto_config_block *blocks;
    bool exhausted; /* an allocation failed: the config that is being read is unusable */
};

/* Zeroed and aligned for any type; NULL, and exhausted set, when memory runs out. */
void *mkto_config_arena_get(struct mkto_config_arena *arena, size_t size);

/* A NUL-terminated copy of len bytes; NULL when memory runs out. */
char *mkto_config_arena_text(struct mkto_config_arena *arena, const char *text, size_t len);

void mkto_config_arena_free(struct mkto_config_arena *arena);

#endif
