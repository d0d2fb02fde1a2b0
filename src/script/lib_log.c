#include "script/runtime.h"

#include <stdlib.h>

enum {
    FIELDS_MAX = 16, /* of one line */
};

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct log_field *)a)->key, ((const struct log_field *)b)->key);
}

/* The value at the top as text that stays on the stack: as it is spelled, tables as JSON. */
static struct str to_text(lua_State *L, struct script *script)
{
    size_t size;
    const char *text;

    switch (lua_type(L, -1)) {
    case LUA_TTABLE:
        value_writer_reset(&script->writer);
        value_write(L, &script->writer, lua_gettop(L));
        lua_pushlstring(L, script->writer.json.at, script->writer.json.size);
        text = lua_tolstring(L, -1, &size);
        break;
    default:
        text = luaL_tolstring(L, -1, &size);
    }
    return str_of(text, size);
}

/* The fields of the table at 2, in the order of their names so that lines are alike. */
static void read_fields(lua_State *L, struct script *script, struct log_field *fields)
{
    size_t count = 0;

    lua_pushnil(L);
    while (lua_next(L, 2)) {
        struct log_field *field = &fields[count];
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_argerror(L, 2, "the names of fields are strings");
        if (count == FIELDS_MAX)
            luaL_argerror(L, 2, "at most 16 fields");
        luaL_checkstack(L, 4, NULL);
        field->key = lua_tostring(L, -2);
        field->is_int = lua_isinteger(L, -1);
        if (field->is_int)
            field->number = lua_tointeger(L, -1);
        else
            field->text = to_text(L, script);
        count++;
        /* Key and texts stay on the stack as long as the line is not written. */
        lua_pushvalue(L, field->is_int ? -2 : -3);
    }
    fields[count] = LOG_END;
    qsort(fields, count, sizeof(*fields), compare_keys);
}

static int write_line(lua_State *L, enum log_level level)
{
    struct script *script = script_of(L);
    struct log_field fields[FIELDS_MAX + 1] = {{0}};
    size_t size;
    const char *message;

    if (level < script->log->level)
        return 0;
    lua_settop(L, 2);
    message = luaL_tolstring(L, 1, &size);
    if (!lua_isnil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        read_fields(L, script, fields);
    }
    script_log(script, level, str_of(message, size), fields);
    return 0;
}

static int write_debug(lua_State *L)
{
    return write_line(L, LOG_DEBUG);
}

static int write_info(lua_State *L)
{
    return write_line(L, LOG_INFO);
}

static int write_warn(lua_State *L)
{
    return write_line(L, LOG_WARN);
}

static int write_error(lua_State *L)
{
    return write_line(L, LOG_ERROR);
}

static int print(lua_State *L)
{
    int count = lua_gettop(L);
    luaL_Buffer line;
    size_t size;

    luaL_buffinit(L, &line);
    for (int i = 1; i <= count; i++) {
        if (i > 1)
            luaL_addchar(&line, '\t');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&line);
    }
    luaL_pushresult(&line);
    const char *text = lua_tolstring(L, -1, &size);
    script_log(script_of(L), LOG_INFO, str_of(text, size), &LOG_END);
    return 0;
}

void script_open_log(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"debug", write_debug},
        {"info",  write_info },
        {"warn",  write_warn },
        {"error", write_error},
        {NULL,    NULL       },
    };

    luaL_newlib(L, functions);
    lua_setglobal(L, "log");
    lua_register(L, "print", print);
}
