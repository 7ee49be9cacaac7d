// A worker: a program that answers the commands that the table gives to it, on the main loop.
//
// worker_main is the whole of its main: settings, NATS, the worker's own parts, its service,
// health, drain. A worker without commands has a service as well, for pings and service discovery.
#ifndef BROKER_RUN_WORKER_H
#define BROKER_RUN_WORKER_H

#include "broker/rail/commands.h"
#include "broker/run/run.h"

struct worker_spec {
    const char *name;           // its queue group; the program is hr-worker-<name>
    const char *summary;        // one line, for --help and service discovery
    const struct cfg_key *keys; // of app's settings; NULL: none

    // Of every command that the table gives to it, but for those that are one decision.
    const struct command_handler *handlers;
    size_t handler_count;
    void *(*handler_ctx)(void *app); // what handlers get; NULL: app

    // Loop thread; all may be NULL. As in run_spec: open may fail, and close is called all the
    // same. The service opens after open, and closes after close: what is still waiting may be
    // answered.
    enum rc (*open)(void *app, struct run *run);
    bool (*ready)(void *app, const char **reason);
    void (*drain)(void *app);
    size_t (*in_hand)(void *app);
    void (*close)(void *app);
};

// app: the worker's own struct. Returns the exit status, see run_program.
int worker_main(int argc, char **argv, const struct worker_spec *spec, void *app);

#endif
