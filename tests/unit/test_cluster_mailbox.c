#include "cluster_suite.h"

#include "cluster/bus_mailbox.h"

static void *start(struct net_loop *loop)
{
    (void)loop;
    return mailbox_hub_new();
}

static void stop(void *shared)
{
    mailbox_hub_unref(shared);
}

static struct cluster_bus *make(void *shared, struct net_loop *loop, struct random *random,
                                const struct log *log)
{
    (void)log;
    return bus_mailbox_new(shared, loop, random, false);
}

int main(void)
{
    static const struct bus_factory mailbox = {"mailbox", false, start, stop, make};

    return cluster_suite(&mailbox);
}
