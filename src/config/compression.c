#include "config/private.h"

#define COMPRESSION(field) offsetof(struct cfg_compression, field)

static const struct cfg_key compression_keys[] = {
    {"websocket", CFG_BOOL,  COMPRESSION(websocket), 0, 0,                 NULL},
    {"http",      CFG_BOOL,  COMPRESSION(http),      0, 0,                 NULL},
    {"threshold", CFG_SIZE,  COMPRESSION(threshold), 0, UINT64_C(4) << 30, NULL},
    {"level",     CFG_COUNT, COMPRESSION(level),     1, 9,                 NULL},
};

void cfg_read_compression(struct cfg_loader *loader, struct cfg_place place, int index,
                          struct cfg_compression *to)
{
    if (lua_isboolean(loader->L, index))
        to->websocket = to->http = lua_toboolean(loader->L, index);
    else if (lua_istable(loader->L, index))
        cfg_read_table(loader, place.path, place.line, index, compression_keys,
                       sizeof(compression_keys) / sizeof(compression_keys[0]), to);
    else
        cfg_fault_found(loader, place, "true, false or a table of options { … }", index);
}
