// SHA-256, and the texts that bytes are written as.
#ifndef BROKER_BASE_DIGEST_H
#define BROKER_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32
#define DIGEST_HEX_BYTES 65 // 64 characters and a NUL

// One piece of what is hashed. Pieces are framed by their length, so ("ab","c") and ("a","bc")
// differ.
struct piece {
    const void *data;
    size_t len;
};

// The plain SHA-256 of data.
void digest_of(uint8_t digest[DIGEST_BYTES], const void *data, size_t len);

// The SHA-256 of the framed pieces.
void digest_of_pieces(uint8_t digest[DIGEST_BYTES], const struct piece *pieces, size_t count);

// Lower case; text takes 2 * len characters and a NUL.
void hex_format(char *text, const uint8_t *data, size_t len);

// Lower case, exactly len bytes of it. False: it is something else.
bool hex_parse(const char *text, size_t text_len, uint8_t *data, size_t len);

// Takes the same time whatever the contents.
bool bytes_equal(const void *a, const void *b, size_t len);

// Unpadded URL-safe base64. text takes 4 * ((len + 2) / 3) characters and a NUL.
// Returns the length of the text.
size_t base64url_format(char *text, const uint8_t *data, size_t len);

// Returns false when text is not unpadded URL-safe base64 or is more than cap bytes.
bool base64url_parse(const char *text, size_t text_len, uint8_t *data, size_t cap, size_t *len);

// Base64 as RFC 4648 has it, with padding. text takes 4 * ((len + 2) / 3) characters and a NUL.
// Returns the length of the text. len: below 1 GB.
size_t base64_format(char *text, const void *data, size_t len);

// Returns false when text is not that. data takes 3 * (text_len / 4) bytes.
bool base64_parse(const char *text, size_t text_len, uint8_t *data, size_t *len);

#endif
