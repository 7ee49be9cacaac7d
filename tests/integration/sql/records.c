#include "tests/integration/sql/records.h"

#include "broker/base/timestamp.h"

#include <criterion/criterion.h>
#include <string.h>

static void set(protobuf_c_boolean *has, Text *field, Text value)
{
    *has = 1;
    *field = value;
}

const char *id_text(struct lab *lab, const struct uuid *id)
{
    char *text = arena_alloc(lab->arena, UUID_TEXT_BYTES);

    uuid_format(text, id);
    return text;
}

struct uuid id_number(uint32_t number)
{
    struct uuid id = {{0}};

    for (int i = 0; i < 4; i++)
        id.bytes[12 + i] = (uint8_t)(number >> (8 * (3 - i)));
    return id;
}

static Hr__Packet *make_packet(struct lab *lab, const struct wish *wish, int64_t created_us)
{
    Hr__Packet *packet = wire_new(lab->arena, &hr__packet__descriptor);
    Hr__Metadata *metadata = wire_new(lab->arena, &hr__metadata__descriptor);
    char *summary = arena_calloc(lab->arena, wish->summary_len + 1, 1);

    // Text that does not compress to nothing.
    for (size_t i = 0; i < wish->summary_len; i += 8) {
        uint64_t bits;
        random_bytes(&bits, sizeof bits);
        for (size_t k = i; k < i + 8 && k < wish->summary_len; k++, bits >>= 8)
            summary[k] = (char)('a' + bits % 26);
    }
    packet->metadata = metadata;
    packet->context = wire_new(lab->arena, &hr__context__descriptor);
    set(&packet->has_id, &packet->id, text_of(id_text(lab, &wish->packet_id)));
    set(&packet->context->has_summary, &packet->context->summary,
        (Text){wish->summary_len, (uint8_t *)summary});
    packet->has_status = 1;
    packet->status = wish->status != 0 ? wish->status : HR__STATUS__STATUS_CREATED;
    packet->created_at = wire_timestamp(lab->arena, created_us);
    packet->updated_at = wire_timestamp(lab->arena, wish->at_us != 0 ? wish->at_us : created_us);
    metadata->has_priority = 1;
    metadata->priority = wish->priority != 0 ? wish->priority : HR__PRIORITY__PRIORITY_NORMAL;
    metadata->source_agent = wire_new(lab->arena, &hr__source_agent__descriptor);
    metadata->target_agent = wire_new(lab->arena, &hr__target_agent__descriptor);
    set(&metadata->source_agent->has_id, &metadata->source_agent->id, wish->source);
    set(&metadata->target_agent->has_id, &metadata->target_agent->id, wish->target);
    metadata->n_tags = wish->tag_count;
    metadata->tags = arena_calloc(lab->arena, wish->tag_count, sizeof(Text));
    for (size_t i = 0; i < wish->tag_count; i++)
        metadata->tags[i] = wish->tags[i];
    return packet;
}

#define KEY "1 a-key-for-tests-and-for-nothing-else\n"

const struct keyring *lab_ring(void)
{
    static struct keyring *ring;

    if (ring == NULL)
        cr_assert_eq(keyring_parse(&ring, KEY, strlen(KEY), "test"), RC_OK);
    return ring;
}

struct projection_item record_make(struct lab *lab, uint64_t sequence, const struct wish *wish)
{
    Hr__PacketRecord *record = wire_new(lab->arena, &hr__packet_record__descriptor);
    Hr__Event *event = wire_new(lab->arena, &hr__event__descriptor);
    int64_t created_us = wish->created_us != 0 ? wish->created_us : NOON_US;
    struct uuid event_id = uuid_new();

    record->event = event;
    record->packet = make_packet(lab, wish, created_us);
    set(&event->has_id, &event->id, text_of(id_text(lab, &event_id)));
    set(&event->has_type, &event->type, text_of(wish->type != NULL ? wish->type : "created"));
    set(&event->has_actor, &event->actor, wish->actor.len > 0 ? wish->actor : text_of("agent:a"));
    set(&event->has_key_id, &event->key_id, text_of("key-1"));
    event->at = wire_timestamp(lab->arena, wish->at_us != 0 ? wish->at_us : created_us);
    event->details = wire_json(lab->arena, text_of(wish->details != NULL ? wish->details : "{}"));
    return (struct projection_item){
        .sequence = sequence,
        .tenant = text_of(wish->tenant != NULL ? wish->tenant : "acme"),
        .record = record,
        .data = wire_pack(lab->arena, &record->base),
    };
}

struct end {
    bool done;
    enum rc rc;
};

static void on_end(void *ctx, enum rc rc)
{
    *(struct end *)ctx = (struct end){true, rc};
}

static enum rc await(struct lab *lab, struct end *end, enum rc started)
{
    if (started != RC_OK)
        return started;
    cr_assert(lab_until(lab, &end->done, 10000), "no answer");
    return end->rc;
}

enum rc do_lock(struct lab *lab, struct projection *projection)
{
    struct end end = {0};

    return await(lab, &end, projection_lock(projection, on_end, &end));
}

enum rc do_load(struct lab *lab, struct projection *projection)
{
    struct end end = {0};

    return await(lab, &end, projection_load(projection, on_end, &end));
}

enum rc do_epoch(struct lab *lab, struct projection *projection, uint64_t fork_seq)
{
    struct end end = {0};

    return await(lab, &end,
                 projection_begin_epoch(projection, NOON_US, fork_seq, "test", on_end, &end));
}

enum rc do_write_meanwhile(struct lab *lab, struct projection *projection,
                           const struct projection_item *items, size_t count,
                           void (*meanwhile)(void))
{
    struct end end = {0};
    enum rc rc = projection_write(projection, items, count, on_end, &end);

    if (rc == RC_OK && meanwhile != NULL)
        meanwhile();
    return await(lab, &end, rc);
}

enum rc do_write(struct lab *lab, struct projection *projection,
                 const struct projection_item *items, size_t count)
{
    return do_write_meanwhile(lab, projection, items, count, NULL);
}

static void check_statistics(struct lab *lab)
{
    cr_assert_str_eq(
        lab_sql(lab, "SELECT count(*) FROM (SELECT tenant, status, count(claim_us)::numeric,"
                     " coalesce(sum(claim_us), 0), count(complete_us)::numeric,"
                     " coalesce(sum(complete_us), 0) FROM packets GROUP BY 1, 2"
                     " EXCEPT SELECT tenant, status, sum(claims), sum(claim_us), sum(completions),"
                     " sum(complete_us) FROM packet_counts GROUP BY 1, 2) AS x"),
        "0");
    cr_assert_str_eq(
        lab_sql(lab, "SELECT count(*) FROM (SELECT tenant, agent, count(*)::numeric,"
                     " sum(active)::numeric FROM (SELECT tenant, source_agent AS agent,"
                     " 0 AS active FROM packets UNION ALL SELECT tenant, target_agent, (status IN"
                     " ('claimed', 'in_progress', 'awaiting_human'))::integer FROM packets) AS i"
                     " GROUP BY 1, 2 EXCEPT SELECT tenant, agent, sum(n), sum(active)"
                     " FROM agent_counts GROUP BY 1, 2) AS x"),
        "0");
    cr_assert_str_eq(
        lab_sql(lab, "SELECT count(*) FROM (SELECT tenant, date_trunc('hour', created_at, 'UTC'),"
                     " count(*)::numeric FROM packets GROUP BY 1, 2"
                     " EXCEPT SELECT tenant, hour, sum(n) FROM packet_hours GROUP BY 1, 2) AS x"),
        "0");
    cr_assert_str_eq(lab_sql(lab, "SELECT coalesce(sum(n), 0) = (SELECT count(*) FROM packets)"
                                  " AND coalesce((SELECT sum(n) FROM agent_counts), 0) ="
                                  " 2 * (SELECT count(*) FROM packets) FROM packet_hours"),
                     "t");
}

void check_counts(struct lab *lab)
{
    cr_assert_str_eq(lab_sql(lab, "SELECT count(*) FROM ("
                                  "(SELECT tenant, status, count(*)::numeric FROM packets"
                                  " GROUP BY 1, 2)"
                                  " EXCEPT SELECT tenant, status, sum(n) FROM packet_counts"
                                  " GROUP BY 1, 2) AS x"),
                     "0");
    check_statistics(lab);
    cr_assert_str_eq(lab_sql(lab, "SELECT count(*) FROM ("
                                  "(SELECT tenant, type, count(*)::numeric FROM packet_events"
                                  " GROUP BY 1, 2)"
                                  " EXCEPT SELECT tenant, type, sum(n) FROM event_counts"
                                  " GROUP BY 1, 2) AS x"),
                     "0");
    cr_assert_str_eq(lab_sql(lab, "SELECT coalesce(sum(n), 0) = (SELECT count(*) FROM packets)"
                                  " FROM packet_counts"),
                     "t");
    cr_assert_str_eq(lab_sql(lab, "SELECT coalesce(sum(n), 0) = (SELECT count(*) FROM"
                                  " packet_events) FROM event_counts"),
                     "t");
}
