// Hash tables to find things, lists for turns, one heap for waiting. Everything but the heap is
// O(1).
#include "workers/webhook/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#define FAILING 3 // failures one behind the other that put a hook in trouble
#define SHARE 3   // places that a tenant may have, as a multiple of those left

// The events of one packet for one hook, oldest first.
struct line {
    UT_hash_handle hh; // by packet_id
    struct uuid packet_id;
    struct queued *first;
    struct queued *last;
};

struct queue {
    struct queue_limits limits;
    struct hook *hooks;
    struct tenant *tenants;
    struct queued *deliveries;
    struct lane *lanes[PACES]; // of tenants that have something to send
    unsigned taken[PACES];     // those in trouble count as STEADY as well
    size_t payload_bytes;
    bool closing;
    struct queued **heap; // of those that wait, the next first
    size_t heap_count;
    size_t heap_cap;
};

static void *make(size_t bytes)
{
    void *memory = calloc(1, bytes);

    if (memory == NULL)
        abort();
    return memory;
}

struct queue *queue_create(const struct queue_limits *limits)
{
    struct queue *queue = make(sizeof *queue);

    queue->limits = *limits;
    return queue;
}

// --- waiting -------------------------------------------------------------------------------------

static void heap_set(struct queue *queue, size_t at, struct queued *delivery)
{
    queue->heap[at] = delivery;
    delivery->heap_at = at;
}

static void heap_up(struct queue *queue, size_t at)
{
    struct queued *delivery = queue->heap[at];

    while (at > 0 && queue->heap[(at - 1) / 2]->at_us > delivery->at_us) {
        heap_set(queue, at, queue->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_set(queue, at, delivery);
}

static void heap_down(struct queue *queue, size_t at)
{
    struct queued *delivery = queue->heap[at];

    for (;;) {
        size_t child = at * 2 + 1;

        if (child >= queue->heap_count)
            break;
        if (child + 1 < queue->heap_count &&
            queue->heap[child + 1]->at_us < queue->heap[child]->at_us)
            child++;
        if (queue->heap[child]->at_us >= delivery->at_us)
            break;
        heap_set(queue, at, queue->heap[child]);
        at = child;
    }
    heap_set(queue, at, delivery);
}

static void heap_add(struct queue *queue, struct queued *delivery)
{
    if (queue->heap_count == queue->heap_cap) {
        queue->heap_cap = queue->heap_cap > 0 ? queue->heap_cap * 2 : 64;
        queue->heap = realloc(queue->heap, queue->heap_cap * sizeof(void *));
        if (queue->heap == NULL)
            abort();
    }
    heap_set(queue, queue->heap_count++, delivery);
    heap_up(queue, queue->heap_count - 1);
}

static void heap_remove(struct queue *queue, const struct queued *delivery)
{
    size_t at = delivery->heap_at;
    struct queued *last = queue->heap[--queue->heap_count];

    if (last == delivery)
        return;
    heap_set(queue, at, last);
    heap_down(queue, at);
    heap_up(queue, last->heap_at);
}

// --- turns ---------------------------------------------------------------------------------------

static enum pace pace_of(const struct hook *hook)
{
    return hook->slow || hook->failures >= FAILING ? TROUBLED : STEADY;
}

static void unlist(struct queue *queue, struct hook *hook)
{
    enum pace pace = pace_of(hook);
    struct lane *lane = &hook->tenant->lanes[pace];

    if (!hook->listed)
        return;
    hook->listed = false;
    DL_DELETE2(lane->hooks, hook, turn_before, turn_next);
    if (lane->hooks == NULL) {
        DL_DELETE2(queue->lanes[pace], lane, before, next);
        lane->listed = false;
    }
}

// Gives the hook a turn if it has something to send and may send it.
static void list(struct queue *queue, struct hook *hook)
{
    enum pace pace = pace_of(hook);
    struct lane *lane = &hook->tenant->lanes[pace];

    if (hook->listed || hook->ready == NULL || hook->taken >= hook->limit)
        return;
    hook->listed = true;
    DL_APPEND2(lane->hooks, hook, turn_before, turn_next);
    if (!lane->listed) {
        DL_APPEND2(queue->lanes[pace], lane, before, next);
        lane->listed = true;
    }
}

// How many places there are for a pace.
static unsigned places(const struct queue *queue, enum pace pace)
{
    return pace == STEADY ? queue->limits.total : (queue->limits.total + 1) / 2;
}

static bool has_place(const struct queue *queue, const struct tenant *tenant, enum pace pace)
{
    for (enum pace p = STEADY; p <= pace; p++) {
        unsigned left = places(queue, p) - queue->taken[p];

        if (queue->taken[p] >= places(queue, p) || tenant->taken[p] >= SHARE * left)
            return false;
    }
    return true;
}

static struct hook *next_turn_of(struct queue *queue, enum pace pace)
{
    struct lane *lane = NULL;
    struct hook *hook;

    DL_FOREACH(queue->lanes[pace], lane)
    {
        if (has_place(queue, lane->tenant, pace))
            break;
    }
    if (lane == NULL)
        return NULL;
    hook = lane->hooks;
    unlist(queue, hook);
    if (lane->listed) { // others of it have their turn behind other tenants
        DL_DELETE2(queue->lanes[pace], lane, before, next);
        DL_APPEND2(queue->lanes[pace], lane, before, next);
    }
    return hook;
}

static struct hook *next_turn(struct queue *queue)
{
    struct hook *hook = next_turn_of(queue, STEADY);

    return hook != NULL ? hook : next_turn_of(queue, TROUBLED);
}

// The hook has taken so many places more, or given them back.
static void count_taken(struct queue *queue, const struct hook *hook, int more)
{
    for (enum pace pace = STEADY; pace <= pace_of(hook); pace++) {
        queue->taken[pace] += (unsigned)more;
        hook->tenant->taken[pace] += (unsigned)more;
    }
}

static void make_ready(struct queue *queue, struct queued *delivery)
{
    struct hook *hook = delivery->hook;

    delivery->state = DELIVERY_READY;
    delivery->ready_next = NULL;
    if (hook->ready == NULL)
        hook->ready = delivery;
    else
        hook->ready_last->ready_next = delivery;
    hook->ready_last = delivery;
    list(queue, hook);
}

// --- hooks ---------------------------------------------------------------------------------------

struct hook *queue_hook(const struct queue *queue, const char *key)
{
    struct hook *hook = NULL;

    HASH_FIND_STR(queue->hooks, key, hook);
    return hook;
}

struct tenant *queue_tenant(const struct queue *queue, const char *name)
{
    struct tenant *tenant = NULL;

    HASH_FIND_STR(queue->tenants, name, tenant);
    return tenant;
}

struct hook *queue_hooks(const struct queue *queue)
{
    return queue->hooks;
}

bool queue_takes_key(const char *key)
{
    size_t len = strcspn(key, ".");

    return len > 0 && len <= TOKEN_MAX && key[len] == '.' && strlen(key) < HOOK_KEY_BYTES;
}

struct hook *queue_add_hook(struct queue *queue, const char *key, unsigned partition)
{
    struct hook *hook = make(sizeof *hook);
    size_t len = strcspn(key, ".");
    char name[TOKEN_MAX + 1];
    struct tenant *tenant;

    assert(queue_takes_key(key));
    memcpy(name, key, len);
    name[len] = '\0';
    tenant = queue_tenant(queue, name);
    if (tenant == NULL) {
        tenant = make(sizeof *tenant);
        memcpy(tenant->name, name, len + 1);
        tenant->lanes[STEADY].tenant = tenant;
        tenant->lanes[TROUBLED].tenant = tenant;
        HASH_ADD_STR(queue->tenants, name, tenant);
    }
    memcpy(hook->key, key, strlen(key) + 1);
    hook->id = hook->key + len + 1;
    hook->partition = partition;
    hook->limit = queue->limits.per_hook;
    hook->tenant = tenant;
    LL_PREPEND2(tenant->hooks, hook, sibling);
    HASH_ADD_STR(queue->hooks, key, hook);
    return hook;
}

static void delivery_free(struct queue *queue, struct queued *delivery)
{
    if (delivery->hook != NULL) // otherwise it was dropped
        HASH_DEL(queue->deliveries, delivery);
    queue_payload_drop(queue, delivery->payload);
    free(delivery);
}

static void drop_line(struct queue *queue, struct line *line)
{
    struct queued *next;

    for (struct queued *delivery = line->first; delivery != NULL; delivery = next) {
        next = delivery->next;
        if (delivery->state == DELIVERY_WAITING)
            heap_remove(queue, delivery);
        if (delivery->state == DELIVERY_TAKEN && !queue->closing) {
            assert(queue->deliveries != NULL);
            HASH_DEL(queue->deliveries, delivery); // it may come again with its hook meanwhile
            delivery->hook = NULL;
        } else {
            delivery_free(queue, delivery);
        }
    }
}

void queue_drop_hook(struct queue *queue, struct hook *hook)
{
    struct tenant *tenant = hook->tenant;
    struct line *line;
    struct line *next;

    unlist(queue, hook);
    count_taken(queue, hook, -(int)hook->taken);
    tenant->count -= hook->count;
    line = hook->lines;
    HASH_CLEAR(hh, hook->lines); // the table; what was in it is still linked
    for (; line != NULL; line = next) {
        next = line->hh.next;
        drop_line(queue, line);
        free(line);
    }
    LL_DELETE2(tenant->hooks, hook, sibling);
    if (tenant->hooks == NULL) {
        HASH_DEL(queue->tenants, tenant);
        free(tenant);
    }
    HASH_DEL(queue->hooks, hook);
    free(hook);
}

void queue_destroy(struct queue *queue)
{
    struct hook *next;

    if (queue == NULL)
        return;
    queue->closing = true;
    for (struct hook *hook = queue->hooks; hook != NULL; hook = next) {
        next = hook->hh.next;
        queue_drop_hook(queue, hook);
    }
    free(queue->heap);
    free(queue);
}

// What is left of the deliveries for a tenant: nobody may have more.
static size_t room_of(const struct queue *queue, const struct tenant *tenant)
{
    size_t gone = HASH_COUNT(queue->deliveries) + tenant->count;

    return gone < queue->limits.total_max ? queue->limits.total_max - gone : 0;
}

// A hook without a body here may have one more when others have filled the room.
static bool has_payload_room(const struct queue *queue, const struct hook *hook)
{
    size_t max = queue->limits.payload_bytes_max;

    return queue->payload_bytes < (hook->light == 0 ? 2 * max : max);
}

bool queue_is_full(const struct queue *queue, const struct hook *hook)
{
    return hook->light >= queue->limits.light_max || hook->count >= queue->limits.per_hook_max ||
           hook->count >= room_of(queue, hook->tenant) || !has_payload_room(queue, hook);
}

bool queue_has_room(const struct queue *queue, const struct hook *hook)
{
    return hook->light <= queue->limits.light_max / 2 &&
           hook->count <= queue->limits.per_hook_max / 2 &&
           hook->count < (room_of(queue, hook->tenant) + 1) / 2 && has_payload_room(queue, hook);
}

// --- deliveries ----------------------------------------------------------------------------------

struct payload *queue_payload(struct queue *queue, Text body)
{
    struct payload *payload = make(sizeof *payload + body.len);

    payload->owners = 1;
    payload->len = body.len;
    memcpy(payload->data, body.data, body.len);
    queue->payload_bytes += payload->len;
    return payload;
}

void queue_payload_drop(struct queue *queue, struct payload *payload)
{
    if (payload == NULL || --payload->owners > 0)
        return;
    queue->payload_bytes -= payload->len;
    free(payload);
}

struct queued *queue_find(const struct queue *queue, const struct uuid *id)
{
    struct queued *delivery = NULL;

    HASH_FIND(hh, queue->deliveries, id, sizeof *id, delivery);
    return delivery;
}

static void join_line(struct queued *delivery)
{
    struct hook *hook = delivery->hook;
    struct line *line = NULL;

    HASH_FIND(hh, hook->lines, &delivery->packet_id, sizeof delivery->packet_id, line);
    if (line == NULL) {
        line = make(sizeof *line);
        line->packet_id = delivery->packet_id;
        HASH_ADD(hh, hook->lines, packet_id, sizeof line->packet_id, line);
        line->first = delivery;
    } else {
        line->last->next = delivery;
    }
    line->last = delivery;
    delivery->line = line;
}

static void join_light(struct queued *delivery)
{
    struct hook *hook = delivery->hook;

    delivery->lighter = hook->last_light;
    if (hook->last_light != NULL)
        hook->last_light->heavier = delivery;
    else
        hook->first_light = delivery;
    hook->last_light = delivery;
    hook->light++;
}

static void leave_light(struct queued *delivery)
{
    struct hook *hook = delivery->hook;

    if (delivery->lighter != NULL)
        delivery->lighter->heavier = delivery->heavier;
    else
        hook->first_light = delivery->heavier;
    if (delivery->heavier != NULL)
        delivery->heavier->lighter = delivery->lighter;
    else
        hook->last_light = delivery->lighter;
    delivery->lighter = NULL;
    delivery->heavier = NULL;
    hook->light--;
}

static void begin_waiting(struct queue *queue, struct queued *delivery, int64_t at_us)
{
    delivery->at_us = at_us;
    if (at_us == 0) {
        make_ready(queue, delivery);
        return;
    }
    delivery->state = DELIVERY_WAITING;
    heap_add(queue, delivery);
}

struct queued *queue_add(struct queue *queue, struct hook *hook, const struct queued *fields)
{
    struct queued *delivery = make(sizeof *delivery);

    *delivery = *fields;
    delivery->hook = hook;
    if (delivery->payload != NULL)
        delivery->payload->owners++;
    hook->count++;
    hook->tenant->count++;
    HASH_ADD(hh, queue->deliveries, id, sizeof delivery->id, delivery);
    join_line(delivery);
    if (delivery->record_seq == 0)
        join_light(delivery);
    if (delivery->line->first == delivery)
        begin_waiting(queue, delivery, delivery->at_us);
    else
        delivery->state = DELIVERY_BLOCKED;
    return delivery;
}

bool queue_is_stuck(const struct queued *delivery)
{
    return delivery->state == DELIVERY_BLOCKED && delivery->line->first->record_seq != 0;
}

struct queued *queue_take(struct queue *queue)
{
    struct hook *hook = next_turn(queue);
    struct queued *delivery;

    if (hook == NULL)
        return NULL;
    delivery = hook->ready;
    hook->ready = delivery->ready_next;
    delivery->ready_next = NULL;
    delivery->state = DELIVERY_TAKEN;
    hook->taken++;
    count_taken(queue, hook, 1);
    list(queue, hook);
    return delivery;
}

void queue_recorded(struct queued *delivery, uint64_t record_seq)
{
    if (delivery->record_seq == 0 && delivery->hook != NULL)
        leave_light(delivery);
    delivery->record_seq = record_seq;
}

void queue_lighten(struct queue *queue, struct queued *delivery)
{
    queue_payload_drop(queue, delivery->payload);
    delivery->payload = NULL;
}

static void give_back(struct queue *queue, struct hook *hook)
{
    hook->taken--;
    count_taken(queue, hook, -1);
    list(queue, hook);
}

void queue_retry(struct queue *queue, struct queued *delivery, int64_t at_us)
{
    if (delivery->hook == NULL) {
        delivery_free(queue, delivery);
        return;
    }
    if (delivery->record_seq != 0)
        queue_lighten(queue, delivery);
    begin_waiting(queue, delivery, at_us);
    give_back(queue, delivery->hook);
}

void queue_done(struct queue *queue, struct queued *delivery)
{
    struct hook *hook = delivery->hook;
    struct line *line = delivery->line;

    if (hook == NULL) {
        delivery_free(queue, delivery);
        return;
    }
    assert(line->first == delivery);
    if (delivery->record_seq == 0)
        leave_light(delivery);
    hook->count--;
    hook->tenant->count--;
    line->first = delivery->next;
    if (line->first != NULL) {
        begin_waiting(queue, line->first, line->first->at_us);
    } else {
        HASH_DEL(hook->lines, line);
        free(line);
    }
    delivery_free(queue, delivery);
    give_back(queue, hook);
}

void queue_note(struct queue *queue, struct hook *hook, bool succeeded, bool slow)
{
    bool listed = hook->listed;
    unsigned limit;

    unlist(queue, hook);
    count_taken(queue, hook, -(int)hook->taken);
    hook->slow = slow;
    if (succeeded) {
        hook->failures = 0;
        if (hook->limit < queue->limits.per_hook)
            hook->limit++;
    } else {
        // Half of it with every second failure: one now and then is nothing.
        hook->failures++;
        limit = hook->failures / 2 < 8 ? queue->limits.per_hook >> (hook->failures / 2) : 0;
        if (limit < hook->limit)
            hook->limit = limit > 0 ? limit : 1;
    }
    count_taken(queue, hook, (int)hook->taken);
    if (listed)
        list(queue, hook);
}

int64_t queue_next_at(const struct queue *queue)
{
    return queue->heap_count > 0 ? queue->heap[0]->at_us : QUEUE_NEVER;
}

static void end_waiting(struct queue *queue, struct queued *delivery)
{
    heap_remove(queue, delivery);
    delivery->at_us = 0;
    make_ready(queue, delivery);
}

void queue_wake(struct queue *queue, int64_t now_us)
{
    while (queue->heap_count > 0 && queue->heap[0]->at_us <= now_us)
        end_waiting(queue, queue->heap[0]);
}

void queue_hurry(struct queue *queue, struct hook *hook)
{
    for (struct line *line = hook->lines; line != NULL; line = line->hh.next) {
        for (struct queued *at = line->first; at != NULL; at = at->next) {
            if (at->state == DELIVERY_WAITING)
                end_waiting(queue, at);
            else if (at->state == DELIVERY_BLOCKED)
                at->at_us = 0;
        }
    }
}

void queue_each(struct hook *hook, void (*visit)(void *ctx, struct queued *delivery), void *ctx)
{
    for (struct line *line = hook->lines; line != NULL; line = line->hh.next) {
        for (struct queued *at = line->first; at != NULL; at = at->next)
            visit(ctx, at);
    }
}

size_t queue_count(const struct queue *queue)
{
    return HASH_COUNT(queue->deliveries);
}

unsigned queue_taken(const struct queue *queue)
{
    return queue->taken[STEADY];
}
