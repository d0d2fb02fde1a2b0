/*
 * log: one line a fact, on stderr, as text or JSON.
 *
 * A line has a message for people and fields (key, value) for machines:
 *   log_warn(log, "payload too large", log_str("socket", id), log_int("size", n), LOG_END);
 * text: `2026-01-02T03:04:05.678Z warn payload too large socket=abc size=12`
 * (values with spaces, quotes or control characters are quoted as JSON strings)
 * JSON: `{"time":"…","level":"warn","msg":"payload too large","socket":"abc","size":12}`
 *
 * Callers   everybody; a struct log hangs on the worker.
 * Owner     the caller owns the struct; it holds no memory.
 * Threads   any: a line leaves in one write(2), so lines of several threads do not mix.
 * Units     a line is cut at LOG_LINE_MAX bytes, with "…" at its end.
 * Errors    none: a log that cannot be written is lost.
 */
#ifndef SKUA_BASE_LOG_H
#define SKUA_BASE_LOG_H

#include "base/str.h"

#include <stdint.h>

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
    LOG_OFF,
};

enum log_format {
    LOG_TEXT,
    LOG_JSON,
};

enum {
    LOG_LINE_MAX = 16384, /* bytes; a traceback of a Lua error must fit */
};

struct log {
    int fd;
    enum log_level level;
    enum log_format format;
};

struct log_field {
    const char *key; /* NULL ends the list */
    bool is_int;
    int64_t number;
    struct str text;
};

#define LOG_END ((struct log_field){0})

static inline struct log_field log_str(const char *key, struct str text)
{
    return (struct log_field){.key = key, .text = text};
}

static inline struct log_field log_text(const char *key, const char *text)
{
    return (struct log_field){.key = key, .text = str_from(text)};
}

static inline struct log_field log_int(const char *key, int64_t number)
{
    return (struct log_field){.key = key, .is_int = true, .number = number};
}

/* The variadic arguments are struct log_field, the last one LOG_END. */
void log_write(const struct log *log, enum log_level level, const char *message, ...);

#define log_debug(log, ...) log_write((log), LOG_DEBUG, __VA_ARGS__)
#define log_info(log, ...) log_write((log), LOG_INFO, __VA_ARGS__)
#define log_warn(log, ...) log_write((log), LOG_WARN, __VA_ARGS__)
#define log_error(log, ...) log_write((log), LOG_ERROR, __VA_ARGS__)

/* For multi-line or computed messages. */
void log_write_fields(const struct log *log, enum log_level level, struct str message,
                      const struct log_field *fields);

/* "debug", "info", "warn", "error", "off" → level; false when it is none of them. */
bool log_level_parse(struct str name, enum log_level *level);

#endif
