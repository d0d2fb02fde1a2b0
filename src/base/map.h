/*
 * map: byte strings to pointers; keys may be chosen by an attacker (rooms, session ids), so the
 * hash is SipHash-1-3 under a random key drawn when the process starts its first map.
 *
 * Open addressing with a dense entry array: iteration follows insertion order (the reference's
 * Map and Set do, and clients can see it), removal keeps the order of the rest. An empty map
 * holds no memory.
 *
 * Callers   everybody.
 * Owner     keys are copied into the map; values belong to the caller.
 * Threads   one at a time.
 * Errors    map_put() returns false when out of memory and leaves the map as it was.
 */
#ifndef SKUA_BASE_MAP_H
#define SKUA_BASE_MAP_H

#include "base/str.h"

#include <stdint.h>

struct map_entry;

struct map {
    struct map_entry *entries; /* in insertion order, removed ones have no key */
    uint32_t *slots;
    uint32_t slot_count; /* a power of two, or 0 while a scan of the entries is as fast */
    uint32_t entry_capacity;
    uint32_t entry_count; /* used part of `entries`, removed ones included */
    uint32_t live;
    uint32_t next_sequence; /* entries are numbered as they are added: what cursors count */
};

void map_init(struct map *map);

/* Frees keys and tables; values are the caller's to free before. */
void map_free(struct map *map);

static inline uint32_t map_size(const struct map *map)
{
    return map->live;
}

/* The value, or NULL. NULL is not a legal value. */
void *map_get(const struct map *map, struct str key);

/* Adds or replaces (a replaced key keeps its place in the order). */
bool map_put(struct map *map, struct str key, void *value);

/* The removed value, or NULL when there was none. */
void *map_remove(struct map *map, struct str key);

/*
 * Iteration in insertion order: start with `cursor` 0, until false. Removing any key and adding
 * keys meanwhile is legal: keys added are visited too, removed ones are not. The key's slice is
 * valid until the map changes.
 */
bool map_next(const struct map *map, uint32_t *cursor, struct str *key, void **value);

/* One of the values, which one the number decides: random numbers give any of them. NULL when there
 * is none. */
void *map_pick(const struct map *map, uint32_t number);

#endif
