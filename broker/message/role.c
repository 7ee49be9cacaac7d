// The names of the roles.
#include "broker/message/role.h"

#include <string.h>

static const char *const names[] = {"none", "reader", "agent", "writer", "admin"};

enum role role_of(const char *name)
{
    for (int role = ROLE_READER; role <= ROLE_ADMIN; role++) {
        if (strcmp(name, names[role]) == 0)
            return (enum role)role;
    }
    return ROLE_NONE;
}

const char *role_name(enum role role)
{
    return names[role];
}
