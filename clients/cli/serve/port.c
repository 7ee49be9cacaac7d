// Finds free ports, and holds them.
#include "clients/cli/serve/port.h"

#include "broker/base/id.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// Below the range that Linux takes the local ports of outgoing connections from. A client that
// tries again and again to reach a port inside that range, whose server is down, can be given that
// very port and end up connected to itself; the server could then never come back.
#define PICK_FIRST 10240
#define PICK_LAST 32767
#define PICK_TRIES 500

static bool is_free(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    bool free;

    if (fd < 0)
        return false;
    // Connections of an earlier server that are only waiting out their time do not count.
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    free = bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0;
    (void)close(fd);
    return free;
}

// A name that only one process can have at a time, and that goes with it. Nothing is connected to
// it. -1: somebody else has it.
static int hold(int port)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int len;

    if (fd < 0)
        return -1;
    // An abstract name: it begins with a NUL.
    len = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "handoffrail-port-%d", port);
    if (bind(fd, (struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

bool port_take(int port)
{
    int fd = hold(port);

    if (fd < 0)
        return false;
    if (is_free(port))
        return true; // fd stays open until the process ends
    (void)close(fd);
    return false;
}

enum rc port_pick(int *port)
{
    for (int i = 0; i < PICK_TRIES; i++) {
        uint16_t random;
        int candidate;

        random_bytes(&random, sizeof random);
        candidate = PICK_FIRST + random % (PICK_LAST - PICK_FIRST + 1);
        if (port_take(candidate)) {
            *port = candidate;
            return RC_OK;
        }
    }
    return RC_UNAVAILABLE;
}
