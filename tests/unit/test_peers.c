// Connections per address.
#include "broker/web/peers.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>

enum { ROOM = 8 };

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;

    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        address.ss_family = AF_INET;
    } else {
        cr_assert_eq(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
        address.ss_family = AF_INET6;
    }
    return address;
}

// How many of ROOM connections are let in; they leave again.
static int count(struct peers *peers, const char *text)
{
    struct sockaddr_storage address = address_of(text);
    struct peer *in[ROOM];
    int entered = 0;

    while (entered < ROOM && peers_enter(peers, (struct sockaddr *)&address, &in[entered]))
        entered++;
    for (int i = 0; i < entered; i++)
        peers_leave(peers, in[i]);
    return entered;
}

Test(peers, each_address_has_its_share_and_trusted_ones_have_any)
{
    struct peers *peers;

    cr_assert_eq(peers_create(&peers, 2, "10.1.0.0/15, ::1,2001:db8::/33"), RC_OK);
    cr_assert_eq(count(peers, "192.0.2.1"), 2);
    cr_assert_eq(count(peers, "192.0.2.1"), 2, "those that left make room");
    cr_assert_eq(count(peers, "10.0.255.255"), ROOM, "the block begins at an even number");
    cr_assert_eq(count(peers, "10.1.255.255"), ROOM);
    cr_assert_eq(count(peers, "10.2.0.0"), 2);
    cr_assert_eq(count(peers, "::ffff:10.1.2.3"), ROOM, "IPv4 in IPv6 is the same address");
    cr_assert_eq(count(peers, "::1"), ROOM);
    cr_assert_eq(count(peers, "::2"), 2);
    cr_assert_eq(count(peers, "2001:db8:7fff::"), ROOM);
    cr_assert_eq(count(peers, "2001:db8:8000::"), 2);
    peers_destroy(peers);
}

Test(peers, a_network_of_ipv6_is_one_host)
{
    struct sockaddr_storage one = address_of("2001:db8:1:2::1");
    struct sockaddr_storage other = address_of("2001:db8:1:2:ffff::2");
    struct sockaddr_storage next = address_of("2001:db8:1:3::1");
    struct peers *peers;
    struct peer *peer[2];
    struct peer *refused;

    cr_assert_eq(peers_create(&peers, 1, NULL), RC_OK);
    cr_assert(peers_enter(peers, (struct sockaddr *)&one, &peer[0]));
    cr_assert_not(peers_enter(peers, (struct sockaddr *)&other, &refused));
    cr_assert(peers_enter(peers, (struct sockaddr *)&next, &peer[1]));
    peers_leave(peers, peer[0]);
    peers_leave(peers, peer[1]);
    peers_destroy(peers);
}

Test(peers, without_a_bound_nobody_is_counted)
{
    struct peers *peers;

    cr_assert_eq(peers_create(&peers, 0, NULL), RC_OK);
    cr_assert_eq(count(peers, "192.0.2.1"), ROOM);
    peers_destroy(peers);
}

Test(peers, a_list_that_cannot_be_understood_is_refused)
{
    static const char *const bad[] = {"x",           "10.0.0.0/33", "10.0.0.0/",
                                      "10.0.0/8",    "::1/129",     "10.0.0.0/-1",
                                      "10.0.0.0/8x", "localhost",   "1.2.3.4/ 8"};
    struct peers *peers;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(peers_create(&peers, 1, bad[i]), RC_CONFIG, "%s", bad[i]);
}
