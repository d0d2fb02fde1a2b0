/*
 * session_double: stand-ins for Engine.IO sessions that keep what was sent, for tests of socketio and
 * what is above it.
 *
 * Defines the real names, so it must define all of engineio that socketio uses: then the linker
 * takes none of them from the library. Included by one file of a test binary.
 */
#ifndef SESSION_DOUBLE_H
#define SESSION_DOUBLE_H

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
