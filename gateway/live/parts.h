// What the files of this folder share. Internal to them.
#ifndef GATEWAY_LIVE_PARTS_H
#define GATEWAY_LIVE_PARTS_H

#include "broker/nats/consume.h"
#include "broker/nats/shared_inbox.h"
#include "broker/nats/subjects.h"
#include "broker/rail/handles.h"
#include "gateway/live/types.h"

#include <uthash.h>

struct live {
    struct run *run;
    struct tail *tails; // by tenant
    struct arena *scratch;
    uv_timer_t tick;
    struct shared_inbox *shared; // of all consumers; NULL: each has its own
    struct subscription *notices;
    struct listener *catching; // those that catch up now
    size_t catching_count;
    struct tail *waiting; // those with listeners that wait for their turn, the next one first
    size_t waiting_count; // of listeners
    bool ending;          // listeners are being ended: nobody gets a turn
};

// The live end of one tenant's changes: the newest of them, and who is listening.
struct tail {
    UT_hash_handle hh;
    struct live *live;
    struct listener *listeners;
    struct listener *waiting; // of the listeners, those that wait for their turn to catch up
    struct tail *turn_next;   // in the list of tails where somebody waits
    struct tail *turn_prev;
    struct consumer_config config;
    struct consumer *consumer; // NULL: where the stream ends is not known yet
    struct live_event *first;  // oldest that is kept
    struct live_event *last;
    size_t count;
    size_t bytes;
    uint64_t covered;  // everything behind it that is told at all is kept
    uint64_t position; // of the last change seen
    int64_t unused_ns; // since when nobody has been listening
    bool asking;       // where the stream ends
    bool closing;      // freed once that has been answered
    char stream[STREAM_BYTES];
    char filter[SUBJECT_BYTES];
    char tenant[TOKEN_MAX + 1];
};

// A listener that reads the stream on its own.
struct catching {
    struct consumer_config config;
    struct consumer *consumer;
    struct live_event *first; // read and not yet taken
    struct live_event *last;
    struct live_event *taken; // the one its client has in hand
    size_t count;             // of those read and not taken
    size_t bytes;
    uint32_t owed;  // messages that are to be let in as these are taken
    uint64_t from;  // its place when it began
    uint64_t seen;  // up to here
    uint64_t level; // where the tail was when it began
    bool caught_up; // everything up to that level has been read
};

enum turn {
    TURN_NONE,     // it follows the tail, or has not begun
    TURN_WAITING,  // to catch up
    TURN_CATCHING, // it has a place
    TURN_PARKED,   // it lost its place because its client took nothing
};

struct listener {
    struct listener *next;
    struct listener *prev;
    struct tail *tail;
    struct listener_config config;
    enum listener_state state;
    enum turn turn;
    int64_t turn_ns; // since when it has had its place
    struct listener *turn_next;
    struct listener *turn_prev;
    struct catching *catching;   // NULL: it does not read the stream
    const struct live_event *at; // of the tail, the next to look at; NULL: it has seen all
    size_t behind;               // wanted changes from there on
    size_t behind_bytes;
    uint64_t position;
    bool doubtful; // waits for where the stream ends
    bool is_reset;
};

// tail.c
struct tail *tail_find(struct live *live, const char *tenant); // makes it if need be
void tail_free(struct tail *tail);
void tail_ask(struct tail *tail); // where the stream ends; then listener_begin of those who wait
// The stream has lost what lies behind last: begins again there.
void tail_restart(struct tail *tail, uint64_t last);
bool tail_is_ready(const struct tail *tail);

// turns.c

// The listener wants to read the stream: listener_start_catching is called, now or later.
void turns_ask(struct listener *listener);
// It does not want that any more.
void turns_leave(struct listener *listener);
// About once a second: those who have had their turn make room.
void turns_tick(struct live *live);

// notices.c
void notices_listen(struct live *live);

// listener.c

// It is the listener's turn: reads the stream from its position.
void listener_start_catching(struct listener *listener);
// Its turn is over. True: what was read waits for its client, which takes nothing.
bool listener_stop_catching(struct listener *listener);
// Something has been read during this turn.
bool listener_has_come_further(const struct listener *listener);
// The tail is ready; end is where the stream ends.
void listener_begin(struct listener *listener, uint64_t end);
// A change was added to the tail.
void listener_hear(struct listener *listener, const struct live_event *event);
// The tail's oldest change goes. False: the listener needs it, and force is not set.
bool listener_let_go(struct listener *listener, const struct live_event *event, bool force);
void listener_end(struct listener *listener, enum listener_state state);

#endif
