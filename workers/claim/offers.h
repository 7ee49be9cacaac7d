// The open packets, by who may take them: what claim-next picks from.
//
// An index in memory, told by a feed. It may be behind the stream; the append that claims is not.
#ifndef WORKERS_CLAIM_OFFERS_H
#define WORKERS_CLAIM_OFFERS_H

#include "broker/base/id.h"
#include "broker/rail/store.h"

#define ANY_AGENT "*" // a packet addressed to this id is for anyone who comes

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

// How far a look for the best has got. Opaque, but kept by who looks.
#define SEARCH_SHELVES 3
#define SEARCH_PRIORITIES 4

struct search {
    // Of each list: what is older does not fit.
    struct search_mark {
        int64_t created_us;
        char packet_id[UUID_TEXT_BYTES];
    } marks[SEARCH_SHELVES][SEARCH_PRIORITIES];
    size_t rarest; // of the wish's tags: the one whose packets are looked through
    bool by_tag;   // those, and not the ones of the addressees
};

enum look {
    LOOK_FOUND,
    LOOK_NOTHING,
    LOOK_UNFINISHED, // go on later
};

struct offers *offers_create(void);
void offers_destroy(struct offers *offers); // NULL is allowed

// What is known of a packet now. Returns the offer when it has come to be on offer with this, or is
// so with other properties than before; NULL otherwise. What is older than known is passed over.
// The offer is good until the next call with this packet.
struct offer *offers_note(struct offers *offers, const char *tenant, const char *packet_id,
                          const struct stored *stored);

bool offer_fits(const struct offer *offer, const struct wish *wish);

// Begins a look for what fits a wish.
void offers_search(const struct offers *offers, const struct wish *wish, struct search *search);

// The best that fits: highest priority, then oldest, where waiting raises the priority. It is off
// the index from now on, until it is put back or noted again. Looks at no more than *steps packets
// that do not fit, and takes those it looked at off *steps; LOOK_UNFINISHED when that was not
// enough. Whatever comes on offer before it goes on must be told to search_note.
enum look offers_take(struct offers *offers, const struct wish *wish, struct search *search,
                      size_t *steps, char packet_id[UUID_TEXT_BYTES]);

// An offer has come, perhaps where was looked already.
void search_note(struct search *search, const struct wish *wish, const struct offer *offer);

// Takes this one, which is on offer.
void offers_take_this(struct offers *offers, struct offer *offer, char packet_id[UUID_TEXT_BYTES]);

// It was not claimed after all. Returns the offer, as offers_note does; NULL when more is known of
// it meanwhile.
struct offer *offers_put_back(struct offers *offers, const char *tenant, const char *packet_id);

// How many packets are on offer.
size_t offers_count(const struct offers *offers);

// What is known may be of records that are gone: whatever is noted next of a packet counts, also if
// it is older.
void offers_reset(struct offers *offers);

#endif
