#include "script/runtime.h"

enum {
    FIELDS_MAX = 8,
    TRACEBACK_MAX = 8192, /* bytes; Lua shortens deep stacks to 21 lines itself */
};

static bool is_control(char byte)
{
    return (unsigned char)byte < 0x20 || byte == 0x7f;
}

/* What clients send gets into messages: it must not look like lines of its own, or reach a
 * terminal. JSON lines are escaped by the log itself. */
void script_log(const struct script *script, enum log_level level, struct str message,
                const struct log_field *fields)
{
    char line[LOG_LINE_MAX];
    size_t size = 0;

    for (size_t i = 0; i < message.size && size + 4 < sizeof(line); i++) {
        char byte = message.at[i];
        if (script->log->format == LOG_TEXT && byte == '\n') {
            line[size++] = '\\';
            line[size++] = 'n';
        } else if (script->log->format == LOG_TEXT && is_control(byte) && byte != '\t') {
            static const char digits[] = "0123456789abcdef";
            line[size++] = '\\';
            line[size++] = 'x';
            line[size++] = digits[(unsigned char)byte >> 4];
            line[size++] = digits[byte & 15];
        } else {
            line[size++] = byte;
        }
    }
    log_write_fields(script->log, level, str_of(line, size), fields);
}

/* The namespace, socket and event that a run is for. */
static size_t fields_of(const struct coroutine *coroutine, struct log_field *fields)
{
    const struct script *script = coroutine->script;
    size_t count = 0;

    if (coroutine->nsp) {
        struct sio_socket *socket =
            script->server ? sio_socket_find(script->server, coroutine->socket) : NULL;

        fields[count++] =
            log_str("namespace", socket ? sio_namespace_name(sio_socket_namespace(socket))
                                        : coroutine->nsp->config->name);
    }
    if (coroutine->socket_id.size > 0)
        fields[count++] = log_str("socket", coroutine->socket_id);
    if (coroutine->event.size > 0)
        fields[count++] = log_str("event", coroutine->event);
    return count;
}

/* One line: the entries of luaL_traceback() joined by "; ", without those of C code, which are
 * ours. */
static struct str join_traceback(struct str lines, char *to, size_t size)
{
    size_t used = 0;

    for (size_t at = 0; at < lines.size;) {
        const char *end = memchr(lines.at + at, '\n', lines.size - at);
        size_t length = end ? (size_t)(end - lines.at) - at : lines.size - at;
        struct str line = str_trim(str_of(lines.at + at, length));

        at += length + 1;
        if (str_equal(line, STR("stack traceback:")) || str_equal(line, STR("[C]: in ?")))
            continue;
        if (used + line.size + 2 > size)
            break;
        if (used > 0) {
            to[used++] = ';';
            to[used++] = ' ';
        }
        memcpy(to + used, line.at, line.size);
        used += line.size;
    }
    return str_of(to, used);
}

/* Where the handler was declared whose values could not be written: no traceback shows it. */
static int handler_line(const struct coroutine *coroutine)
{
    const struct cfg_handler *handler = map_get(&coroutine->nsp->events, coroutine->event);

    if (!handler)
        handler = coroutine->nsp->any;
    return handler ? handler->line : 0;
}

/* Called in protected mode with the coroutine; returns nothing. The coroutine's error value is not
 * asked for its __tostring: that would be Lua code outside of any run. */
static int write_error(lua_State *L)
{
    const struct coroutine *coroutine = lua_touserdata(L, 1);
    struct log_field fields[FIELDS_MAX] = {{0}};
    size_t count = fields_of(coroutine, fields);
    char traceback[TRACEBACK_MAX];
    size_t size;
    const char *text;
    struct str message;

    if (coroutine->script->stopping) {
        message = str_from(coroutine->script->stop_text);
    } else if (lua_type(coroutine->L, -1) == LUA_TSTRING) {
        text = lua_tolstring(coroutine->L, -1, &size);
        message = str_of(text, size);
        if (coroutine->acknowledging)
            message = str_from(lua_pushfstring(
                L, "%s:%d: what the handler returned cannot be sent: %s",
                coroutine->script->config->file.at, handler_line(coroutine), text));
    } else {
        text =
            lua_pushfstring(L, "an error that is a %s value", luaL_typename(coroutine->L, -1));
        message = str_from(text);
    }
    luaL_traceback(L, coroutine->L, NULL, 0);
    text = lua_tolstring(L, -1, &size);
    fields[count++] =
        log_str("traceback", join_traceback(str_of(text, size), traceback, sizeof(traceback)));
    fields[count] = LOG_END;
    script_log(coroutine->script, LOG_ERROR, message, fields);
    return 0;
}

void script_warn(const struct coroutine *coroutine, const char *message, struct str detail)
{
    struct log_field fields[FIELDS_MAX] = {{0}};
    size_t count = fields_of(coroutine, fields);

    if (detail.size > 0)
        fields[count++] = log_str("reason", detail);
    fields[count] = LOG_END;
    log_write_fields(coroutine->script->log, LOG_WARN, str_from(message), fields);
}

static void write_plain(const struct coroutine *coroutine, const char *message)
{
    struct log_field fields[FIELDS_MAX] = {{0}};
    size_t count = fields_of(coroutine, fields);

    fields[count++] = log_int("lua_memory", (int64_t)coroutine->script->memory_limit);
    fields[count] = LOG_END;
    log_write_fields(coroutine->script->log, LOG_ERROR, str_from(message), fields);
}

void script_report(struct coroutine *coroutine, int status)
{
    lua_State *L = coroutine->script->L;

    if (status == LUA_ERRMEM && !coroutine->script->stopping) {
        write_plain(coroutine, "out of memory in Lua (limits.lua_memory)");
        return;
    }
    lua_pushcfunction(L, write_error);
    lua_pushlightuserdata(L, coroutine);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        write_plain(coroutine, "an error in Lua, and no memory to say which");
        lua_pop(L, 1);
    }
}

static int write_yield(lua_State *L)
{
    struct coroutine *coroutine = lua_touserdata(L, 1);

    lua_pushliteral(L, "coroutine.yield() outside of coroutines of your own: "
                       "nobody would resume the handler");
    lua_xmove(L, coroutine->L, 1);
    lua_settop(L, 1);
    return write_error(L);
}

void script_report_yield(struct coroutine *coroutine)
{
    lua_State *L = coroutine->script->L;

    lua_pushcfunction(L, write_yield);
    lua_pushlightuserdata(L, coroutine);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        write_plain(coroutine, "an error in Lua, and no memory to say which");
        lua_pop(L, 1);
    }
}
