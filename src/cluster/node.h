/*
 * node: what the files behind cluster.h share. Nobody else includes this.
 *
 *   node.c      life; what is told: broadcasts, joins, leaves, disconnects
 *   requests.c  what is asked, and the answers that are waited for
 *   apply.c     what others tell and ask
 *   describe.c  sockets and rooms as JSON (describe.h)
 *
 * Owner     cluster → bus, asks, polls, answers. An ask is freed when it has ended and neither the
 *           bus nor socketio owes it a call any more.
 */
#ifndef SKUA_CLUSTER_NODE_H
#define SKUA_CLUSTER_NODE_H

#include "base/list.h"
#include "base/random.h"
#include "cluster/cluster.h"
#include "cluster/recovery.h"
#include "cluster/stream_recovery.h"
#include "net/loop.h"

enum {
    NODE_ID_SIZE = 16,          /* characters of a request's id */
    NODE_REQUESTS_MAX = 100000, /* of this server's, that wait */
    NODE_ANSWERS_MAX = 100000,  /* of others', that wait here for clients or the application */
    NODE_ANSWER_BYTES = 256 << 20, /* of one answer about sockets */
    NODE_SERVERS_MAX = 4096,       /* answers taken before it is known how many there are */
    NODE_POLL_TIMEOUT_MS = 60000,  /* for clients whom another server asks without a time-out */
    NODE_COMPLAINT_MS = 10000,     /* between two log lines about one kind of trouble */
};

struct cluster {
    struct net_loop *loop;
    struct random *random;
    const struct log *log;
    struct sio_server *server;
    struct cluster_bus *bus;                 /* NULL: alone */
    struct recovery *recovery;               /* or NULL */
    struct stream_recovery *stream_recovery; /* or NULL */
    struct cluster_bus_handler handler;
    struct cluster_app app;
    uint32_t request_timeout_ms;
    struct map requests;    /* id → struct node_request */
    struct list asks;       /* not ended */
    struct list polls;      /* clients' answers that other servers want */
    struct list answers;    /* the application's answers that other servers want */
    uint32_t answer_count;  /* in both lists */
    uint64_t complained_ms; /* when the last complaint was logged; 0: never */
};

/* --- node.c --- */

/* A message to the servers that have the target's namespace. */
struct cluster_message node_message(enum cluster_kind kind, const struct sio_target *target,
                                    unsigned flags);

/* Whether an event is delivered here only when the bus brings it back. */
bool node_waits_for_echo(const struct cluster *cluster, const struct sio_namespace *nsp,
                         unsigned flags);

/* False also without a bus. */
bool node_send(struct cluster *cluster, const struct cluster_message *message);

/* A log line at most once a while: others must not fill the log. */
void node_complain(struct cluster *cluster, const char *what, struct str nsp);

/* --- requests.c --- */

/* An answer to something that was asked here; others are ignored. */
void node_answered(struct cluster *cluster, const struct cluster_message *message);

/* Ends all asks. */
void node_end_asks(struct cluster *cluster);

/* --- apply.c --- */

/* What the bus calls, but for `owner`. */
extern const struct cluster_bus_handler node_bus_handler;

/* Forgets what others wait for. */
void node_drop_answers(struct cluster *cluster);

#endif
