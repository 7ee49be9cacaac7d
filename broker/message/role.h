// What a key may do. Each role may do what the ones before it may.
#ifndef BROKER_MESSAGE_ROLE_H
#define BROKER_MESSAGE_ROLE_H

enum role {
    ROLE_NONE,
    ROLE_READER,
    ROLE_AGENT,
    ROLE_WRITER,
    ROLE_ADMIN,
};

// "reader", "agent", "writer", "admin"; ROLE_NONE for anything else.
enum role role_of(const char *name);

// "none" for ROLE_NONE.
const char *role_name(enum role role);

#endif
