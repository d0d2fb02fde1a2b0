#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    FIELDS_MAX = 16, /* of one log_write() call */
    ESCAPE_MAX = 6,  /* bytes of \u0000 */
    LINE_END = 8,    /* bytes kept for "…", a brace and the newline */
};

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn",
    [LOG_ERROR] = "error", [LOG_OFF] = "off",
};

/* A line being written into a buffer of fixed size. */
struct line {
    char *at;
    size_t size;
    bool cut;
};

static void add(struct line *line, const char *bytes, size_t size)
{
    size_t room = LOG_LINE_MAX - LINE_END - line->size;

    if (line->cut)
        return;
    if (size > room) {
        size = room;
        line->cut = true;
    }
    memcpy(line->at + line->size, bytes, size);
    line->size += size;
}

static void add_text(struct line *line, const char *text)
{
    add(line, text, strlen(text));
}

static void add_quoted(struct line *line, struct str text)
{
    static const char hex[] = "0123456789abcdef";

    add(line, "\"", 1);
    for (size_t i = 0; i < text.size; i++) {
        if (line->size + ESCAPE_MAX + 1 > LOG_LINE_MAX - LINE_END)
            break; /* a string is cut between characters and still closed */
        unsigned char c = (unsigned char)text.at[i];
        char escape[ESCAPE_MAX] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        if (c == '"' || c == '\\')
            add(line, (char[]){'\\', (char)c}, 2);
        else if (c == '\n')
            add(line, "\\n", 2);
        else if (c < 0x20 || c == 0x7f)
            add(line, escape, sizeof(escape));
        else
            add(line, &text.at[i], 1);
    }
    add(line, "\"", 1);
}

static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c <= ' ' || c == 0x7f || c == '"' || c == '=')
            return false;
    }
    return text.size > 0;
}

static void add_time(struct line *line)
{
    char text[80]; /* what the compiler proves to suffice for any tm */
    struct tm tm;
    uint64_t now = clock_wall_ms();
    time_t seconds = (time_t)(now / 1000);

    gmtime_r(&seconds, &tm);
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(now % 1000));
    add_text(line, text);
}

static void add_number(struct line *line, int64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)number);
    add_text(line, text);
}

static void write_text(struct line *line, enum log_level level, struct str message,
                       const struct log_field *fields)
{
    add_time(line);
    add_text(line, " ");
    add_text(line, level_names[level]);
    add_text(line, " ");
    /* A message may be a traceback: its lines are kept, for people. */
    add(line, message.at, message.size);
    for (; fields->key; fields++) {
        add_text(line, " ");
        add_text(line, fields->key);
        add_text(line, "=");
        if (fields->is_int)
            add_number(line, fields->number);
        else if (is_plain(fields->text))
            add(line, fields->text.at, fields->text.size);
        else
            add_quoted(line, fields->text);
    }
    if (line->cut) {
        memcpy(line->at + line->size, "…", 3);
        line->size += 3;
    }
}

static void write_json(struct line *line, enum log_level level, struct str message,
                       const struct log_field *fields)
{
    size_t whole;

    add_text(line, "{\"time\":\"");
    add_time(line);
    add_text(line, "\",\"level\":\"");
    add_text(line, level_names[level]);
    add_text(line, "\",\"msg\":");
    add_quoted(line, message);
    /* A field that does not fit is left out whole, so that the line stays JSON. */
    for (whole = line->size; fields->key && !line->cut; fields++) {
        add_text(line, ",");
        add_quoted(line, str_from(fields->key));
        add_text(line, ":");
        if (fields->is_int)
            add_number(line, fields->number);
        else
            add_quoted(line, fields->text);
        if (!line->cut)
            whole = line->size;
    }
    line->size = whole;
    line->at[line->size++] = '}';
}

void log_write_fields(const struct log *log, enum log_level level, struct str message,
                      const struct log_field *fields)
{
    char bytes[LOG_LINE_MAX];
    struct line line = {.at = bytes};

    if (level < log->level || log->level == LOG_OFF)
        return;
    if (log->format == LOG_JSON)
        write_json(&line, level, message, fields);
    else
        write_text(&line, level, message, fields);
    line.at[line.size++] = '\n';

    /* A log that cannot be written is lost: there is nowhere to say so. */
    ssize_t written = write(log->fd, line.at, line.size);
    (void)written;
}

void log_write(const struct log *log, enum log_level level, const char *message, ...)
{
    struct log_field fields[FIELDS_MAX + 1];
    size_t count = 0;
    va_list args;

    if (level < log->level || log->level == LOG_OFF)
        return;
    va_start(args, message);
    while (count < FIELDS_MAX) {
        fields[count] = va_arg(args, struct log_field);
        if (!fields[count].key)
            break;
        count++;
    }
    va_end(args);
    fields[count] = LOG_END;
    log_write_fields(log, level, str_from(message), fields);
}

bool log_level_parse(struct str name, enum log_level *level)
{
    for (int i = LOG_DEBUG; i <= LOG_OFF; i++) {
        if (str_equal(name, str_from(level_names[i]))) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}
