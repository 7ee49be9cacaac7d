// Handlers that most workers' commands have in common.
#ifndef BROKER_RAIL_COMMANDS_H
#define BROKER_RAIL_COMMANDS_H

#include "broker/rail/service.h"

// Changes a packet as the command asks and answers with the packet as the change left it.
// packet_id: the command's own field, Text with len 0 when it was not sent: refused. create: the
// packet is made by this command, packet_id is ignored.
void command_change(struct command *command, struct store *store, const char *verb, Text packet_id,
                    bool create, decide_fn decide);

// A command_fn for commands that are one decision, see decide_of; ctx: the store.
void command_decide(void *store, struct command *command);

// Answers with a packet whole: with what it takes over, if it is one of a chain. Changes packet.
void command_reply_packet(struct command *command, struct store *store, Hr__Packet *packet,
                          uint64_t sequence);

// The same with the record that this command made: a refusal says that it did. stored is not needed
// any more when this returns, but its record lives as long as the command.
void command_reply_changed(struct command *command, struct store *store,
                           const struct stored *stored);

// Refuses a command whose packet_id was not sent.
void command_refuse_missing_id(struct command *command);

// Refuses a command that names one packet's version or claim in a header, though it is about many,
// or about one that is not known yet. False: it does not, and is not answered.
bool command_refuse_if_fenced(struct command *command);

// Answers with the packet as it is, whole.
void command_load(struct command *command, struct store *store, Text packet_id);

#endif
