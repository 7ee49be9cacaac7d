// A table of chains by tenant, open-addressed, at most half full. It is emptied when it has become
// larger than KEPT_MAX and a batch is done: it only spares reading.
#include "workers/audit/hash_chain.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_MAX 65536
#define SLOTS_FIRST 64

struct chain {
    char *tenant; // owned
    size_t tenant_len;
    int64_t number;
    uint8_t mac[SEAL_BYTES]; // of the row with that number
    bool moved;              // by the batch in hand, to:
    int64_t next_number;
    uint8_t next_mac[SEAL_BYTES];
    int64_t next_seq;
    int64_t next_part;
};

struct chains {
    const struct keyring *ring;
    int32_t shard;
    struct chain **slots; // owned; NULL: free
    size_t slot_count;    // a power of two
    size_t count;
    struct chain **moved; // borrowed from slots
    size_t moved_count;
    size_t moved_cap;
    struct pg_array columns[MOVED_COLUMNS];
    struct buf scratch;
};

static const enum pg_type column_types[MOVED_COLUMNS] = {
    PG_TEXT, PG_INT8, PG_BYTEA, PG_INT8, PG_INT8, PG_INT8, PG_INT8, PG_BYTEA,
};

static struct chain **slots_create(size_t count)
{
    struct chain **slots = calloc(count, sizeof(void *));

    if (slots == NULL)
        abort();
    return slots;
}

struct chains *chains_create(const struct keyring *ring, int32_t shard)
{
    struct chains *chains = calloc(1, sizeof *chains);

    if (chains == NULL)
        abort();
    chains->ring = ring;
    chains->shard = shard;
    chains->slot_count = SLOTS_FIRST;
    chains->slots = slots_create(SLOTS_FIRST);
    for (size_t i = 0; i < MOVED_COLUMNS; i++)
        pg_array_init(&chains->columns[i], column_types[i]);
    return chains;
}

void chains_forget(struct chains *chains)
{
    for (size_t i = 0; i < chains->slot_count; i++) {
        if (chains->slots[i] != NULL)
            free(chains->slots[i]->tenant);
        free(chains->slots[i]);
        chains->slots[i] = NULL;
    }
    chains->count = 0;
    chains->moved_count = 0;
}

void chains_destroy(struct chains *chains)
{
    if (chains == NULL)
        return;
    chains_forget(chains);
    for (size_t i = 0; i < MOVED_COLUMNS; i++)
        pg_array_fini(&chains->columns[i]);
    buf_fini(&chains->scratch);
    free(chains->moved);
    free(chains->slots);
    free(chains);
}

// Where the tenant's chain is, or would be.
static struct chain **place_of(struct chain **slots, size_t slot_count, Text tenant)
{
    uint64_t hash = 14695981039346656037U; // FNV-1a
    size_t slot;

    for (size_t i = 0; i < tenant.len; i++)
        hash = (hash ^ tenant.data[i]) * 1099511628211U;
    for (slot = (hash ^ hash >> 32) & (slot_count - 1); slots[slot] != NULL;
         slot = (slot + 1) & (slot_count - 1)) {
        const struct chain *chain = slots[slot];

        if (chain->tenant_len == tenant.len && memcmp(chain->tenant, tenant.data, tenant.len) == 0)
            break;
    }
    return &slots[slot];
}

static void grow(struct chains *chains)
{
    struct chain **slots = slots_create(2 * chains->slot_count);

    for (size_t i = 0; i < chains->slot_count; i++) {
        struct chain *chain = chains->slots[i];

        if (chain != NULL)
            *place_of(slots, 2 * chains->slot_count,
                      (Text){chain->tenant_len, (uint8_t *)chain->tenant}) = chain;
    }
    free(chains->slots);
    chains->slots = slots;
    chains->slot_count *= 2;
}

static struct chain *find(const struct chains *chains, Text tenant)
{
    return *place_of(chains->slots, chains->slot_count, tenant);
}

// An empty chain, unless there is one.
static struct chain *add(struct chains *chains, Text tenant)
{
    struct chain **place;

    if (2 * (chains->count + 1) > chains->slot_count)
        grow(chains);
    place = place_of(chains->slots, chains->slot_count, tenant);
    if (*place != NULL)
        return *place;
    *place = calloc(1, sizeof **place);
    if (*place == NULL)
        abort();
    (*place)->tenant = malloc(tenant.len + 1);
    if ((*place)->tenant == NULL)
        abort();
    memcpy((*place)->tenant, tenant.data, tenant.len);
    (*place)->tenant_len = tenant.len;
    chains->count++;
    return *place;
}

static Text next_text(const struct pg_array *column, size_t *at)
{
    const void *data = NULL;
    size_t len = 0;

    (void)pg_array_next(column, at, &data, &len);
    return (Text){len, (uint8_t *)(uintptr_t)data};
}

void chains_missing(struct chains *chains, const struct batch *batch, struct pg_array *tenants)
{
    const struct pg_array *column = &batch->events[EVENT_TENANT];
    Text last = {0, NULL};
    size_t at = 0;

    pg_array_reset(tenants);
    for (int32_t row = 0; row < column->count; row++) {
        Text tenant = next_text(column, &at);

        // The same one may be named again: rare, and harmless.
        if (find(chains, tenant) == NULL && (row == 0 || !text_equal(tenant, last)))
            pg_array_append(tenants, pg_text(tenant.data, tenant.len));
        last = tenant;
    }
}

void chains_learn(struct chains *chains, const struct pg_array *tenants,
                  const struct pg_result *rows)
{
    size_t at = 0;

    for (int32_t i = 0; i < tenants->count; i++)
        (void)add(chains, next_text(tenants, &at));
    for (int row = 0; row < pg_rows(rows); row++) {
        size_t tenant_len;
        size_t mac_len;
        const char *tenant = pg_get_bytes(rows, row, 0, &tenant_len);
        const void *mac = pg_get_bytes(rows, row, 2, &mac_len);
        struct chain *chain = add(chains, (Text){tenant_len, (uint8_t *)(uintptr_t)tenant});

        chain->number = pg_get_int(rows, row, 1);
        // Of another length it was not ours; the guard will say so.
        if (mac_len == SEAL_BYTES)
            memcpy(chain->mac, mac, SEAL_BYTES);
    }
}

static void note_moved(struct chains *chains, struct chain *chain)
{
    if (chain->moved)
        return;
    if (chains->moved_count == chains->moved_cap) {
        chains->moved_cap = chains->moved_cap > 0 ? 2 * chains->moved_cap : 64;
        chains->moved = realloc(chains->moved, chains->moved_cap * sizeof(void *));
        if (chains->moved == NULL)
            abort();
    }
    chains->moved[chains->moved_count++] = chain;
    chain->moved = true;
    chain->next_number = chain->number;
    memcpy(chain->next_mac, chain->mac, SEAL_BYTES);
}

// The next row of the batch, as it will be sent.
static struct seal_row read_row(const struct batch *batch, size_t at[EVENT_COLUMNS])
{
    Text values[EVENT_NUMBER];
    struct seal_row row = {.number = 0};

    for (size_t i = 0; i < EVENT_NUMBER; i++)
        values[i] = next_text(&batch->events[i], &at[i]);
    row.seq = pg_bytes_int(values[EVENT_SEQ].data, values[EVENT_SEQ].len);
    row.part = pg_bytes_int(values[EVENT_PART].data, values[EVENT_PART].len);
    row.at_us = pg_bytes_timestamp_us(values[EVENT_AT].data, values[EVENT_AT].len);
    memcpy(row.event_id.bytes, values[EVENT_ID].data, UUID_BYTES);
    memcpy(row.packet_id.bytes, values[EVENT_PACKET_ID].data, UUID_BYTES);
    row.tenant = values[EVENT_TENANT];
    row.type = values[EVENT_TYPE];
    row.actor = values[EVENT_ACTOR];
    row.key_id = values[EVENT_KEY_ID];
    row.details = values[EVENT_DETAILS];
    row.record = values[EVENT_RECORD];
    return row;
}

static void seal(struct chains *chains, struct seal_row *row)
{
    struct chain *chain = find(chains, row->tenant);
    enum rc rc;

    assert(chain != NULL);
    note_moved(chains, chain);
    row->number = ++chain->next_number;
    rc = seal_row_mac(row->mac, row, chain->next_mac, chains->ring, &chains->scratch);
    assert(rc == RC_OK); // the ring named the key
    (void)rc;
    memcpy(chain->next_mac, row->mac, SEAL_BYTES);
    chain->next_seq = row->seq;
    chain->next_part = row->part;
}

static void put_moved(struct chains *chains, int key)
{
    struct pg_array *columns = chains->columns;

    for (size_t i = 0; i < MOVED_COLUMNS; i++)
        pg_array_reset(&columns[i]);
    for (size_t i = 0; i < chains->moved_count; i++) {
        const struct chain *chain = chains->moved[i];

        pg_array_append(&columns[MOVED_TENANT], pg_text(chain->tenant, chain->tenant_len));
        pg_array_append(&columns[MOVED_OLD_NUMBER], pg_int8(chain->number));
        pg_array_append(&columns[MOVED_OLD_MAC],
                        pg_bytea(chain->mac, chain->number > 0 ? SEAL_BYTES : 0));
        pg_array_append(&columns[MOVED_NUMBER], pg_int8(chain->next_number));
        pg_array_append(&columns[MOVED_SEQ], pg_int8(chain->next_seq));
        pg_array_append(&columns[MOVED_PART], pg_int8(chain->next_part));
        pg_array_append(&columns[MOVED_MAC_KEY], pg_int8(key));
        pg_array_append(&columns[MOVED_MAC], pg_bytea(chain->next_mac, SEAL_BYTES));
    }
}

const struct pg_array *chains_seal(struct chains *chains, struct batch *batch, int32_t epoch)
{
    size_t at[EVENT_COLUMNS] = {0};
    int key = keyring_newest(chains->ring);

    assert(chains->moved_count == 0);
    for (int32_t i = 0; i < batch->events[EVENT_SEQ].count; i++) {
        struct seal_row row = read_row(batch, at);

        row.epoch = epoch;
        row.shard = chains->shard;
        row.key = key;
        seal(chains, &row);
        pg_array_append(&batch->events[EVENT_NUMBER], pg_int8(row.number));
        pg_array_append(&batch->events[EVENT_MAC_KEY], pg_int8(key));
        pg_array_append(&batch->events[EVENT_MAC], pg_bytea(row.mac, SEAL_BYTES));
    }
    put_moved(chains, key);
    return chains->columns;
}

void chains_commit(struct chains *chains)
{
    for (size_t i = 0; i < chains->moved_count; i++) {
        struct chain *chain = chains->moved[i];

        chain->number = chain->next_number;
        memcpy(chain->mac, chain->next_mac, SEAL_BYTES);
        chain->moved = false;
    }
    chains->moved_count = 0;
    if (chains->count > KEPT_MAX)
        chains_forget(chains);
}
