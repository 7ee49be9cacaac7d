// AES-256-GCM. The key of each hook is made from the deployment's, so a nonce would have to repeat
// for one hook to do harm.
#include "workers/webhook/secret.h"

#include "broker/base/id.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#define NONCE_BYTES 12
#define TAG_BYTES 16
#define PURPOSE "webhook secret"

static enum rc hook_key(const struct keyring *ring, int id, const char *tenant, const char *hook_id,
                        uint8_t key[DIGEST_BYTES])
{
    const struct piece pieces[] = {
        {tenant,  strlen(tenant) + 1}, // with its NUL: ("ab","c") is not ("a","bc")
        {hook_id, strlen(hook_id)   },
    };

    return keyring_mac_for(ring, id, PURPOSE, pieces, 2, key);
}

static EVP_CIPHER_CTX *context(void)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    if (ctx == NULL)
        abort();
    return ctx;
}

Hr__SealedSecret *secret_seal(const struct keyring *ring, struct arena *arena, const char *tenant,
                              const char *hook_id, Text secret)
{
    Hr__SealedSecret *sealed = wire_new(arena, &hr__sealed_secret__descriptor);
    EVP_CIPHER_CTX *ctx = context();
    int id = keyring_newest(ring);
    uint8_t key[DIGEST_BYTES];
    int len = 0;
    int rest = 0;
    bool ok = hook_key(ring, id, tenant, hook_id, key) == RC_OK;

    assert(secret.len <= SECRET_BYTES_MAX);
    sealed->has_key = true;
    sealed->key = (uint32_t)id;
    sealed->has_nonce = true;
    sealed->nonce = (Text){NONCE_BYTES, arena_alloc(arena, NONCE_BYTES)};
    random_bytes(sealed->nonce.data, NONCE_BYTES);
    sealed->has_sealed = true;
    sealed->sealed = (Text){secret.len + TAG_BYTES, arena_alloc(arena, secret.len + TAG_BYTES)};
    ok = ok && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, sealed->nonce.data) == 1 &&
         EVP_EncryptUpdate(ctx, sealed->sealed.data, &len, secret.data, (int)secret.len) == 1 &&
         EVP_EncryptFinal_ex(ctx, sealed->sealed.data + len, &rest) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES,
                             sealed->sealed.data + secret.len) == 1;
    OPENSSL_cleanse(key, sizeof key);
    EVP_CIPHER_CTX_free(ctx);
    if (!ok)
        abort(); // nothing from outside can make it fail
    return sealed;
}

enum rc secret_open(const struct keyring *ring, const Hr__SealedSecret *sealed, const char *tenant,
                    const char *hook_id, uint8_t secret[SECRET_BYTES_MAX], size_t *len)
{
    uint8_t key[DIGEST_BYTES];
    EVP_CIPHER_CTX *ctx;
    size_t size;
    int done = 0;
    int rest = 0;
    bool ok;

    if (sealed == NULL || sealed->nonce.len != NONCE_BYTES || sealed->sealed.len < TAG_BYTES ||
        sealed->sealed.len > SECRET_BYTES_MAX + TAG_BYTES || sealed->key == KEYRING_NEWEST)
        return RC_CORRUPT;
    if (hook_key(ring, (int)sealed->key, tenant, hook_id, key) != RC_OK)
        return RC_NOT_FOUND;
    size = sealed->sealed.len - TAG_BYTES;
    ctx = context();
    ok = EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, sealed->nonce.data) == 1 &&
         EVP_DecryptUpdate(ctx, secret, &done, sealed->sealed.data, (int)size) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, sealed->sealed.data + size) ==
             1 &&
         EVP_DecryptFinal_ex(ctx, secret + done, &rest) == 1;
    OPENSSL_cleanse(key, sizeof key);
    EVP_CIPHER_CTX_free(ctx);
    if (!ok) {
        OPENSSL_cleanse(secret, SECRET_BYTES_MAX);
        return RC_CORRUPT;
    }
    *len = size;
    return RC_OK;
}
