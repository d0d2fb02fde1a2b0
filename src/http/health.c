#include "http/health.h"

#include "base/buf.h"

#include <assert.h>

enum {
    BODY_MAX = 4096, /* bytes: room for all reasons */
    MS_A_SECOND = 1000,
};

void health_reasons_init(struct health_reasons *reasons)
{
    *reasons = (struct health_reasons){0};
    pthread_mutex_init(&reasons->lock, NULL);
}

static struct health_reasons *lock(const struct health *health)
{
    if (!health->shared)
        return (struct health_reasons *)&health->own;
    pthread_mutex_lock(&health->shared->lock);
    return health->shared;
}

static void unlock(const struct health *health)
{
    if (health->shared)
        pthread_mutex_unlock(&health->shared->lock);
}

static void set_reason(struct health_reason *reason, uint64_t worker, bool bad)
{
    reason->workers = bad ? reason->workers | worker : reason->workers & ~worker;
    if (reason->workers == 0)
        reason->text = NULL;
}

/* The place that has the reason, or a free one; or NULL. */
static struct health_reason *find_reason(struct health_reasons *reasons, const char *text)
{
    struct health_reason *free_place = NULL;

    for (int i = 0; i < HEALTH_REASONS_MAX; i++) {
        struct health_reason *reason = &reasons->at[i];

        if (reason->text && strcmp(reason->text, text) == 0)
            return reason;
        if (!reason->text && !free_place)
            free_place = reason;
    }
    return free_place;
}

void health_set(struct health *health, const char *text, bool bad)
{
    struct health_reasons *reasons = lock(health);
    struct health_reason *reason = find_reason(reasons, text);

    assert(reason || !bad);
    if (reason && (bad || reason->text)) {
        reason->text = text;
        set_reason(reason, UINT64_C(1) << health->worker, bad);
    }
    unlock(health);
}

bool health_is_ready(const struct health *health)
{
    const struct health_reasons *reasons = lock(health);
    bool ready = true;

    for (int i = 0; i < HEALTH_REASONS_MAX; i++)
        ready = ready && !reasons->at[i].text;
    unlock(health);
    return ready;
}

static bool asks_for(struct str target, struct str path)
{
    return path.size > 0 && str_starts(target, path) &&
           (target.size == path.size || target.at[path.size] == '?');
}

static void write_reasons(const struct health *health, struct buf *body)
{
    const struct health_reasons *reasons = lock(health);
    const char *separator = "";

    buf_add_str(body, STR(",\"reasons\":["));
    for (int i = 0; i < HEALTH_REASONS_MAX; i++) {
        if (!reasons->at[i].text)
            continue;
        buf_printf(body, "%s\"%s\"", separator, reasons->at[i].text);
        separator = ",";
    }
    buf_add_byte(body, ']');
    unlock(health);
}

static void write_body(const struct health *health, struct buf *body)
{
    bool ready = health_is_ready(health);
    uint64_t uptime_ms = net_loop_now(health->loop) - health->started_ms;

    buf_printf(body, "{\"status\":\"%s\"", ready ? "ok" : "unavailable");
    if (!ready)
        write_reasons(health, body);
    buf_printf(body, ",\"sessions\":%u,\"uptime\":%llu}\n", health->sessions(health->owner),
               (unsigned long long)(uptime_ms / MS_A_SECOND));
}

static void answer(struct http_exchange *exchange, int status, struct str body)
{
    static const struct http_header headers[] = {
        {STR("Content-Type"),  STR("application/json")},
        {STR("Cache-Control"), STR("no-store")        },
    };

    http_exchange_respond(exchange, &(struct http_response){
                                        .status = status,
                                        .headers = headers,
                                        .header_count = 2,
                                        .body = body,
                                    });
}

static void refuse_method(struct http_exchange *exchange)
{
    static const struct http_header allow = {STR("Allow"), STR("GET, HEAD")};

    http_exchange_respond(exchange, &(struct http_response){
                                        .status = 405,
                                        .headers = &allow,
                                        .header_count = 1,
                                        .body = STR(""),
                                    });
}

bool health_request(const struct health *health, struct http_exchange *exchange)
{
    const struct http_request *request = http_exchange_request(exchange);
    bool of_readiness = asks_for(request->target, health->path);
    struct buf body;

    if (request->upgrade || (!of_readiness && !asks_for(request->target, health->live)))
        return false;
    if (request->method != HTTP_GET && request->method != HTTP_HEAD) {
        refuse_method(exchange);
        return true;
    }
    buf_init(&body, BODY_MAX);
    write_body(health, &body);
    if (buf_failed(&body))
        http_exchange_destroy(exchange);
    else
        answer(exchange, of_readiness && !health_is_ready(health) ? 503 : 200, buf_str(&body));
    buf_free(&body);
    return true;
}
