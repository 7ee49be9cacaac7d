// Entries of transcripts as model APIs write them: roles beyond the first four, and content that is
// a list of parts or null. A client that does not know them gets plain entries instead.
#ifndef BROKER_MESSAGE_TRANSCRIPT_H
#define BROKER_MESSAGE_TRANSCRIPT_H

#include "broker/base/buf.h"
#include "broker/message/wire.h"

// The place of content_json in a message that has RULE_OR_PARTS: only conversation entries have it.
Hr__Json **transcript_parts(ProtobufCMessage *message);

// Appends the texts of a list of parts, joined by newlines: strings, and the member `text` of
// objects. Nothing for null. What it cannot read ends it.
void transcript_text(struct buf *out, Text parts);

// message itself, unless it is an entry of a transcript. Then it is a plain one, in the arena and
// borrowing from message: role agent (system for tool and developer), content as text, and in
// metadata, beside what is there, the member `original`: the entry as JSON, as it was sent.
const ProtobufCMessage *transcript_plain(const ProtobufCMessage *message, struct arena *arena);

// A message as JSON for a client, in the arena: unless it says that it knows transcripts, it gets
// their entries as plain ones; what is measured by its hash comes as it is. transcript: its header
// HR-Transcript; NULL: it sent none.
#define TRANSCRIPT_AS_SENT "2"
Text json_of_answer(struct arena *arena, const ProtobufCMessage *message, const char *transcript);

#endif
