#include "base/timer.h"

#include <assert.h>

enum {
    LEVEL_BITS = 8,
    SLOT_MASK = TIMER_SLOTS - 1,
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms)
{
    *wheel = (struct timer_wheel){.now_ms = now_ms, .clock_ms = now_ms};
    for (int level = 0; level < TIMER_LEVELS; level++) {
        for (int slot = 0; slot < TIMER_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    }
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    *timer = (struct timer){.fire = fire};
    list_init(&timer->link);
}

bool timer_running(const struct timer *timer)
{
    return !list_empty(&timer->link);
}

/* Into the lowest level whose 256 slots reach as far as the timer is away. */
static void place(struct timer_wheel *wheel, struct timer *timer)
{
    uint64_t away = timer->due_ms - wheel->now_ms;
    int level = 0;

    while (level < TIMER_LEVELS - 1 && away >> (LEVEL_BITS * (level + 1)) != 0)
        level++;

    uint32_t slot = (uint32_t)(timer->due_ms >> (LEVEL_BITS * level)) & SLOT_MASK;
    list_add_last(&wheel->slots[level][slot], &timer->link);
    wheel->used[level][slot / 64] |= UINT64_C(1) << slot % 64;
}

void timer_wheel_set_clock(struct timer_wheel *wheel, uint64_t now_ms)
{
    if (now_ms > wheel->clock_ms)
        wheel->clock_ms = now_ms;
}

void timer_start(struct timer_wheel *wheel, struct timer *timer, uint64_t delay_ms)
{
    assert(timer->fire);
    timer_stop(wheel, timer);
    if (delay_ms == 0)
        delay_ms = 1; /* never in the advance that is running: that could go on for ever */
    if (delay_ms > TIMER_MAX_MS)
        delay_ms = TIMER_MAX_MS;
    timer->due_ms = wheel->clock_ms + delay_ms;
    wheel->count++;
    place(wheel, timer);
}

void timer_stop(struct timer_wheel *wheel, struct timer *timer)
{
    if (!timer_running(timer))
        return;
    list_remove(&timer->link);
    wheel->count--;
}

/* The slot's timers come nearer: each into a lower level. */
static void cascade(struct timer_wheel *wheel, int level, uint32_t slot)
{
    struct list timers;
    struct list *link;

    list_init(&timers);
    list_move_all(&timers, &wheel->slots[level][slot]);
    wheel->used[level][slot / 64] &= ~(UINT64_C(1) << slot % 64);
    while ((link = list_take_first(&timers)))
        place(wheel, CONTAINER_OF(link, struct timer, link));
}

static void tick(struct timer_wheel *wheel)
{
    struct list due;
    struct list *link;

    wheel->now_ms++;
    for (int level = 1; level < TIMER_LEVELS; level++) {
        if ((wheel->now_ms >> (LEVEL_BITS * (level - 1)) & SLOT_MASK) != 0)
            break;
        cascade(wheel, level, (uint32_t)(wheel->now_ms >> (LEVEL_BITS * level)) & SLOT_MASK);
    }

    uint32_t slot = (uint32_t)wheel->now_ms & SLOT_MASK;
    wheel->used[0][slot / 64] &= ~(UINT64_C(1) << slot % 64);
    list_init(&due);
    list_move_all(&due, &wheel->slots[0][slot]);
    while ((link = list_take_first(&due))) {
        struct timer *timer = CONTAINER_OF(link, struct timer, link);
        assert(timer->due_ms == wheel->now_ms);
        wheel->count--;
        timer->fire(timer);
    }
}

void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms)
{
    timer_wheel_set_clock(wheel, now_ms);
    while (wheel->now_ms < now_ms) {
        if (wheel->count == 0) {
            wheel->now_ms = now_ms;
            break;
        }
        tick(wheel);
    }
}

/* Slots from `current` to the next used one, 1 to 256; 0 when none is used. */
static uint32_t next_used(struct timer_wheel *wheel, int level, uint32_t current)
{
    for (uint32_t away = 1; away <= TIMER_SLOTS; away++) {
        uint32_t slot = (current + away) & SLOT_MASK;
        uint64_t *word = &wheel->used[level][slot / 64];
        if (*word >> slot % 64 == 0) { /* nothing in the rest of this word */
            away += 63 - slot % 64;
            continue;
        }
        if (!(*word >> slot % 64 & 1))
            continue;
        if (!list_empty(&wheel->slots[level][slot]))
            return away;
        *word &= ~(UINT64_C(1) << slot % 64); /* its timers were stopped */
    }
    return 0;
}

int timer_wheel_wait(struct timer_wheel *wheel)
{
    uint64_t nearest = UINT64_MAX;

    if (wheel->count == 0)
        return -1;
    for (int level = 0; level < TIMER_LEVELS; level++) {
        uint64_t current = wheel->now_ms >> (LEVEL_BITS * level);
        uint32_t away = next_used(wheel, level, (uint32_t)current & SLOT_MASK);
        if (away == 0)
            continue;
        uint64_t begins = (current + away) << (LEVEL_BITS * level);
        if (begins - wheel->now_ms < nearest)
            nearest = begins - wheel->now_ms;
    }
    assert(nearest != UINT64_MAX);
    return nearest > INT32_MAX ? INT32_MAX : (int)nearest;
}
