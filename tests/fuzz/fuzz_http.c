/*
 * fuzz_http: bytes of several clients to the real server: net/http1, http/router, engineio and
 * socketio over socket pairs, with an application that answers, joins, broadcasts, leaves.
 *
 * Handshakes whose target has "later" in it are let in or refused when time passes or the server
 * has closed; those with "refuse" at once.
 *
 * A client that is given raw bytes can do nothing but be answered or closed; at the end all
 * sessions must be gone, and the leak check sees what was forgotten. Time is the timer wheel's.
 *
 * Input     bytes for the client in use; 0xFF begins a command, whose second byte says:
 *           0x00-0x0f  turn the loop, so that what follows comes in another read
 *           0x10-0x1f  go on with another client (low bits), connecting it if it is not
 *           0x20-0x2f  the client closes (odd: with what it was sent unread)
 *           0x30-0x3f  time passes (a table below)
 *           others     a byte 0xFF
 *           "$sid" stands for the id of the session that was opened last.
 */
#include "fuzz.h"

#include "base/log.h"
#include "http/router.h"
#include "net/http_forwarded.h"
#include "socketio/socketio.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CLIENTS = 4,
    TURNS = 4,
    INPUT_MAX = 8192, /* bytes looked at */
    MAX_PAYLOAD = 2000,
    BACKLOG = 64 * 1024,
    HEADER_BYTES = 2048,
    ADMISSIONS = 4,
    MANY_MS = 100 * 1000, /* longer than any time-out here */
};

struct world {
    struct net_loop *loop;
    struct random random;
    struct log log;
    struct sio_server *sio;
    struct eio_server *engine;
    struct http_router router;
    struct health health; /* none */
    struct http_service service;
    struct http_limits limits;
    struct eio_handler handler; /* socketio's, behind ours */
    int clients[CLIENTS];
    int current;
    char sid[RANDOM_ID_SIZE];
    struct eio_admission *admissions[ADMISSIONS];
    size_t admission_count;
};

/* --- the application ----------------------------------------------------------------------- */

static void connecting(void *owner, struct sio_socket *socket)
{
    (void)owner;
    if (str_starts(sio_socket_auth(socket), STR("{\"refuse\"")))
        sio_socket_refuse(socket, STR("no"), sio_socket_auth(socket));
    else
        sio_socket_accept(socket);
}

static void connected(void *owner, struct sio_socket *socket)
{
    (void)owner;
    assert(sio_socket_join(socket, STR("all")));
}

static void answered(void *owner, struct sio_socket *socket, const struct sio_args *args)
{
    (void)owner;
    (void)socket;
    assert(json_check(args->json));
}

static void ended(void *owner, enum sio_ack_end how)
{
    (void)owner;
    (void)how;
}

static void emit(struct sio_socket *socket, const struct sio_event *event)
{
    static const struct sio_ack_handler handler = {.answer = answered, .end = ended};
    const struct str all = STR("all");
    const struct sio_target target = {
        .nsp = sio_socket_namespace(socket), .rooms = &all, .room_count = 1};
    const struct sio_args hello = {.json = STR("[\"hello\",{\"a\":1}]")};

    if (str_equal(event->name, STR("all")))
        sio_broadcast(&target, &hello, 0);
    else if (str_equal(event->name, STR("ask")))
        sio_broadcast_ack(&target, &hello, 1000, 0, &handler, NULL);
    else if (str_equal(event->name, STR("me")))
        sio_socket_emit_ack(socket, &hello, 1000, SIO_VOLATILE, &handler, NULL);
}

static void on_event(void *owner, struct sio_socket *socket, const struct sio_event *event)
{
    (void)owner;
    assert(json_check(event->args.json));
    if (event->wants_ack)
        sio_socket_ack(socket, event->ack_id, &event->args);
    if (str_equal(event->name, STR("leave")))
        sio_socket_leave(socket, STR("all"));
    else if (str_equal(event->name, STR("bye")))
        sio_socket_disconnect(socket, event->wants_ack);
    else
        emit(socket, event);
}

static void on_left(void *owner, struct sio_socket *socket, enum sio_disconnect_reason reason)
{
    (void)owner;
    assert(sio_socket_id(socket).size > 0 && sio_disconnect_reason_text(reason));
}

static void on_error(void *owner, struct sio_socket *socket, const char *message)
{
    (void)owner;
    (void)socket;
    assert(message);
}

static bool adopts(void *owner, struct sio_namespace *parent, struct str name, struct str auth)
{
    (void)owner;
    (void)parent;
    (void)auth;
    return name.size % 2 == 0;
}

/* --- the server ---------------------------------------------------------------------------- */

static bool on_open(void *owner, struct eio_session *session)
{
    struct world *world = owner;
    struct str id = eio_session_id(session);

    memcpy(world->sid, id.at, id.size);
    return world->handler.open(world->handler.owner, session);
}

static bool target_has(const struct eio_admission *admission, const char *word)
{
    struct str target = eio_admission_handshake(admission)->target;

    return memmem(target.at, target.size, word, strlen(word)) != NULL;
}

static void admit(void *owner, struct eio_admission *admission)
{
    struct world *world = owner;

    if (target_has(admission, "refuse"))
        eio_admission_refuse(admission, STR("no \"entry\""));
    else if (target_has(admission, "later") && world->admission_count < ADMISSIONS)
        world->admissions[world->admission_count++] = admission;
    else
        eio_admission_allow(admission);
}

static void decide(struct world *world, bool all)
{
    for (size_t i = 0; i < world->admission_count; i++) {
        if (i % 2 == 0 || all)
            eio_admission_allow(world->admissions[i]);
        else
            eio_admission_refuse(world->admissions[i], STR(""));
    }
    world->admission_count = 0;
}

static void make_sio(struct world *world)
{
    const struct sio_app app = {
        .connecting = connecting,
        .connected = connected,
        .event = on_event,
        .disconnecting = on_left,
        .disconnected = on_left,
        .error = on_error,
        .adopts = adopts,
    };
    const struct sio_options options = {
        .connect_timeout_ms = 5000, .max_attachments = 3, .cleanup_empty_children = true};

    world->sio = sio_server_new(world->loop, &world->random, &world->log, &options, &app);
    assert(world->sio);
    assert(sio_namespace_add(
        world->sio, &(struct sio_namespace_options){.kind = SIO_NAMED, .name = STR("/")}));
    assert(sio_namespace_add(world->sio, &(struct sio_namespace_options){.kind = SIO_GLOB,
                                                                         .name = STR("/org-*"),
                                                                         .max_payload = 100}));
    assert(sio_namespace_add(
        world->sio, &(struct sio_namespace_options){.kind = SIO_DECIDED, .name = STR("")}));
}

static void make_engine(struct world *world)
{
    static const struct str origins[] = {STR("https://*.example.com")};
    const struct eio_options options = {
        .path = STR("/socket.io/"),
        .polling = true,
        .websocket = true,
        .allow_upgrades = true,
        .legacy_clients = true,
        .ping_interval_ms = 25000,
        .ping_timeout_ms = 20000,
        .upgrade_timeout_ms = 10000,
        .max_payload = MAX_PAYLOAD,
        .backlog = BACKLOG,
        .cors = {.mode = CORS_LIST,
                 .credentials = true,
                 .origins = origins,
                 .origin_count = 1,
                 .methods = STR("GET,POST"),
                 .exposed_headers = STR("X-A")},
        .cookie_name = STR("io"),
        .cookie_attributes = STR("; Path=/"),
        .admit = admit,
        .admit_owner = world,
    };
    struct eio_handler handler = sio_server_handler(world->sio);

    /* Messages and ends go to socketio directly; only `open` is looked at. */
    world->handler = handler;
    handler.open = on_open;
    handler.owner = world;
    world->engine =
        eio_server_new(world->loop, &world->random, &world->log, &options, &handler);
    assert(world->engine);
    world->router = (struct http_router){
        .engine = world->engine, .health = &world->health, .silence_ms = 1000};
}

static void begin(struct world *world)
{
    static const struct http_trust trust = {.all = true};

    *world = (struct world){
        .log = {.fd = -1, .level = LOG_OFF}
    };
    signal(SIGPIPE, SIG_IGN);
    random_init(&world->random);
    world->loop = net_loop_new();
    assert(world->loop);
    make_sio(world);
    make_engine(world);
    world->service = (struct http_service){
        .request = http_router_request, .owner = &world->router, .trust = &trust};
    world->limits = (struct http_limits){
        .header_bytes = HEADER_BYTES,
        .headers_timeout_ms = 3000,
        .request_timeout_ms = 10000,
        .keep_alive_ms = 5000,
    };
    for (int i = 0; i < CLIENTS; i++)
        world->clients[i] = -1;
}

/* --- loop, time, clients ------------------------------------------------------------------- */

struct stopper {
    struct net_task task;
    struct net_loop *loop;
};

static void stop_loop(struct net_task *task)
{
    net_loop_stop(((struct stopper *)task)->loop);
}

static void turn(struct world *world)
{
    for (int i = 0; i < TURNS; i++) {
        struct stopper stopper = {.loop = world->loop};

        net_task_init(&stopper.task, stop_loop);
        net_loop_later(world->loop, &stopper.task);
        assert(net_loop_run(world->loop) == 0);
    }
}

static void pass_ms(struct world *world, uint64_t ms)
{
    struct timer_wheel *wheel = net_loop_timers(world->loop);

    timer_wheel_advance(wheel, wheel->clock_ms + ms);
    turn(world);
}

static void connect_client(struct world *world)
{
    int pair[2];

    if (world->clients[world->current] >= 0)
        return;
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    struct net_conn *conn = net_conn_new(world->loop, pair[0], BACKLOG);
    assert(conn);
    http1_serve(conn, &world->service, &world->limits, &world->log, false);
    world->clients[world->current] = pair[1];
}

static void read_answers(int fd)
{
    char bytes[4096];

    while (read(fd, bytes, sizeof(bytes)) > 0)
        continue;
}

static void disconnect_client(struct world *world, bool read_first)
{
    int *fd = &world->clients[world->current];

    if (*fd < 0)
        return;
    if (read_first)
        read_answers(*fd);
    close(*fd);
    *fd = -1;
    turn(world);
}

static void send_bytes(struct world *world, struct buf *bytes)
{
    const char *at = bytes->at;
    size_t left = bytes->size;

    while (left > 0) {
        connect_client(world);
        int fd = world->clients[world->current];
        ssize_t sent = write(fd, at, left);

        if (sent > 0) {
            at += sent;
            left -= (size_t)sent;
        }
        turn(world);
        read_answers(fd);
        if (sent < 0)
            break; /* the server has closed */
    }
    buf_reset(bytes);
}

static void command(struct world *world, uint8_t what, struct buf *pending)
{
    static const uint32_t times_ms[] = {1,     100,   1000, 3001, 5001, 10001, 20001, 25001,
                                        30001, 45001, 1,    1,    1,    1,     1,     1};

    send_bytes(world, pending);
    switch (what & 0xf0) {
    case 0x10:
        world->current = what % CLIENTS;
        connect_client(world);
        turn(world);
        break;
    case 0x20:
        disconnect_client(world, what % 2 == 0);
        break;
    case 0x30:
        decide(world, false);
        pass_ms(world, times_ms[what & 0x0f]);
        break;
    default:
        turn(world);
    }
}

static void play(struct world *world, struct fuzz_input *input)
{
    static const struct str sid = STR("$sid");
    struct buf pending;

    buf_init(&pending, INPUT_MAX * RANDOM_ID_SIZE);
    while (input->left > 0) {
        if (str_starts(str_of(input->at, input->left), sid)) {
            buf_add(&pending, world->sid, sizeof(world->sid));
            input->at += sid.size;
            input->left -= sid.size;
            continue;
        }
        uint8_t byte = fuzz_byte(input);
        uint8_t what = byte == 0xff ? fuzz_byte(input) : 0xff;

        if (what < 0x40)
            command(world, what, &pending);
        else
            buf_add_byte(&pending, (char)byte);
    }
    send_bytes(world, &pending);
    buf_free(&pending);
}

static void end(struct world *world)
{
    eio_server_close(world->engine);
    turn(world);
    decide(world, true);
    turn(world);
    for (world->current = 0; world->current < CLIENTS; world->current++)
        disconnect_client(world, true);
    pass_ms(world, MANY_MS);
    assert(eio_server_sessions(world->engine) == 0);
    eio_server_free(world->engine);
    sio_server_free(world->sio);
    net_loop_free(world->loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {bytes, size < INPUT_MAX ? size : INPUT_MAX};
    struct world *world = malloc(sizeof(*world));

    assert(world);
    begin(world);
    connect_client(world);
    play(world, &input);
    end(world);
    free(world);
    return 0;
}
