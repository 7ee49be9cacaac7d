// Deadlines of packets, met.
//
// A timer is a function of the packet (broker/packet/due.h); what is here is only an index of it in
// memory, built from a feed. Firing is a change like any other, on condition: any number of
// programs may hold the same timers, one of them does the step, and a program that dies takes
// nothing along.
#ifndef BROKER_RAIL_TIMERS_H
#define BROKER_RAIL_TIMERS_H

#include "broker/packet/due.h"
#include "broker/rail/handles.h"

struct timers;

struct timers_config {
    unsigned kinds; // which deadlines; see due.h
    // How long packets of a tenant live and stay, into spec. May be NULL: forever.
    void (*limits)(void *ctx, const char *tenant, struct due_spec *spec);
    // May a step be made of a packet that stands at this sequence? False: asked again a little
    // later. May be NULL: always.
    bool (*may_fire)(void *ctx, uint64_t sequence);
    // A step was made by this program. May be NULL.
    void (*on_fired)(void *ctx, const char *tenant, const char *packet_id,
                     const struct stored *stored);
    void *ctx;
};

// config is copied. Registers metrics: once in a program.
struct timers *timers_open(struct run *run, const struct timers_config *config);

// Tells of a packet as a feed does; one that is older than what is known is passed over.
void timers_note(struct timers *timers, const char *tenant, const char *packet_id,
                 const struct stored *stored);

// Starts no more steps.
void timers_drain(struct timers *timers);

// Steps under way.
size_t timers_in_hand(const struct timers *timers);

// NULL is allowed. Nothing may be in hand.
void timers_close(struct timers *timers);

// What is known may be of records that are gone: whatever is noted next of a packet counts, also if
// it is older.
void timers_reset(struct timers *timers);

#endif
