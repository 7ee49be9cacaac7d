// The keys, each with a context of OpenSSL that has taken it in already: starting from that costs a
// tenth of starting from the bytes.
#include "broker/base/keyring.h"

#include "broker/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEYS_MAX 64
#define KEY_BYTES_MIN 32
#define FILE_BYTES_MAX 65536

struct key {
    int id;
    EVP_MAC_CTX *ctx; // owned
};

struct keyring {
    struct key keys[KEYS_MAX];
    size_t count;
};

static EVP_MAC_CTX *context_of(const void *key, size_t len)
{
    char sha256[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;

    if (ctx == NULL || EVP_MAC_init(ctx, key, len, params) != 1)
        abort();
    EVP_MAC_free(hmac); // the context has its own reference
    return ctx;
}

static const struct key *find(const struct keyring *ring, int id)
{
    const struct key *newest = NULL;

    for (size_t i = 0; i < ring->count; i++) {
        const struct key *key = &ring->keys[i];

        if (key->id == id)
            return key;
        if (newest == NULL || key->id > newest->id)
            newest = key;
    }
    return id == KEYRING_NEWEST ? newest : NULL;
}

static bool is_printable(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    }
    return true;
}

// A whole number at the beginning; 0: there is none that a key may have.
static int read_id(const char **text, const char *end)
{
    int id = 0;

    while (*text < end && **text >= '0' && **text <= '9' && id <= KEYRING_MAX_ID)
        id = id * 10 + (*(*text)++ - '0');
    return id <= KEYRING_MAX_ID ? id : 0;
}

// NULL, or what is wrong with the line.
static const char *read_line(struct keyring *ring, const char *line, const char *end)
{
    const char *at = line;
    int id;

    while (end > at && (end[-1] == '\r' || end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (at == end || *at == '#')
        return NULL;
    id = read_id(&at, end);
    if (id == 0 || at == end || (*at != ' ' && *at != '\t'))
        return "a line is not a number from 1 to 32767, a blank and a key";
    while (*at == ' ' || *at == '\t')
        at++;
    if ((size_t)(end - at) < KEY_BYTES_MIN || !is_printable(at, (size_t)(end - at)))
        return "a key is not 32 or more printable characters";
    if (find(ring, id) != NULL)
        return "two keys have the same number";
    if (ring->count == KEYS_MAX)
        return "it holds more than 64 keys";
    ring->keys[ring->count++] = (struct key){id, context_of(at, (size_t)(end - at))};
    return NULL;
}

enum rc keyring_parse(struct keyring **out, const char *text, size_t len, const char *what)
{
    struct keyring *ring = calloc(1, sizeof *ring);
    const char *end = text + len;
    const char *wrong = NULL;

    if (ring == NULL)
        abort();
    while (text < end && wrong == NULL) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline != NULL ? newline : end;

        wrong = read_line(ring, text, line_end);
        text = newline != NULL ? newline + 1 : end;
    }
    if (wrong == NULL && ring->count == 0)
        wrong = "it holds no key";
    if (wrong != NULL) {
        log_error("keyring.unusable", "file=\"%s\" reason=\"%s\"", what, wrong);
        keyring_close(ring);
        return RC_CONFIG;
    }
    *out = ring;
    return RC_OK;
}

enum rc keyring_open(struct keyring **ring, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = malloc(FILE_BYTES_MAX + 1);
    size_t len = 0;
    ssize_t got = fd < 0 ? -1 : 1;
    enum rc rc = RC_CONFIG;

    if (text == NULL)
        abort();
    while (got > 0 && len <= FILE_BYTES_MAX) {
        got = read(fd, text + len, FILE_BYTES_MAX + 1 - len);
        len += got > 0 ? (size_t)got : 0;
    }
    if (got < 0)
        log_error("keyring.unreadable", "file=\"%s\" error=\"%s\"", path, strerror(errno));
    else if (len > FILE_BYTES_MAX)
        log_error("keyring.unusable", "file=\"%s\" reason=\"it is too large\"", path);
    else
        rc = keyring_parse(ring, text, len, path);
    OPENSSL_cleanse(text, len);
    free(text);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

void keyring_close(struct keyring *ring)
{
    if (ring == NULL)
        return;
    for (size_t i = 0; i < ring->count; i++)
        EVP_MAC_CTX_free(ring->keys[i].ctx); // it wipes what it holds
    free(ring);
}

int keyring_newest(const struct keyring *ring)
{
    return find(ring, KEYRING_NEWEST)->id;
}

static void mac_of(EVP_MAC_CTX *ctx, const struct piece *pieces, size_t count,
                   uint8_t mac[DIGEST_BYTES])
{
    size_t len;

    for (size_t i = 0; i < count; i++) {
        if (pieces[i].len > 0 && EVP_MAC_update(ctx, pieces[i].data, pieces[i].len) != 1)
            abort();
    }
    if (EVP_MAC_final(ctx, mac, &len, DIGEST_BYTES) != 1 || len != DIGEST_BYTES)
        abort();
}

enum rc keyring_mac(const struct keyring *ring, int id, const struct piece *pieces, size_t count,
                    uint8_t mac[DIGEST_BYTES])
{
    const struct key *key = find(ring, id);

    if (key == NULL)
        return RC_NOT_FOUND;
    if (EVP_MAC_init(key->ctx, NULL, 0, NULL) != 1)
        abort();
    mac_of(key->ctx, pieces, count, mac);
    return RC_OK;
}

enum rc keyring_mac_for(const struct keyring *ring, int id, const char *purpose,
                        const struct piece *pieces, size_t count, uint8_t mac[DIGEST_BYTES])
{
    const struct piece name = {purpose, strlen(purpose)};
    uint8_t derived[DIGEST_BYTES];
    EVP_MAC_CTX *ctx;
    enum rc rc = keyring_mac(ring, id, &name, 1, derived);

    if (rc != RC_OK)
        return rc;
    ctx = context_of(derived, sizeof derived);
    mac_of(ctx, pieces, count, mac);
    EVP_MAC_CTX_free(ctx);
    OPENSSL_cleanse(derived, sizeof derived);
    return RC_OK;
}
