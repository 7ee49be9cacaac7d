// Writes what nats-server needs to know. Every word of it is understood by 2.9 and later.
#define _GNU_SOURCE // realpath

#include "clients/cli/serve/nats.h"

#include "broker/base/buf.h"
#include "clients/cli/serve/port.h"
#include "clients/cli/serve/say.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION_FILE "nats/version" // of the server that wrote the streams
#define PORT_FILE "nats/port"
#define CONFIG_FILE "nats/nats.conf"
#define DEFAULT_PORT 4222
#define SUBJECTS_MAX 24

struct user {
    const char *name;
    const char *secret; // its name in the file of secrets
    const char *publish[SUBJECTS_MAX];
    const char *subscribe[SUBJECTS_MAX];
};

#define WORKER_PUBLISH                                                                             \
    "hr.v1.packet.>", "hr.v1.audit.head.*", "hr.v1.inbox.>", "hr.v1.notice.*", "hr.v1.given.>",    \
        "hr.v1.cmd.*.*.audit.wait", "hr.v1.cmd.*.*.packet.version", "hr.v1.cmd.*.*.schema.check",  \
        "$KV.HR_SCHEMAS.*.*", "hr.v1.cmd.*.*.hook.dlq", "hr.v1.delivery.>", "$KV.HR_HOOKS.>",      \
        "$KV.HR_OWNERS.>", "_INBOX.>", "$JS.API.INFO", "$JS.API.STREAM.INFO.*",                    \
        "$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.MSG.GET.*", "$JS.API.DIRECT.GET.>",             \
        "$JS.API.CONSUMER.>", "$JS.ACK.>"
#define WORKER_SUBSCRIBE                                                                           \
    "hr.v1.cmd.>", "hr.v1.event.>", "hr.v1.delivery.members", "_INBOX.>", "$SRV.>"

// Nobody but a worker appends to the packet streams, nobody but the expiry worker takes a message
// out of one, and nobody but the admin may delete or purge one. The server does not check a
// request's reply subject against any of this: the workers do.
static const struct user users[NATS_USERS] = {
    [NATS_WORKER] =
        {
                       .name = "worker",
                       .secret = "nats.worker",
                       .publish = {WORKER_PUBLISH},
                       .subscribe = {WORKER_SUBSCRIBE},
                       },
    [NATS_EXPIRY] =
        {
                       .name = "expiry",
                       .secret = "nats.expiry",
                       .publish = {WORKER_PUBLISH, "$JS.API.STREAM.MSG.DELETE.HR_PACKETS_0"},
                       .subscribe = {WORKER_SUBSCRIBE},
                       },
    [NATS_GATEWAY] =
        {
                       .name = "gateway",
                       .secret = "nats.gateway",
                       .publish = {"hr.v1.cmd.>", "$SRV.>", "$JS.API.INFO", "$JS.API.STREAM.INFO.*",
                        "$JS.API.STREAM.MSG.GET.*", "$JS.API.DIRECT.GET.>", "$JS.API.CONSUMER.>"},
                       .subscribe = {"_INBOX.>", "hr.v1.event.>", "hr.v1.notice.*"},
                       },
    [NATS_AGENT] =
        {
                       .name = "agent",
                       .secret = "nats.agent",
                       .publish = {"hr.v1.cmd.default.agent.>"},
                       .subscribe = {"_INBOX.agent.>", "hr.v1.event.default.>", "hr.v1.inbox.default.>",
                          "hr.v1.notice.default"},
                       },
    [NATS_ADMIN] =
        {
                       .name = "admin",
                       .secret = "nats.admin",
                       .publish = {">"},
                       .subscribe = {">"},
                       },
};

static bool parse_version(const char *text, int version[3])
{
    char *end;

    text = strchr(text, 'v'); // also that of "server"
    while (text != NULL && (text[1] < '0' || text[1] > '9'))
        text = strchr(text + 1, 'v');
    if (text == NULL)
        return false;
    for (size_t i = 0; i < 3; i++) {
        version[i] = (int)strtol(text + 1, &end, 10);
        if (end == text + 1 || version[i] < 0)
            return false;
        text = end;
    }
    return true;
}

// Puts the version that a program says it has into version: "nats-server: v2.9.10". RC_NOT_FOUND:
// it is none.
static enum rc ask_version(struct arena *memory, const char *file, int version[3])
{
    char line[128] = "";
    FILE *pipe;
    bool read;
    bool understood;

    if (strchr(file, '\'') != NULL || access(file, X_OK) != 0)
        return RC_NOT_FOUND;
    pipe = popen(arena_printf(memory, "'%s' --version 2>/dev/null", file), "re");
    if (pipe == NULL)
        return RC_NOT_FOUND;
    read = fgets(line, sizeof line, pipe) != NULL;
    understood = read && parse_version(line, version);
    return pclose(pipe) == 0 && understood ? RC_OK : RC_NOT_FOUND;
}

static int compare_versions(const int a[3], const int b[3])
{
    for (size_t i = 0; i < 3; i++) {
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    }
    return 0;
}

// The newest of those that are installed. An ordinary user's PATH lacks the sbin folders.
static const char *find_newest(struct arena *memory, int version[3])
{
    const char *path = getenv("PATH");
    char *dirs = arena_printf(memory, "%s:/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin",
                              path != NULL ? path : "");
    const char *newest = NULL;
    char *rest = NULL;
    int found[3];

    for (char *dir = strtok_r(dirs, ":", &rest); dir != NULL; dir = strtok_r(NULL, ":", &rest)) {
        const char *file = arena_printf(memory, "%s/nats-server", dir);

        if (dir[0] != '/' || ask_version(memory, file, found) != RC_OK ||
            (newest != NULL && compare_versions(found, version) <= 0))
            continue;
        newest = file;
        memcpy(version, found, sizeof found);
    }
    if (newest == NULL)
        say(LOG_ERROR, "nats.missing", "nats-server",
            "not found; install the package nats-server, name one with --nats-server, or a running "
            "one with --nats-url");
    return newest;
}

// wanted: NULL for the newest. The children start in another folder, so the path becomes absolute.
static const char *find_server(struct arena *memory, const char *wanted, int version[3])
{
    char *real;
    const char *file;

    if (wanted == NULL)
        return find_newest(memory, version);
    real = realpath(wanted, NULL);
    file = real != NULL ? arena_copy(memory, real, strlen(real)) : wanted;
    free(real);
    if (ask_version(memory, file, version) == RC_OK)
        return file;
    say(LOG_ERROR, "nats.missing", "nats-server", "%s is not a nats-server that runs here", wanted);
    return NULL;
}

// A newer server may have written streams in a form that an older one does not read, or skips.
static enum rc check_version(const struct datadir *dir, const int version[3])
{
    static const int oldest[3] = {2, 9, 0};
    static const int lacking[3] = {2, 10, 0}; // up to there
    const char *stored = datadir_read(dir, VERSION_FILE);
    const char *text = arena_printf(dir->memory, "v%d.%d.%d\n", version[0], version[1], version[2]);
    int last[3];

    say(LOG_INFO, "nats.version", "nats-server", "version %d.%d.%d", version[0], version[1],
        version[2]);
    if (compare_versions(version, oldest) < 0) {
        say(LOG_ERROR, "nats.too_old", "nats-server", "2.9 is the oldest that can be used");
        return RC_REFUSED;
    }
    if (stored != NULL && parse_version(stored, last) &&
        (version[0] < last[0] || (version[0] == last[0] && version[1] < last[1]))) {
        say(LOG_ERROR, "nats.older", "nats-server",
            "is older than %s, which wrote the streams in %s; name that one or a newer one with "
            "--nats-server",
            stored, dir->path);
        return RC_REFUSED;
    }
    if (compare_versions(version, lacking) < 0)
        say(LOG_WARN, "nats.old", "nats-server",
            "2.9 can hang on a full disk, brings data to the disk only every two minutes, and "
            "makes "
            "followers skip after a purge; deploy/local/up.sh --current-nats has a current one");
    return datadir_write(dir, VERSION_FILE, text, 0600);
}

static enum rc choose_port(const struct datadir *dir, int wanted, int *port)
{
    const char *stored = datadir_read(dir, PORT_FILE);
    int last = stored != NULL ? (int)strtol(stored, NULL, 10) : 0;

    if (wanted != 0) {
        if (!port_take(wanted)) {
            say(LOG_ERROR, "nats.port", "nats-server", "port %d is already in use", wanted);
            return RC_CONFLICT;
        }
        *port = wanted;
    } else if (last > 0 && last < 65536 && port_take(last)) {
        *port = last;
    } else if (port_take(DEFAULT_PORT)) {
        *port = DEFAULT_PORT;
    } else if (port_pick(port) != RC_OK) {
        say(LOG_ERROR, "nats.port", "nats-server", "no free port");
        return RC_UNAVAILABLE;
    }
    return RC_OK;
}

// A string of the configuration language.
static void put_quoted(struct buf *text, const char *value)
{
    buf_puts(text, "\"");
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\')
            buf_puts(text, "\\");
        buf_append(text, value, 1);
    }
    buf_puts(text, "\"");
}

static void put_subjects(struct buf *text, const char *verb, const char *const *subjects)
{
    buf_printf(text, " %s: { allow: [", verb);
    for (size_t i = 0; i < SUBJECTS_MAX && subjects[i] != NULL; i++)
        buf_printf(text, "%s\"%s\"", i > 0 ? ", " : "", subjects[i]);
    buf_puts(text, "] }");
}

static enum rc write_config(const struct nats *nats, const struct datadir *dir)
{
    struct buf text = {0};
    enum rc rc;

    buf_puts(&text, "# Written by handoffrail serve at each start.\n");
    buf_printf(&text, "listen: \"127.0.0.1:%d\"\n", nats->port);
    buf_puts(&text, "server_name: handoffrail\n"
                    "max_payload: 8MB\n"
                    "jetstream {\n  store_dir: ");
    put_quoted(&text, datadir_join(dir, "nats"));
    buf_puts(&text, "\n}\nauthorization {\n  users: [\n");
    for (size_t i = 0; i < NATS_USERS; i++) {
        buf_printf(&text, "    { user: %s, password: \"%s\", permissions: {", users[i].name,
                   nats->passwords[i]);
        put_subjects(&text, "publish", users[i].publish);
        buf_puts(&text, ",");
        put_subjects(&text, "subscribe", users[i].subscribe);
        buf_puts(&text, " } }\n");
    }
    buf_puts(&text, "  ]\n}\n");
    rc = datadir_write(dir, CONFIG_FILE, buf_text(&text), 0600);
    buf_fini(&text);
    return rc;
}

static enum rc write_url(const struct nats *nats, const struct datadir *dir, enum nats_user user,
                         const char *file)
{
    const char *line = arena_printf(dir->memory, "nats://%s:%s@127.0.0.1:%d\n", nats->users[user],
                                    nats->passwords[user], nats->port);

    return datadir_write(dir, file, line, 0600);
}

static void add_child(struct nats *nats, const struct datadir *dir, struct child_group *group,
                      const char *program)
{
    static char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    const char **argv = arena_calloc(dir->memory, 4, sizeof *argv);
    struct child_spec spec = {
        .name = "nats-server",
        .argv = (char *const *)argv,
        .env = env,
        .log_path = datadir_join(dir, "log/nats.log"),
        .uid = geteuid(),
        .gid = getegid(),
        .rank = RANK_SERVER,
        .stop_signal = SIGTERM,
        .hurry_signal = SIGKILL,
        .death_signal = SIGTERM, // it writes its indexes, which makes the next start faster
    };

    argv[0] = program;
    argv[1] = "-c";
    argv[2] = datadir_join(dir, CONFIG_FILE);
    nats->child = child_add(group, &spec);
}

enum rc nats_open(struct nats *nats, const struct datadir *dir, struct child_group *group,
                  const char *wanted_server, int wanted_port)
{
    int version[3];
    const char *program = find_server(dir->memory, wanted_server, version);
    enum rc rc;

    *nats = (struct nats){0};
    if (program == NULL)
        return RC_NOT_FOUND;
    rc = check_version(dir, version);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < NATS_USERS; i++) {
        nats->users[i] = users[i].name;
        rc = datadir_secret(dir, users[i].secret, &nats->passwords[i]);
        if (rc != RC_OK)
            return rc;
    }
    rc = choose_port(dir, wanted_port, &nats->port);
    if (rc != RC_OK)
        return rc;
    nats->url = arena_printf(dir->memory, "nats://127.0.0.1:%d", nats->port);
    rc = datadir_write(dir, PORT_FILE, arena_printf(dir->memory, "%d\n", nats->port), 0600);
    if (rc == RC_OK)
        rc = write_config(nats, dir);
    if (rc == RC_OK)
        rc = write_url(nats, dir, NATS_ADMIN, "admin.nats");
    if (rc == RC_OK)
        rc = write_url(nats, dir, NATS_AGENT, "agent.nats");
    if (rc == RC_OK)
        add_child(nats, dir, group, program);
    return rc;
}

const char *nats_question(const struct nats *nats, struct arena *memory, const char *inbox)
{
    return arena_printf(memory,
                        "CONNECT {\"verbose\":false,\"pedantic\":false,\"name\":\"serve\","
                        "\"user\":\"%s\",\"pass\":\"%s\"}\r\n"
                        "SUB %s 1\r\n"
                        "PUB $JS.API.STREAM.INFO.HR_PACKETS_0 %s 0\r\n\r\n",
                        nats->users[NATS_ADMIN], nats->passwords[NATS_ADMIN], inbox, inbox);
}

bool nats_has_hooks(const struct datadir *dir)
{
    DIR *folder = opendir(datadir_join(dir, "nats/jetstream/$G/streams/KV_HR_HOOKS/msgs"));
    bool has = false;

    if (folder == NULL)
        return false;
    for (const struct dirent *entry = readdir(folder); entry != NULL && !has;
         entry = readdir(folder)) {
        const char *end = strrchr(entry->d_name, '.');
        struct stat info;

        has = end != NULL && strcmp(end, ".blk") == 0 &&
              fstatat(dirfd(folder), entry->d_name, &info, 0) == 0 && info.st_size > 0;
    }
    (void)closedir(folder);
    return has;
}
