/*
 * loop: one epoll loop a worker, with its timer wheel, its tasks and its end-of-turn flush.
 *
 * A turn: wait for descriptors → run `ready` of each → fire timers → run tasks → run flushes
 * (output queues, one system call a connection) → free what was buried. lws is a guest: its
 * descriptors are ordinary net_io entries (net/lws_guest.c).
 *
 * Callers   worker runs it; net, engineio, socketio, script and cluster hang on it.
 * Owner     the worker owns the loop. Entries are embedded in their owners.
 * Threads   the worker's own, net_loop_wake() excepted.
 * Units     milliseconds of the monotonic clock.
 * Errors    net_loop_new() and net_loop_add() return NULL / false with errno set.
 */
#ifndef SKUA_NET_LOOP_H
#define SKUA_NET_LOOP_H

#include "base/list.h"
#include "base/timer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NET_LOOP_EVENTS = 512,          /* descriptors handled a turn */
    NET_LOOP_READ_SIZE = 64 * 1024, /* bytes of the read buffer that all connections share */
};

struct net_loop;

/* A descriptor in the loop. */
struct net_io {
    int fd;
    uint32_t events; /* EPOLLIN, EPOLLOUT; level-triggered */
    void (*ready)(struct net_io *io, uint32_t events);
};

/* Work for later in the same turn (or for the next one, if queued by a flush). */
struct net_task {
    struct list link;
    void (*run)(struct net_task *task);
};

/* Memory that may still be referenced in this turn: freed at its end. */
struct net_grave {
    struct list link;
    void (*bury)(struct net_grave *grave);
};

struct net_loop *net_loop_new(void);

/* Buries what is left; every net_io must have been removed before. */
void net_loop_free(struct net_loop *loop);

/* Turns until net_loop_stop(). Returns 0, or -1 with errno when epoll itself failed. */
int net_loop_run(struct net_loop *loop);

/* The loop ends after the current turn. */
void net_loop_stop(struct net_loop *loop);

/* Makes another thread's (or a signal handler's) loop turn once. Async-signal-safe. */
void net_loop_wake(struct net_loop *loop);

bool net_loop_add(struct net_loop *loop, struct net_io *io);
void net_loop_modify(struct net_loop *loop, struct net_io *io, uint32_t events);

/* The io is not called again, also not for events already fetched in this turn; its memory must
 * live until the turn's end (net_loop_bury). Does not close the descriptor. */
void net_loop_remove(struct net_loop *loop, struct net_io *io);

void net_task_init(struct net_task *task, void (*run)(struct net_task *task));

/* Once queued it is not queued again until it has run. Tasks queued by tasks run in the same turn. */
void net_loop_later(struct net_loop *loop, struct net_task *task);

/* As net_loop_later, but in the flush phase, after all tasks. */
void net_loop_flush_later(struct net_loop *loop, struct net_task *task);
void net_task_cancel(struct net_task *task);

void net_loop_bury(struct net_loop *loop, struct net_grave *grave,
                   void (*bury)(struct net_grave *grave));

struct timer_wheel *net_loop_timers(struct net_loop *loop);

/* Time when this turn began. */
uint64_t net_loop_now(const struct net_loop *loop);

/* Where net/conn keeps its connections. */
struct list *net_loop_conns(struct net_loop *loop);

/* The shared read buffer: NET_LOOP_READ_SIZE bytes, free for use until the callback returns. */
uint8_t *net_loop_read_buffer(struct net_loop *loop);

/* A hook that runs before each wait and may shorten it: the lws guest. `wait_ms` is the time the
 * loop would wait (-1 for ever); the result is used instead. */
void net_loop_set_prepare(struct net_loop *loop, int (*prepare)(void *owner, int wait_ms),
                          void *owner);

#endif
