// Nobody takes all the places in which agents wait.
#include "workers/claim/places.h"

#include <criterion/criterion.h>

static size_t take_all(struct places *places, const char *tenant, const char *key_id)
{
    size_t count = 0;

    for (; places_have_room(places, tenant, key_id); count++)
        places_take(places, tenant, key_id);
    return count;
}

Test(places, a_key_and_a_tenant_have_their_share)
{
    struct places places = {.max = 100};

    cr_assert_eq(take_all(&places, "a", "one"), 26);
    cr_assert_eq(take_all(&places, "a", "two"), 25, "half of them are its tenant's");
    cr_assert_eq(take_all(&places, "a", "three"), 0);
    cr_assert_eq(take_all(&places, "b", "one"), 26);
    cr_assert_eq(take_all(&places, "b", "two"), 23, "then there are no more");
    cr_assert_eq(places.taken, 100);
    cr_assert(!places_have_room(&places, "c", "one"));

    places_free(&places, "a", "one");
    cr_assert(places_have_room(&places, "c", "one"));
    for (size_t i = 0; i < 25; i++) {
        places_free(&places, "a", "one");
        places_free(&places, "a", "two");
    }
    for (size_t i = 0; i < 26; i++)
        places_free(&places, "b", "one");
    for (size_t i = 0; i < 23; i++)
        places_free(&places, "b", "two");
    cr_assert_eq(places.taken, 0);
    cr_assert_null(places.shares);
}
