// The audit log has every record forever, so it has every version.
#include "workers/query/version.h"

#include "broker/base/log.h"
#include "broker/message/check.h"

#include <string.h>

// The same event twice is a record that was appended again after the stream had lost it; the packet
// in it is the same.
static const struct pg_statement version_statement = {
    "version",
    "SELECT record, seq FROM packet_events"
    " WHERE tenant = $1 AND packet_id = $2 AND event_id = $3 ORDER BY epoch DESC LIMIT 1",
};

struct version {
    struct arena *arena;
    version_done done;
    void *ctx;
};

static enum rc read_row(Hr__Packet **packet, struct arena *arena, const struct pg_result *rows)
{
    ProtobufCMessage *message;
    Hr__PacketRecord *record;
    size_t len;
    const void *data = pg_get_bytes(rows, 0, 0, &len);
    enum rc rc = wire_unpack(&message, arena, &hr__packet_record__descriptor, data, len);

    record = (Hr__PacketRecord *)message;
    if (rc != RC_OK || record->packet == NULL) {
        log_error("version.corrupt", "seq=%lld", (long long)pg_get_int(rows, 0, 1));
        return RC_CORRUPT;
    }
    message_complete(&record->packet->base, arena);
    *packet = record->packet;
    return RC_OK;
}

static void on_rows(void *ctx, enum rc rc, const struct pg_result *const *results)
{
    struct version *version = ctx;
    Hr__Packet *packet = NULL;
    uint64_t sequence = 0;

    if (rc == RC_OK && pg_rows(results[0]) == 0)
        rc = RC_NOT_FOUND;
    if (rc == RC_OK)
        rc = read_row(&packet, version->arena, results[0]);
    if (rc == RC_OK)
        sequence = (uint64_t)pg_get_int(results[0], 0, 1);
    version->done(version->ctx, rc, packet, sequence);
}

enum rc version_get(struct pg *pg, const char *tenant, const Hr__GetVersion *request,
                    struct arena *arena, version_done done, void *ctx)
{
    struct version *version = arena_alloc(arena, sizeof *version);
    struct uuid packet_id;
    struct uuid event_id;

    if (uuid_parse((const char *)request->packet_id.data, request->packet_id.len, &packet_id) !=
            NULL ||
        uuid_parse((const char *)request->event_id.data, request->event_id.len, &event_id) != NULL)
        return RC_INVALID;
    *version = (struct version){arena, done, ctx};

    const struct pg_param params[] = {
        pg_text(tenant, strlen(tenant)),
        pg_uuid(&packet_id),
        pg_uuid(&event_id),
    };

    return pg_query(pg, &version_statement, params, 3, on_rows, version);
}
