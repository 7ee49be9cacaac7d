// handoffrail serve: a whole rail on this machine, under one data folder.
//
//   nats-server, Postgres -> workers, gateway -> "ready http://127.0.0.1:PORT" on standard output
//
// Everything after the preparation happens on one libuv loop. It stops in the opposite order.

#include "broker/base/buf.h"
#include "broker/base/cfg.h"
#include "broker/base/digest.h"
#include "broker/base/id.h"
#include "broker/base/timestamp.h"
#include "clients/cli/commands.h"
#include "clients/cli/serve/child.h"
#include "clients/cli/serve/datadir.h"
#include "clients/cli/serve/fleet.h"
#include "clients/cli/serve/nats.h"
#include "clients/cli/serve/port.h"
#include "clients/cli/serve/postgres.h"
#include "clients/cli/serve/probe.h"
#include "clients/cli/serve/say.h"
#include "clients/cli/serve/status.h"
#include "clients/cli/serve/watch.h"

#include <argp.h>
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define TICK_MS 25 // only until ready
#define LOG_TICK_MS 1000
#define PROBE_PATIENCE_MS 2000
#define IMPATIENT_NS 5000000000LL
#define KEY_BYTES 32
#define KEY_PREFIX "hr_"
#define KEY_CHARACTERS 43 // of KEY_BYTES in base64url
#define URL_SAFE "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
#define MEMORY_BYTES 65536 // more is taken when needed
#define KEY_TEXT_BYTES 64

struct options {
    const char *data_dir;
    const char *nats_url;     // NULL: we start one
    const char *postgres_url; // NULL: we start one
    const char *nats_server;  // NULL: the newest that is installed
    int port;                 // 0: any
    int nats_port;            // 0: any
    int copies[FLEET_PROGRAMS];
    bool json;
    struct arena *memory;
};

enum stage {
    STAGE_SERVERS, // NATS and Postgres come up
    STAGE_FLEET,   // the gateway does not answer 200 yet
    STAGE_READY,
    STAGE_STOPPING,
    STAGE_STOPPED,
    STAGES,
};

enum asked_by {
    BY_TERM,
    BY_INT,
    BY_HUP,
    ASKED_BY,
};

struct serve {
    struct options options;
    struct arena *memory;
    uv_loop_t loop;
    struct datadir dir;
    struct child_group *children;
    struct nats nats;
    struct postgres *postgres; // NULL: somebody else's
    struct probe nats_probe;
    struct probe gateway_probe;
    struct watch *watch; // NULL until the fleet is started
    int64_t deaf_seconds;
    uv_timer_t tick;
    uv_timer_t stop_timer;
    uv_timer_t log_timer;
    uv_signal_t signals[ASKED_BY];
    const char *url;
    const char *nats_url;      // with what it needs to log in, if it is somebody else's
    const char *nats_url_safe; // for logs
    enum stage stage;
    enum child_rank stopping; // the rank that is being stopped
    bool urged;               // it has been sent its hurry signal
    int64_t waiting_since_ns;
    int exit_status;
};

// How long the children of a rank get to end: the sum is below the 5 s that are promised.
static const struct {
    uint64_t until_urged_ms;
    uint64_t until_killed_ms; // from then on
} patience[RANKS] = {
    [RANK_GATEWAY] = {1200, 100},
    [RANK_WORKER] = {1500, 100},
    [RANK_SERVER] = {1200, 400},
};

// ---- options

enum {
    OPTION_PORT = 'p',
    OPTION_DATA_DIR = 'd',
    OPTION_NATS_URL = 256,
    OPTION_POSTGRES_URL,
    OPTION_NATS_PORT,
    OPTION_NATS_SERVER,
    OPTION_SCALE,
    OPTION_LOG_FORMAT,
};

static const struct argp_option option_table[] = {
    {.name = "port",
     .key = OPTION_PORT,
     .arg = "PORT",
     .doc = "where the gateway listens on 127.0.0.1; 0 for any (default 8080)"},
    {.name = "data-dir",
     .key = OPTION_DATA_DIR,
     .arg = "FOLDER",
     .doc = "holds everything (default .handoffrail)"},
    {.name = "nats-url",
     .key = OPTION_NATS_URL,
     .arg = "URL",
     .doc = "use this NATS instead of starting one"},
    {.name = "postgres-url",
     .key = OPTION_POSTGRES_URL,
     .arg = "URL",
     .doc = "use this Postgres instead of starting one"},
    {.name = "nats-port",
     .key = OPTION_NATS_PORT,
     .arg = "PORT",
     .doc = "where nats-server listens (default that of the last start, or 4222)"},
    {.name = "nats-server",
     .key = OPTION_NATS_SERVER,
     .arg = "PATH",
     .doc = "the nats-server to start (default the newest that is installed)"},
    {.name = "scale",
     .key = OPTION_SCALE,
     .arg = "NAME=COPIES,...",
     .doc = "run more than one copy of a worker: packet=2,claim=2"},
    {.name = "log-format",
     .key = OPTION_LOG_FORMAT,
     .arg = "text|json",
     .doc = "short lines for people, or JSON lines (default text)"},
    {.name = NULL                      },
};

static int parse_port(struct argp_state *state, const char *text, int lowest)
{
    char *end;
    long port = strtol(text, &end, 10);

    if (end == text || *end != '\0' || port < lowest || port > 65535)
        argp_error(state, "'%s' is not a port from %d to 65535", text, lowest);
    return (int)port;
}

static void parse_format(struct argp_state *state, const char *text, bool *json)
{
    *json = strcmp(text, "json") == 0;
    if (!*json && strcmp(text, "text") != 0)
        argp_error(state, "'%s' is not one of text, json", text);
}

static error_t on_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    const char *wrong;

    switch (key) {
    case OPTION_PORT:
        options->port = parse_port(state, arg, 0);
        return 0;
    case OPTION_DATA_DIR:
        options->data_dir = arg;
        return 0;
    case OPTION_NATS_URL:
        options->nats_url = arg;
        return 0;
    case OPTION_POSTGRES_URL:
        options->postgres_url = arg;
        return 0;
    case OPTION_NATS_PORT:
        options->nats_port = parse_port(state, arg, 1);
        return 0;
    case OPTION_NATS_SERVER:
        options->nats_server = arg;
        return 0;
    case OPTION_SCALE:
        wrong = fleet_parse_scale(options->memory, arg, options->copies);
        if (wrong != NULL)
            argp_error(state, "%s", wrong);
        return 0;
    case OPTION_LOG_FORMAT:
        parse_format(state, arg, &options->json);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected '%s'", arg);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = option_table,
    .parser = on_option,
    .doc =
        "Runs nats-server, Postgres, every worker and the gateway under one data folder, "
        "restarts what dies, and stops them all on SIGTERM or Ctrl-C.\v"
        "Prints 'ready http://127.0.0.1:PORT' on standard output when the rail answers. The API "
        "key is in FOLDER/admin.key, NATS URLs with credentials are in FOLDER/agent.nats and "
        "FOLDER/admin.nats, the processes in FOLDER/run/children.json.\n\n"
        "Environment: HR_BOOTSTRAP_KEY is the API key instead of the one in admin.key. "
        "HR_NATS_URL and HR_POSTGRES_URL stand for the options of that name and keep a password "
        "out of the list of processes. Other HR_ settings reach the workers and the gateway; "
        "HR_LOG_LEVEL is warn for text and info for json unless it is set. What runs and does not "
        "answer for HR_SERVE_DEAF_SECONDS (25; 0: never) is ended and started again.",
};

static const struct cfg_key keys[] = {
    CFG_I64(struct serve, deaf_seconds, "HR_SERVE_DEAF_SECONDS", "25", 0, 3600,
            "a process that runs and does not answer for so long is ended and started again; 0: "
            "never"),
    CFG_END,
};

// ---- stopping

static void stop_rank(struct serve *serve);

static void on_stop_timer(uv_timer_t *timer)
{
    struct serve *serve = timer->data;

    child_group_hurry(serve->children, serve->stopping, serve->urged);
    serve->urged = true;
    (void)uv_timer_start(timer, on_stop_timer, patience[serve->stopping].until_killed_ms, 0);
}

// Goes on to the next rank as soon as nobody of this one is left.
static void stop_rank(struct serve *serve)
{
    while (serve->stage == STAGE_STOPPING &&
           child_group_running(serve->children, serve->stopping) == 0) {
        serve->stopping++;
        if (serve->stopping == RANKS) {
            serve->stage = STAGE_STOPPED;
            uv_stop(&serve->loop);
            return;
        }
        serve->urged = false;
        child_group_stop(serve->children, serve->stopping);
        (void)uv_timer_start(&serve->stop_timer, on_stop_timer,
                             patience[serve->stopping].until_urged_ms, 0);
    }
}

static void begin_stop(struct serve *serve, int exit_status)
{
    if (serve->stage >= STAGE_STOPPING)
        return;
    say(LOG_INFO, "serve.stopping", "handoffrail", "stopping");
    serve->stage = STAGE_STOPPING;
    serve->exit_status = exit_status;
    (void)uv_timer_stop(&serve->tick);
    watch_close(serve->watch);
    serve->stopping = RANK_GATEWAY;
    serve->urged = false;
    child_group_stop(serve->children, RANK_GATEWAY);
    (void)uv_timer_start(&serve->stop_timer, on_stop_timer, patience[RANK_GATEWAY].until_urged_ms,
                         0);
    stop_rank(serve);
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    begin_stop(signal->data, EXIT_DONE);
}

static void on_give_up(void *ctx)
{
    begin_stop(ctx, EXIT_GAVE_UP);
}

static void on_change(void *ctx)
{
    struct serve *serve = ctx;

    status_write(&serve->dir, serve->children, serve->url, serve->nats_url_safe);
    stop_rank(serve);
}

// ---- starting

static void become_ready(struct serve *serve)
{
    serve->stage = STAGE_READY;
    (void)uv_timer_stop(&serve->tick);
    (void)printf("ready %s\n", serve->url);
    (void)fflush(stdout);
}

static bool servers_are_up(struct serve *serve)
{
    bool postgres_up = serve->postgres == NULL || postgres_is_up(serve->postgres);

    if (serve->nats.child == NULL)
        return postgres_up;
    if (child_pid(serve->nats.child) != 0)
        probe_poke(&serve->nats_probe);
    return probe_is_good(&serve->nats_probe) && postgres_up;
}

static void begin_watch(struct serve *serve)
{
    const struct watch_spec spec = {.loop = &serve->loop,
                                    .group = serve->children,
                                    .nats = &serve->nats,
                                    .postgres = serve->postgres,
                                    .memory = serve->memory,
                                    .deaf_ms = serve->deaf_seconds * 1000};

    if (serve->deaf_seconds > 0)
        serve->watch = watch_create(&spec);
}

static void on_tick(uv_timer_t *timer)
{
    struct serve *serve = timer->data;

    if (clock_now_ns() - serve->waiting_since_ns > IMPATIENT_NS) {
        serve->waiting_since_ns = clock_now_ns();
        say(LOG_INFO, "serve.waiting", "handoffrail", "still waiting for %s",
            serve->stage == STAGE_SERVERS ? "NATS and Postgres" : "the gateway to be ready");
    }
    if (serve->stage == STAGE_SERVERS && servers_are_up(serve)) {
        say(LOG_INFO, "serve.fleet", "handoffrail", "starting the workers and the gateway");
        serve->stage = STAGE_FLEET;
        child_group_start(serve->children, RANK_WORKER);
        child_group_start(serve->children, RANK_GATEWAY);
        begin_watch(serve);
    }
    if (serve->stage == STAGE_FLEET) {
        probe_poke(&serve->gateway_probe);
        if (probe_is_good(&serve->gateway_probe))
            become_ready(serve);
    }
}

// For logs: whatever stands before an '@' in a URL, or in each of a list of them, is left out.
static const char *without_credentials(struct arena *memory, const char *urls)
{
    struct buf safe = {0};
    const char *copy;

    while (*urls != '\0') {
        size_t len = strcspn(urls, ",");
        size_t scheme = 0;
        size_t from;

        for (size_t i = 0; i + 2 < len; i++) {
            if (memcmp(urls + i, "://", 3) == 0) {
                scheme = i + 3;
                break;
            }
        }
        from = scheme;
        for (size_t i = scheme; i < len; i++) {
            if (urls[i] == '@')
                from = i + 1;
        }
        buf_append(&safe, urls, scheme);
        buf_append(&safe, urls + from, len - from);
        urls += len;
        if (*urls == ',') {
            buf_puts(&safe, ",");
            urls++;
        }
    }
    copy = arena_copy(memory, buf_text(&safe), safe.len);
    buf_fini(&safe);
    return copy;
}

static enum rc open_port(struct serve *serve)
{
    int port = serve->options.port;

    if (port == 0) {
        if (port_pick(&port) != RC_OK) {
            say(LOG_ERROR, "serve.port", "handoffrail", "no free port");
            return RC_UNAVAILABLE;
        }
    } else if (!port_take(port)) {
        say(LOG_ERROR, "serve.port", "handoffrail",
            "port %d is already in use; choose another with --port", port);
        return RC_CONFLICT;
    }
    serve->options.port = port;
    serve->url = arena_printf(serve->memory, "http://127.0.0.1:%d", port);
    return RC_OK;
}

// Nobody can guess what was drawn from 256 bits; of what somebody thought out we do not know that.
static bool is_api_key(const char *text)
{
    return strncmp(text, KEY_PREFIX, strlen(KEY_PREFIX)) == 0 &&
           strlen(text) == strlen(KEY_PREFIX) + KEY_CHARACTERS &&
           strspn(text + strlen(KEY_PREFIX), URL_SAFE) == KEY_CHARACTERS;
}

static enum rc open_admin_key(struct serve *serve, const char **key)
{
    uint8_t bytes[KEY_BYTES];
    char text[KEY_TEXT_BYTES] = KEY_PREFIX;
    const char *path = datadir_join(&serve->dir, "admin.key");

    *key = getenv("HR_BOOTSTRAP_KEY");
    if (*key != NULL && (*key)[0] != '\0') {
        say(LOG_INFO, "serve.key", "admin key", "taken from HR_BOOTSTRAP_KEY");
        return RC_OK;
    }
    say(LOG_INFO, "serve.key", "admin key", "in %s", path);
    *key = datadir_read(&serve->dir, "admin.key");
    if (*key != NULL && is_api_key(*key))
        return RC_OK;
    if (*key != NULL) {
        say(LOG_ERROR, "serve.key", "admin key",
            "%s does not hold a key: hr_ and 43 letters, digits, '-' or '_' in its first line; put "
            "the key back, or remove the file and a new one is made",
            path);
        return RC_REFUSED;
    }
    random_bytes(bytes, sizeof bytes);
    (void)base64url_format(text + strlen(text), bytes, sizeof bytes);
    *key = arena_copy(serve->memory, text, strlen(text));
    return datadir_write(&serve->dir, "admin.key", arena_printf(serve->memory, "%s\n", *key), 0600);
}

static enum rc open_nats(struct serve *serve)
{
    enum rc rc;

    if (serve->options.nats_url != NULL) {
        serve->nats_url = serve->options.nats_url;
        serve->nats_url_safe = without_credentials(serve->memory, serve->nats_url);
        say(LOG_INFO, "serve.nats", "NATS", "%s", serve->nats_url_safe);
        return RC_OK;
    }
    rc = nats_open(&serve->nats, &serve->dir, serve->children, serve->options.nats_server,
                   serve->options.nats_port);
    if (rc != RC_OK)
        return rc;
    serve->nats_url = serve->nats.url;
    serve->nats_url_safe = serve->nats.url;
    probe_init(&serve->nats_probe, &serve->loop,
               &(struct probe_spec){.port = serve->nats.port,
                                    .expected = "INFO ",
                                    .stays_open = true,
                                    .patience_ms = PROBE_PATIENCE_MS});
    say(LOG_INFO, "serve.nats", "nats-server", "%s", serve->nats_url_safe);
    return RC_OK;
}

// New keys would open none of the secrets that are there: every webhook would fail, one by one.
static enum rc check_webhook_keys(const struct serve *serve)
{
    if (getenv("HR_WEBHOOK_KEY_FILE") != NULL || serve->nats.child == NULL ||
        datadir_has(&serve->dir, "webhook.keys") || !nats_has_hooks(&serve->dir))
        return RC_OK;
    say(LOG_ERROR, "serve.webhook_keys", "webhook keys",
        "%s is missing, and there are webhooks whose secrets were sealed with it; put it back from "
        "a "
        "backup. Without one: make it with 'printf \"1 $(openssl rand 32 | basenc --base64url | tr "
        "-d =)\\n\" > FILE' and register every webhook again",
        datadir_join(&serve->dir, "webhook.keys"));
    return RC_REFUSED;
}

static enum rc open_fleet(struct serve *serve)
{
    struct fleet fleet = {
        .dir = &serve->dir,
        .nats = serve->nats.child != NULL ? &serve->nats : NULL,
        .nats_url = serve->nats_url,
        .postgres_url =
            serve->postgres != NULL ? postgres_url(serve->postgres) : serve->options.postgres_url,
        .port = serve->options.port,
        .json = serve->options.json,
        .audit_heads = datadir_join(&serve->dir, "audit.heads"),
    };
    enum rc rc = open_admin_key(serve, &fleet.admin_key);

    if (rc == RC_OK)
        rc = datadir_keys(&serve->dir, "audit.keys", &fleet.audit_keys);
    if (rc == RC_OK)
        rc = check_webhook_keys(serve);
    if (rc == RC_OK)
        rc = datadir_keys(&serve->dir, "webhook.keys", &fleet.webhook_keys);
    if (rc != RC_OK)
        return rc;
    memcpy(fleet.copies, serve->options.copies, sizeof fleet.copies);
    probe_init(
        &serve->gateway_probe, &serve->loop,
        &(struct probe_spec){.port = serve->options.port,
                             .request = arena_printf(serve->memory,
                                                     "GET /ready HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                                                     "Connection: close\r\n\r\n",
                                                     serve->options.port),
                             .expected = "HTTP/1.1 200",
                             .patience_ms = PROBE_PATIENCE_MS});
    return fleet_open(&fleet, serve->children);
}

// Decides everything and writes every file; starts nothing yet.
static enum rc prepare(struct serve *serve)
{
    const struct child_events events = {
        .on_change = on_change, .on_give_up = on_give_up, .ctx = serve};
    enum rc rc = datadir_open(&serve->dir, serve->options.data_dir, serve->memory);

    if (rc != RC_OK)
        return rc;
    status_end_leftovers(&serve->dir);
    rc = datadir_open_sockets(&serve->dir);
    if (rc == RC_OK)
        rc = open_port(serve);
    if (rc == RC_OK)
        rc = child_group_create(&serve->children, &serve->loop, &events);
    if (rc == RC_OK)
        rc = open_nats(serve);
    if (rc == RC_OK && serve->options.postgres_url == NULL)
        rc = postgres_open(&serve->postgres, &serve->dir, serve->children);
    if (rc == RC_OK)
        rc = open_fleet(serve);
    return rc;
}

static void on_log_timer(uv_timer_t *timer)
{
    const struct serve *serve = timer->data;

    child_group_bound_logs(serve->children);
}

static bool is_ignored(int number)
{
    struct sigaction action;

    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void watch_signals(struct serve *serve)
{
    static const int numbers[ASKED_BY] = {
        [BY_TERM] = SIGTERM, [BY_INT] = SIGINT, [BY_HUP] = SIGHUP};

    for (size_t i = 0; i < ASKED_BY; i++) {
        if (numbers[i] == SIGHUP && is_ignored(SIGHUP))
            continue; // nohup
        if (uv_signal_start(&serve->signals[i], on_signal, numbers[i]) != 0)
            say(LOG_WARN, "serve.signal", "handoffrail", "cannot watch signal %d", numbers[i]);
    }
}

static void open_loop(struct serve *serve)
{
    int status = uv_loop_init(&serve->loop);

    if (status == 0)
        status = uv_timer_init(&serve->loop, &serve->tick);
    if (status == 0)
        status = uv_timer_init(&serve->loop, &serve->stop_timer);
    if (status == 0)
        status = uv_timer_init(&serve->loop, &serve->log_timer);
    for (size_t i = 0; i < ASKED_BY && status == 0; i++) {
        status = uv_signal_init(&serve->loop, &serve->signals[i]);
        serve->signals[i].data = serve;
    }
    if (status != 0) {
        say(LOG_ERROR, "serve.loop", "handoffrail", "%s", uv_strerror(status));
        abort(); // no memory or no file descriptors at the very start
    }
    serve->tick.data = serve;
    serve->stop_timer.data = serve;
    serve->log_timer.data = serve;
}

static void close_loop(struct serve *serve)
{
    probe_cancel(&serve->nats_probe);
    probe_cancel(&serve->gateway_probe);
    watch_close(serve->watch);
    uv_close((uv_handle_t *)&serve->tick, NULL);
    uv_close((uv_handle_t *)&serve->stop_timer, NULL);
    uv_close((uv_handle_t *)&serve->log_timer, NULL);
    for (size_t i = 0; i < ASKED_BY; i++)
        uv_close((uv_handle_t *)&serve->signals[i], NULL);
    child_group_destroy(serve->children);
    (void)uv_run(&serve->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&serve->loop);
    watch_free(serve->watch);
}

static void run(struct serve *serve)
{
    serve->waiting_since_ns = clock_now_ns();
    watch_signals(serve);
    (void)uv_timer_start(&serve->tick, on_tick, TICK_MS, TICK_MS);
    (void)uv_timer_start(&serve->log_timer, on_log_timer, LOG_TICK_MS, LOG_TICK_MS);
    if (serve->nats.child != NULL)
        child_start(serve->nats.child);
    if (serve->postgres != NULL)
        postgres_start(serve->postgres);
    (void)uv_run(&serve->loop, UV_RUN_DEFAULT);
    assert(serve->stage == STAGE_STOPPED);
}

int serve_main(int argc, char **argv)
{
    struct serve serve = {
        .memory = arena_create(MEMORY_BYTES),
        .options = {.data_dir = ".handoffrail", .port = 8080},
        .exit_status = EXIT_GAVE_UP,
    };
    const struct sigaction ignore = {.sa_handler = SIG_IGN};

    serve.options.memory = serve.memory;
    serve.options.nats_url = getenv("HR_NATS_URL");
    serve.options.postgres_url = getenv("HR_POSTGRES_URL");
    argp_err_exit_status = EXIT_USAGE;
    if (argp_parse(&argp, argc, argv, 0, NULL, &serve.options) != 0) {
        arena_destroy(serve.memory);
        return EXIT_USAGE;
    }
    if (cfg_load(keys, &serve) != RC_OK) {
        arena_destroy(serve.memory);
        return EXIT_USAGE;
    }
    say_init(serve.options.json);
    (void)sigaction(SIGPIPE, &ignore, NULL); // our reader may leave
    open_loop(&serve);
    if (prepare(&serve) == RC_OK)
        run(&serve);
    close_loop(&serve);
    datadir_close(&serve.dir);
    arena_destroy(serve.memory);
    return serve.exit_status;
}
