#include "redis/private.h"

#include "net/conn.h"
#include "net/peer_address.h"

#include <assert.h>
#include <hiredis/read.h>
#include <hiredis/sds.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* hiredis moves what is left in its buffer at each reply: little pieces cost less. */
    FEED_SIZE = 16 * 1024,
    LARGE_REPLY = 1024 * 1024,
    REPLY_ELEMENTS_MAX = 1024 * 1024,     /* of one array: 8 MB before any element came */
    REPLY_BYTES_MAX = 1024 * 1024 * 1024, /* Redis's own limit is half of that */

    /* Of the longest silence that is borne: a server from which nothing was heard for a third of
     * it is asked, and looked at so many times in all of it. */
    IDLE_PART = 3,
    CHECKS = 8,
};

struct wire {
    struct redis *redis;
    const struct place *place;
    const struct wire_events *events;
    void *owner;
    struct dial *dial;
    struct net_conn *conn;
    redisReader *reader;
    struct list pending; /* requests in the order of their sending */
    struct timer timer;  /* of the connecting, then of the checks */
    uint64_t heard_ms;
    bool open;
    bool closed;
    struct net_grave grave;
};

/* ---- the end ---- */

static void bury(struct net_grave *grave)
{
    struct wire *wire = CONTAINER_OF(grave, struct wire, grave);

    /* Not earlier: its parser may be at work when the wire is closed. */
    redisReaderFree(wire->reader);
    free(wire);
}

void wire_close(struct wire *wire, enum redis_end end)
{
    assert(!wire->closed);
    wire->closed = true;
    wire->open = false;
    timer_stop(net_loop_timers(wire->redis->loop), &wire->timer);
    if (wire->dial)
        dial_cancel(wire->dial);
    if (wire->conn)
        net_conn_close(wire->conn);
    wire->dial = NULL;
    wire->conn = NULL;
    requests_end(&wire->pending, end);
    net_loop_bury(wire->redis->loop, &wire->grave, bury);
}

__attribute__((format(printf, 3, 4))) static void fail(struct wire *wire, enum wire_end end,
                                                       const char *format, ...)
{
    char reason[REASON_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    if (!reason[0])
        snprintf(reason, sizeof(reason), "the server told an error without words");
    wire_close(wire, REDIS_LOST);
    wire->events->closed(wire->owner, end, reason);
}

/* ---- sending ---- */

static void put(struct wire *wire, struct redis_request *request)
{
    list_add_last(&wire->pending, &request->link);
    net_conn_send(wire->conn, request->frame);
    request_sent(request);
    if (!request->sunsubscribed.at && !request->routed) {
        frame_unref(request->frame);
        request->frame = NULL;
    }
}

size_t wire_queued(const struct wire *wire)
{
    return wire->conn ? net_conn_queued(wire->conn) : 0;
}

/* An answer that says nothing to us. */
static void ignored(void *owner, const struct redisReply *reply, enum redis_end end)
{
    (void)owner;
    (void)reply;
    (void)end;
}

/* Something of the wire's own. */
static bool say(struct wire *wire, redis_answer *answer, const struct str *argv, size_t argc)
{
    struct redis_request *request = request_new(wire->redis, argv, argc);

    if (!request)
        return false;
    request->internal = true;
    request->answer = answer;
    request->owner = wire;
    put(wire, request);
    return true;
}

/* Without ASKING (out of memory) the node sends it back, and it comes again. */
void wire_send(struct wire *wire, struct redis_request *request)
{
    const struct str asking[] = {STR("ASKING")};

    if (request->asking)
        say(wire, ignored, asking, 1);
    put(wire, request);
}

/* ---- handshake ---- */

static struct str word(const struct redisReply *reply, size_t index)
{
    if ((reply->type != REDIS_REPLY_ARRAY && reply->type != REDIS_REPLY_PUSH) ||
        index >= reply->elements || reply->element[index]->type != REDIS_REPLY_STRING)
        return STR("");
    return redis_reply_str(reply->element[index]);
}

static bool begins(const struct redisReply *reply, const char *word)
{
    return str_starts(redis_reply_str(reply), str_from(word));
}

static bool is_error(const struct redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR;
}

/* What a server says of itself passes; what it says of us does not. */
static enum wire_end judge(const struct redisReply *reply)
{
    static const char *denials[] = {"WRONGPASS",      "NOAUTH",          "NOPERM",
                                    "ERR invalid pa", "ERR AUTH",        "ERR Client sent AUTH",
                                    "ERR DB index",   "ERR invalid DB",  "ERR SELECT",
                                    "DENIED",         "ERR wrong number"};

    for (size_t i = 0; i < sizeof(denials) / sizeof(denials[0]); i++) {
        if (begins(reply, denials[i]))
            return WIRE_DENIED;
    }
    return WIRE_BROKEN;
}

/* The answers of the handshake: `reply` is NULL when the wire was closed meanwhile. */
static void authenticated(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct wire *wire = owner;

    if (end == REDIS_ANSWERED && is_error(reply))
        fail(wire, judge(reply), "the password was refused: %s", reply->str);
}

/* What a sentinel calls the master may have become a replica since. */
static void told_role(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct wire *wire = owner;

    if (end != REDIS_ANSWERED || (is_error(reply) && begins(reply, "NOPERM")))
        return;
    if (is_error(reply))
        fail(wire, judge(reply), "%s", reply->str);
    else if (!str_equal(word(reply, 0), STR("master")))
        fail(wire, WIRE_BROKEN, "the server is a replica, not the master");
}

static void selected(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct wire *wire = owner;

    if (end == REDIS_ANSWERED && is_error(reply))
        fail(wire, judge(reply), "database %u was refused: %s", wire->place->database,
             reply->str);
}

static void look_later(struct wire *wire)
{
    timer_start(net_loop_timers(wire->redis->loop), &wire->timer,
                wire->redis->options.silence_ms / CHECKS);
}

static void greeted(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct wire *wire = owner;

    if (end != REDIS_ANSWERED)
        return;
    if (is_error(reply) && !begins(reply, "NOPERM")) {
        fail(wire, judge(reply), "%s", reply->str);
        return;
    }
    if (!is_error(reply) && !str_equal(redis_reply_str(reply), STR("PONG"))) {
        fail(wire, WIRE_BROKEN, "the server does not answer PING as Redis does");
        return;
    }
    wire->open = true;
    look_later(wire);
    wire->events->opened(wire->owner);
}

/* All at once: an error of the first ends the wire before the others' answers are looked at. */
static bool shake_hands(struct wire *wire)
{
    const struct place *place = wire->place;
    char number[16];
    struct str auth[3] = {STR("AUTH")}, select[] = {STR("SELECT"), STR("")};
    struct str name[] = {STR("CLIENT"), STR("SETNAME"),
                         str_from(wire->redis->options.client_name)};
    struct str role[] = {STR("ROLE")}, ping[] = {STR("PING")};
    size_t words = 1;
    bool good = true;

    if (place->username[0])
        auth[words++] = str_from(place->username);
    auth[words++] = str_from(place->password);
    if (place->username[0] || place->password[0])
        good = good && say(wire, authenticated, auth, words);
    if (place->database != 0) {
        snprintf(number, sizeof(number), "%u", place->database);
        select[1] = str_from(number);
        good = good && say(wire, selected, select, 2);
    }
    if (name[2].size > 0)
        good = good && say(wire, ignored, name, 3); /* a user may not be allowed to */
    if (place->must_be_master)
        good = good && say(wire, told_role, role, 1);
    return good && say(wire, greeted, ping, 1);
}

/* ---- replies ---- */

/* Between the answers of a connection with subscriptions come messages, and channels that moved
 * away with their slot: told by the same words as the answer to our own SUNSUBSCRIBE. */
static bool is_push(const struct wire *wire, const struct redisReply *reply)
{
    struct str first = word(reply, 0);
    const struct redis_request *head;

    if (!wire->events->pushed || !wire->open)
        return false;
    if (str_equal(first, STR("message")) || str_equal(first, STR("pmessage")) ||
        str_equal(first, STR("smessage")))
        return true;
    if (!str_equal(first, STR("sunsubscribe")))
        return false;
    if (list_empty(&wire->pending))
        return true;
    head = CONTAINER_OF(wire->pending.next, struct redis_request, link);
    return !head->sunsubscribed.at || !str_equal(head->sunsubscribed, word(reply, 1));
}

/* Frees it. */
static void on_reply(struct wire *wire, struct redisReply *reply)
{
    if (!is_push(wire, reply) && !list_empty(&wire->pending)) {
        request_answer(CONTAINER_OF(wire->pending.next, struct redis_request, link), reply,
                       &wire->place->server);
        return;
    }
    if (is_push(wire, reply)) {
        wire->events->pushed(wire->owner, reply);
    } else if (is_error(reply)) {
        fail(wire, judge(reply), "%s", reply->str); /* "max number of clients reached" */
    } else {
        fail(wire, WIRE_BROKEN, "the server answered what nobody had asked");
    }
    freeReplyObject(reply);
}

/* A failover leaves a server that only reads, a restart one that only loads: another connection
 * may do better. NULL when it is neither. */
static const char *outdated(const struct redisReply *reply)
{
    if (!is_error(reply))
        return NULL;
    if (begins(reply, "READONLY"))
        return "the server is a replica now";
    return begins(reply, "LOADING") ? "the server is loading its data" : NULL;
}

static void take_replies(struct wire *wire)
{
    void *reply;

    while (!wire->closed) {
        if (redisReaderGetReply(wire->reader, &reply) != REDIS_OK) {
            fail(wire, WIRE_BROKEN, "the server does not speak Redis's protocol: %s",
                 wire->reader->errstr);
            return;
        }
        if (!reply)
            return;

        const char *reason = wire->open ? outdated(reply) : NULL;

        on_reply(wire, reply);
        if (reason && !wire->closed)
            fail(wire, WIRE_BROKEN, "%s", reason);
    }
}

/* hiredis grows its buffer by a megabyte at a time, and copies it each time. */
static bool make_room(redisReader *reader, size_t size)
{
    sds grown;

    if (reader->len < LARGE_REPLY || sdsavail(reader->buf) >= size)
        return true;
    grown = sdsMakeRoomFor(reader->buf, reader->len);
    if (grown)
        reader->buf = grown;
    return grown != NULL;
}

static void readable(void *owner, uint8_t *bytes, size_t size)
{
    struct wire *wire = owner;

    wire->heard_ms = net_loop_now(wire->redis->loop);
    while (size > 0 && !wire->closed) {
        size_t some = size < FEED_SIZE ? size : FEED_SIZE;

        if (wire->reader->len > REPLY_BYTES_MAX || !make_room(wire->reader, some) ||
            redisReaderFeed(wire->reader, (const char *)bytes, some) != REDIS_OK) {
            fail(wire, WIRE_BROKEN, "a reply is too large, or memory too small");
            return;
        }
        bytes += some;
        size -= some;
        take_replies(wire);
    }
}

static void conn_closed(void *owner, enum net_end why)
{
    struct wire *wire = owner;
    const char *failure = net_conn_failure(wire->conn);

    wire->conn = NULL;
    if (failure[0])
        fail(wire, wire->open ? WIRE_BROKEN : WIRE_DENIED, "TLS: %s", failure);
    else
        fail(wire, WIRE_BROKEN, "%s",
             why == NET_END_CLOSED ? "the server closed the connection"
                                   : "the connection was reset or broke");
}

static const struct net_conn_handler handler = {.readable = readable, .closed = conn_closed};

/* ---- checks ---- */

/* How long the server owes a reply, and how long it may. */
static bool is_silent(const struct wire *wire, uint64_t now_ms)
{
    const struct redis_request *oldest =
        CONTAINER_OF(wire->pending.next, struct redis_request, link);
    uint64_t since = oldest->sent_ms > wire->heard_ms ? oldest->sent_ms : wire->heard_ms;
    uint64_t patience = wire->redis->options.silence_ms;

    if (oldest->timeout_ms > patience)
        patience = oldest->timeout_ms; /* it may block for so long */

    return now_ms - since > patience;
}

static const char *too_late(const struct wire *wire)
{
    if (!wire->conn)
        return "connecting takes too long";
    return wire->redis->trust ? "the server does not answer: does it speak TLS?"
                              : "the server does not answer";
}

static void check(struct timer *timer)
{
    struct wire *wire = CONTAINER_OF(timer, struct wire, timer);
    const struct str ping[] = {STR("PING")};
    uint64_t now_ms = net_loop_now(wire->redis->loop);

    if (!wire->open) {
        fail(wire, WIRE_BROKEN, "%s", too_late(wire));
        return;
    }
    if (!list_empty(&wire->pending) && is_silent(wire, now_ms)) {
        fail(wire, WIRE_BROKEN, "the server has stopped answering");
        return;
    }
    if (list_empty(&wire->pending) &&
        now_ms - wire->heard_ms >= wire->redis->options.silence_ms / IDLE_PART)
        say(wire, ignored, ping, 1); /* out of memory: the next check tries again */
    look_later(wire);
}

/* ---- opening ---- */

static bool start_tls(struct wire *wire)
{
    const char *name = wire->redis->options.tls_name;

    if (!wire->redis->trust)
        return true;
    return net_conn_start_tls_client(wire->conn, wire->redis->trust,
                                     name[0] ? name : wire->place->server.host);
}

static void dialled(void *owner, int fd, const char *reason)
{
    struct wire *wire = owner;

    wire->dial = NULL;
    if (fd < 0) {
        fail(wire, WIRE_BROKEN, "%s", reason);
        return;
    }
    peer_address_local(fd, wire->redis->local);
    wire->conn = net_conn_new(wire->redis->loop, fd, SIZE_MAX);
    if (!wire->conn) {
        fail(wire, WIRE_BROKEN, "out of memory");
        return;
    }
    net_conn_set_handler(wire->conn, &handler, wire);
    if (!start_tls(wire) || !shake_hands(wire))
        fail(wire, WIRE_BROKEN, "out of memory");
}

struct wire *wire_open(struct redis *redis, const struct place *place,
                       const struct wire_events *events, void *owner)
{
    struct wire *wire = calloc(1, sizeof(*wire));

    if (!wire)
        return NULL;
    wire->redis = redis;
    wire->place = place;
    wire->events = events;
    wire->owner = owner;
    list_init(&wire->pending);
    timer_init(&wire->timer, check);
    wire->reader = redisReaderCreate();
    if (!wire->reader)
        goto fail;
    wire->reader->maxelements = REPLY_ELEMENTS_MAX;
    wire->dial = dial_start(redis->loop, &place->server, place->unix_path, dialled, wire);
    if (!wire->dial)
        goto fail;
    timer_start(net_loop_timers(redis->loop), &wire->timer, redis->options.connect_timeout_ms);
    return wire;

fail:
    redisReaderFree(wire->reader);
    free(wire);
    return NULL;
}
