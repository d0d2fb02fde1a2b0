#include "cluster/trail.h"

#include "socketio/socketio.h"

#include <stdlib.h>

enum {
    FIRST_STEPS = 64,
    CHECK_BITS = 36,
};

struct step {
    uint64_t chain; /* over the fingerprints since the anchor */
    uint64_t covered;
    uint64_t at_ms;
};

struct anchor {
    uint64_t name;
    uint64_t index;
};

struct trail {
    uint64_t retention_ms;
    struct step *ring; /* step i is index `last - count + 1 + i` */
    uint32_t capacity; /* a power of two, or 0 */
    uint32_t first;
    uint32_t count;
    uint64_t last;
    uint64_t chain;
    uint64_t lost; /* up to this index steps were forgotten early; until: */
    uint64_t lost_until_ms;
    uint32_t anchor_count;
    struct anchor anchors[TRAIL_ANCHORS]; /* oldest first */
};

struct trail *trail_new(uint64_t retention_ms)
{
    struct trail *trail = calloc(1, sizeof(*trail));

    if (trail)
        trail->retention_ms = retention_ms;
    return trail;
}

void trail_free(struct trail *trail)
{
    if (!trail)
        return;
    free(trail->ring);
    free(trail);
}

/* --- hearing ---------------------------------------------------------------------------------- */

/* Of two words that nobody chooses both of: the finalizer of MurmurHash3. */
static uint64_t mix(uint64_t chain, uint64_t fingerprint)
{
    uint64_t hash = chain * UINT64_C(0x9e3779b97f4a7c15) + fingerprint;

    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

static struct step *step_at(const struct trail *trail, uint32_t i)
{
    return &trail->ring[(trail->first + i) & (trail->capacity - 1)];
}

static void drop_first(struct trail *trail)
{
    trail->first = (trail->first + 1) & (trail->capacity - 1);
    trail->count--;
}

static bool grow(struct trail *trail)
{
    uint32_t capacity = trail->capacity ? trail->capacity * 2 : FIRST_STEPS;
    struct step *ring = malloc(capacity * sizeof(*ring));

    if (!ring)
        return false;
    for (uint32_t i = 0; i < trail->count; i++)
        ring[i] = *step_at(trail, i);
    free(trail->ring);
    trail->ring = ring;
    trail->capacity = capacity;
    trail->first = 0;
    return true;
}

static void drop_old(struct trail *trail, uint64_t now_ms)
{
    while (trail->count > 0 && step_at(trail, 0)->at_ms + trail->retention_ms < now_ms)
        drop_first(trail);
    if (trail->count < TRAIL_STEPS_MAX)
        return;
    drop_first(trail);
    trail->lost = trail->last - trail->count;
    trail->lost_until_ms = now_ms + trail->retention_ms;
}

uint64_t trail_heard(struct trail *trail, uint64_t fingerprint, uint64_t covered,
                     uint64_t now_ms)
{
    drop_old(trail, now_ms);
    if (trail->count == trail->capacity && !grow(trail))
        trail_gap(trail);
    trail->last++;
    trail->chain = mix(trail->chain, fingerprint);
    if (trail->capacity > 0)
        trail->ring[(trail->first + trail->count++) & (trail->capacity - 1)] =
            (struct step){trail->chain, covered, now_ms};
    return trail->last;
}

void trail_anchor(struct trail *trail, uint64_t name)
{
    if (trail->count == 0)
        return; /* out of memory for it */
    if (trail->anchor_count == TRAIL_ANCHORS) {
        memmove(trail->anchors, trail->anchors + 1,
                (TRAIL_ANCHORS - 1) * sizeof(trail->anchors[0]));
        trail->anchor_count--;
    }
    trail->anchors[trail->anchor_count++] = (struct anchor){name, trail->last};
    trail->chain = name;
    step_at(trail, trail->count - 1)->chain = name;
}

void trail_gap(struct trail *trail)
{
    trail->count = 0;
    trail->first = 0;
    trail->anchor_count = 0;
}

uint64_t trail_last(const struct trail *trail)
{
    return trail->last;
}

bool trail_is_anchored(const struct trail *trail)
{
    return trail->anchor_count > 0;
}

/* --- naming and finding ------------------------------------------------------------------------ */

static const struct step *find_step(const struct trail *trail, uint64_t index)
{
    uint64_t first = trail->last - trail->count + 1;

    return index >= first && index <= trail->last ? step_at(trail, (uint32_t)(index - first))
                                                  : NULL;
}

static uint64_t check_of(const struct step *step)
{
    return step->chain >> (64 - CHECK_BITS);
}

void trail_write(const struct trail *trail, uint64_t index, struct buf *to)
{
    const struct step *step = find_step(trail, index);
    uint32_t i = trail->anchor_count;

    while (i > 0 && trail->anchors[i - 1].index > index)
        i--;
    if (i == 0)
        return;
    sio_number_write(to, trail->anchors[i - 1].name);
    buf_add_byte(to, '.');
    sio_number_write(to, index - trail->anchors[i - 1].index);
    if (!step)
        return; /* so old that nothing from before can be missing */
    buf_add_byte(to, '.');
    sio_number_write(to, check_of(step));
}

static const struct anchor *find_anchor(const struct trail *trail, uint64_t name)
{
    for (uint32_t i = trail->anchor_count; i > 0; i--) {
        if (trail->anchors[i - 1].name == name)
            return &trail->anchors[i - 1];
    }
    return NULL;
}

enum trail_found trail_find(const struct trail *trail, struct str name, uint64_t now_ms,
                            uint64_t *index, uint64_t *covered)
{
    const struct anchor *anchor;
    const struct step *step;
    uint64_t anchor_name, count, check = 0;
    bool checked;

    if (!sio_number_read(sio_offset_part(&name), &anchor_name) ||
        !sio_number_read(sio_offset_part(&name), &count))
        return TRAIL_UNKNOWN;
    checked = name.size > 0;
    anchor = find_anchor(trail, anchor_name);
    if (!anchor || (checked && !sio_number_read(name, &check)))
        return TRAIL_UNKNOWN;
    if (count > trail->last - anchor->index)
        return TRAIL_AHEAD;
    *index = anchor->index + count;
    if (*index <= trail->lost && now_ms < trail->lost_until_ms)
        return TRAIL_UNKNOWN;
    step = find_step(trail, *index);
    if (step && checked && check_of(step) != check)
        return TRAIL_UNKNOWN;
    /* A place that is forgotten for its age: all behind it that could be missing is still there. */
    *covered = step ? step->covered : 0;
    return TRAIL_FOUND;
}
