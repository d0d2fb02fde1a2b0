#include "config/private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Poison stands for a value that a reported fault left unknown (an unset variable, an unknown
 * name). It may be called, indexed and concatenated; whoever reads it stays silent, since the
 * fault has been reported already.
 */
#define POISON_METATABLE "skua.unknown"

static int poison_again(lua_State *L)
{
    cfg_push_poison(L);
    return 1;
}

static int poison_ignore(lua_State *L)
{
    (void)L;
    return 0;
}

void cfg_push_poison(lua_State *L)
{
    lua_newuserdatauv(L, 0, 0);
    if (luaL_newmetatable(L, POISON_METATABLE)) {
        static const char *const events[] = {"__index", "__call", "__concat", "__add",
                                             "__sub",   "__mul",  "__div",    "__unm"};
        for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
            lua_pushcfunction(L, poison_again);
            lua_setfield(L, -2, events[i]);
        }
        lua_pushcfunction(L, poison_ignore);
        lua_setfield(L, -2, "__newindex");
    }
    lua_setmetatable(L, -2);
}

bool cfg_is_poison(lua_State *L, int index)
{
    return luaL_testudata(L, index, POISON_METATABLE) != NULL;
}

bool cfg_read_bool(struct cfg_loader *loader, struct cfg_place place, int index, bool *to)
{
    if (!lua_isboolean(loader->L, index)) {
        cfg_fault_found(loader, place, "true or false", index);
        return false;
    }
    *to = lua_toboolean(loader->L, index);
    return true;
}

bool cfg_read_string(struct cfg_loader *loader, struct cfg_place place, int index,
                     const char *expected, struct str *to)
{
    if (cfg_is_poison(loader->L, index))
        return false;
    if (lua_type(loader->L, index) != LUA_TSTRING) {
        cfg_fault_found(loader, place, expected, index);
        return false;
    }

    size_t size;
    const char *text = lua_tolstring(loader->L, index, &size);
    *to = cfg_copy(loader, str_of(text, size));
    return true;
}

/* A whole or fractional number with one of the units behind it: "1.5s" → 1500. */
struct unit {
    const char *name;
    double factor;
};

static bool parse_quantity(const char *text, const struct unit *units, size_t count,
                           double *value)
{
    char *end;
    double number = strtod(text, &end);

    if (end == text || !isfinite(number) || number < 0)
        return false;
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(end, units[i].name) == 0) {
            *value = number * units[i].factor;
            return true;
        }
    }
    return false;
}

static const struct unit duration_units[] = {
    {"ms", 1      },
    {"s",  1e3    },
    {"m",  60e3   },
    {"h",  3600e3 },
    {"d",  86400e3}
};
static const struct unit size_units[] = {
    {"B",  1                   },
    {"KB", 1024                },
    {"MB", 1024.0 * 1024       },
    {"GB", 1024.0 * 1024 * 1024}
};

/* The number behind a key of this type, in its base unit; false when it is none. */
static bool to_quantity(lua_State *L, int index, enum cfg_type type, double *value)
{
    if (lua_type(L, index) == LUA_TNUMBER) {
        *value = lua_tonumber(L, index);
        return isfinite(*value);
    }
    if (lua_type(L, index) != LUA_TSTRING)
        return false;
    if (type == CFG_DURATION)
        return parse_quantity(lua_tostring(L, index), duration_units,
                              sizeof(duration_units) / sizeof(duration_units[0]), value);
    if (type == CFG_SIZE)
        return parse_quantity(lua_tostring(L, index), size_units,
                              sizeof(size_units) / sizeof(size_units[0]), value);
    return false;
}

static void describe_bounds(const struct cfg_key *key, char *to, size_t size)
{
    const char *unit = key->type == CFG_DURATION ? " ms"
                       : key->type == CFG_SIZE   ? " bytes"
                                                 : "";

    snprintf(to, size, "%llu to %llu%s", (unsigned long long)key->min,
             (unsigned long long)key->max, unit);
}

static void read_quantity(struct cfg_loader *loader, struct cfg_place place,
                          const struct cfg_key *key, int index, void *to)
{
    static const char *const expected[] = {
        [CFG_COUNT] = "a whole number",
        [CFG_DURATION] =
            "a duration such as \"250ms\", \"25s\", \"2m\" or a number of milliseconds",
        [CFG_SIZE] = "a size such as \"64KB\", \"1MB\" or a number of bytes",
    };
    double value;
    char bounds[96];

    if (cfg_is_poison(loader->L, index))
        return;
    if (!to_quantity(loader->L, index, key->type, &value) || value != floor(value)) {
        cfg_fault_found(loader, place, expected[key->type], index);
        return;
    }
    if (value < (double)key->min || value > (double)key->max) {
        describe_bounds(key, bounds, sizeof(bounds));
        cfg_fault_found(loader, place, bounds, index);
        return;
    }
    if (key->type == CFG_SIZE)
        *(uint64_t *)to = (uint64_t)value;
    else
        *(uint32_t *)to = (uint32_t)value;
}

void cfg_read_duration(struct cfg_loader *loader, struct cfg_place place,
                       const struct cfg_key *key, int index, uint32_t *to)
{
    read_quantity(loader, place, key, index, to);
}

void cfg_read_size(struct cfg_loader *loader, struct cfg_place place, const struct cfg_key *key,
                   int index, uint64_t *to)
{
    read_quantity(loader, place, key, index, to);
}

static void read_key(struct cfg_loader *loader, struct cfg_place place,
                     const struct cfg_key *key, int index, void *base)
{
    void *to = (char *)base + key->offset;

    switch (key->type) {
    case CFG_BOOL:
        if (!cfg_is_poison(loader->L, index))
            cfg_read_bool(loader, place, index, to);
        break;
    case CFG_CUSTOM:
        if (!cfg_is_poison(loader->L, index))
            key->read(loader, place, index, base);
        break;
    default:
        read_quantity(loader, place, key, index, to);
    }
}

static const struct cfg_key *find_key(const struct cfg_key *keys, size_t count,
                                      const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    }
    return NULL;
}

static void fault_unknown_key(struct cfg_loader *loader, const char *path, int line,
                              const char *name, const struct cfg_key *keys, size_t count)
{
    const char *names[32];

    for (size_t i = 0; i < count; i++)
        names[i] = keys[i].name;

    const char *nearest = cfg_nearest(str_from(name), names, count);
    if (nearest)
        cfg_fault(loader, line, "%s.%s: unknown key; did you mean \"%s\"?", path, name,
                  nearest);
    else
        cfg_fault(loader, line, "%s.%s: unknown key", path, name);
}

void cfg_read_table(struct cfg_loader *loader, const char *path, int line, int index,
                    const struct cfg_key *keys, size_t key_count, void *base)
{
    lua_State *L = loader->L;
    char full[192];

    if (cfg_is_poison(L, index))
        return;
    if (lua_type(L, index) != LUA_TTABLE) {
        cfg_fault_found(loader, (struct cfg_place){path, line}, "a table of options { … }",
                        index);
        return;
    }
    index = lua_absindex(L, index);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            cfg_fault_found(loader, (struct cfg_place){path, line}, "named options only", -1);
        } else {
            const char *name = lua_tostring(L, -2);
            const struct cfg_key *key = find_key(keys, key_count, name);
            int key_line = cfg_key_line(loader->source, line, name);
            snprintf(full, sizeof(full), "%s.%s", path, name);
            if (key)
                read_key(loader, (struct cfg_place){full, key_line}, key, lua_gettop(L), base);
            else
                fault_unknown_key(loader, path, key_line, name, keys, key_count);
        }
        lua_pop(L, 1);
    }
}

bool cfg_read_strings(struct cfg_loader *loader, struct cfg_place place, int index,
                      const char *expected, struct str **to, size_t *count)
{
    lua_State *L = loader->L;

    *to = NULL;
    *count = 0;
    if (lua_type(L, index) == LUA_TSTRING) {
        *to = cfg_grow(loader, NULL, 0, sizeof(struct str));
        *count = *to != NULL;
        return *to && cfg_read_string(loader, place, index, expected, *to);
    }
    if (lua_type(L, index) != LUA_TTABLE || lua_rawlen(L, index) == 0) {
        cfg_fault_found(loader, place, expected, index);
        return false;
    }

    bool good = true;
    size_t length = lua_rawlen(L, index);
    *to = cfg_alloc(loader, length * sizeof(struct str));
    for (size_t i = 1; *to && i <= length; i++) {
        lua_rawgeti(L, index, (lua_Integer)i);
        if (cfg_read_string(loader, place, lua_gettop(L), expected, &(*to)[*count]))
            (*count)++;
        else
            good = false;
        lua_pop(L, 1);
    }
    return good && *to;
}
