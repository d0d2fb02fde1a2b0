/*
 * fuzz_redis: what a hostile Redis, Sentinel or Cluster may say to the client, which meanwhile
 * sends commands, subscribes and changes its mind.
 *
 * connect() is exchanged for one end of a socket pair, wherever it leads, and names have no
 * addresses: nothing leaves the process. Each connection is greeted as a server greets, so that
 * it comes up without luck. Every command must be answered exactly once.
 *
 * Input     the first byte: topology (two lowest bits), whether connections are greeted (4) and
 *           whether the client is freed inside a callback (8). Then bytes of the connection in
 *           use; 0xFF begins a command, whose second byte says:
 *           0x00-0x0f  turn the loop, so that what follows comes in another read
 *           0x10-0x1f  go on with another connection (low bits)
 *           0x20-0x2f  the server closes the connection
 *           0x30-0x3f  time passes (a table below)
 *           0x40-0x4f  the client does something (see act())
 *           others     a byte 0xFF
 */
#include "fuzz.h"

#include "base/buf.h"
#include "redis/redis.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNS = 16,
    TURNS = 3,
    INPUT_MAX = 4096, /* bytes looked at */
    SENTINEL_PORT = 26379,
    GREETED = 4,
    FREED_INSIDE = 8,
};

struct world {
    struct net_loop *loop;
    struct random random;
    struct log log;
    struct redis *redis;
    struct redis_link *link; /* NULL: not open */
    uint8_t mode;
    int conns[CONNS]; /* the servers' ends; -1: none */
    int current;
    uint32_t asked, answered;
};

static struct world *world; /* for connect(), which knows no owner */

/* --- the network --------------------------------------------------------------------------- */

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found);

static void greet(int fd, uint16_t port)
{
    static const char role[] = "+OK\r\n*1\r\n$6\r\nmaster\r\n+PONG\r\n",
                      plain[] = "+OK\r\n+PONG\r\n";
    bool master = (world->mode & 3) == REDIS_SENTINEL && port != SENTINEL_PORT;
    struct str text = master ? str_from(role) : str_from(plain);

    assert(write(fd, text.at, text.size) == (ssize_t)text.size);
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    uint16_t port = address->sa_family == AF_INET
                        ? ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port)
                        : 0;
    int pair[2], at = 0;

    (void)size;
    while (at < CONNS && world->conns[at] >= 0)
        at++;
    if (at == CONNS) {
        errno = ECONNREFUSED;
        return -1;
    }
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    assert(dup3(pair[0], fd, O_CLOEXEC) == fd);
    close(pair[0]);
    world->conns[at] = pair[1];
    if (world->mode & GREETED)
        greet(pair[1], port);
    return 0;
}

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found)
{
    (void)host;
    (void)port;
    (void)hints;
    *found = NULL;
    return EAI_NONAME;
}

/* --- the client ---------------------------------------------------------------------------- */

static void free_inside(void)
{
    struct redis *redis = world->redis;

    if (!(world->mode & FREED_INSIDE) || !redis)
        return;
    world->redis = NULL;
    world->link = NULL;
    redis_free(redis);
}

static void on_answer(void *owner, const struct redisReply *reply, enum redis_end end)
{
    (void)owner;
    assert((reply != NULL) == (end == REDIS_ANSWERED));
    world->answered++;
    free_inside();
}

static void on_gathered(void *owner, const struct redisReply *const *replies, size_t count)
{
    (void)owner;
    (void)replies;
    (void)count;
    world->answered++;
}

static void on_message(void *owner, enum redis_kind kind, struct str channel,
                       struct str pattern, struct str payload)
{
    (void)owner;
    assert(kind < REDIS_KINDS && channel.at && pattern.at && payload.at);
    free_inside();
}

static void on_change(void *owner)
{
    (void)owner;
    free_inside();
}

static void on_down(void *owner, const char *reason)
{
    (void)owner;
    assert(reason[0]);
}

static void begin(uint8_t mode)
{
    const struct redis_events events = {on_change, on_down,   on_message,
                                        on_change, on_change, NULL};
    struct redis_options options;
    char fault[REDIS_FAULT_MAX];

    redis_options_init(&options);
    options.topology = (enum redis_topology)((mode & 3) % 3);
    world->mode = (uint8_t)((mode & ~3) | options.topology);
    if (options.topology == REDIS_SENTINEL)
        options.servers[0].port = SENTINEL_PORT;
    memcpy(options.master, "m", 2);
    options.queue_bytes = 1024;
    world->loop = net_loop_new();
    random_init(&world->random);
    world->redis =
        redis_new(world->loop, &world->random, &world->log, &options, &events, fault);
    assert(world->loop && world->redis);
}

static void say(uint8_t what)
{
    const struct str argv[] = {STR("GET"), what % 2 ? STR("a") : STR("b")};
    const struct redis_how how = {.at_once = what & 2, .queue_ms = 10, .timeout_ms = 10};

    world->asked++;
    redis_command_with(world->redis, &how, argv, 2, on_answer, NULL);
}

static void use_link(uint8_t what)
{
    const struct redis_link_events none = {0};
    const struct str argv[] = {STR("XREAD")};

    if (!world->link)
        world->link = redis_link_open(world->redis, what % 2 ? STR("a") : STR("b"), &none);
    assert(world->link);
    world->asked++;
    redis_link_command(world->link, NULL, argv, 1, on_answer, NULL);
}

static void act(uint8_t what)
{
    const struct str ping[] = {STR("PING")};
    enum redis_kind kind = (enum redis_kind)(what % REDIS_KINDS);

    if (!world->redis)
        return;
    if (what < 4) {
        say(what);
    } else if (what < 8) {
        assert(redis_subscribe(world->redis, kind, what < 6 ? STR("a") : STR("b")));
    } else if (what < 11) {
        redis_unsubscribe(world->redis, kind, STR("a"));
    } else if (what == 11) {
        world->asked++;
        redis_each_master(world->redis, ping, 1, on_gathered, NULL);
    } else if (what < 14) {
        use_link(what);
    } else if (world->link) {
        redis_link_close(world->link);
        world->link = NULL;
    }
}

/* --- loop, time, connections --------------------------------------------------------------- */

static void stop_loop(struct net_task *task)
{
    (void)task;
    net_loop_stop(world->loop);
}

static void turn(void)
{
    char bytes[4096];

    for (int i = 0; i < TURNS; i++) {
        struct net_task stopper;

        net_task_init(&stopper, stop_loop);
        net_loop_later(world->loop, &stopper);
        assert(net_loop_run(world->loop) == 0);
    }
    for (int i = 0; i < CONNS; i++) {
        while (world->conns[i] >= 0 && read(world->conns[i], bytes, sizeof(bytes)) > 0)
            continue;
    }
}

static void hang_up(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void flush(struct buf *bytes)
{
    int *fd = &world->conns[world->current];

    if (bytes->size > 0 && *fd >= 0 && write(*fd, bytes->at, bytes->size) < 0)
        hang_up(fd);
    buf_reset(bytes);
    turn();
}

/* The connections that there are, in their order. */
static void choose(uint8_t which)
{
    for (int i = 0; i < CONNS; i++) {
        int at = (world->current + 1 + which + i) % CONNS;

        if (world->conns[at] < 0)
            continue;
        world->current = at;
        return;
    }
}

static void command(uint8_t what, struct buf *pending)
{
    static const uint32_t times_ms[] = {1,    5,    20,   60,   150,   400,
                                        1000, 1600, 2100, 5100, 16000, 31000};
    struct timer_wheel *wheel = net_loop_timers(world->loop);

    flush(pending);
    switch (what & 0xf0) {
    case 0x10:
        choose(what & 0x0f);
        break;
    case 0x20:
        hang_up(&world->conns[world->current]);
        break;
    case 0x30:
        timer_wheel_advance(wheel, wheel->clock_ms + times_ms[what % 12]);
        break;
    case 0x40:
        act(what & 0x0f);
        break;
    default:
        break;
    }
    turn();
}

static void play(struct fuzz_input *input)
{
    struct buf pending;

    buf_init(&pending, INPUT_MAX);
    for (int i = 0; i < TURNS; i++) /* the first connection */
        turn();
    while (input->left > 0) {
        uint8_t byte = fuzz_byte(input);
        uint8_t what = byte == 0xff ? fuzz_byte(input) : 0xff;

        if (what < 0x50)
            command(what, &pending);
        else
            buf_add_byte(&pending, (char)byte);
    }
    flush(&pending);
    buf_free(&pending);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct world here = {
        .log = {.fd = -1, .level = LOG_OFF}
    };
    struct redis *last;
    struct fuzz_input input = {bytes, size < INPUT_MAX ? size : INPUT_MAX};

    signal(SIGPIPE, SIG_IGN);
    world = &here;
    for (int i = 0; i < CONNS; i++)
        here.conns[i] = -1;
    begin(fuzz_byte(&input));
    play(&input);
    last = here.redis;
    here.redis = NULL;
    redis_free(last);
    turn();
    assert(here.asked == here.answered);
    for (int i = 0; i < CONNS; i++)
        hang_up(&here.conns[i]);
    net_loop_free(here.loop);
    return 0;
}
