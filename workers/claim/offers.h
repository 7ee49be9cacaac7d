// The open packets, by who may take them: what claim-next picks from.
//
// An index in memory, told by a feed. It may be behind the stream; the append that claims is not.
#ifndef WORKERS_CLAIM_OFFERS_H
#define WORKERS_CLAIM_OFFERS_H

#include "broker/base/id.h"
#include "broker/store.h"

#define ANY_AGENT "*" // a packet addressed to this id is for whoever comes

struct offers;
struct offer;

// What an agent would take.
struct wish {
    const char *tenant;
    Text agent_id;
    const Text *tags; // all of them
    size_t tag_count;
    bool any;         // also what is addressed to others, where its policy allows that
    int64_t aging_us; // so much waiting outweighs one step of priority
};

struct offers *offers_create(void);
void offers_destroy(struct offers *offers); // NULL is allowed

// What is known of a packet now. Returns the offer when it has come to be on offer with this, or is
// so with other properties than before; NULL otherwise. What is older than known is passed over.
const struct offer *offers_note(struct offers *offers, const char *tenant, const char *packet_id,
                                const struct stored *stored);

bool offer_fits(const struct offer *offer, const struct wish *wish);

// The best that fits: highest priority, then oldest, where waiting raises the priority. It is off
// the index from now on, until it is put back or noted again. False: nothing fits.
bool offers_take(struct offers *offers, const struct wish *wish, char packet_id[UUID_TEXT_BYTES]);

// It was not claimed after all. Nothing happens when more is known of it meanwhile.
void offers_put_back(struct offers *offers, const char *tenant, const char *packet_id);

// How many packets are on offer.
size_t offers_count(const struct offers *offers);

#endif
