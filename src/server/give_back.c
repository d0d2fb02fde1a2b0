#include "server/give_back.h"

#if defined(__GLIBC__)
#include <malloc.h>

static void give_back_pages(void)
{
    malloc_trim(0);
}
#else
#include <mimalloc.h>
#include <pthread.h>

enum {
    FLUSHING_SIZE = 256 * 1024, /* bytes: mimalloc takes fresh pages for it */
};

/* mimalloc keeps what it has just freed for some 25 ms, and looks at it again only when it takes
 * fresh pages: on an idle server, never. Without the delay what is collected goes at once; taking
 * fresh pages lets go what was waiting before. */
static void give_back_pages(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the option is the process's */
    long delay;

    pthread_mutex_lock(&lock);
    delay = mi_option_get(mi_option_decommit_delay);

    mi_option_set(mi_option_decommit_delay, 0);
    mi_collect(true);
    mi_free(mi_malloc(FLUSHING_SIZE));
    mi_option_set(mi_option_decommit_delay, delay);
    pthread_mutex_unlock(&lock);
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
