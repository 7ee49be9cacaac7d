// What the parts of the gateway share: its settings, its state, and one request in progress.
//
// The gateway translates; it holds no state that another copy of it would need. A request is an
// exchange: http.c makes it, a handler named in the route table answers it, at once or when NATS
// has.
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "broker/message/problem.h"
#include "broker/run/run.h"
#include "gateway/route.h"

struct keys;
struct live;
struct sockets;
struct seqs;
struct totals;
struct traffic;
struct exchange;
struct export;

struct gateway {
    // Settings.
    const char *listen;
    const char *bootstrap_key; // never logged; "" for none
    const char *bootstrap_tenant;
    int64_t body_max_bytes;
    const char *environment;  // a word for people
    const char *cors_origins; // separated by commas; "*": all; "": none
    int64_t connections_max;
    int64_t per_address_max;
    const char *trusted_proxies;
    int64_t ping_seconds; // between two pings to a listener

    // State.
    struct run *run;
    int64_t started_ns;
    struct web_config web_config;
    struct web *web;
    struct keys *keys;
    struct seqs *seqs;
    struct live *live;       // who listens
    struct sockets *sockets; // and over WebSocket
    struct traffic *traffic; // how much each tenant asks
    struct totals *totals;   // for the metrics
    struct export *exports;  // of the audit log, under way
    Text openapi;            // the API document, in openapi_arena
    struct arena *openapi_arena;
};

// Who is asking.
struct caller {
    const char *tenant; // safe token
    const char *key_id; // safe token
    enum role role;
    bool platform; // may ask about all tenants
    uint8_t key_digest[32];
};

struct exchange {
    struct gateway *gateway;
    struct web_request *request;
    struct arena *arena;
    const struct route *route; // NULL until one matches
    const char *id;            // X-Request-Id
    struct caller caller;      // of a route that needs one
    const char *about;         // tenant that commands are about, if not the caller's; NULL: it is
    struct path_ids ids;       // from the path, normalised
    void (*give_back)(struct exchange *exchange, ProtobufCMessage *reply, uint64_t sequence);
    uint64_t version; // of the packet in the path, where a precondition asked for it; 0: not known
    const char *ignored_parameters; // names of query parameters that mean nothing; NULL: none
    int64_t start_ns;
    int64_t patience_ms; // how much longer than usual its command may take; 0 unless a handler says
};

// The value of an id in the exchange's path. NULL: the route has none of that name.
const char *exchange_id(const struct exchange *exchange, const char *name);

#endif
