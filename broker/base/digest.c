// SHA-256 and byte texts.
#include "broker/base/digest.h"

#include <assert.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

void digest_of(uint8_t digest[DIGEST_BYTES], const void *data, size_t len)
{
    if (EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL) != 1)
        abort();
}

void digest_of_pieces(uint8_t digest[DIGEST_BYTES], const struct piece *pieces, size_t count)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
        abort();
    for (size_t i = 0; i < count; i++) {
        uint8_t frame[8];

        for (int byte = 0; byte < 8; byte++)
            frame[byte] = (uint8_t)((uint64_t)pieces[i].len >> (8 * (7 - byte)));
        if (EVP_DigestUpdate(ctx, frame, sizeof frame) != 1 ||
            EVP_DigestUpdate(ctx, pieces[i].data, pieces[i].len) != 1)
            abort();
    }
    if (EVP_DigestFinal_ex(ctx, digest, NULL) != 1)
        abort();
    EVP_MD_CTX_free(ctx);
}

void hex_format(char *text, const uint8_t *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        *text++ = digits[data[i] >> 4];
        *text++ = digits[data[i] & 15];
    }
    *text = '\0';
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return -1;
}

bool hex_parse(const char *text, size_t text_len, uint8_t *data, size_t len)
{
    if (text_len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(text[2 * i]);
        int low = hex_digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        data[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool bytes_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t base64url_format(char *text, const uint8_t *data, size_t len)
{
    char *at = text;

    for (size_t i = 0; i < len; i += 3) {
        size_t rest = len - i < 3 ? len - i : 3;
        unsigned long bits = (unsigned long)data[i] << 16;

        if (rest > 1)
            bits |= (unsigned long)data[i + 1] << 8;
        if (rest > 2)
            bits |= data[i + 2];
        for (size_t k = 0; k <= rest; k++)
            *at++ = alphabet[bits >> (18 - 6 * k) & 63];
    }
    *at = '\0';
    return (size_t)(at - text);
}

bool base64url_parse(const char *text, size_t text_len, uint8_t *data, size_t cap, size_t *len)
{
    unsigned long bits = 0;
    unsigned have = 0;
    size_t out = 0;

    if (text_len % 4 == 1)
        return false;
    for (size_t i = 0; i < text_len; i++) {
        const char *digit = text[i] != '\0' ? strchr(alphabet, text[i]) : NULL;

        if (digit == NULL)
            return false;
        bits = (bits << 6 | (unsigned long)(digit - alphabet)) & 0xffffff;
        have += 6;
        if (have >= 8) {
            have -= 8;
            if (out == cap)
                return false;
            data[out++] = (uint8_t)(bits >> have);
        }
    }
    if ((bits & ((1UL << have) - 1)) != 0)
        return false; // bits that no byte carries: two texts would mean the same
    *len = out;
    return true;
}

size_t base64_format(char *text, const void *data, size_t len)
{
    assert(len <= INT_MAX / 2);
    return (size_t)EVP_EncodeBlock((unsigned char *)text, data, (int)len);
}

bool base64_parse(const char *text, size_t text_len, uint8_t *data, size_t *len)
{
    size_t padding = 0;
    int decoded;

    if (text_len % 4 != 0 || text_len > INT_MAX / 2)
        return false;
    *len = 0;
    if (text_len == 0)
        return true;
    while (padding < 2 && text[text_len - 1 - padding] == '=')
        padding++;
    // It would skip blanks around the text.
    if (strchr(" \t\r\n\v\f", text[0]) != NULL || text[text_len - 1] <= ' ')
        return false;
    decoded = EVP_DecodeBlock(data, (const unsigned char *)text, (int)text_len);
    if (decoded < 0 || (size_t)decoded < padding)
        return false;
    *len = (size_t)decoded - padding;
    return true;
}
