// claim-next: gives each agent that asks the best packet for it, now or as soon as there is one.
//
// Tenants take turns, so that one with many agents does not keep another waiting. An agent that
// waits costs memory and nothing else; it is given the next packet that fits, first come first
// served. Who gets a packet is decided by the append, so several workers may try the same one.
#ifndef WORKERS_CLAIM_NEXT_H
#define WORKERS_CLAIM_NEXT_H

#include "broker/rail/service.h"
#include "workers/claim/give_back.h"
#include "workers/claim/offers.h"

struct next;

// offers, store, give_back: borrowed. waiting_max: how many may wait; more are refused, and so is a
// tenant with half of them, or a key with a quarter. Registers metrics: once in a program.
struct next *next_open(uv_loop_t *loop, struct store *store, struct offers *offers,
                       struct give_back *give_back, size_t waiting_max);

// Nothing may be in hand: drain, and let the service's commands be answered, first. NULL is
// allowed.
void next_close(struct next *next);

// All offers there are have been noted. Until then the one who asks is kept: to say that there is
// nothing would be a guess.
void next_begin(struct next *next);

// A packet.claim-next; answered now or later. aging_us: see struct wish.
void next_claim(struct next *next, struct command *command, int64_t aging_us);

// The requester, who acts with this key, waits no more. reply: the subject its answer would go to.
// Does nothing unless it waits.
void next_withdraw(struct next *next, const char *tenant, const char *key_id, const char *reply,
                   size_t reply_len);

// There is an offer that was not there, or has changed.
void next_wake(struct next *next, const char *tenant, struct offer *offer);

// Everybody who waits is told that there is nothing, and so is the one who asks from now on.
void next_drain(struct next *next);

#endif
