// JSON output: yajl's generator.
#include "broker/message/json_writer.h"

#include <assert.h>
#include <stdlib.h>

static void must(yajl_gen_status status)
{
    assert(status == yajl_gen_status_ok);
    (void)status;
}

static void on_output(void *out, const char *text, size_t len)
{
    buf_append(out, text, len);
}

struct json_writer *json_writer_create(struct buf *out)
{
    struct json_writer *writer = calloc(1, sizeof *writer);

    if (writer == NULL)
        abort();
    writer->out = out;
    writer->gen = yajl_gen_alloc(NULL);
    if (writer->gen == NULL)
        abort();
    yajl_gen_config(writer->gen, yajl_gen_print_callback, on_output, out);
    return writer;
}

void json_writer_destroy(struct json_writer *writer)
{
    if (writer == NULL)
        return;
    yajl_gen_free(writer->gen);
    free(writer);
}

Text json_writer_finish(struct json_writer *writer, struct arena *arena)
{
    struct buf *out = writer->out;
    Text text = text_copy(arena, out->data, out->len);

    json_writer_destroy(writer);
    buf_fini(out);
    return text;
}

void json_object_open(struct json_writer *writer)
{
    must(yajl_gen_map_open(writer->gen));
}

void json_object_close(struct json_writer *writer)
{
    must(yajl_gen_map_close(writer->gen));
}

void json_array_open(struct json_writer *writer)
{
    must(yajl_gen_array_open(writer->gen));
}

void json_array_close(struct json_writer *writer)
{
    must(yajl_gen_array_close(writer->gen));
}

void json_key(struct json_writer *writer, const char *key)
{
    json_string(writer, key);
}

void json_text(struct json_writer *writer, Text text)
{
    // The generator takes no NULL, which an empty text may be.
    const uint8_t *data = text.data != NULL ? text.data : (const uint8_t *)"";

    must(yajl_gen_string(writer->gen, data, text.len));
}

void json_string(struct json_writer *writer, const char *text)
{
    json_text(writer, text_of(text));
}

void json_integer(struct json_writer *writer, long long value)
{
    must(yajl_gen_integer(writer->gen, value));
}

void json_bool(struct json_writer *writer, bool value)
{
    must(yajl_gen_bool(writer->gen, value));
}

void json_null(struct json_writer *writer)
{
    must(yajl_gen_null(writer->gen));
}

void json_raw(struct json_writer *writer, const void *text, size_t len)
{
    // A number is the one value the generator copies verbatim.
    must(yajl_gen_number(writer->gen, text, len));
}

Text json_of_string(struct arena *arena, const char *text)
{
    return json_of_text(arena, text_of(text));
}

Text json_of_text(struct arena *arena, Text text)
{
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);

    json_text(writer, text);
    return json_writer_finish(writer, arena);
}
