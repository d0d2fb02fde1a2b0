/*
 * private: what the files of redis/ share.
 *
 *   redis.c          the logical connection: puts the rest together
 *   link.c           a connection that is made again whenever it breaks, with its queue
 *   wire.c           one connection: handshake, commands and replies in order, self-check
 *   request.c        a command from its making to its answer
 *   dial.c           from a server's name to a connected socket
 *   resolve.c        from a name to addresses
 *   subscriptions.c  what is subscribed, and whether the server has said so
 *   gather.c         one command to several links
 *   sentinel.c       where the master is
 *   cluster.c        which node has which slot, and what goes where
 *   slot.c           slots of keys, redirections
 *   url.c            options from a URL
 *
 * Callers   redis/ only.
 * Owner     struct redis owns its links and places, a link its wire. A request belongs to the
 *           link's queue, then to the wire, then to redis.ended, until it is answered.
 * Threads   the worker's own, but for resolve.c.
 */
#ifndef SKUA_REDIS_PRIVATE_H
#define SKUA_REDIS_PRIVATE_H

#include "base/map.h"
#include "net/frame.h"
#include "net/tls.h"
#include "net/conn.h"
#include "redis/redis.h"

#include <sys/socket.h>

enum {
    REASON_MAX = 320,       /* bytes of a sentence with its NUL */
    WHERE_MAX = 384,        /* host:port, or unix: and a path */
    ADDRESSES_MAX = 8,      /* of a name, tried one after the other */
    LOG_EVERY_MS = 60000,   /* an outage is mentioned again so often */
    RETRY_FIRST_MS = 50,    /* longest wait before the first new attempt; doubled each time */
    RETRY_MAX_MS = 1500,    /* so that delivery is back within 2 s of the server */
    DENIED_WAIT_MS = 10000, /* after a refused password or database */
    STEADY_MS = 2000,       /* a link that lived so long starts afresh with the waits */
};

/* ---- resolve.c ---- */

struct addresses {
    struct sockaddr_storage list[ADDRESSES_MAX];
    size_t count;
};

struct lookup;

/* `addresses` is NULL when there are none, then `reason` says why. Called from the loop, once. */
typedef void lookup_done(void *owner, const struct addresses *addresses, const char *reason);

/* Starts a thread that asks; NULL when that is not possible. */
struct lookup *lookup_start(struct net_loop *loop, const char *host, uint16_t port,
                            lookup_done *done, void *owner);
void lookup_cancel(struct lookup *lookup);

/* The host is written as a numeric address: no lookup is needed. */
bool address_parse(const char *host, uint16_t port, struct addresses *addresses);

/* ---- dial.c ---- */

struct dial;

/* A connected socket, or -1 with a reason. Called from the loop, once. */
typedef void dial_done(void *owner, int fd, const char *reason);

/* `unix_path` is used if it is not empty. NULL when out of memory. */
struct dial *dial_start(struct net_loop *loop, const struct redis_server *server,
                        const char *unix_path, dial_done *done, void *owner);
void dial_cancel(struct dial *dial);

/* ---- request.c ---- */

struct redis_request {
    struct list link;
    struct redis *redis;
    struct frame *frame; /* NULL once it is written and cannot be wanted again */
    redis_answer *answer;
    void *owner;
    struct redis_link *queue; /* where it waits for a wire; NULL when it does not */
    struct timer timer;       /* of the queue, then of the server */
    uint64_t sent_ms;
    uint32_t timeout_ms;      /* of the server; 0: none */
    enum redis_end end;       /* while in redis.ended */
    bool internal;            /* not counted; no queue is too full for it */
    bool keeps_reply;         /* `answer` frees it */
    bool given_up;            /* answered already; the server's reply is still to come */
    struct str sunsubscribed; /* the channel in `frame`, of SUNSUBSCRIBE; else without bytes */

    /* In a Cluster. */
    bool routed;  /* by its slot: follows redirections */
    bool asking;  /* ASKING goes in front */
    uint8_t hops; /* redirections so far */
    uint16_t slot;
    bool of_slot; /* on a link of somebody's own, which follows its slot */
};

/* NULL when out of memory. `owner` and `answer` are set by the caller. */
struct redis_request *request_new(struct redis *redis, const struct str *argv, size_t argc);

size_t request_size(const struct redis_request *request);

/* It was written: its time runs. */
void request_sent(struct redis_request *request);

/* Answers with the server's reply and frees the request, and the reply unless it is kept. In a
 * Cluster the reply may send it elsewhere; `speaker` is where it came from. */
void request_answer(struct redis_request *request, struct redisReply *reply,
                    const struct redis_server *speaker);

/* The command's last word, of that size. */
struct str request_last_word(const struct redis_request *request, size_t size);

/* Out of whatever list it is in; answered by redis_end_all(), which runs later in this turn. */
void request_end(struct redis_request *request, enum redis_end end);
void requests_end(struct list *requests, enum redis_end end);

/* Without an answer. */
void request_free(struct redis_request *request);

/* ---- wire.c ---- */

enum wire_end {
    WIRE_BROKEN,
    WIRE_DENIED, /* password, user, database: trying again soon is of no use */
};

/* A server that links lead to; what the log says of it is said once for all of them. */
struct place {
    struct redis_server server;
    const char *unix_path; /* "" for TCP */
    char where[WHERE_MAX];
    const char *username, *password;
    unsigned database;
    bool must_be_master;
    bool quiet;        /* logs nothing */
    bool each_failure; /* links tell each as a `down`, not only each change */
    bool failing;
    bool greeted; /* the log knows that it was reached once */
    uint64_t logged_ms;
    enum wire_end logged_end;
    uint32_t unlogged; /* failures since */
};

void place_set(struct place *place, const struct redis_server *server, const char *unix_path);

struct wire;

struct wire_events {
    void (*opened)(void *owner);

    /* The wire is gone when this returns; its requests were ended. */
    void (*closed)(void *owner, enum wire_end end, const char *reason);

    /* A message, or a subscription that the server took back. NULL: no subscriptions here. */
    void (*pushed)(void *owner, const struct redisReply *reply);
};

struct wire *wire_open(struct redis *redis, const struct place *place,
                       const struct wire_events *events, void *owner);

/* Only once it is open. */
void wire_send(struct wire *wire, struct redis_request *request);

/* Bytes that the kernel has not taken yet. */
size_t wire_queued(const struct wire *wire);

/* Its requests end with `end`. No callback. */
void wire_close(struct wire *wire, enum redis_end end);

/* ---- link.c ---- */

struct link_events {
    void (*up)(void *owner);
    void (*down)(void *owner, const char *reason);
    void (*pushed)(void *owner, const struct redisReply *reply);
};

/* A link whose place is NULL waits until it gets one. */
struct redis_link *link_new(struct redis *redis, struct place *place,
                            const struct link_events *events, void *owner);

/* What it has sent ends with `sent`, what waits with REDIS_CLOSED. */
void link_free(struct redis_link *link, enum redis_end sent);

/* Takes the request over. */
void link_submit(struct redis_link *link, struct redis_request *request,
                 const struct redis_how *how);
bool link_is_up(const struct redis_link *link);

/* Makes the request and submits it; one that cannot be made is answered REDIS_NO_MEMORY at once. */
void link_command(struct redis_link *link, const struct redis_how *how, const struct str *argv,
                  size_t argc, redis_answer *answer, void *owner, bool keeps_reply);

/* No attempt has ended yet. */
bool link_is_fresh(const struct redis_link *link);

/* Moves the requests that wait for the link into another list. */
void link_take_queue(struct redis_link *link, struct list *to);

/* In a Cluster: each link that redis_link_open() made goes to the place of its slot. */
void links_route(struct redis *redis);

/* What the link leads to was found to be of no use. From a callback of the loop. */
void link_fail(struct redis_link *link, const char *reason);

/* The link's place has changed: it goes there, soon. */
void link_move(struct redis_link *link);

/* The same for all links to that place. */
void links_move(struct redis *redis, const struct place *place);

/* Tells the owners of links to that place that they are down, if they do not know. */
void links_tell_down(struct redis *redis, const struct place *place, const char *reason);

/* All of them. */
void links_free(struct redis *redis);

/* It has waited in the queue for too long. */
void link_drop_request(struct redis_link *link, struct redis_request *request);

/* ---- gather.c ---- */

enum {
    GATHER_MAX = 1024, /* links asked at once */
};

/* What redis_each_master() does, when the masters' links are known. */
void gather(struct redis *redis, struct redis_link *const *links, size_t count,
            const struct str *argv, size_t argc, redis_gathered *gathered, void *owner);

/* ---- slot.c ---- */

enum {
    CLUSTER_SLOTS = 16384,
};

struct redirection {
    bool ask; /* for this command only */
    uint16_t slot;
    struct redis_server server;
};

uint16_t slot_of(struct str key);

/* False when the error is no redirection. */
bool redirection_parse(struct str error, const struct redis_server *speaker,
                       struct redirection *redirection);

bool server_parse(struct str host, struct str port, struct redis_server *server);

/* Takes the next word off a text with spaces between them. */
struct str next_word(struct str *text);

/* ---- cluster.c ---- */

struct redis_cluster;

struct redis_cluster *redis_cluster_new(struct redis *redis);

/* Before its links are freed, and behind that. */
void redis_cluster_close(struct redis_cluster *cluster);
void redis_cluster_free(struct redis_cluster *cluster);

bool redis_cluster_is_up(const struct redis_cluster *cluster);
void redis_cluster_command(struct redis_cluster *cluster, const struct redis_how *how,
                           const struct str *argv, size_t argc, redis_answer *answer,
                           void *owner);
void redis_cluster_each_master(struct redis_cluster *cluster, const struct str *argv,
                               size_t argc, redis_gathered *gathered, void *owner);

/* NULL while nobody is known to have the slot. */
struct place *redis_cluster_place(const struct redis_cluster *cluster, uint16_t slot);
struct redis_link *redis_cluster_shard_link(struct redis_cluster *cluster, uint16_t slot);

/* The map may be wrong: it is asked for again. */
void redis_cluster_doubt(struct redis_cluster *cluster);

/* A node said so. */
void redis_cluster_learn(struct redis_cluster *cluster, const struct redirection *redirection);

/* Sends the request elsewhere, or ends it when it was sent too often. */
void redis_cluster_redirect(struct redis_cluster *cluster, struct redis_request *request,
                            const struct redirection *redirection);

/* ---- sentinel.c ---- */

struct sentinel;

/* Keeps redis.place where the master is. Its link is among the redis' own, which are freed before. */
struct sentinel *sentinel_new(struct redis *redis);
void sentinel_free(struct sentinel *sentinel);

/* False: redis.place is nowhere yet. */
bool sentinel_knows(const struct sentinel *sentinel);

/* What it said could not be used: perhaps another one knows better. */
void sentinel_doubt(struct sentinel *sentinel);

/* ---- subscriptions.c ---- */

struct subscriptions {
    struct map names[REDIS_KINDS]; /* of struct subscription */
    uint32_t unconfirmed;          /* of those that are wanted */
    uint32_t confirmed;
    bool told_ready;
    uint64_t logged_ms;      /* a refusal */
    struct net_task told;    /* `ready` is told in a task of the turn */
    struct timer again;      /* for those that the server refused */
    struct redis_link *link; /* NULL before the first one */
};

/* Of links that carry subscriptions, whose owner is the struct redis. */
extern const struct link_events subscription_events;

/* In a Cluster: slots have moved. */
void subscriptions_route(struct redis *redis);

void subscriptions_init(struct subscriptions *subscriptions);

/* No request may be left. */
void subscriptions_free(struct redis *redis);

/* ---- redis.c ---- */

struct redis {
    struct net_loop *loop;
    struct random *random;
    const struct log *log;
    struct redis_options options;
    struct redis_events events;
    struct redis_counts counts;
    struct tls_trust *trust; /* NULL without TLS */
    struct list links;       /* all, in the order of their making */
    struct list ended;       /* requests to be answered with their `end` */
    struct net_task end_task;
    struct place place;
    struct sentinel *sentinel;     /* NULL without */
    struct redis_cluster *cluster; /* NULL without */
    struct redis_link *commands; /* in a Cluster: leads nowhere, keeps what waits for the map */
    struct subscriptions subscriptions;
    char local[NET_ADDRESS_MAX]; /* a link's own address */
    struct net_grave grave;
    bool freed;
};

#endif
