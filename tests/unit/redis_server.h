/*
 * redis_server: real servers, each with a port of its own, and their commands.
 *
 * Callers   test_redis_*.c that want the real thing.
 */
#ifndef SKUA_TESTS_REDIS_SERVER_H
#define SKUA_TESTS_REDIS_SERVER_H

#include "redis_fixture.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum {
    SERVER_WORDS = 48, /* of a command line */
};

struct server {
    pid_t pid; /* 0: not running */
    int port;
};

static char folder[] = "/tmp/skua-redis-XXXXXX";

static inline int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    char line[64];

    (void)state;
    snprintf(line, sizeof(line), "rm -rf %s", folder);
    return system(line);
}

/* The full name of a file in the folder; valid until the fourth call after it. */
static inline const char *in_folder(const char *name)
{
    static char paths[4][128];
    static int turn_of;
    char *path = paths[turn_of++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static inline int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* Ends with the test, whatever becomes of that. */
static inline void server_run(struct server *server, char *const *words)
{
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!freopen(in_folder("server.log"), "a", stdout) || chdir(folder) < 0)
        _exit(1);
    execvp(words[0], words);
    _exit(127);
}

/* Waits until somebody listens. */
static inline void server_await(const struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(server->port)};
    int fd;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int tries = 0;; tries++) {
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
            break;
        close(fd);
        if (tries > PATIENCE_MS / 5 || waitpid(server->pid, NULL, WNOHANG) != 0)
            fail_msg("no server comes up on port %d", server->port);
        usleep(5000);
    }
    close(fd);
}

/* `more` are words of the command line, separated by spaces. */
static inline void server_start(struct server *server, const char *more)
{
    char line[2048], port[16];
    char *words[SERVER_WORDS] = {
        "redis-server", "--port",      port,         "--save", "",
        "--appendonly", "no",          "--loglevel", "notice", "--bind",
        "127.0.0.1",    "--daemonize", "no"};
    size_t count = 13;

    if (server->port == 0)
        server->port = free_port();
    snprintf(port, sizeof(port), "%d", server->port);
    snprintf(line, sizeof(line), "%s", more);
    for (char *at = line, *word; (word = strtok_r(at, " ", &at)) && count < SERVER_WORDS - 1;)
        words[count++] = word;
    words[count] = NULL;
    server_run(server, words);
    server_await(server);
}

static inline void server_stop(struct server *server)
{
    if (server->pid == 0)
        return;
    kill(server->pid, SIGCONT);
    kill(server->pid, SIGTERM);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

static inline void server_kill(struct server *server)
{
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

/* A command of several words, separated by spaces, that is answered before this returns. */
static inline const char *ask(struct redis *whom, const char *line)
{
    static struct outcome outcome;
    struct str argv[SERVER_WORDS];
    size_t argc = 0;
    char copy[1024];

    snprintf(copy, sizeof(copy), "%s", line);
    for (char *at = copy, *word; (word = strtok_r(at, " ", &at));)
        argv[argc++] = str_from(word);
    memset(&outcome, 0, sizeof(outcome));
    redis_command(whom, argv, argc, answered, &outcome);
    UNTIL(outcome.times == 1);
    if (outcome.end != REDIS_ANSWERED)
        return redis_end_text(outcome.end);
    if (outcome.type == REDIS_REPLY_INTEGER)
        snprintf(outcome.text, sizeof(outcome.text), "%lld", outcome.integer);
    return outcome.text;
}

#endif
