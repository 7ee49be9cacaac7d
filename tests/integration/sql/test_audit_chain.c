// The chain of sealed rows in a real database: one, whatever the writers do.
#include "tests/integration/sql/records.h"

#include "clients/cli/audit/source.h"
#include "clients/cli/audit/verify.h"

#include <criterion/criterion.h>

static struct lab lab;
static struct projection *projection;

static void set_up(void)
{
    lab_open(&lab, true);
    lab_connect(&lab, 1, 0, PROJECTION_SESSION);
    projection = projection_create(lab.pg, 0, lab_ring());
    cr_assert_eq(do_load(&lab, projection), RC_OK);
    cr_assert_eq(do_epoch(&lab, projection, 0), RC_OK);
}

static void tear_down(void)
{
    check_counts(&lab);
    lab_close(&lab);
    projection_destroy(projection);
}

TestSuite(audit_chain, .init = set_up, .fini = tear_down, .timeout = 120);

// Sequences from first on, of three tenants in turn.
static struct projection_item *items_from(uint64_t first, size_t count)
{
    static const char *const tenants[] = {"acme", "other", "third"};
    struct projection_item *items = arena_calloc(lab.arena, count, sizeof *items);

    for (size_t i = 0; i < count; i++) {
        struct wish wish = {
            .packet_id = id_number((uint32_t)(first + i)),
            .tenant = tenants[(first + i) % 3],
            .summary_len = 30,
        };
        items[i] = record_make(&lab, first + i, &wish);
    }
    return items;
}

static void assert_sound(int64_t rows)
{
    struct verify *verify = verify_create(lab_ring());
    struct progress progress = {0};
    const struct verify_finding *finding;
    int64_t seen = 0;

    cr_assert_eq(source_database(verify, lab.conninfo, NULL, &progress), RC_OK);
    verify_finish(verify, true);
    for (size_t i = 0; (finding = verify_finding(verify, i)) != NULL; i++) {
        cr_assert_eq(finding->kind, VERIFY_SOUND, "%s at %ld", verify_kind_text(finding->kind),
                     (long)finding->seq);
        seen += finding->rows;
    }
    cr_assert_eq(seen, rows);
    verify_destroy(verify);
}

Test(audit_chain, goes_on_over_batches_repeats_gaps_and_epochs)
{
    cr_assert_eq(do_write(&lab, projection, items_from(1, 50), 50), RC_OK);
    cr_assert_eq(do_write(&lab, projection, items_from(20, 60), 60), RC_OK, "half of it is known");
    cr_assert_eq(do_write(&lab, projection, items_from(90, 10), 10), RC_OK, "behind a gap");
    cr_assert_eq(do_epoch(&lab, projection, 40), RC_OK);
    cr_assert_eq(do_write(&lab, projection, items_from(41, 10), 10), RC_OK);
    cr_assert_eq(do_load(&lab, projection), RC_OK, "everything is read again");
    cr_assert_eq(do_write(&lab, projection, items_from(51, 10), 10), RC_OK);
    cr_assert_str_eq(lab_sql(&lab, "SELECT sum(number) FROM audit_chains"), "109");
    assert_sound(109);
}

Test(audit_chain, what_is_no_record_is_sealed_too)
{
    struct projection_item *items = items_from(1, 3);

    items[1].record = NULL;
    items[1].data = text_of("junk");
    cr_assert_eq(do_write(&lab, projection, items, 3), RC_OK);
    assert_sound(3);
    (void)lab_sql(&lab, "SET session_replication_role = replica;"
                        " UPDATE packet_events SET record = 'jun' WHERE type = 'unreadable'");
    struct verify *verify = verify_create(lab_ring());
    struct progress progress = {0};
    bool found = false;

    cr_assert_eq(source_database(verify, lab.conninfo, NULL, &progress), RC_OK);
    for (size_t i = 0; verify_finding(verify, i) != NULL; i++)
        found = found || verify_finding(verify, i)->kind == VERIFY_CHANGED;
    cr_assert(found);
    verify_destroy(verify);
}

Test(audit_chain, two_writers_without_a_lock_make_one)
{
    struct projection *other = projection_create(lab.pg, 0, lab_ring());
    struct projection *writers[] = {projection, other};
    uint64_t next = 1;
    int refused = 0;

    cr_assert_eq(do_load(&lab, other), RC_OK);
    for (int round = 0; round < 40; round++) {
        struct projection *writer = writers[(round * 7 / 3) % 2];
        struct projection_item *items = items_from(next, 7);
        enum rc rc = do_write(&lab, writer, items, 7);

        if (rc == RC_CONFLICT) { // it did not know what the other has written
            refused++;
            cr_assert_eq(do_load(&lab, writer), RC_OK);
            rc = do_write(&lab, writer, items, 7);
        }
        cr_assert_eq(rc, RC_OK);
        next += 7;
    }
    cr_assert_gt(refused, 5, "nothing was tested");
    assert_sound(280);
    projection_destroy(other);
}

Test(audit_chain, a_writer_that_knows_an_old_end_writes_nothing)
{
    cr_assert_eq(do_write(&lab, projection, items_from(1, 6), 6), RC_OK);
    // Somebody tampers with the end; the place is what it was.
    (void)lab_sql(&lab, "UPDATE audit_chains SET mac = sha256(mac) WHERE tenant = 'acme'");
    cr_assert_eq(do_write(&lab, projection, items_from(7, 6), 6), RC_CONFLICT);
    cr_assert_str_eq(lab_sql(&lab, "SELECT count(*) FROM packet_events"), "6");
    cr_assert_str_eq(lab_sql(&lab, "SELECT last_seq FROM projector"), "6");
}

static void kill_session(void)
{
    (void)lab_sql(&lab, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = 'lab' AND datname = current_database()");
}

Test(audit_chain, a_session_that_dies_in_between_leaves_it_whole)
{
    for (uint64_t at = 1; at < 200; at += 10) {
        enum rc rc = RC_UNAVAILABLE;

        for (int round = 0; rc != RC_OK; round++) {
            rc = do_write_meanwhile(&lab, projection, items_from(at, 10), 10,
                                    round == 0 ? kill_session : NULL);
            while (do_load(&lab, projection) != RC_OK)
                cr_assert(lab_until(&lab, &lab.up, 5000));
        }
    }
    assert_sound(200);
}

// A follow-up packet, as the chain worker makes it.
static struct projection_item chained_item(uint64_t sequence, const struct uuid *parent)
{
    struct wish wish = {.packet_id = id_number(77), .summary_len = 5};
    struct projection_item item = record_make(&lab, sequence, &wish);
    Hr__Packet *packet = item.record->packet;

    packet->lineage = wire_new(lab.arena, &hr__lineage__descriptor);
    packet->lineage->n_ancestors =
        1; // a follow-up names its parent; a create with a parent does not
    packet->lineage->ancestors = arena_calloc(lab.arena, 1, sizeof(Hr__AncestorRef *));
    packet->lineage->ancestors[0] = wire_new(lab.arena, &hr__ancestor_ref__descriptor);
    packet->has_parent_packet_id = 1;
    packet->parent_packet_id = text_of(id_text(&lab, parent));
    item.data = wire_pack(lab.arena, &item.record->base);
    return item;
}

Test(audit_chain, a_follow_up_is_an_event_of_its_parent_too)
{
    struct uuid parent = id_number(1);
    struct projection_item items[] = {items_from(1, 1)[0], chained_item(2, &parent)};

    items[0].tenant = text_of("acme");
    cr_assert_eq(do_write(&lab, projection, items, 2), RC_OK);
    cr_assert_eq(do_write(&lab, projection, items, 2), RC_OK, "again");
    cr_assert_str_eq(lab_sql(&lab, "SELECT string_agg(seq || '.' || part || ' ' || type, ', '"
                                   " ORDER BY epoch, seq, part) FROM packet_events"),
                     "1.0 created, 2.0 created, 2.1 chained");
    cr_assert_str_eq(lab_sql(&lab, "SELECT details FROM packet_events WHERE part = 1"),
                     lab_sql(&lab, "SELECT '{\"child_packet_id\":\"' || packet_id || '\"}'"
                                   " FROM packet_events WHERE seq = 2 AND part = 0"));
    cr_assert_str_eq(
        lab_sql(&lab, "SELECT c.packet_id = p.packet_id AND c.actor = d.actor AND c.at = d.at"
                      " AND c.key_id = d.key_id AND c.record = '' AND c.event_id <> d.event_id"
                      " FROM packet_events c, packet_events p, packet_events d"
                      " WHERE c.part = 1 AND p.seq = 1 AND d.seq = 2 AND d.part = 0"),
        "t");
    cr_assert_str_eq(lab_sql(&lab, "SELECT n FROM event_counts WHERE type = 'chained'"), "1");
    cr_assert_str_eq(lab_sql(&lab, "SELECT count(*) FROM packets"), "2",
                     "the parent itself is not touched");
    assert_sound(3);
}

Test(audit_chain, the_place_of_a_fork_is_a_record_and_not_what_was_derived_from_it)
{
    struct uuid parent = id_number(1);
    struct projection_item items[] = {items_from(1, 1)[0], chained_item(2, &parent),
                                      items_from(3, 1)[0]};

    cr_assert_eq(do_write(&lab, projection, items, 3), RC_OK);
    cr_assert_eq(do_epoch(&lab, projection, 2), RC_OK);
    cr_assert_str_eq(
        id_text(&lab, &projection_place(projection)->last_event_id),
        lab_sql(&lab, "SELECT event_id FROM packet_events WHERE seq = 2 AND part = 0"));
}

Test(audit_chain, rows_of_an_older_schema_are_left_as_they_are)
{
    // As if they had been stored before the migration.
    (void)lab_sql(&lab, "INSERT INTO packet_events (seq, at, event_id, packet_id, epoch, shard,"
                        " tenant, type, actor, key_id, details, record)"
                        " SELECT n, now(), gen_random_uuid(), gen_random_uuid(), 1, 0, 'acme',"
                        " 'created', '', '', '{}', '' FROM generate_series(1, 5) n");
    (void)lab_sql(&lab, "INSERT INTO event_counts VALUES ('acme', 'created', 0, 5)");
    (void)lab_sql(&lab, "UPDATE projector SET last_seq = 5");
    cr_assert_eq(do_load(&lab, projection), RC_OK);
    cr_assert_eq(do_write(&lab, projection, items_from(6, 6), 6), RC_OK);
    assert_sound(11);
}
