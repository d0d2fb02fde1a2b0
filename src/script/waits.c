#include "script/waits.h"

#include <stdlib.h>

struct wait {
    struct list link;
    struct coroutine *coroutine; /* NULL: nobody waits any more */
    uint64_t generation;
    enum wait_for what;
    lua_Integer count;
    struct script_namespace *declared; /* the target's */
    struct str name;
    char text[];
};

struct wait *script_new_wait(lua_State *L, struct coroutine *coroutine,
                             const struct target *target, enum wait_for what)
{
    struct wait *wait = malloc(sizeof(*wait) + target->name.size);

    if (!wait) {
        luaL_error(L, "out of memory");
        return NULL;
    }
    *wait = (struct wait){
        .coroutine = coroutine,
        .generation = coroutine->generation,
        .what = what,
        .declared = target->declared,
        .name = str_of(wait->text, target->name.size),
    };
    memcpy(wait->text, target->name.at, target->name.size);
    list_add_last(&coroutine->script->waits, &wait->link);
    return wait;
}

void script_drop_wait(struct wait *wait)
{
    list_remove(&wait->link);
    free(wait);
}

/* What was sent is not kept while we wait. */
int script_await(lua_State *L, struct coroutine *coroutine, lua_KFunction go_on)
{
    lua_settop(L, 0);
    lua_newtable(L);
    return script_wait(L, coroutine, go_on);
}

void script_detach_waits(struct script *script)
{
    struct list *link;

    while ((link = list_take_first(&script->waits)) != NULL)
        CONTAINER_OF(link, struct wait, link)->coroutine = NULL;
}

/* --- what comes ------------------------------------------------------------------------------ */

struct arrival {
    struct wait *wait;
    const struct sio_args *args;
    struct str json; /* of a socket */
};

/* With the table at 2: the values of the one socket. */
static void keep_values(lua_State *L, struct wait *wait, const struct sio_args *args)
{
    int count = value_push_args(L, args);

    for (int i = count; i > 0; i--)
        lua_rawseti(L, 2, i);
    wait->count = count;
}

static void keep_first(lua_State *L, struct wait *wait, const struct sio_args *args)
{
    int count = value_push_args(L, args);

    lua_settop(L, count > 0 ? 3 : 2);
    if (count == 0 || lua_isnil(L, 3)) {
        lua_settop(L, 2);
        value_push_json(L, STR("null")); /* a list has no holes */
    }
    lua_rawseti(L, 2, ++wait->count);
}

/* In protected mode. The waiting coroutine has the table on top. */
static int keep(lua_State *L)
{
    const struct arrival *arrival = lua_touserdata(L, 1);
    struct wait *wait = arrival->wait;
    lua_State *waiting = wait->coroutine->L;

    lua_pushvalue(waiting, -1);
    lua_xmove(waiting, L, 1);
    if (wait->what == WAIT_FOR_VALUES) {
        keep_values(L, wait, arrival->args);
    } else if (wait->what == WAIT_FOR_ANSWERS) {
        keep_first(L, wait, arrival->args);
    } else {
        script_push_remote(L, wait->declared, wait->name, arrival->json);
        lua_rawseti(L, 2, ++wait->count);
    }
    return 0;
}

static bool is_awaited(const struct wait *wait)
{
    return wait->coroutine && wait->coroutine->waiting &&
           wait->generation == wait->coroutine->generation;
}

static void arrive(struct arrival *arrival)
{
    struct wait *wait = arrival->wait;
    lua_State *L;

    if (!is_awaited(wait))
        return;
    L = wait->coroutine->script->L;
    lua_pushcfunction(L, keep);
    lua_pushlightuserdata(L, arrival);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        script_warn(wait->coroutine, "an answer was dropped",
                    lua_isstring(L, -1) ? str_from(lua_tostring(L, -1)) : STR(""));
        lua_pop(L, 1);
    }
}

/* The run goes on from a task of its own: the last answer may come deep inside socketio, or while
 * the server is being freed. */
static void end(struct wait *wait, const char *reason)
{
    struct coroutine *coroutine = wait->coroutine;

    if (is_awaited(wait)) {
        coroutine->wait_reason = reason;
        coroutine->wait_count = wait->count;
        net_loop_later(coroutine->script->loop, &coroutine->task);
    }
    script_drop_wait(wait);
}

/* --- handlers -------------------------------------------------------------------------------- */

static void socket_answered(void *owner, struct sio_socket *socket, const struct sio_args *args)
{
    struct arrival arrival = {.wait = owner, .args = args};

    (void)socket;
    arrive(&arrival);
}

static void socket_ended(void *owner, enum sio_ack_end how)
{
    static const char *const reasons[] = {
        [SIO_ACK_COMPLETE] = NULL,
        [SIO_ACK_TIMEOUT] = "operation has timed out",
        [SIO_ACK_DISCONNECTED] = "socket has been disconnected",
    };

    end(owner, reasons[how]);
}

const struct sio_ack_handler wait_socket_acks = {
    .answer = socket_answered,
    .end = socket_ended,
};

static void somebody_answered(void *owner, const struct sio_args *args)
{
    struct arrival arrival = {.wait = owner, .args = args};

    arrive(&arrival);
}

static void all_ended(void *owner, const struct cluster_result *result)
{
    static const char *const reasons[] = {
        [CLUSTER_COMPLETE] = NULL,
        [CLUSTER_TIMED_OUT] = "operation has timed out",
        [CLUSTER_UNREACHABLE] = "other servers cannot be reached",
    };

    end(owner, reasons[result->end]);
}

const struct cluster_ack_handler wait_cluster_acks = {
    .answer = somebody_answered,
    .end = all_ended,
};

static void socket_found(void *owner, struct str json)
{
    struct arrival arrival = {.wait = owner, .json = json};

    if (arrival.wait->what == WAIT_FOR_COUNT)
        arrival.wait->count++;
    else
        arrive(&arrival);
}

const struct cluster_fetch_handler wait_cluster_sockets = {
    .socket = socket_found,
    .end = all_ended,
};

void wait_counted(void *owner, int servers)
{
    struct wait *wait = owner;

    wait->count = servers;
    end(wait, servers == CLUSTER_COUNT_UNKNOWN ? "other servers cannot be reached" : NULL);
}

/* --- going on -------------------------------------------------------------------------------- */

/* What is to be returned is on top. */
static int return_with_reason(lua_State *L)
{
    const char *reason = script_of(L)->current->wait_reason;

    if (!reason)
        return 1;
    lua_pushstring(L, reason);
    return 2;
}

int wait_return_list(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    return return_with_reason(L);
}

int wait_return_count(lua_State *L, int status, lua_KContext context)
{
    lua_Integer count = script_of(L)->current->wait_count;

    (void)status;
    (void)context;
    if (count == CLUSTER_COUNT_UNKNOWN)
        lua_pushnil(L);
    else
        lua_pushinteger(L, count);
    return return_with_reason(L);
}
