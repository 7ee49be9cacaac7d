// The details of an event: one JSON object.
#ifndef BROKER_PACKET_DETAILS_H
#define BROKER_PACKET_DETAILS_H

#include "broker/base/buf.h"
#include "broker/message/json_write.h"

// out: zeroed; it must outlive the writer.
static inline struct json_writer *details_open(struct buf *out)
{
    struct json_writer *writer = json_writer_create(out);

    json_object_open(writer);
    return writer;
}

static inline Text details_close(struct json_writer *writer, struct arena *arena)
{
    json_object_close(writer);
    return json_writer_finish(writer, arena);
}

static inline void details_put(struct json_writer *writer, const char *key, const char *value)
{
    json_key(writer, key);
    json_string(writer, value);
}

// Null when there is none.
static inline void details_put_text(struct json_writer *writer, const char *key, bool has,
                                    Text value)
{
    json_key(writer, key);
    if (has)
        json_text(writer, value);
    else
        json_null(writer);
}

#endif
