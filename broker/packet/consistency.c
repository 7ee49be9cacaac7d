// What must hold between the fields of a message.
#include "broker/message/check.h"
#include "broker/packet/hitl.h"

const char *message_fault(const ProtobufCMessage *message, bool create)
{
    if (message->descriptor == &hr__hitl__descriptor)
        return hitl_fault((const Hr__Hitl *)message, create);
    return NULL;
}
