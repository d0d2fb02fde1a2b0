#include "server/forwarding.h"

#include "forward/forward.h"
#include "forward/gate.h"
#include "net/door.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOPBACK "127.0.0.1"

enum {
    SECRET_EVERY_MS = 10000, /* Redis may have lost it, and others made a new one */
    SECRET_SOON_MS = 200,    /* after a refusal */
    DOOR_KEEP_MS = 60000,    /* longer than others keep idle connections */
    HEADER_ROOM = 1024,      /* of the header that is added */
    ANSWER_GRACE_MS = 5000,
    ANSWER_ROOM = 1024 * 1024,
};

struct forwarding {
    struct forwarding_options options;
    struct eio_server *engine; /* NULL until it is started, and once it is stopped */
    struct forward *forward;
    struct gate gate;
    struct http_service service; /* of the door's connections */
    struct http_limits limits;
    struct door *door;
    char door_host[NET_ADDRESS_MAX]; /* where it is */
    char name[PASSPORT_NAME_SIZE];
    char secret[PASSPORT_SECRET_SIZE]; /* the gate refers to it once it is Redis' */
    struct buf secret_key;
    struct timer look; /* for the secret */
    bool looking;
    bool said; /* the others know the door */
    bool complained;
};

bool forwarding_wanted(const struct config *config)
{
    return config->redis.given && config->cluster.forward;
}

bool forwarding_wanted_inside(const struct config *config)
{
    return config->workers > 1;
}

struct str forwarding_name(const struct forwarding *forwarding)
{
    return str_of(forwarding->name, sizeof(forwarding->name));
}

/* --- the door -------------------------------------------------------------------------------- */

static void accepted(void *owner, struct net_conn *conn)
{
    struct forwarding *forwarding = owner;

    http1_serve(conn, &forwarding->service, &forwarding->limits, forwarding->options.log,
                false);
}

static void complain(struct forwarding *forwarding, const char *address)
{
    if (!forwarding->complained)
        log_error(forwarding->options.log,
                  "no requests of other servers: this address cannot be listened on",
                  log_text("address", address), log_text("reason", strerror(errno)), LOG_END);
    forwarding->complained = true;
}

static struct door_options door_options_of(struct forwarding *forwarding)
{
    return (struct door_options){
        .loop = forwarding->options.loop,
        .backlog = forwarding->options.config->limits.backlog,
        .accepted = accepted,
        .owner = forwarding,
    };
}

/* A door for the other workers. */
static void open_inside(struct forwarding *forwarding)
{
    const struct forwarding_options *options = &forwarding->options;
    const struct door_options door_options = door_options_of(forwarding);
    struct peer_address address;

    if (peer_address_of(LOOPBACK, 0, &address))
        forwarding->door = door_open(&address, &door_options);
    if (!forwarding->door) {
        complain(forwarding, LOOPBACK);
        return;
    }
    peer_address_of(LOOPBACK, door_port(forwarding->door), &address);
    forwarding->gate.secret = commons_secret(options->commons);
    commons_open(options->commons, options->worker, options->name, &address);
}

/* Of several workers each has a port of its own: the first the one that is said, the others those
 * that follow. */
static struct str of_worker(const struct forwarding *forwarding, struct str address,
                            char text[PEER_ADDRESS_TEXT])
{
    size_t colon = address.size;
    unsigned long port;

    while (colon > 0 && address.at[colon - 1] != ':')
        colon--;
    port = strtoul(address.at + colon, NULL, 10) + forwarding->options.worker;
    snprintf(text, PEER_ADDRESS_TEXT, "%.*s%lu", (int)colon, address.at, port);
    return str_from(text);
}

/* Opens the door at `listen`, or where Redis is reached from. */
static void open_door(struct forwarding *forwarding)
{
    const struct cfg_cluster *config = &forwarding->options.config->cluster;
    const struct door_options options = door_options_of(forwarding);
    const char *host = redis_local(clustering_redis(forwarding->options.clustering));
    char text[PEER_ADDRESS_TEXT];
    struct peer_address address;

    if (host[0] == '\0') /* a unix socket: the others are on this machine, too */
        host = LOOPBACK;
    if (forwarding->door && (config->listen.size > 0 || !strcmp(host, forwarding->door_host)))
        return;
    door_close(forwarding->door);
    forwarding->said = false;
    memcpy(forwarding->door_host, host, strlen(host) + 1);
    forwarding->door = NULL;
    if (config->listen.size > 0
            ? peer_address_parse(of_worker(forwarding, config->listen, text), &address)
            : peer_address_of(host, 0, &address))
        forwarding->door = door_open(&address, &options);
    if (!forwarding->door)
        complain(forwarding, config->listen.size > 0 ? config->listen.at : host);
}

/* Tells the others where the door is, when it can be used. */
static void say_door(struct forwarding *forwarding)
{
    const struct cfg_cluster *config = &forwarding->options.config->cluster;
    struct str address = config->advertise.size > 0 ? config->advertise : config->listen;
    char text[PEER_ADDRESS_TEXT];

    if (forwarding->said || !forwarding->door || forwarding->gate.secret.size == 0)
        return;
    if (address.size > 0) {
        address = of_worker(forwarding, address, text);
    } else {
        peer_address_write(forwarding->door_host, door_port(forwarding->door), text);
        address = str_from(text);
    }
    log_info(forwarding->options.log, "listening for requests of other servers",
             log_str("address", address), LOG_END);
    peers_set_address(clustering_peers(forwarding->options.clustering), address);
    forwarding->said = true;
    forwarding->complained = false;
}

/* --- the secret ------------------------------------------------------------------------------ */

static void was_set(void *owner, const struct redisReply *reply, enum redis_end end)
{
    /* The answer to GET tells what came of it. */
    (void)owner, (void)reply, (void)end;
}

static void learned(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct forwarding *forwarding = owner;
    struct str secret;

    forwarding->looking = false;
    if (end != REDIS_ANSWERED || reply->type != REDIS_REPLY_STRING)
        return;
    secret = redis_reply_str(reply);
    if (secret.size != PASSPORT_SECRET_SIZE) {
        log_error(forwarding->options.log, "the cluster's secret in Redis is none",
                  log_str("key", buf_str(&forwarding->secret_key)), LOG_END);
        return;
    }
    memcpy(forwarding->secret, secret.at, sizeof(forwarding->secret));
    forwarding->gate.secret = str_of(forwarding->secret, sizeof(forwarding->secret));
    say_door(forwarding);
}

/* Whoever comes first makes it. A server that has one already puts it back if Redis lost it. */
static void look_for_secret(struct forwarding *forwarding)
{
    struct redis *redis = clustering_redis(forwarding->options.clustering);
    const struct redis_how how = {.at_once = true};
    struct str key = buf_str(&forwarding->secret_key);
    struct str secret = str_of(forwarding->secret, sizeof(forwarding->secret));
    const struct str set[] = {STR("SET"), key, secret, STR("NX")};
    const struct str get[] = {STR("GET"), key};

    if (forwarding->looking)
        return;
    forwarding->looking = true;
    redis_command_with(redis, &how, set, 4, was_set, forwarding);
    redis_command_with(redis, &how, get, 2, learned, forwarding);
}

static void look_again(struct timer *timer)
{
    struct forwarding *forwarding = CONTAINER_OF(timer, struct forwarding, look);

    timer_start(net_loop_timers(forwarding->options.loop), timer, SECRET_EVERY_MS);
    if (!redis_is_up(clustering_redis(forwarding->options.clustering)))
        return;
    open_door(forwarding);
    look_for_secret(forwarding);
}

static void redis_up(void *owner)
{
    look_again(&((struct forwarding *)owner)->look);
}

/* Here or there a request was refused. */
static void refused(void *owner)
{
    struct forwarding *forwarding = owner;

    if (forwarding->options.clustering) /* workers' secret does not change */
        timer_start(net_loop_timers(forwarding->options.loop), &forwarding->look,
                    SECRET_SOON_MS);
}

/* --- requests -------------------------------------------------------------------------------- */

static void serve(void *owner, struct http_exchange *exchange)
{
    static const struct http_response not_found = {.status = 404};
    struct forwarding *forwarding = owner;
    const struct http_request *request = http_exchange_request(exchange);

    if (eio_server_matches(forwarding->engine, request->target))
        eio_server_request(forwarding->engine, exchange);
    else
        http_exchange_respond(exchange, &not_found);
}

static void unknown(void *owner, struct http_exchange *exchange)
{
    eio_server_refuse_unknown(((struct forwarding *)owner)->engine, exchange);
}

/* Where the server or worker of that name takes requests over. */
static bool find_door(const struct forwarding *forwarding, uint64_t name,
                      struct peer_address *address)
{
    const struct forwarding_options *options = &forwarding->options;
    struct str text;

    if (!options->clustering)
        return commons_find(options->commons, name, address);
    return peers_address(clustering_peers(options->clustering), name, &text) &&
           peer_address_parse(text, address);
}

bool forwarding_elsewhere(struct forwarding *forwarding, struct str name,
                          struct http_exchange *exchange)
{
    struct peer_address address;
    uint64_t number;

    return forwarding && forwarding->engine && forwarding->gate.secret.size > 0 &&
           passport_name_read(name, &number) && find_door(forwarding, number, &address) &&
           forward_exchange(forwarding->forward, &address, forwarding->gate.secret, exchange);
}

/* --- life ------------------------------------------------------------------------------------ */

static bool make_forward(struct forwarding *forwarding)
{
    const struct config *config = forwarding->options.config;
    uint64_t held_ms = (uint64_t)config->engine.ping_interval_ms +
                       config->engine.ping_timeout_ms + ANSWER_GRACE_MS;

    forwarding->forward = forward_new(&(struct forward_options){
        .loop = forwarding->options.loop,
        .log = forwarding->options.log,
        .hits = forwarding->options.hits,
        .answer_ms = held_ms < UINT32_MAX ? (uint32_t)held_ms : UINT32_MAX,
        .request_max = config->limits.max_payload,
        /* Binary packets are longer as text. */
        .answer_max = 2 * config->limits.backlog + ANSWER_ROOM,
        .unknown = unknown,
        .refused = refused,
        .owner = forwarding,
    });
    return forwarding->forward != NULL;
}

static void prepare_gate(struct forwarding *forwarding)
{
    const struct cfg_limits *limits = &forwarding->options.config->limits;

    forwarding->gate = (struct gate){
        .log = forwarding->options.log,
        .hits = forwarding->options.hits,
        .loop = forwarding->options.loop,
        .secret = STR(""),
        .serve = serve,
        .refused = refused,
        .owner = forwarding,
    };
    forwarding->service = (struct http_service){
        .request = gate_request,
        .owner = &forwarding->gate,
        .lasting = true,
    };
    forwarding->limits = (struct http_limits){
        .header_bytes = limits->header_bytes + HEADER_ROOM,
        .headers_timeout_ms = limits->http_headers_ms,
        .request_timeout_ms = limits->http_body_ms,
        .keep_alive_ms = DOOR_KEEP_MS,
        .hits = forwarding->options.hits,
    };
}

struct forwarding *forwarding_new(const struct forwarding_options *options)
{
    struct forwarding *forwarding = calloc(1, sizeof(*forwarding));

    if (!forwarding)
        return NULL;
    forwarding->options = *options;
    passport_name_write(options->name, forwarding->name);
    random_hex(options->random, forwarding->secret, sizeof(forwarding->secret));
    timer_init(&forwarding->look, look_again);
    buf_init(&forwarding->secret_key, SIZE_MAX);
    buf_add_str(&forwarding->secret_key, options->config->redis.prefix);
    buf_add_str(&forwarding->secret_key, STR(":skua:secret"));
    prepare_gate(forwarding);
    if (!buf_failed(&forwarding->secret_key) && make_forward(forwarding))
        return forwarding;
    forwarding_free(forwarding);
    return NULL;
}

void forwarding_start(struct forwarding *forwarding, struct eio_server *engine)
{
    forwarding->engine = engine;
    if (!forwarding->options.clustering) {
        open_inside(forwarding);
        return;
    }
    clustering_on_up(forwarding->options.clustering, redis_up, forwarding);
}

void forwarding_stop(struct forwarding *forwarding)
{
    if (!forwarding)
        return;
    if (forwarding->options.clustering)
        clustering_on_up(forwarding->options.clustering, NULL, NULL);
    timer_stop(net_loop_timers(forwarding->options.loop), &forwarding->look);
    door_close(forwarding->door);
    forwarding->door = NULL;
    forward_free(forwarding->forward);
    forwarding->forward = NULL;
    forwarding->gate.secret = STR("");
    forwarding->engine = NULL;
}

void forwarding_free(struct forwarding *forwarding)
{
    if (!forwarding)
        return;
    assert(!forwarding->door && !forwarding->engine);
    forward_free(forwarding->forward);
    buf_free(&forwarding->secret_key);
    free(forwarding);
}
