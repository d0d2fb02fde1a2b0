/*
 * sio_fixture: a socketio server over the stand-ins of sio_double.h, with an application that
 * writes down what it is told and lets a test act inside the callbacks.
 */
#ifndef SIO_FIXTURE_H
#define SIO_FIXTURE_H

#include "sio_double.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    CONNECT_TIMEOUT_MS = 45000,
};

struct fixture {
    struct net_loop *loop;
    struct random random;
    struct log log;
    struct sio_options options;
    struct sio_server *server;
    struct eio_handler handler;
    struct buf story;       /* one line for each callback */
    struct sio_handle last; /* the socket of the last `connecting` */
    bool hold;              /* `connecting` does not accept */
    void (*on_connected)(struct fixture *f, struct sio_socket *socket);
    void (*on_event)(struct fixture *f, struct sio_socket *socket,
                     const struct sio_event *event);
    void (*on_disconnecting)(struct fixture *f, struct sio_socket *socket);
    void (*on_disconnected)(struct fixture *f, struct sio_socket *socket);
    void (*on_error)(struct fixture *f, struct sio_socket *socket);
    bool (*adopts)(struct str name, struct str auth);
    void *extra;
};

/* --- the application ------------------------------------------------------------------------- */

static inline void note(struct fixture *f, const char *what, struct sio_socket *socket,
                        struct str more)
{
    struct str name = sio_namespace_name(sio_socket_namespace(socket));

    buf_printf(&f->story, "%s %.*s", what, (int)name.size, name.at);
    if (more.size > 0)
        buf_printf(&f->story, " %.*s", (int)more.size, more.at);
    buf_add_byte(&f->story, '\n');
}

static inline void app_connecting(void *owner, struct sio_socket *socket)
{
    struct fixture *f = owner;

    f->last = sio_socket_handle(socket);
    if (!f->hold)
        sio_socket_accept(socket);
}

static inline void app_connected(void *owner, struct sio_socket *socket)
{
    struct fixture *f = owner;

    note(f, "connected", socket, STR(""));
    if (f->on_connected)
        f->on_connected(f, socket);
}

static inline void app_event(void *owner, struct sio_socket *socket,
                             const struct sio_event *event)
{
    struct fixture *f = owner;
    struct buf line;

    if (f->on_event) {
        f->on_event(f, socket, event);
        return;
    }
    buf_init(&line, SIZE_MAX);
    buf_add_str(&line, event->name);
    buf_add_str(&line, event->args.json);
    for (uint32_t i = 0; i < event->args.attachment_count; i++)
        buf_printf(&line, "+%zu", event->args.attachments[i].size);
    note(f, "event", socket, buf_str(&line));
    buf_free(&line);
}

static inline void app_disconnecting(void *owner, struct sio_socket *socket,
                                     enum sio_disconnect_reason reason)
{
    struct fixture *f = owner;

    note(f, "disconnecting", socket, str_from(sio_disconnect_reason_text(reason)));
    if (f->on_disconnecting)
        f->on_disconnecting(f, socket);
}

static inline void app_disconnected(void *owner, struct sio_socket *socket,
                                    enum sio_disconnect_reason reason)
{
    struct fixture *f = owner;

    note(f, "disconnected", socket, str_from(sio_disconnect_reason_text(reason)));
    if (f->on_disconnected)
        f->on_disconnected(f, socket);
}

static inline void app_error(void *owner, struct sio_socket *socket, const char *message)
{
    struct fixture *f = owner;

    note(f, "error", socket, str_from(message));
    if (f->on_error)
        f->on_error(f, socket);
}

static inline bool app_adopts(void *owner, struct sio_namespace *parent, struct str name,
                              struct str auth)
{
    struct fixture *f = owner;

    (void)parent;
    return f->adopts(name, auth);
}

/* --- set-up ---------------------------------------------------------------------------------- */

/* Frees the server's state and makes it anew, for tests that want other options. */
static inline void fixture_restart(struct fixture *f)
{
    struct sio_app app = {
        .connecting = app_connecting,
        .connected = app_connected,
        .event = app_event,
        .disconnecting = app_disconnecting,
        .disconnected = app_disconnected,
        .error = app_error,
        .adopts = app_adopts,
        .owner = f,
    };

    sio_server_free(f->server);
    f->server = sio_server_new(f->loop, &f->random, &f->log, &f->options, &app);
    assert_non_null(f->server);
    f->handler = sio_server_handler(f->server);
}

static inline int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->loop = double_loop_new();
    random_init(&f->random);
    f->log = (struct log){.fd = 2, .level = LOG_OFF};
    f->options = (struct sio_options){
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .max_attachments = 10,
    };
    buf_init(&f->story, SIZE_MAX);
    fixture_restart(f);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    sio_server_free(f->server);
    double_loop_turn(f->loop);
    free(f->loop);
    buf_free(&f->story);
    free(f);
    return 0;
}

/* --- steps ----------------------------------------------------------------------------------- */

static inline struct eio_session *open_session(struct fixture *f)
{
    struct eio_session *session = double_session_new(f->loop);

    assert_true(f->handler.open(f->handler.owner, session));
    return session;
}

static inline void close_session(struct fixture *f, struct eio_session *session,
                                 enum eio_close_reason reason)
{
    f->handler.closed(session, reason);
    double_loop_turn(f->loop);
    double_session_free(session);
}

static inline void send_bytes(struct fixture *f, struct eio_session *session,
                              enum frame_kind kind, struct str message)
{
    uint8_t *copy = malloc(message.size ? message.size : 1);

    memcpy(copy, message.at, message.size);
    f->handler.message(session, kind, copy, message.size);
    free(copy);
    double_loop_turn(f->loop);
}

static inline void send_text(struct fixture *f, struct eio_session *session, const char *text)
{
    send_bytes(f, session, FRAME_TEXT, str_from(text));
}

static inline void expect_story(struct fixture *f, const char *lines)
{
    if (!str_equal(buf_str(&f->story), str_from(lines)))
        fail_msg("story is\n%.*s--- expected\n%s", (int)f->story.size, f->story.at, lines);
    buf_reset(&f->story);
}

/* The next text sent, "<sid>" standing for an id in a CONNECT answer; NULL: nothing was sent. */
static inline void expect_sent(struct eio_session *session, const char *text)
{
    char seen[4096];
    size_t size;

    if (!text) {
        if (session->sent_first != session->sent_end)
            fail_msg("sent %.*s", (int)frame_body(session->sent[session->sent_first]).size,
                     frame_body(session->sent[session->sent_first]).at);
        return;
    }
    if (session->sent_first == session->sent_end)
        fail_msg("nothing sent, expected %s", text);
    struct frame *frame = session->sent[session->sent_first++];
    struct str body = frame_body(frame);
    assert_int_equal(frame_kind(frame), FRAME_TEXT);
    assert_true(body.size < sizeof(seen) && body.at[0] == '4');
    size = body.size - 1;
    memcpy(seen, body.at + 1, size);
    seen[size] = '\0';
    frame_unref(frame);

    char *sid = seen[0] == '0' ? strstr(seen, "\"sid\":\"") : NULL;
    if (sid) {
        memcpy(sid + 7, "<sid>", 5);
        memmove(sid + 12, sid + 7 + RANDOM_ID_SIZE, strlen(sid + 7 + RANDOM_ID_SIZE) + 1);
    }
    assert_string_equal(seen, text);
}

static inline void expect_sent_binary(struct eio_session *session, struct str bytes)
{
    assert_true(session->sent_first < session->sent_end);
    struct frame *frame = session->sent[session->sent_first++];

    assert_int_equal(frame_kind(frame), FRAME_BINARY);
    assert_true(str_equal(frame_body(frame), bytes));
    frame_unref(frame);
}

/* A session whose socket in `nsp` ("/hub") is connected; its handle goes to `*handle`. */
static inline struct eio_session *join(struct fixture *f, const char *nsp,
                                       struct sio_handle *handle)
{
    struct eio_session *session = open_session(f);
    char text[256], answer[256];

    snprintf(text, sizeof(text), "0%s,", nsp);
    snprintf(answer, sizeof(answer),
             strcmp(nsp, "/") == 0 ? "0%.0s{\"sid\":\"<sid>\"}" : "0%s,{\"sid\":\"<sid>\"}",
             nsp);
    send_text(f, session, text);
    expect_sent(session, answer);
    if (handle)
        *handle = f->last;
    buf_reset(&f->story);
    return session;
}

static inline struct sio_namespace *declare(struct fixture *f, const char *name)
{
    struct sio_namespace *nsp =
        sio_namespace_add(f->server, &(struct sio_namespace_options){.name = str_from(name)});

    assert_non_null(nsp);
    return nsp;
}

static inline struct sio_socket *socket_of(struct fixture *f, struct sio_handle handle)
{
    struct sio_socket *socket = sio_socket_find(f->server, handle);

    assert_non_null(socket);
    return socket;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
