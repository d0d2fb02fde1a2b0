#include "cluster/describe.h"
#include "cluster/node.h"

#include <assert.h>
#include <stdlib.h>

/*
 * One call of the application is an ask; its part in one namespace is a request with an id. A
 * request goes out at once, and the bus is asked meanwhile how many servers it reaches: answers
 * are taken before that is known. An ask ends when all its requests have what they expect, or at
 * its time-out; what comes later finds no request.
 */

struct node_request {
    struct list in_ask;
    struct node_ask *ask;
    char id[NODE_ID_SIZE];
    bool listed;      /* others may answer */
    bool counted;     /* `servers` is known */
    uint32_t servers; /* besides this one */
    uint32_t told;    /* of them have answered */
    uint32_t clients_there, answers_there;
    uint32_t clients_here, answers_here;
    bool polling;    /* this server's clients are not done */
    struct buf here; /* this server's answer to a fetch */
    bool complete;
};

struct node_ask {
    struct list in_cluster;
    struct cluster *cluster;
    enum cluster_kind kind; /* CLUSTER_FETCH, CLUSTER_BROADCAST or CLUSTER_SERVER_EMIT */
    const struct cluster_fetch_handler *fetch;
    const struct cluster_ack_handler *ack;
    void (*servers_counted)(void *owner, int servers); /* when nothing else is asked */
    void *owner;
    struct list requests;
    uint32_t waiting; /* requests that are not complete */
    uint32_t holds;   /* calls that are owed to requests, and one until the end */
    bool ended;
    bool unreachable;
    struct timer timer;
    struct net_task task;
};

/* --- life ------------------------------------------------------------------------------------ */

static void release(struct node_ask *ask)
{
    struct list *link;

    assert(ask->holds > 0);
    if (--ask->holds > 0)
        return;
    while ((link = list_take_first(&ask->requests)) != NULL) {
        struct node_request *request = CONTAINER_OF(link, struct node_request, in_ask);

        buf_free(&request->here);
        free(request);
    }
    free(ask);
}

static void delist(struct node_request *request)
{
    if (request->listed)
        map_remove(&request->ask->cluster->requests, str_of(request->id, NODE_ID_SIZE));
    request->listed = false;
}

/* Servers, or for broadcasts clients. */
static void sum_up(const struct node_ask *ask, struct cluster_result *result)
{
    for (struct list *link = ask->requests.next; link != &ask->requests; link = link->next) {
        const struct node_request *request = CONTAINER_OF(link, struct node_request, in_ask);

        if (ask->kind == CLUSTER_BROADCAST) {
            result->expected += request->clients_here + request->clients_there;
            result->answered += request->answers_here + request->answers_there;
        } else {
            result->expected += request->counted ? request->servers : request->told;
            result->answered += request->told;
        }
    }
}

/* The most that one of several namespaces has. */
static int most_servers(const struct node_ask *ask)
{
    uint32_t most = 0;

    if (ask->unreachable)
        return CLUSTER_COUNT_UNKNOWN;
    for (struct list *link = ask->requests.next; link != &ask->requests; link = link->next) {
        const struct node_request *request = CONTAINER_OF(link, struct node_request, in_ask);

        most = request->servers > most ? request->servers : most;
    }
    return (int)most + 1;
}

static void end(struct node_ask *ask, enum cluster_end how)
{
    struct cluster_result result = {.end = how};

    for (struct list *link = ask->requests.next; link != &ask->requests; link = link->next)
        delist(CONTAINER_OF(link, struct node_request, in_ask));
    timer_stop(net_loop_timers(ask->cluster->loop), &ask->timer);
    net_task_cancel(&ask->task);
    list_remove(&ask->in_cluster);
    ask->ended = true;
    sum_up(ask, &result);
    if (ask->servers_counted)
        ask->servers_counted(ask->owner, most_servers(ask));
    else if (ask->kind == CLUSTER_FETCH)
        ask->fetch->end(ask->owner, &result);
    else
        ask->ack->end(ask->owner, &result);
    release(ask);
}

static void timed_out(struct timer *timer)
{
    struct node_ask *ask = CONTAINER_OF(timer, struct node_ask, timer);

    end(ask, ask->unreachable ? CLUSTER_UNREACHABLE : CLUSTER_TIMED_OUT);
}

static bool give_socket(void *context, struct str json)
{
    const struct node_ask *ask = context;

    if (json.at[0] == '{')
        ask->fetch->socket(ask->owner, json);
    return true;
}

static void give_sockets_here(struct node_ask *ask)
{
    for (struct list *link = ask->requests.next; link != &ask->requests; link = link->next) {
        struct node_request *request = CONTAINER_OF(link, struct node_request, in_ask);

        if (buf_failed(&request->here))
            log_error(ask->cluster->log, "out of memory: a fetch has no sockets of this server",
                      LOG_END);
        else if (request->here.size > 0)
            json_split(buf_str(&request->here), give_socket, ask);
        buf_free(&request->here);
    }
}

static void go_on(struct net_task *task)
{
    struct node_ask *ask = CONTAINER_OF(task, struct node_ask, task);

    give_sockets_here(ask);
    if (ask->waiting == 0)
        end(ask, ask->unreachable ? CLUSTER_UNREACHABLE : CLUSTER_COMPLETE);
}

static struct node_ask *new_ask(struct cluster *cluster, enum cluster_kind kind, void *owner)
{
    struct node_ask *ask = malloc(sizeof(*ask));

    if (!ask)
        return NULL;
    *ask = (struct node_ask){.cluster = cluster, .kind = kind, .owner = owner, .holds = 1};
    list_init(&ask->requests);
    timer_init(&ask->timer, timed_out);
    net_task_init(&ask->task, go_on);
    list_add_last(&cluster->asks, &ask->in_cluster);
    return ask;
}

/* Everything is told from the loop. */
static bool begin(struct node_ask *ask, uint32_t timeout_ms)
{
    if (timeout_ms > 0)
        timer_start(net_loop_timers(ask->cluster->loop), &ask->timer, timeout_ms);
    net_loop_later(ask->cluster->loop, &ask->task);
    return true;
}

void node_end_asks(struct cluster *cluster)
{
    while (!list_empty(&cluster->asks))
        end(CONTAINER_OF(cluster->asks.next, struct node_ask, in_cluster), CLUSTER_UNREACHABLE);
}

/* --- requests -------------------------------------------------------------------------------- */

static bool has_all(const struct node_request *request)
{
    if (request->ask->servers_counted)
        return request->counted;
    return request->counted && request->told >= request->servers &&
           request->answers_there >= request->clients_there && !request->polling;
}

static void check(struct node_request *request)
{
    if (request->complete || !has_all(request))
        return;
    request->complete = true;
    delist(request);
    if (--request->ask->waiting == 0)
        net_loop_later(request->ask->cluster->loop, &request->ask->task);
}

static void counted(void *owner, int servers)
{
    struct node_request *request = owner;
    struct node_ask *ask = request->ask;

    request->counted = true;
    request->servers = servers > 1 ? (uint32_t)servers - 1 : 0;
    if (servers == CLUSTER_COUNT_UNKNOWN)
        ask->unreachable = true;
    if (!ask->ended)
        check(request);
    release(ask);
}

static struct node_request *add_request(struct node_ask *ask)
{
    struct node_request *request = malloc(sizeof(*request));

    if (!request) {
        log_error(ask->cluster->log, "out of memory for a request to other servers", LOG_END);
        ask->unreachable = true;
        return NULL;
    }
    *request = (struct node_request){.ask = ask};
    buf_init(&request->here, SIZE_MAX);
    random_hex(ask->cluster->random, request->id, NODE_ID_SIZE);
    list_add_last(&ask->requests, &request->in_ask);
    ask->waiting++;
    return request;
}

static void count_servers(struct node_request *request, struct str nsp)
{
    struct cluster_bus *bus = request->ask->cluster->bus;

    request->ask->holds++;
    bus->type->count(bus, nsp, counted, request);
}

static bool list_request(struct node_request *request, struct str nsp)
{
    struct cluster *cluster = request->ask->cluster;

    if (map_size(&cluster->requests) >= NODE_REQUESTS_MAX) {
        node_complain(cluster, "too many requests wait for other servers", nsp);
        return false;
    }
    request->listed = map_put(&cluster->requests, str_of(request->id, NODE_ID_SIZE), request);
    return request->listed;
}

/* Asks the other servers, unless there are none or the flags say so. */
static void send_request(struct node_request *request, struct cluster_message *message)
{
    struct cluster *cluster = request->ask->cluster;

    if (!cluster->bus || (message->flags & SIO_LOCAL)) {
        request->counted = true;
        return;
    }
    message->request = str_of(request->id, NODE_ID_SIZE);
    if (list_request(request, message->nsp) && node_send(cluster, message)) {
        count_servers(request, message->nsp);
        return;
    }
    delist(request);
    request->ask->unreachable = true;
    request->counted = true;
}

/* --- fetch ----------------------------------------------------------------------------------- */

struct fetch {
    struct node_ask *ask;
    const struct sio_target *target;
    unsigned flags;
};

static void fetch_in(void *context, struct sio_namespace *nsp)
{
    const struct fetch *fetch = context;
    struct node_request *request = add_request(fetch->ask);
    struct sio_target target = *fetch->target;
    struct cluster_message message;

    if (!request)
        return;
    target.nsp = nsp;
    describe_target(&request->here, &target);
    message = node_message(CLUSTER_FETCH, &target, fetch->flags);
    send_request(request, &message);
    check(request);
}

bool cluster_fetch(struct cluster *cluster, const struct sio_target *target,
                   uint32_t timeout_ms, unsigned flags,
                   const struct cluster_fetch_handler *handler, void *owner)
{
    struct fetch fetch = {new_ask(cluster, CLUSTER_FETCH, owner), target, flags};

    if (!fetch.ask)
        return false;
    fetch.ask->fetch = handler;
    sio_namespace_each(target->nsp, fetch_in, &fetch);
    return begin(fetch.ask, timeout_ms > 0 ? timeout_ms : cluster->request_timeout_ms);
}

static void count_in(void *context, struct sio_namespace *nsp)
{
    struct node_request *request = add_request(context);

    if (!request)
        return;
    if (request->ask->cluster->bus)
        count_servers(request, sio_namespace_name(nsp));
    else
        request->counted = true;
    check(request);
}

bool cluster_servers(struct cluster *cluster, struct sio_namespace *nsp,
                     void (*counted)(void *owner, int servers), void *owner)
{
    struct node_ask *ask = new_ask(cluster, CLUSTER_FETCH, owner);

    if (!ask)
        return false;
    ask->servers_counted = counted;
    sio_namespace_each(nsp, count_in, ask);
    return begin(ask, 0);
}

/* --- broadcasts with acknowledgement --------------------------------------------------------- */

static void clients_asked(void *owner, uint32_t sockets)
{
    struct node_request *request = owner;

    request->clients_here = sockets;
}

static void client_answered(void *owner, struct sio_socket *socket, const struct sio_args *args)
{
    struct node_request *request = owner;
    struct node_ask *ask = request->ask;

    (void)socket;
    if (ask->ended)
        return;
    request->answers_here++;
    ask->ack->answer(ask->owner, args);
}

static void clients_done(void *owner, enum sio_ack_end how)
{
    struct node_request *request = owner;
    struct node_ask *ask = request->ask;

    request->polling = how != SIO_ACK_COMPLETE; /* then the ask is about to time out too */
    if (!ask->ended)
        check(request);
    release(ask);
}

static const struct sio_ack_handler clients_handler = {
    .answer = client_answered,
    .asked = clients_asked,
    .end = clients_done,
};

struct poll {
    struct node_ask *ask;
    const struct sio_target *target;
    const struct sio_args *event;
    uint32_t timeout_ms;
    unsigned flags;
};

static void poll_in(void *context, struct sio_namespace *nsp)
{
    const struct poll *poll = context;
    struct node_request *request = add_request(poll->ask);
    struct sio_target target = *poll->target;
    struct cluster_message message;

    if (!request)
        return;
    target.nsp = nsp;
    message = node_message(CLUSTER_BROADCAST, &target, poll->flags);
    message.args = *poll->event;
    message.timeout_ms = poll->timeout_ms;
    request->polling = true;
    send_request(request, &message);
    if (sio_broadcast_ack(&target, poll->event, poll->timeout_ms, poll->flags, &clients_handler,
                          request)) {
        poll->ask->holds++;
        return;
    }
    log_error(poll->ask->cluster->log, "out of memory: clients of this server are not asked",
              log_str("namespace", message.nsp), LOG_END);
    request->polling = false;
    check(request);
}

bool cluster_broadcast_ack(struct cluster *cluster, const struct sio_target *target,
                           const struct sio_args *event_json, uint32_t timeout_ms,
                           unsigned flags, const struct cluster_ack_handler *handler,
                           void *owner)
{
    struct poll poll = {new_ask(cluster, CLUSTER_BROADCAST, owner), target, event_json,
                        timeout_ms > 0 ? timeout_ms : 1, flags};

    if (!poll.ask)
        return false;
    poll.ask->ack = handler;
    sio_namespace_each(target->nsp, poll_in, &poll);
    return begin(poll.ask, poll.timeout_ms);
}

/* --- events between servers ------------------------------------------------------------------ */

static void server_emit_in(void *context, struct sio_namespace *nsp)
{
    const struct poll *poll = context;
    struct node_request *request = add_request(poll->ask);
    const struct sio_target target = {.nsp = nsp};
    struct cluster_message message;

    if (!request)
        return;
    message = node_message(CLUSTER_SERVER_EMIT, &target, 0);
    message.args = *poll->event;
    send_request(request, &message);
    check(request);
}

bool cluster_server_emit_ack(struct cluster *cluster, struct sio_namespace *nsp,
                             const struct sio_args *event_json, uint32_t timeout_ms,
                             const struct cluster_ack_handler *handler, void *owner)
{
    struct poll poll = {.ask = new_ask(cluster, CLUSTER_SERVER_EMIT, owner),
                        .event = event_json};

    if (!poll.ask)
        return false;
    poll.ask->ack = handler;
    sio_namespace_each(nsp, server_emit_in, &poll);
    return begin(poll.ask, timeout_ms > 0 ? timeout_ms : cluster->request_timeout_ms);
}

/* --- answers of other servers ---------------------------------------------------------------- */

/* Who answers twice, or without having been counted, is not heard. */
static bool takes_server(const struct node_request *request)
{
    return request->told < (request->counted ? request->servers : NODE_SERVERS_MAX);
}

static void take_sockets(struct node_request *request, const struct cluster_message *message)
{
    if (!takes_server(request))
        return;
    if (!json_check(message->json)) {
        node_complain(request->ask->cluster, "an answer of another server is no JSON",
                      message->nsp);
        return;
    }
    json_split(message->json, give_socket, request->ask);
    request->told++;
}

static void take_client_count(struct node_request *request,
                              const struct cluster_message *message)
{
    if (!takes_server(request) || message->count > UINT32_MAX - request->clients_there)
        return;
    request->clients_there += message->count;
    request->told++;
}

/* A server tells how many clients it has asked before they answer. */
static void take_client_answer(struct node_request *request,
                               const struct cluster_message *message)
{
    if (request->answers_there == request->clients_there)
        return;
    request->answers_there++;
    request->ask->ack->answer(request->ask->owner, &message->args);
}

static void take_server_answer(struct node_request *request,
                               const struct cluster_message *message)
{
    if (!takes_server(request))
        return;
    request->told++;
    request->ask->ack->answer(request->ask->owner, &message->args);
}

void node_answered(struct cluster *cluster, const struct cluster_message *message)
{
    static const struct {
        enum cluster_kind answer, kind;
        void (*take)(struct node_request *request, const struct cluster_message *message);
    } ways[] = {
        {CLUSTER_SOCKETS,       CLUSTER_FETCH,       take_sockets      },
        {CLUSTER_CLIENT_COUNT,  CLUSTER_BROADCAST,   take_client_count },
        {CLUSTER_CLIENT_ANSWER, CLUSTER_BROADCAST,   take_client_answer},
        {CLUSTER_SERVER_ANSWER, CLUSTER_SERVER_EMIT, take_server_answer},
    };
    struct node_request *request = map_get(&cluster->requests, message->request);

    if (!request)
        return;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (ways[i].answer == message->kind && ways[i].kind == request->ask->kind) {
            ways[i].take(request, message);
            check(request);
            return;
        }
    }
}
