// Which nats-server is one of a cluster. The answers are cut from those of real ones.
#include "broker/nats/topology.h"

#include <criterion/criterion.h>

#define BEFORE "{\"config\":{\"name\":\"T\",\"num_replicas\":1},"

Test(topology, a_server_of_its_own_is_not_clustered)
{
    // 2.9.10 has no such member.
    cr_expect_not(topology_is_clustered(BEFORE "\"state\":{\"messages\":0}}"));
    // 2.10.26 and later.
    cr_expect_not(topology_is_clustered(
        BEFORE "\"cluster\":{\"leader\":\"NABQVJB2FCNQ7KPD\"},\"ts\":\"2026-11-28T18:34:34Z\"}"));
}

Test(topology, a_member_of_a_cluster_is_clustered)
{
    cr_expect(topology_is_clustered(BEFORE
                                    "\"cluster\":{\"name\":\"c\",\"leader\":\"s1\"},\"ts\":\"\"}"));
    cr_expect(topology_is_clustered(BEFORE "\"cluster\":{\"name\":\"c\"}}"));
    cr_expect(topology_is_clustered(
        BEFORE "\"cluster\":{\"leader\":\"s1\",\"replicas\":[{\"name\":\"s2\"}]}}"));
}

Test(topology, what_is_not_understood_counts_as_clustered)
{
    cr_expect(topology_is_clustered(BEFORE "\"cluster\":{}}"));
    cr_expect(topology_is_clustered(BEFORE "\"cluster\":{\"leader\":\"s1"));
}
