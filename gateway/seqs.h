// The highest sequence this gateway has acknowledged to each tenant, so that a list it serves
// afterwards shows the tenant's own writes.
#ifndef GATEWAY_SEQS_H
#define GATEWAY_SEQS_H

#include <stdint.h>

struct seqs;

struct seqs *seqs_create(void);
void seqs_destroy(struct seqs *seqs); // NULL is allowed

// 0: nothing yet.
uint64_t seqs_get(const struct seqs *seqs, const char *tenant);

// Keeps the larger one.
void seqs_raise(struct seqs *seqs, const char *tenant, uint64_t sequence);

// The stream ends at last: what was remembered beyond that is gone, and must not be waited for.
void seqs_cap(struct seqs *seqs, uint64_t last);

#endif
