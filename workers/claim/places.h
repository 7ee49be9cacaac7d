// The places in which agents wait for a packet, and how many each tenant and each key has taken.
// Loop thread.
#ifndef WORKERS_CLAIM_PLACES_H
#define WORKERS_CLAIM_PLACES_H

#include <stdbool.h>
#include <stddef.h>

struct share;

struct places {
    size_t max;
    size_t taken;
    struct share *shares; // of tenants and of keys that have any; zero at first
};

// A tenant may have half of the places, and a key a quarter, so that nobody takes them all.
bool places_have_room(const struct places *places, const char *tenant, const char *key_id);

void places_take(struct places *places, const char *tenant, const char *key_id);

// Gives back one that was taken.
void places_free(struct places *places, const char *tenant, const char *key_id);

#endif
