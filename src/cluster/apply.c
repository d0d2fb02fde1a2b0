#include "cluster/describe.h"
#include "cluster/node.h"

#include <assert.h>
#include <stdlib.h>

/* Streams say where an entry stands, on other buses recovery counts. */
static uint64_t place_of(const struct cluster *cluster, const struct cluster_message *message)
{
    if (message->offset.size > 0)
        return message->entry;
    return cluster->recovery ? recovery_place(cluster->recovery, message->nsp) : SIO_BUS_NONE;
}

static struct sio_mark mark_of(const struct cluster *cluster,
                               const struct cluster_message *message)
{
    return (struct sio_mark){
        .origin = message->own ? 0 : recovery_origin(message->sender),
        .number = message->number,
        .bus = place_of(cluster, message),
        .offset = message->offset,
    };
}

static struct sio_target target_of(struct sio_namespace *nsp,
                                   const struct cluster_message *message)
{
    return (struct sio_target){
        .nsp = nsp,
        .rooms = message->rooms,
        .room_count = message->room_count,
        .except = message->except,
        .except_count = message->except_count,
    };
}

/* --- answering ------------------------------------------------------------------------------- */

/* Where an answer goes: with copies of what the message said. */
struct address {
    struct list link;        /* in polls or answers */
    struct cluster *cluster; /* NULL: it has ended before the answer came */
    struct str nsp, request, to;
    char text[];
};

static char *put(struct str *to, char *at, struct str text)
{
    memcpy(at, text.at, text.size);
    *to = str_of(at, text.size);
    return at + text.size;
}

/* NULL when there are too many, or out of memory. */
static struct address *keep_address(struct cluster *cluster, struct list *list,
                                    const struct cluster_message *message)
{
    struct address *address = NULL;
    char *at;

    if (cluster->answer_count < NODE_ANSWERS_MAX)
        address = malloc(sizeof(*address) + message->nsp.size + message->request.size +
                         message->sender.size);
    if (!address) {
        node_complain(cluster, "too many answers are owed to other servers", message->nsp);
        return NULL;
    }
    address->cluster = cluster;
    at = put(&address->nsp, address->text, message->nsp);
    at = put(&address->request, at, message->request);
    put(&address->to, at, message->sender);
    list_add_last(list, &address->link);
    cluster->answer_count++;
    return address;
}

static void drop_address(struct address *address)
{
    if (address->cluster) {
        address->cluster->answer_count--;
        list_remove(&address->link);
    }
    free(address);
}

void node_drop_answers(struct cluster *cluster)
{
    struct list *lists[] = {&cluster->polls, &cluster->answers}, *link;

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        while ((link = list_take_first(lists[i])) != NULL)
            CONTAINER_OF(link, struct address, link)->cluster = NULL;
    }
}

static struct cluster_message answer_to(const struct cluster_message *message,
                                        enum cluster_kind kind)
{
    return (struct cluster_message){
        .kind = kind,
        .nsp = message->nsp,
        .sender = STR(""),
        .request = message->request,
        .to = message->sender,
        .args = {.json = STR("")},
        .json = STR(""),
        .offset = STR(""),
    };
}

static void send_answer(const struct address *address, struct cluster_message *answer)
{
    answer->nsp = address->nsp;
    answer->request = address->request;
    answer->to = address->to;
    answer->sender = answer->offset = STR("");
    node_send(address->cluster, answer);
}

static bool take_first(void *context, struct str value)
{
    *(struct str *)context = value;
    return false;
}

/* An answer holds one value: the first, null if there is none. */
static void send_value(const struct address *address, enum cluster_kind kind,
                       const struct sio_args *args)
{
    struct cluster_message answer = {.kind = kind, .json = STR("")};
    struct str first = STR("null");
    struct buf json;

    json_split(args->json, take_first, &first);
    buf_init(&json, SIZE_MAX);
    buf_add_byte(&json, '[');
    buf_add_str(&json, first);
    buf_add_byte(&json, ']');
    answer.args = *args;
    answer.args.json = buf_str(&json);
    if (!buf_failed(&json))
        send_answer(address, &answer);
    else
        log_error(address->cluster->log, "out of memory for an answer to another server",
                  log_str("namespace", address->nsp), LOG_END);
    buf_free(&json);
}

/* --- broadcasts ------------------------------------------------------------------------------ */

static void clients_asked(void *owner, uint32_t sockets)
{
    struct cluster_message answer = {
        .kind = CLUSTER_CLIENT_COUNT,
        .args = {.json = STR("")},
        .json = STR(""),
        .count = sockets,
    };

    send_answer(owner, &answer);
}

static void client_answered(void *owner, struct sio_socket *socket, const struct sio_args *args)
{
    const struct address *address = owner;

    (void)socket;
    if (address->cluster)
        send_value(address, CLUSTER_CLIENT_ANSWER, args);
}

static void clients_done(void *owner, enum sio_ack_end how)
{
    (void)how;
    drop_address(owner);
}

static const struct sio_ack_handler clients_handler = {
    .answer = client_answered,
    .asked = clients_asked,
    .end = clients_done,
};

static void poll_clients(struct cluster *cluster, const struct sio_target *target,
                         const struct cluster_message *message)
{
    struct address *address = keep_address(cluster, &cluster->polls, message);

    if (!address)
        return;
    if (!sio_broadcast_ack(target, &message->args,
                           message->timeout_ms > 0 ? message->timeout_ms : NODE_POLL_TIMEOUT_MS,
                           message->flags & ~(unsigned)SIO_LOCAL, &clients_handler, address))
        drop_address(address);
}

static void apply_broadcast(struct cluster *cluster, struct sio_namespace *nsp,
                            const struct cluster_message *message)
{
    const struct sio_target target = target_of(nsp, message);
    struct sio_mark mark = mark_of(cluster, message);
    unsigned flags = message->flags & ~(unsigned)SIO_LOCAL;

    if (message->request.size > 0) {
        if (!message->own)
            poll_clients(cluster, &target, message);
        return;
    }
    /* What was delivered when it was sent has only come back to say where it stands. */
    if (message->own && !node_waits_for_echo(cluster, nsp, flags))
        return;
    sio_broadcast_marked(&target, &message->args, flags, &mark);
}

/* --- changes --------------------------------------------------------------------------------- */

static void change_socket(void *context, struct sio_socket *socket)
{
    const struct cluster_message *message = context;

    if (message->kind == CLUSTER_DISCONNECT)
        sio_socket_disconnect(socket, message->close);
    for (size_t i = 0; i < message->changed_count; i++) {
        if (message->kind == CLUSTER_JOIN)
            sio_socket_join(socket, message->changed[i]);
        else if (message->kind == CLUSTER_LEAVE)
            sio_socket_leave(socket, message->changed[i]);
    }
}

static void apply_change(struct cluster *cluster, struct sio_namespace *nsp,
                         const struct cluster_message *message)
{
    const struct sio_target target = target_of(nsp, message);

    (void)cluster;
    sio_target_each(&target, change_socket, (void *)message);
}

/* --- requests -------------------------------------------------------------------------------- */

static void send_list(struct cluster *cluster, const struct cluster_message *message,
                      enum cluster_kind kind, struct buf *json)
{
    struct cluster_message answer = answer_to(message, kind);

    answer.json = buf_str(json);
    if (buf_failed(json))
        node_complain(cluster, "an answer to another server is too large", message->nsp);
    else
        node_send(cluster, &answer);
    buf_free(json);
}

static void answer_fetch(struct cluster *cluster, struct sio_namespace *nsp,
                         const struct cluster_message *message)
{
    const struct sio_target target = target_of(nsp, message);
    struct buf json;

    buf_init(&json, NODE_ANSWER_BYTES);
    describe_target(&json, &target);
    send_list(cluster, message, CLUSTER_SOCKETS, &json);
}

static void answer_list_rooms(struct cluster *cluster, struct sio_namespace *nsp,
                              const struct cluster_message *message)
{
    struct buf json;

    buf_init(&json, NODE_ANSWER_BYTES);
    describe_rooms(&json, nsp);
    send_list(cluster, message, CLUSTER_ROOMS, &json);
}

/* --- events between servers ------------------------------------------------------------------ */

struct cluster_answer {
    struct address address;
};

struct first_two {
    struct str values[2];
    int count;
};

static bool take_two(void *context, struct str value)
{
    struct first_two *two = context;

    two->values[two->count++] = value;
    return two->count < 2;
}

/* The name of the event in front, decoded into `name`; the array of the rest into `rest`. */
static bool split_event(struct str json, struct buf *name, struct buf *rest)
{
    struct first_two two = {0};
    struct str first;

    json_split(json, take_two, &two);
    if (two.count == 0)
        return false;
    first = two.values[0];
    if (json_type_of(first) == JSON_STRING)
        json_string_decode(name, first);
    else if (json_type_of(first) == JSON_NUMBER)
        buf_add_str(name, first);
    else
        return false;
    buf_add_byte(rest, '[');
    if (two.count == 2)
        buf_add_str(rest, str_from_index(json, (size_t)(two.values[1].at - json.at)));
    else
        buf_add_byte(rest, ']');
    return !buf_failed(name) && !buf_failed(rest);
}

static void apply_server_emit(struct cluster *cluster, struct sio_namespace *nsp,
                              const struct cluster_message *message)
{
    struct sio_event event = {.args = message->args};
    struct address *answer = NULL;
    struct buf name, rest;

    if (!cluster->app.server_event)
        return;
    buf_init(&name, SIZE_MAX);
    buf_init(&rest, SIZE_MAX);
    if (!json_check(message->args.json) || !split_event(message->args.json, &name, &rest)) {
        node_complain(cluster, "an event of another server has no name", message->nsp);
        goto end;
    }
    if (message->request.size > 0)
        answer = keep_address(cluster, &cluster->answers, message);
    event.name = buf_str(&name);
    event.args.json = buf_str(&rest);
    event.wants_ack = answer != NULL;
    cluster->app.server_event(cluster->app.owner, nsp, &event, (struct cluster_answer *)answer);

end:
    buf_free(&name);
    buf_free(&rest);
}

void cluster_server_answer(struct cluster_answer *answer, const struct sio_args *args)
{
    if (args && answer->address.cluster)
        send_value(&answer->address, CLUSTER_SERVER_ANSWER, args);
    drop_address(&answer->address);
}

/* --- what the bus calls ---------------------------------------------------------------------- */

static void apply(void *owner, const struct cluster_message *message)
{
    static void (*const ways[])(struct cluster * cluster, struct sio_namespace * nsp,
                                const struct cluster_message *message) = {
        [CLUSTER_BROADCAST] = apply_broadcast,
        [CLUSTER_JOIN] = apply_change,
        [CLUSTER_LEAVE] = apply_change,
        [CLUSTER_DISCONNECT] = apply_change,
        [CLUSTER_FETCH] = answer_fetch,
        [CLUSTER_LIST_ROOMS] = answer_list_rooms,
        [CLUSTER_SERVER_EMIT] = apply_server_emit,
    };
    struct cluster *cluster = owner;
    struct sio_namespace *nsp;

    if (cluster_is_answer(message->kind)) {
        node_answered(cluster, message);
        return;
    }
    if (message->kind == CLUSTER_ANCHOR) {
        if (cluster->recovery)
            recovery_anchored(cluster->recovery, message);
        return;
    }
    if (message->own && !cluster->bus->type->delivers_own) {
        if (cluster->recovery && message->kind == CLUSTER_BROADCAST)
            recovery_came_back(cluster->recovery, message);
        return;
    }
    nsp = sio_namespace_find(cluster->server, message->nsp);
    if (nsp && (size_t)message->kind < sizeof(ways) / sizeof(ways[0]))
        ways[message->kind](cluster, nsp, message);
}

static bool has_room(void *owner, struct str nsp, struct str room)
{
    struct cluster *cluster = owner;
    struct sio_namespace *found = sio_namespace_find(cluster->server, nsp);

    return found && sio_namespace_has_room(found, room);
}

static void heard(void *owner, struct str nsp, uint64_t fingerprint)
{
    const struct cluster *cluster = owner;

    if (cluster->recovery)
        recovery_heard(cluster->recovery, nsp, fingerprint);
}

static void gap(void *owner, struct str nsp)
{
    const struct cluster *cluster = owner;

    if (cluster->recovery)
        recovery_gap(cluster->recovery, nsp);
    if (cluster->stream_recovery)
        stream_recovery_gap(cluster->stream_recovery, nsp);
}

static void ready(void *owner, struct str nsp)
{
    const struct cluster *cluster = owner;

    if (cluster->recovery)
        recovery_ready(cluster->recovery, nsp);
    if (cluster->stream_recovery)
        stream_recovery_ready(cluster->stream_recovery, nsp);
}

const struct cluster_bus_handler node_bus_handler = {
    .heard = heard,
    .message = apply,
    .gap = gap,
    .ready = ready,
    .has_room = has_room,
};
