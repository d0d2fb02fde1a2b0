#include "cluster/peers.h"

#include "msgpack/msgpack.h"
#include "socketio/socketio.h"

#include <assert.h>
#include <stdlib.h>

/*
 * Messages are MessagePack: [version, type, name, …], where the name is the sender's:
 *   hello  [1, 0, name, address]
 *   look   [1, 1, name, ask, pid]
 *   given  [1, 2, name, ask, whether]   to the asker's channel
 */

enum {
    VERSION = 1,
    MESSAGE_MAX = 4096,
    COMPLAINT_MS = 10000,
};

enum type {
    HELLO,
    LOOK,
    GIVEN,
};

struct peer {
    uint64_t name;
    uint64_t heard_ms;
    size_t address_size;
    char address[PEERS_ADDRESS_MAX];
};

struct ask {
    struct list link;
    struct peers *peers;
    uint64_t number;
    uint32_t refusals;
    struct timer timer;
    void (*answered)(void *owner, bool given);
    void *owner;
};

struct peers {
    struct net_loop *loop;
    const struct log *log;
    struct redis *redis;
    struct peers_handler handler;
    uint64_t name;
    struct buf all; /* the channel of all */
    struct buf own; /* and this server's */
    struct buf address;
    struct timer hello;
    uint64_t echo_ms; /* when a hello of our own came last; 0: never */
    uint64_t next_ask;
    uint64_t ignored; /* messages */
    uint64_t complained_ms;
    struct list asks;
    uint32_t ask_count;
    uint32_t count;
    struct peer others[PEERS_MAX];
};

static uint64_t now_of(const struct peers *peers)
{
    return net_loop_now(peers->loop);
}

/* --- sending --------------------------------------------------------------------------------- */

static void published(void *owner, const struct redisReply *reply, enum redis_end end)
{
    /* Hellos show what becomes of messages, asks time out. */
    (void)owner, (void)reply, (void)end;
}

static void begin_message(const struct peers *peers, struct buf *message, uint32_t fields,
                          enum type type)
{
    buf_init(message, MESSAGE_MAX);
    msgpack_write_array(message, fields);
    msgpack_write_integer(message, VERSION);
    msgpack_write_integer(message, type);
    msgpack_write_integer(message, (int64_t)peers->name);
}

static void publish(struct peers *peers, struct str channel, struct buf *message)
{
    const struct redis_how how = {.has_key = true, .key = channel, .at_once = true};
    const struct str words[] = {STR("PUBLISH"), channel, buf_str(message)};

    if (!buf_failed(message))
        redis_command_with(peers->redis, &how, words, 3, published, NULL);
    buf_free(message);
}

static void channel_of(const struct peers *peers, uint64_t name, struct buf *channel)
{
    buf_add_str(channel, buf_str(&peers->all));
    sio_number_write(channel, name);
    buf_add_byte(channel, '#');
}

static void say_hello(struct timer *timer)
{
    struct peers *peers = CONTAINER_OF(timer, struct peers, hello);
    struct buf message;

    timer_start(net_loop_timers(peers->loop), timer, PEERS_HELLO_MS);
    begin_message(peers, &message, 4, HELLO);
    msgpack_write_string(&message, buf_str(&peers->address));
    publish(peers, buf_str(&peers->all), &message);
}

void peers_ready(struct peers *peers)
{
    say_hello(&peers->hello);
}

void peers_set_address(struct peers *peers, struct str address)
{
    buf_reset(&peers->address);
    buf_add_str(&peers->address, address);
    say_hello(&peers->hello);
}

/* --- who is there ------------------------------------------------------------------------------ */

static bool is_there(const struct peers *peers, const struct peer *peer)
{
    return peer->heard_ms + PEERS_GONE_MS >= now_of(peers);
}

static struct peer *find(struct peers *peers, uint64_t name)
{
    for (uint32_t i = 0; i < peers->count; i++) {
        if (peers->others[i].name == name)
            return &peers->others[i];
    }
    return NULL;
}

static void forget_gone(struct peers *peers)
{
    for (uint32_t i = peers->count; i-- > 0;) {
        if (!is_there(peers, &peers->others[i]))
            peers->others[i] = peers->others[--peers->count];
    }
}

static void heard(struct peers *peers, uint64_t name, struct str address)
{
    struct peer *peer = find(peers, name);
    bool is_new = !peer;

    if (is_new)
        forget_gone(peers);
    if (is_new && peers->count < PEERS_MAX)
        peer = &peers->others[peers->count++];
    if (!peer)
        return;
    peer->name = name;
    peer->heard_ms = now_of(peers);
    peer->address_size = address.size < PEERS_ADDRESS_MAX ? address.size : 0;
    memcpy(peer->address, address.at, peer->address_size);
    if (is_new) /* it shall know us at once */
        say_hello(&peers->hello);
}

uint32_t peers_count(const struct peers *peers)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < peers->count; i++)
        count += is_there(peers, &peers->others[i]);
    return count;
}

bool peers_healthy(const struct peers *peers)
{
    return peers->echo_ms != 0 && peers->echo_ms + PEERS_GONE_MS >= now_of(peers);
}

bool peers_address(const struct peers *peers, uint64_t name, struct str *address)
{
    const struct peer *peer = find((struct peers *)peers, name);

    if (!peer || !is_there(peers, peer) || peer->address_size == 0)
        return false;
    *address = str_of(peer->address, peer->address_size);
    return true;
}

/* --- asking ------------------------------------------------------------------------------------ */

static void end_ask(struct ask *ask, bool given)
{
    void (*answered)(void *owner, bool given) = ask->answered;
    void *owner = ask->owner;

    timer_stop(net_loop_timers(ask->peers->loop), &ask->timer);
    list_remove(&ask->link);
    ask->peers->ask_count--;
    free(ask);
    answered(owner, given);
}

static void ask_timed_out(struct timer *timer)
{
    end_ask(CONTAINER_OF(timer, struct ask, timer), false);
}

void peers_ask(struct peers *peers, struct str pid, void (*answered)(void *owner, bool given),
               void *owner)
{
    uint32_t others = peers_count(peers);
    struct ask *ask = peers->ask_count < PEERS_ASKS_MAX ? malloc(sizeof(*ask)) : NULL;
    struct buf message;

    if (!ask) {
        answered(owner, false);
        return;
    }
    *ask = (struct ask){
        .peers = peers, .number = peers->next_ask++, .answered = answered, .owner = owner};
    list_add_last(&peers->asks, &ask->link);
    peers->ask_count++;
    timer_init(&ask->timer, ask_timed_out);
    timer_start(net_loop_timers(peers->loop), &ask->timer, others > 0 ? PEERS_ANSWER_MS : 0);
    if (others == 0)
        return;
    begin_message(peers, &message, 5, LOOK);
    msgpack_write_integer(&message, (int64_t)ask->number);
    msgpack_write_string(&message, pid);
    publish(peers, buf_str(&peers->all), &message);
}

static void take_look(struct peers *peers, uint64_t name, uint64_t number, struct str pid)
{
    bool given = peers->handler.give(peers->handler.owner, pid);
    struct buf message, channel;

    buf_init(&channel, SIZE_MAX);
    channel_of(peers, name, &channel);
    begin_message(peers, &message, 5, GIVEN);
    msgpack_write_integer(&message, (int64_t)number);
    msgpack_write_bool(&message, given);
    if (!buf_failed(&channel))
        publish(peers, buf_str(&channel), &message);
    buf_free(&channel);
}

static void take_given(struct peers *peers, uint64_t number, bool given)
{
    for (struct list *link = peers->asks.next; link != &peers->asks; link = link->next) {
        struct ask *ask = CONTAINER_OF(link, struct ask, link);

        if (ask->number != number)
            continue;
        if (given || ++ask->refusals >= peers_count(peers))
            end_ask(ask, given);
        return;
    }
}

/* --- hearing ----------------------------------------------------------------------------------- */

struct words {
    struct msgpack_reader reader;
    bool good;
};

static uint64_t next_number(struct words *words)
{
    struct msgpack_token token;

    if (!words->good || !msgpack_read(&words->reader, &token) ||
        token.kind != MSGPACK_INTEGER || token.integer < 0) {
        words->good = false;
        return 0;
    }
    return (uint64_t)token.integer;
}

static struct str next_string(struct words *words)
{
    struct msgpack_token token;

    if (!words->good || !msgpack_read(&words->reader, &token) || token.kind != MSGPACK_STRING) {
        words->good = false;
        return STR("");
    }
    return token.bytes;
}

static bool next_bool(struct words *words)
{
    struct msgpack_token token;

    if (!words->good || !msgpack_read(&words->reader, &token) || token.kind != MSGPACK_BOOL) {
        words->good = false;
        return false;
    }
    return token.boolean;
}

static bool take_hello(struct peers *peers, uint64_t name, struct words *words)
{
    struct str address = next_string(words);

    if (!words->good)
        return false;
    if (name == peers->name)
        peers->echo_ms = now_of(peers);
    else
        heard(peers, name, address);
    return true;
}

static bool take(struct peers *peers, struct str payload)
{
    struct words words = {msgpack_reader_of(payload), true};
    struct msgpack_token array;
    uint64_t version, type, name, number;

    if (!msgpack_read(&words.reader, &array) || array.kind != MSGPACK_ARRAY || array.count < 4)
        return false;
    version = next_number(&words);
    type = next_number(&words);
    name = next_number(&words);
    if (!words.good || version != VERSION)
        return false;
    if (type == HELLO)
        return take_hello(peers, name, &words);
    number = next_number(&words);
    if (type == LOOK) {
        struct str pid = next_string(&words);
        if (words.good && name != peers->name)
            take_look(peers, name, number, pid);
    } else if (type == GIVEN) {
        bool given = next_bool(&words);
        if (words.good)
            take_given(peers, number, given);
    }
    return words.good;
}

void peers_message(struct peers *peers, struct str channel, struct str payload)
{
    if (!str_equal(channel, buf_str(&peers->all)) && !str_equal(channel, buf_str(&peers->own)))
        return;
    if (take(peers, payload))
        return;
    peers->ignored++;
    if (peers->complained_ms != 0 && now_of(peers) - peers->complained_ms < COMPLAINT_MS)
        return;
    peers->complained_ms = now_of(peers);
    log_warn(peers->log, "a message that is none was ignored", log_str("channel", channel),
             log_int("ignored", (int64_t)peers->ignored), LOG_END);
}

/* --- life -------------------------------------------------------------------------------------- */

struct peers *peers_new(const struct peers_options *options,
                        const struct peers_handler *handler)
{
    struct peers *peers = calloc(1, sizeof(*peers));

    if (!peers)
        return NULL;
    peers->loop = options->loop;
    peers->log = options->log;
    peers->redis = options->redis;
    peers->handler = *handler;
    peers->name = options->name;
    random_bytes(options->random, &peers->next_ask, sizeof(peers->next_ask));
    peers->next_ask >>= 16; /* not another life's, and an integer of every language */
    list_init(&peers->asks);
    timer_init(&peers->hello, say_hello);
    buf_init(&peers->all, SIZE_MAX);
    buf_init(&peers->own, SIZE_MAX);
    buf_init(&peers->address, PEERS_ADDRESS_MAX);
    buf_add_str(&peers->all, options->prefix);
    buf_add_str(&peers->all, STR("-skua#"));
    channel_of(peers, peers->name, &peers->own);
    if (!buf_failed(&peers->all) && !buf_failed(&peers->own) && !buf_failed(&peers->address) &&
        redis_subscribe(peers->redis, REDIS_CHANNEL, buf_str(&peers->all)) &&
        redis_subscribe(peers->redis, REDIS_CHANNEL, buf_str(&peers->own)))
        return peers;
    peers_free(peers);
    return NULL;
}

void peers_free(struct peers *peers)
{
    if (!peers)
        return;
    while (!list_empty(&peers->asks))
        end_ask(CONTAINER_OF(peers->asks.next, struct ask, link), false);
    timer_stop(net_loop_timers(peers->loop), &peers->hello);
    redis_unsubscribe(peers->redis, REDIS_CHANNEL, buf_str(&peers->all));
    redis_unsubscribe(peers->redis, REDIS_CHANNEL, buf_str(&peers->own));
    buf_free(&peers->all);
    buf_free(&peers->own);
    buf_free(&peers->address);
    free(peers);
}
