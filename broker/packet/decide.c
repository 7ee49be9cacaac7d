// Which decision a command is.
#include "broker/packet/decide.h"

decide_fn decide_of(enum command_id id)
{
    switch (id) {
#define X(id, name)                                                                                \
    case CMD_##id:                                                                                 \
        return decide_##name;
        DECIDED_COMMANDS(X)
#undef X
    default:
        return NULL;
    }
}
