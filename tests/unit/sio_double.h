/*
 * sio_double: stand-ins for what socketio calls below it, so that its tests need no connections
 * and no clock: the sessions of session_double.h, and a loop that turns when it is told to.
 *
 * Defines the real names, so it must define all of net/loop that socketio uses: then the linker
 * takes none of them from the library. Included by one file of a test binary.
 */
#ifndef SIO_DOUBLE_H
#define SIO_DOUBLE_H

#include "session_double.h"

struct net_loop {
    struct timer_wheel timers;
    struct list tasks, graves;
};

/* --- the loop ------------------------------------------------------------------------------- */

static inline struct net_loop *double_loop_new(void)
{
    struct net_loop *loop = malloc(sizeof(*loop));

    timer_wheel_init(&loop->timers, 0);
    list_init(&loop->tasks);
    list_init(&loop->graves);
    return loop;
}

/* The end of a turn: tasks, then graves. */
static inline void double_loop_turn(struct net_loop *loop)
{
    struct list *link;

    while ((link = list_take_first(&loop->tasks)) != NULL) {
        struct net_task *task = CONTAINER_OF(link, struct net_task, link);
        task->run(task);
    }
    while ((link = list_take_first(&loop->graves)) != NULL) {
        struct net_grave *grave = CONTAINER_OF(link, struct net_grave, link);
        grave->bury(grave);
    }
}

static inline void double_loop_advance(struct net_loop *loop, uint64_t now_ms)
{
    timer_wheel_advance(&loop->timers, now_ms);
    double_loop_turn(loop);
}

void net_task_init(struct net_task *task, void (*run)(struct net_task *task))
{
    list_init(&task->link);
    task->run = run;
}

void net_loop_later(struct net_loop *loop, struct net_task *task)
{
    if (list_empty(&task->link))
        list_add_last(&loop->tasks, &task->link);
}

void net_task_cancel(struct net_task *task)
{
    list_remove(&task->link);
}

void net_loop_bury(struct net_loop *loop, struct net_grave *grave,
                   void (*bury)(struct net_grave *grave))
{
    grave->bury = bury;
    list_add_last(&loop->graves, &grave->link);
}

struct timer_wheel *net_loop_timers(struct net_loop *loop)
{
    return &loop->timers;
}

uint64_t net_loop_now(const struct net_loop *loop)
{
    return loop->timers.clock_ms;
}

/* --- what the library needs and these tests never reach ---------------------------------------- */

bool net_loop_add(struct net_loop *loop, struct net_io *io)
{
    (void)loop;
    (void)io;
    abort();
}

void net_loop_modify(struct net_loop *loop, struct net_io *io, uint32_t events)
{
    (void)loop;
    (void)io;
    (void)events;
    abort();
}

void net_loop_remove(struct net_loop *loop, struct net_io *io)
{
    (void)loop;
    (void)io;
    abort();
}

void net_loop_wake(struct net_loop *loop)
{
    (void)loop;
    abort();
}

void net_loop_flush_later(struct net_loop *loop, struct net_task *task)
{
    (void)loop;
    (void)task;
    abort();
}

uint8_t *net_loop_read_buffer(struct net_loop *loop)
{
    (void)loop;
    abort();
}

struct list *net_loop_conns(struct net_loop *loop)
{
    (void)loop;
    abort();
}

#endif
