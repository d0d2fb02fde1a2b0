/*
 * fuzz_session: what lost sockets leave, read from where others write it: sessions in Redis, skua's
 * and the official adapter's, which are written and read again; and what a process hands to its
 * successor, which is handed on.
 *
 * Input     which of the three, then the bytes.
 */
#include "fuzz.h"

#include "cluster/session.h"
#include "net/loop.h"

#include <unistd.h>

static void expect_same(const struct sio_session *a, const struct sio_session *b)
{
    assert(str_equal(a->sid, b->sid) && str_equal(a->start, b->start));
    assert(str_equal(a->upto, b->upto) && str_equal(a->last, b->last));
    assert(a->origin == b->origin && a->since == b->since);
    assert(a->room_count == b->room_count && a->packet_count == b->packet_count);
    for (size_t i = 0; i < a->room_count; i++)
        assert(str_equal(a->rooms[i], b->rooms[i]));
    for (size_t i = 0; i < a->packet_count; i++) {
        assert(a->packets[i].origin == b->packets[i].origin);
        assert(a->packets[i].number == b->packets[i].number);
        assert(a->packets[i].frame_count == b->packets[i].frame_count);
        for (uint32_t n = 0; n < a->packets[i].frame_count; n++)
            assert(str_equal(a->packets[i].frames[n], b->packets[i].frames[n]));
    }
}

static void read_own(struct str bytes)
{
    struct session_read read, again;
    struct buf written;

    if (!session_read(&read, bytes))
        return;
    buf_init(&written, SIZE_MAX);
    session_write(&written, read.parser, read.nsp, &read.session);
    assert(!buf_failed(&written) && session_read(&again, buf_str(&written)));
    expect_same(&read.session, &again.session);
    assert(str_equal(read.session.data, again.session.data));
    session_free(&again);
    session_free(&read);
    buf_free(&written);
}

/* Data is not compared: what is not JSON's is lost once. */
static void read_official(struct str bytes)
{
    struct session_read read, again;
    struct buf written;

    if (!session_read_official(&read, bytes))
        return;
    read.session.pid = STR("pid");
    buf_init(&written, SIZE_MAX);
    session_write_official(&written, &read.session);
    if (!buf_failed(
            &written)) { /* data nested as deep as may be does not fit one level deeper */
        assert(session_read_official(&again, buf_str(&written)));
        expect_same(&read.session, &again.session);
        session_free(&again);
    }
    session_free(&read);
    buf_free(&written);
}

static bool adopt(void *owner, struct sio_namespace *parent, struct str name, struct str auth)
{
    (void)owner, (void)parent, (void)name, (void)auth;
    return true;
}

static struct sio_server *server_on(struct net_loop *loop, struct random *random,
                                    const struct log *log)
{
    const struct sio_recovery_options recovery = {.window_ms = 60000, .buffer = 100000};
    const struct sio_app app = {.adopts = adopt};
    struct sio_server *server =
        sio_server_new(loop, random, log, &(struct sio_options){.recovery = recovery}, &app);

    assert(server);
    assert(sio_namespace_add(server, &(struct sio_namespace_options){
                                         .kind = SIO_GLOB,
                                         .name = STR("/org-*"),
                                         .recovery = recovery,
                                     }));
    return server;
}

static void go_on(struct str bytes)
{
    const struct log log = {.fd = STDERR_FILENO, .level = LOG_OFF};
    static struct net_loop *loop;
    struct sio_server *server, *successor;
    struct random random;
    struct buf state;

    if (!loop)
        loop = net_loop_new();
    random_init(&random);
    buf_init(&state, SIZE_MAX);
    server = server_on(loop, &random, &log);
    successor = server_on(loop, &random, &log);
    sio_server_thaw(server, bytes);
    assert(sio_server_freeze(server, &state));
    assert(sio_server_thaw(successor, buf_str(&state)));
    assert(sio_server_origin(successor) == sio_server_origin(server));
    sio_server_free(server);
    sio_server_free(successor);
    buf_free(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const readers[])(struct str bytes) = {read_own, read_official, go_on};
    struct fuzz_input input = {bytes, size};
    void (*reader)(struct str bytes) = readers[fuzz_byte(&input) % 3];
    struct str rest = fuzz_rest(&input);
    uint8_t *copy = fuzz_copy(rest);

    reader(str_of(copy, rest.size));
    free(copy);
    return 0;
}
