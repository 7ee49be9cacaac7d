// A cluster is made in postgres.new and gets its name when it is complete, so an interrupted first
// start leaves nothing half-made behind:
//
//   initdb -> postgres --single makes role and database -> rename -> postgres
#include "clients/cli/serve/postgres.h"

#include "broker/base/buf.h"
#include "clients/cli/serve/say.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROLE "handoffrail" // of the workers; owns the database of the same name, nothing more
#define FOLDER "postgres"
#define FOLDER_NEW "postgres.new"
#define ARGS_MAX 16

struct postgres {
    const struct datadir *dir;
    struct child_group *group;
    struct child *initdb; // NULL when the cluster is there
    struct child *single;
    struct child *server;
    const char *bin; // the folder of the programs
    const char *sockets;
    const char *url;
    const char *log_path;
    uid_t uid;
    gid_t gid;
    const char *user; // the name of uid
};

// Runs a command of ours and returns the first line it prints; NULL when it fails.
static const char *ask(struct arena *memory, const char *command)
{
    char line[PATH_MAX];
    FILE *pipe = popen(command, "re");
    const char *answer = NULL;

    if (pipe == NULL)
        return NULL;
    if (fgets(line, sizeof line, pipe) != NULL)
        answer = arena_copy(memory, line, strcspn(line, "\n"));
    return pclose(pipe) == 0 ? answer : NULL;
}

// The major version of the programs in a folder; 0 when they are not all there.
static int version_of(struct arena *memory, const char *bin)
{
    const char *answer;

    if (strchr(bin, '\'') != NULL || access(arena_printf(memory, "%s/initdb", bin), X_OK) != 0 ||
        access(arena_printf(memory, "%s/postgres", bin), X_OK) != 0)
        return 0;
    answer = ask(memory, arena_printf(memory, "'%s/postgres' -V 2>/dev/null", bin));
    if (answer == NULL)
        return 0;
    answer += strcspn(answer, "0123456789"); // "postgres (PostgreSQL) 15.20 (Debian ...)"
    return (int)strtol(answer, NULL, 10);
}

// Takes a folder of programs if it has the wanted version (0: any) and is newer than the best yet.
static void consider(struct postgres *pg, const char *bin, int wanted, int *best)
{
    int version = version_of(pg->dir->memory, bin);

    if (version > *best && (wanted == 0 || version == wanted)) {
        *best = version;
        pg->bin = arena_copy(pg->dir->memory, bin, strlen(bin));
    }
}

// A cluster can only be opened by the major version that made it.
static enum rc find_programs(struct postgres *pg)
{
    const char *stored = datadir_read(pg->dir, FOLDER "/PG_VERSION");
    int wanted = stored != NULL ? (int)strtol(stored, NULL, 10) : 0;
    const char *configured = ask(pg->dir->memory, "pg_config --bindir 2>/dev/null");
    glob_t found = {0};
    int best = 0;

    if (configured != NULL)
        consider(pg, configured, wanted, &best);
    if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            consider(pg, found.gl_pathv[i], wanted, &best);
    }
    globfree(&found);
    if (best != 0)
        return RC_OK;
    if (wanted != 0)
        say(LOG_ERROR, "postgres.missing", "postgres",
            "the database in %s was made by version %d, which is not installed", pg->dir->path,
            wanted);
    else
        say(LOG_ERROR, "postgres.missing", "postgres",
            "not found; install the package postgresql, or name a running one with "
            "--postgres-url");
    return RC_NOT_FOUND;
}

// Postgres refuses to run as root: then it runs as the owner of the cluster, or as "postgres".
static enum rc choose_user(struct postgres *pg)
{
    struct stat info;
    const struct passwd *user;

    if (geteuid() != 0)
        user = getpwuid(geteuid());
    else if (stat(datadir_join(pg->dir, FOLDER), &info) == 0 && info.st_uid != 0)
        user = getpwuid(info.st_uid);
    else
        user = getpwnam("postgres");
    if (user == NULL || user->pw_uid == 0) {
        say(LOG_ERROR, "postgres.user", "postgres",
            geteuid() != 0 ? "does not run as a user without a name"
                           : "does not run as root, and there is no user 'postgres'");
        return RC_REFUSED;
    }
    pg->uid = user->pw_uid;
    pg->gid = user->pw_gid;
    pg->user = arena_copy(pg->dir->memory, user->pw_name, strlen(user->pw_name));
    return RC_OK;
}

static enum rc check_way(const struct postgres *pg, const char *path)
{
    const char *obstacle = datadir_obstacle(pg->dir, path, pg->uid, pg->gid);

    if (obstacle == NULL)
        return RC_OK;
    say(LOG_ERROR, "postgres.way", "postgres",
        "runs as user %s, who may not enter %s; choose another --data-dir or 'chmod o+x' that "
        "folder",
        pg->user, obstacle);
    return RC_REFUSED;
}

// A postmaster that was killed leaves its pid. Postgres starts over it unless another process of
// the same user has that number by now, so the file goes unless it speaks of a live postmaster.
static enum rc clear_stale_pid(const struct postgres *pg)
{
    const char *stored = datadir_read(pg->dir, FOLDER "/postmaster.pid");
    const char *folder = datadir_join(pg->dir, FOLDER);
    char where[PATH_MAX];
    ssize_t len;
    long pid;

    if (stored == NULL)
        return RC_OK;
    pid = strtol(stored, NULL, 10);
    len = readlink(arena_printf(pg->dir->memory, "/proc/%ld/cwd", pid), where, sizeof where - 1);
    if (len > 0) {
        where[len] = '\0';
        if (strcmp(where, folder) == 0) {
            say(LOG_ERROR, "postgres.running", "postgres", "already runs on %s as pid %ld", folder,
                pid);
            return RC_CONFLICT;
        }
    }
    (void)unlink(datadir_join(pg->dir, FOLDER "/postmaster.pid"));
    return RC_OK;
}

static void put_setting(struct buf *text, const char *name, const char *value)
{
    buf_printf(text, "%s = '", name);
    for (; *value != '\0'; value++) {
        if (*value == '\'' || *value == '\\')
            buf_append(text, value, 1);
        buf_append(text, value, 1);
    }
    buf_puts(text, "'\n");
}

static enum rc put_file(const struct postgres *pg, const char *folder, const char *name,
                        const char *text)
{
    return datadir_write_for(pg->dir, arena_printf(pg->dir->memory, "%s/%s", folder, name), text,
                             0600, pg->uid, pg->gid);
}

static enum rc write_config(const struct postgres *pg, const char *folder)
{
    struct buf text = {0};
    enum rc rc;

    buf_puts(&text, "# Written by handoffrail serve at each start; local.conf is yours.\n"
                    "listen_addresses = ''\n"
                    "unix_socket_permissions = 0700\n"
                    "shared_buffers = 64MB\n"
                    "wal_compression = on\n"
                    "random_page_cost = 1.1\n"
                    "jit = off\n" // our statements are short
                    "max_logical_replication_workers = 0\n"
                    "password_encryption = 'scram-sha-256'\n"
                    "timezone = 'UTC'\n"
                    "log_timezone = 'UTC'\n"
                    "log_line_prefix = '%m [%p] '\n"
                    "log_checkpoints = off\n");
    put_setting(&text, "unix_socket_directories", pg->sockets);
    buf_puts(&text, "include_if_exists = 'local.conf'\n");
    rc = put_file(pg, folder, "postgresql.conf", buf_text(&text));
    buf_fini(&text);
    if (rc == RC_OK)
        rc =
            put_file(pg, folder, "pg_hba.conf",
                     "# Written by handoffrail serve at each start.\n"
                     "local all postgres peer map=owner\n" // the owner of the files, who can anyway
                     "local all all scram-sha-256\n");
    if (rc == RC_OK)
        rc = put_file(pg, folder, "pg_ident.conf",
                      arena_printf(pg->dir->memory, "owner \"%s\" postgres\n", pg->user));
    return rc;
}

// on_end: NULL for the server, which runs forever.
static struct child *add_child(struct postgres *pg, const char *name, const char *const *args,
                               const char *input, void (*on_end)(void *ctx, int status))
{
    static char *const env[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", NULL};
    const char **argv = arena_calloc(pg->dir->memory, ARGS_MAX + 1, sizeof *argv);
    struct child_spec spec = {
        .name = name,
        .argv = (char *const *)argv,
        .env = env,
        .input = input,
        .log_path = pg->log_path,
        .uid = pg->uid,
        .gid = pg->gid,
        .rank = RANK_SERVER,
        .stop_signal = SIGINT,   // "fast": ends sessions, writes a checkpoint
        .hurry_signal = SIGQUIT, // "immediate": the next start recovers from the log
        .death_signal = SIGINT,
        .on_end = on_end,
        .ctx = pg,
    };

    for (size_t i = 0; i < ARGS_MAX && args[i] != NULL; i++)
        argv[i] = args[i];
    return child_add(pg->group, &spec);
}

static void fail(struct postgres *pg, const char *what, int status)
{
    say(LOG_ERROR, "postgres.failed", "postgres", "%s ended with %s %d", what,
        WIFSIGNALED(status) ? "signal" : "exit status",
        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    say_tail(pg->log_path);
    child_give_up(pg->group);
}

static void on_initdb_end(void *ctx, int status)
{
    struct postgres *pg = ctx;

    if (status != 0)
        fail(pg, "initdb", status);
    else if (write_config(pg, FOLDER_NEW) != RC_OK)
        child_give_up(pg->group);
    else
        child_start(pg->single);
}

static void on_single_end(void *ctx, int status)
{
    struct postgres *pg = ctx;
    const char *folder = datadir_join(pg->dir, FOLDER);

    if (status != 0) {
        fail(pg, "making the database", status);
        return;
    }
    if (rename(datadir_join(pg->dir, FOLDER_NEW), folder) != 0) {
        say(LOG_ERROR, "postgres.rename", "postgres", "cannot put %s in place: %s", folder,
            strerror(errno));
        child_give_up(pg->group);
        return;
    }
    child_start(pg->server);
}

// The children that make the cluster.
static enum rc add_makers(struct postgres *pg, const char *password)
{
    struct arena *memory = pg->dir->memory;
    const char *folder = datadir_join(pg->dir, FOLDER_NEW);
    const char *const initdb[ARGS_MAX] = {
        arena_printf(memory, "%s/initdb", pg->bin),
        "--pgdata",
        folder,
        "--username=postgres",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--auth=reject", // until our own pg_hba.conf is there
    };
    const char *const single[ARGS_MAX] = {
        arena_printf(memory, "%s/postgres", pg->bin),
        "--single",
        "-D",
        folder,
        "-c",
        "exit_on_error=on",
        "postgres",
    };
    const char *sql = arena_printf(memory,
                                   "CREATE ROLE " ROLE " LOGIN PASSWORD '%s'\n"
                                   "CREATE DATABASE " ROLE " OWNER " ROLE "\n",
                                   password);

    datadir_remove(folder);
    pg->initdb = add_child(pg, "initdb", initdb, NULL, on_initdb_end);
    pg->single = add_child(pg, "postgres-single", single, sql, on_single_end);
    return datadir_mkdir(folder, pg->uid, pg->gid);
}

// In a URL everything but letters, digits and a few marks is written as %XX.
static const char *url_escape(struct arena *memory, const char *text)
{
    struct buf escaped = {0};
    const char *copy;

    for (; *text != '\0'; text++) {
        if (isalnum((unsigned char)*text) || strchr("-_.~", *text) != NULL)
            buf_append(&escaped, text, 1);
        else
            buf_printf(&escaped, "%%%02X", (unsigned)(unsigned char)*text);
    }
    copy = arena_copy(memory, buf_text(&escaped), escaped.len);
    buf_fini(&escaped);
    return copy;
}

// Decides everything that needs no process of Postgres.
static enum rc prepare(struct postgres *pg)
{
    enum rc rc = find_programs(pg);

    if (rc == RC_OK)
        rc = choose_user(pg);
    if (rc == RC_OK)
        rc = check_way(pg, pg->dir->path);
    if (rc == RC_OK)
        rc = check_way(pg, pg->bin);
    if (rc == RC_OK)
        rc = datadir_mkdir(pg->sockets, pg->uid, pg->gid);
    if (rc == RC_OK)
        rc = clear_stale_pid(pg);
    return rc;
}

enum rc postgres_open(struct postgres **postgres, const struct datadir *dir,
                      struct child_group *group)
{
    struct arena *memory = dir->memory;
    struct postgres *pg = arena_calloc(memory, 1, sizeof *pg);
    const char *server[ARGS_MAX] = {NULL, "-D", datadir_join(dir, FOLDER)};
    const char *password;
    enum rc rc;

    pg->dir = dir;
    pg->group = group;
    pg->sockets = arena_printf(memory, "%s/pg", dir->sockets);
    pg->log_path = datadir_join(dir, "log/postgres.log");
    rc = prepare(pg);
    if (rc == RC_OK)
        rc = datadir_secret(dir, "postgres.handoffrail", &password);
    if (rc != RC_OK)
        return rc;
    pg->url = arena_printf(memory, "postgresql://" ROLE ":%s@/" ROLE "?host=%s", password,
                           url_escape(memory, pg->sockets));
    if (datadir_read(dir, FOLDER "/PG_VERSION") == NULL)
        rc = add_makers(pg, password);
    else
        rc = write_config(pg, FOLDER);
    server[0] = arena_printf(memory, "%s/postgres", pg->bin);
    pg->server = add_child(pg, "postgres", server, NULL, NULL);
    if (rc == RC_OK)
        *postgres = pg;
    return rc;
}

void postgres_start(struct postgres *pg)
{
    if (pg->initdb == NULL) {
        child_start(pg->server);
        return;
    }
    say(LOG_INFO, "postgres.create", "postgres", "making a database in %s",
        datadir_join(pg->dir, FOLDER));
    child_start(pg->initdb);
}

// What pg_ctl looks at: the first line of postmaster.pid is the pid, the eighth the state.
bool postgres_is_up(const struct postgres *pg)
{
    char path[PATH_MAX];
    char line[PATH_MAX];
    FILE *file;
    bool up = false;

    if (child_pid(pg->server) == 0)
        return false;
    (void)snprintf(path, sizeof path, "%.4000s/" FOLDER "/postmaster.pid", pg->dir->path);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    for (int number = 1; number <= 8 && fgets(line, sizeof line, file) != NULL; number++) {
        if (number == 1 && strtol(line, NULL, 10) != (long)child_pid(pg->server))
            break;
        up = number == 8 && strncmp(line, "ready", 5) == 0;
    }
    (void)fclose(file);
    return up;
}

const char *postgres_url(const struct postgres *pg)
{
    return pg->url;
}

const struct child *postgres_child(const struct postgres *pg)
{
    return pg->server;
}
