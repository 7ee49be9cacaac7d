// Handlers that most workers' commands have in common.
#ifndef BROKER_COMMANDS_H
#define BROKER_COMMANDS_H

#include "broker/service.h"

// Changes a packet as the command asks and answers with the packet as the change left it.
// packet_id: the command's own field, Text with len 0 when it was not sent: refused. create: the
// packet is made by this command, packet_id is ignored.
void command_change(struct command *command, struct store *store, const char *verb, Text packet_id,
                    bool create, decide_fn decide);

// Answers with the packet of a record. stored is not needed any more when this returns.
void command_reply_packet(struct command *command, const struct stored *stored);

// Refuses a command whose packet_id was not sent.
void command_refuse_missing_id(struct command *command);

// Answers with the packet as it is.
void command_load(struct command *command, struct store *store, Text packet_id);

#endif
