#include "cluster/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* A client that asks for its session. */
struct store_search {
    struct list link;
    struct store *store;
    struct sio_claim *claim;
    char *value; /* of the session, once it is there */
    size_t size;
    struct timer timer;
    uint64_t give_up_ms;
    uint32_t takes; /* left */
    bool asking;    /* Redis or the peers */
};

struct store {
    struct store_options options;
    struct store_ops ops;
    struct map unwritten; /* private ids of lost sockets that Redis does not have */
    struct list searches;
    uint32_t writing;
};

static uint64_t now_of(const struct store *store)
{
    return net_loop_now(store->options.loop);
}

static void key_of(const struct store *store, struct str pid, struct buf *key)
{
    buf_init(key, SIZE_MAX);
    buf_add_str(key, store->options.key_prefix);
    buf_add_str(key, pid);
}

/* --- writing --------------------------------------------------------------------------------- */

struct writing {
    struct store *store;
    char pid[RANDOM_ID_SIZE];
};

static void not_written(struct store *store, struct str pid)
{
    if (map_size(&store->unwritten) == STORE_UNWRITTEN_MAX) {
        map_free(&store->unwritten);
        map_init(&store->unwritten);
    }
    map_put(&store->unwritten, pid, store);
}

static const char *reason_of(const struct redisReply *reply, enum redis_end end)
{
    return end == REDIS_ANSWERED ? reply->str : redis_end_text(end);
}

static void written(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct writing *writing = owner;
    struct store *store = writing->store;

    store->writing--;
    if (end != REDIS_ANSWERED || reply->type == REDIS_REPLY_ERROR) {
        log_warn(store->options.log, "a lost socket is kept on this server only",
                 log_text("reason", reason_of(reply, end)), LOG_END);
        not_written(store, str_of(writing->pid, sizeof(writing->pid)));
    }
    free(writing);
}

static void write_to_redis(struct store *store, struct str pid, struct str key,
                           struct str value, uint32_t window_ms)
{
    struct writing *writing = malloc(sizeof(*writing));
    const struct redis_how how = {.queue_ms = window_ms};
    struct buf window;

    buf_init(&window, SIZE_MAX);
    buf_add_u64(&window, window_ms);
    if (writing && !buf_failed(&window)) {
        const struct str words[] = {STR("SET"), key, value, STR("PX"), buf_str(&window)};

        assert(pid.size == sizeof(writing->pid));
        writing->store = store;
        memcpy(writing->pid, pid.at, sizeof(writing->pid));
        store->writing++;
        redis_command_with(store->options.redis, &how, words, 5, written, writing);
    } else {
        free(writing);
        not_written(store, pid);
    }
    buf_free(&window);
}

static void write_session(struct store *store, struct str pid, struct str key, struct str value,
                          uint32_t window_ms)
{
    if (!store->options.door)
        write_to_redis(store, pid, key, value, window_ms);
    else if (!vault_put(store->options.door, key, value, window_ms))
        not_written(store, pid);
}

void store_save(struct store *store, const struct sio_namespace *nsp,
                const struct sio_session *session, uint32_t window_ms)
{
    struct buf value, key;

    key_of(store, session->pid, &key);
    buf_init(&value, SESSION_BYTES_MAX);
    if (store->ops.encode(store->ops.owner, nsp, session, &value) && !buf_failed(&value) &&
        !buf_failed(&key))
        write_session(store, session->pid, buf_str(&key), buf_str(&value), window_ms);
    else
        not_written(store, session->pid);
    buf_free(&key);
    buf_free(&value);
}

/* --- taking ---------------------------------------------------------------------------------- */

static void end_search(struct store_search *search, enum sio_claim_end how,
                       const struct sio_session *session)
{
    struct sio_claim *claim = search->claim;

    timer_stop(net_loop_timers(search->store->options.loop), &search->timer);
    list_remove(&search->link);
    sio_claim_end(claim, how, session);
    free(search->value);
    free(search);
}

static bool decode(const struct store_search *search, struct session_read *read)
{
    const struct store *store = search->store;

    if (!store->ops.decode(store->ops.owner, sio_claim_namespace(search->claim),
                           str_of(search->value, search->size), read))
        return false;
    read->session.pid = sio_claim_pid(search->claim);
    return true;
}

/* A session is there; its events may be in the way of being sent here yet. */
static void use_session(struct store_search *search)
{
    struct store *store = search->store;
    const struct sio_namespace *nsp = sio_claim_namespace(search->claim);
    struct str offset = sio_claim_offset(search->claim);
    struct session_read read;
    enum store_place place;

    if (!decode(search, &read)) {
        log_warn(store->options.log, "a lost socket in Redis is no session of this namespace",
                 log_str("namespace", sio_namespace_name(nsp)), LOG_END);
        end_search(search, SIO_CLAIM_NONE, NULL);
        return;
    }
    offset = sio_session_offset(&read.session, offset);
    place = store->ops.locate(store->ops.owner, nsp, offset);
    if (place == STORE_AHEAD && now_of(store) < search->give_up_ms) {
        timer_start(net_loop_timers(store->options.loop), &search->timer, STORE_POLL_MS);
    } else if (place == STORE_ELSEWHERE) {
        search->asking = true;
        store->ops.fetch(store->ops.owner, search, nsp, offset);
    } else {
        end_search(search, SIO_CLAIM_FOUND, &read.session);
    }
    session_free(&read);
}

struct str store_value(const struct store_search *search)
{
    return str_of(search->value, search->size);
}

void store_fetched(struct store_search *search, const struct sio_session_packet *packets,
                   size_t count, uint64_t to, bool good)
{
    struct session_read read;

    search->asking = false;
    if (!good || !decode(search, &read)) {
        end_search(search, SIO_CLAIM_NONE, NULL);
        return;
    }
    read.session.packets = packets;
    read.session.packet_count = count;
    read.session.packets_are_first = true;
    read.session.packets_to = to;
    end_search(search, SIO_CLAIM_FOUND, &read.session);
    session_free(&read);
}

static void take(struct store_search *search);

static void looked(void *owner, bool given)
{
    struct store_search *search = owner;

    search->asking = false;
    if (given && search->takes > 0)
        take(search);
    else
        end_search(search, SIO_CLAIM_NONE, NULL);
}

static void keep_value(struct store_search *search, struct str value)
{
    search->value = malloc(value.size + 1);
    if (!search->value) {
        end_search(search, SIO_CLAIM_UNKNOWN, NULL);
        return;
    }
    memcpy(search->value, value.at, value.size);
    search->size = value.size;
    use_session(search);
}

/* Redis has none: somebody may have the socket still, or may be writing it. */
static void look_around(struct store_search *search)
{
    struct store *store = search->store;
    struct str pid = sio_claim_pid(search->claim);

    if (map_remove(&store->unwritten, pid)) {
        end_search(search, SIO_CLAIM_UNKNOWN, NULL);
    } else if (search->takes == STORE_TAKES - 1) {
        search->asking = true;
        if (store->options.door)
            vault_ask(store->options.door, pid, looked, search);
        else
            peers_ask(store->options.peers, pid, looked, search);
    } else if (search->takes > 0) {
        timer_start(net_loop_timers(store->options.loop), &search->timer, STORE_TAKE_AGAIN_MS);
    } else {
        end_search(search, SIO_CLAIM_NONE, NULL);
    }
}

static void taken(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct store_search *search = owner;

    search->asking = false;
    if (end != REDIS_ANSWERED || reply->type == REDIS_REPLY_ERROR) {
        if (end != REDIS_CLOSED)
            log_warn(search->store->options.log, "Redis did not tell of a lost socket",
                     log_text("reason", reason_of(reply, end)), LOG_END);
        end_search(search, SIO_CLAIM_UNKNOWN, NULL);
    } else if (reply->type == REDIS_REPLY_STRING) {
        keep_value(search, redis_reply_str(reply));
    } else {
        look_around(search);
    }
}

static void take_from_redis(struct store_search *search, struct str key)
{
    const struct redis_how how = {.at_once = true};
    const struct str words[] = {STR("GETDEL"), key};

    search->asking = true;
    redis_command_with(search->store->options.redis, &how, words, 2, taken, search);
}

static void take_from_vault(struct store_search *search, struct str key)
{
    if (vault_take(search->store->options.door, key, &search->value, &search->size))
        use_session(search);
    else
        look_around(search);
}

static void take(struct store_search *search)
{
    struct store *store = search->store;
    struct buf key;

    key_of(store, sio_claim_pid(search->claim), &key);
    search->takes--;
    if (buf_failed(&key))
        end_search(search, SIO_CLAIM_UNKNOWN, NULL);
    else if (store->options.door)
        take_from_vault(search, buf_str(&key));
    else
        take_from_redis(search, buf_str(&key));
    buf_free(&key);
}

static void search_goes_on(struct timer *timer)
{
    struct store_search *search = CONTAINER_OF(timer, struct store_search, timer);

    if (search->value)
        use_session(search);
    else
        take(search);
}

void store_claim(struct store *store, struct sio_claim *claim)
{
    struct store_search *search = malloc(sizeof(*search));

    if (!search) {
        sio_claim_end(claim, SIO_CLAIM_UNKNOWN, NULL);
        return;
    }
    *search = (struct store_search){
        .store = store,
        .claim = claim,
        .give_up_ms = now_of(store) + STORE_AHEAD_MS,
        .takes = STORE_TAKES,
    };
    timer_init(&search->timer, search_goes_on);
    list_add_last(&store->searches, &search->link);
    take(search);
}

/* --- life ------------------------------------------------------------------------------------ */

struct store *store_new(const struct store_options *options, const struct store_ops *ops)
{
    struct store *store = calloc(1, sizeof(*store));

    if (!store)
        return NULL;
    store->options = *options;
    store->ops = *ops;
    map_init(&store->unwritten);
    list_init(&store->searches);
    return store;
}

/* Those who wait for a time; those who wait for Redis end with it. */
static void end_waiting(struct store *store)
{
    struct list *link = store->searches.next;

    while (link != &store->searches) {
        struct store_search *search = CONTAINER_OF(link, struct store_search, link);

        link = link->next;
        if (!search->asking)
            end_search(search, SIO_CLAIM_UNKNOWN, NULL);
    }
}

void store_free(struct store *store)
{
    if (!store)
        return;
    end_waiting(store);
    assert(list_empty(&store->searches));
    map_free(&store->unwritten);
    free(store);
}

struct redis *store_redis(struct store *store)
{
    return store->options.redis;
}

uint32_t store_writing(const struct store *store)
{
    return store->writing;
}
