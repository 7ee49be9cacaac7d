// Writes messages as JSON.
#ifndef BROKER_MESSAGE_JSON_WRITE_H
#define BROKER_MESSAGE_JSON_WRITE_H

#include "broker/message/json_writer.h"

// Messages are written as versions before unknown members and transcripts wrote them: for hashes
// that they made.
void json_writer_known_only(struct json_writer *writer);

// Every message is written as view sees it: it returns the message itself, or another one of the
// same type in the arena. NULL, as at first: as it is.
void json_writer_view(struct json_writer *writer,
                      const ProtobufCMessage *(*view)(const ProtobufCMessage *, struct arena *),
                      struct arena *arena);

// Every field in the order of the contract; what is absent is null, or left out if the rules say
// so.
void json_message(struct json_writer *writer, const ProtobufCMessage *message);

// A message, whole, in the arena, with the entries of transcripts as they are stored.
Text json_of_message(struct arena *arena, const ProtobufCMessage *message);

#endif
