// A program that only answers commands, and needs nothing but the store to do it.
#ifndef BROKER_WORKER_H
#define BROKER_WORKER_H

#include "broker/commands.h"
#include "broker/run.h"

struct worker_spec {
    const char *name;    // of the worker: its queue group; the program is hr-worker-<name>
    const char *program; // "hr-worker-<name>"
    const char *summary; // one line
    const struct command_spec *commands; // their ctx is the struct run *
    size_t command_count;
};

// The whole of such a program's main. Returns the exit status.
int worker_main(int argc, char **argv, const struct worker_spec *spec);

#endif
