// Takes the records that a stub stands for out of the stream, one by one.
//
// Not with a rollup and not with a purge by subject: with nats-server 2.9 both make every consumer
// that is behind skip whatever lies before the message that stays, of all subjects
// (docs/decisions/025).
#ifndef WORKERS_EXPIRY_SWEEP_H
#define WORKERS_EXPIRY_SWEEP_H

#include "broker/run/run.h"

struct sweep;

// Registers metrics: once in a program.
struct sweep *sweep_open(struct run *run);

// What is in hand goes on, nothing else is begun.
void sweep_drain(struct sweep *sweep);
size_t sweep_in_hand(const struct sweep *sweep);

// NULL is allowed. Nothing may be in hand.
void sweep_close(struct sweep *sweep);

// The packet's record at sequence is its stub: what lies before it goes. It may be told again, and
// by several workers; nothing is lost if it is forgotten by a crash but the room that it takes.
void sweep_packet(struct sweep *sweep, const char *tenant, const char *packet_id,
                  uint64_t sequence);

#endif
