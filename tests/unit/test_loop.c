#include "net/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

/* What happened, one letter a call. */
static char trace[256];

static void note(char letter)
{
    size_t size = strlen(trace);

    assert_true(size + 1 < sizeof(trace));
    trace[size] = letter;
    trace[size + 1] = '\0';
}

static struct net_loop *loop;

static int set_up(void **state)
{
    (void)state;
    trace[0] = '\0';
    loop = net_loop_new();
    return loop ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    net_loop_free(loop);
    return 0;
}

static void run(void)
{
    assert_int_equal(net_loop_run(loop), 0);
}

/* ---- things that note and do ---- */

static struct net_task tasks[3];
static struct net_task stopper;
static struct timer timers[2];

static void stop(struct net_task *task)
{
    (void)task;
    net_loop_stop(loop);
}

/* Ends the loop after this turn. */
static void stop_later(void)
{
    net_task_init(&stopper, stop);
    net_loop_later(loop, &stopper);
}

static void note_task(struct net_task *task)
{
    note((char)('a' + (task - tasks)));
}

static void note_flush(struct net_task *task)
{
    (void)task;
    note('F');
}

static void note_timer(struct timer *timer)
{
    (void)timer;
    note('T');
}

static void note_grave(struct net_grave *grave)
{
    (void)grave;
    note('G');
}

static struct net_grave grave;
static struct net_io io_a, io_b;

static void open_io(struct net_io *io, void (*ready)(struct net_io *io, uint32_t events))
{
    *io = (struct net_io){.fd = eventfd(1, EFD_NONBLOCK), .events = EPOLLIN, .ready = ready};
    assert_true(io->fd >= 0);
    assert_true(net_loop_add(loop, io));
}

static void close_io(struct net_io *io)
{
    net_loop_remove(loop, io);
    close(io->fd);
}

/* ---- phases ---- */

static void start_everything(struct net_io *io, uint32_t events)
{
    assert_true(events & EPOLLIN);
    note('I');
    close_io(io);
    net_loop_bury(loop, &grave, note_grave);
    net_loop_flush_later(loop, &tasks[1]);
    net_loop_later(loop, &tasks[0]);
    timer_init(&timers[0], note_timer);
    timer_start(net_loop_timers(loop), &timers[0], 0);
    stop_later();
}

static void a_turn_runs_descriptors_then_timers_tasks_flushes_and_graves(void **state)
{
    (void)state;
    net_task_init(&tasks[0], note_task);
    net_task_init(&tasks[1], note_flush);
    open_io(&io_a, start_everything);
    run();
    assert_true(strcmp(trace, "ITaFG") == 0 || strcmp(trace, "IaFG") == 0);
    timer_stop(net_loop_timers(loop), &timers[0]);
}

static void queue_another(struct net_task *task)
{
    note_task(task);
    net_loop_later(loop, &tasks[1]);
}

static void tasks_of_tasks_run_in_the_same_turn(void **state)
{
    (void)state;
    net_task_init(&tasks[0], queue_another);
    net_task_init(&tasks[1], note_task);
    net_task_init(&tasks[2], note_flush);
    net_loop_later(loop, &tasks[0]);
    net_loop_flush_later(loop, &tasks[2]);
    stop_later();
    run();
    assert_string_equal(trace, "abF");
}

static void flush_that_queues(struct net_task *task)
{
    (void)task;
    note('F');
    net_loop_later(loop, &tasks[0]);
    if (strlen(trace) < 4)
        net_loop_flush_later(loop, &tasks[2]);
    else
        stop_later();
}

static void what_a_flush_queues_waits_for_the_next_turn_which_comes_at_once(void **state)
{
    (void)state;
    net_task_init(&tasks[0], note_task);
    net_task_init(&tasks[2], flush_that_queues);
    net_loop_flush_later(loop, &tasks[2]);
    run();
    assert_string_equal(trace, "FaFaFa");
}

static void a_task_queued_twice_runs_once(void **state)
{
    (void)state;
    net_task_init(&tasks[0], note_task);
    net_loop_later(loop, &tasks[0]);
    net_loop_later(loop, &tasks[0]);
    stop_later();
    run();
    assert_string_equal(trace, "a");
}

static void cancel_next(struct net_task *task)
{
    note_task(task);
    net_task_cancel(&tasks[1]);
    net_task_cancel(&tasks[2]);
}

static void a_cancelled_task_does_not_run_even_from_a_task_of_its_round(void **state)
{
    (void)state;
    net_task_init(&tasks[0], cancel_next);
    net_task_init(&tasks[1], note_task);
    net_task_init(&tasks[2], note_flush);
    net_loop_later(loop, &tasks[0]);
    net_loop_later(loop, &tasks[1]);
    net_loop_flush_later(loop, &tasks[2]);
    stop_later();
    run();
    assert_string_equal(trace, "a");
}

static void requeue(struct net_task *task)
{
    net_loop_later(loop, task);
}

static void note_and_stop(struct net_io *io, uint32_t events)
{
    (void)events;
    note('I');
    close_io(io);
    net_task_cancel(&tasks[0]);
    net_loop_stop(loop);
}

static void a_task_that_requeues_itself_for_ever_does_not_starve_descriptors(void **state)
{
    (void)state;
    net_task_init(&tasks[0], requeue);
    net_loop_later(loop, &tasks[0]);
    open_io(&io_a, note_and_stop);
    run();
    assert_string_equal(trace, "I");
}

/* ---- descriptors ---- */

static void remove_the_other(struct net_io *io, uint32_t events)
{
    struct net_io *other = io == &io_a ? &io_b : &io_a;

    (void)events;
    note('I');
    close_io(io);
    close_io(other);
    stop_later();
}

static void an_event_already_fetched_for_a_removed_descriptor_is_dropped(void **state)
{
    (void)state;
    open_io(&io_a, remove_the_other);
    open_io(&io_b, remove_the_other);
    run();
    assert_string_equal(trace, "I");
}

static void turn_to_writing(struct net_io *io, uint32_t events)
{
    if (events & EPOLLIN) {
        note('R');
        net_loop_modify(loop, io, EPOLLOUT);
        return;
    }
    assert_int_equal(events, EPOLLOUT);
    note('W');
    close_io(io);
    net_loop_stop(loop);
}

static void events_can_be_changed(void **state)
{
    (void)state;
    open_io(&io_a, turn_to_writing);
    run();
    assert_string_equal(trace, "RW");
}

static void a_bad_descriptor_is_refused(void **state)
{
    struct net_io io = {.fd = -1, .events = EPOLLIN, .ready = note_and_stop};

    (void)state;
    assert_false(net_loop_add(loop, &io));
}

/* ---- waiting ---- */

static int stop_and_do_not_wait(void *owner, int wait_ms)
{
    *(int *)owner = wait_ms;
    net_loop_stop(loop);
    return 0;
}

static void the_prepare_hook_sees_an_endless_wait_and_shortens_it(void **state)
{
    int wait_ms = 0;

    (void)state;
    net_loop_set_prepare(loop, stop_and_do_not_wait, &wait_ms);
    run();
    assert_int_equal(wait_ms, -1);
}

static void pending_work_leaves_no_wait(void **state)
{
    int wait_ms = -1;

    (void)state;
    net_task_init(&tasks[0], note_task);
    net_loop_later(loop, &tasks[0]);
    net_loop_set_prepare(loop, stop_and_do_not_wait, &wait_ms);
    run();
    assert_int_equal(wait_ms, 0);
}

static void the_wait_ends_in_time_for_the_next_timer(void **state)
{
    int wait_ms = 0;

    (void)state;
    timer_init(&timers[0], note_timer);
    timer_start(net_loop_timers(loop), &timers[0], 1000);
    net_loop_set_prepare(loop, stop_and_do_not_wait, &wait_ms);
    run();
    assert_in_range(wait_ms, 0, 1000);
    timer_stop(net_loop_timers(loop), &timers[0]);
}

static void stop_on_second_timer(struct timer *timer)
{
    note(timer == &timers[0] ? '0' : '1');
    if (timer == &timers[1])
        net_loop_stop(loop);
}

static void timers_fire_in_order_without_other_events(void **state)
{
    (void)state;
    timer_init(&timers[0], stop_on_second_timer);
    timer_init(&timers[1], stop_on_second_timer);
    timer_start(net_loop_timers(loop), &timers[1], 20);
    timer_start(net_loop_timers(loop), &timers[0], 5);
    run();
    assert_string_equal(trace, "01");
}

static uint64_t started_ms, fired_ms;

static void stop_and_tell_the_time(struct timer *timer)
{
    (void)timer;
    fired_ms = net_loop_now(loop);
    net_loop_stop(loop);
}

static void start_a_timer(struct net_io *io, uint32_t events)
{
    (void)events;
    close_io(io);
    started_ms = net_loop_now(loop);
    timer_start(net_loop_timers(loop), &timers[1], 10);
}

/* The descriptor is ready when the wait ends, which is long after the wheel has last advanced. */
static void make_ready(struct timer *timer)
{
    (void)timer;
    open_io(&io_a, start_a_timer);
}

static int sleep_first(void *owner, int wait_ms)
{
    (void)wait_ms;
    if ((*(int *)owner)++ == 1) {
        usleep(30000);
        return 0;
    }
    return wait_ms;
}

static void a_timer_started_after_a_long_wait_does_not_fire_early(void **state)
{
    int turn = 0;

    (void)state;
    timer_init(&timers[0], make_ready);
    timer_init(&timers[1], stop_and_tell_the_time);
    timer_start(net_loop_timers(loop), &timers[0], 1);
    net_loop_set_prepare(loop, sleep_first, &turn);
    run();
    assert_true(fired_ms - started_ms >= 10);
}

/* Wakes in the first turn, stops in the second. */
static int wake_then_stop(void *owner, int wait_ms)
{
    int *turn = owner;

    if ((*turn)++ == 0) {
        assert_int_equal(wait_ms, -1);
        net_loop_wake(loop);
        return wait_ms;
    }
    net_loop_stop(loop);
    return 0;
}

static void a_wake_from_before_the_wait_ends_the_wait_once(void **state)
{
    int turn = 0;

    (void)state;
    net_loop_set_prepare(loop, wake_then_stop, &turn);
    run(); /* a lost wake hangs here */
    assert_int_equal(turn, 2);
}

static void a_stop_from_before_the_run_is_kept(void **state)
{
    (void)state;
    net_loop_stop(loop);
    run();
}

/* ---- graves ---- */

static void graves_left_at_the_end_are_buried(void **state)
{
    (void)state;
    net_loop_bury(loop, &grave, note_grave);
    net_loop_free(loop);
    assert_string_equal(trace, "G");
    loop = NULL;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_turn_runs_descriptors_then_timers_tasks_flushes_and_graves),
        TEST(tasks_of_tasks_run_in_the_same_turn),
        TEST(what_a_flush_queues_waits_for_the_next_turn_which_comes_at_once),
        TEST(a_task_queued_twice_runs_once),
        TEST(a_cancelled_task_does_not_run_even_from_a_task_of_its_round),
        TEST(a_task_that_requeues_itself_for_ever_does_not_starve_descriptors),
        TEST(an_event_already_fetched_for_a_removed_descriptor_is_dropped),
        TEST(events_can_be_changed),
        TEST(a_bad_descriptor_is_refused),
        TEST(the_prepare_hook_sees_an_endless_wait_and_shortens_it),
        TEST(pending_work_leaves_no_wait),
        TEST(the_wait_ends_in_time_for_the_next_timer),
        TEST(timers_fire_in_order_without_other_events),
        TEST(a_timer_started_after_a_long_wait_does_not_fire_early),
        TEST(a_wake_from_before_the_wait_ends_the_wait_once),
        TEST(a_stop_from_before_the_run_is_kept),
        TEST(graves_left_at_the_end_are_buried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
