// Child processes: started, watched, started again, stopped; never left behind.
//
// A child dies with this process, however this process dies: the kernel sends it the death signal
// of its spec when the thread that started it ends. So everything here belongs to the main thread,
// which lives as long as the process.
#ifndef CLIENTS_CLI_SERVE_CHILD_H
#define CLIENTS_CLI_SERVE_CHILD_H

#include "broker/base/rc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

// Children are stopped rank by rank, the first one first.
enum child_rank {
    RANK_GATEWAY,
    RANK_WORKER,
    RANK_SERVER, // NATS and Postgres
    RANKS,
};

// Everything in it is borrowed and must live as long as the group.
struct child_spec {
    const char *name;        // unique in the group
    char *const *argv;       // argv[0] is the path of the program
    char *const *env;        // all of it, nothing is inherited
    const char *input;       // what it reads from standard input, at most 4 KiB; NULL: nothing
    const char *log_path;    // takes its output; NULL: our standard error does
    const char *stale_path;  // removed before each start; NULL: nothing is
    const char *health_path; // Unix socket where it answers GET /healthz; NULL: it does not
    uid_t uid;               // who it runs as
    gid_t gid;
    enum child_rank rank;
    int stop_signal;  // asks it to end
    int hurry_signal; // when it takes too long
    int death_signal; // when this process dies
    bool is_ours;     // exit status 2 means that it does not like its configuration

    // For a child that has one thing to do: called when it has ended, and it is not started again.
    // status is that of waitpid. NULL: it runs forever.
    void (*on_end)(void *ctx, int status);
    void *ctx;
};

struct child;
struct child_group;

struct child_events {
    void (*on_change)(void *ctx);  // a child was started or has ended
    void (*on_give_up)(void *ctx); // starting a child again will not help; why has been said
    void *ctx;
};

enum rc child_group_create(struct child_group **group, uv_loop_t *loop,
                           const struct child_events *events) MUST_CHECK;

// Kills what still runs, and waits for it. NULL is allowed.
void child_group_destroy(struct child_group *group);

// Never NULL; lives as long as the group. Not started yet.
struct child *child_add(struct child_group *group, const struct child_spec *spec);

// What cannot be started is said and tried again like what has died: after 100 ms, 200 ms, ... 5 s.
// A child that has never lived for 2 s gives up the group with its fifth death: something is wrong
// from the start. One that has worked before is started again forever.
void child_start(struct child *child);

// Starts the children of a rank.
void child_group_start(struct child_group *group, enum child_rank rank);

// Gives up the whole group: calls on_give_up once.
void child_give_up(struct child_group *group);

// Asks the children of a rank to end; they are not started again.
void child_group_stop(struct child_group *group, enum child_rank rank);

// Sends their hurry signal to those of a rank that still run, or SIGKILL when kill.
void child_group_hurry(struct child_group *group, enum child_rank rank, bool kill);

// Makes room in the log files of those that run: their beginning goes, their last part stays in
// PATH.old. Call it every second or so.
void child_group_bound_logs(const struct child_group *group);

// For one that runs and does not answer any more: signals it, harder with each step from 0 on. When
// it has ended it is started again.
void child_end_deaf(struct child *child, int step);

size_t child_group_running(const struct child_group *group, enum child_rank rank);

// The group in the order of child_add. NULL ends it.
struct child *child_first(const struct child_group *group);
struct child *child_next(const struct child *child);

const char *child_name(const struct child *child);
pid_t child_pid(const struct child *child); // 0: not running
int child_restarts(const struct child *child);
int child_deaf_ends(const struct child *child); // how often it was ended because it did not answer
const char *child_health_path(const struct child *child); // of its spec
bool child_is_stopping(const struct child *child);        // it is not to be started again
bool child_is_lasting(const struct child *child);         // false: it has one thing to do

// When the kernel says a process was started, in ticks since boot: together with the pid it names a
// process for good. 0: there is no such process.
unsigned long long child_birth(pid_t pid);

#endif
