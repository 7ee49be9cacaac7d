// The change engine. Invariants:
//   1. A record is appended only under the sequence its decision was made on.
//   2. While the outcome of an append is unknown, only the same bytes under the same condition are
//   sent
//      again: at most one message can follow a given sequence, so it cannot be stored twice.
//   3. After a lost race nothing of the earlier decision is used again but the event id, which by 2
//   is
//      in the stream at most once. So the memory of a try goes when its race is lost; only the last
//      one's becomes the caller's.
#include "broker/rail/change.h"

#include "broker/base/digest.h"
#include "broker/base/id.h"
#include "broker/base/log.h"
#include "broker/base/timestamp.h"
#include "broker/rail/inbox.h"
#include "broker/rail/version.h"

#include <assert.h>

// A lost race costs two round trips; this many means that something other than racing is wrong.
#define SURE_TRIES 50 // at replicas that are behind the leader
#define RACES_MAX 64

// Repeats of an append that was not answered; each waits for the store's own time-out.
#define REPEATS_MAX 2

// Digests in a record are cut: telling a few of one packet's changes apart needs no more.
#define SHORT_DIGEST_BYTES 16

#define TRY_BYTES (16 * 1024)

struct change {
    struct store *store;
    const struct change_spec *spec;
    struct arena *arena; // the caller's
    // Of the present try: the caller's for the first, one of its own for each later one.
    struct arena *memory;
    change_done_fn done;
    void *ctx;

    char packet_id[UUID_TEXT_BYTES];
    struct uuid event_id;
    Text key_digest;     // empty: no idempotency key
    Text request_digest; // empty likewise

    struct stored current; // record NULL: there is no such packet
    Hr__PacketRecord *next;
    Text bytes;             // of next
    uint64_t past_sequence; // of the change that a repeat is answered with
    struct uuid past_event_id;
    unsigned races;
    unsigned repeats;
    bool maybe_stored; // an append was sent whose outcome is unknown
    bool checked;      // spec->check has been asked, and said yes
    bool is_sure;      // current is what the stream's leader has
    uint64_t sure_sequence;
    struct problem refusal; // while the leader is asked
    unsigned sure_tries;
};

static void load(struct change *change);
static void append(struct change *change);

// What the last try made is the caller's.
static void keep_memory(struct change *change)
{
    if (change->memory == change->arena)
        return;
    arena_absorb(change->arena, change->memory);
    change->memory = change->arena;
}

static void refuse(struct change *change, const struct problem *problem)
{
    keep_memory(change);
    change->done(change->ctx, RC_REFUSED, NULL, problem);
}

static void refuse_with(struct change *change, enum problem_code code, const char *text)
{
    struct problem problem;

    (void)problem_set(&problem, change->arena, code, "%s", text);
    refuse(change, &problem);
}

static void refuse_rc(struct change *change, enum rc rc)
{
    struct problem problem;

    if (change->maybe_stored) {
        refuse_with(change, PROBLEM_OUTCOME_UNKNOWN,
                    "It is not known whether the change was stored; repeat it with the same "
                    "Idempotency-Key to find out");
        return;
    }
    (void)problem_of_rc(&problem, change->arena, rc);
    refuse(change, &problem);
}

static void on_last(void *ctx, enum rc rc, uint64_t sequence);

// A refusal that was decided on the packet as it was loaded. A replica that is behind would make it
// wrong, so where there are replicas the leader has the last word.
static void refuse_decided(struct change *change, const struct problem *problem)
{
    if (change->is_sure || !store_is_replicated(change->store)) {
        refuse(change, problem);
        return;
    }
    change->refusal = *problem;
    store_last(change->store, change->spec->tenant, change->packet_id, on_last, change);
}

static void refuse_decided_with(struct change *change, enum problem_code code, const char *text)
{
    struct problem problem;

    (void)problem_set(&problem, change->arena, code, "%s", text);
    refuse_decided(change, &problem);
}

static void succeed(struct change *change, const struct stored *stored)
{
    keep_memory(change);
    change->done(change->ctx, RC_OK, stored, NULL);
}

// --- the memory of a record ----------------------------------------------------------------------

static Text short_digest(struct change *change, const struct piece *pieces, size_t count)
{
    uint8_t digest[DIGEST_BYTES];

    digest_of_pieces(digest, pieces, count);
    return text_copy(change->arena, digest, SHORT_DIGEST_BYTES);
}

static void digest_command(struct change *change)
{
    const struct change_spec *spec = change->spec;
    const char *key = spec->idempotency_key;
    const char *id = spec->packet_id != NULL ? spec->packet_id : "";
    Text request;

    if (key == NULL)
        return;
    request = wire_pack(change->arena, spec->request);
    change->key_digest = short_digest(change,
                                      (struct piece[]){
                                          {spec->tenant, strlen(spec->tenant)},
                                          {key,          strlen(key)         }
    },
                                      2);
    change->request_digest = short_digest(
        change,
        (struct piece[]){
            {spec->verb,   strlen(spec->verb)},
            {id,           strlen(id)        },
            {request.data, request.len       }
    },
        3);
}

// A create's id: from the key if there is one, so that a repeat cannot make a second packet.
static void make_packet_id(struct change *change)
{
    const char *key = change->spec->idempotency_key;
    struct uuid id = uuid_new();

    if (key != NULL) {
        const char *tenant = change->spec->tenant;
        uint8_t digest[DIGEST_BYTES];

        digest_of_pieces(digest,
                         (struct piece[]){
                             {"packet", 6             },
                             {tenant,   strlen(tenant)},
                             {key,      strlen(key)   }
        },
                         3);
        id = uuid_from_digest(digest);
    }
    uuid_format(change->packet_id, &id);
}

// The change in the packet's memory that is this command, done before; NULL: none.
static const Hr__Change *find_done(const struct change *change, bool *reused)
{
    const Hr__PacketRecord *record = change->current.record;

    *reused = false;
    for (size_t i = 0; record != NULL && i < record->n_recent; i++) {
        const Hr__Change *past = record->recent[i];

        if (past->event_id.len == UUID_BYTES &&
            memcmp(past->event_id.data, change->event_id.bytes, UUID_BYTES) == 0)
            return past;
        if (change->key_digest.len > 0 && text_equal(past->key_digest, change->key_digest)) {
            *reused = !text_equal(past->request_digest, change->request_digest);
            return past;
        }
    }
    return NULL;
}

// The newest changes stay whatever they are: the one who made one may not have heard of it yet.
#define NEWEST_KEPT 4

// Of a memory that is full, a change without an idempotency key goes first: heartbeats and timers
// have none, and must not push out what a client may still ask for.
static size_t least_wanted(const Hr__PacketRecord *last)
{
    for (size_t i = 1; i + NEWEST_KEPT < last->n_recent; i++) {
        if (last->recent[i]->key_digest.len == 0)
            return i;
    }
    return 1;
}

static void keep_past(Hr__PacketRecord *record, const Hr__PacketRecord *last)
{
    size_t out = last->n_recent >= CHANGES_KEPT ? least_wanted(last) : 0;

    for (size_t i = 0; i < last->n_recent; i++) {
        if (out == 0 || i != out)
            record->recent[record->n_recent++] = last->recent[i];
    }
}

static void remember(struct change *change, Hr__PacketRecord *record)
{
    const struct stored *current = &change->current;
    size_t past = current->record != NULL ? current->record->n_recent : 0;
    Hr__Change *self = wire_new(change->memory, &hr__change__descriptor);

    record->recent = arena_calloc(change->memory, past + 1, sizeof(Hr__Change *));
    if (past > 0) {
        Hr__Change *last = current->record->recent[past - 1];

        // The record could not know its own sequence; its successor does.
        last->has_sequence = true;
        last->sequence = current->sequence;
        keep_past(record, current->record);
    }
    self->has_event_id = true;
    self->event_id = (Text){UUID_BYTES, change->event_id.bytes};
    self->has_key_digest = change->key_digest.len > 0;
    self->key_digest = change->key_digest;
    self->has_request_digest = change->request_digest.len > 0;
    self->request_digest = change->request_digest;
    record->recent[record->n_recent++] = self;
}

// --- deciding ------------------------------------------------------------------------------------

static Hr__Event *make_event(struct change *change, const struct decision *decision)
{
    Hr__Event *event = wire_new(change->memory, &hr__event__descriptor);
    char *id = arena_alloc(change->memory, UUID_TEXT_BYTES);

    uuid_format(id, &change->event_id);
    event->has_id = true;
    event->id = text_of(id);
    event->has_type = true;
    event->type = decision->event_type;
    event->has_actor = true;
    event->actor = decision->actor;
    event->has_key_id = true;
    event->key_id = text_of(change->spec->key_id);
    event->at = wire_timestamp(change->memory, decision->now_us);
    event->details = wire_json(change->memory, decision->details);
    return event;
}

static bool is_too_large(const struct change *change)
{
    return change->bytes.len > RECORD_BYTES_MAX &&
           change->bytes.len > change->current.len + RECORD_BYTES_SPARE;
}

// The packet is not held any more, or by another claim than the caller's.
static bool is_stale(const struct change *change)
{
    const Hr__PacketRecord *record = change->current.record;

    if (change->spec->claim == 0 || record == NULL)
        return false;
    return record->packet->claim == NULL ||
           record->packet->claim->generation != change->spec->claim;
}

// The one who opens a checkpoint has no vote in it; so it is noted wherever one is opened.
static void note_asker(const struct change *change, Hr__Packet *packet)
{
    if (packet->status != HR__STATUS__STATUS_AWAITING_HUMAN || packet->hitl == NULL ||
        packet->hitl->has_requested_by_key)
        return;
    packet->hitl->has_requested_by_key = true;
    packet->hitl->requested_by_key = text_of(change->spec->key_id);
}

static void decide(struct change *change)
{
    const struct stored *current = &change->current;
    struct decision decision = {
        .arena = change->memory,
        .packet_id = change->packet_id,
        .key_id = change->spec->key_id,
        .ctx = change->spec->ctx,
        .now_us = timestamp_now_us(),
        .claim = change->spec->claim,
        .sequence = current->sequence,
        .packet = current->record != NULL ? current->record->packet : NULL,
    };

    if (current->record != NULL && change->spec->if_match != 0 &&
        change->spec->if_match != current->sequence) {
        refuse_decided_with(change, PROBLEM_PRECONDITION_FAILED,
                            "The packet has changed since the version named in If-Match");
        return;
    }
    if (current->record != NULL && current->record->packet->archived_at != NULL) {
        refuse_decided_with(change, PROBLEM_ARCHIVED,
                            "The packet is archived: it can be read, but not changed any more");
        return;
    }
    if (is_stale(change)) {
        refuse_decided_with(
            change, PROBLEM_STALE_CLAIM,
            "The claim this change was made under is over; somebody else may hold the "
            "packet");
        return;
    }
    if (change->spec->decide(&decision, change->spec->request) != RC_OK) {
        refuse_decided(change, &decision.problem);
        return;
    }
    if (decision.unchanged) {
        succeed(change, current);
        return;
    }
    note_asker(change, decision.packet);
    change->next = wire_new(change->memory, &hr__packet_record__descriptor);
    change->next->event = make_event(change, &decision);
    change->next->packet = decision.packet;
    remember(change, change->next);
    change->bytes = wire_pack(change->memory, &change->next->base);
    if (is_too_large(change)) {
        refuse_with(change, PROBLEM_TOO_LARGE, "The packet would be too large");
        return;
    }
    change->repeats = 0;
    append(change);
}

static void on_checked(void *ctx, const struct problem *problem)
{
    struct change *change = ctx;

    change->checked = true;
    if (problem != NULL)
        refuse(change, problem);
    else
        decide(change);
}

static void check(struct change *change)
{
    if (change->checked || change->spec->check == NULL)
        decide(change);
    else
        change->spec->check(change->spec, change->store, change->arena, on_checked, change);
}

// --- answering a repeat --------------------------------------------------------------------------

static void on_past_version(void *ctx, enum rc rc, Hr__Packet *packet)
{
    struct change *change = ctx;
    Hr__PacketRecord *record;
    struct stored stored = {.sequence = change->past_sequence};

    if (rc != RC_OK) {
        refuse_rc(change, rc);
        return;
    }
    record = wire_new(change->memory, &hr__packet_record__descriptor);
    record->packet = packet;
    stored.record = record;
    succeed(change, &stored);
}

// Retention took the record; Postgres has it, and it is known by its event.
static void load_past_version(struct change *change)
{
    Hr__AncestorRef *ref = wire_new(change->arena, &hr__ancestor_ref__descriptor);
    char *event_id = arena_alloc(change->memory, UUID_TEXT_BYTES);

    uuid_format(event_id, &change->past_event_id);
    ref->has_packet_id = true;
    ref->packet_id = text_of(change->packet_id);
    ref->has_sequence = true;
    ref->sequence = change->past_sequence;
    ref->has_event_id = true;
    ref->event_id = text_of(event_id);
    version_load(change->store, change->spec->tenant, ref, change->arena, on_past_version, change);
}

static void on_past_loaded(void *ctx, enum rc rc, const struct stored *stored)
{
    struct change *change = ctx;

    char event_id[UUID_TEXT_BYTES];

    uuid_format(event_id, &change->past_event_id);
    // A stream that was restored counts again: the same sequence may be another record.
    if (rc == RC_OK && text_is(stored->record->event->id, event_id))
        succeed(change, stored);
    else if (rc == RC_OK || rc == RC_NOT_FOUND)
        load_past_version(change);
    else
        refuse_rc(change, rc);
}

static void answer_repeat(struct change *change, const Hr__Change *past)
{
    if (!past->has_sequence || past->sequence == change->current.sequence ||
        past->event_id.len != UUID_BYTES) {
        succeed(change, &change->current);
        return;
    }
    change->past_sequence = past->sequence;
    memcpy(change->past_event_id.bytes, past->event_id.data, UUID_BYTES);
    store_load_at(change->store, change->spec->tenant, change->packet_id, past->sequence,
                  change->arena, on_past_loaded, change);
}

// --- the steps -----------------------------------------------------------------------------------

static void on_loaded(void *ctx, enum rc rc, const struct stored *stored)
{
    struct change *change = ctx;
    const Hr__Change *past;
    bool reused;

    if (rc != RC_OK && rc != RC_NOT_FOUND) {
        refuse_rc(change, rc);
        return;
    }
    change->current = rc == RC_OK ? *stored : (struct stored){0};
    past = find_done(change, &reused);
    if (past != NULL && reused) {
        refuse_decided_with(change, PROBLEM_KEY_REUSED,
                            "This Idempotency-Key was used with a different request");
        return;
    }
    if (past != NULL) {
        answer_repeat(change, past);
        return;
    }
    change->maybe_stored = false; // loaded after the append, and it is not there
    check(change);
}

static void load(struct change *change)
{
    store_load(change->store, change->spec->tenant, change->packet_id, change->memory, on_loaded,
               change);
}

// Nothing of the try before is used again.
static void forget_try(struct change *change)
{
    if (change->memory != change->arena)
        arena_destroy(change->memory);
    change->memory = arena_create(TRY_BYTES);
    change->current = (struct stored){0};
    change->next = NULL;
    change->bytes = (Text){0, NULL};
    change->is_sure = false;
}

static void load_again(struct change *change)
{
    forget_try(change);
    load(change);
}

// Every request goes to another replica, the leader among them.
static void on_sure_loaded(void *ctx, enum rc rc, const struct stored *stored)
{
    struct change *change = ctx;

    if (rc != RC_NOT_FOUND) {
        change->is_sure = true;
        on_loaded(change, rc, stored);
    } else if (change->sure_tries++ < SURE_TRIES) {
        store_load_at(change->store, change->spec->tenant, change->packet_id, change->sure_sequence,
                      change->memory, on_sure_loaded, change);
    } else {
        refuse_rc(change, RC_UNAVAILABLE);
    }
}

static void on_last(void *ctx, enum rc rc, uint64_t sequence)
{
    struct change *change = ctx;
    const struct stored none = {0};

    if (rc != RC_OK) {
        refuse_rc(change, rc);
    } else if (sequence == change->current.sequence) {
        refuse(change, &change->refusal);
    } else {
        forget_try(change);
        change->sure_sequence = sequence;
        change->sure_tries = 0;
        if (sequence > 0)
            on_sure_loaded(change, RC_NOT_FOUND, &none);
        else
            refuse_rc(change, RC_UNAVAILABLE); // it was there a moment ago
    }
}

static void on_appended(void *ctx, enum rc rc, uint64_t sequence)
{
    struct change *change = ctx;

    switch (rc) {
    case RC_OK: {
        struct stored stored = {change->next, sequence, change->bytes.len};

        if (change->next->packet->claim != NULL && !change->next->packet->claim->has_generation) {
            change->next->packet->claim->has_generation = true;
            change->next->packet->claim->generation = sequence;
        }
        inbox_tell(change->store, change->spec->tenant, &stored);
        succeed(change, &stored);
        return;
    }
    case RC_CONFLICT:
        // While a try may have been stored, only a look at the packet can tell.
        if (++change->races > RACES_MAX && !change->maybe_stored)
            refuse_with(change, PROBLEM_CONTENDED, "Too many changes of this packet at once");
        else
            load_again(change);
        return;
    case RC_TIMEOUT:
        change->maybe_stored = true;
        if (change->repeats++ < REPEATS_MAX) {
            append(change);
            return;
        }
        refuse_rc(change, rc);
        return;
    case RC_UNAVAILABLE:
    case RC_CLOSED:
        change->maybe_stored = true;
        refuse_rc(change, rc);
        return;
    default:
        refuse_rc(change, rc);
    }
}

static void append(struct change *change)
{
    const struct append append = {
        .tenant = change->spec->tenant,
        .packet_id = change->packet_id,
        .expected = change->current.sequence,
        .data = change->bytes.data,
        .len = change->bytes.len,
    };

    store_append(change->store, &append, on_appended, change);
}

void change_run(struct store *store, const struct change_spec *spec, struct arena *arena,
                change_done_fn done, void *ctx)
{
    struct change *change = arena_calloc(arena, 1, sizeof *change);

    change->store = store;
    change->spec = spec;
    change->arena = arena;
    change->memory = arena;
    change->done = done;
    change->ctx = ctx;
    change->event_id = uuid_new();
    digest_command(change);
    if (spec->packet_id == NULL) {
        make_packet_id(change);
        if (spec->look_first && spec->idempotency_key != NULL)
            load(change);
        else
            check(change); // most creates are new: append, and look only when that is refused
    } else {
        memcpy(change->packet_id, spec->packet_id, sizeof change->packet_id - 1);
        load(change);
    }
}
