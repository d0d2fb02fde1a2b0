#include "server/restart.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWN_BINARY "/proc/self/exe"
#define DELETED                                                                                \
    " (deleted)" /* what the kernel writes behind the name of a binary that is gone */

enum {
    PATIENCE_MS = 60000, /* for the new process to serve: it may load much, but not hang */
    REASON_MAX = 128,
};

struct restart {
    struct restart_options options;
    char *binary;              /* or NULL */
    struct handover *handover; /* NULL: none was begun */
    struct net_io io;          /* in the loop while the new process is not ready */
    struct timer patience;
    pid_t pid; /* 0: no process is on its way */
};

/* --- the binary ----------------------------------------------------------------------------- */

static char *join(const char *folder, size_t folder_size, const char *name)
{
    char *path;

    if (folder_size == 0) { /* in PATH: the working directory */
        folder = ".";
        folder_size = 1;
    }
    return asprintf(&path, "%.*s/%s", (int)folder_size, folder, name) < 0 ? NULL : path;
}

/* The path of the first executable of that name in PATH. */
static char *search_path(const char *name)
{
    const char *at = getenv("PATH");

    while (at) {
        size_t size = strcspn(at, ":");
        char *path = join(at, size, name);

        if (path && access(path, X_OK) == 0)
            return path;
        free(path);
        at = at[size] ? at + size + 1 : NULL;
    }
    return NULL;
}

static char *make_absolute(char *path)
{
    char folder[PATH_MAX];
    char *absolute = NULL;

    if (!path || path[0] == '/')
        return path;
    if (getcwd(folder, sizeof(folder)))
        absolute = join(folder, strlen(folder), path);
    free(path);
    return absolute;
}

char *restart_find_binary(const char *argv0)
{
    if (!argv0 || !*argv0)
        return NULL;
    return make_absolute(strchr(argv0, '/') ? str_dup(str_from(argv0)) : search_path(argv0));
}

/* What to start now. */
static const char *choose_binary(const char *found, char buffer[PATH_MAX])
{
    ssize_t size;

    if (found && access(found, X_OK) == 0)
        return found;
    size = readlink(OWN_BINARY, buffer, PATH_MAX - 1);
    if (size < 0)
        return OWN_BINARY;
    buffer[size] = '\0';

    size_t mark = strlen(DELETED);

    if ((size_t)size > mark && strcmp(buffer + size - mark, DELETED) == 0)
        buffer[(size_t)size - mark] = '\0';
    return access(buffer, X_OK) == 0 ? buffer : OWN_BINARY;
}

/* --- starting ------------------------------------------------------------------------------- */

/* Our environment with the variable that leads to the handover. The strings are the process's. */
static char **make_environment(void)
{
    static char variable[] = HANDOVER_VARIABLE "=3";
    size_t count = 0;
    char **made;

    while (environ[count])
        count++;
    made = malloc((count + 2) * sizeof(*made));
    if (!made)
        return NULL;
    memcpy(made, environ, count * sizeof(*made));
    made[count] = variable;
    made[count + 1] = NULL;
    return made;
}

/* Returns an errno. */
static int spawn(struct restart *restart, int theirs)
{
    char buffer[PATH_MAX];
    const char *binary = choose_binary(restart->binary, buffer);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char **environment = make_environment();
    sigset_t none;
    int failure = environment ? 0 : ENOMEM;

    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    if (!failure)
        failure = posix_spawn_file_actions_adddup2(&actions, theirs, HANDOVER_FD);
    if (!failure)
        failure = posix_spawnattr_setsigmask(&attributes, &none);
    if (!failure)
        failure = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (!failure)
        failure = posix_spawn(&restart->pid, binary, &actions, &attributes,
                              restart->options.argv, environment);
    if (failure)
        restart->pid = 0;
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    free(environment);
    return failure;
}

/* --- waiting -------------------------------------------------------------------------------- */

static void stop_waiting(struct restart *restart)
{
    struct net_loop *loop = restart->options.loop;

    timer_stop(net_loop_timers(loop), &restart->patience);
    net_loop_remove(loop, &restart->io);
}

/* The process has ended, or is made to. Tells how, if the reason is not known better. */
static void reap(struct restart *restart, char reason[REASON_MAX])
{
    int status = 0;

    kill(restart->pid, SIGKILL);
    while (waitpid(restart->pid, &status, 0) < 0 && errno == EINTR)
        ;
    restart->pid = 0;
    if (WIFEXITED(status))
        snprintf(reason, REASON_MAX, "it ended with status %d", WEXITSTATUS(status));
    else
        snprintf(reason, REASON_MAX, "it was ended by signal %d", WTERMSIG(status));
}

static void forget(struct restart *restart)
{
    handover_free(restart->handover);
    restart->handover = NULL;
}

static void fail(struct restart *restart, const char *reason)
{
    log_error(restart->options.log, "restart failed, this process serves on",
              log_text("reason", reason), LOG_END);
    forget(restart);
    restart->options.failed(restart->options.owner);
}

/* The new process is gone. */
static void look_at_end(struct restart *restart)
{
    char how[REASON_MAX];
    const char *told = handover_reason(restart->handover);

    stop_waiting(restart);
    reap(restart, how);
    fail(restart, *told ? told : how);
}

static void ready(struct net_io *io, uint32_t events)
{
    struct restart *restart = CONTAINER_OF(io, struct restart, io);
    pid_t pid = restart->pid;

    (void)events;
    switch (handover_hear(restart->handover)) {
    case HANDOVER_NOTHING:
    case HANDOVER_FAILED: /* its end follows */
        break;
    case HANDOVER_READY:
        stop_waiting(restart);
        restart->pid = 0;
        restart->options.serves(restart->options.owner, restart->handover, pid);
        break;
    case HANDOVER_ENDED:
        look_at_end(restart);
        break;
    }
}

static void out_of_patience(struct timer *timer)
{
    struct restart *restart = CONTAINER_OF(timer, struct restart, patience);
    char how[REASON_MAX];

    stop_waiting(restart);
    reap(restart, how);
    fail(restart, "the new process did not serve within 60 seconds");
}

/* --- life ----------------------------------------------------------------------------------- */

struct restart *restart_new(const struct restart_options *options, const char *binary)
{
    struct restart *restart = calloc(1, sizeof(*restart));

    if (!restart)
        return NULL;
    restart->options = *options;
    timer_init(&restart->patience, out_of_patience);
    if (binary && !(restart->binary = str_dup(str_from(binary)))) {
        free(restart);
        return NULL;
    }
    return restart;
}

void restart_cancel(struct restart *restart)
{
    char how[REASON_MAX];

    if (restart->pid == 0)
        return;
    stop_waiting(restart);
    reap(restart, how);
    forget(restart);
}

void restart_free(struct restart *restart)
{
    if (!restart)
        return;
    restart_cancel(restart);
    forget(restart);
    free(restart->binary);
    free(restart);
}

/* NULL: no handover, with errno. `*theirs` is the caller's to close. */
static bool prepare(struct restart *restart, int *theirs)
{
    restart->handover = handover_new(theirs);
    if (!restart->handover)
        return false;
    restart->options.give(restart->options.owner, restart->handover);
    restart->io = (struct net_io){
        .fd = handover_fd(restart->handover), .events = EPOLLIN, .ready = ready};
    if (handover_begin(restart->handover) && net_loop_add(restart->options.loop, &restart->io))
        return true;
    close(*theirs);
    return false;
}

void restart_begin(struct restart *restart)
{
    int theirs;
    int failure;

    if (restart->handover)
        return;
    if (!prepare(restart, &theirs)) {
        fail(restart, strerror(errno));
        return;
    }
    failure = spawn(restart, theirs);
    close(theirs);
    if (failure) {
        net_loop_remove(restart->options.loop, &restart->io);
        fail(restart, strerror(failure));
        return;
    }
    timer_start(net_loop_timers(restart->options.loop), &restart->patience, PATIENCE_MS);
    log_info(restart->options.log, "restarting: a new process is started",
             log_int("pid", restart->pid), LOG_END);
}
