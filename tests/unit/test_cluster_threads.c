/* Workers, each a thread with a loop of its own, send to each other at the same time. */
#include "cluster/bus_mailbox.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    WORKERS = 3,
    MESSAGES = 2000, /* of each */
    BURST = 50,      /* a turn */
    DEADLINE_MS = 60000,
};

struct worker {
    pthread_t thread;
    struct net_loop *loop;
    struct random random;
    struct cluster_bus *bus;
    struct cluster_bus_handler handler;
    struct timer timer;
    int index;
    int sent;
    int next[WORKERS]; /* the number that each is to send next */
    int heard;
    int wrong;
    int gaps;
    uint64_t *order; /* fingerprints */
};

static void on_heard(void *owner, struct str nsp, uint64_t fingerprint)
{
    struct worker *worker = owner;

    (void)nsp;
    if (worker->heard < WORKERS * MESSAGES)
        worker->order[worker->heard] = fingerprint;
    worker->heard++;
    if (worker->heard == WORKERS * MESSAGES)
        net_loop_stop(worker->loop);
}

static void on_message(void *owner, const struct cluster_message *message)
{
    struct worker *worker = owner;
    int sender = -1, number = -1;

    if (sscanf(message->args.json.at, "[%d,%d]", &sender, &number) != 2 || sender < 0 ||
        sender >= WORKERS || number != worker->next[sender]++ ||
        message->own != (sender == worker->index))
        worker->wrong++;
}

static void on_gap(void *owner, struct str nsp)
{
    (void)nsp;
    ((struct worker *)owner)->gaps++;
}

static void on_ready(void *owner, struct str nsp)
{
    (void)owner;
    (void)nsp;
}

static bool has_room(void *owner, struct str nsp, struct str room)
{
    (void)owner;
    (void)nsp;
    (void)room;
    return true;
}

/* Something was lost: the counts will show it. */
static void give_up(struct timer *timer)
{
    net_loop_stop(CONTAINER_OF(timer, struct worker, timer)->loop);
}

static void send_some(struct timer *timer)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, timer);
    char json[32];

    for (int i = 0; i < BURST && worker->sent < MESSAGES; i++) {
        snprintf(json, sizeof(json), "[%d,%d]", worker->index, worker->sent++);
        if (!worker->bus->type->send(
                worker->bus,
                &(struct cluster_message){.nsp = STR("/"), .args = {.json = str_from(json)}}))
            worker->wrong++;
    }
    if (worker->sent == MESSAGES)
        timer->fire = give_up;
    timer_start(net_loop_timers(worker->loop), timer,
                worker->sent < MESSAGES ? 0 : DEADLINE_MS);
}

static void *work(void *context)
{
    struct worker *worker = context;

    timer_start(net_loop_timers(worker->loop), &worker->timer, 0);
    net_loop_run(worker->loop);
    return NULL;
}

static void make_worker(struct worker *worker, struct mailbox_hub *hub, int index)
{
    *worker = (struct worker){
        .index = index,
        .handler = {on_heard, on_message, on_gap, on_ready, has_room, worker},
    };
    worker->loop = net_loop_new();
    worker->order = calloc((size_t)WORKERS * MESSAGES, sizeof(*worker->order));
    assert_non_null(worker->loop);
    assert_non_null(worker->order);
    random_init(&worker->random);
    timer_init(&worker->timer, send_some);
    worker->bus = bus_mailbox_new(hub, worker->loop, &worker->random, true);
    assert_non_null(worker->bus);
    worker->bus->handler = &worker->handler;
    assert_true(worker->bus->type->open(worker->bus, STR("/")));
}

static void all_threads_hear_all_in_one_order(void **state)
{
    struct mailbox_hub *hub = mailbox_hub_new();
    struct worker workers[WORKERS];

    (void)state;
    for (int i = 0; i < WORKERS; i++)
        make_worker(&workers[i], hub, i);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i].thread, NULL);
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(workers[i].heard, WORKERS * MESSAGES);
        assert_int_equal(workers[i].wrong, 0);
        assert_int_equal(workers[i].gaps, 0);
        assert_memory_equal(workers[i].order, workers[0].order,
                            WORKERS * MESSAGES * sizeof(*workers[0].order));
    }
    for (int i = 0; i < WORKERS; i++) {
        workers[i].bus->type->free(workers[i].bus);
        net_loop_free(workers[i].loop);
        free(workers[i].order);
    }
    mailbox_hub_unref(hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_threads_hear_all_in_one_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
