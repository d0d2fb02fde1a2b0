/*
 * redis: a logical connection to Redis that hides where the server is and that it goes away:
 * one server, Sentinel or Cluster; commands, subscriptions, reconnection.
 *
 * Protocol and replies are hiredis's (its reader); sockets, queues and TLS are our own, because
 * hiredis's asynchronous part asserts on replies it did not expect, knows no SSUBSCRIBE, resolves
 * names blocking and moves its whole output buffer at each partial write.
 *
 * A struct redis has one command link and, from the first subscription on, one subscription link
 * (in a Cluster: one of each a node, as needed). A link that breaks is made again, after waits that
 * double from 50 ms to 2 s with full jitter; wrong passwords and the like are tried again slowly.
 *
 * Commands are written once a loop turn, all of them together. Commands given while there is no
 * link wait in a queue that is bounded in bytes. A command whose link breaks after it was written
 * is reported REDIS_LOST and never sent again: nobody knows whether the server ran it.
 *
 * Callers   cluster adapters, script's redis library.
 * Owner     the caller owns the struct redis. redis_free() inside any of its callbacks is fine.
 * Threads   the worker's own. Names are resolved by short-lived threads that touch nothing but
 *           their own request and net_loop_wake().
 * Units     milliseconds, bytes.
 * Errors    redis_new() returns NULL with a sentence. Whatever fails later is told by `down` and
 *           by the commands' answers, and logged: the first failure, then now and then, then
 *           "connected to Redis again". Passwords are in no log line and no sentence.
 * Source    RESP2: redis.io/docs/reference/protocol-spec; Cluster: cluster-spec; Sentinel clients.
 */
#ifndef SKUA_REDIS_REDIS_H
#define SKUA_REDIS_REDIS_H

#include "base/log.h"
#include "base/random.h"
#include "net/loop.h"

#include <hiredis/hiredis.h>

struct redis;
struct redis_link;

/* ---- options ------------------------------------------------------------------------------- */

enum {
    REDIS_PORT = 6379,
    REDIS_SERVERS_MAX = 16, /* sentinels or seed nodes */
    REDIS_HOST_MAX = 256,   /* bytes with the NUL, as are the next */
    REDIS_PATH_MAX = 1024,
    REDIS_NAME_MAX = 128, /* user, master, client name */
    REDIS_PASSWORD_MAX = 1024,
    REDIS_FAULT_MAX = 320,
    REDIS_CONNECT_TIMEOUT_MS =
        5000, /* from the name's resolution to the end of the handshake */
    REDIS_COMMAND_TIMEOUT_MS = 5000,

    /* Not shorter: from a server that stalls for ten seconds and goes on nothing is lost, with a
     * connection that was given up meanwhile there is. */
    REDIS_SILENCE_MS = 15000,

    REDIS_QUEUE_BYTES = 16 * 1024 * 1024,
};

enum redis_topology {
    REDIS_SINGLE,   /* servers[0], or unix_path */
    REDIS_SENTINEL, /* servers are sentinels, who know where `master` is */
    REDIS_CLUSTER,  /* servers are some nodes of the cluster */
};

struct redis_server {
    char host[REDIS_HOST_MAX]; /* a name or an address, IPv6 without brackets */
    uint16_t port;
};

/* A plain value: to be copied at will. redis_options_init() or redis_options_parse() first. */
struct redis_options {
    enum redis_topology topology;
    struct redis_server servers[REDIS_SERVERS_MAX];
    size_t server_count;
    char unix_path[108]; /* as in sockaddr_un; "" for TCP */
    char master[REDIS_NAME_MAX];

    char username[REDIS_NAME_MAX]; /* "": the default user */
    char password[REDIS_PASSWORD_MAX];
    char sentinel_username[REDIS_NAME_MAX];
    char sentinel_password[REDIS_PASSWORD_MAX];
    unsigned database;
    char client_name[REDIS_NAME_MAX]; /* for CLIENT SETNAME; "" for none */

    bool tls;
    bool tls_insecure;             /* any certificate will do */
    char tls_ca[REDIS_PATH_MAX];   /* PEM; "": the system's bundle */
    char tls_name[REDIS_HOST_MAX]; /* what the certificate must be for; "": the host */
    char tls_cert
        [REDIS_PATH_MAX]; /* PEM, of our own, for servers that ask for one; "" for none */
    char tls_key[REDIS_PATH_MAX];

    uint32_t connect_timeout_ms;
    uint32_t command_timeout_ms;
    uint32_t
        silence_ms;     /* a server that owes a reply for so long has its connection closed; one
                            that was idle for a third of it is asked for a PONG */
    size_t queue_bytes; /* of commands that wait for a link */
};

/* One server on 127.0.0.1:6379 and the defaults above. */
void redis_options_init(struct redis_options *options);

/*
 * Reads a URL over the defaults:
 *   redis://[[user]:password@]host[:port][/db]   rediss://… the same over TLS
 *   unix:///path[?db=N], redis+unix://[[user]:password@]/path[?db=N]
 *   redis+sentinel://[[user]:password@]host[:port],host[:port]/master[/db]   rediss+sentinel://…
 *       (a sentinel's port is 26379; user and password are the master's)
 *   redis+cluster://[[user]:password@]host[:port],host[:port]   rediss+cluster://…
 * User and password are percent-decoded. False with a sentence, which never shows the password.
 */
bool redis_options_parse(struct redis_options *options, struct str url,
                         char fault[REDIS_FAULT_MAX]);

/* ---- the logical connection ---------------------------------------------------------------- */

enum redis_kind {
    REDIS_CHANNEL, /* SUBSCRIBE */
    REDIS_PATTERN, /* PSUBSCRIBE */
    REDIS_SHARD,   /* SSUBSCRIBE: Redis 7 */
    REDIS_KINDS,
};

/* What the owner is told, always from the loop and never from inside a call of its own. Any may
 * be NULL. Slices are gone when the call returns. */
struct redis_events {
    /* Commands are sent from now on (in a Cluster: its slots are known), and no longer. The first
     * failure to connect is a `down` too; then there is one a change. */
    void (*up)(void *owner);
    void (*down)(void *owner, const char *reason);

    /* `pattern` is empty unless the kind is REDIS_PATTERN. */
    void (*message)(void *owner, enum redis_kind kind, struct str channel, struct str pattern,
                    struct str payload);

    /* The server has confirmed every subscription that is wanted now. Told each time this becomes
     * true: after the first ones, after a reconnection, after later ones. */
    void (*ready)(void *owner);

    /* A subscription link was lost, or the server took a subscription away: messages may have
     * been missed until the next `ready`. */
    void (*gap)(void *owner);

    void *owner;
};

/* NULL with a sentence when options are impossible (no CA file, for example) or out of memory. A
 * server that cannot be reached is no fault. `random` and `log` outlive the struct redis. */
struct redis *redis_new(struct net_loop *loop, struct random *random, const struct log *log,
                        const struct redis_options *options, const struct redis_events *events,
                        char fault[REDIS_FAULT_MAX]);

/* Answers what is not answered with REDIS_CLOSED, before it returns; closes the links that were
 * opened from it. Says nothing else to anybody. Who is answered so gives no command. */
void redis_free(struct redis *redis);

bool redis_is_up(const struct redis *redis);

/* Where it is connected, or tries to be, for logs: "127.0.0.1:6379", "unix:/run/redis.sock". */
const char *redis_where(const struct redis *redis);

/* The numeric address from which it was reached last; "" for a unix socket, or never. */
const char *redis_local(const struct redis *redis);

struct redis_counts {
    uint64_t sent;       /* commands written */
    uint64_t answered;   /* by the server, with whatever */
    uint64_t lost;       /* REDIS_LOST */
    uint64_t timed_out;  /* REDIS_TIMED_OUT */
    uint64_t refused;    /* REDIS_DOWN and REDIS_QUEUE_FULL */
    uint64_t reconnects; /* links made again */
    size_t queued_bytes; /* now */
};

void redis_count(const struct redis *redis, struct redis_counts *counts);

/* ---- commands ------------------------------------------------------------------------------ */

enum redis_end {
    REDIS_ANSWERED,
    REDIS_LOST,      /* written, then the link broke: may have been run or not */
    REDIS_TIMED_OUT, /* the same, but the link is still there; or waited for too long in the queue */
    REDIS_DOWN,      /* no link, and the call was not to wait; never written */
    REDIS_QUEUE_FULL, /* never written */
    REDIS_MISROUTED,  /* the Cluster sent it from node to node, or has nobody for its slot */
    REDIS_NO_MEMORY,  /* never written */
    REDIS_CLOSED,     /* redis_free() or redis_link_close() */
};

/* For people: "lost with its connection", "timed out", … */
const char *redis_end_text(enum redis_end end);

/* Called exactly once for each command. `reply` is NULL unless end is REDIS_ANSWERED; an error of
 * the server is a reply (REDIS_REPLY_ERROR). It is gone when the call returns. Never called from
 * inside the function that gave the command, but with REDIS_NO_MEMORY. */
typedef void redis_answer(void *owner, const struct redisReply *reply, enum redis_end end);

/* How a command is sent. All zero is the usual way. */
struct redis_how {
    bool has_key;
    struct str key;    /* Cluster: the key or channel by whose slot the node is chosen; without,
                            the second word of the command is taken for it */
    bool at_once;      /* answers REDIS_DOWN instead of waiting for a link */
    uint32_t queue_ms; /* longest wait for a link; 0: as long as it takes */
    uint32_t timeout_ms; /* from the writing on; 0: that of the options. A blocking command adds
                            its own time */
};

/* `argv` and its bytes are copied; any bytes are legal. */
void redis_command(struct redis *redis, const struct str *argv, size_t argc,
                   redis_answer *answer, void *owner);
void redis_command_with(struct redis *redis, const struct redis_how *how,
                        const struct str *argv, size_t argc, redis_answer *answer, void *owner);

/* One reply for each master, NULL where it could not be had; with one server there is one. `count`
 * is 0 when no master is known. */
typedef void redis_gathered(void *owner, const struct redisReply *const *replies, size_t count);

/* Sends the command to every master of the Cluster: PUBSUB NUMSUB and the like. Does not wait for
 * links. Calls back exactly once, never from inside. */
void redis_each_master(struct redis *redis, const struct str *argv, size_t argc,
                       redis_gathered *gathered, void *owner);

static inline struct str redis_reply_str(const struct redisReply *reply)
{
    return str_of(reply->str, reply->str ? reply->len : 0);
}

/* ---- subscriptions ------------------------------------------------------------------------- */

/* A set: subscribing twice is once. Each is made again on every new link until unsubscribed. False
 * when out of memory. */
bool redis_subscribe(struct redis *redis, enum redis_kind kind, struct str name);
void redis_unsubscribe(struct redis *redis, enum redis_kind kind, struct str name);

/* All wanted subscriptions are confirmed. */
bool redis_is_ready(const struct redis *redis);

/* ---- links of one's own -------------------------------------------------------------------- */

struct redis_link_events {
    void (*up)(
        void
            *owner); /* a new connection: WATCH, MULTI and the like start afresh. May be NULL */
    void (*down)(void *owner, const char *reason); /* may be NULL */
    void *owner;
};

/*
 * A further connection, for commands that block (XREAD BLOCK) or have state (MULTI). It is made
 * again when it breaks, as the others, and has the same queue bound. In a Cluster it goes to the
 * node of `key`'s slot and follows it. NULL when out of memory.
 */
struct redis_link *redis_link_open(struct redis *redis, struct str key,
                                   const struct redis_link_events *events);

/* What is not answered is answered with REDIS_CLOSED, later in the turn. */
void redis_link_close(struct redis_link *link);

/* As redis_command_with(); the key of `how` means nothing here. `how` may be NULL. */
void redis_link_command(struct redis_link *link, const struct redis_how *how,
                        const struct str *argv, size_t argc, redis_answer *answer, void *owner);

#endif
