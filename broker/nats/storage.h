// Has JetStream room for what this program stores?
//
// Every answer to an append passes here. A refusal for lack of room holds for STORAGE_FULL_MS: a
// small message may still find room where the next large one does not.
#ifndef BROKER_NATS_STORAGE_H
#define BROKER_NATS_STORAGE_H

#include <stdbool.h>
#include <stdint.h>

#define STORAGE_FULL_MS 10000
#define STORAGE_REASON "NATS has no room" // why a program is not ready

// Is it one of the server's error codes for a limit of its storage, or for a disk that takes
// nothing more?
bool storage_code_means_full(uint64_t err_code);

// An append was refused for lack of room; said once, and again when there was room in between.
void storage_refused(uint64_t err_code);

// True for STORAGE_FULL_MS after a refusal. Loop thread, as all of it.
bool storage_is_full(void);

#endif
