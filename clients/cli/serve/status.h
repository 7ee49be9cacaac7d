// run/children.json: which processes belong to a running serve.
//
//   {"pid":100,"url":"http://127.0.0.1:8080","nats":"nats://127.0.0.1:4222","children":[
//   {"name":"nats-server","pid":101,"birth":4711,"restarts":0,"deaf":0},
//   {"name":"postgres","pid":0,"birth":0,"restarts":3,"deaf":1}
//   ]}
//
// For people, tests, and the next serve, which makes sure that nothing of a killed one is left.
// pid 0: waiting to be started again. birth: ticks since boot, as in /proc/PID/stat. deaf: how many
// of its restarts it needed because it ran and did not answer.
#ifndef CLIENTS_CLI_SERVE_STATUS_H
#define CLIENTS_CLI_SERVE_STATUS_H

#include "clients/cli/serve/child.h"
#include "clients/cli/serve/datadir.h"

// A failure has been said and is not worth stopping for.
void status_write(const struct datadir *dir, const struct child_group *group, const char *url,
                  const char *nats_url);

// Waits until the children of an earlier serve that was killed have ended, 3 s at most; then kills
// the rest. Call it before the folder is used, and only while holding its lock.
void status_end_leftovers(const struct datadir *dir);

#endif
