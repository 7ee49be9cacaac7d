// The one main loop: start, health, metrics, drain.
//
// A program fills a run_spec and calls run_program from main. On the way up: configuration, NATS,
// topology, the program's own open; then ready. It waits for NATS as long as that takes, and says
// so. On SIGTERM or SIGINT: not ready; after HR_DRAIN_SECONDS, or a second signal, nothing new is
// taken; what is in hand is finished (at most DRAIN_MS), the program's own close, exit 0.
#ifndef BROKER_RUN_RUN_H
#define BROKER_RUN_RUN_H

#include "broker/base/cfg.h"
#include "broker/rail/handles.h"
#include "broker/web/web.h"

struct run_spec {
    const char *name;           // of the program, in logs and in its reply subjects
    const char *summary;        // one line for --help
    const struct cfg_key *keys; // of the program's own settings; NULL: none
    void *settings;             // the struct that they are of; NULL: app
    bool creates_topology;      // false: waits until somebody else has
    bool speaks_for_others;     // sends requests with the inboxes of others

    // Loop thread. open may fail; close is then called all the same.
    enum rc (*open)(void *app, struct run *run);
    void (*close)(void *app);

    // Is it able to do its work? May set *reason to a static phrase. NULL: once open.
    bool (*ready)(void *app, const char **reason);
    // It is not ready any more and will be asked to drain after a delay: send clients elsewhere,
    // and serve those who come all the same. May be NULL.
    void (*leave)(void *app);
    // Take nothing new. May be NULL.
    void (*drain)(void *app);
    // Things in hand that a drain should wait for. May be NULL.
    size_t (*in_hand)(void *app);
};

// app: the program's struct, filled from spec->keys. Returns the exit status: 0 was asked to stop,
// 1 gave up, 2 bad configuration or arguments.
int run_program(int argc, char **argv, const struct run_spec *spec, void *app);

// It has been asked to stop: it must not be called ready.
bool run_is_stopping(const struct run *run);

// Ends the program with exit status 1, or 2 for RC_CONFIG, after the usual drain; the reason has
// been logged by the caller.
void run_give_up(struct run *run, enum rc rc);

#endif
