/*
 * cluster_words: messages between servers in words, for tests to compare.
 *
 * Callers   test_cluster_*.c.
 */
#ifndef SKUA_TESTS_CLUSTER_WORDS_H
#define SKUA_TESTS_CLUSTER_WORDS_H

#include "cluster/codec.h"

static const char *const cluster_kinds[] = {
    [CLUSTER_BROADCAST] = "broadcast",
    [CLUSTER_JOIN] = "join",
    [CLUSTER_LEAVE] = "leave",
    [CLUSTER_DISCONNECT] = "disconnect",
    [CLUSTER_FETCH] = "fetch",
    [CLUSTER_LIST_ROOMS] = "list-rooms",
    [CLUSTER_SERVER_EMIT] = "server-emit",
    [CLUSTER_SOCKETS] = "sockets",
    [CLUSTER_ROOMS] = "rooms",
    [CLUSTER_SERVER_ANSWER] = "server-answer",
    [CLUSTER_CLIENT_COUNT] = "client-count",
    [CLUSTER_CLIENT_ANSWER] = "client-answer",
    [CLUSTER_ANCHOR] = "anchor",
};

static inline void say_list(struct buf *to, const char *name, const struct str *list,
                            size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(to, " %s=%.*s", name, (int)list[i].size, list[i].at);
}

static inline void say(struct buf *to, const struct cluster_message *message)
{
    buf_add_str(to, str_from(cluster_kinds[message->kind]));
    if (message->own)
        buf_add_str(to, STR(" own"));
    if (message->request.size > 0)
        buf_printf(to, " request=%.*s", (int)message->request.size, message->request.at);
    say_list(to, "to", message->rooms, message->room_count);
    say_list(to, "not", message->except, message->except_count);
    say_list(to, "rooms", message->changed, message->changed_count);
    if (message->flags & SIO_VOLATILE)
        buf_add_str(to, STR(" volatile"));
    if (message->flags & SIO_PLAIN)
        buf_add_str(to, STR(" plain"));
    if (message->timeout_ms > 0)
        buf_printf(to, " timeout=%u", message->timeout_ms);
    if (message->close)
        buf_add_str(to, STR(" close"));
    if (message->kind == CLUSTER_CLIENT_COUNT)
        buf_printf(to, " count=%u", message->count);
    if (message->number > 0)
        buf_printf(to, " number=%llu", (unsigned long long)message->number);
    if (!str_equal(message->args.json, STR("[]")))
        buf_printf(to, " %.*s", (int)message->args.json.size, message->args.json.at);
    for (uint32_t i = 0; i < message->args.attachment_count; i++)
        buf_printf(to, " %zu bytes", message->args.attachments[i].size);
}

#endif
