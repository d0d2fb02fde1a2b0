#include "config/private.h"

#include <stdio.h>
#include <stdlib.h>

/* --- text that headers can hold ------------------------------------------------------------ */

static bool is_token(struct str text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];

        if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
            return false;
    }
    return text.size > 0;
}

/* The value of a header: one line of printable characters, or bytes beyond ASCII. */
static bool is_value(struct str text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.at[i];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return text.size == 0 || (text.at[0] != ' ' && text.at[text.size - 1] != ' ');
}

/* The value of a cookie's attribute. */
static bool is_attribute(struct str text)
{
    return is_value(text) && !memchr(text.at, ';', text.size);
}

/* --- headers of answers -------------------------------------------------------------------- */

/* Headers that the server writes itself. */
static bool is_taken(struct str name)
{
    static const char *const taken[] = {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "keep-alive",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
        "trailer",
        "transfer-encoding",
        "upgrade",
    };

    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        if (str_equal_nocase(name, str_from(taken[i])))
            return true;
    }
    return false;
}

/* The name and value of a table's next entry are on top. */
static void add_header(struct cfg_loader *loader, struct cfg_place place,
                       struct cfg_headers *headers)
{
    static const char expected[] = "a value of one line without spaces around it";
    int top = lua_gettop(loader->L);
    struct cfg_header header;
    char path[192];

    if (lua_type(loader->L, top - 1) != LUA_TSTRING) {
        cfg_fault_found(loader, place, "names of headers", top);
        return;
    }
    snprintf(path, sizeof(path), "%s[\"%s\"]", place.path, lua_tostring(loader->L, top - 1));
    if (!cfg_read_string(loader, place, top - 1, "", &header.name))
        return;
    if (!is_token(header.name) || is_taken(header.name)) {
        cfg_fault(loader, place.line, "%s: expected %s", path,
                  is_token(header.name) ? "a header that the server does not write itself"
                                        : "a header's name such as \"x-served-by\"");
        return;
    }
    place.path = path;
    if (!cfg_read_string(loader, place, top, expected, &header.value))
        return;
    if (!is_value(header.value))
        cfg_fault_found(loader, place, expected, top);
    else if (headers->count == CFG_HEADERS_MAX)
        cfg_fault(loader, place.line, "%s: expected at most %d headers", path, CFG_HEADERS_MAX);
    else
        headers->at[headers->count++] = header;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct cfg_header *)a)->name.at,
                  ((const struct cfg_header *)b)->name.at);
}

void cfg_read_headers(struct cfg_loader *loader, struct cfg_place place, int index,
                      struct cfg_headers *headers)
{
    static const char expected[] =
        "a table of headers such as { [\"x-served-by\"] = \"skua\" }";
    lua_State *L = loader->L;

    if (lua_type(L, index) != LUA_TTABLE) {
        cfg_fault_found(loader, place, expected, index);
        return;
    }
    headers->at = cfg_alloc(loader, CFG_HEADERS_MAX * sizeof(*headers->at));
    if (!headers->at)
        return;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        add_header(loader, place, headers);
        lua_pop(L, 1);
    }
    /* Lua's tables have no order, answers shall have one. */
    qsort(headers->at, headers->count, sizeof(*headers->at), compare_names);
}

/* --- the cookie ---------------------------------------------------------------------------- */

struct cookie {
    struct str name;
    struct str path;
    struct str domain;
    struct str same_site; /* with the capital of the wire; empty: left out */
    struct str priority;
    bool http_only;
    bool secure;
    bool partitioned;
    bool has_max_age;
    uint32_t max_age_s;
};

static void read_name(struct cfg_loader *loader, struct cfg_place place, int index, void *base)
{
    static const char expected[] = "a cookie's name such as \"io\"";
    struct str name;

    if (!cfg_read_string(loader, place, index, expected, &name))
        return;
    if (is_token(name))
        ((struct cookie *)base)->name = name;
    else
        cfg_fault_found(loader, place, expected, index);
}

static void read_attribute(struct cfg_loader *loader, struct cfg_place place, int index,
                           const char *expected, struct str *to)
{
    struct str text;

    if (!cfg_read_string(loader, place, index, expected, &text))
        return;
    if (is_attribute(text))
        *to = text;
    else
        cfg_fault_found(loader, place, expected, index);
}

static void read_path(struct cfg_loader *loader, struct cfg_place place, int index, void *base)
{
    read_attribute(loader, place, index, "a path such as \"/\"",
                   &((struct cookie *)base)->path);
}

static void read_domain(struct cfg_loader *loader, struct cfg_place place, int index,
                        void *base)
{
    read_attribute(loader, place, index, "a domain such as \"example.com\"",
                   &((struct cookie *)base)->domain);
}

/* One of the words, whose spelling on the wire begins with a capital. */
static void read_word(struct cfg_loader *loader, struct cfg_place place, int index,
                      const char *expected, const char *const *words, struct str *to)
{
    struct str text;

    if (!cfg_read_string(loader, place, index, expected, &text))
        return;
    for (; *words; words++) {
        if (str_equal_nocase(text, str_from(*words))) {
            *to = str_from(*words);
            return;
        }
    }
    cfg_fault_found(loader, place, expected, index);
}

static void read_same_site(struct cfg_loader *loader, struct cfg_place place, int index,
                           void *base)
{
    static const char *const words[] = {"Lax", "Strict", "None", NULL};
    struct cookie *cookie = base;

    if (lua_isboolean(loader->L, index))
        cookie->same_site = lua_toboolean(loader->L, index) ? STR("Strict") : STR("");
    else
        read_word(loader, place, index, "\"lax\", \"strict\", \"none\" or false", words,
                  &cookie->same_site);
}

static void read_priority(struct cfg_loader *loader, struct cfg_place place, int index,
                          void *base)
{
    static const char *const words[] = {"Low", "Medium", "High", NULL};

    read_word(loader, place, index, "\"low\", \"medium\" or \"high\"", words,
              &((struct cookie *)base)->priority);
}

static void read_max_age(struct cfg_loader *loader, struct cfg_place place, int index,
                         void *base)
{
    struct cookie *cookie = base;
    const struct cfg_key row = {"max_age", CFG_DURATION, 0, 0, UINT32_MAX - 1, NULL};
    uint32_t ms = UINT32_MAX;

    cfg_read_duration(loader, place, &row, index, &ms);
    if (ms == UINT32_MAX)
        return;
    cookie->has_max_age = true;
    cookie->max_age_s = ms / 1000;
}

#define COOKIE(field) offsetof(struct cookie, field)

static const struct cfg_key cookie_keys[] = {
    {"name",        CFG_CUSTOM, 0,                   0, 0, read_name     },
    {"path",        CFG_CUSTOM, 0,                   0, 0, read_path     },
    {"domain",      CFG_CUSTOM, 0,                   0, 0, read_domain   },
    {"http_only",   CFG_BOOL,   COOKIE(http_only),   0, 0, NULL          },
    {"same_site",   CFG_CUSTOM, 0,                   0, 0, read_same_site},
    {"max_age",     CFG_CUSTOM, 0,                   0, 0, read_max_age  },
    {"secure",      CFG_BOOL,   COOKIE(secure),      0, 0, NULL          },
    {"partitioned", CFG_BOOL,   COOKIE(partitioned), 0, 0, NULL          },
    {"priority",    CFG_CUSTOM, 0,                   0, 0, read_priority },
};

static void add_attribute(struct buf *to, const char *name, struct str value)
{
    if (value.size > 0)
        buf_printf(to, "; %s=%.*s", name, (int)value.size, value.at);
}

/* In the order of the `cookie` package 0.7. */
static struct str attributes_of(struct cfg_loader *loader, const struct cookie *cookie)
{
    struct buf text;
    struct str kept = STR("");

    buf_init(&text, CFG_FILE_MAX);
    if (cookie->has_max_age)
        buf_printf(&text, "; Max-Age=%u", cookie->max_age_s);
    add_attribute(&text, "Domain", cookie->domain);
    add_attribute(&text, "Path", cookie->path);
    if (cookie->http_only)
        buf_add_str(&text, STR("; HttpOnly"));
    if (cookie->secure)
        buf_add_str(&text, STR("; Secure"));
    if (cookie->partitioned)
        buf_add_str(&text, STR("; Partitioned"));
    add_attribute(&text, "Priority", cookie->priority);
    add_attribute(&text, "SameSite", cookie->same_site);
    if (buf_failed(&text))
        loader->out_of_memory = true;
    else
        kept = cfg_copy(loader, buf_str(&text));
    buf_free(&text);
    return kept;
}

void cfg_read_cookie(struct cfg_loader *loader, struct cfg_place place, int index,
                     struct cfg_cookie *to)
{
    lua_State *L = loader->L;
    struct cookie cookie = {
        .name = STR("io"),
        .path = STR("/"),
        .domain = STR(""),
        .same_site = STR("Lax"),
        .priority = STR(""),
        .http_only = true,
    };

    if (!lua_isboolean(L, index) && lua_type(L, index) != LUA_TTABLE) {
        cfg_fault_found(loader, place, "true or a table such as { name = \"io\" }", index);
        return;
    }
    if (lua_isboolean(L, index) && !lua_toboolean(L, index))
        return;
    if (!lua_isboolean(L, index))
        cfg_read_table(loader, place.path, place.line, index, cookie_keys,
                       sizeof(cookie_keys) / sizeof(cookie_keys[0]), &cookie);
    to->name = cookie.name;
    to->attributes = attributes_of(loader, &cookie);
}
