#include "script/scan.h"

/* In checked text commas and colons stand only where they must: between values they mean nothing
 * that a walk needs to know. */
static const char *skip_filler(const char *at, const char *end)
{
    while (at < end && (*at == ',' || *at == ':' || *at == ' ' || *at == '\n' || *at == '\t' ||
                        *at == '\r'))
        at++;
    return at;
}

/* From the opening quote to behind the closing one. */
static const char *skip_string(const char *at, const char *end)
{
    const char *first = at + 1;

    for (const char *from = first; from < end;) {
        const char *quote = memchr(from, '"', (size_t)(end - from));
        const char *escapes = quote;

        if (!quote)
            break;
        while (escapes > first && escapes[-1] == '\\')
            escapes--;
        from = quote + 1;
        if ((quote - escapes) % 2 == 0)
            return from;
    }
    return end;
}

static const char *skip_container(const char *at, const char *end)
{
    size_t depth = 0;

    while (at < end) {
        switch (*at) {
        case '"':
            at = skip_string(at, end);
            continue;
        case '[':
        case '{':
            depth++;
            break;
        case ']':
        case '}':
            if (--depth == 0)
                return at + 1;
            break;
        default:
            break;
        }
        at++;
    }
    return end;
}

static const char *skip_scalar(const char *at, const char *end)
{
    while (at < end && *at != ',' && *at != ']' && *at != '}' && *at != ' ' && *at != '\n' &&
           *at != '\t' && *at != '\r')
        at++;
    return at;
}

static struct str take_value(struct scan *scan)
{
    const char *from = scan->at;

    if (*from == '"')
        scan->at = skip_string(from, scan->end);
    else if (*from == '[' || *from == '{')
        scan->at = skip_container(from, scan->end);
    else
        scan->at = skip_scalar(from, scan->end);
    return (struct str){from, (size_t)(scan->at - from)};
}

struct scan scan_open(struct str container)
{
    return (struct scan){
        .at = container.at + 1,
        .end = container.at + container.size,
        .object = container.at[0] == '{',
    };
}

static bool skip_to_value(struct scan *scan)
{
    scan->at = skip_filler(scan->at, scan->end);
    return scan->at < scan->end && *scan->at != ']' && *scan->at != '}';
}

bool scan_next(struct scan *scan, struct str *key, struct str *value)
{
    *key = STR("");
    if (!skip_to_value(scan))
        return false;
    if (scan->object) {
        *key = take_value(scan);
        if (!skip_to_value(scan))
            return false;
    }
    *value = take_value(scan);
    return true;
}

struct str scan_value(struct str text)
{
    struct scan scan = {.at = text.at, .end = text.at + text.size};

    return skip_to_value(&scan) ? take_value(&scan) : STR("");
}
