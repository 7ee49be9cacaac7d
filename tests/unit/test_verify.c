// Every way to tamper, on a log in memory.
#include "clients/cli/audit/verify.h"
#include "tests/unit/sealed.h"

#include <criterion/criterion.h>

#define ROWS 12

static struct seal_row rows[ROWS + 1];
static struct verify *verify;

static void set_up(void)
{
    sealed_fill(rows, ROWS, "acme", 8, 10);
    verify = verify_create(sealed_ring());
}

static void tear_down(void)
{
    verify_destroy(verify);
}

TestSuite(verify, .init = set_up, .fini = tear_down);

static const struct verify_finding *check(size_t count)
{
    for (size_t i = 0; i < count; i++)
        verify_row(verify, &rows[i]);
    verify_finish(verify, true);
    return verify_finding(verify, 0);
}

static void assert_found(const struct verify_finding *finding, enum verify_kind kind, size_t row)
{
    cr_assert_eq(finding->kind, kind, "it is %s, not %s", verify_kind_text(finding->kind),
                 verify_kind_text(kind));
    cr_assert_eq(finding->epoch, rows[row].epoch);
    cr_assert_eq(finding->seq, rows[row].seq);
    cr_assert_eq(finding->part, rows[row].part);
}

static void take_out(size_t at, size_t count)
{
    memmove(&rows[at], &rows[at + count], (ROWS - at - count) * sizeof rows[0]);
}

Test(verify, a_log_as_it_was_stored_is_sound)
{
    const struct verify_finding *finding = check(ROWS);

    cr_assert_eq(finding->kind, VERIFY_SOUND);
    cr_assert_eq(finding->rows, ROWS);
    cr_assert_null(verify_finding(verify, 1));
}

Test(verify, a_changed_row_is_named)
{
    rows[6].actor = text_of("agent:mallory");
    assert_found(check(ROWS), VERIFY_CHANGED, 6);
}

Test(verify, a_changed_hash_is_named)
{
    rows[6].mac[31] ^= 1;
    assert_found(check(ROWS), VERIFY_CHANGED, 6);
}

Test(verify, a_changed_number_is_a_change)
{
    rows[6].number = 9;
    assert_found(check(ROWS), VERIFY_CHANGED, 6);
}

Test(verify, a_row_whose_number_was_taken_away_is_a_change)
{
    rows[6].number = 0;
    assert_found(check(ROWS), VERIFY_CHANGED, 6);
}

Test(verify, deleted_rows_are_counted)
{
    const struct verify_finding *finding;

    take_out(3, 2);
    finding = check(ROWS - 2);
    assert_found(finding, VERIFY_DELETED, 3);
    cr_assert_eq(finding->number, 4);
    cr_assert_eq(finding->last_number, 5);
}

Test(verify, a_log_that_lacks_its_beginning_is_noticed)
{
    take_out(0, 1);
    assert_found(check(ROWS - 1), VERIFY_DELETED, 0);
}

Test(verify, deleted_rows_whose_followers_were_renumbered_are_noticed)
{
    take_out(3, 1);
    for (size_t i = 3; i < ROWS - 1; i++)
        rows[i].number--;
    assert_found(check(ROWS - 1), VERIFY_CHANGED, 3);
}

static void insert(size_t at)
{
    memmove(&rows[at + 1], &rows[at], (ROWS - at) * sizeof rows[0]);
    rows[at].seq = rows[at - 1].seq + 1;
    rows[at].part = 0;
}

Test(verify, an_inserted_row_is_named)
{
    insert(6); // it has its follower's number, and a hash of its own making
    memset(rows[6].mac, 7, SEAL_BYTES);
    assert_found(check(ROWS + 1), VERIFY_INSERTED, 6);
}

Test(verify, an_inserted_copy_is_named)
{
    insert(6);
    rows[6] = rows[2];
    rows[6].seq = rows[5].seq + 1;
    assert_found(check(ROWS + 1), VERIFY_INSERTED, 6);
}

Test(verify, an_inserted_row_without_a_seal_is_named)
{
    insert(6);
    rows[6].number = 0;
    assert_found(check(ROWS + 1), VERIFY_INSERTED, 6);
}

Test(verify, exchanged_rows_are_reordered)
{
    struct seal_row kept = rows[5];

    rows[5] = rows[6];
    rows[6] = kept;
    assert_found(check(ROWS), VERIFY_REORDERED, 5);
}

Test(verify, a_row_that_was_moved_far_is_reordered)
{
    struct seal_row kept = rows[2];

    memmove(&rows[2], &rows[3], 7 * sizeof rows[0]);
    rows[9] = kept;
    assert_found(check(ROWS), VERIFY_REORDERED, 2);
}

Test(verify, a_cut_end_is_seen_with_a_head_only)
{
    struct seal_head head = sealed_head(&rows[ROWS - 1]);
    const struct verify_finding *finding;

    cr_assert(verify_head_is_signed(verify, &head));
    verify_expect(verify, &head);
    finding = check(ROWS - 3);
    assert_found(finding, VERIFY_TRUNCATED, ROWS - 4);
    cr_assert_eq(finding->number, ROWS - 2);
    cr_assert_eq(finding->last_number, ROWS);
}

Test(verify, a_log_that_is_gone_is_seen_with_a_head)
{
    struct seal_head head = sealed_head(&rows[3]);

    verify_expect(verify, &head);
    cr_assert_eq(check(0)->kind, VERIFY_TRUNCATED);
}

Test(verify, heads_of_tenants_without_rows_count_only_when_all_was_read)
{
    struct seal_head head = sealed_head(&rows[3]);

    head.tenant = text_of("other");
    verify_expect(verify, &head);
    for (size_t i = 0; i < ROWS; i++)
        verify_row(verify, &rows[i]);
    verify_finish(verify, false);
    cr_assert_eq(verify_finding(verify, 0)->kind, VERIFY_SOUND);
    verify_finish(verify, true);
    cr_assert_eq(verify_finding(verify, 0)->kind, VERIFY_TRUNCATED);
}

Test(verify, a_log_that_was_made_anew_with_the_key_is_not_what_the_heads_say)
{
    struct seal_head old = sealed_head(&rows[8]);
    struct seal_head older = sealed_head(&rows[2]);

    verify_expect(verify, &old); // in no order
    verify_expect(verify, &older);
    rows[4].actor = text_of("agent:insider");
    for (size_t i = 4; i < ROWS; i++)
        sealed_row(&rows[i], &rows[i - 1]);
    assert_found(check(ROWS), VERIFY_REWRITTEN, 8);
}

Test(verify, a_head_that_was_changed_is_not_signed)
{
    struct seal_head head = sealed_head(&rows[8]);

    head.count++;
    cr_assert(!verify_head_is_signed(verify, &head));
    head.count--;
    head.key = 1;
    cr_assert(!verify_head_is_signed(verify, &head));
    head.key = 0;
    cr_assert(!verify_head_is_signed(verify, &head));
}

Test(verify, rows_from_before_the_first_seal_are_counted)
{
    const struct seal_row first = {.tenant = text_of("acme"), .epoch = 1, .seq = 1};

    verify_row(verify, &first);
    cr_assert_eq(check(ROWS)->kind, VERIFY_SOUND);
    cr_assert_eq(verify_finding(verify, 0)->unsealed, 1);
}

Test(verify, a_key_that_is_missing_is_named)
{
    struct keyring *ring;
    struct verify *other;

    cr_assert_eq(keyring_parse(&ring, SEALED_KEYS, strchr(SEALED_KEYS, '\n') - SEALED_KEYS, "test"),
                 RC_OK);
    other = verify_create(ring);
    for (size_t i = 0; i < ROWS; i++)
        verify_row(other, &rows[i]);
    verify_finish(other, true);
    assert_found(verify_finding(other, 0), VERIFY_NO_KEY, 9);
    cr_assert_eq(verify_finding(other, 0)->key, 2);
    verify_destroy(other);
    keyring_close(ring);
}

Test(verify, chains_of_many_tenants_do_not_mix)
{
    static struct seal_row theirs[ROWS];

    sealed_fill(theirs, ROWS, "other", 0, 0);
    theirs[7].details = text_of("{\"x\":1}");
    for (size_t i = 0; i < ROWS; i++) {
        verify_row(verify, &rows[i]);
        verify_row(verify, &theirs[i]);
    }
    verify_finish(verify, true);
    cr_assert_eq(verify_finding(verify, 0)->kind, VERIFY_SOUND);
    cr_assert_eq(verify_finding(verify, 1)->kind, VERIFY_CHANGED);
    cr_assert_eq(verify_finding(verify, 1)->seq, theirs[7].seq);
}
