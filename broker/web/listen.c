// Turns "host:port", "[v6]:port" or "unix:/path" into a listening handle.
#include "broker/web/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static int unix_listen(struct web *web, const char *path)
{
    if (strlen(path) >= sizeof web->unix_path ||
        strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return UV_ENAMETOOLONG;
    (void)snprintf(web->unix_path, sizeof web->unix_path, "%s", path);
    web->is_unix = true;
    (void)unlink(path); // of an earlier run; nobody else owns this name
    (void)uv_pipe_init(web->loop, &web->listener.pipe, 0);
    return uv_pipe_bind(&web->listener.pipe, path);
}

// Splits "host:port" at its last colon; host loses the brackets of IPv6.
static int split(const char *listen_on, char *host, size_t room, const char **port)
{
    const char *colon = strrchr(listen_on, ':');
    size_t len = colon != NULL ? (size_t)(colon - listen_on) : 0;

    if (colon == NULL)
        return UV_EINVAL;
    if (len >= 2 && listen_on[0] == '[' && listen_on[len - 1] == ']') {
        listen_on++;
        len -= 2;
    }
    if (len >= room)
        return UV_EINVAL;
    memcpy(host, listen_on, len);
    host[len] = '\0';
    *port = colon + 1;
    return 0;
}

static void note_port(struct web *web)
{
    struct sockaddr_storage bound;
    int len = sizeof bound;

    if (uv_tcp_getsockname(&web->listener.tcp, (struct sockaddr *)&bound, &len) != 0)
        return;
    if (bound.ss_family == AF_INET)
        web->port = ntohs(((struct sockaddr_in *)(void *)&bound)->sin_port);
    else if (bound.ss_family == AF_INET6)
        web->port = ntohs(((struct sockaddr_in6 *)(void *)&bound)->sin6_port);
}

static int tcp_listen(struct web *web, const char *listen_on)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *info = NULL;
    const char *port = NULL;
    char host[256];
    int status;

    (void)uv_tcp_init(web->loop, &web->listener.tcp);
    status = split(listen_on, host, sizeof host, &port);
    if (status != 0)
        return status;
    if (getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &info) != 0)
        return UV_EADDRNOTAVAIL;
    status = uv_tcp_bind(&web->listener.tcp, info->ai_addr, 0);
    freeaddrinfo(info);
    return status;
}

enum rc web_listen(struct web *web, const char *listen_on, uv_connection_cb on_connection)
{
    int status = strncmp(listen_on, "unix:", 5) == 0 ? unix_listen(web, listen_on + 5)
                                                     : tcp_listen(web, listen_on);

    web->listener.any.data = web;
    if (status == 0)
        status = uv_listen(&web->listener.stream, BACKLOG, on_connection);
    if (status != 0) {
        errno = -status;
        return RC_CONFIG;
    }
    web->listening = true;
    if (!web->is_unix)
        note_port(web);
    return RC_OK;
}
