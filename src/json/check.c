#include "json/json.h"
#include "json/private.h"

/*
 * One pass without recursion: which of the open containers are objects is a stack of bits.
 * `at` never passes `end`; a step that fails leaves it anywhere.
 */
struct scan {
    const char *at;
    const char *end;
    uint32_t depth;
    bool in_object; /* the innermost open container, if there is one */
    uint64_t objects[JSON_DEPTH_MAX / 64 + 1];
};

enum start {
    START_BROKEN,
    START_OPENED, /* a container that has members; `at` is at the first one's value */
    START_ENDED,  /* a scalar or an empty container */
};

static inline void skip_space(struct scan *scan)
{
    while (scan->at < scan->end && json_is_space(*scan->at))
        scan->at++;
}

static inline bool take(struct scan *scan, char c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

static bool take_word(struct scan *scan, struct str word)
{
    if ((size_t)(scan->end - scan->at) < word.size || memcmp(scan->at, word.at, word.size) != 0)
        return false;
    scan->at += word.size;
    return true;
}

/* --- strings --------------------------------------------------------------------------------- */

static const char *plain_end(const char *at, const char *end)
{
    while (end - at >= 8) {
        uint64_t special = json_special_bytes(json_load_eight(at));
        if (special)
            return at + __builtin_ctzll(special) / 8;
        at += 8;
    }
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= ' ')
        at++;
    return at;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Behind the backslash. */
static bool take_escape(struct scan *scan)
{
    if (scan->at == scan->end)
        return false;
    switch (*scan->at++) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return true;
    case 'u':
        for (int i = 0; i < 4; i++, scan->at++) {
            if (scan->at == scan->end || !is_hex(*scan->at))
                return false;
        }
        return true;
    default:
        return false;
    }
}

/* Behind the opening quote. */
static inline bool take_string(struct scan *scan)
{
    for (;;) {
        scan->at = plain_end(scan->at, scan->end);
        if (scan->at == scan->end)
            return false;
        char c = *scan->at++;
        if (c == '"')
            return true;
        if (c != '\\' || !take_escape(scan))
            return false;
    }
}

/* --- numbers --------------------------------------------------------------------------------- */

static inline bool take_digits(struct scan *scan)
{
    const char *first = scan->at;

    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return scan->at > first;
}

static inline bool take_number(struct scan *scan)
{
    take(scan, '-');
    if (!take(scan, '0') && !take_digits(scan))
        return false;
    if (take(scan, '.') && !take_digits(scan))
        return false;
    if (take(scan, 'e') || take(scan, 'E')) {
        if (!take(scan, '+'))
            take(scan, '-');
        return take_digits(scan);
    }
    return true;
}

/* --- containers ------------------------------------------------------------------------------ */

static inline bool push(struct scan *scan, bool object)
{
    uint64_t bit = UINT64_C(1) << (scan->depth % 64);

    if (scan->depth == JSON_DEPTH_MAX)
        return false;
    if (object)
        scan->objects[scan->depth / 64] |= bit;
    else
        scan->objects[scan->depth / 64] &= ~bit;
    scan->depth++;
    scan->in_object = object;
    return true;
}

static inline void pop(struct scan *scan)
{
    uint32_t outer = --scan->depth - 1;

    scan->in_object = scan->depth > 0 && (scan->objects[outer / 64] >> (outer % 64) & 1);
}

static inline bool take_key(struct scan *scan)
{
    skip_space(scan);
    if (!take(scan, '"') || !take_string(scan))
        return false;
    skip_space(scan);
    return take(scan, ':');
}

static inline enum start open_container(struct scan *scan, bool object)
{
    if (!push(scan, object))
        return START_BROKEN;
    skip_space(scan);
    if (take(scan, object ? '}' : ']')) {
        pop(scan);
        return START_ENDED;
    }
    return !object || take_key(scan) ? START_OPENED : START_BROKEN;
}

static inline enum start start_value(struct scan *scan)
{
    bool ok;

    skip_space(scan);
    if (scan->at == scan->end)
        return START_BROKEN;
    switch (*scan->at) {
    case '"':
        scan->at++;
        ok = take_string(scan);
        break;
    case '{':
        scan->at++;
        return open_container(scan, true);
    case '[':
        scan->at++;
        return open_container(scan, false);
    case 't':
        ok = take_word(scan, STR("true"));
        break;
    case 'f':
        ok = take_word(scan, STR("false"));
        break;
    case 'n':
        ok = take_word(scan, STR("null"));
        break;
    default:
        ok = take_number(scan);
    }
    return ok ? START_ENDED : START_BROKEN;
}

/* One value, with white space before it; stops right behind it. */
static bool take_value(struct scan *scan)
{
    uint32_t depth = scan->depth;

    for (;;) {
        enum start start = start_value(scan);
        if (start == START_BROKEN)
            return false;
        if (start == START_OPENED)
            continue;
        for (;;) {
            if (scan->depth == depth)
                return true;
            skip_space(scan);
            if (!take(scan, scan->in_object ? '}' : ']'))
                break;
            pop(scan);
        }
        if (!take(scan, ',') || (scan->in_object && !take_key(scan)))
            return false;
    }
}

static struct scan scan_of(struct str text)
{
    return (struct scan){.at = text.at, .end = text.at + text.size};
}

static bool at_end(struct scan *scan)
{
    skip_space(scan);
    return scan->at == scan->end;
}

bool json_check(struct str text)
{
    struct scan scan = scan_of(text);

    return take_value(&scan) && at_end(&scan);
}

bool json_split(struct str text, bool (*element)(void *context, struct str value),
                void *context)
{
    struct scan scan = scan_of(text);

    skip_space(&scan);
    if (!take(&scan, '['))
        return false;
    push(&scan, false);
    skip_space(&scan);
    if (take(&scan, ']'))
        return at_end(&scan);
    do {
        skip_space(&scan);
        const char *start = scan.at;
        if (!take_value(&scan))
            return false;
        if (!element(context, str_of(start, (size_t)(scan.at - start))))
            return false;
        skip_space(&scan);
    } while (take(&scan, ','));
    return take(&scan, ']') && at_end(&scan);
}
