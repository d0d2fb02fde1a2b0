#include "recovery.h"

#include <assert.h>
#include <stdlib.h>

struct gathered {
    struct sio_saved *saved; /* NULL: only counting */
    char *bytes;
    size_t count;
    size_t size;
};

static void gather_room(void *context, struct str name)
{
    struct gathered *gathered = context;

    if (gathered->saved) {
        memcpy(gathered->bytes, name.at, name.size);
        gathered->saved->names[gathered->count] = str_of(gathered->bytes, name.size);
        gathered->bytes += name.size;
    }
    gathered->count++;
    gathered->size += name.size;
}

static char *put(struct str *to, struct str text, char *at)
{
    memcpy(at, text.at, text.size);
    *to = str_of(at, text.size);
    return at + text.size;
}

/* One block for all of it; the caller's rooms come from `each_room`. */
static struct sio_saved *
make_saved(struct sio_namespace *nsp, const struct sio_session *session,
           void (*each_room)(const void *owner, void (*room)(void *context, struct str name),
                             void *context),
           const void *owner)
{
    struct gathered gathered = {0};
    size_t size;
    struct sio_saved *saved;

    each_room(owner, gather_room, &gathered);
    size = sizeof(*saved) + gathered.count * sizeof(struct str) + gathered.size +
           session->pid.size + session->sid.size + session->data.size + session->start.size +
           session->upto.size + session->last.size;
    saved = malloc(size);
    if (!saved)
        return NULL;
    *saved = (struct sio_saved){
        .nsp = nsp,
        .lost_ms = net_loop_now(nsp->server->loop),
        .size = size,
        .session = {.origin = session->origin,
                    .since = session->since,
                    .packets_are_first = session->packets_are_first,
                    .packets_to = session->packets_to},
    };
    list_init(&saved->in_log);
    gathered.bytes = (char *)(saved->names + gathered.count);
    gathered.bytes = put(&saved->session.pid, session->pid, gathered.bytes);
    gathered.bytes = put(&saved->session.sid, session->sid, gathered.bytes);
    gathered.bytes = put(&saved->session.data, session->data, gathered.bytes);
    gathered.bytes = put(&saved->session.start, session->start, gathered.bytes);
    gathered.bytes = put(&saved->session.upto, session->upto, gathered.bytes);
    gathered.bytes = put(&saved->session.last, session->last, gathered.bytes);
    saved->session.rooms = saved->names;
    saved->session.room_count = gathered.count;
    gathered.count = 0;
    gathered.saved = saved;
    each_room(owner, gather_room, &gathered);
    return saved;
}

/* --- from elsewhere --------------------------------------------------------------------------- */

static void each_listed(const void *owner, void (*room)(void *context, struct str name),
                        void *context)
{
    const struct sio_session *session = owner;

    for (size_t i = 0; i < session->room_count; i++)
        room(context, session->rooms[i]);
}

/* `frames`: without Engine.IO's type. */
static struct sio_packet *make_packet(const struct sio_server *server, const struct str *frames,
                                      uint32_t count)
{
    struct sio_packet *packet = malloc(sizeof(*packet) + count * sizeof(struct frame *));

    if (!packet)
        return NULL;
    *packet = (struct sio_packet){.references = 1};
    for (uint32_t i = 0; i < count; i++) {
        struct str bytes = frames[i];
        bool text = i == 0 && server->codec->first == FRAME_TEXT;
        char *to;
        struct frame *frame =
            text ? eio_text_message(bytes.size, &to) : frame_new(FRAME_BINARY, bytes.size);

        if (!frame) {
            sio_packet_unref(packet);
            return NULL;
        }
        memcpy(text ? (uint8_t *)to : frame_payload(frame), bytes.at, bytes.size);
        packet->frames[packet->frame_count++] = frame;
    }
    return packet;
}

struct sio_packet *sio_packet_thaw(const struct sio_server *server, const struct str *frames,
                                   uint32_t count)
{
    struct str *bodies = malloc(count * sizeof(*bodies));
    struct sio_packet *packet;

    if (!bodies)
        return NULL;
    memcpy(bodies, frames, count * sizeof(*bodies));
    if (server->codec->first == FRAME_TEXT)
        bodies[0] = str_from_index(bodies[0], 1);
    packet = make_packet(server, bodies, count);
    free(bodies);
    return packet;
}

static struct sio_packet *copy_packet(const struct sio_server *server,
                                      const struct sio_session_packet *from)
{
    if (!from->packet)
        return make_packet(server, from->frames, from->frame_count);
    from->packet->references++;
    return from->packet;
}

/* Of the packets' descriptions only origins and numbers stay. */
static bool copy_packets(struct sio_saved *saved, const struct sio_session *session)
{
    size_t count = session->packet_count;
    struct sio_session_packet *descriptions;

    if (count == 0)
        return true;
    saved->packets = calloc(count, sizeof(*saved->packets));
    descriptions = calloc(count, sizeof(*descriptions));
    saved->session.packets = descriptions;
    if (!saved->packets || !descriptions)
        return false;
    for (size_t i = 0; i < count; i++) {
        saved->packets[i] = copy_packet(saved->nsp->server, &session->packets[i]);
        if (!saved->packets[i])
            return false;
        descriptions[i].origin = session->packets[i].origin;
        descriptions[i].number = session->packets[i].number;
        saved->session.packet_count = i + 1;
    }
    return true;
}

struct sio_saved *sio_saved_copy(struct sio_namespace *nsp, const struct sio_session *session)
{
    struct sio_saved *saved = make_saved(nsp, session, each_listed, session);

    if (!saved || copy_packets(saved, session))
        return saved;
    sio_saved_free(saved);
    return NULL;
}

void sio_saved_free(struct sio_saved *saved)
{
    if (!saved)
        return;
    assert(list_empty(&saved->in_log));
    for (size_t i = 0; i < saved->session.packet_count; i++)
        sio_packet_unref(saved->packets[i]);
    free(saved->packets);
    free((void *)saved->session.packets);
    free(saved);
}

/* --- keeping ---------------------------------------------------------------------------------- */

void sio_saved_keep(struct sio_saved *saved, uint64_t lost_ms)
{
    struct sio_namespace *nsp = saved->nsp;
    struct sio_log *log = sio_log_of(nsp);

    if (!log || map_get(&nsp->server->saved, saved->session.pid) ||
        !map_put(&nsp->server->saved, saved->session.pid, saved)) {
        log_error(nsp->server->log, "out of memory: a lost socket is not kept for recovery",
                  log_str("namespace", nsp->name), LOG_END);
        sio_saved_free(saved);
        return;
    }
    saved->lost_ms = lost_ms;
    list_add_last(&log->saved, &saved->in_log);
    log->size += saved->size;
    sio_log_trim(nsp);
}

void sio_session_return(struct sio_saved *saved)
{
    if (saved->nsp->server->keeper.saved)
        sio_log_tell_saved(saved, true);
    sio_saved_keep(saved, saved->lost_ms);
}

struct sio_saved *sio_saved_take(struct sio_server *server, struct str pid)
{
    struct sio_saved *saved = map_remove(&server->saved, pid);

    if (!saved)
        return NULL;
    list_remove(&saved->in_log);
    saved->nsp->log->size -= saved->size;
    return saved;
}

void sio_sessions_free(struct sio_server *server)
{
    uint32_t cursor = 0;
    struct str pid;
    void *saved;

    while (map_next(&server->saved, &cursor, &pid, &saved)) {
        map_remove(&server->saved, pid);
        list_remove(&((struct sio_saved *)saved)->in_log);
        sio_saved_free(saved);
    }
    map_free(&server->saved);
    map_free(&server->pids);
}

/* --- a socket is lost ------------------------------------------------------------------------- */

static void each_of_socket(const void *owner, void (*room)(void *context, struct str name),
                           void *context)
{
    sio_socket_rooms(owner, room, context);
}

/* Where it stood when it was new. */
static void write_start(const struct sio_socket *socket, struct buf *start)
{
    const struct sio_kept *kept = sio_socket_kept(socket);

    if (kept->start)
        buf_add_str(start, str_from(kept->start));
    else
        sio_offset_write(start, socket->nsp, socket->nsp->server->origin, kept->since - 1,
                         kept->place);
}

/* Where this server stands, and what it has sent last: a client that has had that has had all. */
static void write_end(const struct sio_socket *socket, struct buf *upto, struct buf *last)
{
    const struct sio_kept *kept = sio_socket_kept(socket);
    const struct sio_namespace *nsp = socket->nsp;
    const struct sio_keeper *keeper = &nsp->server->keeper;

    if (kept->last_is_unknown)
        return;
    sio_offset_write(upto, nsp, nsp->server->origin, nsp->next_number - 1,
                     keeper->place ? keeper->place(keeper->owner, nsp) : 0);
    if (kept->last_place > 0 && keeper->write_place) {
        keeper->write_place(keeper->owner, nsp, kept->last_place, last);
    } else if (kept->last > 0) {
        sio_number_write(last, nsp->server->origin);
        buf_add_byte(last, '.');
        sio_number_write(last, kept->last);
    } else if (kept->had) {
        buf_add_str(last, str_from(kept->had));
    }
}

void sio_session_save(struct sio_socket *socket)
{
    struct sio_namespace *nsp = socket->nsp;
    struct sio_server *server = nsp->server;
    const struct sio_kept *kept = sio_socket_kept(socket);
    struct sio_saved *saved = NULL;
    struct buf data, start, upto, last;

    buf_init(&data, SIZE_MAX);
    buf_init(&start, SIO_OFFSET_MAX);
    buf_init(&upto, SIO_OFFSET_MAX);
    buf_init(&last, SIO_OFFSET_MAX);
    if (socket->data)
        json_tree_write(&data, socket->data);
    write_start(socket, &start);
    write_end(socket, &upto, &last);
    if (!buf_failed(&data) && !buf_failed(&start) && !buf_failed(&upto) && !buf_failed(&last)) {
        const struct sio_session session = {
            .pid = str_of(kept->pid, sizeof(kept->pid)),
            .sid = sio_socket_id(socket),
            .origin = server->origin,
            .since = kept->since,
            .start = buf_str(&start),
            .upto = buf_str(&upto),
            .last = buf_str(&last),
            .data = buf_str(&data),
        };
        saved = make_saved(nsp, &session, each_of_socket, socket);
    }
    buf_free(&data);
    buf_free(&start);
    buf_free(&upto);
    buf_free(&last);
    if (!saved) {
        log_error(server->log, "out of memory: a lost socket is not kept for recovery",
                  log_str("namespace", nsp->name), LOG_END);
        return;
    }
    if (server->keeper.saved)
        sio_log_tell_saved(saved, kept->emitted);
    sio_saved_keep(saved, saved->lost_ms);
}
