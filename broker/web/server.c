// The server: accepts connections, bounds how many there are, and looks at their deadlines.
#include "broker/web/internal.h"

#include "broker/base/log.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <utlist.h>

#define TICK_MS 1000
#define CONNECTIONS_DEFAULT 10000
#define FILES_BESIDE 256 // descriptors of the program that are no connections
#define FILES_LEAST 64   // of connections, however few descriptors there are
#define LARGE_BODIES (8 * 1024 * 1024)

// --- the end of it -------------------------------------------------------------------------------

// Once all of libuv's handles are closed, those of connections included.
static void free_if_done(struct web *web)
{
    if (web->handles > 0 || web->connection_count > 0)
        return;
    requests_free(web);
    peers_destroy(web->peers);
    buf_fini(&web->scratch);
    buf_fini(&web->answer);
    free(web);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct web *web = handle->data;

    web->handles--;
    free_if_done(web);
}

// --- connections ---------------------------------------------------------------------------------

static void on_connection_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;

    connection->handle_closed = true;
    if (connection->socket != NULL)
        websocket_end(connection->socket);
    connection_free_if_done(connection);
}

void connection_free_if_done(struct connection *connection)
{
    struct web *web = connection->web;

    if (!connection->handle_closed || connection->request != NULL)
        return;
    DL_DELETE(web->connections, connection);
    web->connection_count--;
    buf_fini(&connection->early);
    free(connection);
    free_if_done(web);
}

void connection_cut(struct connection *connection)
{
    struct web *web = connection->web;

    if (connection->phase == PHASE_CLOSED)
        return;
    connection_set_phase(connection, PHASE_CLOSED);
    connection->gone = true;
    peers_leave(web->peers, connection->peer);
    connection->peer = NULL;
    if (connection->request != NULL && !connection->request->handed_over)
        request_give_back(connection->request);
    uv_close(&connection->handle.any, on_connection_closed);
    if (connection->request != NULL && connection->request->streaming)
        stream_client_gone(connection->request);
}

// Makes room for one more. False: everybody is busy with a request.
static bool make_room(struct web *web)
{
    if (web->connection_count < web->connections_max)
        return true;
    if (web->waiting == NULL)
        return false;
    web->turned_away++;
    connection_cut(web->waiting);
    return true;
}

static struct connection *connection_create(struct web *web)
{
    struct connection *connection = calloc(1, sizeof *connection);

    if (connection == NULL)
        abort();
    connection->web = web;
    if (web->is_unix)
        (void)uv_pipe_init(web->loop, &connection->handle.pipe, 0);
    else
        (void)uv_tcp_init(web->loop, &connection->handle.tcp);
    connection->handle.any.data = connection;
    DL_APPEND(web->connections, connection);
    web->connection_count++;
    return connection;
}

// Is the address allowed one more?
static bool enter(struct connection *connection)
{
    struct sockaddr_storage address;
    int len = sizeof address;

    if (connection->web->is_unix)
        return true;
    (void)uv_tcp_nodelay(&connection->handle.tcp, 1);
    if (uv_tcp_getpeername(&connection->handle.tcp, (struct sockaddr *)&address, &len) != 0)
        return false; // gone already
    return peers_enter(connection->web->peers, (struct sockaddr *)&address, &connection->peer);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct web *web = listener->data;
    struct connection *connection;
    bool has_room;

    if (status != 0) {
        log_warn("web.accept", "error=\"%s\"", uv_strerror(status));
        return;
    }
    has_room = make_room(web);
    connection = connection_create(web);
    if (uv_accept(listener, &connection->handle.stream) != 0 || !has_room || !enter(connection)) {
        web->turned_away++;
        connection_cut(connection);
        return;
    }
    connection_begin(connection);
}

// --- time ----------------------------------------------------------------------------------------

static void on_tick(uv_timer_t *timer)
{
    struct web *web = timer->data;
    struct connection *connection;
    struct connection *next;
    uint64_t now = uv_now(web->loop);

    DL_FOREACH_SAFE(web->connections, connection, next)
    {
        connection_tick(connection, now);
    }
    if (web->turned_away > 0) {
        log_warn("web.turned_away", "count=%zu connections=%zu", web->turned_away,
                 web->connection_count);
        web->turned_away = 0;
    }
    // What large bodies took goes back to the system when the last of them is gone.
    web->had_large_bodies = web->had_large_bodies || web->bodies > LARGE_BODIES;
    if (web->had_large_bodies && web->bodies == 0) {
        web->had_large_bodies = false;
        (void)malloc_trim(0);
    }
}

// The loop is about to poll: what was put off during its turn is done.
static void on_prepare(uv_prepare_t *prepare)
{
    struct web *web = prepare->data;

    streams_run(web);
    requests_settle(web);
}

// --- opening and closing -------------------------------------------------------------------------

// Allows the program as many descriptors as the system does, and bounds connections by them.
static size_t connections_possible(size_t wanted)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return wanted;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        log_warn("web.files", "error=\"%s\"", strerror(errno));
    if (files.rlim_cur == RLIM_INFINITY || wanted + FILES_BESIDE <= files.rlim_cur)
        return wanted;
    wanted = files.rlim_cur > FILES_BESIDE + FILES_LEAST ? (size_t)files.rlim_cur - FILES_BESIDE
                                                         : FILES_LEAST;
    log_warn("web.files", "connections=%zu reason=\"the system allows no more descriptors\"",
             wanted);
    return wanted;
}

enum rc web_open(struct web **out, uv_loop_t *loop, const struct web_config *config)
{
    struct web *web = calloc(1, sizeof *web);
    enum rc rc;

    if (web == NULL)
        abort();
    web->config = config;
    web->loop = loop;
    rc = peers_create(&web->peers, config->per_address_max, config->trusted);
    if (rc != RC_OK) {
        free(web);
        return rc;
    }
    web->connections_max = connections_possible(
        config->connections_max > 0 ? config->connections_max : CONNECTIONS_DEFAULT);
    rc = web_listen(web, config->listen, on_connection);
    if (rc != RC_OK)
        log_error("web.listen", "address=%s error=\"%s\"", config->listen, strerror(errno));
    uv_timer_init(loop, &web->timer);
    web->timer.data = web;
    uv_prepare_init(loop, &web->prepare);
    web->prepare.data = web;
    web->handles = 3;
    if (rc != RC_OK) {
        web_close(web);
        return rc;
    }
    uv_timer_start(&web->timer, on_tick, TICK_MS, TICK_MS);
    uv_prepare_start(&web->prepare, on_prepare);
    *out = web;
    return RC_OK;
}

unsigned web_port(const struct web *web)
{
    return web->port;
}

static void close_listener(struct web *web)
{
    if (!uv_is_closing(&web->listener.any))
        uv_close(&web->listener.any, on_handle_closed);
}

void web_stop_keeping_alive(struct web *web)
{
    web->stopping = true;
}

void web_stop_listening(struct web *web)
{
    struct connection *connection;
    struct connection *next;

    web->stopping = true;
    close_listener(web);
    DL_FOREACH_SAFE(web->connections, connection, next)
    {
        if (connection->phase == PHASE_IDLE)
            connection_cut(connection);
    }
}

size_t web_in_hand(const struct web *web)
{
    return web->in_hand;
}

void web_close(struct web *web)
{
    struct connection *connection;
    struct connection *next;

    if (web == NULL)
        return;
    web->stopping = true;
    DL_FOREACH_SAFE(web->connections, connection, next)
    {
        if (connection->request != NULL && connection->request->streaming)
            stream_break(connection->request);
        connection_cut(connection);
        // What its owner uses is gone when the handle is closed.
        if (connection->socket != NULL)
            websocket_let_go(connection->socket);
    }
    streams_run(web);
    close_listener(web);
    if (web->unix_path[0] != '\0')
        (void)unlink(web->unix_path);
    uv_close((uv_handle_t *)&web->timer, on_handle_closed);
    uv_close((uv_handle_t *)&web->prepare, on_handle_closed);
}
