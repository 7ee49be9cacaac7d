// The audit log over HTTP.
#include "gateway/audit.h"

#include "gateway/backend.h"
#include "gateway/http.h"
#include "gateway/routes.h"

static void on_page(struct exchange *exchange, ProtobufCMessage *page, uint64_t sequence)
{
    http_reply(exchange, page, sequence);
}

void audit_list(struct exchange *exchange)
{
    ProtobufCMessage *query = http_query(exchange);

    if (query != NULL)
        backend_send(exchange, "audit", "list", query, exchange->route->reply, true, on_page);
}
