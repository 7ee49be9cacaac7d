#include "gateway/seqs.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(seqs, know_nothing_of_a_tenant_at_first)
{
    struct seqs *seqs = seqs_create();

    cr_assert_eq(seqs_get(seqs, "acme"), 0);
    seqs_destroy(seqs);
    seqs_destroy(NULL);
}

Test(seqs, keep_the_highest_of_each_tenant)
{
    struct seqs *seqs = seqs_create();

    seqs_raise(seqs, "acme", 5);
    seqs_raise(seqs, "acme", 3);
    seqs_raise(seqs, "other", UINT64_MAX);
    seqs_raise(seqs, "zero", 0);
    cr_assert_eq(seqs_get(seqs, "acme"), 5);
    cr_assert_eq(seqs_get(seqs, "other"), UINT64_MAX);
    cr_assert_eq(seqs_get(seqs, "zero"), 0);
    cr_assert_eq(seqs_get(seqs, "acm"), 0);
    seqs_destroy(seqs);
}

Test(seqs, grow_with_their_tenants)
{
    struct seqs *seqs = seqs_create();
    char longest[65];
    char tenant[32];

    memset(longest, 'x', 64);
    longest[64] = '\0';
    seqs_raise(seqs, longest, 9);
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(tenant, sizeof tenant, "tenant-%u", i);
        seqs_raise(seqs, tenant, i + 1);
    }
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(tenant, sizeof tenant, "tenant-%u", i);
        cr_assert_eq(seqs_get(seqs, tenant), i + 1);
    }
    cr_assert_eq(seqs_get(seqs, longest), 9);
    seqs_destroy(seqs);
}

Test(seqs, forget_what_a_stream_that_was_cut_does_not_have)
{
    struct seqs *seqs = seqs_create();

    seqs_raise(seqs, "behind", 10);
    seqs_raise(seqs, "beyond", 30);
    seqs_cap(seqs, 20);
    cr_assert_eq(seqs_get(seqs, "behind"), 10);
    cr_assert_eq(seqs_get(seqs, "beyond"), 20);
    seqs_destroy(seqs);
}
