#include "script/handshake.h"

#include "base/clock.h"

static void push_str(lua_State *L, struct str text)
{
    lua_pushlstring(L, text.at, text.size);
}

/* With the table of headers on top: joined as Node's http module joins them. */
static void add_header(lua_State *L, const struct http_header *header)
{
    bool repeated;

    push_str(L, header->name);
    lua_pushvalue(L, -1);
    repeated = lua_rawget(L, -3) == LUA_TSTRING;
    if (repeated && http_header_keeps_first(header->name)) {
        lua_pop(L, 2);
        return;
    }
    if (repeated) {
        lua_pushstring(L, str_equal(header->name, STR("cookie")) ? "; " : ", ");
        push_str(L, header->value);
        lua_concat(L, 3);
    } else {
        lua_pop(L, 1);
        push_str(L, header->value);
    }
    lua_rawset(L, -3);
}

static void push_headers(lua_State *L, const struct eio_handshake *handshake)
{
    lua_createtable(L, 0, (int)handshake->header_count);
    for (size_t i = 0; i < handshake->header_count; i++)
        add_header(L, &handshake->headers[i]);
}

static void push_time(lua_State *L, uint64_t time_ms)
{
    char text[CLOCK_DATE_MAX];

    lua_pushlstring(L, text, clock_date_text(time_ms, text));
}

/* eio_query_each() may hold memory while it calls back, and a Lua error would jump over its end:
 * parameters are gathered first. */
static bool gather_parameter(void *context, struct str name, struct str value)
{
    struct buf *gathered = context;

    buf_add(gathered, &name.size, sizeof(name.size));
    buf_add_str(gathered, name);
    buf_add(gathered, &value.size, sizeof(value.size));
    buf_add_str(gathered, value);
    return true;
}

static struct str take_str(const struct buf *gathered, size_t *at)
{
    struct str text;

    memcpy(&text.size, gathered->at + *at, sizeof(text.size));
    text.at = gathered->at + *at + sizeof(text.size);
    *at += sizeof(text.size) + text.size;
    return text;
}

static void push_query(lua_State *L, struct buf *scratch, struct str target)
{
    eio_query_each(target, gather_parameter, scratch);
    if (buf_failed(scratch))
        luaL_error(L, "handshake: out of memory");
    lua_newtable(L);
    for (size_t at = 0; at < scratch->size;) {
        push_str(L, take_str(scratch, &at));
        push_str(L, take_str(scratch, &at));
        lua_rawset(L, -3);
    }
}

void script_push_request(lua_State *L, struct buf *scratch,
                         const struct eio_handshake *handshake)
{
    lua_createtable(L, 0, 7);
    lua_pushliteral(L, "GET"); /* other methods are refused before */
    lua_setfield(L, -2, "method");
    push_str(L, handshake->target);
    lua_setfield(L, -2, "url");
    push_headers(L, handshake);
    lua_setfield(L, -2, "headers");
    push_str(L, handshake->address);
    lua_setfield(L, -2, "address");
    push_query(L, scratch, handshake->target);
    lua_setfield(L, -2, "query");
    lua_pushboolean(L, handshake->secure);
    lua_setfield(L, -2, "secure");
    if (handshake->cross_domain) {
        push_str(L, handshake->origin);
        lua_setfield(L, -2, "origin");
    }
}

void script_push_handshake(lua_State *L, struct buf *scratch, struct sio_socket *socket)
{
    const struct eio_handshake *handshake = sio_socket_handshake(socket);

    lua_createtable(L, 0, 9);
    push_headers(L, handshake);
    lua_setfield(L, -2, "headers");
    push_time(L, handshake->time_ms);
    lua_setfield(L, -2, "time");
    push_str(L, handshake->address);
    lua_setfield(L, -2, "address");
    lua_pushboolean(L, handshake->cross_domain);
    lua_setfield(L, -2, "xdomain");
    lua_pushboolean(L, handshake->secure);
    lua_setfield(L, -2, "secure");
    lua_pushinteger(L, (lua_Integer)handshake->time_ms);
    lua_setfield(L, -2, "issued");
    push_str(L, handshake->target);
    lua_setfield(L, -2, "url");
    push_query(L, scratch, handshake->target);
    lua_setfield(L, -2, "query");
    value_push_json(L, sio_socket_auth(socket));
    lua_setfield(L, -2, "auth");
}
