#include "redis/private.h"

#include <assert.h>
#include <stdlib.h>

/*
 * One command to several links; the replies are kept until the last one is there.
 */

struct slot {
    struct gathering *gathering;
    struct redisReply *reply;
};

struct gathering {
    redis_gathered *gathered;
    void *owner;
    size_t count, awaited;
    struct slot slots[];
};

static void finish(struct gathering *gathering)
{
    const struct redisReply *replies[GATHER_MAX];

    for (size_t i = 0; i < gathering->count; i++)
        replies[i] = gathering->slots[i].reply;
    gathering->gathered(gathering->owner, replies, gathering->count);
    for (size_t i = 0; i < gathering->count; i++)
        freeReplyObject(gathering->slots[i].reply);
    free(gathering);
}

static void answered(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct slot *slot = owner;
    struct gathering *gathering = slot->gathering;

    (void)end;
    slot->reply = (struct redisReply *)(uintptr_t)reply; /* ours: the request keeps it */
    if (--gathering->awaited == 0)
        finish(gathering);
}

/* Asks nobody: only to be called back from the loop. */
static void ask_nobody(struct redis *redis, struct gathering *gathering, const struct str *argv,
                       size_t argc)
{
    struct redis_request *request = request_new(redis, argv, argc);

    gathering->awaited = 1;
    if (!request) {
        finish(gathering);
        return;
    }
    request->internal = true;
    request->answer = answered;
    request->owner = &gathering->slots[0];
    request_end(request, REDIS_DOWN);
}

void gather(struct redis *redis, struct redis_link *const *links, size_t count,
            const struct str *argv, size_t argc, redis_gathered *gathered, void *owner)
{
    const struct redis_how how = {.at_once = true};
    struct gathering *gathering =
        calloc(1, sizeof(*gathering) + (count + 1) * sizeof(gathering->slots[0]));

    assert(count <= GATHER_MAX);
    if (!gathering) {
        gathered(owner, NULL, 0);
        return;
    }
    gathering->gathered = gathered;
    gathering->owner = owner;
    gathering->count = gathering->awaited = count;
    gathering->slots[0].gathering = gathering;
    if (count == 0)
        ask_nobody(redis, gathering, argv, argc);
    for (size_t i = 0; i < count; i++) {
        gathering->slots[i].gathering = gathering;
        link_command(links[i], &how, argv, argc, answered, &gathering->slots[i], true);
    }
}
