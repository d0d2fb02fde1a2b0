#include "net/http1_answer.h"

#include "base/buf.h"
#include "base/clock.h"
#include "net/http1_parser.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

enum {
    HEAD_MAX = 256 * 1024, /* bytes of an answer's head */
};

#define LAST_CHUNK "0\r\n\r\n"

static bool header_given(const struct http_response *response, struct str name)
{
    for (size_t i = 0; i < response->header_count; i++) {
        if (str_equal_nocase(response->headers[i].name, name))
            return true;
    }
    return false;
}

bool http1_answer_closes(const struct http_response *response)
{
    for (size_t i = 0; i < response->header_count; i++) {
        if (str_equal_nocase(response->headers[i].name, STR("Connection")) &&
            str_equal_nocase(response->headers[i].value, STR("close")))
            return true;
    }
    return false;
}

void http1_answer_date(char date[HTTP1_DATE_SIZE], uint64_t wall_ms)
{
    /* Not by strftime(): names must not follow a locale. */
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    snprintf(date, HTTP1_DATE_SIZE, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
             days + tm.tm_wday * 3, (unsigned)tm.tm_mday % 100, months + tm.tm_mon * 3,
             (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
             (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

/* Values may hold what users sent: a line end in one would let them write headers of their own. */
static bool one_line(struct str text)
{
    return !memchr(text.at, '\r', text.size) && !memchr(text.at, '\n', text.size) &&
           !memchr(text.at, '\0', text.size);
}

static void add_header(struct buf *head, struct str name, struct str value)
{
    if (!one_line(name) || !one_line(value))
        return;
    buf_add_str(head, name);
    buf_add_str(head, STR(": "));
    buf_add_str(head, value);
    buf_add_str(head, STR("\r\n"));
}

static void add_own_headers(struct buf *head, const struct http_response *response,
                            const struct http1_terms *terms)
{
    char date[HTTP1_DATE_SIZE];

    if (!header_given(response, STR("Date"))) {
        http1_answer_date(date, clock_wall_ms());
        add_header(head, STR("Date"), str_from(date));
    }
    if (header_given(response, STR("Connection")))
        return;
    if (terms->close) {
        buf_add_str(head, STR("Connection: close\r\n"));
    } else {
        buf_add_str(head, STR("Connection: keep-alive\r\nKeep-Alive: timeout="));
        buf_add_u64(head, terms->keep_alive_ms / 1000);
        buf_add_str(head, STR("\r\n"));
    }
}

/* How the body is sent. */
struct body_form {
    bool present;
    bool chunked;
    bool length; /* Content-Length is to be added */
};

static struct body_form choose_form(const struct http_response *response,
                                    const struct http1_terms *terms)
{
    int status = response->status;
    struct body_form form = {
        .present = !terms->head && status >= 200 && status != 204 && status != 304,
    };
    bool framed = header_given(response, STR("Content-Length")) ||
                  header_given(response, STR("Transfer-Encoding"));

    if (!form.present || terms->minor == 0 || framed)
        return form;
    form.chunked = response->chunked;
    form.length = !response->chunked && !response->no_length;
    return form;
}

static void add_head(struct buf *head, const struct http_response *response,
                     const struct http1_terms *terms, const struct body_form *form, size_t size)
{
    buf_printf(head, "HTTP/1.1 %d %s\r\n", response->status,
               http1_status_text(response->status));
    for (size_t i = 0; i < response->header_count; i++)
        add_header(head, response->headers[i].name, response->headers[i].value);
    add_own_headers(head, response, terms);
    if (form->chunked)
        buf_add_str(head, STR("Transfer-Encoding: chunked\r\n"));
    if (form->length)
        buf_printf(head, "Content-Length: %zu\r\n", size);
    buf_add_str(head, STR("\r\n"));
    if (form->chunked && size > 0)
        buf_printf(head, "%zx\r\n", size);
}

/* Queues the three parts as one frame. */
static bool send_parts(struct net_conn *conn, struct str head, struct str body, struct str tail)
{
    struct frame *frame = frame_new(FRAME_RAW, head.size + body.size + tail.size);
    uint8_t *to;

    if (!frame)
        return false;
    to = frame_payload(frame);
    memcpy(to, head.at, head.size);
    memcpy(to + head.size, body.at, body.size);
    memcpy(to + head.size + body.size, tail.at, tail.size);
    net_conn_send(conn, frame);
    frame_unref(frame);
    return true;
}

bool http1_answer_send_raw(struct net_conn *conn, struct str bytes)
{
    return send_parts(conn, bytes, STR(""), STR(""));
}

bool http1_answer_send(struct net_conn *conn, const struct http_response *response,
                       const struct http1_terms *terms)
{
    struct frame *shared = response->body_frame;
    struct str body =
        shared ? frame_body(shared) : str_of(response->body.at, response->body.size);
    struct body_form form = choose_form(response, terms);
    struct str tail = STR("");
    struct buf head;
    bool sent;

    assert(!shared || frame_kind(shared) == FRAME_RAW);
    buf_init(&head, HEAD_MAX);
    add_head(&head, response, terms, &form, body.size);
    if (form.chunked)
        tail = body.size > 0 ? STR("\r\n" LAST_CHUNK) : STR(LAST_CHUNK);
    if (buf_failed(&head)) {
        sent = false;
    } else if (!shared || !form.present) {
        sent = send_parts(conn, buf_str(&head), form.present ? body : STR(""), tail);
    } else {
        sent = http1_answer_send_raw(conn, buf_str(&head));
        net_conn_send(conn, shared);
        if (tail.size > 0)
            sent = http1_answer_send_raw(conn, tail) && sent;
    }
    buf_free(&head);
    return sent;
}
