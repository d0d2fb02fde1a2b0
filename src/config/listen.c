#include "config/private.h"

#include <arpa/inet.h>
#include <sys/un.h>

/* --- addresses ----------------------------------------------------------------------------- */

static const char expected_listen[] = "an address such as \"0.0.0.0:3000\", \"[::]:3000\", "
                                      "\"unix:/run/skua.sock\" or \"systemd\"";

static bool parse_port(struct str text, uint16_t *port)
{
    uint32_t value = 0;

    if (text.size == 0 || text.size > 5)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text.at[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

/* host:port, [v6]:port, :port or *:port (every address, IPv4 and IPv6) and localhost:port. */
static bool parse_tcp(struct cfg_loader *loader, struct str text, struct cfg_listen *listen)
{
    const char *colon = memrchr(text.at, ':', text.size);
    unsigned char address[sizeof(struct in6_addr)];

    if (!colon ||
        !parse_port(str_from_index(text, (size_t)(colon - text.at) + 1), &listen->port))
        return false;

    struct str host = str_of(text.at, (size_t)(colon - text.at));
    bool bracketed = host.size > 2 && host.at[0] == '[' && host.at[host.size - 1] == ']';
    if (bracketed)
        host = str_of(host.at + 1, host.size - 2);
    if (host.size == 0 || str_equal(host, STR("*")))
        host = STR("::");
    else if (str_equal(host, STR("localhost")))
        host = STR("127.0.0.1");
    else if (memchr(host.at, ':', host.size) && !bracketed)
        return false;

    listen->host = (char *)cfg_copy(loader, host).at;
    return inet_pton(AF_INET, listen->host, address) == 1 ||
           inet_pton(AF_INET6, listen->host, address) == 1;
}

/* "systemd", or "systemd:NAME" for the sockets of that name only. */
static bool parse_systemd(struct cfg_loader *loader, struct str text, struct cfg_listen *listen)
{
    static const struct str word = STR("systemd");
    struct str name = str_from_index(text, word.size + 1);

    if (!str_starts(text, word) ||
        (text.size > word.size && (text.at[word.size] != ':' || name.size == 0)))
        return false;
    listen->systemd = (char *)cfg_copy(loader, name).at;
    return true;
}

static bool parse_listen(struct cfg_loader *loader, struct str text, struct cfg_listen *listen)
{
    struct str path = str_from_index(text, 5);

    listen->text = text;
    if (parse_systemd(loader, text, listen))
        return true;
    if (!str_starts(text, STR("unix:")))
        return parse_tcp(loader, text, listen);
    if (path.size == 0 || path.size >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return false;
    listen->unix_path = (char *)cfg_copy(loader, path).at;
    return true;
}

/* The listener's index, or -1 after a fault. */
static int add_listen(struct cfg_loader *loader, struct str text, int line)
{
    struct config *config = loader->config;
    struct cfg_listen listen = {.line = line};

    if (!parse_listen(loader, text, &listen)) {
        cfg_fault(loader, line, "listen: expected %s, found \"%.*s\"", expected_listen,
                  (int)text.size, text.at);
        return -1;
    }
    for (size_t i = 0; i < config->listen_count; i++) {
        if (str_equal(config->listens[i].text, text) && (!listen.host || listen.port != 0)) {
            cfg_fault(loader, line,
                      "listen: \"%.*s\" is declared twice; the first is on line %d",
                      (int)text.size, text.at, config->listens[i].line);
            return -1;
        }
    }
    config->listens =
        cfg_grow(loader, config->listens, config->listen_count, sizeof(*config->listens));
    if (!config->listens)
        return -1;
    config->listens[config->listen_count] = listen;
    return (int)config->listen_count++;
}

/* --- options ------------------------------------------------------------------------------- */

static const char expected_tls[] =
    "{ cert = \"cert.pem\", key = \"key.pem\" }, or a list of such tables";

static void read_file_name(struct cfg_loader *loader, struct cfg_place place, int index,
                           struct str *to)
{
    static const char expected[] = "the name of a PEM file";

    if (!cfg_read_string(loader, place, index, expected, to))
        return;
    if (to->size == 0 || memchr(to->at, 0, to->size))
        cfg_fault_found(loader, place, expected, index);
}

static void read_cert(struct cfg_loader *loader, struct cfg_place place, int index, void *base)
{
    read_file_name(loader, place, index, &((struct cfg_certificate *)base)->cert);
}

static void read_key(struct cfg_loader *loader, struct cfg_place place, int index, void *base)
{
    read_file_name(loader, place, index, &((struct cfg_certificate *)base)->key);
}

static const struct cfg_key certificate_keys[] = {
    {"cert", CFG_CUSTOM, 0, 0, 0, read_cert},
    {"key",  CFG_CUSTOM, 0, 0, 0, read_key },
};

static void read_certificate(struct cfg_loader *loader, struct cfg_place place, int index,
                             struct cfg_listen *listen)
{
    struct cfg_certificate certificate = {.line = place.line};
    size_t faults = loader->fault_count;

    cfg_read_table(loader, place.path, place.line, index, certificate_keys,
                   sizeof(certificate_keys) / sizeof(certificate_keys[0]), &certificate);
    if (loader->fault_count == faults && (!certificate.cert.at || !certificate.key.at))
        cfg_fault(loader, place.line, "%s: expected both cert and key, found %s", place.path,
                  certificate.cert.at  ? "no key"
                  : certificate.key.at ? "no cert"
                                       : "neither");
    listen->certificates =
        cfg_grow(loader, listen->certificates, listen->certificate_count, sizeof(certificate));
    if (listen->certificates)
        listen->certificates[listen->certificate_count++] = certificate;
}

static void read_tls(struct cfg_loader *loader, struct cfg_place place, int index, void *base)
{
    lua_State *L = loader->L;
    size_t count = lua_type(L, index) == LUA_TTABLE ? lua_rawlen(L, index) : 0;

    if (lua_type(L, index) != LUA_TTABLE) {
        cfg_fault_found(loader, place, expected_tls, index);
        return;
    }
    if (count == 0)
        read_certificate(loader, place, index, base);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, index, (lua_Integer)i);
        if (lua_type(L, -1) == LUA_TTABLE)
            read_certificate(loader, place, lua_gettop(L), base);
        else
            cfg_fault_found(loader, place, expected_tls, lua_gettop(L));
        lua_pop(L, 1);
    }
}

static const char expected_trust[] =
    "true, or a list of addresses and networks such as { \"10.0.0.0/8\", \"::1\" }";

static void read_trust(struct cfg_loader *loader, struct cfg_place place, int index, void *base)
{
    struct cfg_listen *listen = base;
    struct str *items;
    size_t count;

    if (lua_isboolean(loader->L, index)) {
        listen->trust_all = lua_toboolean(loader->L, index);
        return;
    }
    if (!cfg_read_strings(loader, place, index, expected_trust, &items, &count))
        return;
    listen->trusted = cfg_alloc(loader, count * sizeof(*listen->trusted));
    if (!listen->trusted)
        return;
    for (size_t i = 0; i < count; i++) {
        if (!network_parse(items[i], &listen->trusted[i]))
            cfg_fault(loader, place.line, "%s: expected %s, found \"%.*s\"", place.path,
                      expected_trust, (int)items[i].size, items[i].at);
    }
    listen->trusted_count = count;
}

#define LISTEN(field) offsetof(struct cfg_listen, field)

static const struct cfg_key listen_keys[] = {
    {"tls",            CFG_CUSTOM, 0,                      0, 0, read_tls  },
    {"redirect",       CFG_BOOL,   LISTEN(redirect),       0, 0, NULL      },
    {"proxy_protocol", CFG_BOOL,   LISTEN(proxy_protocol), 0, 0, NULL      },
    {"trust_proxy",    CFG_CUSTOM, 0,                      0, 0, read_trust},
};

/* listen "…" { … }: what listen "…" returned is called with the options. */
static int listen_options(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    int index = (int)lua_tointeger(L, lua_upvalueindex(1));
    struct cfg_listen ignored = {0};

    cfg_read_table(loader, "listen", cfg_current_line(L), 1, listen_keys,
                   sizeof(listen_keys) / sizeof(listen_keys[0]),
                   index >= 0 ? &loader->config->listens[index] : &ignored);
    return 0;
}

int cfg_statement_listen(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    int line = cfg_current_line(L);
    int index = -1;
    struct str text;

    if (cfg_read_string(loader, (struct cfg_place){"listen", line}, 1, expected_listen, &text))
        index = add_listen(loader, text, line);
    lua_pushinteger(L, index);
    lua_pushcclosure(L, listen_options, 1);
    return 1;
}

/* What can be told only when all listeners are known. */
void cfg_finish_listens(struct cfg_loader *loader)
{
    const struct config *config = loader->config;
    bool secure = false;

    for (size_t i = 0; i < config->listen_count; i++)
        secure = secure ||
                 (config->listens[i].certificate_count > 0 && !config->listens[i].unix_path);
    for (size_t i = 0; i < config->listen_count; i++) {
        const struct cfg_listen *listen = &config->listens[i];

        if (listen->redirect && listen->certificate_count > 0)
            cfg_fault(loader, listen->line,
                      "listen.redirect: for listeners without tls, found it beside tls");
        else if (listen->redirect && !secure)
            cfg_fault(loader, listen->line,
                      "listen.redirect: expected another listener with tls to send clients to");
    }
}
