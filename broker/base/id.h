// Identifiers: UUIDs and the tokens that subjects are made of.
#ifndef BROKER_BASE_ID_H
#define BROKER_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UUID_BYTES 16
#define UUID_TEXT_BYTES 37 // 36 characters and a NUL
#define TOKEN_MAX 64       // characters in a tenant or key id

struct uuid {
    uint8_t bytes[UUID_BYTES];
};

// Cryptographically random; aborts when the system has none to give.
void random_bytes(void *out, size_t len);

// Version 7: 48 bits of milliseconds, then 74 random bits. Later ones sort behind earlier ones.
struct uuid uuid_new(void);

// Version 8: made of the first bytes of a SHA-256, so the same digest gives the same id.
struct uuid uuid_from_digest(const uint8_t digest[32]);

// Lower case with hyphens.
void uuid_format(char text[UUID_TEXT_BYTES], const struct uuid *uuid);

// Any usual spelling: upper or lower case, with or without hyphens, in braces, behind "urn:uuid:".
// Returns NULL and sets *uuid, or returns why not (a static phrase).
const char *uuid_parse(const char *text, size_t len, struct uuid *uuid);

// True for 1..TOKEN_MAX characters out of A-Z a-z 0-9 _ and -: nothing that means something in a
// subject, a header, a path or a permission.
bool token_is_safe(const char *text, size_t len);

#endif
