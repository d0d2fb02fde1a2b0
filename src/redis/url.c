#include "redis/private.h"

#include <stdio.h>

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
    options->queue_bytes = REDIS_QUEUE_BYTES;
}
