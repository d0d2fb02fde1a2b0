#include "redis_server.h"

#include "cluster/bus_redis.h"
#include "cluster_suite.h"

/*
 * The same cases over each bus on a real Redis, started anew for each case.
 */

static struct server redis_server;
static struct redis_options redis_address;

static void *start_redis(struct net_loop *loop)
{
    (void)loop;
    redis_options_init(&redis_address);
    redis_server.port = 0;
    server_start(&redis_server, "");
    redis_address.servers[0].port = (uint16_t)redis_server.port;
    return NULL;
}

static void stop_redis(void *shared)
{
    (void)shared;
    server_stop(&redis_server);
}

static struct cluster_bus *make(struct bus_options bus_options, struct net_loop *loop_of_all,
                                struct random *random, const struct log *log,
                                struct cluster_bus *(*maker)(const struct bus_options *options,
                                                             char fault[REDIS_FAULT_MAX]))
{
    char fault[REDIS_FAULT_MAX];
    struct cluster_bus *bus;

    bus_options.loop = loop_of_all;
    bus_options.random = random;
    bus_options.log = log;
    bus_options.redis = &redis_address;
    bus_options.prefix = STR("test");
    bus = maker(&bus_options, fault);
    if (!bus)
        fail_msg("%s", fault);
    return bus;
}

static struct cluster_bus *make_pubsub(void *shared, struct net_loop *loop_of_all,
                                       struct random *random, const struct log *log)
{
    (void)shared;
    return make((struct bus_options){0}, loop_of_all, random, log, bus_pubsub_new);
}

/* Own messages come back and must not be delivered twice. */
static struct cluster_bus *make_pubsub_with_recovery(void *shared, struct net_loop *loop_of_all,
                                                     struct random *random,
                                                     const struct log *log)
{
    (void)shared;
    return make((struct bus_options){.recovery = true}, loop_of_all, random, log,
                bus_pubsub_new);
}

static struct cluster_bus *make_sharded_with_recovery(void *shared,
                                                      struct net_loop *loop_of_all,
                                                      struct random *random,
                                                      const struct log *log)
{
    (void)shared;
    return make((struct bus_options){.recovery = true}, loop_of_all, random, log,
                bus_sharded_new);
}

static struct cluster_bus *make_sharded(void *shared, struct net_loop *loop_of_all,
                                        struct random *random, const struct log *log)
{
    (void)shared;
    return make((struct bus_options){0}, loop_of_all, random, log, bus_sharded_new);
}

static struct cluster_bus *make_private(void *shared, struct net_loop *loop_of_all,
                                        struct random *random, const struct log *log)
{
    (void)shared;
    return make((struct bus_options){.mode = BUS_DYNAMIC_PRIVATE}, loop_of_all, random, log,
                bus_sharded_new);
}

static struct cluster_bus *make_streams(void *shared, struct net_loop *loop_of_all,
                                        struct random *random, const struct log *log)
{
    (void)shared;
    return make((struct bus_options){0}, loop_of_all, random, log, bus_streams_new);
}

static struct cluster_bus *make_streams_with_recovery(void *shared,
                                                      struct net_loop *loop_of_all,
                                                      struct random *random,
                                                      const struct log *log)
{
    (void)shared;
    return make((struct bus_options){.recovery = true}, loop_of_all, random, log,
                bus_streams_new);
}

int main(void)
{
    static const struct bus_factory factories[] = {
        {"pubsub",                 false, start_redis, stop_redis, make_pubsub               },
        {"sharded",                false, start_redis, stop_redis, make_sharded              },
        {"sharded, private",       false, start_redis, stop_redis, make_private              },
        {"streams",                false, start_redis, stop_redis, make_streams              },
        {"pubsub that recovers",   false, start_redis, stop_redis, make_pubsub_with_recovery },
        {"sharded that recovers",  false, start_redis, stop_redis, make_sharded_with_recovery},
        {"streams, with recovery", true,  start_redis, stop_redis, make_streams_with_recovery},
    };
    int failed = 0;

    if (make_folder(NULL) < 0)
        return 1;
    for (size_t i = 0; i < sizeof(factories) / sizeof(factories[0]); i++)
        failed += cluster_suite(&factories[i]);
    remove_folder(NULL);
    return failed;
}
