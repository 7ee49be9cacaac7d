#include "workers/webhook/address.h"

#include <criterion/criterion.h>

static bool blocked(const char *text)
{
    struct sockaddr_storage address;

    cr_assert(address_parse(&address, text), "%s", text);
    return address_is_blocked((const struct sockaddr *)&address);
}

Test(hook_address, blocks_everything_inside)
{
    static const char *const inside[] = {
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.1",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.1",
        "198.19.255.255",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2001:0:1:2:3:4:80ff:fffe",
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "100::1",
    };

    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++)
        cr_assert(blocked(inside[i]), "%s", inside[i]);
}

Test(hook_address, lets_the_neighbours_of_what_is_blocked_through)
{
    static const char *const outside[] = {
        "1.0.0.0",          "9.255.255.255",   "11.0.0.0",           "100.63.255.255",
        "100.128.0.0",      "126.255.255.255", "128.0.0.0",          "169.253.255.255",
        "169.255.0.0",      "172.15.255.255",  "172.32.0.0",         "192.0.1.0",
        "192.167.0.0",      "192.169.0.0",     "198.17.255.255",     "198.20.0.0",
        "223.255.255.1",    "8.8.8.8",         "2606:2800:220:1::1", "::ffff:8.8.8.8",
        "64:ff9b::808:808", "2002:808:808::1",
    };

    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++)
        cr_assert_not(blocked(outside[i]), "%s", outside[i]);
}

Test(hook_address, blocks_what_is_no_internet_address)
{
    const struct sockaddr local = {.sa_family = AF_UNIX};

    cr_assert(address_is_blocked(&local));
}

Test(hook_address, tells_names_from_addresses)
{
    struct sockaddr_storage address;

    cr_assert_not(address_parse(&address, "example.com"));
    cr_assert_not(address_parse(&address, ""));
    cr_assert_not(address_parse(&address, "1.2.3"));
    cr_assert(address_parse(&address, "fe80::1%eth0"));
}

Test(hook_address, knows_the_names_of_the_house)
{
    cr_assert(address_name_is_blocked("localhost"));
    cr_assert(address_name_is_blocked("LocalHost."));
    cr_assert(address_name_is_blocked("db.localhost"));
    cr_assert(address_name_is_blocked("metadata.google.internal"));
    cr_assert_not(address_name_is_blocked("localhost.example.com"));
    cr_assert_not(address_name_is_blocked("notlocalhost"));
    cr_assert_not(address_name_is_blocked(""));
}

Test(hook_address, opens_hosts_that_are_listed)
{
    cr_assert(address_is_allowed("127.0.0.1", "127.0.0.1"));
    cr_assert(address_is_allowed("a, B.example ,c", "b.EXAMPLE"));
    cr_assert_not(address_is_allowed("", ""));
    cr_assert_not(address_is_allowed(",,", ""));
    cr_assert_not(address_is_allowed("example.com", "example.co"));
    cr_assert_not(address_is_allowed("example.com", "sub.example.com"));
}
