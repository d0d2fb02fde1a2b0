/*
 * scan: walks JSON text that json_check() has passed, one container at a time.
 *
 * Lazy values index only the container that is touched: what lies deeper is skipped, so reading
 * one member of a large message costs a pass over it and memory for that container's members.
 *
 * Callers   script's values and writer.
 * Owner     slices point into the caller's text.
 * Threads   any, no shared state.
 * Units     bytes.
 * Errors    none; text that was not checked gives wrong slices, never a read out of bounds.
 */
#ifndef SKUA_SCRIPT_SCAN_H
#define SKUA_SCRIPT_SCAN_H

#include "base/str.h"

struct scan {
    const char *at;
    const char *end;
    bool object;
};

/* `container` starts with its '[' or '{'. */
struct scan scan_open(struct str container);

/* The next element; of objects its key too, quotes included. False at the end. */
bool scan_next(struct scan *scan, struct str *key, struct str *value);

/* The value that starts in `text` behind white space, without what follows it. */
struct str scan_value(struct str text);

static inline bool scan_is_container(struct str value)
{
    return value.size > 0 && (value.at[0] == '[' || value.at[0] == '{');
}

#endif
