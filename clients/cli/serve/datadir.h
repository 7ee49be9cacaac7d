// The folder that holds everything of one local rail.
//
//   lock          held by the serve that uses the folder; its process id
//   secrets       passwords of the NATS users and of the Postgres role, one "name value" a line
//   admin.key     the API key of the first start
//   admin.nats, agent.nats   URLs with credentials, for people
//   audit.keys    the keys that seal the audit log, as the audit worker reads them
//   audit.heads   its signed heads, a line each
//   nats/         nats-server's configuration, port and streams
//   postgres/     the database cluster
//   log/          what nats-server and Postgres have to say
//   run/          sockets and children.json; nothing in it outlives a run
//
// Everything secret is 0600.
#ifndef CLIENTS_CLI_SERVE_DATADIR_H
#define CLIENTS_CLI_SERVE_DATADIR_H

#include "broker/base/arena.h"
#include "broker/base/rc.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct datadir {
    struct arena *memory; // borrowed; all paths live in it
    const char *path;     // absolute, without symbolic links
    const char *sockets;  // where Unix sockets go: run/, or under /tmp when that is too long a path
    int lock_fd;
};

// Makes the folder when it is missing, and locks it. Everything that fails has been said.
// RC_CONFLICT: another process uses it. RC_REFUSED: it holds something else.
enum rc datadir_open(struct datadir *dir, const char *path, struct arena *memory) MUST_CHECK;

// Makes run/ again and sets dir->sockets. Only when nothing of an earlier run is alive any more.
enum rc datadir_open_sockets(struct datadir *dir) MUST_CHECK;

// Gives the folder free. A zeroed struct is allowed.
void datadir_close(struct datadir *dir);

// The absolute path of a name inside the folder.
const char *datadir_join(const struct datadir *dir, const char *name);

// The first line of a small file, without its end; NULL when there is none.
const char *datadir_read(const struct datadir *dir, const char *name);

// Is there a file of that name? Also one that cannot be read.
bool datadir_has(const struct datadir *dir, const char *name);

// Replaces a file in one step. mode: its permissions.
enum rc datadir_write(const struct datadir *dir, const char *name, const char *text,
                      mode_t mode) MUST_CHECK;

// As datadir_write, and gives the file to a user; the folder it lies in may be theirs.
enum rc datadir_write_for(const struct datadir *dir, const char *name, const char *text,
                          mode_t mode, uid_t uid, gid_t gid) MUST_CHECK;

// Makes a folder (0700) unless it exists, and gives it to a user.
enum rc datadir_mkdir(const char *path, uid_t uid, gid_t gid) MUST_CHECK;

// Removes a folder and all that is in it; follows no links. A missing one is fine.
void datadir_remove(const char *path);

// The password called name, 43 URL-safe characters; made on first use.
enum rc datadir_secret(const struct datadir *dir, const char *name, const char **secret) MUST_CHECK;

// The file of numbered keys called name; made with one key when it is missing.
enum rc datadir_keys(const struct datadir *dir, const char *name, const char **path) MUST_CHECK;

// The first folder on the way to path that the user may not enter; NULL when they may enter all.
const char *datadir_obstacle(const struct datadir *dir, const char *path, uid_t uid, gid_t gid);

#endif
