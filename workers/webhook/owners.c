// A tick looks at every partition: renews what is ours, takes what is free.
#include "workers/webhook/owners.h"

#include "broker/base/digest.h"
#include "broker/base/log.h"
#include "broker/nats/consume.h"
#include "broker/nats/entry.h"
#include "broker/nats/subjects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 250
#define RENEW_MS 1000
#define STALE_MS 3500
#define SURE_MS 3000  // less than STALE_MS: others see a renewal after we have begun it
#define LEAVE_MS 2500 // for what is under way when a partition is given up
#define MEMBERS_MAX 64
#define WINDOW 256
#define ARENA_BYTES 4096

enum lease_state { FOREIGN, TAKING, OWNED, LEAVING };

struct lease {
    struct owners *owners;
    enum lease_state state;
    uint64_t revision; // of the last record seen or written
    bool seen;         // there is one
    bool is_free;      // its owner has left it
    int64_t moved_ns;  // when it last changed
    int64_t renewed_ns;
    int64_t asked_ns; // when the last write that succeeded was begun
    int64_t sent_ns;  // and the last one
    int64_t leave_ns; // when it was decided to give it up
    bool writing;
    bool releasing;           // the write under way leaves it
    Hr__PartitionOwner *last; // in arena
    struct arena *arena;
};

struct member {
    char name[OWNER_NAME_BYTES];
    int64_t heard_ns;
};

struct owners {
    struct owners_config config;
    struct run *run;
    struct consumer_config follow;
    struct consumer *consumer;
    struct subscription *sub;
    uv_timer_t timer;
    char name[OWNER_NAME_BYTES];
    struct lease leases[PARTITIONS];
    struct member members[MEMBERS_MAX];
    uint64_t beat;
    int64_t current_ns; // since when the bucket is known; 0: it is not
    bool draining;
    bool closed;
    size_t writes;
};

unsigned owners_partition(const char *hook_id)
{
    uint8_t digest[DIGEST_BYTES];

    digest_of(digest, hook_id, strlen(hook_id));
    return digest[0] % PARTITIONS;
}

static unsigned number_of(const struct lease *lease)
{
    return (unsigned)(lease - lease->owners->leases);
}

static bool is_ours(const struct lease *lease)
{
    return lease->state == OWNED || lease->state == LEAVING;
}

static void lose(struct lease *lease)
{
    if (is_ours(lease))
        lease->owners->config.on_lost(lease->owners->config.ctx, number_of(lease));
    lease->state = FOREIGN;
    lease->moved_ns = clock_now_ns();
}

// --- writing -------------------------------------------------------------------------------------

static void on_written(void *ctx, enum rc rc, uint64_t sequence)
{
    struct lease *lease = ctx;
    struct owners *owners = lease->owners;

    owners->writes--;
    lease->writing = false;
    if (owners->closed)
        return;
    if (rc == RC_OK) {
        lease->revision = sequence;
        lease->seen = true;
        lease->renewed_ns = clock_now_ns();
        lease->asked_ns = lease->sent_ns;
        lease->moved_ns = lease->renewed_ns;
    }
    if (rc == RC_OK && lease->releasing) {
        lease->is_free = true;
        lose(lease);
    } else if (rc == RC_OK && lease->state == TAKING) {
        lease->state = OWNED;
        log_info("owners.taken", "partition=%u", number_of(lease));
        owners->config.on_taken(owners->config.ctx, number_of(lease), lease->last);
    } else if (rc == RC_CONFLICT) {
        log_info("owners.lost", "partition=%u", number_of(lease));
        lose(lease);
    } else if (lease->state == TAKING) {
        lease->state = FOREIGN;
    }
    // Otherwise the outcome is not known: the bucket tells, or the next renewal.
    lease->releasing = false;
}

static void write(struct lease *lease, bool leave)
{
    struct owners *owners = lease->owners;
    struct arena *arena = arena_create(ARENA_BYTES);
    Hr__PartitionOwner *owner = wire_new(arena, &hr__partition_owner__descriptor);
    char subject[SUBJECT_BYTES];
    struct entry_put put = {.subject = subject, .expected = lease->revision};
    Text bytes;

    if (is_ours(lease))
        owners->config.fill(owners->config.ctx, number_of(lease), owner, arena);
    else if (lease->last != NULL)
        *owner = *lease->last; // as it was left
    owner->has_owner = true;
    owner->owner = text_of(leave ? "" : owners->name);
    owner->has_beat = true;
    owner->beat = ++owners->beat;
    bytes = wire_pack(arena, &owner->base);
    put.data = bytes.data;
    put.len = bytes.len;
    (void)snprintf(subject, sizeof subject, PREFIX_OWNERS "%u", number_of(lease));
    lease->writing = true;
    lease->releasing = leave;
    lease->sent_ns = clock_now_ns();
    owners->writes++;
    entry_put(run_requests(owners->run), run_name(owners->run), &put, on_written, lease);
    arena_destroy(arena);
}

// --- reading -------------------------------------------------------------------------------------

// What we wrote ourselves comes back as well; then the answer to it was lost, or is on its way.
static void note(struct lease *lease, const struct msg *msg, uint64_t revision)
{
    ProtobufCMessage *message;
    bool foreign = true;

    if (revision <= lease->revision)
        return;
    arena_reset(lease->arena);
    lease->last = NULL;
    if (wire_unpack(&message, lease->arena, &hr__partition_owner__descriptor, msg_data(msg),
                    msg_len(msg)) == RC_OK) {
        lease->last = (Hr__PartitionOwner *)message;
        foreign = !text_is(lease->last->owner, lease->owners->name);
    }
    lease->revision = revision;
    lease->seen = true;
    lease->moved_ns = clock_now_ns();
    lease->is_free = lease->last == NULL || lease->last->owner.len == 0;
    if (foreign && is_ours(lease))
        lose(lease);
}

static void on_message(void *ctx, struct msg *msg, const struct delivery *delivery)
{
    struct owners *owners = ctx;
    const char *key = msg_subject(msg) + strlen(PREFIX_OWNERS);
    unsigned long number = strtoul(key, NULL, 10);

    if (number < PARTITIONS)
        note(&owners->leases[number], msg, delivery->sequence);
    consumer_release(owners->consumer, 1);
}

static void on_current(void *ctx, bool current)
{
    struct owners *owners = ctx;

    owners->current_ns = current ? clock_now_ns() : 0;
}

static void on_member(void *ctx, struct msg *msg)
{
    struct owners *owners = ctx;
    struct member *oldest = &owners->members[0];
    int64_t now_ns = clock_now_ns();

    if (msg_len(msg) == 0 || msg_len(msg) >= OWNER_NAME_BYTES)
        return;
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        struct member *member = &owners->members[i];

        if (strlen(member->name) == msg_len(msg) &&
            memcmp(member->name, msg_data(msg), msg_len(msg)) == 0) {
            member->heard_ns = now_ns;
            return;
        }
        if (member->heard_ns < oldest->heard_ns)
            oldest = member;
    }
    memcpy(oldest->name, msg_data(msg), msg_len(msg));
    oldest->name[msg_len(msg)] = '\0';
    oldest->heard_ns = now_ns;
}

// --- deciding ------------------------------------------------------------------------------------

unsigned owners_count(const struct owners *owners)
{
    unsigned count = 0;

    for (size_t i = 0; i < PARTITIONS; i++)
        count += owners->leases[i].state != FOREIGN;
    return count;
}

// The share of each worker, rounded up. We hear ourselves as well.
static unsigned share(const struct owners *owners)
{
    int64_t now_ns = clock_now_ns();
    unsigned count = 0;

    for (size_t i = 0; i < MEMBERS_MAX; i++)
        count += owners->members[i].heard_ns != 0 &&
                 now_ns - owners->members[i].heard_ns < STALE_MS * 1000000LL;
    return count > 1 ? (PARTITIONS + count - 1) / count : PARTITIONS;
}

static void begin_leaving(struct lease *lease, int64_t now_ns)
{
    lease->state = LEAVING;
    lease->leave_ns = now_ns;
}

static void look_at_own(struct owners *owners, struct lease *lease, int64_t now_ns)
{
    bool late = now_ns - lease->leave_ns > LEAVE_MS * 1000000LL;

    if (lease->writing)
        return;
    if (now_ns - lease->renewed_ns > 2 * STALE_MS * 1000000LL) {
        // It could not be renewed for long: somebody else has it, or will.
        log_warn("owners.not_renewed", "partition=%u", number_of(lease));
        lose(lease);
    } else if (lease->state == LEAVING &&
               (late || owners->config.may_leave(owners->config.ctx, number_of(lease)))) {
        write(lease, true);
    } else if (now_ns - lease->renewed_ns > RENEW_MS * 1000000LL) {
        write(lease, false);
    }
}

static void look_at_foreign(struct owners *owners, struct lease *lease, int64_t now_ns,
                            unsigned fair)
{
    bool was_ours = lease->last != NULL && text_is(lease->last->owner, owners->name);
    bool stale = now_ns - lease->moved_ns > STALE_MS * 1000000LL;

    if (owners->draining || owners->current_ns == 0 || lease->writing ||
        owners_count(owners) >= fair)
        return;
    if (!lease->seen || lease->is_free || was_ours || stale) {
        lease->state = TAKING;
        write(lease, false);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct owners *owners = timer->data;
    int64_t now_ns = clock_now_ns();
    unsigned fair = share(owners);
    unsigned surplus = owners_count(owners) > fair ? owners_count(owners) - fair : 0;

    if (!owners->draining && conn_publish(run_conn(owners->run), SUBJECT_DELIVERY_MEMBERS, NULL,
                                          NULL, 0, owners->name, strlen(owners->name)) != RC_OK)
        log_debug("owners.not_told", "members=unreached");
    for (size_t i = 0; i < PARTITIONS; i++) {
        struct lease *lease = &owners->leases[i];

        if (lease->state == LEAVING && surplus > 0)
            surplus--;
    }
    for (size_t i = 0; i < PARTITIONS; i++) {
        struct lease *lease = &owners->leases[i];

        if (lease->state == OWNED && (surplus > 0 || owners->draining)) {
            begin_leaving(lease, now_ns);
            surplus -= surplus > 0;
        }
        if (is_ours(lease))
            look_at_own(owners, lease, now_ns);
        else if (lease->state == FOREIGN)
            look_at_foreign(owners, lease, now_ns, fair);
    }
}

struct owners *owners_open(struct run *run, const struct owners_config *config)
{
    struct owners *owners = calloc(1, sizeof *owners);
    struct uuid random = uuid_new();

    if (owners == NULL)
        abort();
    owners->config = *config;
    owners->run = run;
    uuid_format(owners->name, &random);
    if (config->name[0] != '\0')
        (void)snprintf(owners->name, sizeof owners->name, "%s", config->name);
    for (size_t i = 0; i < PARTITIONS; i++) {
        owners->leases[i].owners = owners;
        owners->leases[i].arena = arena_create(ARENA_BYTES);
        owners->leases[i].moved_ns = clock_now_ns();
    }
    owners->follow = (struct consumer_config){
        .inbox = run_name(run),
        .stream = STREAM_OWNERS,
        .filter = SUBJECT_OWNERS,
        .from = CONSUME_LAST_PER_SUBJECT,
        .window = WINDOW,
        .on_message = on_message,
        .on_current = on_current,
        .ctx = owners,
    };
    owners->consumer =
        consumer_open(run_requests(run), run_conn(run), run_loop(run), &owners->follow);
    if (conn_subscribe(&owners->sub, run_conn(run), SUBJECT_DELIVERY_MEMBERS, NULL, on_member,
                       owners) != RC_OK)
        log_warn("owners.members", "reason=\"other workers cannot be heard\"");
    uv_timer_init(run_loop(run), &owners->timer);
    owners->timer.data = owners;
    uv_timer_start(&owners->timer, on_tick, TICK_MS, TICK_MS);
    return owners;
}

void owners_drain(struct owners *owners)
{
    owners->draining = true;
    on_tick(&owners->timer);
}

size_t owners_in_hand(const struct owners *owners)
{
    size_t count = owners->writes;

    for (size_t i = 0; i < PARTITIONS; i++)
        count += owners->leases[i].state != FOREIGN;
    return count;
}

static void on_closed(uv_handle_t *handle)
{
    struct owners *owners = handle->data;

    for (size_t i = 0; i < PARTITIONS; i++)
        arena_destroy(owners->leases[i].arena);
    free(owners);
}

void owners_close(struct owners *owners)
{
    if (owners == NULL)
        return;
    owners->closed = true;
    uv_timer_stop(&owners->timer);
    consumer_close(owners->consumer);
    conn_unsubscribe(owners->sub);
    // run.c has closed the requests before: no write is waiting for its answer.
    uv_close((uv_handle_t *)&owners->timer, on_closed);
}

bool owners_are_sure(const struct owners *owners)
{
    int64_t since_ns = clock_now_ns() - SURE_MS * 1000000LL;

    for (size_t i = 0; i < PARTITIONS; i++) {
        if (is_ours(&owners->leases[i]) && owners->leases[i].asked_ns < since_ns)
            return false;
    }
    return true;
}

bool owners_are_known(const struct owners *owners)
{
    return owners->current_ns != 0;
}
