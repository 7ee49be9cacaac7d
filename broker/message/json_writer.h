// Writes JSON token by token: compact, UTF-8, non-ASCII unescaped.
#ifndef BROKER_MESSAGE_JSON_WRITER_H
#define BROKER_MESSAGE_JSON_WRITER_H

#include "broker/base/buf.h"
#include "broker/message/wire.h"

#include <yajl/yajl_gen.h>

struct json_writer {
    yajl_gen gen;
    struct buf *out;
    // Of messages, see json_write.h.
    bool known_only;
    const ProtobufCMessage *(*view)(const ProtobufCMessage *message, struct arena *arena);
    struct arena *view_arena;
};

// Appends to out, which must outlive the writer. Keys and values come in JSON's own order; a
// mistake in that order is a bug of the caller and aborts.
struct json_writer *json_writer_create(struct buf *out);

// NULL is allowed.
void json_writer_destroy(struct json_writer *writer);

// What was written, in the arena. The writer and the contents of its buffer are gone.
Text json_writer_finish(struct json_writer *writer, struct arena *arena);

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

// A string with its quotes, in the arena.
Text json_of_string(struct arena *arena, const char *text);
Text json_of_text(struct arena *arena, Text text);

#endif
