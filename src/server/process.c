#include "server/process.h"

#include "server/crew.h"
#include "server/notify.h"
#include "server/restart.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    ERROR_MAX = 512, /* bytes of a sentence */

    /* For the server before to stop accepting, which takes it a second at most; a hung one must not
     * keep this one from serving. */
    GO_PATIENCE_MS = 5000,
};

struct process {
    char **argv;
    char *binary; /* where the program was found; or NULL */
    struct log log;
    struct inherited *inherited;
    struct handover *predecessor; /* NULL: there is no server before */
    struct restart *restart;
    struct crew *crew;
    struct net_io signals;
    struct net_io from_predecessor;
    struct timer patience; /* runs until we accept connections */
    bool ending;
};

/* --- ending and restarting ------------------------------------------------------------------ */

static void end(struct process *process)
{
    if (process->ending) { /* asked a second time */
        crew_end(process->crew);
        return;
    }
    process->ending = true;
    restart_cancel(process->restart);
    notify("STOPPING=1");
    crew_drain(process->crew, NULL);
}

static void give(void *owner, struct handover *successor)
{
    struct process *process = owner;

    crew_give_listeners(process->crew, successor);
}

static void serves(void *owner, struct handover *successor, pid_t pid)
{
    struct process *process = owner;

    log_info(&process->log, "restarted: the new process serves, this one drains",
             log_int("pid", pid), LOG_END);
    process->ending = true;
    notify_main(pid);
    crew_drain(process->crew, successor);
}

static void failed(void *owner)
{
    (void)owner;
    notify("READY=1");
}

static void restart(struct process *process)
{
    if (process->ending)
        return;
    if (getpid() == 1) {
        log_error(&process->log,
                  "no restart: this is process 1, whose end would end its successor too",
                  LOG_END);
        return;
    }
    notify_reloading();
    restart_begin(process->restart);
}

static void reload(struct process *process)
{
    if (process->ending)
        return;
    notify_reloading();
    crew_reload(process->crew);
    notify("READY=1");
}

/* --- signals -------------------------------------------------------------------------------- */

static sigset_t signals_of_ours(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR2);
    return set;
}

static void signal_ready(struct net_io *io, uint32_t events)
{
    struct process *process = CONTAINER_OF(io, struct process, signals);
    struct signalfd_siginfo info;
    (void)events;

    while (read(io->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGHUP:
            reload(process);
            break;
        case SIGUSR2:
            restart(process);
            break;
        default:
            end(process);
        }
    }
}

static bool watch_signals(struct process *process)
{
    sigset_t set = signals_of_ours();

    process->signals.ready = signal_ready;
    process->signals.events = EPOLLIN;
    process->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return process->signals.fd >= 0 &&
           net_loop_add(crew_loop(process->crew), &process->signals);
}

/* --- the server before ---------------------------------------------------------------------- */

static void leave_predecessor(struct process *process)
{
    if (!process->predecessor)
        return;
    if (process->from_predecessor.fd >= 0)
        net_loop_remove(crew_loop(process->crew), &process->from_predecessor);
    handover_free(process->predecessor);
    process->predecessor = NULL;
}

static void go_on(struct process *process)
{
    size_t size;
    uint8_t *state = handover_take(process->predecessor, HANDOVER_RECOVERY, &size);

    if (state)
        crew_go_on(process->crew, str_of(state, size));
    free(state);
}

static void accept_now(struct process *process)
{
    if (process->predecessor)
        go_on(process);
    timer_stop(net_loop_timers(crew_loop(process->crew)), &process->patience);
    crew_accept(process->crew, true);
}

static void out_of_patience(struct timer *timer)
{
    accept_now(CONTAINER_OF(timer, struct process, patience));
}

static void passed(void *owner, const char *name, int fd)
{
    struct process *process = owner;

    crew_take(process->crew, name, fd);
}

static void predecessor_ready(struct net_io *io, uint32_t events)
{
    struct process *process = CONTAINER_OF(io, struct process, from_predecessor);
    bool more = handover_receive(process->predecessor);

    (void)events;
    if (timer_running(&process->patience) && handover_is_ours(process->predecessor))
        accept_now(process);
    if (more)
        return;
    log_info(&process->log, "the server before has ended", LOG_END);
    leave_predecessor(process);
}

static bool watch_predecessor(struct process *process)
{
    if (!process->predecessor)
        return true;
    process->from_predecessor = (struct net_io){
        .fd = handover_fd(process->predecessor),
        .events = EPOLLIN,
        .ready = predecessor_ready,
    };
    if (!net_loop_add(crew_loop(process->crew), &process->from_predecessor)) {
        process->from_predecessor.fd = -1;
        return false;
    }
    handover_on_connection(process->predecessor, passed, process);
    crew_accept(process->crew, false);
    timer_start(net_loop_timers(crew_loop(process->crew)), &process->patience, GO_PATIENCE_MS);
    return true;
}

void process_fail(struct process *process, const struct cfg_report *report)
{
    struct str reason = buf_str(&report->text);
    const char *end = memchr(reason.at, '\n', reason.size);

    if (!process->predecessor)
        return;
    if (end) /* the first of them: all are on the standard error, which is the old process's too */
        reason.size = (size_t)(end - reason.at);
    handover_fail(process->predecessor, reason);
}

/* --- life ----------------------------------------------------------------------------------- */

static void report_errno(struct cfg_report *report)
{
    buf_printf(&report->text, "skua: %s\n", errno ? strerror(errno) : "out of memory");
    report->count++;
}

static void block_signals(void)
{
    sigset_t set = signals_of_ours();

    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN); /* a peer that is gone is an EPIPE */
}

struct process *process_new(char **argv, struct cfg_report *report)
{
    struct process *process = calloc(1, sizeof(*process));
    char error[ERROR_MAX];

    if (!process)
        goto fail;
    block_signals();
    process->argv = argv;
    process->signals.fd = -1;
    process->from_predecessor.fd = -1;
    timer_init(&process->patience, out_of_patience);
    process->log = (struct log){.fd = STDERR_FILENO, .level = LOG_INFO, .format = LOG_TEXT};
    process->binary = restart_find_binary(argv[0]);
    process->inherited = inherited_new();
    if (!process->inherited)
        goto fail;
    process->predecessor = handover_join(process->inherited, &process->log);
    if (inherited_add_systemd(process->inherited, error, sizeof(error)))
        return process;
    buf_printf(&report->text, "skua: %s\n", error);
    report->count++;
    process_fail(process, report);
    process_free(process);
    return NULL;

fail:
    report_errno(report);
    process_free(process);
    return NULL;
}

static bool start(struct process *process)
{
    const struct restart_options options = {
        .argv = process->argv,
        .loop = crew_loop(process->crew),
        .log = &process->log,
        .give = give,
        .serves = serves,
        .failed = failed,
        .owner = process,
    };

    process->log = *crew_log(process->crew);
    process->restart = restart_new(&options, process->binary);
    return process->restart && watch_signals(process) && watch_predecessor(process);
}

static void tell_ready(struct process *process)
{
    if (process->predecessor)
        handover_ready(process->predecessor); /* which tells systemd */
    else
        notify("READY=1");
}

static void stop(struct process *process)
{
    timer_stop(net_loop_timers(crew_loop(process->crew)), &process->patience);
    leave_predecessor(process);
    if (process->restart)
        restart_cancel(process->restart);
    if (process->signals.fd >= 0) {
        net_loop_remove(crew_loop(process->crew), &process->signals);
        close(process->signals.fd);
    }
    process->signals.fd = -1;
    crew_free(process->crew);
    process->crew = NULL;
    restart_free(process->restart); /* the workers' last words may be for the successor */
    process->restart = NULL;
}

bool process_serve(struct process *process, const char *name, struct str source,
                   struct cfg_report *report)
{
    process->crew = crew_new(name, source, process->inherited, report);
    process->inherited = NULL;
    if (!process->crew)
        return false;

    bool good = start(process);

    if (good) {
        tell_ready(process);
        good = crew_run(process->crew) == 0;
    }
    if (!good)
        report_errno(report);
    stop(process);
    return good;
}

void process_free(struct process *process)
{
    if (!process)
        return;
    handover_free(process->predecessor);
    inherited_free(process->inherited);
    free(process->binary);
    free(process);
}
