#include "cluster/recovery.h"

#include "cluster/trail.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SERVERS_MAX = 256,
};

/* A namespace's order on the bus. */
struct order {
    struct trail *trail;
    uint64_t sent;  /* the number of this server's last event that went out */
    uint64_t back;  /* and of the last that came back */
    uint64_t floor; /* numbers up to here are from before a gap */
    uint64_t self;  /* this server's origin on the bus; 0: not known yet */
    uint32_t server_count;
    uint64_t servers[SERVERS_MAX]; /* that have sent an anchor */
    char name[];                   /* the namespace's, with a NUL */
};

struct recovery {
    struct recovery_options options;
    struct sio_server *server;
    struct store *store;
    struct buf key_prefix;
    struct map orders;
};

static uint64_t now_of(const struct recovery *recovery)
{
    return net_loop_now(recovery->options.store.loop);
}

uint64_t recovery_origin(struct str uid)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    for (size_t i = 0; i < uid.size; i++)
        hash = (hash ^ (uint8_t)uid.at[i]) * UINT64_C(0x100000001b3);
    return hash != 0 ? hash : 1;
}

/* --- the order of a namespace ------------------------------------------------------------------ */

static struct order *find_order(const struct recovery *recovery, struct str nsp)
{
    return map_get(&recovery->orders, nsp);
}

static struct order *order_of(struct recovery *recovery, struct str name)
{
    struct sio_namespace *nsp = sio_namespace_find(recovery->server, name);
    struct order *order = find_order(recovery, name);

    if (order || !nsp || sio_namespace_retention(nsp) == 0)
        return order;
    order = calloc(1, sizeof(*order) + name.size + 1);
    if (!order)
        return NULL;
    memcpy(order->name, name.at, name.size);
    order->trail = trail_new(sio_namespace_retention(nsp));
    if (order->trail && map_put(&recovery->orders, name, order))
        return order;
    trail_free(order->trail);
    free(order);
    return NULL;
}

static void free_order(struct order *order)
{
    trail_free(order->trail);
    free(order);
}

void recovery_closed(struct recovery *recovery, struct str nsp)
{
    struct order *order = map_remove(&recovery->orders, nsp);

    if (order)
        free_order(order);
}

void recovery_ready(struct recovery *recovery, struct str name)
{
    struct sio_namespace *nsp = sio_namespace_find(recovery->server, name);
    struct buf anchor;
    uint64_t random;

    if (!nsp || !order_of(recovery, name))
        return;
    random_bytes(recovery->options.store.random, &random, sizeof(random));
    buf_init(&anchor, SIO_NUMBER_SIZE);
    sio_number_write(&anchor, random >> 16);
    recovery->options.anchor(recovery->options.owner, nsp, buf_str(&anchor));
    buf_free(&anchor);
}

static void order_gap(struct recovery *recovery, struct order *order)
{
    struct sio_namespace *nsp = sio_namespace_find(recovery->server, str_from(order->name));

    trail_gap(order->trail);
    if (!nsp)
        return;
    sio_log_gap(nsp);
    order->floor = sio_log_next(nsp) - 1;
}

void recovery_gap(struct recovery *recovery, struct str name)
{
    struct order *order = find_order(recovery, name);
    uint32_t cursor = 0;
    struct str key;
    void *value;

    if (order)
        order_gap(recovery, order);
    while (name.size == 0 && map_next(&recovery->orders, &cursor, &key, &value))
        order_gap(recovery, value);
}

/* The log's numbers up to here have been on the bus. */
static uint64_t covered(const struct recovery *recovery, const struct order *order)
{
    const struct sio_namespace *nsp =
        sio_namespace_find(recovery->server, str_from(order->name));
    uint64_t number = order->back;

    if (nsp && order->sent == order->back)
        number = sio_log_next(nsp) - 1;
    return number > order->floor ? number : order->floor;
}

void recovery_heard(struct recovery *recovery, struct str nsp, uint64_t fingerprint)
{
    struct order *order = order_of(recovery, nsp);

    if (order)
        trail_heard(order->trail, fingerprint, covered(recovery, order), now_of(recovery));
}

uint64_t recovery_place(const struct recovery *recovery, struct str nsp)
{
    const struct order *order = find_order(recovery, nsp);

    return order ? trail_last(order->trail) : SIO_BUS_NONE;
}

/* Of many servers the oldest are forgotten: then one of them seems new, or was restarted. */
static bool is_new_server(struct order *order, struct str sender)
{
    uint64_t origin = recovery_origin(sender);

    for (uint32_t i = 0; i < order->server_count; i++) {
        if (order->servers[i] == origin)
            return false;
    }
    if (order->server_count == SERVERS_MAX) {
        memmove(order->servers, order->servers + 1,
                (SERVERS_MAX - 1) * sizeof(order->servers[0]));
        order->server_count--;
    }
    order->servers[order->server_count++] = origin;
    return true;
}

void recovery_anchored(struct recovery *recovery, const struct cluster_message *message)
{
    struct order *order = find_order(recovery, message->nsp);
    uint64_t name;

    if (!order || !sio_number_read(message->request, &name))
        return;
    if (!message->own && !is_new_server(order, message->sender)) {
        /* It was cut off: what it sent meanwhile may have been lost. */
        order_gap(recovery, order);
        trail_heard(order->trail, name, covered(recovery, order), now_of(recovery));
    }
    trail_anchor(order->trail, name);
    if (message->own)
        order->self = recovery_origin(message->sender);
}

void recovery_came_back(struct recovery *recovery, const struct cluster_message *message)
{
    struct order *order = find_order(recovery, message->nsp);
    struct sio_namespace *nsp = sio_namespace_find(recovery->server, message->nsp);

    if (!order || !nsp || message->number == 0)
        return;
    order->back = message->number;
    sio_log_placed(nsp, message->number, trail_last(order->trail));
}

void recovery_sent(struct recovery *recovery, struct str nsp, uint64_t number)
{
    struct order *order = find_order(recovery, nsp);

    if (order && number > 0)
        order->sent = number;
}

/* --- places in offsets ------------------------------------------------------------------------- */

static const struct order *order_for(const struct recovery *recovery,
                                     const struct sio_namespace *nsp)
{
    return find_order(recovery, sio_namespace_name(nsp));
}

static uint64_t place(void *owner, const struct sio_namespace *nsp)
{
    const struct order *order = order_for(owner, nsp);

    return order ? trail_last(order->trail) : 0;
}

/* "SELF.ANCHOR.COUNT.CHECK" */
static void write_place(void *owner, const struct sio_namespace *nsp, uint64_t index,
                        struct buf *offset)
{
    const struct order *order = order_for(owner, nsp);

    if (!order || order->self == 0 || !trail_is_anchored(order->trail))
        return;
    sio_number_write(offset, order->self);
    buf_add_byte(offset, '.');
    trail_write(order->trail, index, offset);
}

static enum trail_found find_offset(const struct recovery *recovery,
                                    const struct sio_namespace *nsp, struct str offset,
                                    struct sio_position *position)
{
    const struct order *order = order_for(recovery, nsp);
    uint64_t origin, number, index, after;
    enum trail_found found;
    struct str rest;

    if (!order || !sio_offset_split(offset, &origin, &number, &rest))
        return TRAIL_UNKNOWN;
    if (origin == sio_server_origin(recovery->server))
        return TRAIL_FOUND; /* socketio's own */
    if (!sio_number_read(sio_offset_part(&rest), &origin))
        return TRAIL_UNKNOWN;
    found = trail_find(order->trail, rest, now_of(recovery), &index, &after);
    if (found == TRAIL_FOUND)
        *position = (struct sio_position){
            .after = after > order->floor ? after : order->floor,
            .place = index,
            .origin = origin,
            .number = number,
        };
    return found;
}

static bool find(void *owner, const struct sio_namespace *nsp, struct str offset,
                 struct sio_position *position)
{
    return find_offset(owner, nsp, offset, position) == TRAIL_FOUND;
}

/* --- sessions in Redis -------------------------------------------------------------------------- */

/* Origins are named as on the bus there, where every server knows them. */
static void rename_origins(const struct recovery *recovery, const struct order *order,
                           struct sio_session *session, struct sio_session_packet *packets,
                           bool to_bus)
{
    uint64_t here = sio_server_origin(recovery->server);
    uint64_t from = to_bus ? here : order->self, to = to_bus ? order->self : here;

    if (session->origin == from)
        session->origin = to;
    for (size_t i = 0; i < session->packet_count; i++) {
        packets[i] = session->packets[i];
        if (packets[i].origin == from)
            packets[i].origin = to;
    }
    session->packets = packets;
}

static bool encode(void *owner, const struct sio_namespace *nsp,
                   const struct sio_session *session, struct buf *value)
{
    const struct recovery *recovery = owner;
    const struct order *order = order_for(recovery, nsp);
    struct sio_session_packet *packets;
    struct sio_session renamed = *session;

    if (!order || order->self == 0)
        return false;
    packets = calloc(session->packet_count + 1, sizeof(*packets));
    if (!packets)
        return false;
    rename_origins(recovery, order, &renamed, packets, true);
    session_write(value, recovery->options.parser, sio_namespace_name(nsp), &renamed);
    free(packets);
    return true;
}

static bool decode(void *owner, const struct sio_namespace *nsp, struct str value,
                   struct session_read *read)
{
    const struct recovery *recovery = owner;
    const struct order *order = order_for(recovery, nsp);

    if (!order || !session_read(read, value))
        return false;
    if (!str_equal(read->nsp, sio_namespace_name(nsp)) ||
        !str_equal(read->parser, recovery->options.parser)) {
        session_free(read);
        return false;
    }
    rename_origins(recovery, order, &read->session, read->packets, false);
    return true;
}

static enum store_place locate(void *owner, const struct sio_namespace *nsp, struct str offset)
{
    struct sio_position position;

    return find_offset(owner, nsp, offset, &position) == TRAIL_AHEAD ? STORE_AHEAD : STORE_HERE;
}

static void saved(void *owner, const struct sio_namespace *nsp,
                  const struct sio_session *session, uint32_t window_ms)
{
    store_save(((struct recovery *)owner)->store, nsp, session, window_ms);
}

static void claim(void *owner, struct sio_claim *claim)
{
    struct recovery *recovery = owner;

    if (order_of(recovery, sio_namespace_name(sio_claim_namespace(claim))))
        store_claim(recovery->store, claim);
    else
        sio_claim_end(claim, SIO_CLAIM_UNKNOWN, NULL);
}

/* --- life -------------------------------------------------------------------------------------- */

struct recovery *recovery_new(const struct recovery_options *options,
                              char fault[REDIS_FAULT_MAX])
{
    struct recovery *recovery = calloc(1, sizeof(*recovery));
    const struct store_ops ops = {encode, decode, locate, NULL, recovery};

    snprintf(fault, REDIS_FAULT_MAX, "out of memory");
    if (!recovery)
        return NULL;
    recovery->options = *options;
    recovery->server = options->store.server;
    map_init(&recovery->orders);
    buf_init(&recovery->key_prefix, SIZE_MAX);
    buf_add_str(&recovery->key_prefix, options->store.prefix);
    buf_add_str(&recovery->key_prefix, STR(":skua:session:"));
    recovery->options.store.key_prefix = buf_str(&recovery->key_prefix);
    if (!buf_failed(&recovery->key_prefix))
        recovery->store = store_new(&recovery->options.store, &ops);
    if (!recovery->store) {
        recovery_free(recovery);
        return NULL;
    }
    sio_server_keep(recovery->server, &(struct sio_keeper){
                                          .place = place,
                                          .write_place = write_place,
                                          .find = find,
                                          .saved = saved,
                                          .claim = claim,
                                          .owner = recovery,
                                      });
    return recovery;
}

void recovery_stop(struct recovery *recovery)
{
    if (!recovery || !recovery->store)
        return;
    store_free(recovery->store);
    recovery->store = NULL;
}

void recovery_free(struct recovery *recovery)
{
    uint32_t cursor = 0;
    struct str name;
    void *order;

    if (!recovery)
        return;
    assert(!recovery->store);
    while (map_next(&recovery->orders, &cursor, &name, &order))
        free_order(order);
    map_free(&recovery->orders);
    buf_free(&recovery->key_prefix);
    free(recovery);
}

struct store *recovery_store(struct recovery *recovery)
{
    return recovery->store;
}
