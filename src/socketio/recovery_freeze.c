#include "msgpack/msgpack.h"
#include "recovery.h"

#include <assert.h>
#include <stdlib.h>

/*
 * What recovery keeps in memory, for the process that takes this one's place. MessagePack:
 *
 *   [version, first kind, origin, [namespace, …]]
 *   namespace  [name, next number, cut, ms left of the cut, [entry, …], [session, …]]
 *   entry      [age ms, alone, origin, number, room count, [room or exception, …], [frame, …]]
 *   session    [age ms, pid, sid, since, start, upto, last, data, [room, …]]
 */

enum {
    VERSION = 1,
    NAMESPACE_FIELDS = 6,
    ENTRY_FIELDS = 7,
    SESSION_FIELDS = 9,
};

/* --- writing --------------------------------------------------------------------------------- */

static void write_number(struct buf *to, uint64_t number)
{
    assert(number <= INT64_MAX);
    msgpack_write_integer(to, (int64_t)number);
}

static void write_entry(struct buf *to, const struct sio_log_entry *entry, uint64_t now_ms)
{
    const struct sio_audience *audience = entry->audience;
    uint32_t names = audience ? audience->room_count + audience->except_count : 0;

    msgpack_write_array(to, ENTRY_FIELDS);
    write_number(to, now_ms - entry->at_ms);
    msgpack_write_bool(to, entry->alone);
    write_number(to, entry->mark.origin);
    write_number(to, entry->mark.number);
    write_number(to, audience ? audience->room_count : 0);
    msgpack_write_array(to, names);
    for (uint32_t i = 0; i < names; i++)
        msgpack_write_string(to, audience->names[i]);
    msgpack_write_array(to, entry->packet->frame_count);
    for (uint32_t i = 0; i < entry->packet->frame_count; i++)
        msgpack_write_binary(to, frame_body(entry->packet->frames[i]));
}

static void write_saved(struct buf *to, const struct sio_saved *saved, uint64_t now_ms)
{
    const struct sio_session *session = &saved->session;

    msgpack_write_array(to, SESSION_FIELDS);
    write_number(to, now_ms - saved->lost_ms);
    msgpack_write_string(to, session->pid);
    msgpack_write_string(to, session->sid);
    write_number(to, session->since);
    msgpack_write_string(to, session->start);
    msgpack_write_string(to, session->upto);
    msgpack_write_string(to, session->last);
    msgpack_write_string(to, session->data);
    msgpack_write_array(to, (uint32_t)session->room_count);
    for (size_t i = 0; i < session->room_count; i++)
        msgpack_write_string(to, session->rooms[i]);
}

static uint32_t count_saved(const struct sio_log *log)
{
    uint32_t count = 0;

    for (struct list *link = log->saved.next; link != &log->saved; link = link->next)
        count++;
    return count;
}

static void write_namespace(struct buf *to, const struct sio_namespace *nsp, uint64_t now_ms)
{
    const struct sio_log *log = nsp->log;

    msgpack_write_array(to, NAMESPACE_FIELDS);
    msgpack_write_string(to, nsp->name);
    write_number(to, nsp->next_number);
    write_number(to, nsp->cut);
    write_number(to, nsp->cut_until_ms > now_ms ? nsp->cut_until_ms - now_ms : 0);
    msgpack_write_array(to, log->count);
    for (uint32_t i = 0; i < log->count; i++)
        write_entry(to, sio_log_entry_at(log, i), now_ms);
    msgpack_write_array(to, count_saved(log));
    for (struct list *link = log->saved.next; link != &log->saved; link = link->next)
        write_saved(to, CONTAINER_OF(link, struct sio_saved, in_log), now_ms);
}

static uint32_t count_logs(const struct sio_server *server)
{
    uint32_t count = 0;

    for (struct list *link = server->namespaces.next; link != &server->namespaces;
         link = link->next)
        count += CONTAINER_OF(link, struct sio_namespace, in_server)->log != NULL;
    return count;
}

static void end_for_successor(struct sio_socket *socket, const void *context)
{
    (void)context;
    sio_socket_end(socket, SIO_SERVER_SHUTDOWN);
}

bool sio_server_freeze(struct sio_server *server, struct buf *to)
{
    uint64_t now_ms = net_loop_now(server->loop);

    for (struct list *link = server->clients.next; link != &server->clients;
         link = link->next) {
        struct sio_client *client = CONTAINER_OF(link, struct sio_client, in_server);

        client->closing = true;
        sio_client_each(client, end_for_successor, NULL);
    }
    msgpack_write_array(to, 4);
    write_number(to, VERSION);
    write_number(to, server->codec->first);
    write_number(to, server->origin);
    msgpack_write_array(to, count_logs(server));
    for (struct list *link = server->namespaces.next; link != &server->namespaces;
         link = link->next) {
        const struct sio_namespace *nsp = CONTAINER_OF(link, struct sio_namespace, in_server);

        if (nsp->log)
            write_namespace(to, nsp, now_ms);
    }
    return !buf_failed(to);
}

/* --- reading --------------------------------------------------------------------------------- */

struct thaw {
    struct sio_server *server;
    struct msgpack_reader reader;
    struct str *names; /* of the entry or session that is being read */
    uint32_t capacity;
    bool good;
};

static struct msgpack_token next(struct thaw *thaw, enum msgpack_kind kind)
{
    struct msgpack_token token = {.kind = MSGPACK_NIL};

    if (!thaw->good || !msgpack_read(&thaw->reader, &token) || token.kind != kind) {
        thaw->good = false;
        token = (struct msgpack_token){.kind = MSGPACK_NIL};
        token.bytes = STR("");
    }
    return token;
}

static uint64_t next_number(struct thaw *thaw)
{
    int64_t integer = next(thaw, MSGPACK_INTEGER).integer;

    if (!thaw->good || integer < 0) {
        thaw->good = false;
        return 0;
    }
    return (uint64_t)integer;
}

static bool next_bool(struct thaw *thaw)
{
    struct msgpack_token token = next(thaw, MSGPACK_BOOL);

    return thaw->good && token.boolean;
}

static struct str next_string(struct thaw *thaw)
{
    return next(thaw, MSGPACK_STRING).bytes;
}

static uint32_t next_count(struct thaw *thaw)
{
    struct msgpack_token token = next(thaw, MSGPACK_ARRAY);

    return thaw->good ? token.count : 0;
}

static uint32_t next_strings(struct thaw *thaw, enum msgpack_kind kind)
{
    uint32_t count = next_count(thaw);

    if (count > thaw->capacity) {
        struct str *grown = realloc(thaw->names, count * sizeof(*grown));

        if (!grown) {
            thaw->good = false;
            return 0;
        }
        thaw->names = grown;
        thaw->capacity = count;
    }
    for (uint32_t i = 0; i < count; i++)
        thaw->names[i] = next(thaw, kind).bytes;
    return thaw->good ? count : 0;
}

static uint64_t before(const struct thaw *thaw, uint64_t age_ms)
{
    uint64_t now_ms = net_loop_now(thaw->server->loop);

    return age_ms < now_ms ? now_ms - age_ms : 0;
}

/* `nsp` NULL: it is skipped. */
static void read_entry(struct thaw *thaw, struct sio_namespace *nsp)
{
    struct sio_log_entry entry = {
        .mark = {.bus = SIO_BUS_NONE, .offset = STR("")}
    };
    struct sio_target target = {.nsp = nsp};
    uint32_t rooms, names, frames;

    if (next_count(thaw) != ENTRY_FIELDS)
        thaw->good = false;
    entry.at_ms = before(thaw, next_number(thaw));
    entry.alone = next_bool(thaw);
    entry.mark.origin = next_number(thaw);
    entry.mark.number = next_number(thaw);
    rooms = (uint32_t)next_number(thaw);
    names = next_strings(thaw, MSGPACK_STRING);
    if (!thaw->good || rooms > names || (entry.alone && names != 1)) {
        thaw->good = false;
        return;
    }
    target.rooms = thaw->names;
    target.room_count = rooms;
    target.except = names > rooms ? thaw->names + rooms : NULL;
    target.except_count = names - rooms;
    if (nsp && !sio_log_copy_audience(&entry, &target)) {
        thaw->good = false;
        return;
    }
    frames = next_strings(thaw, MSGPACK_BINARY);
    if (thaw->good && nsp && frames > 0)
        entry.packet = sio_packet_thaw(thaw->server, thaw->names, frames);
    if (!thaw->good || !nsp || !entry.packet || !sio_log_append(nsp, &entry)) {
        thaw->good = thaw->good && !nsp;
        sio_packet_unref(entry.packet);
        free(entry.audience);
    }
}

static void read_saved(struct thaw *thaw, struct sio_namespace *nsp)
{
    struct sio_session session = {.origin = thaw->server->origin};
    struct sio_saved *saved;
    uint64_t lost_ms;

    if (next_count(thaw) != SESSION_FIELDS)
        thaw->good = false;
    lost_ms = before(thaw, next_number(thaw));
    session.pid = next_string(thaw);
    session.sid = next_string(thaw);
    session.since = next_number(thaw);
    session.start = next_string(thaw);
    session.upto = next_string(thaw);
    session.last = next_string(thaw);
    session.data = next_string(thaw);
    session.room_count = next_strings(thaw, MSGPACK_STRING);
    session.rooms = thaw->names;
    if (!thaw->good || !nsp)
        return;
    saved = sio_saved_copy(nsp, &session);
    if (saved)
        sio_saved_keep(saved, lost_ms);
}

/* The namespace as it is declared now: its window, its buffer. */
static struct sio_namespace *find_namespace(struct sio_server *server, struct str name)
{
    struct sio_namespace *nsp = sio_namespace_resolve(server, name, STR("{}"));

    if (nsp && nsp->kind != SIO_NAMED)
        nsp = sio_namespace_child(nsp, name);
    return nsp && nsp->recovery.window_ms > 0 && !nsp->log ? nsp : NULL;
}

static void read_namespace(struct thaw *thaw)
{
    struct sio_namespace *nsp;
    uint64_t number, left_ms, cut;
    uint32_t count;

    if (next_count(thaw) != NAMESPACE_FIELDS)
        thaw->good = false;
    nsp = find_namespace(thaw->server, next_string(thaw));
    number = next_number(thaw);
    cut = next_number(thaw);
    left_ms = next_number(thaw);
    count = next_count(thaw);
    if (!thaw->good || number < (uint64_t)count + 1) {
        thaw->good = false;
        return;
    }
    if (nsp) {
        nsp->next_number = number - count;
        nsp->cut = cut;
        nsp->cut_until_ms = net_loop_now(thaw->server->loop) + left_ms;
    }
    for (uint32_t i = 0; i < count && thaw->good; i++)
        read_entry(thaw, nsp);
    count = next_count(thaw);
    for (uint32_t i = 0; i < count && thaw->good; i++)
        read_saved(thaw, nsp);
    if (nsp)
        sio_log_trim(nsp);
}

bool sio_server_thaw(struct sio_server *server, struct str bytes)
{
    struct thaw thaw = {.server = server, .reader = msgpack_reader_of(bytes), .good = true};
    uint32_t count;

    assert(list_empty(&server->clients));
    if (next_count(&thaw) != 4 || next_number(&thaw) != VERSION ||
        next_number(&thaw) != (uint64_t)server->codec->first)
        return false;
    server->origin = next_number(&thaw);
    count = next_count(&thaw);
    for (uint32_t i = 0; i < count && thaw.good; i++)
        read_namespace(&thaw);
    free(thaw.names);
    return thaw.good;
}
