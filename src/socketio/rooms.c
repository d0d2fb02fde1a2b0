#include "private.h"

#include <assert.h>
#include <stdlib.h>

/*
 * A membership is a node in two lists, the room's and the socket's, both in the order of joining.
 * Rooms live as long as they have members. Nearly every socket stays in the room of its own id
 * alone: for that one there is a flag, and no room.
 */

struct sio_room *sio_room_find(const struct sio_namespace *nsp, struct str name)
{
    return map_get(&nsp->rooms, name);
}

/* A room may be there twice: as a room, and as the flag of the socket whose own it is. */
static void tell(struct sio_namespace *nsp, struct str name, bool own, bool exists)
{
    const struct sio_observer *observer = &nsp->server->observer;

    if (!observer->room || (own && !observer->own_rooms))
        return;
    if (exists || !observer->own_rooms || !sio_namespace_has_room(nsp, name))
        observer->room(observer->owner, nsp, name, exists);
}

static void tell_room(void *context, struct str name)
{
    struct sio_namespace *nsp = context;
    const struct sio_room *room = sio_room_find(nsp, name);

    tell(nsp, name, !room || !room->told, true);
}

void sio_rooms_tell(struct sio_namespace *nsp)
{
    sio_namespace_rooms(nsp, tell_room, nsp);
}

void sio_own_room_enter(struct sio_socket *socket)
{
    socket->in_own_room = true;
    tell(socket->nsp, sio_socket_id(socket), true, true);
}

static void leave_own_room(struct sio_socket *socket)
{
    if (!socket->in_own_room)
        return;
    socket->in_own_room = false;
    tell(socket->nsp, sio_socket_id(socket), true, false);
}

/* The room of that name is `joiner`'s own, or that of another socket. */
static bool is_private(const struct sio_socket *joiner, struct str name)
{
    return str_equal(name, sio_socket_id(joiner)) || map_get(&joiner->nsp->sockets, name);
}

static struct sio_room *room_make(const struct sio_socket *socket, struct str name)
{
    struct sio_namespace *nsp = socket->nsp;
    struct sio_room *room = sio_room_find(nsp, name);

    if (room)
        return room;
    room = malloc(sizeof(*room) + name.size + 1);
    if (!room)
        return NULL;
    *room = (struct sio_room){
        .name = str_of(room->bytes, name.size),
        .told = !is_private(socket, name),
    };
    memcpy(room->bytes, name.at, name.size);
    list_init(&room->members);
    if (!map_put(&nsp->rooms, room->name, room)) {
        free(room);
        return NULL;
    }
    tell(nsp, room->name, !room->told, true);
    return room;
}

static void room_release(struct sio_namespace *nsp, struct sio_room *room)
{
    if (room->count > 0)
        return;
    map_remove(&nsp->rooms, room->name);
    tell(nsp, room->name, !room->told, false);
    free(room);
}

/* Searches the shorter of the two lists the node would be in. */
static struct sio_membership *find(const struct sio_socket *socket, const struct sio_room *room)
{
    const struct list *head = &room->members;

    if (socket->room_count < room->count) {
        head = &socket->rooms;
        for (struct list *link = head->next; link != head; link = link->next) {
            struct sio_membership *member =
                CONTAINER_OF(link, struct sio_membership, in_socket);

            if (member->room == room)
                return member;
        }
        return NULL;
    }
    for (struct list *link = head->next; link != head; link = link->next) {
        struct sio_membership *member = CONTAINER_OF(link, struct sio_membership, in_room);

        if (member->socket == socket)
            return member;
    }
    return NULL;
}

static void remove_membership(struct sio_membership *member)
{
    struct sio_socket *socket = member->socket;
    struct sio_room *room = member->room;

    list_remove(&member->in_room);
    list_remove(&member->in_socket);
    free(member);
    room->count--;
    socket->room_count--;
    room_release(socket->nsp, room);
}

static bool is_own(const struct sio_socket *socket, struct str room)
{
    return socket->in_own_room && str_equal(room, sio_socket_id(socket));
}

bool sio_socket_join(struct sio_socket *socket, struct str name)
{
    struct sio_membership *member;
    struct sio_room *room;

    if (socket->state == SIO_GONE || is_own(socket, name))
        return true;
    room = room_make(socket, name);
    if (!room)
        return false;
    if (find(socket, room))
        return true;
    member = malloc(sizeof(*member));
    if (!member) {
        room_release(socket->nsp, room);
        return false;
    }
    *member = (struct sio_membership){.room = room, .socket = socket};
    list_add_last(&room->members, &member->in_room);
    list_add_last(&socket->rooms, &member->in_socket);
    room->count++;
    socket->room_count++;
    return true;
}

void sio_socket_leave(struct sio_socket *socket, struct str name)
{
    struct sio_membership *member;
    struct sio_room *room;

    if (is_own(socket, name)) {
        leave_own_room(socket);
        return;
    }
    room = sio_room_find(socket->nsp, name);
    member = room ? find(socket, room) : NULL;
    if (member)
        remove_membership(member);
}

void sio_rooms_leave(struct sio_socket *socket)
{
    leave_own_room(socket);
    while (!list_empty(&socket->rooms))
        remove_membership(CONTAINER_OF(socket->rooms.next, struct sio_membership, in_socket));
    assert(socket->room_count == 0);
}

void sio_socket_rooms(const struct sio_socket *socket,
                      void (*room)(void *context, struct str name), void *context)
{
    if (socket->in_own_room)
        room(context, sio_socket_id(socket));
    for (struct list *link = socket->rooms.next; link != &socket->rooms; link = link->next)
        room(context, CONTAINER_OF(link, struct sio_membership, in_socket)->room->name);
}

bool sio_namespace_has_room(const struct sio_namespace *nsp, struct str room)
{
    const struct sio_socket *owner = map_get(&nsp->sockets, room);

    return (owner && owner->in_own_room) || sio_room_find(nsp, room);
}

void sio_namespace_rooms(const struct sio_namespace *nsp,
                         void (*room)(void *context, struct str name), void *context)
{
    uint32_t cursor = 0;
    struct str name;
    void *found;

    while (map_next(&nsp->sockets, &cursor, &name, &found)) {
        if (((const struct sio_socket *)found)->in_own_room)
            room(context, name);
    }
    cursor = 0;
    while (map_next(&nsp->rooms, &cursor, &name, &found)) {
        const struct sio_socket *owner = map_get(&nsp->sockets, name);

        if (!owner || !owner->in_own_room)
            room(context, name);
    }
}
