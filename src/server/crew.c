#include "server/crew.h"

#include "net/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    /* As the main thread has it: musl's 128 KB are too few for sealing records and for nested JSON.
     * Only what is used takes memory. */
    STACK_SIZE = 8 << 20,
};

/* How far a member has got, or shall get. */
enum step {
    STEP_NONE,
    STEP_MADE,
    STEP_LISTENING,
    STEP_RUNNING,
    STEP_ENDED,
};

/* What a running member is told; bits. */
enum order {
    ORDER_RELOAD = 1,
    ORDER_HOLD = 2,
    ORDER_ACCEPT = 4,
    ORDER_DRAIN = 8,
    ORDER_END = 16,
};

/* A worker but for the first. */
struct member {
    struct crew *crew;
    uint32_t number;
    bool has_thread;
    pthread_t thread;
    enum step wanted, reached; /* the crew's lock */
    bool failed;               /* the crew's lock */
    struct worker *worker;     /* its thread's, but for its listeners */
    struct inherited *inherited;
    struct cfg_report report;
    atomic_uint orders;
    struct net_io told; /* readable when there are orders */
};

struct crew {
    const char *name;
    struct str source;
    struct commons *commons;
    struct worker *first;
    struct inherited *inherited; /* the first's */
    struct handover *successor;  /* written before anybody is told to drain */
    struct net_io member_ended;
    bool first_ended;
    bool started;   /* members run, and are told by orders */
    uint32_t count; /* of members */
    struct member *members;

    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t changed;
    uint32_t running;
    int failure; /* errno of a member's loop */

    pthread_mutex_t global; /* one at a time in what lws does with globals */
};

/* --- a member's thread ----------------------------------------------------------------------- */

static void obey(struct net_io *io, uint32_t events)
{
    struct member *member = CONTAINER_OF(io, struct member, told);
    uint64_t rings;
    unsigned orders;
    (void)events;

    if (read(io->fd, &rings, sizeof(rings)) < 0)
        return;
    orders = atomic_exchange(&member->orders, 0);
    if (orders & ORDER_RELOAD)
        worker_reload(member->worker);
    if (orders & ORDER_HOLD)
        worker_accept(member->worker, false);
    if (orders & ORDER_ACCEPT)
        worker_accept(member->worker, true);
    if (orders & ORDER_DRAIN)
        worker_drain(member->worker, member->crew->successor);
    if (orders & ORDER_END)
        worker_end(member->worker);
}

static void has_drained(void *owner)
{
    worker_stop(((struct member *)owner)->worker);
}

static bool make(struct member *member)
{
    struct crew *crew = member->crew;

    member->worker = worker_new(crew->name, crew->source, member->number, &member->report);
    return member->worker && worker_make(member->worker, crew->commons, &member->report);
}

static bool start_listening(struct member *member)
{
    return worker_listen(member->worker, member->inherited, has_drained, member,
                         &member->report) &&
           net_loop_add(worker_loop(member->worker), &member->told);
}

/* The next step that is wanted. */
static enum step await(struct member *member)
{
    struct crew *crew = member->crew;
    enum step wanted;

    pthread_mutex_lock(&crew->lock);
    while (member->wanted <= member->reached)
        pthread_cond_wait(&crew->changed, &crew->lock);
    wanted = member->wanted;
    pthread_mutex_unlock(&crew->lock);
    return wanted;
}

static void tell(struct member *member, enum step reached, bool good)
{
    struct crew *crew = member->crew;

    pthread_mutex_lock(&crew->lock);
    member->reached = reached;
    member->failed = !good;
    pthread_cond_broadcast(&crew->changed);
    pthread_mutex_unlock(&crew->lock);
}

static void tell_of_end(struct crew *crew, int failure)
{
    const uint64_t one = 1;

    pthread_mutex_lock(&crew->lock);
    crew->running--;
    if (failure != 0)
        crew->failure = failure;
    pthread_mutex_unlock(&crew->lock);
    while (write(crew->member_ended.fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static void serve(struct member *member)
{
    int failure = worker_run(member->worker) < 0 ? errno : 0;

    net_loop_remove(worker_loop(member->worker), &member->told);
    pthread_mutex_lock(&member->crew->global);
    worker_free(member->worker);
    pthread_mutex_unlock(&member->crew->global);
    member->worker = NULL;
    tell_of_end(member->crew, failure);
}

static void *live(void *argument)
{
    struct member *member = argument;
    bool listens = false;

    tell(member, STEP_MADE, make(member));
    if (await(member) == STEP_LISTENING) {
        listens = start_listening(member);
        tell(member, STEP_LISTENING, listens);
        if (await(member) == STEP_RUNNING) {
            serve(member);
            return NULL;
        }
    }
    if (listens)
        net_loop_remove(worker_loop(member->worker), &member->told);
    worker_free(member->worker); /* the start has failed: nobody else does anything */
    return NULL;
}

/* --- leading it ------------------------------------------------------------------------------ */

static void want(struct member *member, enum step step)
{
    pthread_mutex_lock(&member->crew->lock);
    member->wanted = step;
    pthread_cond_broadcast(&member->crew->changed);
    pthread_mutex_unlock(&member->crew->lock);
}

static void add_report(struct cfg_report *to, const struct cfg_report *from)
{
    buf_add_str(&to->text, buf_str(&from->text));
    to->count += from->count;
}

/* Waits until the step is done, so that only one does such things at a time. */
static bool reach(struct member *member, enum step step, struct cfg_report *report)
{
    struct crew *crew = member->crew;

    pthread_mutex_lock(&crew->lock);
    while (member->reached < step)
        pthread_cond_wait(&crew->changed, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
    if (member->failed)
        add_report(report, &member->report);
    return !member->failed;
}

static bool start_thread(struct member *member)
{
    pthread_attr_t attributes;
    int failure;

    pthread_attr_init(&attributes);
    failure = pthread_attr_setstacksize(&attributes, STACK_SIZE);
    if (!failure)
        failure = pthread_create(&member->thread, &attributes, live, member);
    pthread_attr_destroy(&attributes);
    member->has_thread = failure == 0;
    errno = failure;
    return member->has_thread;
}

static bool make_member(struct crew *crew, uint32_t index, struct cfg_report *report)
{
    struct member *member = &crew->members[index];

    *member = (struct member){.crew = crew, .number = index + 1};
    cfg_report_init(&member->report);
    crew->count++;
    member->told = (struct net_io){
        .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
        .events = EPOLLIN,
        .ready = obey,
    };
    member->inherited = inherited_new();
    return member->told.fd >= 0 && member->inherited && start_thread(member) &&
           reach(member, STEP_MADE, report);
}

static void order(struct crew *crew, unsigned orders)
{
    const uint64_t one = 1;

    for (uint32_t i = 0; i < crew->count; i++) {
        atomic_fetch_or(&crew->members[i].orders, orders);
        while (write(crew->members[i].told.fd, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
    }
}

/* --- the end --------------------------------------------------------------------------------- */

static void look_for_end(struct crew *crew)
{
    bool over;
    int failure;

    pthread_mutex_lock(&crew->lock);
    over = crew->running == 0;
    failure = crew->failure;
    pthread_mutex_unlock(&crew->lock);
    if (failure != 0 && !crew->first_ended)
        crew_end(crew);
    else if (over && crew->first_ended)
        worker_stop(crew->first);
}

static void a_member_ended(struct net_io *io, uint32_t events)
{
    uint64_t rings;
    (void)events;

    if (read(io->fd, &rings, sizeof(rings)) == sizeof(rings))
        look_for_end(CONTAINER_OF(io, struct crew, member_ended));
}

static void first_has_drained(void *owner)
{
    struct crew *crew = owner;

    crew->first_ended = true;
    look_for_end(crew);
}

/* --- listening ------------------------------------------------------------------------------- */

static bool deal(struct crew *crew)
{
    struct inherited **hands = calloc(crew->count + 1, sizeof(struct inherited *));
    struct inherited *all = crew->inherited;
    bool good = false;

    if (!hands)
        return false;
    crew->inherited = inherited_new();
    hands[0] = crew->inherited;
    for (uint32_t i = 0; i < crew->count; i++)
        hands[i + 1] = crew->members[i].inherited;
    if (crew->inherited)
        good = inherited_deal(all, hands, crew->count + 1);
    free(hands);
    inherited_free(all);
    return good;
}

struct sharing {
    struct crew *crew;
    bool good;
};

/* What the first opened the others listen on, too. */
static void share(void *owner, const char *name, int fd)
{
    struct sharing *sharing = owner;
    struct crew *crew = sharing->crew;

    for (uint32_t i = 0; i < crew->count && sharing->good; i++) {
        struct member *member = &crew->members[i];

        if (inherited_offers(member->inherited, name, fd))
            continue;
        int own =
            inherited_is_common(name) ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : net_listen_twin(fd);

        sharing->good = own >= 0 && !inherited_add(member->inherited, name, own);
    }
}

static bool listen_all(struct crew *crew, struct cfg_report *report)
{
    struct sharing sharing = {crew, true};

    if (crew->count > 0 && !deal(crew))
        return false;
    if (!worker_listen(crew->first, crew->inherited, first_has_drained, crew, report))
        return false;
    worker_show_listeners(crew->first, share, &sharing);
    for (uint32_t i = 0; i < crew->count && sharing.good; i++) {
        want(&crew->members[i], STEP_LISTENING);
        sharing.good = reach(&crew->members[i], STEP_LISTENING, report);
    }
    return sharing.good;
}

/* What is not listened on any more. */
static void end_inherited(struct crew *crew)
{
    inherited_end(crew->inherited);
    crew->inherited = NULL;
    for (uint32_t i = 0; i < crew->count; i++) {
        inherited_end(crew->members[i].inherited);
        crew->members[i].inherited = NULL;
    }
}

/* --- life ------------------------------------------------------------------------------------ */

static bool watch_members(struct crew *crew)
{
    crew->member_ended = (struct net_io){
        .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
        .events = EPOLLIN,
        .ready = a_member_ended,
    };
    if (crew->member_ended.fd < 0)
        return false;
    if (net_loop_add(worker_loop(crew->first), &crew->member_ended))
        return true;
    close(crew->member_ended.fd);
    crew->member_ended.fd = -1;
    return false;
}

static bool make_all(struct crew *crew, struct cfg_report *report)
{
    uint32_t others;

    crew->first = worker_new(crew->name, crew->source, 0, report);
    if (!crew->first)
        return false;
    crew->commons = commons_new(worker_config(crew->first), worker_random(crew->first));
    if (!crew->commons || !worker_make(crew->first, crew->commons, report))
        return false;
    others = worker_config(crew->first)->workers - 1;
    if (others == 0)
        return true;
    crew->members = calloc(others, sizeof(*crew->members));
    if (!crew->members || !watch_members(crew))
        return false;
    for (uint32_t i = 0; i < others; i++) {
        if (!make_member(crew, i, report))
            return false;
    }
    return true;
}

struct crew *crew_new(const char *name, struct str source, struct inherited *inherited,
                      struct cfg_report *report)
{
    struct crew *crew = calloc(1, sizeof(*crew));

    if (!crew) {
        inherited_free(inherited);
        return NULL;
    }
    crew->name = name;
    crew->source = source;
    crew->inherited = inherited;
    crew->member_ended.fd = -1;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_mutex_init(&crew->global, NULL);
    pthread_cond_init(&crew->changed, NULL);
    if (make_all(crew, report) && listen_all(crew, report)) {
        end_inherited(crew);
        return crew;
    }
    if (report->count == 0) {
        buf_printf(&report->text, "%s: cannot start: %s\n", name,
                   errno ? strerror(errno) : "out of memory");
        report->count++;
    }
    crew_free(crew);
    return NULL;
}

int crew_run(struct crew *crew)
{
    int result;

    crew->running = crew->count;
    crew->started = true;
    for (uint32_t i = 0; i < crew->count; i++)
        want(&crew->members[i], STEP_RUNNING);
    result = worker_run(crew->first);
    if (result < 0 || crew->failure == 0)
        return result;
    errno = crew->failure;
    return -1;
}

static void free_member(struct member *member)
{
    if (member->has_thread) {
        if (member->wanted != STEP_RUNNING)
            want(member, STEP_ENDED);
        pthread_join(member->thread, NULL);
    }
    if (member->told.fd >= 0)
        close(member->told.fd);
    inherited_free(member->inherited);
    cfg_report_free(&member->report);
}

void crew_free(struct crew *crew)
{
    if (!crew)
        return;
    order(crew, ORDER_END); /* for those that run */
    for (uint32_t i = 0; i < crew->count; i++)
        free_member(&crew->members[i]);
    free(crew->members);
    if (crew->member_ended.fd >= 0) {
        net_loop_remove(worker_loop(crew->first), &crew->member_ended);
        close(crew->member_ended.fd);
    }
    worker_free(crew->first);
    commons_free(crew->commons);
    inherited_free(crew->inherited);
    pthread_cond_destroy(&crew->changed);
    pthread_mutex_destroy(&crew->lock);
    pthread_mutex_destroy(&crew->global);
    free(crew);
}

struct net_loop *crew_loop(struct crew *crew)
{
    return worker_loop(crew->first);
}

const struct log *crew_log(const struct crew *crew)
{
    return worker_log(crew->first);
}

/* --- what all do ----------------------------------------------------------------------------- */

void crew_reload(struct crew *crew)
{
    worker_reload(crew->first);
    order(crew, ORDER_RELOAD);
}

void crew_accept(struct crew *crew, bool accept)
{
    worker_accept(crew->first, accept);
    if (crew->started)
        order(crew, accept ? ORDER_ACCEPT : ORDER_HOLD);
    for (uint32_t i = 0; i < crew->count && !crew->started; i++)
        worker_accept(crew->members[i].worker, accept);
}

/* It is one worker's: each of several has an order of events of its own. */
void crew_go_on(struct crew *crew, struct str state)
{
    if (crew->count == 0)
        worker_go_on(crew->first, state);
    else
        log_warn(crew_log(crew),
                 "clients of the server before are not recovered: it was one worker, these are "
                 "several",
                 LOG_END);
}

void crew_take(struct crew *crew, const char *name, int fd)
{
    worker_take(crew->first, name, fd);
}

static void give(void *owner, const char *name, int fd)
{
    handover_give(owner, name, fd);
}

/* Of what is a copy one is enough. */
static void give_own(void *owner, const char *name, int fd)
{
    if (!inherited_is_common(name))
        give(owner, name, fd);
}

void crew_give_listeners(const struct crew *crew, struct handover *successor)
{
    worker_show_listeners(crew->first, give, successor);
    for (uint32_t i = 0; i < crew->count; i++)
        worker_show_listeners(crew->members[i].worker, give_own, successor);
}

void crew_drain(struct crew *crew, struct handover *successor)
{
    const struct cfg_drain *drain = &worker_config(crew->first)->drain;

    log_info(crew_log(crew), "draining", log_int("sessions", commons_sessions(crew->commons)),
             log_int("grace_ms", successor ? 0 : drain->grace_ms),
             log_int("window_ms", drain->window_ms), log_int("deadline_ms", drain->deadline_ms),
             LOG_END);
    crew->successor = successor;
    order(crew, ORDER_DRAIN);
    worker_drain(crew->first, successor);
}

void crew_end(struct crew *crew)
{
    order(crew, ORDER_END);
    worker_end(crew->first);
}
