#include "config/private.h"

#include <stdlib.h>

struct cfg_block {
    struct cfg_block *next;
    max_align_t bytes[];
};

struct cfg_arena {
    struct cfg_block *blocks;
};

struct cfg_arena *cfg_arena_new(void)
{
    return calloc(1, sizeof(struct cfg_arena));
}

void cfg_arena_free(struct cfg_arena *arena)
{
    if (!arena)
        return;
    while (arena->blocks) {
        struct cfg_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    free(arena);
}

void *cfg_alloc(struct cfg_loader *loader, size_t size)
{
    struct cfg_arena *arena = loader->config->arena;
    struct cfg_block *block = calloc(1, sizeof(*block) + size);

    if (!block) {
        loader->out_of_memory = true;
        return NULL;
    }
    block->next = arena->blocks;
    arena->blocks = block;
    return block->bytes;
}

struct str cfg_copy(struct cfg_loader *loader, struct str text)
{
    char *copy = cfg_alloc(loader, text.size + 1);

    if (!copy)
        return STR("");
    memcpy(copy, text.at, text.size);
    return str_of(copy, text.size);
}

void *cfg_grow(struct cfg_loader *loader, void *array, size_t count, size_t size)
{
    /* Doubled at powers of two; the old copies stay in the arena, as much again at most. */
    if (count > 0 && (count & (count - 1)) != 0)
        return array;

    char *grown = cfg_alloc(loader, (count ? count * 2 : 1) * size);
    if (grown && count > 0)
        memcpy(grown, array, count * size);
    return grown;
}
