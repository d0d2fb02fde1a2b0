#include "base/map.h"

#include "base/siphash.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    INLINE_KEY = 24,        /* bytes: session and socket ids are 20 */
    SCAN_MAX = 8,           /* entries up to which there are no slots */
    REMOVED = 0xffffffff,   /* key size of a removed entry */
    TOMBSTONE = 0xffffffff, /* slot whose entry was removed; others hold index + 1 */
    RENUMBER_AT = 0xf0000000,
};

struct map_entry {
    void *value;
    uint32_t hash;
    uint32_t sequence;
    uint32_t key_size;
    union {
        char inlined[INLINE_KEY];
        char *allocated;
    } key;
};

/* --- hashing ------------------------------------------------------------------------------- */

/* Written once, before the first map has an entry; the one global of base, so that all maps of all
 * threads may share keys' hashes. */
static uint64_t hash_key[2];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void draw_hash_key(void)
{
    if (getrandom(hash_key, sizeof(hash_key), 0) != (ssize_t)sizeof(hash_key))
        abort();
}

static uint32_t hash_of(struct str key)
{
    uint64_t hash = siphash(hash_key, key);

    return (uint32_t)(hash ^ hash >> 32);
}

/* --- entries ------------------------------------------------------------------------------- */

static struct str key_of(const struct map_entry *entry)
{
    return str_of(entry->key_size > INLINE_KEY ? entry->key.allocated : entry->key.inlined,
                  entry->key_size);
}

static void free_key(struct map_entry *entry)
{
    if (entry->key_size != REMOVED && entry->key_size > INLINE_KEY)
        free(entry->key.allocated);
}

void map_init(struct map *map)
{
    *map = (struct map){0};
}

static void free_tables(struct map *map)
{
    free(map->entries);
    free(map->slots);
    map->entries = NULL;
    map->slots = NULL;
    map->slot_count = map->entry_capacity = map->entry_count = 0;
}

void map_free(struct map *map)
{
    for (uint32_t i = 0; i < map->entry_count; i++)
        free_key(&map->entries[i]);
    free_tables(map);
    map_init(map);
}

static bool matches(const struct map_entry *entry, uint32_t hash, struct str key)
{
    return entry->hash == hash && entry->key_size == key.size &&
           memcmp(key_of(entry).at, key.at, key.size) == 0;
}

/* The entry of the key, and in `slot` where the table refers to it. */
static struct map_entry *find(const struct map *map, uint32_t hash, struct str key,
                              uint32_t *slot)
{
    if (map->slot_count == 0) {
        for (uint32_t i = 0; i < map->entry_count; i++) {
            if (matches(&map->entries[i], hash, key))
                return &map->entries[i];
        }
        return NULL;
    }
    for (uint32_t i = hash;; i++) {
        uint32_t at = i & (map->slot_count - 1);
        uint32_t reference = map->slots[at];
        if (reference == 0)
            return NULL;
        if (reference != TOMBSTONE && matches(&map->entries[reference - 1], hash, key)) {
            *slot = at;
            return &map->entries[reference - 1];
        }
    }
}

void *map_get(const struct map *map, struct str key)
{
    uint32_t slot;

    if (map->live == 0)
        return NULL;

    const struct map_entry *entry = find(map, hash_of(key), key, &slot);
    return entry ? entry->value : NULL;
}

static void refer(struct map *map, uint32_t index)
{
    uint32_t at = map->entries[index].hash;

    while (map->slots[at & (map->slot_count - 1)] != 0)
        at++;
    map->slots[at & (map->slot_count - 1)] = index + 1;
}

/*
 * Makes room for one more entry: drops removed entries, grows when more than half are live. Slots
 * are made anew, at most half full counting what is added until the next time, so probing ends.
 */
static bool make_room(struct map *map)
{
    uint32_t capacity = map->entry_capacity;
    uint32_t slot_count = 0;
    uint32_t *slots = NULL;

    if (map->live >= capacity - capacity / 4) {
        if (capacity > UINT32_MAX / 8)
            return false;
        capacity = capacity == 0 ? 1 : capacity * 2;
    }
    if (capacity > SCAN_MAX) {
        for (slot_count = 2 * SCAN_MAX; slot_count < capacity * 2; slot_count *= 2)
            ;
        slots = calloc(slot_count, sizeof(*slots));
        if (!slots)
            return false;
    }
    if (capacity > map->entry_capacity) {
        struct map_entry *grown = realloc(map->entries, capacity * sizeof(*grown));
        if (!grown) {
            free(slots);
            return false;
        }
        map->entries = grown;
        map->entry_capacity = capacity;
    }

    uint32_t kept = 0;
    bool renumber = map->next_sequence >= RENUMBER_AT;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        if (map->entries[i].key_size == REMOVED)
            continue;
        map->entries[kept] = map->entries[i];
        if (renumber)
            map->entries[kept].sequence = kept;
        kept++;
    }
    map->entry_count = kept;
    if (renumber)
        map->next_sequence = kept;
    free(map->slots);
    map->slots = slots;
    map->slot_count = slot_count;
    for (uint32_t i = 0; slots && i < kept; i++)
        refer(map, i);
    return true;
}

bool map_put(struct map *map, struct str key, void *value)
{
    uint32_t slot;

    assert(value);
    if (key.size >= REMOVED)
        return false;
    pthread_once(&hash_key_once, draw_hash_key);

    uint32_t hash = hash_of(key);
    struct map_entry *entry = map->live > 0 ? find(map, hash, key, &slot) : NULL;
    if (entry) {
        entry->value = value;
        return true;
    }
    if (map->entry_count == map->entry_capacity && !make_room(map))
        return false;

    entry = &map->entries[map->entry_count];
    *entry = (struct map_entry){.value = value, .hash = hash, .key_size = (uint32_t)key.size};
    char *to = entry->key.inlined;
    if (key.size > INLINE_KEY) {
        to = malloc(key.size);
        if (!to)
            return false;
        entry->key.allocated = to;
    }
    memcpy(to, key.at, key.size);
    entry->sequence = map->next_sequence++;
    map->entry_count++;
    map->live++;
    if (map->slot_count > 0)
        refer(map, map->entry_count - 1);
    return true;
}

void *map_remove(struct map *map, struct str key)
{
    uint32_t slot = 0;

    if (map->live == 0)
        return NULL;

    struct map_entry *entry = find(map, hash_of(key), key, &slot);
    if (!entry)
        return NULL;

    void *value = entry->value;
    free_key(entry);
    entry->key_size = REMOVED;
    entry->value = NULL;
    if (map->slot_count > 0)
        map->slots[slot] = TOMBSTONE;
    if (--map->live == 0)
        free_tables(map);
    return value;
}

/* The first entry that is numbered `sequence` or higher. */
static uint32_t lower_bound(const struct map *map, uint32_t sequence)
{
    uint32_t low = 0, high = map->entry_count;

    /* Without removals in between, the entry stands where its number says. */
    if (high > 0 && sequence >= map->entries[0].sequence) {
        uint32_t guess = sequence - map->entries[0].sequence;
        if (guess < high && map->entries[guess].sequence == sequence)
            return guess;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (map->entries[middle].sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool map_next(const struct map *map, uint32_t *cursor, struct str *key, void **value)
{
    for (uint32_t i = lower_bound(map, *cursor); i < map->entry_count; i++) {
        const struct map_entry *entry = &map->entries[i];
        if (entry->key_size == REMOVED)
            continue;
        *cursor = entry->sequence + 1;
        if (key)
            *key = key_of(entry);
        if (value)
            *value = entry->value;
        return true;
    }
    return false;
}

void *map_pick(const struct map *map, uint32_t number)
{
    for (uint32_t i = 0; i < map->entry_count; i++) {
        const struct map_entry *entry =
            &map->entries[(number % map->entry_count + i) % map->entry_count];

        if (entry->key_size != REMOVED)
            return entry->value;
    }
    return NULL;
}
