// A program that only answers commands, and needs nothing but the store to do it.
#ifndef BROKER_RUN_WORKER_H
#define BROKER_RUN_WORKER_H

#include "broker/rail/commands.h"
#include "broker/run/run.h"

struct worker_spec {
    const char *name;           // of the worker: its queue group; the program is hr-worker-<name>
    const char *program;        // "hr-worker-<name>"
    const char *summary;        // one line
    const struct cfg_key *keys; // of the struct that begins with the struct worker; NULL: none
    const struct command_handler *handlers; // their ctx is that struct
    size_t handler_count;
};

// The first member of a program's own struct; zeroed before worker_main.
struct worker {
    struct run *run;
    const struct worker_spec *spec;
    struct service_config config;
    struct service *service;
};

// The whole of such a program's main. Returns the exit status.
int worker_main(int argc, char **argv, const struct worker_spec *spec, struct worker *worker);

#endif
