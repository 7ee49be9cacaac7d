// A chain is followed for as long as it is sound. At the first row that is not right its finding is
// made; the rows behind that one are only looked at to tell the kinds apart:
//
//   numbers are skipped      DELETED, and REORDERED once one of those comes after all
//   the hash does not fit    CHANGED, and INSERTED if the next row has the same number and fits
//                            behind the last sound one
//   a number comes again     INSERTED
//
// The number is hashed too, so an attacker who mends the numbers only turns one kind into another.
#include "clients/cli/audit/verify.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

// A row that some head has told of.
struct expectation {
    int64_t number;
    int64_t epoch;
    int64_t seq;
    int64_t part;
    uint8_t mac[SEAL_BYTES];
};

struct chain {
    struct verify_finding finding; // first; its tenant is owned
    int64_t number;                // of the last sound row
    int64_t epoch;                 // and its place, also that of an unsealed one
    int64_t seq;
    int64_t part;
    uint8_t mac[SEAL_BYTES];
    bool has_place;
    bool is_fresh; // the finding was made by the row before
    struct expectation *expected;
    size_t expected_count;
    size_t expected_cap;
    size_t expected_at; // the first that lies ahead
    bool sorted;
};

struct verify {
    const struct keyring *ring;
    struct buf scratch;
    void *by_name;         // a tree of tsearch(3)
    struct chain **chains; // owned
    size_t count;
    size_t cap;
    struct chain *last; // the chain of the row before
};

const char *verify_kind_text(enum verify_kind kind)
{
    static const char *const texts[] = {
#define X(name, text) text,
        VERIFY_LIST(X)
#undef X
    };

    return texts[kind];
}

struct verify *verify_create(const struct keyring *ring)
{
    struct verify *verify = calloc(1, sizeof *verify);

    if (verify == NULL)
        abort();
    verify->ring = ring;
    return verify;
}

static int compare_chains(const void *a, const void *b)
{
    const struct verify_finding *left = a;
    const struct verify_finding *right = b;

    if (left->shard != right->shard)
        return left->shard < right->shard ? -1 : 1;
    if (left->tenant.len != right->tenant.len)
        return left->tenant.len < right->tenant.len ? -1 : 1;
    return left->tenant.len > 0 ? memcmp(left->tenant.data, right->tenant.data, left->tenant.len)
                                : 0;
}

void verify_destroy(struct verify *verify)
{
    if (verify == NULL)
        return;
    for (size_t i = 0; i < verify->count; i++) {
        struct chain *chain = verify->chains[i];

        (void)tdelete(chain, &verify->by_name, compare_chains);
        free(chain->finding.tenant.data);
        free(chain->expected);
        free(chain);
    }
    free(verify->chains);
    buf_fini(&verify->scratch);
    free(verify);
}

static void *grown(void *items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return items;
    *cap = *cap > 0 ? 2 * *cap : 8;
    items = realloc(items, *cap * size);
    if (items == NULL)
        abort();
    return items;
}

static struct chain *add_chain(struct verify *verify, const struct verify_finding *name)
{
    struct chain *chain = calloc(1, sizeof *chain);

    if (chain == NULL)
        abort();
    chain->finding.shard = name->shard;
    chain->finding.tenant = (Text){name->tenant.len, malloc(name->tenant.len + 1)};
    if (chain->finding.tenant.data == NULL)
        abort();
    if (name->tenant.len > 0)
        memcpy(chain->finding.tenant.data, name->tenant.data, name->tenant.len);
    verify->chains = grown(verify->chains, verify->count, &verify->cap, sizeof(void *));
    verify->chains[verify->count++] = chain;
    if (tsearch(chain, &verify->by_name, compare_chains) == NULL)
        abort();
    return chain;
}

static struct chain *chain_of(struct verify *verify, Text tenant, int64_t shard)
{
    const struct verify_finding name = {.tenant = tenant, .shard = shard};
    struct chain **found;

    if (verify->last != NULL && compare_chains(verify->last, &name) == 0)
        return verify->last;
    found = tfind(&name, &verify->by_name, compare_chains);
    verify->last = found != NULL ? *found : add_chain(verify, &name);
    return verify->last;
}

// --- heads ---------------------------------------------------------------------------------------

void verify_expect(struct verify *verify, const struct seal_head *head)
{
    struct chain *chain = chain_of(verify, head->tenant, head->shard);
    struct expectation *expected;

    chain->expected = grown(chain->expected, chain->expected_count, &chain->expected_cap,
                            sizeof *chain->expected);
    expected = &chain->expected[chain->expected_count++];
    *expected = (struct expectation){
        .number = head->count, .epoch = head->epoch, .seq = head->seq, .part = head->part};
    memcpy(expected->mac, head->mac, SEAL_BYTES);
    chain->sorted = false;
}

bool verify_head_is_signed(struct verify *verify, const struct seal_head *head)
{
    uint8_t signature[SEAL_BYTES];

    return head->key > 0 &&
           seal_head_signature(signature, head, verify->ring, &verify->scratch) == RC_OK &&
           bytes_equal(signature, head->signature, SEAL_BYTES);
}

static int compare_expected(const void *a, const void *b)
{
    const struct expectation *left = a;
    const struct expectation *right = b;

    return (left->number > right->number) - (left->number < right->number);
}

static void sort_expected(struct chain *chain)
{
    if (!chain->sorted && chain->expected_count > 0)
        qsort(chain->expected, chain->expected_count, sizeof *chain->expected, compare_expected);
    chain->sorted = true;
}

// Does the row that the chain has come to agree with what heads said of it?
static bool fits_heads(struct chain *chain)
{
    sort_expected(chain);
    for (; chain->expected_at < chain->expected_count; chain->expected_at++) {
        const struct expectation *expected = &chain->expected[chain->expected_at];

        if (expected->number > chain->number)
            break;
        if (expected->number == chain->number &&
            (expected->epoch != chain->epoch || expected->seq != chain->seq ||
             expected->part != chain->part || !bytes_equal(expected->mac, chain->mac, SEAL_BYTES)))
            return false;
    }
    return true;
}

// --- rows ----------------------------------------------------------------------------------------

static void find_at(struct chain *chain, enum verify_kind kind, const struct seal_row *row,
                    int64_t number)
{
    struct verify_finding *finding = &chain->finding;

    finding->kind = kind;
    finding->epoch = row->epoch;
    finding->seq = row->seq;
    finding->part = row->part;
    finding->number = number;
    finding->last_number = number;
    chain->is_fresh = true;
}

// Does the row's hash fit behind the chain's last sound row, if it had this number?
static bool fits(struct verify *verify, const struct chain *chain, const struct seal_row *row,
                 int64_t number)
{
    struct seal_row numbered = *row;
    uint8_t mac[SEAL_BYTES];

    numbered.number = number;
    return seal_row_mac(mac, &numbered, chain->mac, verify->ring, &verify->scratch) == RC_OK &&
           bytes_equal(mac, row->mac, SEAL_BYTES);
}

static int compare_place(const struct seal_row *row, const struct chain *chain)
{
    if (row->epoch != chain->epoch)
        return row->epoch < chain->epoch ? -1 : 1;
    if (row->seq != chain->seq)
        return row->seq < chain->seq ? -1 : 1;
    return (row->part > chain->part) - (row->part < chain->part);
}

static void go_on(struct chain *chain, const struct seal_row *row)
{
    chain->has_place = true;
    chain->epoch = row->epoch;
    chain->seq = row->seq;
    chain->part = row->part;
}

// A row behind the first that was not right: does it show that it was of another kind?
static void reconsider(struct verify *verify, struct chain *chain, const struct seal_row *row)
{
    struct verify_finding *finding = &chain->finding;

    if (finding->kind == VERIFY_DELETED && row->number >= finding->number &&
        row->number <= finding->last_number)
        finding->kind = VERIFY_REORDERED;
    else if (finding->kind == VERIFY_CHANGED && chain->is_fresh && row->number == finding->number &&
             fits(verify, chain, row, row->number))
        finding->kind = VERIFY_INSERTED;
    else if (finding->kind == VERIFY_INSERTED && chain->is_fresh &&
             row->number == chain->number + 2)
        finding->kind = VERIFY_CHANGED; // it was the row between, with another number
    chain->is_fresh = false;
}

// A row without a seal. Those before the first seal are from before there was a chain.
static void judge_unsealed(struct chain *chain, const struct seal_row *row)
{
    if (chain->number > 0 || (chain->has_place && compare_place(row, chain) <= 0)) {
        find_at(chain, VERIFY_INSERTED, row, chain->number + 1);
        return;
    }
    chain->finding.unsealed++;
    go_on(chain, row);
}

// A row whose number is not the next one.
static void judge_number(struct verify *verify, struct chain *chain, const struct seal_row *row)
{
    int64_t next = chain->number + 1;

    if (fits(verify, chain, row, next)) {
        find_at(chain, VERIFY_CHANGED, row, next);
    } else if (row->number < next) {
        find_at(chain, VERIFY_INSERTED, row, row->number);
    } else {
        find_at(chain, VERIFY_DELETED, row, next);
        chain->finding.last_number = row->number - 1;
    }
}

static void judge(struct verify *verify, struct chain *chain, const struct seal_row *row)
{
    uint8_t mac[SEAL_BYTES];

    if (row->number == 0) {
        judge_unsealed(chain, row);
        return;
    }
    if (row->number != chain->number + 1) {
        judge_number(verify, chain, row);
        return;
    }
    if (row->key == 0 ||
        seal_row_mac(mac, row, chain->mac, verify->ring, &verify->scratch) != RC_OK) {
        find_at(chain, VERIFY_NO_KEY, row, row->number);
        chain->finding.key = row->key;
        return;
    }
    if (!bytes_equal(mac, row->mac, SEAL_BYTES)) {
        find_at(chain, VERIFY_CHANGED, row, row->number);
        return;
    }
    if (chain->has_place && compare_place(row, chain) <= 0) {
        find_at(chain, VERIFY_REORDERED, row, row->number); // sealed in an order that cannot be
        return;
    }
    chain->number = row->number;
    memcpy(chain->mac, row->mac, SEAL_BYTES);
    go_on(chain, row);
    if (!fits_heads(chain))
        find_at(chain, VERIFY_REWRITTEN, row, row->number);
}

void verify_row(struct verify *verify, const struct seal_row *row)
{
    struct chain *chain = chain_of(verify, row->tenant, row->shard);

    chain->finding.rows++;
    if (chain->finding.kind == VERIFY_SOUND)
        judge(verify, chain, row);
    else
        reconsider(verify, chain, row);
}

void verify_finish(struct verify *verify, bool all)
{
    for (size_t i = 0; i < verify->count; i++) {
        struct chain *chain = verify->chains[i];
        struct verify_finding *finding = &chain->finding;
        int64_t furthest;

        sort_expected(chain);
        if (chain->expected_count == 0 || finding->kind != VERIFY_SOUND ||
            (finding->rows == 0 && !all))
            continue;
        furthest = chain->expected[chain->expected_count - 1].number;
        if (furthest <= chain->number)
            continue;
        finding->kind = VERIFY_TRUNCATED;
        finding->epoch = chain->epoch;
        finding->seq = chain->seq;
        finding->part = chain->part;
        finding->number = chain->number + 1;
        finding->last_number = furthest;
    }
}

const struct verify_finding *verify_finding(const struct verify *verify, size_t index)
{
    return index < verify->count ? &verify->chains[index]->finding : NULL;
}
