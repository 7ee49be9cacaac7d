// Tables of networks: what is not public is blocked, also inside of IPv6 forms that carry an IPv4
// address.
#include "workers/webhook/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

static const struct {
    uint32_t net;
    unsigned bits;
} blocked4[] = {
    {0x00000000, 8 }, // this network
    {0x0a000000, 8 }, // private
    {0x64400000, 10}, // shared by carriers
    {0x7f000000, 8 }, // loopback
    {0xa9fe0000, 16}, // link-local
    {0xac100000, 12}, // private
    {0xc0000000, 24}, // protocol assignments
    {0xc0586300, 24}, // 6to4 relays
    {0xc0a80000, 16}, // private
    {0xc6120000, 15}, // benchmarks
    {0xe0000000, 4 }, // multicast
    {0xf0000000, 4 }, // reserved, and broadcast
};

static bool is_blocked4(uint32_t ip)
{
    for (size_t i = 0; i < sizeof blocked4 / sizeof blocked4[0]; i++) {
        if ((ip ^ blocked4[i].net) >> (32 - blocked4[i].bits) == 0)
            return true;
    }
    return false;
}

static uint32_t ip_at(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool begins(const uint8_t *ip, const char *prefix, size_t len)
{
    return memcmp(ip, prefix, len) == 0;
}

// Only 2000::/3 is handed out to the public; the rest is local, multicast, or means something else.
static bool is_blocked6(const uint8_t *ip)
{
    static const char zeros[12] = {0};

    if (begins(ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12)) // mapped
        return is_blocked4(ip_at(ip + 12));
    if (begins(ip, zeros, 12)) // compatible, unspecified, loopback
        return true;
    if (begins(ip, "\x00\x64\xff\x9b\0\0\0\0\0\0\0\0", 12)) // NAT64
        return is_blocked4(ip_at(ip + 12));
    if (begins(ip, "\x20\x02", 2)) // 6to4
        return is_blocked4(ip_at(ip + 2));
    if (begins(ip, "\x20\x01\0\0", 4)) // Teredo: the client's address, inverted
        return is_blocked4(~ip_at(ip + 12));
    return (ip[0] & 0xe0) != 0x20;
}

bool address_is_blocked(const struct sockaddr *address)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    if (address->sa_family == AF_INET) {
        memcpy(&in, address, sizeof in);
        return is_blocked4(ntohl(in.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        memcpy(&in6, address, sizeof in6);
        return is_blocked6(in6.sin6_addr.s6_addr);
    }
    return true;
}

bool address_parse(struct sockaddr_storage *address, const char *host)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    char bare[INET6_ADDRSTRLEN];
    size_t len = strcspn(host, "%"); // without a zone

    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
        memcpy(address, &in, sizeof in);
        return true;
    }
    if (len >= sizeof bare)
        return false;
    memcpy(bare, host, len);
    bare[len] = '\0';
    if (inet_pton(AF_INET6, bare, &in6.sin6_addr) != 1)
        return false;
    memcpy(address, &in6, sizeof in6);
    return true;
}

bool address_name_is_blocked(const char *host)
{
    static const char *const names[] = {"localhost", "metadata", "metadata.google.internal"};
    size_t len = strlen(host);

    if (len > 0 && host[len - 1] == '.') // the same name, written in full
        len--;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i]) == len && strncasecmp(names[i], host, len) == 0)
            return true;
    }
    return len > 10 && strncasecmp(host + len - 10, ".localhost", 10) == 0;
}

bool address_is_allowed(const char *list, const char *host)
{
    size_t len = strlen(host);

    while (*list != '\0') {
        size_t item;

        list += strspn(list, ", ");
        item = strcspn(list, ", ");
        if (item > 0 && item == len && strncasecmp(list, host, len) == 0)
            return true;
        list += item;
    }
    return false;
}
