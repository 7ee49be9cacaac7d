// Builds the environment of each program: its settings, and only the secrets it needs.
#define _GNU_SOURCE // environ

#include "clients/cli/serve/fleet.h"

#include "broker/base/digest.h"
#include "clients/cli/serve/say.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENV_FIRST 64

struct program {
    const char *name; // of the file
    const char *noun; // in --scale
    enum nats_user user;
    enum child_rank rank;
    bool reads_postgres;
    bool is_scalable;
};

#define WORKER_ROW(name, user, postgres)                                                           \
    {"hr-worker-" #name, #name, NATS_##user, RANK_WORKER, postgres, true},

// The gateway comes last, and as one copy: it owns the port.
// clang-format off
static const struct program programs[FLEET_PROGRAMS] = {
    FLEET_WORKERS(WORKER_ROW)
    {"hr-gateway", "gateway", NATS_GATEWAY, RANK_GATEWAY, false, false},
};
// clang-format on

struct env {
    struct arena *memory;
    const char **items; // a NULL behind the last
    size_t count;
    size_t room;
};

static void env_add(struct env *env, const char *item)
{
    if (env->count + 1 >= env->room) {
        size_t room = env->room > 0 ? 2 * env->room : ENV_FIRST;
        const char **items = arena_calloc(env->memory, room, sizeof *items);

        if (env->count > 0)
            memcpy(items, env->items, env->count * sizeof *items);
        env->items = items;
        env->room = room;
    }
    env->items[env->count++] = item;
}

static void env_put(struct env *env, const char *name, const char *value)
{
    env_add(env, arena_printf(env->memory, "%s=%s", name, value));
}

static bool ends_with(const char *name, size_t len, const char *end)
{
    size_t end_len = strlen(end);

    return len >= end_len && strncmp(name + len - end_len, end, end_len) == 0;
}

// A setting made for the whole rail reaches every program, a secret does not.
static bool is_passed_on(const char *item)
{
    static const char *const secret_ends[] = {"_KEY", "_PASSWORD", "_SECRET", "_TOKEN", "_URL"};
    static const char *const own[] = {"HR_BIN_DIR",    "HR_LISTEN",    "HR_HEALTH_LISTEN",
                                      "HR_LOG_FORMAT", "HR_NATS_USER", "HR_DRAIN_SECONDS"};
    static const char *const others[] = {"TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
                                         "TSAN_OPTIONS"};
    size_t len = strcspn(item, "=");

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strlen(others[i]) == len && strncmp(item, others[i], len) == 0)
            return true;
    }
    if (strncmp(item, "HR_", 3) != 0)
        return false;
    for (size_t i = 0; i < sizeof secret_ends / sizeof secret_ends[0]; i++) {
        if (ends_with(item, len, secret_ends[i]))
            return false;
    }
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (strlen(own[i]) == len && strncmp(item, own[i], len) == 0)
            return false;
    }
    return true;
}

// People want to see what goes wrong, collectors everything.
static void put_log_level(struct env *env, bool json)
{
    if (getenv("HR_LOG_LEVEL") == NULL)
        env_put(env, "HR_LOG_LEVEL", json ? "info" : "warn");
}

// Somebody else's own file of it is left alone.
static void env_default(struct env *env, const char *name, const char *value)
{
    if (getenv(name) == NULL)
        env_put(env, name, value);
}

// The same at each start of this rail, and another one for every other rail on the same NATS.
static const char *worker_name(const struct fleet *fleet, const char *name)
{
    char host[256] = "";
    char hex[17];
    uint8_t digest[DIGEST_BYTES];
    const char *folder = datadir_join(fleet->dir, "");
    struct piece pieces[2];

    (void)gethostname(host, sizeof host - 1);
    pieces[0] = (struct piece){host, strlen(host)};
    pieces[1] = (struct piece){folder, strlen(folder)};
    digest_of_pieces(digest, pieces, 2);
    hex_format(hex, digest, 8);
    return arena_printf(fleet->dir->memory, "%s-%s", name, hex);
}

static char *const *make_env(const struct fleet *fleet, const struct program *program,
                             const char *name, const char *socket)
{
    struct env *env = arena_calloc(fleet->dir->memory, 1, sizeof *env);
    const struct nats *nats = fleet->nats;

    env->memory = fleet->dir->memory;
    env_put(env, "PATH", "/usr/bin:/bin");
    for (char *const *item = environ; *item != NULL; item++) {
        if (is_passed_on(*item))
            env_add(env, *item);
    }
    env_put(env, "HR_NATS_URL", fleet->nats_url);
    env_put(env, "HR_NATS_USER", nats != NULL ? nats->users[program->user] : "");
    env_put(env, "HR_NATS_PASSWORD", nats != NULL ? nats->passwords[program->user] : "");
    if (program->reads_postgres)
        env_put(env, "HR_POSTGRES_URL", fleet->postgres_url);
    if (strcmp(program->noun, "audit") == 0) {
        env_default(env, "HR_AUDIT_KEY_FILE", fleet->audit_keys);
        env_default(env, "HR_AUDIT_HEADS_FILE", fleet->audit_heads);
    }
    if (strcmp(program->noun, "webhook") == 0) {
        env_default(env, "HR_WEBHOOK_KEY_FILE", fleet->webhook_keys);
        env_put(env, "HR_WEBHOOK_WORKER_NAME", worker_name(fleet, name));
    }
    env_put(env, "HR_LOG_FORMAT", fleet->json ? "json" : "text");
    put_log_level(env, fleet->json);
    env_put(env, "HR_HEALTH_LISTEN", arena_printf(env->memory, "unix:%s", socket));
    if (program->rank == RANK_GATEWAY) {
        env_put(env, "HR_LISTEN", arena_printf(env->memory, "127.0.0.1:%d", fleet->port));
        env_put(env, "HR_BOOTSTRAP_KEY", fleet->admin_key);
    }
    return (char *const *)env->items;
}

// The folder that our programs are in: the one this program was started from.
static const char *find_programs(struct arena *memory)
{
    const char *named = getenv("HR_BIN_DIR"); // for tests
    char path[PATH_MAX];
    ssize_t len;
    char *slash;

    if (named != NULL && named[0] == '/')
        return named;
    len = readlink("/proc/self/exe", path, sizeof path - 1);
    if (len <= 0)
        return "/usr/bin";
    path[len] = '\0';
    slash = strrchr(path, '/');
    *slash = '\0';
    return arena_copy(memory, path, strlen(path));
}

static void add_copy(const struct fleet *fleet, struct child_group *group,
                     const struct program *program, const char *file, int number)
{
    struct arena *memory = fleet->dir->memory;
    const char *name = arena_printf(memory, "%s-%d", program->name, number);
    const char *socket = arena_printf(memory, "%s/%s.sock", fleet->dir->sockets, name);
    const char **argv = arena_calloc(memory, 2, sizeof *argv);
    struct child_spec spec = {
        .name = name,
        .argv = (char *const *)argv,
        .env = make_env(fleet, program, name, socket),
        .stale_path = socket,
        .health_path = socket,
        .uid = geteuid(),
        .gid = getegid(),
        .rank = program->rank,
        .stop_signal = SIGTERM,
        .hurry_signal = SIGKILL,
        .death_signal = SIGKILL, // nothing is lost: what was not acknowledged is delivered again
        .is_ours = true,
    };

    argv[0] = file;
    (void)child_add(group, &spec);
}

enum rc fleet_open(const struct fleet *fleet, struct child_group *group)
{
    struct arena *memory = fleet->dir->memory;
    const char *folder = find_programs(memory);

    for (size_t i = 0; i < FLEET_PROGRAMS; i++) {
        const char *file = arena_printf(memory, "%s/%s", folder, programs[i].name);
        int copies = fleet->copies[i] > 0 ? fleet->copies[i] : 1;

        if (access(file, X_OK) != 0) {
            say(LOG_ERROR, "fleet.missing", programs[i].name, "not found in %s", folder);
            return RC_NOT_FOUND;
        }
        for (int number = 1; number <= copies; number++)
            add_copy(fleet, group, &programs[i], file, number);
    }
    return RC_OK;
}

// "packet, claim, chain"
static const char *scalable_names(struct arena *memory)
{
    const char *names = "";

    for (size_t i = 0; i < FLEET_PROGRAMS; i++) {
        if (programs[i].is_scalable)
            names =
                arena_printf(memory, "%s%s%s", names, *names != '\0' ? ", " : "", programs[i].noun);
    }
    return names;
}

const char *fleet_parse_scale(struct arena *memory, const char *text, int copies[FLEET_PROGRAMS])
{
    char *list = arena_copy(memory, text, strlen(text));
    char *rest = NULL;

    for (char *item = strtok_r(list, ",", &rest); item != NULL; item = strtok_r(NULL, ",", &rest)) {
        char *number = strchr(item, '=');
        char *end = NULL;
        long count;
        size_t i = 0;

        if (number == NULL)
            return arena_printf(memory, "'%s' is not NAME=COPIES", item);
        *number++ = '\0';
        while (i < FLEET_PROGRAMS &&
               !(programs[i].is_scalable && strcmp(item, programs[i].noun) == 0))
            i++;
        if (i == FLEET_PROGRAMS)
            return arena_printf(memory, "'%s' is not one of %s", item, scalable_names(memory));
        count = strtol(number, &end, 10);
        if (end == number || *end != '\0' || count < 1 || count > FLEET_COPIES_MAX)
            return arena_printf(memory, "%s: copies are a number from 1 to %d", item,
                                FLEET_COPIES_MAX);
        copies[i] = (int)count;
    }
    return NULL;
}
