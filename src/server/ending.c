#include "server/ending.h"

enum {
    /* Between looks at the window, chosen at random: without jitter servers that got their signal
     * together would close in step. */
    TICK_MIN_MS = 10,
    TICK_MAX_MS = 30,
    REST_TICK_MS = 10,
    POLLS_TICK_MS = 5,
    POLLS_MS = 1000, /* for polls that are on their way */

    /* For what is idle: peers that do not answer a close, connections without a first request. */
    IDLE_MS = 3000,
};

static uint32_t dice(struct ending *ending)
{
    uint32_t number;

    random_bytes(ending->random, &number, sizeof(number));
    return number;
}

static void tick_after(struct ending *ending, uint64_t delay_ms)
{
    timer_start(net_loop_timers(ending->loop), &ending->timer, delay_ms);
}

static uint64_t now(const struct ending *ending)
{
    return net_loop_now(ending->loop);
}

uint32_t ending_share(uint32_t sessions, uint64_t passed_ms, uint64_t left_ms, uint32_t dice)
{
    uint64_t whole;

    if (passed_ms >= left_ms)
        return sessions;
    whole = sessions * passed_ms / left_ms;
    return (uint32_t)(whole + (dice % left_ms < sessions * passed_ms % left_ms));
}

/* Whether the successor got what the clients left. */
static bool stop_listening(struct ending *ending)
{
    bool handed_over = false;

    if (ending->successor)
        listeners_leave(ending->listeners, ending->successor);
    else
        listeners_stop(ending->listeners);
    if (ending->has_left)
        return false;
    ending->has_left = true;
    if (ending->successor)
        handed_over = ending->hand_over(ending->owner, ending->successor);
    ending->left(ending->owner, ending->successor);
    return handed_over;
}

/* --- phases, the last one first ------------------------------------------------------------- */

void ending_now(struct ending *ending)
{
    timer_stop(net_loop_timers(ending->loop), &ending->timer);
    stop_listening(ending);
    eio_server_close(ending->engine);
    net_conns_end(ending->loop);
    ending->ended(ending->owner);
}

static void rest(struct ending *ending)
{
    uint32_t sessions = eio_server_sessions(ending->engine);

    /* Those that come in late, and those whose poll has come meanwhile. */
    eio_server_close_some(ending->engine, sessions);
    if (net_conns_stop(ending->loop) > 0 || !ending->idle(ending->owner))
        ending->busy_ms = now(ending);
    if (sessions == 0 && listeners_connections(ending->listeners) == 0 &&
        ending->idle(ending->owner)) {
        ending->ended(ending->owner);
        return;
    }
    if (now(ending) >= ending->deadline_ms || now(ending) >= ending->busy_ms + IDLE_MS) {
        eio_server_close(ending->engine); /* with a turn to say so */
        ending->phase = ENDING_LAST;
    }
    tick_after(ending, REST_TICK_MS);
}

static void begin_rest(struct ending *ending)
{
    ending->phase = ENDING_REST;
    ending->busy_ms = now(ending);
    rest(ending);
}

static void window(struct ending *ending)
{
    uint32_t sessions = eio_server_sessions(ending->engine);
    uint64_t passed_ms = now(ending) - ending->ticked_ms;

    if (sessions == 0 || now(ending) >= ending->window_end_ms) {
        begin_rest(ending);
        return;
    }
    eio_server_close_some(
        ending->engine, ending_share(sessions, passed_ms,
                                     ending->window_end_ms - ending->ticked_ms, dice(ending)));
    ending->ticked_ms = now(ending);
    tick_after(ending, TICK_MIN_MS + dice(ending) % (TICK_MAX_MS - TICK_MIN_MS + 1));
}

static void begin_window(struct ending *ending)
{
    uint64_t end_ms = now(ending) + ending->drain->window_ms;
    bool handed_over = false;

    ending->phase = ENDING_WINDOW;
    ending->window_end_ms = end_ms < ending->deadline_ms ? end_ms : ending->deadline_ms;
    ending->ticked_ms = now(ending);
    handed_over = stop_listening(ending);
    eio_server_drain(ending->engine, false);
    net_conns_stop(ending->loop);
    if (handed_over)
        begin_rest(ending);
    else
        window(ending);
}

static void polls(struct ending *ending)
{
    if (now(ending) >= ending->listening_until_ms || eio_server_expected(ending->engine) == 0)
        begin_window(ending);
    else
        tick_after(ending, POLLS_TICK_MS);
}

static void begin_polls(struct ending *ending)
{
    uint64_t until_ms = now(ending) + POLLS_MS;

    ending->phase = ENDING_POLLS;
    ending->listening_until_ms =
        until_ms < ending->deadline_ms ? until_ms : ending->deadline_ms;
    ending->save(ending->owner, ending->successor);
    eio_server_drain(ending->engine, true);
    polls(ending);
}

static void tick(struct timer *timer)
{
    struct ending *ending = CONTAINER_OF(timer, struct ending, timer);

    switch (ending->phase) {
    case ENDING_NOT:
        break;
    case ENDING_GRACE:
        begin_polls(ending);
        break;
    case ENDING_POLLS:
        polls(ending);
        break;
    case ENDING_WINDOW:
        window(ending);
        break;
    case ENDING_REST:
        rest(ending);
        break;
    case ENDING_LAST:
        ending_now(ending);
        break;
    }
}

/* --- interface ------------------------------------------------------------------------------ */

void ending_init(struct ending *ending)
{
    ending->phase = ENDING_NOT;
    ending->has_left = false;
    timer_init(&ending->timer, tick);
}

void ending_begin(struct ending *ending, struct handover *successor)
{
    uint32_t grace_ms = successor ? 0 : ending->drain->grace_ms;

    if (ending->phase != ENDING_NOT)
        return;
    ending->phase = ENDING_GRACE;
    ending->successor = successor;
    ending->deadline_ms = now(ending) + ending->drain->deadline_ms;
    if (!successor) /* who asks at our address asks for the successor, too */
        health_set(ending->health, "draining", true);
    if (grace_ms == 0)
        begin_polls(ending);
    else
        tick_after(ending, grace_ms < ending->drain->deadline_ms ? grace_ms
                                                                 : ending->drain->deadline_ms);
}
