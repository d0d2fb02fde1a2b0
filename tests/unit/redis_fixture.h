/*
 * redis_fixture: a Redis that says what a test wants, on 127.0.0.1 in the same loop, and the
 * client's events as the test sees them.
 *
 * Callers   test_redis_*.c.
 */
#ifndef SKUA_TESTS_REDIS_FIXTURE_H
#define SKUA_TESTS_REDIS_FIXTURE_H

#include "base/buf.h"
#include "redis/redis.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    FAKE_CONNS = 16,
    PATIENCE_MS = 20000, /* of a test that waits for a condition; a failure, when over */
};

static struct net_loop *loop;
static struct random chance;
static struct log quiet = {.fd = -1, .level = LOG_OFF};

/* ---- the fake server ---- */

struct fake;

struct fake_conn {
    struct net_io io; /* fd -1: free */
    struct fake *fake;
    redisReader *reader;
    char heard[4096]; /* the commands, words joined by spaces, each followed by ';' */
    uint32_t reads;   /* system calls that brought something */
};

struct fake {
    struct net_io listener;
    struct net_grave grave;
    uint16_t port;
    int accepted;
    struct fake_conn conns[FAKE_CONNS];

    /* What to do with a command; false: what any Redis would. */
    bool (*command)(struct fake_conn *conn, const redisReply *command);
    bool refuses; /* closes whoever comes */
};

/* Nobody may be there any more. */
static inline void fake_say(struct fake_conn *conn, const char *text)
{
    ssize_t sent = send(conn->io.fd, text, strlen(text), MSG_NOSIGNAL);

    assert_true(sent == (ssize_t)strlen(text) || (sent < 0 && errno != EAGAIN));
}

static inline void fake_hang_up(struct fake_conn *conn)
{
    net_loop_remove(loop, &conn->io);
    close(conn->io.fd);
    conn->io.fd = -1;
}

static inline bool fake_is(const redisReply *command, size_t index, const char *word)
{
    return index < command->elements && strcasecmp(command->element[index]->str, word) == 0;
}

static inline void fake_confirm(struct fake_conn *conn, const redisReply *command)
{
    char verb[32], text[512];

    snprintf(verb, sizeof(verb), "%s", command->element[0]->str);
    for (char *at = verb; *at; at++)
        *at = (char)(*at | 0x20);
    snprintf(text, sizeof(text), "*3\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n:1\r\n", strlen(verb), verb,
             command->element[1]->len, command->element[1]->str);
    fake_say(conn, text);
}

static inline void fake_answer(struct fake_conn *conn, const redisReply *command)
{
    if (strcasestr(command->element[0]->str, "subscribe"))
        fake_confirm(conn, command);
    else
        fake_say(conn, fake_is(command, 0, "PING") ? "+PONG\r\n" : "+OK\r\n");
}

static inline void fake_take(struct fake_conn *conn, const redisReply *command)
{
    size_t size = strlen(conn->heard);

    for (size_t i = 0; i < command->elements; i++)
        size += (size_t)snprintf(conn->heard + size, sizeof(conn->heard) - size, "%s%.64s",
                                 i > 0 ? " " : "", command->element[i]->str);
    snprintf(conn->heard + size, sizeof(conn->heard) - size, ";");
    if (conn->fake->command && conn->fake->command(conn, command))
        return;
    if (conn->io.fd >= 0)
        fake_answer(conn, command);
}

static inline void fake_readable(struct net_io *io, uint32_t events)
{
    struct fake_conn *conn = CONTAINER_OF(io, struct fake_conn, io);
    static char bytes[1024 * 1024];
    ssize_t size = read(io->fd, bytes, sizeof(bytes));
    void *command = NULL;

    (void)events;
    if (size <= 0) {
        fake_hang_up(conn);
        return;
    }
    conn->reads++;
    assert_int_equal(redisReaderFeed(conn->reader, bytes, (size_t)size), REDIS_OK);
    while (conn->io.fd >= 0) {
        assert_int_equal(redisReaderGetReply(conn->reader, &command), REDIS_OK);
        if (!command)
            return;
        fake_take(conn, command);
        freeReplyObject(command);
    }
}

static inline void fake_accept(struct net_io *io, uint32_t events)
{
    struct fake *fake = CONTAINER_OF(io, struct fake, listener);
    int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)events;
    assert_true(fd >= 0);
    fake->accepted++;
    if (fake->refuses) {
        close(fd);
        return;
    }
    for (int i = 0; i < FAKE_CONNS; i++) {
        struct fake_conn *conn = &fake->conns[i];

        if (conn->io.fd >= 0)
            continue;
        redisReaderFree(conn->reader);
        *conn = (struct fake_conn){
            .io = {fd, EPOLLIN, fake_readable},
              .fake = fake
        };
        conn->reader = redisReaderCreate();
        assert_true(net_loop_add(loop, &conn->io));
        return;
    }
    fail_msg("the fake server has too many connections");
}

static inline void fake_listen(struct fake *fake)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(fake->port)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    fake->port = ntohs(address.sin_port);
    fake->listener = (struct net_io){fd, EPOLLIN, fake_accept};
    assert_true(net_loop_add(loop, &fake->listener));
}

static inline struct fake *fake_new(void)
{
    struct fake *fake = calloc(1, sizeof(*fake));

    assert_non_null(fake);
    for (int i = 0; i < FAKE_CONNS; i++)
        fake->conns[i].io.fd = -1;
    fake_listen(fake);
    return fake;
}

/* Nobody listens any more, and every connection ends. */
static inline void fake_stop(struct fake *fake)
{
    if (fake->listener.fd < 0)
        return;
    net_loop_remove(loop, &fake->listener);
    close(fake->listener.fd);
    fake->listener.fd = -1;
    for (int i = 0; i < FAKE_CONNS; i++) {
        if (fake->conns[i].io.fd >= 0)
            fake_hang_up(&fake->conns[i]);
    }
}

static inline void fake_bury(struct net_grave *grave)
{
    struct fake *fake = CONTAINER_OF(grave, struct fake, grave);

    for (int i = 0; i < FAKE_CONNS; i++)
        redisReaderFree(fake->conns[i].reader);
    free(fake);
}

static inline void fake_free(struct fake *fake)
{
    fake_stop(fake);
    net_loop_bury(loop, &fake->grave, fake_bury);
}

/* The connection on which that was heard; NULL when there is none. */
static inline struct fake_conn *fake_find(struct fake *fake, const char *heard)
{
    for (int i = 0; i < FAKE_CONNS; i++) {
        if (fake->conns[i].io.fd >= 0 && strstr(fake->conns[i].heard, heard))
            return &fake->conns[i];
    }
    return NULL;
}

/* ---- turning the loop ---- */

static struct net_task stopper;

static inline void stop(struct net_task *task)
{
    (void)task;
    net_loop_stop(loop);
}

/* One turn that does not wait. */
static inline void turn(void)
{
    net_task_init(&stopper, stop);
    net_loop_later(loop, &stopper);
    assert_int_equal(net_loop_run(loop), 0);
}

static struct timer ticker;

static inline void tick(struct timer *timer)
{
    (void)timer;
    net_loop_stop(loop);
}

/* Turns until the condition holds. */
#define UNTIL(condition)                                                                       \
    do {                                                                                       \
        uint64_t until_ms = net_loop_now(loop) + PATIENCE_MS;                                  \
        while (!(condition)) {                                                                 \
            if (net_loop_now(loop) > until_ms)                                                 \
                fail_msg("never came true: %s", #condition);                                   \
            timer_init(&ticker, tick);                                                         \
            timer_start(net_loop_timers(loop), &ticker, 2);                                    \
            assert_int_equal(net_loop_run(loop), 0);                                           \
            timer_stop(net_loop_timers(loop), &ticker);                                        \
        }                                                                                      \
    } while (0)

/* ---- the client ---- */

static struct redis *redis;
static struct redis_options options;

/* What the owner was told, in order and in short: "up;", "down;", "ready;", "gap;", "m:…;". */
static char told[8192];
static char reason[512]; /* of the last `down` */
static void (*on_message)(void);

__attribute__((format(printf, 1, 2))) static inline void note(const char *format, ...)
{
    size_t size = strlen(told);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(told + size, sizeof(told) - size, format, arguments);
    va_end(arguments);
}

static inline void on_up(void *owner)
{
    assert_ptr_equal(owner, told);
    note("up;");
}

static inline void on_down(void *owner, const char *why)
{
    (void)owner;
    note("down;");
    snprintf(reason, sizeof(reason), "%s", why);
}

static inline void on_ready(void *owner)
{
    (void)owner;
    note("ready;");
}

static inline void on_gap(void *owner)
{
    (void)owner;
    note("gap;");
}

static inline void message(void *owner, enum redis_kind kind, struct str channel,
                           struct str pattern, struct str payload)
{
    (void)owner;
    note("%c:%.*s|%.*s|%.*s;", "mps"[kind], (int)channel.size, channel.at, (int)pattern.size,
         pattern.at, (int)(payload.size < 100 ? payload.size : 100), payload.at);
    if (on_message)
        on_message();
}

static const struct redis_events events = {
    .up = on_up,
    .down = on_down,
    .message = message,
    .ready = on_ready,
    .gap = on_gap,
    .owner = told,
};

/* How one command ended. */
struct outcome {
    int times;
    enum redis_end end;
    int type;
    long long integer;
    size_t size; /* of the text, which may be cut */
    char text[1024];
};

static inline void answered(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct outcome *outcome = owner;

    outcome->times++;
    outcome->end = end;
    assert_true((reply != NULL) == (end == REDIS_ANSWERED));
    if (!reply)
        return;
    outcome->type = reply->type;
    outcome->integer = reply->integer;
    outcome->size = redis_reply_str(reply).size;
    snprintf(outcome->text, sizeof(outcome->text), "%.*s", (int)redis_reply_str(reply).size,
             redis_reply_str(reply).at);
}

static const struct redis_how at_once = {.at_once = true};

static inline void command_how(struct outcome *outcome, const struct redis_how *how,
                               const char *first, const char *second)
{
    const struct str argv[] = {str_from(first), str_from(second ? second : "")};

    memset(outcome, 0, sizeof(*outcome));
    redis_command_with(redis, how, argv, second ? 2 : 1, answered, outcome);
    assert_int_equal(outcome->times, 0);
}

static inline void command(struct outcome *outcome, const char *first, const char *second)
{
    static const struct redis_how usual;

    command_how(outcome, &usual, first, second);
}

static inline void start(void)
{
    char fault[REDIS_FAULT_MAX];

    redis = redis_new(loop, &chance, &quiet, &options, &events, fault);
    if (!redis)
        fail_msg("%s", fault);
}

static inline void subscribe(enum redis_kind kind, const char *name)
{
    assert_true(redis_subscribe(redis, kind, str_from(name)));
}

static inline int set_up_client(void **state)
{
    (void)state;
    loop = net_loop_new();
    random_init(&chance);
    redis_options_init(&options);
    told[0] = reason[0] = 0;
    on_message = NULL;
    redis = NULL;
    return loop ? 0 : -1;
}

static inline int tear_down_client(void **state)
{
    (void)state;
    redis_free(redis);
    redis = NULL;
    turn();
    net_loop_free(loop);
    return 0;
}

#endif
