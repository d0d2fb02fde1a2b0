#include "redis/private.h"

#include <stdio.h>

/*
 * What is wrong is shown, so that it can be found; but nothing that stands before an '@', nor what
 * would be a password had the '@' not been forgotten.
 */

struct parse {
    struct redis_options *options;
    char *fault;
};

__attribute__((format(printf, 2, 3))) static bool fail(const struct parse *parse,
                                                       const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(parse->fault, REDIS_FAULT_MAX, format, arguments);
    va_end(arguments);
    return false;
}

/* The part before `mark`, which is taken off with the mark; false when there is none. */
static bool take_until(struct str *from, char mark, struct str *part)
{
    const char *found = memchr(from->at, mark, from->size);

    if (!found)
        return false;
    *part = str_of(from->at, (size_t)(found - from->at));
    *from = str_from_index(*from, part->size + 1);
    return true;
}

static bool copy(const struct parse *parse, const char *what, struct str text, char *to,
                 size_t room)
{
    if (text.size >= room)
        return fail(parse, "the %s of a Redis URL may have %zu bytes, found %zu", what,
                    room - 1, text.size);
    if (memchr(text.at, 0, text.size))
        return fail(parse, "the %s of a Redis URL holds a zero byte", what);
    memcpy(to, text.at, text.size);
    to[text.size] = 0;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode(const struct parse *parse, const char *what, struct str text, char *to,
                   size_t room)
{
    size_t size = 0;

    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];

        if (c == '%') {
            int high = i + 1 < text.size ? hex_digit(text.at[i + 1]) : -1;
            int low = i + 2 < text.size ? hex_digit(text.at[i + 2]) : -1;

            if (high < 0 || low < 0)
                return fail(parse,
                            "the %s of a Redis URL has a '%%' without two hexadecimal digits "
                            "behind it (a '%%' itself is written \"%%25\")",
                            what);
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == 0)
            return fail(parse, "the %s of a Redis URL holds a zero byte", what);
        if (size + 1 >= room)
            return fail(parse, "the %s of a Redis URL may have %zu bytes", what, room - 1);
        to[size++] = c;
    }
    to[size] = 0;
    return true;
}

static bool parse_number(struct str text, unsigned maximum, unsigned *number)
{
    unsigned long value = 0;

    if (text.size == 0 || text.size > 9)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        value = value * 10 + (unsigned long)(text.at[i] - '0');
    }
    *number = (unsigned)value;
    return value <= maximum;
}

static bool parse_database(const struct parse *parse, struct str text)
{
    enum { DATABASE_MAX = 999999 };

    if (text.size == 0 || parse_number(text, DATABASE_MAX, &parse->options->database))
        return true;
    return fail(parse, "expected the number of a database in the Redis URL, found \"%.*s\"",
                (int)(text.size < 60 ? text.size : 60), text.at);
}

/* "host", "host:port", "[v6]" or "[v6]:port"; without a port its slice is unchanged. */
static bool split_server(const struct parse *parse, struct str text, struct str *host,
                         struct str *port)
{
    struct str rest = text;

    if (!str_starts(text, STR("["))) {
        *host = text;
        if (take_until(&rest, ':', host))
            *port = rest;
        return true;
    }
    rest = str_from_index(text, 1);
    if (!take_until(&rest, ']', host))
        return fail(parse, "expected a ']' behind the '[' of the Redis URL");
    if (rest.size > 0 && rest.at[0] != ':')
        return fail(parse, "expected a port behind the ']' of the Redis URL");
    if (rest.size > 0)
        *port = str_from_index(rest, 1);
    return true;
}

static bool parse_server(const struct parse *parse, struct str text, struct str default_port)
{
    struct redis_options *options = parse->options;
    struct redis_server *server = &options->servers[options->server_count];
    struct str host = STR(""), port = default_port;
    unsigned number;

    if (options->server_count == REDIS_SERVERS_MAX)
        return fail(parse, "a Redis URL may name %d servers, found more", REDIS_SERVERS_MAX);
    if (!split_server(parse, text, &host, &port))
        return false;
    if (!parse_number(port, UINT16_MAX, &number) || number == 0)
        return fail(parse,
                    "expected a port of 1 to 65535 behind the host \"%.*s\" of the Redis URL",
                    (int)(host.size < 100 ? host.size : 100), host.at);
    if (host.size == 0)
        return fail(parse, "expected a host in the Redis URL, found none");
    if (!copy(parse, "host", host, server->host, sizeof(server->host)))
        return false;
    server->port = (uint16_t)number;
    options->server_count++;
    return true;
}

static bool parse_servers(const struct parse *parse, struct str list, struct str default_port)
{
    struct str one;

    parse->options->server_count = 0;
    while (take_until(&list, ',', &one)) {
        if (!parse_server(parse, one, default_port))
            return false;
    }
    return parse_server(parse, list, default_port);
}

/* "user:password@", ":password@" or "user@": up to the last '@', as a password may hold one. A path
 * has none in front. */
static bool take_credentials(const struct parse *parse, struct str *from)
{
    const char *at = memrchr(from->at, '@', from->size);
    struct redis_options *options = parse->options;
    struct str user, password;

    if (!at || str_starts(*from, STR("/")))
        return true;
    password = str_of(from->at, (size_t)(at - from->at));
    *from = str_from_index(*from, password.size + 1);
    if (!take_until(&password, ':', &user)) {
        user = password;
        password = STR("");
    }
    return decode(parse, "user", user, options->username, sizeof(options->username)) &&
           decode(parse, "password", password, options->password, sizeof(options->password));
}

static bool parse_query(const struct parse *parse, struct str query)
{
    struct str one;

    while (query.size > 0) {
        if (!take_until(&query, '&', &one)) {
            one = query;
            query = STR("");
        }
        if (!str_starts(one, STR("db=")))
            return fail(
                parse, "a Redis URL has no parameter but \"db\", found another behind its '?'");
        if (!parse_database(parse, str_from_index(one, 3)))
            return false;
    }
    return true;
}

/* ---- the forms ---- */

/* What stands behind the servers; empty without a '/'. */
static void take_authority(struct str *from, struct str *authority)
{
    if (take_until(from, '/', authority))
        return;
    *authority = *from;
    *from = STR("");
}

static bool parse_single(const struct parse *parse, struct str rest)
{
    struct str servers;

    take_authority(&rest, &servers);
    if (memchr(servers.at, ',', servers.size))
        return fail(parse, "redis:// names one server: for several there are redis+sentinel:// "
                           "and redis+cluster://");
    return parse_servers(parse, servers, STR("6379")) && parse_database(parse, rest);
}

static bool parse_unix(const struct parse *parse, struct str rest)
{
    struct redis_options *options = parse->options;

    if (options->tls)
        return fail(parse, "there is no TLS on a unix socket");
    if (!str_starts(rest, STR("/")))
        return fail(parse, "expected a path that begins with '/' behind the \"//\" of a unix "
                           "socket's URL");
    return decode(parse, "path", rest, options->unix_path, sizeof(options->unix_path));
}

static bool parse_sentinel(const struct parse *parse, struct str rest)
{
    struct redis_options *options = parse->options;
    struct str servers, master;

    options->topology = REDIS_SENTINEL;
    take_authority(&rest, &servers);
    take_authority(&rest, &master);
    if (master.size == 0)
        return fail(parse, "expected the master's name behind the sentinels: "
                           "redis+sentinel://host1,host2/mymaster");
    return parse_servers(parse, servers, STR("26379")) &&
           decode(parse, "master's name", master, options->master, sizeof(options->master)) &&
           parse_database(parse, rest);
}

static bool parse_cluster(const struct parse *parse, struct str rest)
{
    struct str servers;

    parse->options->topology = REDIS_CLUSTER;
    take_authority(&rest, &servers);
    if (!parse_servers(parse, servers, STR("6379")) || !parse_database(parse, rest))
        return false;
    return parse->options->database == 0 ||
           fail(parse, "a Redis Cluster has database 0 only, found %u",
                parse->options->database);
}

static const struct form {
    struct str scheme;
    bool tls;
    bool (*parse)(const struct parse *parse, struct str rest);
} forms[] = {
    {STR("redis://"),           false, parse_single  },
    {STR("rediss://"),          true,  parse_single  },
    {STR("unix://"),            false, parse_unix    },
    {STR("redis+unix://"),      false, parse_unix    },
    {STR("redis+sentinel://"),  false, parse_sentinel},
    {STR("rediss+sentinel://"), true,  parse_sentinel},
    {STR("redis+cluster://"),   false, parse_cluster },
    {STR("rediss+cluster://"),  true,  parse_cluster },
};

/* ---- interface ---- */

void redis_options_init(struct redis_options *options)
{
    memset(options, 0, sizeof(*options));
    options->topology = REDIS_SINGLE;
    options->server_count = 1;
    snprintf(options->servers[0].host, REDIS_HOST_MAX, "127.0.0.1");
    options->servers[0].port = REDIS_PORT;
    snprintf(options->client_name, REDIS_NAME_MAX, "skua");
    options->connect_timeout_ms = REDIS_CONNECT_TIMEOUT_MS;
    options->command_timeout_ms = REDIS_COMMAND_TIMEOUT_MS;
    options->silence_ms = REDIS_SILENCE_MS;
    options->queue_bytes = REDIS_QUEUE_BYTES;
}

bool redis_options_parse(struct redis_options *options, struct str url,
                         char fault[REDIS_FAULT_MAX])
{
    const struct parse parse = {options, fault};
    const char *colon;

    redis_options_init(options);
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct str rest, path;

        if (!str_starts(url, forms[i].scheme))
            continue;
        options->tls = forms[i].tls;
        rest = str_from_index(url, forms[i].scheme.size);
        if (!take_credentials(&parse, &rest))
            return false;
        if (!take_until(&rest, '?', &path))
            return forms[i].parse(&parse, rest);
        return forms[i].parse(&parse, path) && parse_query(&parse, rest);
    }
    colon = memmem(url.at, url.size, "://", 3);
    return fail(
        &parse,
        "expected a URL that begins with redis://, rediss://, unix://, redis+sentinel:// "
        "or redis+cluster://, found %s%.*s%s",
        colon ? "\"" : "none of them",
        colon ? (int)(colon - url.at < 40 ? colon - url.at : 40) : 0, url.at,
        colon ? "://\"" : "");
}
