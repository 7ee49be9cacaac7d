// The one list of the workers. A new worker is a folder in workers/ and a row here.
#ifndef BROKER_RUN_FLEET_H
#define BROKER_RUN_FLEET_H

// X(name, nats_user, reads_postgres)
//   name            its queue group, and the subject of its ping; the program is hr-worker-<name>
//   nats_user       WORKER or EXPIRY: the account it logs in as; only expiry may delete from the
//                   stream
//   reads_postgres  it is given the URL of Postgres
#define FLEET_WORKERS(X)                                                                           \
    X(packet, WORKER, false)                                                                       \
    X(claim, WORKER, false)                                                                        \
    X(chain, WORKER, false)                                                                        \
    X(hitl, WORKER, false)                                                                         \
    X(expiry, EXPIRY, false)                                                                       \
    X(webhook, WORKER, false)                                                                      \
    X(audit, WORKER, true)                                                                         \
    X(query, WORKER, true)                                                                         \
    X(schema, WORKER, false)

#define FLEET_INDEX_(name, nats_user, reads_postgres) FLEET_##name,
enum { FLEET_WORKERS(FLEET_INDEX_) FLEET_SIZE };

#endif
