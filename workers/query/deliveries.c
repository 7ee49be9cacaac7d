// Rows hold the messages as they were written; here they are only found and shown.
#include "workers/query/deliveries.h"

#include "broker/base/id.h"
#include "broker/base/log.h"
#include "broker/message/json_read.h"
#include "broker/message/json_write.h"

#include <inttypes.h>
#include <string.h>

#define DLQ_MAX 1000 // what may be asked for without a bound

static const struct pg_statement list_statement = {
    "deliveries_list",
    "SELECT delivery FROM webhook_deliveries WHERE tenant = $1 AND hook_id = $2"
    " AND ($3::text IS NULL OR status = $3)"
    " ORDER BY created_at DESC, id DESC LIMIT $4 OFFSET $5",
};

static const struct pg_statement dlq_statement = {
    "deliveries_dlq",
    "SELECT delivery FROM webhook_deliveries WHERE tenant = $1 AND status = 'dead_letter'"
    " AND ($2::uuid IS NULL OR hook_id = $2) AND ($3::timestamptz IS NULL OR updated_at >= $3)"
    " ORDER BY updated_at DESC, id DESC LIMIT $4 OFFSET $5",
};

static const struct pg_statement get_statement = {
    "deliveries_get",
    "SELECT record FROM webhook_deliveries WHERE tenant = $1 AND hook_id = $2 AND id = $3",
};

struct question {
    struct arena *arena;
    query_done done;
    void *ctx;
};

static struct question *ask(struct arena *arena, query_done done, void *ctx)
{
    struct question *question = arena_alloc(arena, sizeof *question);

    *question = (struct question){arena, done, ctx};
    return question;
}

// Reads the only column of a row. NULL: it cannot be read, logged.
static ProtobufCMessage *read_row(const struct question *question, const struct pg_result *rows,
                                  int row, const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message;
    size_t len;
    const void *data = pg_get_bytes(rows, row, 0, &len);

    if (wire_unpack(&message, question->arena, descriptor, data, len) == RC_OK)
        return message;
    log_error("deliveries.unreadable", "bytes=%zu", len);
    return NULL;
}

static struct pg_param uuid_or_null(bool has, Text text)
{
    struct uuid uuid;

    if (!has || uuid_parse((const char *)text.data, text.len, &uuid) != NULL)
        return pg_null(PG_UUID);
    return pg_uuid(&uuid);
}

// --- lists ---------------------------------------------------------------------------------------

static void on_list(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    const struct question *question = ctx;
    Hr__DeliveryList *list = wire_new(question->arena, &hr__delivery_list__descriptor);
    int rows = rc == RC_OK ? pg_rows(results[0]) : 0;

    list->items = arena_calloc(question->arena, (size_t)rows, sizeof(void *));
    for (int row = 0; row < rows; row++) {
        ProtobufCMessage *item = read_row(question, results[0], row, &hr__delivery__descriptor);

        if (item != NULL)
            list->items[list->n_items++] = (Hr__Delivery *)item;
    }
    question->done(question->ctx, rc, rc == RC_OK ? &list->base : NULL);
}

enum rc deliveries_list(struct pg *pg, const char *tenant, const Hr__ListDeliveries *request,
                        struct arena *arena, query_done done, void *ctx)
{
    const struct pg_param params[] = {
        pg_text(tenant, strlen(tenant)),
        uuid_or_null(request->has_hook_id, request->hook_id),
        page_text(arena, request->has_status, request->status),
        pg_int8(request->has_limit ? request->limit : PAGE_DEFAULT),
        pg_int8(request->has_offset ? request->offset : 0),
    };

    return pg_query(pg, &list_statement, params, 5, on_list, ask(arena, done, ctx));
}

static Hr__DlqEntry *dlq_entry(struct arena *arena, const Hr__Delivery *delivery)
{
    Hr__DlqEntry *entry = wire_new(arena, &hr__dlq_entry__descriptor);

    entry->has_id = entry->has_webhook_id = entry->has_packet_id = entry->has_event_type = true;
    entry->id = delivery->id;
    entry->webhook_id = delivery->webhook_id;
    entry->packet_id = delivery->packet_id;
    entry->event_type = delivery->event_type;
    entry->has_attempts = true;
    entry->attempts = delivery->attempts;
    entry->has_last_error = delivery->has_last_error;
    entry->last_error = delivery->last_error;
    entry->has_last_status_code = delivery->has_last_status_code;
    entry->last_status_code = delivery->last_status_code;
    entry->created_at = delivery->created_at;
    entry->updated_at = delivery->updated_at;
    return entry;
}

static void on_dlq(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    const struct question *question = ctx;
    Hr__DlqList *list = wire_new(question->arena, &hr__dlq_list__descriptor);
    int rows = rc == RC_OK ? pg_rows(results[0]) : 0;

    list->items = arena_calloc(question->arena, (size_t)rows, sizeof(void *));
    for (int row = 0; row < rows; row++) {
        ProtobufCMessage *item = read_row(question, results[0], row, &hr__delivery__descriptor);

        if (item != NULL)
            list->items[list->n_items++] = dlq_entry(question->arena, (const Hr__Delivery *)item);
    }
    question->done(question->ctx, rc, rc == RC_OK ? &list->base : NULL);
}

enum rc deliveries_dlq(struct pg *pg, const char *tenant, const Hr__ListDlq *request,
                       struct arena *arena, query_done done, void *ctx)
{
    int64_t limit = request->has_limit ? request->limit : PAGE_DEFAULT;
    int64_t offset = request->has_offset ? request->offset : 0;
    const struct pg_param params[] = {
        pg_text(tenant, strlen(tenant)),
        uuid_or_null(request->has_hook_id, request->hook_id),
        page_time(request->since),
        pg_int8(limit < 0 ? 0 : limit < DLQ_MAX ? limit : DLQ_MAX),
        pg_int8(offset > 0 ? offset : 0),
    };

    return pg_query(pg, &dlq_statement, params, 5, on_dlq, ask(arena, done, ctx));
}

// --- one -----------------------------------------------------------------------------------------

static Hr__Json *headers_of(struct arena *arena, const Hr__DeliveryRecord *record)
{
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);

    json_object_open(writer);
    for (size_t i = 0; i < record->n_request_headers; i++) {
        const Hr__SentHeader *sent = record->request_headers[i];

        json_key(writer, arena_copy(arena, sent->name.data, sent->name.len));
        json_text(writer, sent->value);
    }
    json_object_close(writer);
    return wire_json(arena, json_writer_finish(writer, arena));
}

static Hr__DeliveryDetail *detail_of(struct arena *arena, const Hr__DeliveryRecord *record)
{
    Hr__DeliveryDetail *detail = wire_new(arena, &hr__delivery_detail__descriptor);
    Hr__DeliveryRequest *request = wire_new(arena, &hr__delivery_request__descriptor);
    Hr__DeliveryResponse *response = wire_new(arena, &hr__delivery_response__descriptor);

    detail->delivery = record->delivery;
    detail->request = request;
    request->has_url = record->has_url;
    request->url = record->url;
    if (json_is_valid_within(record->body.data, record->body.len, 3))
        request->body = wire_json(arena, record->body);
    if (record->n_request_headers > 0)
        request->headers = headers_of(arena, record);
    if (!record->has_took_us)
        return detail; // it was not sent yet
    detail->response = response;
    response->has_status_code = record->delivery->has_last_status_code;
    response->status_code = record->delivery->last_status_code;
    response->has_head = true;
    response->head = record->response_head;
    response->has_body = true;
    response->body = record->response_body;
    response->took_ms =
        wire_json(arena, text_of(arena_printf(arena, "%" PRId64 ".%03" PRId64,
                                              record->took_us / 1000, record->took_us % 1000)));
    return detail;
}

static void on_get(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    const struct question *question = ctx;
    const ProtobufCMessage *record = NULL;
    const ProtobufCMessage *answer = NULL;

    if (rc == RC_OK && pg_rows(results[0]) == 0)
        rc = RC_NOT_FOUND;
    if (rc == RC_OK) {
        record = read_row(question, results[0], 0, &hr__delivery_record__descriptor);
        rc = record != NULL ? RC_OK : RC_CORRUPT;
    }
    if (rc == RC_OK)
        answer = &detail_of(question->arena, (const Hr__DeliveryRecord *)record)->base;
    question->done(question->ctx, rc, answer);
}

enum rc deliveries_get(struct pg *pg, const char *tenant, const Hr__GetDelivery *request,
                       struct arena *arena, query_done done, void *ctx)
{
    const struct pg_param params[] = {
        pg_text(tenant, strlen(tenant)),
        uuid_or_null(request->has_hook_id, request->hook_id),
        uuid_or_null(request->has_delivery_id, request->delivery_id),
    };

    return pg_query(pg, &get_statement, params, 3, on_get, ask(arena, done, ctx));
}
