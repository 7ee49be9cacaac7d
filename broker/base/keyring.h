// Numbered secret keys out of a file, and the HMAC-SHA-256 that they make.
//
// A line of the file is a number from 1 to 32767, a blank, and at least 32 printable characters,
// whose bytes are the key as they stand ("openssl rand -base64 32" makes one). Empty lines and
// lines that begin with # say nothing. What is new is made with the highest number; the others stay
// in the file for as long as something made with them has to be checked.
#ifndef BROKER_BASE_KEYRING_H
#define BROKER_BASE_KEYRING_H

#include "broker/base/digest.h"
#include "broker/base/rc.h"

struct keyring;

#define KEYRING_MAX_ID 32767
#define KEYRING_NEWEST 0 // stands for the highest number

// RC_CONFIG: there is no such file, or it holds something else; logged, without its contents.
enum rc keyring_open(struct keyring **ring, const char *path) MUST_CHECK;

// The same from a text that somebody has read already. what: how the log calls it.
enum rc keyring_parse(struct keyring **ring, const char *text, size_t len,
                      const char *what) MUST_CHECK;

// NULL is allowed. Overwrites the keys.
void keyring_close(struct keyring *ring);

int keyring_newest(const struct keyring *ring);

// The HMAC of the pieces, one behind the other and not framed. RC_NOT_FOUND: no key has this
// number. One thread at a time.
enum rc keyring_mac(const struct keyring *ring, int id, const struct piece *pieces, size_t count,
                    uint8_t mac[DIGEST_BYTES]) MUST_CHECK;

// The same with a key for another purpose: HMAC(key, purpose).
enum rc keyring_mac_for(const struct keyring *ring, int id, const char *purpose,
                        const struct piece *pieces, size_t count,
                        uint8_t mac[DIGEST_BYTES]) MUST_CHECK;

#endif
