#include "recovery.h"

#include <assert.h>
#include <stdlib.h>

/* --- patterns -------------------------------------------------------------------------------- */

/* '*' is any run of characters but '/'. Going back to the last star only is enough: what an
 * earlier one could take more would just leave less for the rest. */
static bool glob_matches(struct str pattern, struct str name)
{
    size_t p = 0, n = 0, after_star = 0, taken = 0;
    bool starred = false;

    while (n < name.size || p < pattern.size) {
        if (p < pattern.size && pattern.at[p] == '*') {
            starred = true;
            after_star = ++p;
            taken = n;
        } else if (p < pattern.size && n < name.size && pattern.at[p] == name.at[n]) {
            p++;
            n++;
        } else if (starred && taken < name.size && name.at[taken] != '/') {
            n = ++taken;
            p = after_star;
        } else {
            return false;
        }
    }
    return true;
}

/* --- who watches ----------------------------------------------------------------------------- */

static bool is_parent(const struct sio_namespace *nsp)
{
    return nsp->kind != SIO_NAMED;
}

static void tell_opened(struct sio_namespace *nsp)
{
    const struct sio_observer *observer = &nsp->server->observer;

    if (observer->opened && !is_parent(nsp))
        observer->opened(observer->owner, nsp);
}

void sio_namespace_closing(struct sio_namespace *nsp)
{
    const struct sio_observer *observer = &nsp->server->observer;

    if (observer->closing && !is_parent(nsp))
        observer->closing(observer->owner, nsp);
}

void sio_server_observe(struct sio_server *server, const struct sio_observer *observer)
{
    server->observer = *observer;
    for (struct list *link = server->namespaces.next; link != &server->namespaces;
         link = link->next) {
        struct sio_namespace *nsp = CONTAINER_OF(link, struct sio_namespace, in_server);

        tell_opened(nsp);
        sio_rooms_tell(nsp);
    }
}

/* --- declaring ------------------------------------------------------------------------------- */

static struct sio_namespace *new_namespace(struct sio_server *server,
                                           const struct sio_namespace_options *options)
{
    bool slash = options->kind == SIO_DECIDED || str_starts(options->name, STR("/"));
    size_t size = options->name.size + !slash;
    struct sio_namespace *nsp = malloc(sizeof(*nsp) + size + 1);
    char *name;

    if (!nsp)
        return NULL;
    *nsp = (struct sio_namespace){
        .server = server,
        .kind = options->kind,
        .declared = true,
        .max_payload = options->max_payload,
        .origins = options->origins,
        .origin_count = options->origin_count,
        .recovery = options->recovery,
        .next_number = 1,
        .data = options->data,
    };
    name = (char *)(nsp + 1);
    name[0] = '/';
    if (options->name.size > 0)
        memcpy(name + !slash, options->name.at, options->name.size);
    nsp->name = str_of(name, size);
    list_init(&nsp->in_parent);
    list_init(&nsp->children);
    map_init(&nsp->sockets);
    map_init(&nsp->rooms);

    if (nsp->kind == SIO_NAMED &&
        (map_get(&server->names, nsp->name) || !map_put(&server->names, nsp->name, nsp))) {
        free(nsp);
        return NULL;
    }
    list_add_last(&server->namespaces, &nsp->in_server);
    return nsp;
}

struct sio_namespace *sio_namespace_add(struct sio_server *server,
                                        const struct sio_namespace_options *options)
{
    struct sio_namespace *root = server->root;
    bool is_root = options->name.size == 0 || str_equal(options->name, STR("/"));

    if (options->kind != SIO_NAMED || !is_root || !root) {
        struct sio_namespace *nsp = new_namespace(server, options);

        if (nsp)
            tell_opened(nsp);
        return nsp;
    }
    if (root->declared)
        return NULL;
    root->declared = true;
    root->max_payload = options->max_payload;
    root->origins = options->origins;
    root->origin_count = options->origin_count;
    root->recovery = options->recovery;
    root->data = options->data;
    return root;
}

void sio_namespace_free(struct sio_namespace *nsp)
{
    assert(map_size(&nsp->sockets) == 0 && map_size(&nsp->rooms) == 0);
    sio_log_free(nsp);
    map_free(&nsp->sockets);
    map_free(&nsp->rooms);
    free(nsp);
}

/* --- children -------------------------------------------------------------------------------- */

static bool takes(struct sio_namespace *parent, struct str name, struct str auth)
{
    const struct sio_app *app = &parent->server->app;

    switch (parent->kind) {
    case SIO_GLOB:
        return glob_matches(parent->name, name);
    case SIO_DECIDED:
        return app->adopts(app->owner, parent, name, auth);
    default:
        return false;
    }
}

struct sio_namespace *sio_namespace_resolve(struct sio_server *server, struct str name,
                                            struct str auth)
{
    struct sio_namespace *found = map_get(&server->names, name);

    if (found || name.size > SIO_CHILD_NAME_MAX)
        return found;
    for (struct list *link = server->namespaces.next; link != &server->namespaces;
         link = link->next) {
        struct sio_namespace *parent = CONTAINER_OF(link, struct sio_namespace, in_server);

        if (takes(parent, name, auth))
            return parent;
    }
    return NULL;
}

struct sio_namespace *sio_namespace_child(struct sio_namespace *parent, struct str name)
{
    struct sio_namespace *child;

    if (parent->child_count >= SIO_PARENT_CHILDREN_MAX) {
        log_warn(parent->server->log, "too many dynamic namespaces",
                 log_str("pattern", parent->name), log_str("namespace", name), LOG_END);
        return NULL;
    }
    child = new_namespace(parent->server, &(struct sio_namespace_options){
                                              .kind = SIO_NAMED,
                                              .name = name,
                                              .max_payload = parent->max_payload,
                                              .origins = parent->origins,
                                              .origin_count = parent->origin_count,
                                              .recovery = parent->recovery,
                                              .data = parent->data,
                                          });
    if (!child) {
        log_error(parent->server->log, "out of memory for a namespace", LOG_END);
        return NULL;
    }
    child->parent = parent;
    list_add_last(&parent->children, &child->in_parent);
    parent->child_count++;
    tell_opened(child);
    return child;
}

static void bury_namespace(struct net_grave *grave)
{
    sio_namespace_free(CONTAINER_OF(grave, struct sio_namespace, grave));
}

void sio_namespace_release(struct sio_namespace *nsp)
{
    struct sio_server *server = nsp->server;

    if (!nsp->parent || !server->options.cleanup_empty_children)
        return;
    if (nsp->joining > 0 || nsp->claims > 0 || map_size(&nsp->sockets) > 0 || nsp->log ||
        map_get(&server->names, nsp->name) != nsp)
        return;
    sio_namespace_closing(nsp);
    map_remove(&server->names, nsp->name);
    list_remove(&nsp->in_server);
    list_remove(&nsp->in_parent);
    nsp->parent->child_count--;
    net_loop_bury(server->loop, &nsp->grave, bury_namespace);
}

/* --- asking ---------------------------------------------------------------------------------- */

bool sio_namespace_allows(const struct sio_namespace *nsp, struct str origin)
{
    if (nsp->origin_count == 0 || origin.size == 0)
        return true;
    for (size_t i = 0; i < nsp->origin_count; i++) {
        if (cors_pattern_matches(nsp->origins[i], origin))
            return true;
    }
    return false;
}

struct sio_namespace *sio_namespace_find(const struct sio_server *server, struct str name)
{
    return map_get(&server->names, name);
}

struct str sio_namespace_name(const struct sio_namespace *nsp)
{
    return nsp->name;
}

void *sio_namespace_data(const struct sio_namespace *nsp)
{
    return nsp->data;
}

struct sio_server *sio_namespace_server(const struct sio_namespace *nsp)
{
    return nsp->server;
}

struct sio_namespace *sio_namespace_parent(const struct sio_namespace *nsp)
{
    return nsp->parent;
}

bool sio_namespace_recovers(const struct sio_namespace *nsp)
{
    return nsp->recovery.window_ms > 0;
}

/* Over a copy: what is visited may end children; their memory lasts until the turn's end. */
static void each_child(struct sio_namespace *parent,
                       void (*visit)(void *context, struct sio_namespace *nsp), void *context)
{
    struct sio_namespace **children =
        malloc(parent->child_count * sizeof(struct sio_namespace *));
    uint32_t count = 0;

    if (!children) {
        log_error(parent->server->log, "out of memory: not every namespace was visited",
                  log_str("pattern", parent->name), LOG_END);
        return;
    }
    for (struct list *link = parent->children.next; link != &parent->children;
         link = link->next)
        children[count++] = CONTAINER_OF(link, struct sio_namespace, in_parent);
    assert(count == parent->child_count);
    for (uint32_t i = 0; i < count; i++) {
        if (!list_empty(&children[i]->in_parent))
            visit(context, children[i]);
    }
    free(children);
}

void sio_namespace_each(struct sio_namespace *nsp,
                        void (*visit)(void *context, struct sio_namespace *nsp), void *context)
{
    if (!is_parent(nsp))
        visit(context, nsp);
    else if (nsp->child_count > 0)
        each_child(nsp, visit, context);
}

uint32_t sio_namespace_count(const struct sio_namespace *nsp)
{
    uint32_t count = map_size(&nsp->sockets);

    for (struct list *link = nsp->children.next; link != &nsp->children; link = link->next)
        count += map_size(&CONTAINER_OF(link, struct sio_namespace, in_parent)->sockets);
    return count;
}
