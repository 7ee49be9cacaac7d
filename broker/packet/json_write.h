// Writes JSON: compact, UTF-8, non-ASCII unescaped.
#ifndef BROKER_PACKET_JSON_WRITE_H
#define BROKER_PACKET_JSON_WRITE_H

#include "broker/base/buf.h"
#include "broker/packet/wire.h"

struct json_writer;

// Appends to out, which must outlive the writer. Keys and values come in JSON's own order; a
// mistake in that order is a bug of the caller and aborts.
struct json_writer *json_writer_create(struct buf *out);

// NULL is allowed.
void json_writer_destroy(struct json_writer *writer);

// What was written, in the arena. The writer and the contents of its buffer are gone.
Text json_writer_finish(struct json_writer *writer, struct arena *arena);

// Messages are written as versions before unknown members and transcripts wrote them: for hashes
// that they made.
void json_writer_known_only(struct json_writer *writer);

void json_object_open(struct json_writer *writer);
void json_object_close(struct json_writer *writer);
void json_array_open(struct json_writer *writer);
void json_array_close(struct json_writer *writer);
void json_key(struct json_writer *writer, const char *key);
void json_text(struct json_writer *writer, Text text);
void json_string(struct json_writer *writer, const char *text);
void json_integer(struct json_writer *writer, long long value);
void json_bool(struct json_writer *writer, bool value);
void json_null(struct json_writer *writer);

// Bytes that are one JSON value already.
void json_raw(struct json_writer *writer, const void *text, size_t len);

// Every field in the order of the contract; what is absent is null, or left out if the rules say
// so.
void json_message(struct json_writer *writer, const ProtobufCMessage *message);

// A message, whole, in the arena, with the entries of transcripts as they are stored.
Text json_of_message(struct arena *arena, const ProtobufCMessage *message);

// The same for a client: unless it says that it knows transcripts, it gets their entries as plain
// ones, see transcript.h; what is measured by its hash comes as it is. transcript: its header
// HR-Transcript; NULL: it sent none.
#define TRANSCRIPT_AS_SENT "2"
Text json_of_answer(struct arena *arena, const ProtobufCMessage *message, const char *transcript);

// A string with its quotes, in the arena.
Text json_of_string(struct arena *arena, const char *text);
Text json_of_text(struct arena *arena, Text text);

#endif
