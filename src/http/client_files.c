#include "http/client_files.h"

#include "net/deflater.h"
#include "net/http_coding.h"

#include <stdio.h>

enum {
    ETAG_MAX = 64, /* bytes of a version with its quotes */
    HEADERS_MAX = CORS_HEADERS_MAX + 4,
};

/* As vendor/client.sh writes them; the last one has no name. */
struct client_file {
    const char *name;
    const uint8_t *gzip;
    size_t gzip_size;
    size_t size; /* unpacked */
};

extern const struct client_file client_files[];
extern const char client_files_version[];

bool client_files_built_in(void)
{
    return client_files[0].name != NULL;
}

/* The reference does not look at the character behind the path. */
static const struct client_file *find(const struct client_files *files, struct str target)
{
    if (!files->served || !str_starts(target, files->path))
        return NULL;

    struct str name = str_from_index(target, files->path.size + 1);
    const char *query = memchr(name.at, '?', name.size);
    if (query)
        name.size = (size_t)(query - name.at);
    for (const struct client_file *file = client_files; file->name; file++)
        if (str_equal(name, str_from(file->name)))
            return file;
    return NULL;
}

/* The file's version is that of all. */
static struct str write_etag(char etag[ETAG_MAX])
{
    int size = snprintf(etag, ETAG_MAX, "\"%s\"", client_files_version);

    return str_of(etag, (size_t)size);
}

static bool is_fresh(const struct http_request *request, struct str etag)
{
    struct str known = http_request_header(request, "if-none-match");

    return str_equal(known, etag) ||
           (str_starts(known, STR("W/")) && str_equal(str_from_index(known, 2), etag));
}

static struct frame *unpack(const struct client_file *file)
{
    struct frame *frame = frame_new(FRAME_RAW, file->size);

    if (frame && !deflater_gunzip(str_of(file->gzip, file->gzip_size), frame_payload(frame),
                                  file->size)) {
        frame_unref(frame);
        frame = NULL;
    }
    return frame;
}

static void serve(const struct client_file *file, struct http_exchange *exchange,
                  struct http_response *response)
{
    struct frame *unpacked;

    if (http_coding_choose(http_exchange_request(exchange), HTTP_GZIP + 1) == HTTP_GZIP) {
        response->body = str_of(file->gzip, file->gzip_size);
        http_exchange_respond(exchange, response);
        return;
    }
    response->header_count--; /* the coding */
    unpacked = unpack(file);
    if (!unpacked) {
        http_exchange_destroy(exchange);
        return;
    }
    response->body_frame = unpacked;
    http_exchange_respond(exchange, response);
    frame_unref(unpacked);
}

static void answer(const struct client_files *files, const struct client_file *file,
                   struct http_exchange *exchange)
{
    const struct http_request *request = http_exchange_request(exchange);
    struct http_header headers[HEADERS_MAX];
    struct http_response response = {.status = 304, .headers = headers, .chunked = true};
    bool map = file->name[strlen(file->name) - 1] == 'p';
    char etag_text[ETAG_MAX];
    struct str etag = write_etag(etag_text);
    size_t count = cors_headers(&files->cors, request, headers);

    response.header_count = count;
    if (is_fresh(request, etag)) {
        http_exchange_respond(exchange, &response);
        return;
    }
    headers[count++] = (struct http_header){STR("Cache-Control"), STR("public, max-age=0")};
    headers[count++] = (struct http_header){STR("Content-Type"),
                                            map ? STR("application/json; charset=utf-8")
                                                : STR("application/javascript; charset=utf-8")};
    headers[count++] = (struct http_header){STR("ETag"), etag};
    headers[count++] = (struct http_header){STR("content-encoding"), STR("gzip")};
    response.status = 200;
    response.header_count = count;
    serve(file, exchange, &response);
}

bool client_files_request(const struct client_files *files, struct http_exchange *exchange)
{
    const struct http_request *request = http_exchange_request(exchange);
    const struct client_file *file = request->upgrade ? NULL : find(files, request->target);

    if (!file)
        return false;
    if (!cors_preflight(&files->cors, exchange))
        answer(files, file, exchange);
    return true;
}
