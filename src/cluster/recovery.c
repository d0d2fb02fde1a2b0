#include "cluster/recovery.h"

#include "cluster/session.h"
#include "cluster/trail.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* A namespace's order on the bus. */
struct order {
    struct trail *trail;
    uint64_t sent;  /* the number of this server's last event that went out */
    uint64_t back;  /* and of the last that came back */
    uint64_t floor; /* numbers up to here are from before a gap */
    uint64_t self;  /* this server's origin on the bus; 0: not known yet */
    char name[];    /* the namespace's, with a NUL */
};

/* A client that asks for its session. */
struct search {
    struct list link;
    struct recovery *recovery;
    struct sio_claim *claim;
    struct str bytes; /* of the session, once it is there; malloced */
    struct timer timer;
    uint64_t give_up_ms;
    uint32_t takes; /* left */
    bool asking;    /* Redis or the peers */
};

struct recovery {
    struct recovery_options options;
    struct sio_server *server;
    struct redis *redis;
    struct peers *peers;
    struct buf key; /* the beginning of sessions' keys */
    struct map orders;
    struct map unwritten; /* private ids of lost sockets that Redis does not have */
    struct list searches;
    uint32_t writing;
};

static uint64_t now_of(const struct recovery *recovery)
{
    return net_loop_now(recovery->options.loop);
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
    random_bytes(recovery->options.random, &random, sizeof(random));
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

void recovery_anchored(struct recovery *recovery, const struct cluster_message *message)
{
    struct order *order = find_order(recovery, message->nsp);
    uint64_t name;

    if (!order || !sio_number_read(message->request, &name))
        return;
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

/* --- sessions in Redis: writing ---------------------------------------------------------------- */

static void key_of(const struct recovery *recovery, struct str pid, struct buf *key)
{
    buf_init(key, SIZE_MAX);
    buf_add_str(key, buf_str(&recovery->key));
    buf_add_str(key, pid);
}

struct writing {
    struct recovery *recovery;
    char pid[RANDOM_ID_SIZE];
};

static void written(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct writing *writing = owner;
    struct recovery *recovery = writing->recovery;
    struct str pid = str_of(writing->pid, sizeof(writing->pid));

    recovery->writing--;
    if (end != REDIS_ANSWERED || reply->type == REDIS_REPLY_ERROR) {
        log_warn(recovery->options.log, "a lost socket is kept on this server only",
                 log_text("reason", end == REDIS_ANSWERED ? reply->str : redis_end_text(end)),
                 LOG_END);
        if (map_size(&recovery->unwritten) < RECOVERY_UNWRITTEN_MAX)
            map_put(&recovery->unwritten, pid, recovery);
    }
    free(writing);
}

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

static bool encode(const struct recovery *recovery, const struct sio_namespace *nsp,
                   const struct sio_session *session, struct buf *value)
{
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
    return !buf_failed(value);
}

static void saved(void *owner, const struct sio_namespace *nsp,
                  const struct sio_session *session, uint32_t window_ms)
{
    struct recovery *recovery = owner;
    struct writing *writing = malloc(sizeof(*writing));
    const struct redis_how how = {.queue_ms = window_ms};
    struct buf value, key, window;

    key_of(recovery, session->pid, &key);
    buf_init(&value, SESSION_BYTES_MAX);
    buf_init(&window, SIZE_MAX);
    buf_add_u64(&window, window_ms);
    if (writing && encode(recovery, nsp, session, &value) && !buf_failed(&key) &&
        !buf_failed(&window)) {
        const struct str words[] = {STR("SET"), buf_str(&key), buf_str(&value), STR("PX"),
                                    buf_str(&window)};

        assert(session->pid.size == sizeof(writing->pid));
        writing->recovery = recovery;
        memcpy(writing->pid, session->pid.at, sizeof(writing->pid));
        recovery->writing++;
        redis_command_with(recovery->redis, &how, words, 5, written, writing);
        writing = NULL;
    } else if (map_size(&recovery->unwritten) < RECOVERY_UNWRITTEN_MAX) {
        map_put(&recovery->unwritten, session->pid, recovery);
    }
    free(writing);
    buf_free(&key);
    buf_free(&value);
    buf_free(&window);
}

/* --- and taking -------------------------------------------------------------------------------- */

static void end_search(struct search *search, enum sio_claim_end how,
                       const struct sio_session *session)
{
    struct sio_claim *claim = search->claim;

    timer_stop(net_loop_timers(search->recovery->options.loop), &search->timer);
    list_remove(&search->link);
    sio_claim_end(claim, how, session);
    free((void *)search->bytes.at);
    free(search);
}

/* A session that was found; its packets may be in the way of being sent here yet. */
static void use_session(struct search *search)
{
    struct recovery *recovery = search->recovery;
    struct sio_namespace *nsp = sio_claim_namespace(search->claim);
    const struct order *order = order_for(recovery, nsp);
    struct str offset = sio_claim_offset(search->claim);
    struct sio_position position;
    struct session_read read;

    if (!order || !session_read(&read, search->bytes)) {
        end_search(search, SIO_CLAIM_NONE, NULL);
        return;
    }
    if (offset.size == 0)
        offset = read.session.start;
    if (now_of(recovery) < search->give_up_ms &&
        find_offset(recovery, nsp, offset, &position) == TRAIL_AHEAD) {
        timer_start(net_loop_timers(recovery->options.loop), &search->timer, RECOVERY_POLL_MS);
        session_free(&read);
        return;
    }
    rename_origins(recovery, order, &read.session, read.packets, false);
    read.session.pid = sio_claim_pid(search->claim);
    if (str_equal(read.nsp, sio_namespace_name(nsp)) &&
        str_equal(read.parser, recovery->options.parser))
        end_search(search, SIO_CLAIM_FOUND, &read.session);
    else
        end_search(search, SIO_CLAIM_NONE, NULL);
    session_free(&read);
}

static void take(struct search *search);

static void looked(void *owner, bool given)
{
    struct search *search = owner;

    search->asking = false;
    if (!given || search->takes == 0)
        end_search(search, SIO_CLAIM_NONE, NULL);
    else
        take(search);
}

static void taken(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct search *search = owner;
    struct recovery *recovery = search->recovery;
    struct str pid = sio_claim_pid(search->claim);
    char *copy;

    search->asking = false;
    if (end != REDIS_ANSWERED || reply->type == REDIS_REPLY_ERROR) {
        log_warn(recovery->options.log, "Redis did not tell of a lost socket",
                 log_text("reason", end == REDIS_ANSWERED ? reply->str : redis_end_text(end)),
                 LOG_END);
        end_search(search, SIO_CLAIM_UNKNOWN, NULL);
    } else if (reply->type == REDIS_REPLY_STRING) {
        struct str value = redis_reply_str(reply);

        copy = malloc(value.size + 1);
        if (!copy) {
            end_search(search, SIO_CLAIM_UNKNOWN, NULL);
            return;
        }
        memcpy(copy, value.at, value.size);
        search->bytes = str_of(copy, value.size);
        use_session(search);
    } else if (map_remove(&recovery->unwritten, pid)) {
        end_search(search, SIO_CLAIM_UNKNOWN, NULL);
    } else if (search->takes == RECOVERY_TAKES - 1) {
        search->asking = true;
        peers_ask(recovery->peers, pid, looked, search);
    } else if (search->takes > 0) { /* it was given up, and is just being written */
        timer_start(net_loop_timers(recovery->options.loop), &search->timer,
                    RECOVERY_POLL_MS * 4);
    } else {
        end_search(search, SIO_CLAIM_NONE, NULL);
    }
}

static void take(struct search *search)
{
    struct recovery *recovery = search->recovery;
    const struct redis_how how = {.at_once = true};
    struct buf key;

    key_of(recovery, sio_claim_pid(search->claim), &key);
    search->takes--;
    search->asking = true;
    if (buf_failed(&key)) {
        search->asking = false;
        end_search(search, SIO_CLAIM_UNKNOWN, NULL);
    } else {
        const struct str words[] = {STR("GETDEL"), buf_str(&key)};

        redis_command_with(recovery->redis, &how, words, 2, taken, search);
    }
    buf_free(&key);
}

static void search_goes_on(struct timer *timer)
{
    struct search *search = CONTAINER_OF(timer, struct search, timer);

    if (search->bytes.size > 0)
        use_session(search);
    else
        take(search);
}

static void claim(void *owner, struct sio_claim *claim)
{
    struct recovery *recovery = owner;
    struct search *search = malloc(sizeof(*search));

    if (!search || !order_of(recovery, sio_namespace_name(sio_claim_namespace(claim)))) {
        free(search);
        sio_claim_end(claim, SIO_CLAIM_UNKNOWN, NULL);
        return;
    }
    *search = (struct search){
        .recovery = recovery,
        .claim = claim,
        .give_up_ms = now_of(recovery) + RECOVERY_AHEAD_MS,
        .takes = RECOVERY_TAKES,
    };
    timer_init(&search->timer, search_goes_on);
    list_add_last(&recovery->searches, &search->link);
    take(search);
}

static bool give(void *owner, struct str pid)
{
    return sio_server_abandon(((struct recovery *)owner)->server, pid);
}

/* --- life -------------------------------------------------------------------------------------- */

static void control_message(void *owner, enum redis_kind kind, struct str channel,
                            struct str pattern, struct str payload)
{
    const struct recovery *recovery = owner;
    (void)kind, (void)pattern;

    peers_message(recovery->peers, channel, payload);
}

static void control_ready(void *owner)
{
    peers_ready(((struct recovery *)owner)->peers);
}

static bool make_peers(struct recovery *recovery)
{
    const struct recovery_options *options = &recovery->options;
    const struct peers_handler handler = {.give = give, .owner = recovery};

    recovery->peers = peers_new(
        &(struct peers_options){
            .loop = options->loop,
            .random = options->random,
            .log = options->log,
            .redis = recovery->redis,
            .prefix = options->prefix,
            .name = sio_server_origin(options->server),
            .address = options->address,
        },
        &handler);
    return recovery->peers != NULL;
}

struct recovery *recovery_new(const struct recovery_options *options,
                              char fault[REDIS_FAULT_MAX])
{
    struct recovery *recovery = calloc(1, sizeof(*recovery));
    const struct redis_events events = {
        .message = control_message,
        .ready = control_ready,
        .owner = recovery,
    };

    snprintf(fault, REDIS_FAULT_MAX, "out of memory");
    if (!recovery)
        return NULL;
    recovery->options = *options;
    recovery->server = options->server;
    map_init(&recovery->orders);
    map_init(&recovery->unwritten);
    list_init(&recovery->searches);
    buf_init(&recovery->key, SIZE_MAX);
    buf_add_str(&recovery->key, options->prefix);
    buf_add_str(&recovery->key, STR(":skua:session:"));
    recovery->redis =
        redis_new(options->loop, options->random, options->log, options->redis, &events, fault);
    if (!recovery->redis || buf_failed(&recovery->key) || !make_peers(recovery)) {
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

/* Those who wait for a time; those who wait for Redis end with it. */
static void end_waiting(struct recovery *recovery)
{
    struct list *link = recovery->searches.next;

    while (link != &recovery->searches) {
        struct search *search = CONTAINER_OF(link, struct search, link);

        link = link->next;
        if (!search->asking)
            end_search(search, SIO_CLAIM_UNKNOWN, NULL);
    }
}

void recovery_free(struct recovery *recovery)
{
    uint32_t cursor = 0;
    struct str name;
    void *order;

    if (!recovery)
        return;
    sio_server_keep(recovery->server, &(struct sio_keeper){0});
    peers_free(recovery->peers);
    end_waiting(recovery);
    if (recovery->redis)
        redis_free(recovery->redis);
    assert(list_empty(&recovery->searches));
    while (map_next(&recovery->orders, &cursor, &name, &order))
        free_order(order);
    map_free(&recovery->orders);
    map_free(&recovery->unwritten);
    buf_free(&recovery->key);
    free(recovery);
}

struct peers *recovery_peers(struct recovery *recovery)
{
    return recovery->peers;
}

uint32_t recovery_writing(const struct recovery *recovery)
{
    return recovery->writing;
}
