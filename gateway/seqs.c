// A hash table from tenant to sequence. It only grows; there are as many entries as tenants that
// wrote.
#include "gateway/seqs.h"

#include "broker/base/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 64

struct entry {
    char tenant[TOKEN_MAX + 1]; // "": free
    uint64_t sequence;
};

struct seqs {
    struct entry *entries;
    size_t slots; // a power of two
    size_t count;
};

static size_t find(const struct entry *entries, size_t slots, const char *tenant)
{
    uint64_t hash = 1469598103934665603ULL;
    size_t at;

    for (const char *c = tenant; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211ULL;
    at = hash & (slots - 1);
    while (entries[at].tenant[0] != '\0' && strcmp(entries[at].tenant, tenant) != 0)
        at = (at + 1) & (slots - 1);
    return at;
}

static struct entry *entries_create(size_t slots)
{
    struct entry *entries = calloc(slots, sizeof *entries);

    if (entries == NULL)
        abort();
    return entries;
}

struct seqs *seqs_create(void)
{
    struct seqs *seqs = calloc(1, sizeof *seqs);

    if (seqs == NULL)
        abort();
    seqs->slots = SLOTS_FIRST;
    seqs->entries = entries_create(seqs->slots);
    return seqs;
}

void seqs_destroy(struct seqs *seqs)
{
    if (seqs == NULL)
        return;
    free(seqs->entries);
    free(seqs);
}

uint64_t seqs_get(const struct seqs *seqs, const char *tenant)
{
    return seqs->entries[find(seqs->entries, seqs->slots, tenant)].sequence;
}

static void grow(struct seqs *seqs)
{
    size_t slots = seqs->slots * 2;
    struct entry *entries = entries_create(slots);

    for (size_t i = 0; i < seqs->slots; i++) {
        if (seqs->entries[i].tenant[0] != '\0')
            entries[find(entries, slots, seqs->entries[i].tenant)] = seqs->entries[i];
    }
    free(seqs->entries);
    seqs->entries = entries;
    seqs->slots = slots;
}

void seqs_raise(struct seqs *seqs, const char *tenant, uint64_t sequence)
{
    struct entry *entry = &seqs->entries[find(seqs->entries, seqs->slots, tenant)];

    if (entry->tenant[0] == '\0') {
        if (++seqs->count * 2 > seqs->slots) {
            grow(seqs);
            entry = &seqs->entries[find(seqs->entries, seqs->slots, tenant)];
        }
        (void)snprintf(entry->tenant, sizeof entry->tenant, "%s", tenant);
    }
    if (sequence > entry->sequence)
        entry->sequence = sequence;
}

void seqs_cap(struct seqs *seqs, uint64_t last)
{
    for (size_t i = 0; i < seqs->slots; i++) {
        if (seqs->entries[i].sequence > last)
            seqs->entries[i].sequence = last;
    }
}
