#include "config/private.h"
#include "net/peer_address.h"

#define CLUSTER(field) offsetof(struct cfg_cluster, field)

static const char expected[] = "a numeric address with a port, such as \"10.0.0.5:7493\"";

static void read_address(struct cfg_loader *loader, struct cfg_place place, int index,
                         struct str *to)
{
    struct peer_address address;
    struct str text;

    if (!cfg_read_string(loader, place, index, expected, &text))
        return;
    if (text.size >= PEER_ADDRESS_TEXT || !peer_address_parse(text, &address))
        cfg_fault_found(loader, place, expected, index);
    else
        *to = text;
}

static void read_listen(struct cfg_loader *loader, struct cfg_place place, int index,
                        void *base)
{
    read_address(loader, place, index, &((struct cfg_cluster *)base)->listen);
}

static void read_advertise(struct cfg_loader *loader, struct cfg_place place, int index,
                           void *base)
{
    read_address(loader, place, index, &((struct cfg_cluster *)base)->advertise);
}

static const struct cfg_key cluster_keys[] = {
    {"forward",   CFG_BOOL,   CLUSTER(forward), 0, 0, NULL          },
    {"listen",    CFG_CUSTOM, 0,                0, 0, read_listen   },
    {"advertise", CFG_CUSTOM, 0,                0, 0, read_advertise},
};

int cfg_statement_cluster(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    struct cfg_cluster *cluster = &loader->config->cluster;

    cluster->line = cfg_once(loader, "cluster");
    cfg_read_table(loader, "cluster", cluster->line, 1, cluster_keys,
                   sizeof(cluster_keys) / sizeof(cluster_keys[0]), cluster);
    return 0;
}

/* What the other statements say may stand behind this one. */
void cfg_finish_cluster(struct cfg_loader *loader)
{
    const struct cfg_cluster *cluster = &loader->config->cluster;

    if (cluster->line > 0 && !loader->config->redis.given)
        cfg_fault(loader, cluster->line,
                  "cluster: expected only with redis, which makes servers one");
    if (!cluster->forward && (cluster->listen.size > 0 || cluster->advertise.size > 0))
        cfg_fault(loader, cluster->line,
                  "cluster: with forward = false there is nothing to listen for");
}
