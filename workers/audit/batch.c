// From records to columns.
//
// Nothing in a record can make this fail: texts are made fit for Postgres (broker/sql/column.h),
// and what is no record becomes an event of type "unreadable", so that one bad message neither
// stops the log nor is missing from it.
#include "workers/audit/batch.h"

#include "broker/base/buf.h"
#include "broker/base/timestamp.h"
#include "broker/packet/event_names.h"
#include "broker/seal/seal.h"
#include "broker/sql/column.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define ARENA_BYTES (1 << 20)
#define EARLIEST_US 1577836800000000LL // 2020-01-01, before any packet
#define LATEST_AHEAD_US (40 * 86400000000LL)
#define APPROVERS_MAX 256 // more than rules.c lets in; they have to fit into an index

static const enum pg_type event_types[EVENT_COLUMNS] = {
    PG_INT8, PG_TIMESTAMPTZ, PG_UUID, PG_UUID, PG_TEXT, PG_TEXT, PG_TEXT,  PG_TEXT,
    PG_TEXT, PG_BYTEA,       PG_INT8, PG_BOOL, PG_INT8, PG_INT8, PG_BYTEA,
};

static const enum pg_type packet_types[PACKET_COLUMNS] = {
    PG_INT8, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ, PG_UUID, PG_TEXT,        PG_TEXT, PG_TEXT, PG_TEXT,
    PG_TEXT, PG_TEXT,        PG_BYTEA,       PG_UUID, PG_TIMESTAMPTZ, PG_TEXT, PG_INT8, PG_INT8,
};

static const enum pg_type text_types[TEXT_COLUMNS] = {
    PG_INT8, PG_UUID, PG_TEXT, PG_BYTEA, PG_TEXT, PG_TEXT, PG_TEXT,
};

// What has to be read from a record before it can be stored as one.
struct reading {
    bool readable;
    struct uuid event_id;
    struct uuid packet_id;
    int64_t at_us;
};

void batch_init(struct batch *batch, struct words_memory *words)
{
    *batch = (struct batch){.arena = arena_create(ARENA_BYTES), .words = words};
    for (size_t i = 0; i < EVENT_COLUMNS; i++)
        pg_array_init(&batch->events[i], event_types[i]);
    for (size_t i = 0; i < PACKET_COLUMNS; i++)
        pg_array_init(&batch->packets[i], packet_types[i]);
    for (size_t i = 0; i < TEXT_COLUMNS; i++)
        pg_array_init(&batch->texts[i], text_types[i]);
}

void batch_fini(struct batch *batch)
{
    for (size_t i = 0; i < EVENT_COLUMNS; i++)
        pg_array_fini(&batch->events[i]);
    for (size_t i = 0; i < PACKET_COLUMNS; i++)
        pg_array_fini(&batch->packets[i]);
    for (size_t i = 0; i < TEXT_COLUMNS; i++)
        pg_array_fini(&batch->texts[i]);
    arena_destroy(batch->arena);
}

static struct reading read_item(const struct projection_item *item)
{
    const Hr__PacketRecord *record = item->record;
    struct reading reading = {.at_us = timestamp_now_us()};

    if (record == NULL || record->event == NULL || record->packet == NULL ||
        record->event->at == NULL)
        return reading;
    if (uuid_parse((const char *)record->event->id.data, record->event->id.len,
                   &reading.event_id) != NULL ||
        uuid_parse((const char *)record->packet->id.data, record->packet->id.len,
                   &reading.packet_id) != NULL)
        return reading;
    reading.readable = true;
    reading.at_us = wire_timestamp_us(record->event->at);
    return reading;
}

void batch_ids(const struct projection_item *item, struct uuid *packet_id, struct uuid *event_id)
{
    struct reading reading = read_item(item);

    if (!reading.readable)
        return;
    *packet_id = reading.packet_id;
    *event_id = reading.event_id;
}

static void note_month(struct batch *batch, int64_t at_us)
{
    time_t seconds = (time_t)(at_us / 1000000);
    struct tm tm;
    int month;

    // Our own clocks made these; a wild one must not litter the table with partitions.
    if (at_us < EARLIEST_US || at_us > timestamp_now_us() + LATEST_AHEAD_US)
        return;
    if (gmtime_r(&seconds, &tm) == NULL)
        return;
    month = (tm.tm_year + 1900) * 12 + tm.tm_mon;
    for (size_t i = 0; i < batch->month_count; i++) {
        if (batch->months[i] == month)
            return;
    }
    if (batch->month_count < BATCH_MONTHS)
        batch->months[batch->month_count++] = month;
}

static struct pg_param key_of(struct batch *batch, Text text)
{
    return column_key(batch->arena, text.data, text.len);
}

// What a row of the audit log says, beside its place.
struct entry {
    struct uuid event_id;
    struct uuid packet_id;
    Text type;
    Text actor;
    Text key_id;
    Text details;
    Text record;
    int part;
    bool asks; // a human
};

static void append_entry(struct batch *batch, const struct projection_item *item, int64_t at_us,
                         const struct entry *entry)
{
    struct pg_array *columns = batch->events;

    pg_array_append(&columns[EVENT_SEQ], pg_int8((int64_t)item->sequence));
    pg_array_append(&columns[EVENT_AT], pg_timestamptz(at_us));
    pg_array_append(&columns[EVENT_ID], pg_uuid(&entry->event_id));
    pg_array_append(&columns[EVENT_PACKET_ID], pg_uuid(&entry->packet_id));
    pg_array_append(&columns[EVENT_TENANT], key_of(batch, item->tenant));
    pg_array_append(&columns[EVENT_TYPE], key_of(batch, entry->type));
    pg_array_append(&columns[EVENT_ACTOR], key_of(batch, entry->actor));
    pg_array_append(&columns[EVENT_KEY_ID], key_of(batch, entry->key_id));
    pg_array_append(&columns[EVENT_DETAILS],
                    column_text(batch->arena, entry->details.data, entry->details.len));
    pg_array_append(&columns[EVENT_RECORD], pg_bytea(entry->record.data, entry->record.len));
    pg_array_append(&columns[EVENT_PART], pg_int8(entry->part));
    pg_array_append(&columns[EVENT_ASKS], pg_bool(entry->asks));
}

// A packet that was made as a follow-up is an event of its parent too: the parent is not changed by
// it, so no record of its own says so.
static bool is_chained(const Hr__PacketRecord *record, struct uuid *parent_id)
{
    const Hr__Packet *packet = record->packet;

    return text_is(record->event->type, "created") && packet->lineage != NULL &&
           packet->lineage->n_ancestors > 0 && // a create with a parent takes nothing over
           packet->has_parent_packet_id &&
           uuid_parse((const char *)packet->parent_packet_id.data, packet->parent_packet_id.len,
                      parent_id) == NULL;
}

static void add_chained(struct batch *batch, const struct projection_item *item,
                        const struct reading *reading, const struct entry *created)
{
    struct entry chained = *created;
    char child_id[UUID_TEXT_BYTES];

    if (!is_chained(item->record, &chained.packet_id))
        return;
    uuid_format(child_id, &reading->packet_id);
    chained.event_id = seal_derived_id(&reading->event_id, "chained");
    chained.type = text_of("chained");
    chained.details = text_of(arena_printf(batch->arena, "{\"child_packet_id\":\"%s\"}", child_id));
    chained.record = (Text){0, NULL};
    chained.part = 1;
    chained.asks = false;
    append_entry(batch, item, reading->at_us, &chained);
}

static void add_event(struct batch *batch, const struct projection_item *item,
                      const struct reading *reading)
{
    const Hr__Event *event = reading->readable ? item->record->event : NULL;
    struct entry entry = {
        .event_id = reading->event_id,
        .packet_id = reading->packet_id,
        .type = text_of("unreadable"),
        .details = text_of("{}"),
        .record = item->data,
    };

    if (event != NULL) {
        entry.type = event->type;
        entry.actor = event->actor;
        entry.key_id = event->key_id;
        entry.asks = heard_asks(item->record);
    }
    if (event != NULL && event->details != NULL && event->details->text.len > 0)
        entry.details = event->details->text;
    append_entry(batch, item, reading->at_us, &entry);
    if (event != NULL)
        add_chained(batch, item, reading, &entry);
    note_month(batch, reading->at_us);
}

// Array literals: every element quoted, so that commas, braces and the word NULL mean nothing.
static void literal_open(struct buf *literal)
{
    buf_puts(literal, "{");
}

static void literal_add(struct batch *batch, struct buf *literal, Text text)
{
    struct pg_param key = key_of(batch, text);
    const char *chars = key.data;

    buf_puts(literal, literal->len > 1 ? ",\"" : "\"");
    for (size_t i = 0; i < key.len; i++) {
        if (chars[i] == '"' || chars[i] == '\\')
            buf_puts(literal, "\\");
        buf_append(literal, &chars[i], 1);
    }
    buf_puts(literal, "\"");
}

static struct pg_param literal_close(struct batch *batch, struct buf *literal)
{
    Text text;

    buf_puts(literal, "}");
    text = text_copy(batch->arena, literal->data, literal->len);
    buf_fini(literal);
    return pg_text(text.data, text.len);
}

static struct pg_param tags_literal(struct batch *batch, const Hr__Metadata *metadata)
{
    struct buf literal = {0};

    literal_open(&literal);
    for (size_t i = 0; metadata != NULL && i < metadata->n_tags; i++)
        literal_add(batch, &literal, metadata->tags[i]);
    return literal_close(batch, &literal);
}

// Those who may answer. Nobody named: anyone may, whomever it was escalated to.
static struct pg_param approvers_literal(struct batch *batch, const Hr__Hitl *hitl)
{
    struct buf literal = {0};
    size_t named = hitl != NULL ? hitl->n_approvers : 0;
    size_t count = named > 0 ? named + hitl->n_escalated_to : 0;

    if (count > APPROVERS_MAX)
        count = APPROVERS_MAX;
    literal_open(&literal);
    for (size_t i = 0; i < count; i++) {
        Text who = i < named ? hitl->approvers[i] : hitl->escalated_to[i - named];

        buf_printf(&literal, "%s%" PRId64, i > 0 ? "," : "", column_hash(who.data, who.len));
    }
    return literal_close(batch, &literal);
}

static struct pg_param parent_of(const Hr__Packet *packet)
{
    struct uuid parent;

    if (!packet->has_parent_packet_id || uuid_parse((const char *)packet->parent_packet_id.data,
                                                    packet->parent_packet_id.len, &parent) != NULL)
        return pg_null(PG_UUID);
    return pg_uuid(&parent);
}

// Null when there is no such time. Both are ours, so the one is not before the other.
static struct pg_param time_between(const Google__Protobuf__Timestamp *from,
                                    const Google__Protobuf__Timestamp *to)
{
    if (from == NULL || to == NULL)
        return pg_null(PG_INT8);
    return pg_int8(wire_timestamp_us(to) - wire_timestamp_us(from));
}

static struct pg_param due_of(const Hr__Packet *packet)
{
    if (packet->hitl == NULL || packet->hitl->deadline == NULL)
        return pg_null(PG_TIMESTAMPTZ);
    return pg_timestamptz(wire_timestamp_us(packet->hitl->deadline));
}

static struct pg_param name_of(struct batch *batch, const ProtobufCEnumDescriptor *descriptor,
                               int value)
{
    char *name = arena_alloc(batch->arena, ENUM_TEXT_BYTES);

    if (wire_enum_text(name, descriptor, value) == NULL)
        return pg_text("unspecified", strlen("unspecified")); // made by a newer program
    return pg_text(name, strlen(name));
}

static void add_texts(struct batch *batch, const struct projection_item *item,
                      const struct reading *reading)
{
    struct learned *learned = &batch->learned[batch->learned_count];
    struct pg_array *column = batch->texts;
    struct words words;

    words_of(&words, item->record->packet, batch->arena);
    if (words_known(batch->words, &reading->packet_id, &words))
        return;
    pg_array_append(column++, pg_int8((int64_t)item->sequence));
    pg_array_append(column++, pg_uuid(&reading->packet_id));
    pg_array_append(column++, key_of(batch, item->tenant));
    pg_array_append(column++, pg_bytea(words.digest, sizeof words.digest));
    pg_array_append(column++, column_text(batch->arena, words.title.data, words.title.len));
    pg_array_append(column++, column_text(batch->arena, words.reasons.data, words.reasons.len));
    pg_array_append(column++, column_text(batch->arena, words.talk.data, words.talk.len));
    assert(column == batch->texts + TEXT_COLUMNS);
    learned->packet_id = reading->packet_id;
    memcpy(learned->digest, words.digest, sizeof learned->digest);
    batch->learned_count++;
}

static void add_packet(struct batch *batch, const struct projection_item *item,
                       const struct reading *reading)
{
    const Hr__Packet *packet = item->record->packet;
    const Hr__Metadata *metadata = packet->metadata;
    const Text none = {0, NULL};
    bool has_source = metadata != NULL && metadata->source_agent != NULL;
    bool has_target = metadata != NULL && metadata->target_agent != NULL;
    Text packed = wire_pack(batch->arena, &packet->base);
    const Google__Protobuf__Timestamp *claimed_at = metadata != NULL ? metadata->claimed_at : NULL;
    const Google__Protobuf__Timestamp *completed_at =
        metadata != NULL ? metadata->completed_at : NULL;
    struct pg_array *column = batch->packets;

    pg_array_append(column++, pg_int8((int64_t)item->sequence));
    pg_array_append(column++, pg_timestamptz(wire_timestamp_us(packet->created_at)));
    pg_array_append(column++, pg_timestamptz(wire_timestamp_us(packet->updated_at)));
    pg_array_append(column++, pg_uuid(&reading->packet_id));
    pg_array_append(column++, key_of(batch, item->tenant));
    pg_array_append(column++, name_of(batch, &hr__status__descriptor, (int)packet->status));
    pg_array_append(column++, name_of(batch, &hr__priority__descriptor,
                                      metadata != NULL ? (int)metadata->priority : 0));
    pg_array_append(column++, key_of(batch, has_source ? metadata->source_agent->id : none));
    pg_array_append(column++, key_of(batch, has_target ? metadata->target_agent->id : none));
    pg_array_append(column++, tags_literal(batch, metadata));
    pg_array_append(column++, pg_bytea(packed.data, packed.len));
    pg_array_append(column++, parent_of(packet));
    pg_array_append(column++, due_of(packet));
    pg_array_append(column++, approvers_literal(batch, packet->hitl));
    pg_array_append(column++, time_between(packet->created_at, claimed_at));
    pg_array_append(column++, time_between(claimed_at, completed_at));
    assert(column == batch->packets + PACKET_COLUMNS);
    add_texts(batch, item, reading);
}

// The packets that a walk from the newest record back has met: an open-addressed table of item
// numbers plus 1, at most half full.
struct seen {
    const struct projection_item *items;
    const struct reading *readings;
    size_t mask;
    size_t *slots;
};

static bool seen_before(struct seen *seen, size_t item)
{
    const struct uuid *id = &seen->readings[item].packet_id;
    uint64_t hash;
    size_t slot;

    memcpy(&hash, id->bytes + 8, sizeof hash); // the random half
    for (slot = (hash ^ hash >> 32) & seen->mask; seen->slots[slot] != 0;
         slot = (slot + 1) & seen->mask) {
        size_t other = seen->slots[slot] - 1;

        if (memcmp(id, &seen->readings[other].packet_id, sizeof *id) == 0 &&
            text_equal(seen->items[item].tenant, seen->items[other].tenant))
            return true;
    }
    seen->slots[slot] = item + 1;
    return false;
}

// What a packet leaves behind in the stream; the packet as it is, is in the table already.
static bool is_stub(const struct projection_item *item)
{
    return item->record->packet->archived_at != NULL;
}

void batch_fill(struct batch *batch, const struct projection_item *items, size_t count)
{
    struct reading *readings;
    struct seen seen = {.items = items};
    size_t slots = 2;

    assert(count > 0);
    arena_reset(batch->arena);
    for (size_t i = 0; i < EVENT_COLUMNS; i++)
        pg_array_reset(&batch->events[i]);
    for (size_t i = 0; i < PACKET_COLUMNS; i++)
        pg_array_reset(&batch->packets[i]);
    for (size_t i = 0; i < TEXT_COLUMNS; i++)
        pg_array_reset(&batch->texts[i]);
    batch->learned = arena_calloc(batch->arena, count, sizeof *batch->learned);
    batch->learned_count = 0;
    batch->month_count = 0;

    readings = arena_calloc(batch->arena, count, sizeof *readings);
    for (size_t i = 0; i < count; i++) {
        assert(i == 0 || items[i].sequence > items[i - 1].sequence);
        readings[i] = read_item(&items[i]);
        if (!items[i].known)
            add_event(batch, &items[i], &readings[i]);
    }
    while (slots < 2 * count)
        slots *= 2;
    seen.readings = readings;
    seen.mask = slots - 1;
    seen.slots = arena_calloc(batch->arena, slots, sizeof *seen.slots);
    for (size_t i = count; i-- > 0;) {
        if (readings[i].readable && !is_stub(&items[i]) && !seen_before(&seen, i))
            add_packet(batch, &items[i], &readings[i]);
    }
    batch->last_seq = items[count - 1].sequence;
    batch->last_event_id = readings[count - 1].event_id;
}
