#include "server/give_back.h"

#if defined(__GLIBC__)
#include <malloc.h>

static void give_back_pages(void)
{
    malloc_trim(0);
}
#else
#include <mimalloc.h>

static void give_back_pages(void)
{
    mi_collect(true);
}
#endif

static void look(struct timer *timer)
{
    struct give_back *give_back = CONTAINER_OF(timer, struct give_back, timer);
    uint32_t now = listeners_connections(give_back->listeners);
    uint32_t most = listeners_take_most(give_back->listeners);

    if (most > give_back->peak)
        give_back->peak = most;
    if (give_back->peak >= GIVE_BACK_PEAK_MIN && now < give_back->peak / 2) {
        script_collect(give_back->script);
        give_back_pages();
        give_back->peak = now;
    }
    timer_start(net_loop_timers(give_back->loop), timer, GIVE_BACK_INTERVAL_MS);
}

void give_back_start(struct give_back *give_back, struct net_loop *loop, struct script *script,
                     struct listeners *listeners)
{
    *give_back = (struct give_back){
        .loop = loop,
        .script = script,
        .listeners = listeners,
    };
    timer_init(&give_back->timer, look);
    timer_start(net_loop_timers(loop), &give_back->timer, GIVE_BACK_INTERVAL_MS);
}

void give_back_stop(struct give_back *give_back)
{
    if (give_back->loop)
        timer_stop(net_loop_timers(give_back->loop), &give_back->timer);
}
