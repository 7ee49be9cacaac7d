// Who is who among those that answer: what decide_respond has to know of a tenant's keys.
#ifndef BROKER_PACKET_ELECTORATE_H
#define BROKER_PACKET_ELECTORATE_H

#include "broker/message/text.h"

struct electorate {
    const void *ctx;
    // Does the credential with this id belong to the group?
    bool (*is_member)(const void *ctx, const char *key_id, Text group);
    // How many credentials do?
    size_t (*member_count)(const void *ctx, Text group);
};

#endif
