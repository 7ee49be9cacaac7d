// The validation items of one request: all of them, each with its path.
#ifndef BROKER_MESSAGE_ISSUES_H
#define BROKER_MESSAGE_ISSUES_H

#include "broker/message/problem.h"

#define PATH_DEPTH 16  // deeper than the contract nests
#define ISSUES_MAX 100 // more would help nobody

// Where in a request. The first step is "body", "query", "path" or "header".
struct path {
    struct step {
        Text name;    // of an object member; name.data NULL: an element of a list
        size_t index; // of the element
    } steps[PATH_DEPTH];
    size_t depth;
};

struct issue {
    const char *type;
    const char *message;
    Text path;  // JSON array
    Text input; // JSON; the value that was wrong; empty: not known
    Text ctx;   // JSON object; empty: none
};

struct issues {
    struct arena *arena;
    struct issue *items[ISSUES_MAX];
    size_t count;
    struct issue spare; // what comes behind ISSUES_MAX goes here and is never seen
};

void path_push_name(struct path *path, Text name);
void path_push_index(struct path *path, size_t index);
void path_pop(struct path *path);

// type, message: borrowed for the life of the program or from the arena. Returns the new item, for
// the caller to set input and ctx; it is a scratch item when there are ISSUES_MAX already.
struct issue *issues_add(struct issues *issues, const struct path *path, const char *type,
                         const char *message);

// A list with the wrong number of items; few: it has less than bound, otherwise more.
void issues_add_count(struct issues *issues, const struct path *path, bool few, int64_t bound,
                      size_t count);

// The ctx {"error":reason} that some items have. reason: without anything to escape.
Text issues_reason(struct arena *arena, const char *reason);

// PROBLEM_VALIDATION with the list as its detail. There must be at least one.
enum rc issues_to_problem(const struct issues *issues, struct problem *problem);

#endif
