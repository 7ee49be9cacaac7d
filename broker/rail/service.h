// A worker that answers commands: one of the two shapes of a worker.
//
// Requests to hr.v1.cmd.<tenant>.<key>.<noun>.<verb> arrive through a queue group, so any number of
// copies share them. Payloads are protobuf, or JSON with the header Content-Type: application/json,
// and are answered in kind. A request whose reply subject is not in the caller's own inbox is
// dropped; one that is longer than service_keys allow is refused before it is decoded.
#ifndef BROKER_RAIL_SERVICE_H
#define BROKER_RAIL_SERVICE_H

#include "broker/base/cfg.h"
#include "broker/message/command_table.h"
#include "broker/rail/change.h"

struct service;

// Settings of every program that answers commands; service_open reads them.
extern const struct cfg_key service_keys[];

struct service_limits {
    int64_t body_max_bytes;
};

// A request in hand. Everything in it lives until it is answered.
struct command {
    struct arena *arena;
    const char *tenant;
    const char *key_id;
    ProtobufCMessage *request;   // checked
    const char *idempotency_key; // NULL: none
    uint64_t if_match;           // 0: none
    uint64_t claim;              // generation of the claim it is made under; 0: none
    uint64_t min_seq;            // 0: none
    const void *decide_ctx;      // for command_change, set by the handler; see decide.h
    change_check_fn check;       // likewise; see change.h
    const char *receipt;         // reply subject of its answer, set by the handler; see
                                 // request_expect. NULL: none
};

// Loop thread. Must see to it that the command is answered exactly once, now or later.
typedef void (*command_fn)(void *ctx, struct command *command);

struct command_handler {
    enum command_id id;
    command_fn handle;
};

struct service_config {
    const char *name; // of the worker: its queue group
    const char *help; // one line for service discovery
    // Of every command that the table gives to this worker and that is not a decision alone.
    const struct command_handler *handlers;
    size_t handler_count;
    command_fn decide;   // command_decide, for the commands that are
    struct store *store; // its ctx
    // Is the worker able to do its work? May set *reason to a static phrase. NULL: always.
    bool (*ready)(void *ctx, const char **reason);
    void *ready_ctx;
    void *ctx; // for the handlers
};

// config and what it points to must outlive the service. RC_CONFIG: bad settings. RC_IO: logged.
enum rc service_open(struct service **service, struct conn *conn,
                     const struct service_config *config) MUST_CHECK;

// Takes no more requests; those in hand go on.
void service_drain(struct service *service);

// Requests taken and not yet answered.
size_t service_in_hand(const struct service *service);

// NULL is allowed. Nothing may be in hand.
void service_close(struct service *service);

// What the table says of it.
const struct command_row *command_table_row(const struct command *command);

// Where the answer goes to. Lives as long as the command.
const char *command_reply_subject(const struct command *command);

// Each ends the command: it and everything in its arena are gone. sequence: 0 for none.
void command_reply(struct command *command, const ProtobufCMessage *reply, uint64_t sequence);
void command_refuse(struct command *command, const struct problem *problem);
void command_reply_nothing(struct command *command);
void command_fail(struct command *command, enum rc rc);

#endif
