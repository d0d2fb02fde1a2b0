#include "recovery.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

/* --- what sockets keep ------------------------------------------------------------------------ */

struct sio_kept *sio_socket_kept(const struct sio_socket *socket)
{
    if (socket->nsp->recovery.window_ms == 0)
        return NULL;
    return (struct sio_kept *)((char *)socket + sio_socket_kept_at(socket));
}

bool sio_socket_recovered(const struct sio_socket *socket)
{
    const struct sio_kept *kept = sio_socket_kept(socket);

    return kept && kept->recovered;
}

void sio_kept_note(struct sio_socket *socket, uint64_t number, const struct sio_mark *mark)
{
    struct sio_kept *kept = sio_socket_kept(socket);

    kept->last = number;
    kept->last_place = mark->offset.size > 0 ? mark->bus : 0;
    kept->last_is_unknown = false;
}

/* --- who it was ------------------------------------------------------------------------------- */

struct sio_claim {
    struct sio_server *server;
    struct sio_handle socket;
    struct sio_namespace *nsp;
    struct buf offset; /* empty: it has had no event */
    char pid[RANDOM_ID_SIZE];
};

/* A string member of the CONNECT's payload; false when it is none. */
static bool read_member(const struct json_doc *doc, struct str key, struct buf *text)
{
    uint32_t value = json_member(doc, 0, key);

    return value != JSON_NONE && json_type(doc, value) == JSON_STRING &&
           json_string_decode(text, json_raw(doc, value));
}

/* False: the client does not say that it was here. */
static bool read_claim(const struct sio_socket *socket, struct sio_claim *claim)
{
    struct str auth = sio_socket_auth(socket);
    struct json_doc doc;
    struct buf pid;
    bool good = false;

    if (socket->auth_size == 0 || !json_doc_init(&doc, auth))
        return false;
    buf_init(&pid, RANDOM_ID_SIZE);
    if (json_type(&doc, 0) == JSON_OBJECT && read_member(&doc, STR("pid"), &pid) &&
        pid.size == RANDOM_ID_SIZE) {
        memcpy(claim->pid, pid.at, pid.size);
        good = json_member(&doc, 0, STR("offset")) == JSON_NONE ||
               read_member(&doc, STR("offset"), &claim->offset);
    }
    buf_free(&pid);
    json_doc_free(&doc);
    return good;
}

struct str sio_claim_pid(const struct sio_claim *claim)
{
    return str_of(claim->pid, sizeof(claim->pid));
}

struct str sio_claim_offset(const struct sio_claim *claim)
{
    return buf_str(&claim->offset);
}

struct sio_namespace *sio_claim_namespace(const struct sio_claim *claim)
{
    return claim->nsp;
}

/* A last offset may be without its place. */
static bool is_last(struct str offset, struct str last)
{
    return str_equal(offset, last) ||
           (last.size > 0 && str_starts(offset, last) && offset.at[last.size] == '.');
}

struct str sio_session_offset(const struct sio_session *session, struct str offset)
{
    if (session->upto.size > 0 && is_last(offset, session->last))
        return session->upto;
    return offset.size > 0 ? offset : session->start;
}

/* Where the client stands; false when it cannot be told that nothing is missing. */
static bool find_position(const struct sio_claim *claim, const struct sio_session *session,
                          struct sio_position *position)
{
    if (session->packets_are_first)
        *position =
            (struct sio_position){.after = sio_log_behind(claim->nsp, session->packets_to),
                                  .place = session->packets_to};
    else if (!sio_offset_read(claim->nsp, sio_session_offset(session, buf_str(&claim->offset)),
                              position))
        return false;
    return sio_log_reaches(claim->nsp, position);
}

/* --- being that again ------------------------------------------------------------------------- */

/* Sessions come from outside, too: what is no object is not taken. */
static bool take_data(struct sio_socket *socket, struct str data)
{
    if (data.size == 0)
        return true;
    if (!json_check(data))
        return false;
    json_tree_free(socket->data);
    socket->data = json_tree_parse(data);
    return socket->data && json_tree_type(socket->data) == JSON_OBJECT;
}

/* An id goes into JSON as it is: characters of ids, behind the prefix of an old client's. */
static bool is_id(const struct sio_socket *socket, struct str sid)
{
    struct str own = sio_socket_id(socket);
    size_t prefix = own.size - RANDOM_ID_SIZE;

    if (sid.size != own.size || memcmp(sid.at, own.at, prefix) != 0)
        return false;
    for (size_t i = prefix; i < sid.size; i++) {
        if (!isalnum((unsigned char)sid.at[i]) && sid.at[i] != '-' && sid.at[i] != '_')
            return false;
    }
    return true;
}

/* The rooms in their order, the own one among them. */
static bool take_rooms(struct sio_socket *socket, const struct sio_session *session)
{
    for (size_t i = 0; i < session->room_count; i++) {
        if (!sio_socket_join(socket, session->rooms[i]))
            return false;
    }
    return true;
}

static bool become(struct sio_socket *socket, struct sio_saved *saved, struct str offset,
                   const struct sio_position *position)
{
    struct sio_kept *kept = sio_socket_kept(socket);
    const struct sio_session *session = &saved->session;
    char fresh[RANDOM_ID_SIZE], *start, *had;

    assert(socket->state == SIO_JOINING && !kept->restored);
    if (!is_id(socket, session->sid) || map_get(&socket->nsp->sockets, session->sid))
        return false;
    start = str_dup(session->start);
    had = str_dup(offset);
    if (!start || !had)
        goto fail;
    memcpy(fresh, socket->id + session->sid.size - sizeof(fresh), sizeof(fresh));
    memcpy(socket->id, session->sid.at, session->sid.size);
    if (!take_data(socket, session->data) || !take_rooms(socket, session)) {
        memcpy(socket->id + session->sid.size - sizeof(fresh), fresh, sizeof(fresh));
        sio_rooms_leave(socket);
        json_tree_free(socket->data);
        socket->data = NULL;
        goto fail;
    }
    memcpy(kept->pid, session->pid.at, sizeof(kept->pid));
    kept->start = start;
    kept->had = had;
    kept->restored = saved;
    kept->behind = *position;
    kept->recovered = true;
    return true;

fail: /* it is a new one, with nothing of the other's */
    free(start);
    free(had);
    return false;
}

static void go_on(struct sio_socket *socket)
{
    struct sio_server *server = socket->nsp->server;
    const struct sio_kept *kept = sio_socket_kept(socket);

    if (kept->recovered && socket->nsp->recovery.skip_middlewares)
        sio_socket_accept(socket);
    else
        server->app.connecting(server->app.owner, socket);
}

/* The namespace stays while it is claimed in, whatever becomes of the socket. */
static void end_claim(struct sio_claim *claim)
{
    struct sio_namespace *nsp = claim->nsp;

    buf_free(&claim->offset);
    free(claim);
    nsp->claims--;
    sio_namespace_release(nsp);
}

void sio_claim_end(struct sio_claim *claim, enum sio_claim_end how,
                   const struct sio_session *session)
{
    struct sio_server *server = claim->server;
    struct sio_socket *socket = sio_socket_find(server, claim->socket);
    struct sio_saved *saved = sio_saved_take(server, sio_claim_pid(claim));
    uint64_t now = net_loop_now(server->loop);
    struct sio_position position;

    if (saved && (how == SIO_CLAIM_NONE || (socket && saved->nsp != socket->nsp) ||
                  saved->lost_ms + saved->nsp->recovery.window_ms < now)) {
        sio_saved_free(saved);
        saved = NULL;
    }
    if (!saved && how == SIO_CLAIM_FOUND && socket)
        saved = sio_saved_copy(claim->nsp, session);
    if (saved && !socket) { /* it went again meanwhile */
        sio_session_return(saved);
    } else if (saved && (!find_position(claim, &saved->session, &position) ||
                         !become(socket, saved, buf_str(&claim->offset), &position))) {
        sio_saved_free(saved);
    }
    if (socket)
        go_on(socket);
    end_claim(claim);
}

/* --- becoming connected ------------------------------------------------------------------------ */

bool sio_restore_finish(struct sio_socket *socket)
{
    struct sio_server *server = socket->nsp->server;
    const struct sio_keeper *keeper = &server->keeper;
    struct sio_kept *kept = sio_socket_kept(socket);

    if (!kept->restored)
        random_id(server->random, kept->pid);
    else if (!sio_log_reaches(socket->nsp, &kept->behind))
        return false;
    if (!map_put(&server->pids, str_of(kept->pid, sizeof(kept->pid)), socket))
        return false;
    kept->since = socket->nsp->next_number;
    kept->place = keeper->place ? keeper->place(keeper->owner, socket->nsp) : 0;
    if (kept->restored) {
        kept->emitted = true; /* maybe: what is sent again is kept again */
        sio_log_replay(socket, &kept->behind, kept->restored);
        sio_saved_free(kept->restored);
        kept->restored = NULL;
    }
    return true;
}

void sio_restore_drop(struct sio_socket *socket, bool lost)
{
    struct sio_server *server = socket->nsp->server;
    struct sio_kept *kept = sio_socket_kept(socket);
    struct str pid;

    if (!kept)
        return;
    pid = str_of(kept->pid, sizeof(kept->pid));
    if (map_get(&server->pids, pid) == socket)
        map_remove(&server->pids, pid);
    if (kept->restored && lost)
        sio_session_return(kept->restored);
    else
        sio_saved_free(kept->restored);
    kept->restored = NULL;
    free(kept->start);
    free(kept->had);
    kept->start = kept->had = NULL;
}

/* --- its old self is still here ---------------------------------------------------------------- */

bool sio_server_abandon(struct sio_server *server, struct str pid)
{
    struct sio_socket *socket = map_get(&server->pids, pid);

    if (!socket || socket->state != SIO_CONNECTED)
        return false;
    log_info(server->log, "a client came back before its loss was noticed",
             log_str("socket", sio_socket_logged_id(socket)), LOG_END);
    sio_client_abandon(socket->client);
    return true;
}

/* It claims a socket that it has itself, or one of another namespace. */
static bool is_absurd(const struct sio_socket *socket, const struct sio_claim *claim)
{
    const struct sio_socket *other = map_get(&claim->server->pids, sio_claim_pid(claim));

    return other && (other->client == socket->client || other->nsp != socket->nsp);
}

void sio_restore(struct sio_socket *socket)
{
    struct sio_server *server = socket->nsp->server;
    struct sio_kept *kept = sio_socket_kept(socket);
    struct sio_claim *claim = kept ? calloc(1, sizeof(*claim)) : NULL;

    if (!claim) {
        server->app.connecting(server->app.owner, socket);
        return;
    }
    *claim = (struct sio_claim){
        .server = server, .socket = sio_socket_handle(socket), .nsp = socket->nsp};
    buf_init(&claim->offset, SIO_OFFSET_MAX);
    socket->nsp->claims++;
    if (!read_claim(socket, claim) || is_absurd(socket, claim)) {
        go_on(socket);
        end_claim(claim);
        return;
    }
    sio_server_abandon(server, sio_claim_pid(claim));
    if (server->keeper.claim)
        server->keeper.claim(server->keeper.owner, claim);
    else
        sio_claim_end(claim, SIO_CLAIM_UNKNOWN, NULL);
}
