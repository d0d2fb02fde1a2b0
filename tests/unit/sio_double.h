/*
 * sio_double: stand-ins for what socketio calls below it, so that its tests need no connections
 * and no clock: sessions that keep what was sent, and a loop that turns when it is told to.
 *
 * Defines the real names, so it must define all of engineio and net/loop that socketio uses: then
 * the linker takes none of them from the library. Included by one file of a test binary.
 */
#ifndef SIO_DOUBLE_H
#define SIO_DOUBLE_H

#include "net/frame.h"
#include "net/loop.h"
#include "socketio/socketio.h"

#include <stdlib.h>

enum {
    SENT_MAX = 4096,
};

struct eio_session {
    void *data;
    struct net_loop *loop;
    const char *transport;
    bool writable;
    bool close_called;
    struct eio_handshake handshake;
    char id[RANDOM_ID_SIZE];
    struct frame *sent[SENT_MAX];
    size_t sent_first, sent_end;
};

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

/* --- sessions ------------------------------------------------------------------------------- */

static inline struct eio_session *double_session_new(struct net_loop *loop)
{
    struct eio_session *session = calloc(1, sizeof(*session));

    session->loop = loop;
    session->transport = "websocket";
    session->writable = true;
    session->handshake.protocol = 4;
    session->handshake.origin = STR("");
    memcpy(session->id, "session-0123456789ab", RANDOM_ID_SIZE);
    return session;
}

static inline void double_session_free(struct eio_session *session)
{
    while (session->sent_first < session->sent_end)
        frame_unref(session->sent[session->sent_first++]);
    free(session);
}

void eio_session_set_data(struct eio_session *session, void *data)
{
    session->data = data;
}

void *eio_session_data(const struct eio_session *session)
{
    return session->data;
}

struct str eio_session_id(const struct eio_session *session)
{
    return str_of(session->id, RANDOM_ID_SIZE);
}

struct str eio_session_logged_id(const struct eio_session *session)
{
    return str_of(session->id, RANDOM_ID_SIZE);
}

struct eio_handshake *eio_session_handshake(const struct eio_session *session)
{
    return (struct eio_handshake *)&session->handshake;
}

const char *eio_session_transport(const struct eio_session *session)
{
    return session->transport;
}

bool eio_session_writable(const struct eio_session *session)
{
    return session->writable;
}

bool eio_session_takes_volatile(struct eio_session *session)
{
    return eio_session_writable(session);
}

void eio_session_close(struct eio_session *session)
{
    session->close_called = true;
}

/* The session's end comes from the loop, when the test tells it. */
void eio_session_abandon(struct eio_session *session)
{
    session->close_called = true;
}

void eio_session_send(struct eio_session *session, struct frame *frame)
{
    if (session->close_called)
        return;
    if (session->sent_end == SENT_MAX)
        abort();
    session->sent[session->sent_end++] = frame_ref(frame);
}

struct frame *eio_text_message(size_t size, char **text)
{
    struct frame *frame = frame_new(FRAME_TEXT, size + 1);

    if (!frame)
        return NULL;
    frame_payload(frame)[0] = '4';
    *text = (char *)frame_payload(frame) + 1;
    return frame;
}

bool cors_pattern_matches(struct str pattern, struct str origin)
{
    return str_equal(pattern, origin);
}

#endif
