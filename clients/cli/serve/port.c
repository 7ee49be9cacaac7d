// Finds free ports.
#include "clients/cli/serve/port.h"

#include "broker/base/id.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

// Below the range that Linux takes the local ports of outgoing connections from. A client that
// tries again and again to reach a port inside that range, whose server is down, can be given that
// very port and end up connected to itself; the server could then never come back.
#define PICK_FIRST 10240
#define PICK_LAST 32767
#define PICK_TRIES 500

bool port_is_free(int port)
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

enum rc port_pick(int *port)
{
    for (int i = 0; i < PICK_TRIES; i++) {
        uint16_t random;
        int candidate;

        random_bytes(&random, sizeof random);
        candidate = PICK_FIRST + random % (PICK_LAST - PICK_FIRST + 1);
        if (port_is_free(candidate)) {
            *port = candidate;
            return RC_OK;
        }
    }
    return RC_UNAVAILABLE;
}
