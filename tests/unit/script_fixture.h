/*
 * script_fixture: a script with a configuration from a string, on the socketio server and the
 * stand-ins of sio_fixture.h, its log in memory.
 */
#ifndef SCRIPT_FIXTURE_H
#define SCRIPT_FIXTURE_H

#include "sio_fixture.h"

#include "script/script.h"

#include <lua.h>
#include <sys/mman.h>

struct app {
    struct script *script;
    struct config *config;
    struct cluster *cluster;
    struct cluster_bus *bus; /* for start(); NULL: the server is alone */
    struct cfg_report report;
};

/* Joined to the first line, so that the test's own lines keep their numbers. */
#define PREAMBLE "listen \"127.0.0.1:7000\" "

static inline struct app *app_of(struct fixture *f)
{
    return f->extra;
}

static inline int script_setup(void **state)
{
    struct app *app = calloc(1, sizeof(*app));
    struct fixture *f;

    fixture_setup(state);
    f = *state;
    f->extra = app;
    f->log = (struct log){.fd = memfd_create("log", 0), .level = LOG_INFO};
    cfg_report_init(&app->report);
    app->script = script_new(&f->log);
    assert_non_null(app->script);
    return 0;
}

static inline int script_teardown(void **state)
{
    struct fixture *f = *state;
    struct app *app = app_of(f);
    int fd = f->log.fd;

    sio_server_free(f->server);
    f->server = NULL;
    cluster_free(app->cluster);
    script_free(app->script);
    cfg_free(app->config);
    cfg_report_free(&app->report);
    free(app);
    close(fd);
    return fixture_teardown(state);
}

/* Loads the file and starts the server with its namespaces. */
static inline void start(struct fixture *f, const char *source)
{
    static const enum sio_namespace_kind kinds[] = {
        [CFG_NAMESPACE_NAMED] = SIO_NAMED,
        [CFG_NAMESPACE_GLOB] = SIO_GLOB,
        [CFG_NAMESPACE_FUNCTION] = SIO_DECIDED,
    };
    struct app *app = app_of(f);
    struct sio_app callbacks = script_app(app->script);
    const struct cluster_app cluster_callbacks = script_cluster_app(app->script);
    struct buf text;

    buf_init(&text, SIZE_MAX);
    buf_printf(&text, PREAMBLE "%s", source);
    app->config = cfg_load(script_state(app->script), "app.lua", buf_str(&text), &app->report);
    buf_free(&text);
    if (!app->config)
        fail_msg("%.*s", (int)app->report.text.size, app->report.text.at);
    sio_server_free(f->server);
    f->server = sio_server_new(f->loop, &f->random, &f->log, &f->options, &callbacks);
    f->handler = sio_server_handler(f->server);
    app->cluster = cluster_new(&(struct cluster_options){.loop = f->loop,
                                                         .random = &f->random,
                                                         .log = &f->log,
                                                         .server = f->server,
                                                         .bus = app->bus,
                                                         .request_timeout_ms = 5000});
    assert_non_null(app->cluster);
    cluster_set_app(app->cluster, &cluster_callbacks);
    assert_true(script_start(app->script, app->config, f->loop, f->server, app->cluster));
    for (size_t i = 0; i < app->config->namespace_count; i++) {
        const struct cfg_namespace *nsp = &app->config->namespaces[i];
        assert_non_null(
            sio_namespace_add(f->server, &(struct sio_namespace_options){
                                             .kind = kinds[nsp->kind],
                                             .name = nsp->name,
                                             .data = script_namespace(app->script, i),
                                         }));
    }
}

static inline struct eio_session *new_session(struct fixture *f)
{
    static const struct http_header headers[] = {
        {STR("host"),   STR("example.com")      },
        {STR("cookie"), STR("a=1")              },
        {STR("cookie"), STR("b=2")              },
        {STR("x-tag"),  STR("one")              },
        {STR("x-tag"),  STR("two")              },
        {STR("host"),   STR("other.example.com")},
    };
    struct eio_session *session = open_session(f);

    session->handshake = (struct eio_handshake){
        .time_ms = 1767323045678,
        .protocol = 4,
        .cross_domain = true,
        .target = STR("/socket.io/?EIO=4&transport=websocket&token=a%20b"),
        .address = STR("192.0.2.7"),
        .origin = STR("https://app.example.com"),
        .headers = headers,
        .header_count = sizeof(headers) / sizeof(headers[0]),
    };
    return session;
}

/* A session whose socket in `nsp` is connected. */
static inline struct eio_session *enter(struct fixture *f, const char *nsp)
{
    struct eio_session *session = new_session(f);
    char text[256];

    snprintf(text, sizeof(text), "0%s,", nsp);
    send_text(f, session, text);
    snprintf(text, sizeof(text), "0%s,{\"sid\":\"<sid>\"}", nsp);
    expect_sent(session, text);
    return session;
}

/* What was logged since the last look contains the text (NULL: nothing was logged). */
static inline void expect_log(struct fixture *f, const char *text)
{
    static char seen[65536];
    ssize_t size = pread(f->log.fd, seen, sizeof(seen) - 1, 0);

    assert_true(size >= 0);
    seen[size] = '\0';
    assert_int_equal(ftruncate(f->log.fd, 0), 0);
    lseek(f->log.fd, 0, SEEK_SET);
    if (!text && size > 0)
        fail_msg("logged %s", seen);
    if (text && !strstr(seen, text))
        fail_msg("logged %s--- expected\n%s", seen, text);
}

#define SCRIPT_TEST(name) cmocka_unit_test_setup_teardown(name, script_setup, script_teardown)

#endif
