// libmicrohttpd's external event loop, driven by libuv.
//
// libmicrohttpd keeps its sockets in an epoll set of its own; that set is one descriptor for libuv.
// A request without an answer is suspended; web_respond resumes it, and the answer is written
// before the loop polls again.
#include "broker/web_parts.h"

#include "broker/base/log.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ARENA_BYTES (8 * 1024)
#define SPARE_MAX 256
#define CONNECTIONS_MAX 4096
#define IDLE_SECONDS 75
#define HEAD_BYTES (16 * 1024) // of a request: its line and headers; also what a connection costs
#define BACKLOG 1024
#define DISCARD_FACTOR 4 // a chunked body this many times too long is cut off instead of read

// --- the loop ------------------------------------------------------------------------------------

static void on_timer(uv_timer_t *timer);

static void turn(struct web *web)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;

    if (MHD_run(web->daemon) != MHD_YES)
        log_error("web.run", "error=\"libmicrohttpd could not run\"");
    if (MHD_get_timeout(web->daemon, &wait_ms) == MHD_YES)
        uv_timer_start(&web->timer, on_timer, wait_ms, 0);
    else
        uv_timer_stop(&web->timer);
}

static void on_timer(uv_timer_t *timer)
{
    turn(timer->data);
}

// Nobody wakes libmicrohttpd for a resumed request when it has no thread of its own.
static void on_prepare(uv_prepare_t *prepare)
{
    struct web *web = prepare->data;

    if (!web->resumed)
        return;
    web->resumed = false;
    turn(web);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    turn(poll->data);
}

// --- requests ------------------------------------------------------------------------------------

static struct web_request *request_take(struct web *web)
{
    struct web_request *request = web->spare;
    struct arena *arena;
    struct buf body;

    if (request == NULL) {
        request = calloc(1, sizeof *request);
        if (request == NULL)
            abort();
        request->arena = arena_create(ARENA_BYTES);
    } else {
        web->spare = request->next;
        web->spare_count--;
    }
    arena = request->arena;
    body = request->body;
    *request = (struct web_request){.web = web, .arena = arena, .body = body};
    return request;
}

void web_request_free(struct web_request *request)
{
    arena_destroy(request->arena);
    buf_fini(&request->body);
    free(request);
}

static void request_give_back(struct web_request *request)
{
    struct web *web = request->web;

    arena_reset(request->arena);
    buf_reset(&request->body);
    if (web->spare_count == SPARE_MAX || request->body.cap > ARENA_BYTES * 8) {
        web_request_free(request);
        return;
    }
    request->next = web->spare;
    web->spare = request;
    web->spare_count++;
}

const char *web_method(const struct web_request *request)
{
    return request->method;
}

const char *web_path(const struct web_request *request)
{
    return request->path;
}

const char *web_header(const struct web_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const void *web_body(const struct web_request *request, size_t *len)
{
    *len = request->body.len;
    return request->body.data != NULL ? request->body.data : "";
}

struct arena *web_arena(struct web_request *request)
{
    return request->arena;
}

struct find_last {
    const char *name;
    const char *value;
};

static enum MHD_Result on_parameter(void *ctx, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    struct find_last *find = ctx;

    (void)kind;
    if (strcmp(name, find->name) == 0)
        find->value = value != NULL ? value : "";
    return MHD_YES;
}

const char *web_query(const struct web_request *request, const char *name)
{
    struct find_last find = {name, NULL};

    (void)MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, on_parameter,
                                    &find);
    return find.value;
}

struct find_each {
    const char *name;
    void (*visit)(void *ctx, const char *value);
    void *ctx;
};

static enum MHD_Result on_each(void *ctx, enum MHD_ValueKind kind, const char *name,
                               const char *value)
{
    const struct find_each *find = ctx;

    (void)kind;
    if (strcmp(name, find->name) == 0 && value != NULL)
        find->visit(find->ctx, value);
    return MHD_YES;
}

void web_query_each(const struct web_request *request, const char *name,
                    void (*visit)(void *ctx, const char *value), void *ctx)
{
    struct find_each find = {name, visit, ctx};

    (void)MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, on_each, &find);
}

static void put_encoded(struct buf *out, const char *text, size_t len, const char *keep)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (isalnum(c) || (c != '\0' && strchr(keep, c) != NULL))
            buf_append(out, &text[i], 1);
        else
            buf_printf(out, "%%%02X", c);
    }
}

struct query_copy {
    struct buf *out;
    char mark; // before the next parameter
};

static enum MHD_Result copy_parameter(void *ctx, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
    struct query_copy *copy = ctx;

    (void)kind;
    buf_append(copy->out, &copy->mark, 1);
    copy->mark = '&';
    put_encoded(copy->out, name, strlen(name), "-._~");
    if (value != NULL) {
        buf_puts(copy->out, "=");
        put_encoded(copy->out, value, strlen(value), "-._~");
    }
    return MHD_YES;
}

const char *web_location(struct web_request *request, size_t len)
{
    struct buf out = {0};
    struct query_copy copy = {&out, '?'};
    const char *location;

    put_encoded(&out, request->path, len, "-._~/");
    (void)MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, copy_parameter,
                                    &copy);
    location = arena_copy(request->arena, out.data, out.len);
    buf_fini(&out);
    return location;
}

void web_answer(struct web_request *request, unsigned status, const struct header *headers,
                size_t header_count, struct MHD_Response *response)
{
    assert(!request->responded);
    request->responded = true;
    request->status = status;
    request->response = response;
    if (request->response == NULL)
        abort();
    for (size_t i = 0; i < header_count; i++) {
        if (MHD_add_response_header(request->response, headers[i].name, headers[i].value) !=
            MHD_YES)
            log_warn("web.header", "name=%s", headers[i].name);
    }
    if (request->suspended) {
        MHD_resume_connection(request->connection);
        request->web->resumed = true;
    }
}

void web_respond(struct web_request *request, unsigned status, const struct header *headers,
                 size_t header_count, const void *body, size_t len)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(len, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);

    web_answer(request, status, headers, header_count, response);
    if (request->handed_over)
        request->web->in_hand--;
}

// --- libmicrohttpd's callbacks -------------------------------------------------------------------

static enum MHD_Result queue(struct web_request *request)
{
    enum MHD_Result result =
        MHD_queue_response(request->connection, request->status, request->response);

    MHD_destroy_response(request->response);
    request->response = NULL;
    return result;
}

static enum MHD_Result refuse_length(struct web_request *request, uint64_t len)
{
    request->web->config->on_too_large(request->web->config->ctx, request, len);
    assert(request->responded);
    return queue(request);
}

static enum MHD_Result first_call(struct web *web, struct MHD_Connection *connection,
                                  const char *path, const char *method, void **context)
{
    struct web_request *request = request_take(web);
    const char *length;

    request->connection = connection;
    request->path = arena_copy(request->arena, path, strlen(path));
    request->method = arena_copy(request->arena, method, strlen(method));
    *context = request;
    length = web_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (length != NULL && strtoull(length, NULL, 10) > web->config->body_max)
        return refuse_length(request, strtoull(length, NULL, 10));
    return MHD_YES;
}

static enum MHD_Result take_body(struct web_request *request, const char *data, size_t *len)
{
    size_t max = request->web->config->body_max;

    request->received += *len;
    if (request->received > max) {
        request->too_large = true;
        if (request->received / DISCARD_FACTOR > max)
            return MHD_NO;
    } else {
        buf_append(&request->body, data, *len);
    }
    *len = 0;
    return MHD_YES;
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *connection, const char *path,
                                 const char *method, const char *version, const char *data,
                                 size_t *len, void **context)
{
    struct web *web = ctx;
    struct web_request *request = *context;

    (void)version;
    if (request == NULL)
        return first_call(web, connection, path, method, context);
    if (*len > 0)
        return take_body(request, data, len);
    if (request->too_large && !request->responded)
        return refuse_length(request, request->received);
    if (!request->handed_over) {
        request->handed_over = true;
        web->in_hand++;
        web->config->on_request(web->config->ctx, request);
    }
    if (request->responded)
        return queue(request);
    request->suspended = true;
    MHD_suspend_connection(connection);
    return MHD_YES;
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct web_request *request = *context;

    (void)ctx;
    (void)connection;
    if (request == NULL)
        return;
    // A suspended connection is not watched, so a client that goes away is noticed after the
    // answer, unless a stream has it watched.
    assert(!request->handed_over || request->responded);
    if (request->response != NULL)
        MHD_destroy_response(request->response);
    *context = NULL;
    if (request->upgraded != NULL) {
        websocket_end(request->upgraded);
        request_give_back(request);
    } else if (request->streaming)
        web_stream_end(request, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    else
        request_give_back(request);
}

// --- listening -----------------------------------------------------------------------------------

// MHD's own would end a path or a parameter at %00, and so name something else.
static size_t unescape(void *ctx, struct MHD_Connection *connection, char *text)
{
    (void)ctx;
    (void)connection;
    return strstr(text, "%00") != NULL ? strlen(text) : MHD_http_unescape(text);
}

static int listen_unix(struct web *web, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    (void)snprintf(web->unix_path, sizeof web->unix_path, "%s", path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    (void)unlink(path); // of an earlier run; nobody else owns this name
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int listen_address(const struct addrinfo *info)
{
    int on = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int listen_tcp(struct web *web, const char *listen_on)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    struct sockaddr_storage bound;
    socklen_t bound_len = sizeof bound;
    struct addrinfo *info = NULL;
    char host[256];
    const char *colon = strrchr(listen_on, ':');
    size_t host_len = colon != NULL ? (size_t)(colon - listen_on) : 0;
    int fd = -1;

    if (colon == NULL || host_len >= sizeof host) {
        errno = EINVAL;
        return -1;
    }
    if (host_len >= 2 && listen_on[0] == '[' && listen_on[host_len - 1] == ']') {
        listen_on++;
        host_len -= 2;
    }
    memcpy(host, listen_on, host_len);
    host[host_len] = '\0';
    if (getaddrinfo(host_len > 0 ? host : NULL, colon + 1, &hints, &info) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    fd = listen_address(info);
    freeaddrinfo(info);
    if (fd >= 0 && getsockname(fd, (struct sockaddr *)&bound, &bound_len) == 0) {
        if (bound.ss_family == AF_INET)
            web->port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
        else if (bound.ss_family == AF_INET6)
            web->port = ntohs(((struct sockaddr_in6 *)&bound)->sin6_port);
    }
    return fd;
}

static int open_socket(struct web *web, const char *listen_on)
{
    if (strncmp(listen_on, "unix:", 5) == 0)
        return listen_unix(web, listen_on + 5);
    return listen_tcp(web, listen_on);
}

enum rc web_open(struct web **out, uv_loop_t *loop, const struct web_config *config)
{
    struct web *web = calloc(1, sizeof *web);
    const union MHD_DaemonInfo *info;
    int fd;

    if (web == NULL)
        abort();
    web->config = config;
    web->loop = loop;
    fd = open_socket(web, config->listen);
    if (fd < 0) {
        log_error("web.listen", "address=%s error=\"%s\"", config->listen, strerror(errno));
        free(web);
        return RC_CONFIG;
    }
    web->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE, 0, NULL, NULL, on_access, web,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, web,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES,
        MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_END);
    info = web->daemon != NULL ? MHD_get_daemon_info(web->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (info == NULL) {
        log_error("web.start", "address=%s error=\"libmicrohttpd did not start\"", config->listen);
        (void)close(fd);
        free(web);
        return RC_INTERNAL;
    }
    uv_timer_init(loop, &web->timer);
    web->timer.data = web;
    if (uv_poll_init(loop, &web->poll, info->epoll_fd) != 0)
        abort();
    web->poll.data = web;
    uv_poll_start(&web->poll, UV_READABLE, on_readable);
    uv_prepare_init(loop, &web->prepare);
    web->prepare.data = web;
    uv_prepare_start(&web->prepare, on_prepare);
    web->handles = 3;
    *out = web;
    return RC_OK;
}

unsigned web_port(const struct web *web)
{
    return web->port;
}

void web_stop_listening(struct web *web)
{
    int fd = MHD_quiesce_daemon(web->daemon);

    if (fd >= 0)
        (void)close(fd);
}

size_t web_in_hand(const struct web *web)
{
    return web->in_hand;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct web *web = handle->data;

    if (--web->handles > 0)
        return;
    while (web->spare != NULL) {
        struct web_request *request = web->spare;

        web->spare = request->next;
        web_request_free(request);
    }
    free(web);
}

void web_close(struct web *web)
{
    if (web == NULL)
        return;
    uv_poll_stop(&web->poll);
    web_stream_break_all(web);
    websocket_break_all(web);
    MHD_stop_daemon(web->daemon);
    if (web->unix_path[0] != '\0')
        (void)unlink(web->unix_path);
    uv_close((uv_handle_t *)&web->timer, on_handle_closed);
    uv_close((uv_handle_t *)&web->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&web->poll, on_handle_closed);
}
