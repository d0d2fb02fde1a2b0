#include "cluster/vault.h"

#include "base/map.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct vault {
    pthread_mutex_t lock; /* for all that is below, and the marked fields of the others */
    struct map kept;      /* of struct keepsake */
    size_t bytes;
    struct list doors;
    uint64_t swept_ms;
};

struct keepsake {
    uint64_t expires_ms;
    size_t size;
    char value[];
};

struct vault_door {
    struct vault *vault;
    struct net_loop *loop;
    struct vault_handler handler;
    struct net_io io; /* readable when an errand waits */
    struct timer sweep;
    struct list in_vault;  /* lock */
    struct list errands;   /* lock */
    struct list questions; /* of its own that wait */
    struct net_grave grave;
};

/* One for all who are asked. It lives until the asker and all errands have let it go. */
struct question {
    struct list link;
    struct vault_door *asker; /* lock; NULL: it does not wait any more */
    uint32_t references;      /* lock */
    uint32_t unanswered;      /* lock */
    bool given;               /* lock */
    struct timer timer;
    void (*answered)(void *owner, bool given);
    void *owner;
    size_t pid_size;
    char pid[];
};

struct errand {
    struct list link;
    struct question *question;
    bool is_answer;
    bool given; /* says the answer */
};

static struct question *question_of(struct list *link)
{
    return CONTAINER_OF(link, struct question, link);
}

/* --- what is kept: under the lock ------------------------------------------------------------ */

static void drop(struct vault *vault, struct keepsake *keepsake)
{
    vault->bytes -= keepsake->size;
    free(keepsake);
}

static void sweep_vault(struct vault *vault, uint64_t now_ms)
{
    uint32_t cursor = 0;
    struct str key;
    void *value;

    if (now_ms < vault->swept_ms + VAULT_SWEEP_MS)
        return;
    vault->swept_ms = now_ms;
    while (map_next(&vault->kept, &cursor, &key, &value)) {
        struct keepsake *keepsake = value;

        if (keepsake->expires_ms > now_ms)
            continue;
        map_remove(&vault->kept, key);
        drop(vault, keepsake);
    }
}

static void sweep(struct timer *timer)
{
    struct vault_door *door = CONTAINER_OF(timer, struct vault_door, sweep);

    pthread_mutex_lock(&door->vault->lock);
    sweep_vault(door->vault, net_loop_now(door->loop));
    pthread_mutex_unlock(&door->vault->lock);
    timer_start(net_loop_timers(door->loop), timer, VAULT_SWEEP_MS);
}

bool vault_put(struct vault_door *door, struct str key, struct str value, uint32_t window_ms)
{
    struct vault *vault = door->vault;
    struct keepsake *keepsake = malloc(sizeof(*keepsake) + value.size);
    struct keepsake *before;
    bool good;

    if (!keepsake)
        return false;
    keepsake->expires_ms = net_loop_now(door->loop) + window_ms;
    keepsake->size = value.size;
    memcpy(keepsake->value, value.at, value.size);
    pthread_mutex_lock(&vault->lock);
    before = map_remove(&vault->kept, key);
    if (before)
        drop(vault, before);
    good = vault->bytes + value.size <= VAULT_BYTES_MAX && map_put(&vault->kept, key, keepsake);
    if (good)
        vault->bytes += value.size;
    pthread_mutex_unlock(&vault->lock);
    if (!good)
        free(keepsake);
    return good;
}

bool vault_take(struct vault_door *door, struct str key, char **value, size_t *size)
{
    struct vault *vault = door->vault;
    struct keepsake *keepsake;

    pthread_mutex_lock(&vault->lock);
    keepsake = map_remove(&vault->kept, key);
    if (keepsake)
        vault->bytes -= keepsake->size;
    pthread_mutex_unlock(&vault->lock);
    if (!keepsake || keepsake->expires_ms <= net_loop_now(door->loop)) {
        free(keepsake);
        return false;
    }
    *size = keepsake->size;
    *value = malloc(keepsake->size + 1);
    if (*value)
        memcpy(*value, keepsake->value, keepsake->size);
    free(keepsake);
    return *value != NULL;
}

/* --- errands --------------------------------------------------------------------------------- */

static void ring(const struct vault_door *door)
{
    const uint64_t one = 1;

    /* Fails only when it is readable already. */
    if (write(door->io.fd, &one, sizeof(one)) < 0)
        return;
}

/* Under the lock. False when out of memory. */
static bool send_errand(struct vault_door *to, struct question *question, bool is_answer)
{
    struct errand *errand = malloc(sizeof(*errand));
    bool rings = list_empty(&to->errands);

    if (!errand)
        return false;
    *errand = (struct errand){
        .question = question,
        .is_answer = is_answer,
        .given = question->given,
    };
    question->references++;
    list_add_last(&to->errands, &errand->link);
    if (rings)
        ring(to);
    return true;
}

/* Under the lock. */
static void let_go(struct question *question)
{
    if (--question->references == 0)
        free(question);
}

/* The asker is told once; it lets go of the question. */
static void end_question(struct question *question, bool given)
{
    struct vault_door *door = question->asker;
    assert(door);
    struct vault *vault = door->vault;
    void (*answered)(void *owner, bool given) = question->answered;
    void *owner = question->owner;

    timer_stop(net_loop_timers(door->loop), &question->timer);
    list_remove(&question->link);
    pthread_mutex_lock(&vault->lock);
    question->asker = NULL;
    let_go(question);
    pthread_mutex_unlock(&vault->lock);
    answered(owner, given);
}

static void question_timed_out(struct timer *timer)
{
    end_question(CONTAINER_OF(timer, struct question, timer), false);
}

/* Another worker asks. */
static void look(struct vault_door *door, struct question *question)
{
    bool given =
        door->handler.give(door->handler.owner, str_of(question->pid, question->pid_size));
    bool was_given;

    pthread_mutex_lock(&door->vault->lock);
    was_given = question->given;
    question->given |= given;
    question->unanswered--;
    /* Without memory for the answer the question times out. */
    if (question->asker && !was_given && (given || question->unanswered == 0))
        send_errand(question->asker, question, true);
    pthread_mutex_unlock(&door->vault->lock);
}

static void do_errand(struct vault_door *door, struct errand *errand)
{
    struct question *question = errand->question;

    if (!errand->is_answer)
        look(door, question);
    else if (question->asker) /* this door: only its own thread changes that */
        end_question(question, errand->given);
    pthread_mutex_lock(&door->vault->lock);
    let_go(question);
    pthread_mutex_unlock(&door->vault->lock);
    free(errand);
}

static void do_errands(struct net_io *io, uint32_t events)
{
    struct vault_door *door = CONTAINER_OF(io, struct vault_door, io);
    struct list taken, *link;
    uint64_t rings;
    (void)events;

    list_init(&taken);
    pthread_mutex_lock(&door->vault->lock);
    if (read(io->fd, &rings, sizeof(rings)) < 0)
        rings = 0;
    list_move_all(&taken, &door->errands);
    pthread_mutex_unlock(&door->vault->lock);
    while ((link = list_take_first(&taken)) != NULL)
        do_errand(door, CONTAINER_OF(link, struct errand, link));
}

void vault_ask(struct vault_door *door, struct str pid,
               void (*answered)(void *owner, bool given), void *owner)
{
    struct vault *vault = door->vault;
    struct question *question = malloc(sizeof(*question) + pid.size);

    if (!question) {
        answered(owner, false);
        return;
    }
    *question = (struct question){
        .asker = door,
        .references = 1,
        .answered = answered,
        .owner = owner,
        .pid_size = pid.size,
    };
    memcpy(question->pid, pid.at, pid.size);
    list_add_last(&door->questions, &question->link);
    timer_init(&question->timer, question_timed_out);
    pthread_mutex_lock(&vault->lock);
    for (struct list *link = vault->doors.next; link != &vault->doors; link = link->next) {
        struct vault_door *other = CONTAINER_OF(link, struct vault_door, in_vault);

        if (other != door && send_errand(other, question, false))
            question->unanswered++;
    }
    timer_start(net_loop_timers(door->loop), &question->timer,
                question->unanswered > 0 ? VAULT_ANSWER_MS : 0);
    pthread_mutex_unlock(&vault->lock);
}

/* --- life ------------------------------------------------------------------------------------ */

struct vault *vault_new(void)
{
    struct vault *vault = calloc(1, sizeof(*vault));

    if (!vault)
        return NULL;
    pthread_mutex_init(&vault->lock, NULL);
    map_init(&vault->kept);
    list_init(&vault->doors);
    return vault;
}

void vault_free(struct vault *vault)
{
    uint32_t cursor = 0;
    struct str key;
    void *value;

    if (!vault)
        return;
    assert(list_empty(&vault->doors));
    while (map_next(&vault->kept, &cursor, &key, &value))
        free(value);
    map_free(&vault->kept);
    pthread_mutex_destroy(&vault->lock);
    free(vault);
}

struct vault_door *vault_join(struct vault *vault, struct net_loop *loop,
                              const struct vault_handler *handler)
{
    struct vault_door *door = calloc(1, sizeof(*door));

    if (!door)
        return NULL;
    door->vault = vault;
    door->loop = loop;
    door->handler = *handler;
    list_init(&door->errands);
    list_init(&door->questions);
    timer_init(&door->sweep, sweep);
    door->io = (struct net_io){
        .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
        .events = EPOLLIN,
        .ready = do_errands,
    };
    if (door->io.fd < 0 || !net_loop_add(loop, &door->io)) {
        if (door->io.fd >= 0)
            close(door->io.fd);
        free(door);
        return NULL;
    }
    timer_start(net_loop_timers(loop), &door->sweep, VAULT_SWEEP_MS);
    pthread_mutex_lock(&vault->lock);
    list_add_last(&vault->doors, &door->in_vault);
    pthread_mutex_unlock(&vault->lock);
    return door;
}

static void bury(struct net_grave *grave)
{
    free(CONTAINER_OF(grave, struct vault_door, grave));
}

void vault_leave(struct vault_door *door)
{
    struct vault *vault;

    if (!door)
        return;
    vault = door->vault;
    pthread_mutex_lock(&vault->lock);
    list_remove(&door->in_vault); /* nobody asks it any more */
    pthread_mutex_unlock(&vault->lock);
    while (!list_empty(&door->questions))
        end_question(question_of(door->questions.next), false);
    do_errands(&door->io, EPOLLIN); /* what others still wait for */
    timer_stop(net_loop_timers(door->loop), &door->sweep);
    net_loop_remove(door->loop, &door->io);
    close(door->io.fd);
    net_loop_bury(door->loop, &door->grave, bury);
}
