// Counts connections by address. IPv4 is kept as the IPv6 address that stands for it, so that one
// comparison serves both.
#include "broker/web/peers.h"

#include "broker/base/log.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define ADDRESS_BYTES 16
#define V4_PREFIX_BITS 96
#define BLOCK_TEXT_MAX 64

struct peer {
    unsigned char address[ADDRESS_BYTES];
    size_t count;
    UT_hash_handle hh;
};

struct block {
    unsigned char address[ADDRESS_BYTES];
    unsigned bits; // of it that count
};

struct peers {
    struct peer *all;
    size_t max;
    struct block *trusted;
    size_t trusted_count;
};

static void widen(unsigned char out[ADDRESS_BYTES], const void *v4)
{
    memset(out, 0, 10);
    memset(out + 10, 0xff, 2);
    memcpy(out + 12, v4, 4);
}

// False: neither IPv4 nor IPv6.
static bool address_of(unsigned char out[ADDRESS_BYTES], const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        widen(out, &((const struct sockaddr_in *)(const void *)address)->sin_addr);
    else if (address->sa_family == AF_INET6)
        memcpy(out, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
               ADDRESS_BYTES);
    else
        return false;
    return true;
}

// "address" or "address/bits".
static bool read_block(struct block *block, const char *text)
{
    char host[BLOCK_TEXT_MAX];
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
    unsigned char v4[4];
    unsigned long bits = 0;
    unsigned prefix = 0;
    unsigned most = 8 * ADDRESS_BYTES;
    char *end = NULL;

    if (len >= sizeof host)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    if (inet_pton(AF_INET, host, v4) == 1) {
        widen(block->address, v4);
        prefix = V4_PREFIX_BITS;
        most = 32;
    } else if (inet_pton(AF_INET6, host, block->address) != 1) {
        return false;
    }
    bits = most;
    if (slash != NULL) {
        if (slash[1] < '0' || slash[1] > '9')
            return false;
        bits = strtoul(slash + 1, &end, 10);
        if (*end != '\0')
            return false;
    }
    block->bits = prefix + (unsigned)(bits <= most ? bits : most);
    return bits <= most;
}

static bool is_in(const struct block *block, const unsigned char address[ADDRESS_BYTES])
{
    unsigned bytes = block->bits / 8;
    unsigned rest = block->bits % 8;
    unsigned mask = 0xffU << (8 - rest);

    if (memcmp(block->address, address, bytes) != 0)
        return false;
    return rest == 0 || ((block->address[bytes] ^ address[bytes]) & mask & 0xffU) == 0;
}

static bool is_trusted(const struct peers *peers, const unsigned char address[ADDRESS_BYTES])
{
    for (size_t i = 0; i < peers->trusted_count; i++) {
        if (is_in(&peers->trusted[i], address))
            return true;
    }
    return false;
}

static bool add_block(struct peers *peers, const char *text, size_t len)
{
    char copy[BLOCK_TEXT_MAX];
    struct block *more;

    if (len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    more = realloc(peers->trusted, (peers->trusted_count + 1) * sizeof *more);
    if (more == NULL)
        abort();
    peers->trusted = more;
    return read_block(&peers->trusted[peers->trusted_count++], copy);
}

enum rc peers_create(struct peers **out, size_t max, const char *trusted)
{
    struct peers *peers = calloc(1, sizeof *peers);
    const char *at = trusted != NULL ? trusted : "";

    if (peers == NULL)
        abort();
    peers->max = max;
    for (at += strspn(at, ", "); *at != '\0'; at += strspn(at, ", ")) {
        size_t len = strcspn(at, ", ");

        if (!add_block(peers, at, len)) {
            log_error("web.trusted", "reason=\"not an address or block\" value=\"%.*s\"", (int)len,
                      at);
            peers_destroy(peers);
            return RC_CONFIG;
        }
        at += len;
    }
    *out = peers;
    return RC_OK;
}

void peers_destroy(struct peers *peers)
{
    if (peers == NULL)
        return;
    free(peers->trusted);
    free(peers);
}

// A host has a whole /64 of IPv6: it is counted as one.
static void narrow(unsigned char address[ADDRESS_BYTES])
{
    static const unsigned char v4[12] = {[10] = 0xff, [11] = 0xff};

    if (memcmp(address, v4, sizeof v4) != 0)
        memset(address + ADDRESS_BYTES / 2, 0, ADDRESS_BYTES / 2);
}

bool peers_enter(struct peers *peers, const struct sockaddr *address, struct peer **out)
{
    unsigned char key[ADDRESS_BYTES];
    struct peer *peer;

    *out = NULL;
    if (peers->max == 0 || !address_of(key, address) || is_trusted(peers, key))
        return true;
    narrow(key);
    HASH_FIND(hh, peers->all, key, sizeof key, peer);
    if (peer == NULL) {
        peer = calloc(1, sizeof *peer);
        if (peer == NULL)
            abort();
        memcpy(peer->address, key, sizeof key);
        HASH_ADD(hh, peers->all, address, sizeof key, peer);
    }
    if (peer->count == peers->max)
        return false;
    peer->count++;
    *out = peer;
    return true;
}

void peers_leave(struct peers *peers, struct peer *peer)
{
    if (peer == NULL || --peer->count > 0)
        return;
    HASH_DEL(peers->all, peer);
    free(peer);
}
