#include "net/loop.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    /* Rounds over the task list in one turn; a task that queues itself for ever gets no more, so
     * that descriptors are looked at too. */
    TASK_ROUNDS = 64,
};

struct net_loop {
    int epoll;
    struct net_io wake; /* an eventfd */
    atomic_bool stopped;
    uint64_t now_ms;

    int (*prepare)(void *owner, int wait_ms);
    void *prepare_owner;

    struct list tasks;
    struct list flushes;
    struct list graves;
    struct list conns; /* of net/conn */

    /* The events of this turn; data.ptr of a removed io is cleared. */
    int event_at;
    int event_count;
    struct epoll_event events[NET_LOOP_EVENTS];

    struct timer_wheel timers;
    _Alignas(64) uint8_t read_buffer[NET_LOOP_READ_SIZE];
};

static void woken(struct net_io *io, uint32_t events)
{
    uint64_t count;

    (void)events;
    /* Nothing to do but to take the count back: the turn itself is what was asked for. */
    while (read(io->fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
}

struct net_loop *net_loop_new(void)
{
    struct net_loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return NULL;
    loop->now_ms = clock_monotonic_ms();
    list_init(&loop->tasks);
    list_init(&loop->flushes);
    list_init(&loop->graves);
    list_init(&loop->conns);
    timer_wheel_init(&loop->timers, loop->now_ms);
    loop->wake = (struct net_io){.fd = -1, .events = EPOLLIN, .ready = woken};

    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0)
        goto fail;
    loop->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake.fd < 0 || !net_loop_add(loop, &loop->wake))
        goto fail;
    return loop;

fail:
    if (loop->wake.fd >= 0)
        close(loop->wake.fd);
    if (loop->epoll >= 0)
        close(loop->epoll);
    free(loop);
    return NULL;
}

static void bury_all(struct net_loop *loop)
{
    struct list *link;

    while ((link = list_take_first(&loop->graves))) {
        struct net_grave *grave = CONTAINER_OF(link, struct net_grave, link);

        grave->bury(grave);
    }
}

void net_loop_free(struct net_loop *loop)
{
    if (!loop)
        return;
    bury_all(loop);
    close(loop->wake.fd);
    close(loop->epoll);
    free(loop);
}

static void run_list(struct list *tasks)
{
    struct list round;
    struct list *link;

    list_init(&round);
    list_move_all(&round, tasks);
    while ((link = list_take_first(&round))) {
        struct net_task *task = CONTAINER_OF(link, struct net_task, link);

        task->run(task);
    }
}

static void run_tasks(struct net_loop *loop)
{
    for (int round = 0; round < TASK_ROUNDS && !list_empty(&loop->tasks); round++)
        run_list(&loop->tasks);
}

static void dispatch(struct net_loop *loop)
{
    for (loop->event_at = 0; loop->event_at < loop->event_count; loop->event_at++) {
        struct epoll_event *event = &loop->events[loop->event_at];
        struct net_io *io = event->data.ptr;

        if (io)
            io->ready(io, event->events);
    }
    loop->event_count = 0;
}

static int wait_time(struct net_loop *loop)
{
    int wait_ms = timer_wheel_wait(&loop->timers);

    if (!list_empty(&loop->tasks) || !list_empty(&loop->flushes) || loop->stopped)
        wait_ms = 0;
    return loop->prepare ? loop->prepare(loop->prepare_owner, wait_ms) : wait_ms;
}

/* One turn; false when epoll failed. */
static bool turn(struct net_loop *loop)
{
    int count = epoll_wait(loop->epoll, loop->events, NET_LOOP_EVENTS, wait_time(loop));

    if (count < 0 && errno != EINTR)
        return false;
    loop->event_count = count < 0 ? 0 : count;
    loop->now_ms = clock_monotonic_ms();
    timer_wheel_set_clock(&loop->timers, loop->now_ms);

    dispatch(loop);
    timer_wheel_advance(&loop->timers, loop->now_ms);
    run_tasks(loop);
    run_list(&loop->flushes);
    bury_all(loop);
    return true;
}

int net_loop_run(struct net_loop *loop)
{
    while (!loop->stopped) {
        if (!turn(loop))
            return -1;
    }
    loop->stopped = false;
    return 0;
}

void net_loop_stop(struct net_loop *loop)
{
    loop->stopped = true;
}

void net_loop_wake(struct net_loop *loop)
{
    const uint64_t one = 1;
    int saved = errno; /* a signal handler must not change it */

    /* EAGAIN means that the count is full: the loop wakes anyway. */
    while (write(loop->wake.fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    errno = saved;
}

bool net_loop_add(struct net_loop *loop, struct net_io *io)
{
    struct epoll_event event = {.events = io->events, .data.ptr = io};

    assert(io->ready);
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, io->fd, &event) == 0;
}

void net_loop_modify(struct net_loop *loop, struct net_io *io, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = io};

    if (io->events == events)
        return;
    io->events = events;

    int failed = epoll_ctl(loop->epoll, EPOLL_CTL_MOD, io->fd, &event);
    assert(!failed); /* only a descriptor that is not in the loop can fail */
}

void net_loop_remove(struct net_loop *loop, struct net_io *io)
{
    int failed = epoll_ctl(loop->epoll, EPOLL_CTL_DEL, io->fd, NULL);
    assert(!failed);

    /* Few turns fetch many events, so looking through the rest of the batch is cheaper than a
     * mark in every entry. */
    for (int i = loop->event_at; i < loop->event_count; i++) {
        if (loop->events[i].data.ptr == io)
            loop->events[i].data.ptr = NULL;
    }
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

void net_loop_flush_later(struct net_loop *loop, struct net_task *task)
{
    if (list_empty(&task->link))
        list_add_last(&loop->flushes, &task->link);
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
    return loop->now_ms;
}

struct list *net_loop_conns(struct net_loop *loop)
{
    return &loop->conns;
}

uint8_t *net_loop_read_buffer(struct net_loop *loop)
{
    return loop->read_buffer;
}

void net_loop_set_prepare(struct net_loop *loop, int (*prepare)(void *owner, int wait_ms),
                          void *owner)
{
    loop->prepare = prepare;
    loop->prepare_owner = owner;
}
