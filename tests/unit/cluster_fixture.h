/*
 * cluster_fixture: some servers of a cluster on one loop, with clients over the stand-ins of
 * session_double.h, over any bus.
 *
 * A bus is given by a factory, so that the same cases (cluster_suite.h) run over each. Included by
 * one file of a test binary.
 */
#ifndef CLUSTER_FIXTURE_H
#define CLUSTER_FIXTURE_H

#include "cluster/cluster.h"
#include "session_double.h"

#include "base/clock.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    WORLD_SERVERS = 3,
    WORLD_CLIENTS = 16,
    WORLD_DEADLINE_MS =
        20000, /* for what must come; tests do not wait that long when it does */
    REQUEST_TIMEOUT_MS = 10000,
};

struct bus_factory {
    const char *name;
    bool recovery; /* clients get offsets with events */

    /* What all buses of a world share, or NULL. */
    void *(*start)(struct net_loop *loop);
    void (*stop)(void *shared);
    struct cluster_bus *(*make)(void *shared, struct net_loop *loop, struct random *random,
                                const struct log *log);
};

struct world;

struct member {
    struct world *world;
    struct random random;
    struct sio_server *sio;
    struct cluster *cluster;
    struct eio_handler handler;
    struct sio_handle last;   /* the socket that was connected last */
    struct buf story;         /* what the application was told, a line each */
    struct str server_answer; /* to others' server events; empty: none, ever */
    struct cluster_answer *withheld;
};

struct client {
    struct member *server; /* NULL: unused */
    struct eio_session *session;
    struct sio_handle handle;
};

/* A failed test may leave while it is being counted. */
struct awaited_count {
    struct member *server;
    struct str nsp;
    int wanted;
    int seen;
};

struct world {
    const struct bus_factory *factory;
    void *shared;
    struct net_loop *loop;
    struct log log;
    struct timer check;
    uint64_t deadline_ms;
    bool (*done)(struct world *world, void *context);
    void *context;
    bool satisfied;
    struct awaited_count count;
    struct member servers[WORLD_SERVERS];
    struct client clients[WORLD_CLIENTS];
};

/* --- the loop -------------------------------------------------------------------------------- */

static inline void world_check(struct timer *timer)
{
    struct world *world = CONTAINER_OF(timer, struct world, check);

    world->satisfied = world->done(world, world->context);
    if (world->satisfied || clock_monotonic_ms() > world->deadline_ms)
        net_loop_stop(world->loop);
    else
        timer_start(net_loop_timers(world->loop), timer, 1);
}

/* Turns the loop until it is so. */
static inline void wait_until(struct world *world,
                              bool (*done)(struct world *world, void *context), void *context,
                              const char *what)
{
    world->done = done;
    world->context = context;
    world->deadline_ms = clock_monotonic_ms() + WORLD_DEADLINE_MS;
    timer_start(net_loop_timers(world->loop), &world->check, 0);
    assert_int_equal(net_loop_run(world->loop), 0);
    if (!world->satisfied)
        fail_msg("over %s: waited in vain for %s", world->factory->name, what);
}

/* --- the application ------------------------------------------------------------------------- */

static inline void note_told(struct member *server, const char *what, struct str more)
{
    buf_printf(&server->story, "%s %.*s\n", what, (int)more.size, more.at);
}

static inline void app_connecting(void *owner, struct sio_socket *socket)
{
    ((struct member *)owner)->last = sio_socket_handle(socket);
    sio_socket_accept(socket);
}

static inline void app_nothing(void *owner, struct sio_socket *socket)
{
    (void)owner;
    (void)socket;
}

static inline void app_event(void *owner, struct sio_socket *socket,
                             const struct sio_event *event)
{
    (void)socket;
    note_told(owner, "event", event->name);
}

static inline void app_ending(void *owner, struct sio_socket *socket,
                              enum sio_disconnect_reason reason)
{
    (void)owner;
    (void)socket;
    (void)reason;
}

static inline void app_ended(void *owner, struct sio_socket *socket,
                             enum sio_disconnect_reason reason)
{
    (void)socket;
    note_told(owner, "disconnected", str_from(sio_disconnect_reason_text(reason)));
}

static inline void app_error(void *owner, struct sio_socket *socket, const char *message)
{
    (void)socket;
    note_told(owner, "error", str_from(message));
}

static inline bool app_adopts(void *owner, struct sio_namespace *parent, struct str name,
                              struct str auth)
{
    (void)owner;
    (void)parent;
    (void)name;
    (void)auth;
    return false;
}

static inline void app_server_event(void *owner, struct sio_namespace *nsp,
                                    const struct sio_event *event,
                                    struct cluster_answer *answer)
{
    struct member *server = owner;
    struct str name = sio_namespace_name(nsp);
    const struct sio_args args = {.json = server->server_answer};

    buf_printf(&server->story, "server event %.*s %.*s%.*s\n", (int)name.size, name.at,
               (int)event->name.size, event->name.at, (int)event->args.json.size,
               event->args.json.at);
    assert_int_equal(event->wants_ack, answer != NULL);
    if (!answer)
        return;
    if (server->server_answer.size > 0)
        cluster_server_answer(answer, &args);
    else
        server->withheld = answer;
}

/* --- set-up ---------------------------------------------------------------------------------- */

static inline void start_server(struct world *world, int index)
{
    struct member *server = &world->servers[index];
    const struct sio_recovery_options recovery = {
        .window_ms = world->factory && world->factory->recovery ? 60000 : 0,
        .buffer = 1 << 20,
    };
    const struct sio_options options = {
        .connect_timeout_ms = 45000,
        .max_attachments = 10,
        .cleanup_empty_children = true,
        .recovery = recovery,
    };
    const struct sio_app app = {
        .connecting = app_connecting,
        .connected = app_nothing,
        .event = app_event,
        .disconnecting = app_ending,
        .disconnected = app_ended,
        .error = app_error,
        .adopts = app_adopts,
        .owner = server,
    };
    const struct cluster_app cluster_app = {app_server_event, server};
    struct cluster_options cluster_options = {
        .loop = world->loop,
        .random = &server->random,
        .log = &world->log,
        .request_timeout_ms = REQUEST_TIMEOUT_MS,
    };

    server->world = world;
    random_init(&server->random);
    buf_init(&server->story, SIZE_MAX);
    server->server_answer = STR("");
    server->sio = sio_server_new(world->loop, &server->random, &world->log, &options, &app);
    assert_non_null(server->sio);
    server->handler = sio_server_handler(server->sio);
    if (world->factory) {
        cluster_options.bus =
            world->factory->make(world->shared, world->loop, &server->random, &world->log);
        assert_non_null(cluster_options.bus);
    }
    cluster_options.server = server->sio;
    server->cluster = cluster_new(&cluster_options);
    assert_non_null(server->cluster);
    cluster_set_app(server->cluster, &cluster_app);
    assert_non_null(
        sio_namespace_add(server->sio, &(struct sio_namespace_options){.name = STR("/hub"),
                                                                       .recovery = recovery}));
    assert_non_null(sio_namespace_add(
        server->sio, &(struct sio_namespace_options){
                         .kind = SIO_GLOB, .name = STR("/org-*"), .recovery = recovery}));
}

static inline void leave(struct client *client)
{
    client->server->handler.closed(client->session, EIO_TRANSPORT_CLOSE);
    double_session_free(client->session);
    client->server = NULL;
}

static inline void stop_server(struct world *world, int index)
{
    struct member *server = &world->servers[index];

    if (!server->sio)
        return;
    for (int i = 0; i < WORLD_CLIENTS; i++) {
        if (world->clients[i].server == server)
            leave(&world->clients[i]);
    }
    sio_server_free(server->sio);
    cluster_free(server->cluster);
    if (server->withheld)
        cluster_server_answer(server->withheld, NULL);
    buf_free(&server->story);
    *server = (struct member){0};
}

static inline void counted_servers(void *owner, int servers)
{
    *(int *)owner = servers;
}

static inline bool is_counted(struct world *world, void *context)
{
    struct awaited_count *count = context;

    (void)world;
    if (count->seen == 0)
        return false;
    if (count->seen == count->wanted)
        return true;
    count->seen = 0;
    cluster_servers(count->server->cluster, sio_namespace_find(count->server->sio, count->nsp),
                    counted_servers, &count->seen);
    return false;
}

/* Turns the loop until the server sees that many in the namespace. */
static inline void wait_for_servers(struct world *world, int index, const char *nsp, int wanted)
{
    world->count = (struct awaited_count){&world->servers[index], str_from(nsp), wanted, -1};
    wait_until(world, is_counted, &world->count, "the servers to be counted");
}

static inline int world_setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    world->factory = *state;
    world->loop = net_loop_new();
    assert_non_null(world->loop);
    world->log = (struct log){.fd = 2, .level = LOG_OFF};
    timer_init(&world->check, world_check);
    if (world->factory)
        world->shared = world->factory->start(world->loop);
    for (int i = 0; i < WORLD_SERVERS; i++)
        start_server(world, i);
    for (int i = 0; i < WORLD_SERVERS && world->factory; i++) {
        wait_for_servers(world, i, "/", WORLD_SERVERS);
        wait_for_servers(world, i, "/hub", WORLD_SERVERS);
    }
    *state = world;
    return 0;
}

static inline int world_teardown(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < WORLD_SERVERS; i++)
        stop_server(world, i);
    if (world->factory)
        world->factory->stop(world->shared);
    net_loop_free(world->loop);
    free(world);
    return 0;
}

/* --- clients --------------------------------------------------------------------------------- */

static inline void client_says(struct client *client, const char *text)
{
    size_t size = strlen(text);
    uint8_t *copy = malloc(size + 1);

    memcpy(copy, text, size + 1);
    client->server->handler.message(client->session, FRAME_TEXT, copy, size);
    free(copy);
}

static inline struct frame *take_frame(struct client *client)
{
    struct eio_session *session = client->session;

    return session->sent_first < session->sent_end ? session->sent[session->sent_first++]
                                                   : NULL;
}

static inline struct client *connect_client(struct world *world, int index, const char *nsp)
{
    struct client *client = world->clients;
    char text[64];

    while (client->server)
        client++;
    assert_true(client < world->clients + WORLD_CLIENTS);
    client->server = &world->servers[index];
    client->session = double_session_new(world->loop);
    client->session->handshake.target = STR("/socket.io/?EIO=4&name=a%20b");
    client->session->handshake.address = STR("127.0.0.1");
    assert_true(client->server->handler.open(client->server->handler.owner, client->session));
    snprintf(text, sizeof(text), "0%s,", nsp);
    client_says(client, text);
    client->handle = client->server->last;
    frame_unref(take_frame(client)); /* the CONNECT answer */
    return client;
}

static inline struct sio_socket *socket_of(const struct client *client)
{
    struct sio_socket *socket = sio_socket_find(client->server->sio, client->handle);

    assert_non_null(socket);
    return socket;
}

static inline bool has_frame(struct world *world, void *context)
{
    const struct client *client = context;

    (void)world;
    return client->session->sent_first < client->session->sent_end;
}

/* Without the offset at the end of an event: ,"1795396182875-0"] */
static inline struct str without_offset(struct str text, char copy[256])
{
    size_t end = text.size;

    if (end < 4 || end >= 256 || memcmp(text.at + end - 2, "\"]", 2) != 0)
        return text;
    end -= 2;
    while (end > 2 &&
           (isalnum((unsigned char)text.at[end - 1]) || strchr("-_.", text.at[end - 1])))
        end--;
    if (memcmp(text.at + end - 2, ",\"", 2) != 0 || end == text.size - 2)
        return text;
    memcpy(copy, text.at, end - 2);
    copy[end - 2] = ']';
    return str_of(copy, end - 1);
}

/* The next message the client gets. */
static inline void expect_message(struct world *world, struct client *client, const char *text)
{
    struct frame *frame;
    struct str body;
    char copy[256];

    wait_until(world, has_frame, client, text);
    frame = take_frame(client);
    body = frame_body(frame);
    if (frame_kind(frame) == FRAME_TEXT)
        body = str_from_index(body, 1);
    if (world->factory && world->factory->recovery)
        body = without_offset(body, copy);
    if (!str_equal(body, str_from(text)))
        fail_msg("over %s: got %.*s, expected %s",
                 world->factory ? world->factory->name : "nothing", (int)body.size, body.at,
                 text);
    frame_unref(frame);
}

static inline void expect_silence(struct client *client)
{
    struct frame *frame = take_frame(client);

    if (frame)
        fail_msg("got %.*s, expected nothing", (int)frame_body(frame).size,
                 frame_body(frame).at);
}

struct awaited_story {
    struct member *server;
    struct str text;
};

static inline bool has_story(struct world *world, void *context)
{
    const struct awaited_story *story = context;

    (void)world;
    return str_equal(buf_str(&story->server->story), story->text);
}

static inline void expect_story(struct world *world, int index, const char *text)
{
    struct awaited_story story = {&world->servers[index], str_from(text)};

    wait_until(world, has_story, &story, text);
    buf_reset(&world->servers[index].story);
}

/* --- emitting -------------------------------------------------------------------------------- */

static inline struct sio_target target_in(struct world *world, int index, const char *nsp)
{
    const struct sio_target target = {
        .nsp = sio_namespace_find(world->servers[index].sio, str_from(nsp))};

    assert_non_null(target.nsp);
    return target;
}

static inline struct sio_args event(const char *json)
{
    return (struct sio_args){.json = str_from(json)};
}

static inline void emit(struct world *world, int index, const struct sio_target *target,
                        const char *json, unsigned flags)
{
    const struct sio_args args = event(json);

    cluster_broadcast(world->servers[index].cluster, target, &args, flags);
}

/* --- what handlers are told ------------------------------------------------------------------ */

struct gathered {
    struct buf text; /* answers or sockets, a line each */
    bool ended;
    struct cluster_result result;
};

static inline void note_answer(void *owner, const struct sio_args *args)
{
    struct gathered *outcome = owner;

    buf_add_str(&outcome->text, args->json);
    buf_add_byte(&outcome->text, '\n');
}

static inline void note_socket(void *owner, struct str json)
{
    struct gathered *outcome = owner;

    buf_add_str(&outcome->text, json);
    buf_add_byte(&outcome->text, '\n');
}

static inline void note_end(void *owner, const struct cluster_result *result)
{
    struct gathered *outcome = owner;

    assert_false(outcome->ended);
    outcome->ended = true;
    outcome->result = *result;
}

static const struct cluster_ack_handler note_acks = {note_answer, note_end};
static const struct cluster_fetch_handler note_sockets = {note_socket, note_end};

static inline bool has_ended(struct world *world, void *context)
{
    const struct gathered *outcome = context;

    (void)world;
    return outcome->ended;
}

static inline void expect_result(struct world *world, struct gathered *outcome,
                                 enum cluster_end how, uint32_t expected, uint32_t answered)
{
    wait_until(world, has_ended, outcome, "the end of a request");
    assert_int_equal(outcome->result.end, how);
    assert_int_equal(outcome->result.expected, expected);
    assert_int_equal(outcome->result.answered, answered);
}

static inline void outcome_init(struct gathered *outcome)
{
    *outcome = (struct gathered){0};
    buf_init(&outcome->text, SIZE_MAX);
}

/* How often the word stands in the text. */
static inline int occurrences(const struct buf *text, const char *word)
{
    struct str sought = str_from(word);
    int count = 0;

    for (size_t at = 0; at + sought.size <= text->size; at++)
        count += memcmp(text->at + at, sought.at, sought.size) == 0;
    return count;
}

#endif
