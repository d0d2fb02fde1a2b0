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

void gather(struct redis_link *const *links, size_t count, const struct str *argv, size_t argc,
            redis_gathered *gathered, void *owner)
{
    const struct redis_how how = {.at_once = true};
    struct gathering *gathering =
        calloc(1, sizeof(*gathering) + count * sizeof(gathering->slots[0]));

    assert(count > 0 && count <= GATHER_MAX);
    if (!gathering) {
        gathered(owner, NULL, 0);
        return;
    }
    gathering->gathered = gathered;
    gathering->owner = owner;
    gathering->count = gathering->awaited = count;
    for (size_t i = 0; i < count; i++) {
        gathering->slots[i].gathering = gathering;
        link_command(links[i], &how, argv, argc, answered, &gathering->slots[i], true);
    }
}
