// Starting, running and ending a program of the fleet.
#include "broker/run/run.h"

#include "broker/base/log.h"
#include "broker/base/metrics.h"
#include "broker/base/timestamp.h"
#include "broker/message/rules.h"
#include "broker/nats/storage.h"
#include "broker/nats/subjects.h"
#include "broker/nats/topology.h"
#include "broker/rail/service.h"

#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXIT_GAVE_UP 1
#define EXIT_BAD_CONFIG 2
#define CONNECT_RETRY_MS 250
#define TELL_EVERY_NS 30000000000LL // that NATS is waited for
#define DRAIN_MS 3000
#define DRAIN_TICK_MS 20
#define HEALTH_CONNECTIONS_MAX 64
#define HEALTH_BODY_MAX 1024

struct settings {
    const char *nats_url;
    const char *nats_user;
    const char *nats_password;
    const char *log_level;
    const char *log_format;
    const char *health_listen;
    int64_t replicas;
    int64_t drain_seconds;
};

static const struct cfg_key common_keys[] = {
    CFG_STR(struct settings, nats_url, "HR_NATS_URL", "nats://127.0.0.1:4222",
            "NATS servers, separated by commas"),
    CFG_STR(struct settings, nats_user, "HR_NATS_USER", "", "user to connect to NATS as"),
    CFG_STR(struct settings, nats_password, "HR_NATS_PASSWORD", "", "that user's password"),
    CFG_STR(struct settings, log_level, "HR_LOG_LEVEL", "info", "debug, info, warn or error"),
    CFG_STR(struct settings, log_format, "HR_LOG_FORMAT", "text", "text or json"),
    CFG_STR(struct settings, health_listen, "HR_HEALTH_LISTEN", "",
            "where /healthz, /readyz and /metrics are served: host:port, or unix:/path; empty: "
            "nowhere"),
    CFG_I64(struct settings, replicas, "HR_STREAM_REPLICAS", "1", 1, 5,
            "copies that NATS keeps of every stream"),
    CFG_I64(struct settings, drain_seconds, "HR_DRAIN_SECONDS", "0", 0, 300,
            "from SIGTERM, when it stops being ready, until it takes nothing new; behind a load "
            "balancer: as long as that needs to notice"),
    CFG_END,
};

struct run {
    const struct run_spec *spec;
    void *app;
    bool replicated; // the stream of packets is
    struct settings settings;
    uv_loop_t loop;
    uv_signal_t signals[2];
    uv_timer_t drain_timer;
    uv_timer_t connect_timer;
    int64_t told_at_ns; // when it was last said that NATS is waited for; 0: never
    struct conn *conn;
    struct requests *requests;
    struct store *store;
    struct web_config health_config;
    struct web *health;
    int64_t drain_deadline_ns;
    bool opened;  // spec->open was called
    bool is_open; // and succeeded
    bool draining;
    int status;
};

static void *settings_of(const struct run *run)
{
    return run->spec->settings != NULL ? run->spec->settings : run->app;
}

uv_loop_t *run_loop(struct run *run)
{
    return &run->loop;
}

struct conn *run_conn(struct run *run)
{
    return run->conn;
}

struct requests *run_requests(struct run *run)
{
    return run->requests;
}

struct store *run_store(struct run *run)
{
    return run->store;
}

const char *run_name(const struct run *run)
{
    return run->spec->name;
}

bool run_is_stopping(const struct run *run)
{
    return run->draining;
}

// --- health --------------------------------------------------------------------------------------

static bool is_ready(struct run *run, const char **reason)
{
    if (run->draining)
        *reason = "stopping";
    else if (run->conn == NULL)
        *reason = "waiting for NATS";
    else if (!run->is_open)
        *reason = "starting";
    else if (!conn_is_up(run->conn))
        *reason = "not connected to NATS";
    else if (storage_is_full())
        *reason = STORAGE_REASON;
    else
        return run->spec->ready == NULL || run->spec->ready(run->app, reason);
    return false;
}

static void respond_text(struct web_request *request, unsigned status, const char *type,
                         const char *text, size_t len)
{
    const struct header header = {HEADER_CONTENT_TYPE, type};

    web_respond(request, status, &header, 1, text, len);
}

static void on_health(void *ctx, struct web_request *request)
{
    struct run *run = ctx;
    const char *path = web_path(request);
    const char *reason = "not ready";

    if (strcmp(path, "/healthz") == 0) {
        respond_text(request, 200, "text/plain", "ok\n", 3);
    } else if (strcmp(path, "/readyz") == 0) {
        if (is_ready(run, &reason))
            respond_text(request, 200, "text/plain", "ready\n", 6);
        else
            respond_text(request, 503, "text/plain", reason, strlen(reason));
    } else if (strcmp(path, "/metrics") == 0) {
        struct buf out = {0};

        metrics_write(&out);
        respond_text(request, 200, "text/plain; version=0.0.4; charset=utf-8", buf_text(&out),
                     out.len);
        buf_fini(&out);
    } else {
        respond_text(request, 404, "text/plain", "not found\n", 10);
    }
}

static enum rc open_health(struct run *run)
{
    if (run->settings.health_listen[0] == '\0')
        return RC_OK;
    run->health_config = (struct web_config){.listen = run->settings.health_listen,
                                             .body_max = HEALTH_BODY_MAX,
                                             .connections_max = HEALTH_CONNECTIONS_MAX,
                                             .on_request = on_health,
                                             .ctx = run};
    return web_open(&run->health, &run->loop, &run->health_config);
}

// --- the way down --------------------------------------------------------------------------------

static void on_closed(uv_handle_t *handle)
{
    (void)handle; // part of struct run
}

static void close_all(struct run *run)
{
    requests_close(run->requests); // what still waits is answered, that it failed
    if (run->opened)
        run->spec->close(run->app);
    web_close(run->health);
    store_destroy(run->store);
    conn_close(run->conn);
    for (size_t i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&run->signals[i], on_closed);
    uv_close((uv_handle_t *)&run->drain_timer, on_closed);
    uv_close((uv_handle_t *)&run->connect_timer, on_closed);
}

static bool is_drained(struct run *run)
{
    if (run->is_open && run->spec->in_hand != NULL && run->spec->in_hand(run->app) > 0)
        return false;
    return run->conn == NULL || conn_draining(run->conn) == 0;
}

static void on_drain_tick(uv_timer_t *timer)
{
    struct run *run = timer->data;
    bool late = clock_now_ns() > run->drain_deadline_ns;

    if (!late && !is_drained(run))
        return;
    if (late)
        log_warn("run.drain_timeout", "ms=%d", DRAIN_MS);
    uv_timer_stop(timer);
    close_all(run);
}

static void on_delay_over(uv_timer_t *timer)
{
    struct run *run = timer->data;

    run->drain_deadline_ns = clock_now_ns() + DRAIN_MS * 1000000LL;
    if (run->is_open && run->spec->drain != NULL)
        run->spec->drain(run->app);
    uv_timer_start(&run->drain_timer, on_drain_tick, 0, DRAIN_TICK_MS);
}

static void begin_drain(struct run *run, int status, int64_t delay_seconds)
{
    if (run->draining)
        return;
    run->draining = true;
    run->status = status;
    uv_timer_stop(&run->connect_timer);
    if (!run->is_open || delay_seconds == 0) {
        on_delay_over(&run->drain_timer);
        return;
    }
    if (run->spec->leave != NULL)
        run->spec->leave(run->app);
    uv_timer_start(&run->drain_timer, on_delay_over, (uint64_t)delay_seconds * 1000, 0);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct run *run = signal->data;

    log_info("run.stopping", "signal=%d drain_seconds=%" PRId64, number,
             run->settings.drain_seconds);
    if (run->draining && run->drain_deadline_ns == 0) // it has no more patience
        on_delay_over(&run->drain_timer);
    else
        begin_drain(run, EXIT_SUCCESS, run->settings.drain_seconds);
}

void run_give_up(struct run *run, enum rc rc)
{
    begin_drain(run, rc == RC_CONFIG ? EXIT_BAD_CONFIG : EXIT_GAVE_UP, 0);
}

static void on_lost(void *ctx)
{
    log_error("run.nats_lost", "reason=\"the connection to NATS was closed for good\"");
    run_give_up(ctx, RC_UNAVAILABLE);
}

// --- the way up ----------------------------------------------------------------------------------

static void on_topology(void *ctx, enum rc rc)
{
    struct run *run = ctx;

    if (run->draining)
        return;
    if (rc == RC_OK) {
        store_set_replicated(run->store, run->replicated);
        run->opened = true;
        rc = run->spec->open(run->app, run);
    }
    if (rc != RC_OK) {
        log_error("run.start", "reason=\"%s\"", rc_text(rc));
        run_give_up(run, rc);
        return;
    }
    run->is_open = true;
    log_info("run.started", "version=%s", HR_VERSION);
}

static void on_connected(struct run *run)
{
    const struct topology_config topology = {.inbox = run->spec->name,
                                             .replicas = run->settings.replicas,
                                             .create = run->spec->creates_topology,
                                             .replicated = &run->replicated};

    run->requests =
        requests_open(run->conn, &run->loop, run->spec->speaks_for_others ? "*" : run->spec->name);
    conn_on_lost(run->conn, on_lost, run);
    run->store = store_create(run->requests, run->spec->name);
    topology_ensure(run->requests, &run->loop, &topology, 0, on_topology, run);
}

// In order of start of a whole deployment NATS may well be the last. The loop runs between the
// tries, so that /healthz answers and a signal is heard.
static void on_connect_timer(uv_timer_t *timer)
{
    struct run *run = timer->data;
    const struct conn_config config = {.url = run->settings.nats_url,
                                       .name = run->spec->name,
                                       .user = run->settings.nats_user,
                                       .password = run->settings.nats_password};
    enum rc rc = conn_open(&run->conn, &run->loop, &config, 0);
    int64_t now_ns = clock_now_ns();

    if (rc == RC_OK) {
        on_connected(run);
    } else if (rc != RC_UNAVAILABLE) {
        run_give_up(run, rc);
    } else {
        if (run->told_at_ns == 0 || now_ns - run->told_at_ns > TELL_EVERY_NS) {
            log_warn("run.waiting", "reason=\"NATS cannot be reached yet\"");
            run->told_at_ns = now_ns;
        }
        uv_timer_start(timer, on_connect_timer, CONNECT_RETRY_MS, 0);
    }
}

static void print_help(const struct run_spec *spec)
{
    (void)printf("%s - %s\n\nUsage: %s [--help | --version | --markdown]\n\n"
                 "Configured by the environment:\n\n",
                 spec->name, spec->summary, spec->name);
    cfg_help(common_keys, stdout);
    if (!spec->speaks_for_others) // then it answers commands
        cfg_help(service_keys, stdout);
    if (spec->keys != NULL)
        cfg_help(spec->keys, stdout);
}

// -1: run; otherwise the exit status.
static int read_arguments(int argc, char **argv, const struct run_spec *spec)
{
    if (argc < 2)
        return -1;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        print_help(spec);
        return EXIT_SUCCESS;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)printf("%s %s\n", spec->name, HR_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc == 2 && strcmp(argv[1], "--markdown") == 0) {
        cfg_markdown(common_keys, stdout);
        if (!spec->speaks_for_others)
            cfg_markdown(service_keys, stdout);
        if (spec->keys != NULL)
            cfg_markdown(spec->keys, stdout);
        return EXIT_SUCCESS;
    }
    (void)fprintf(stderr,
                  "%s: takes no arguments but --help; it is configured by the environment\n",
                  spec->name);
    return EXIT_BAD_CONFIG;
}

static enum rc load_settings(struct run *run)
{
    enum log_level level = LOG_INFO;
    enum rc rc = cfg_load(common_keys, &run->settings);
    struct service_limits limits;
    bool json;

    if (!run->spec->speaks_for_others && cfg_load(service_keys, &limits) != RC_OK)
        rc = RC_CONFIG;
    if (run->spec->keys != NULL && cfg_load(run->spec->keys, settings_of(run)) != RC_OK)
        rc = RC_CONFIG;
    if (rc != RC_OK)
        return rc;
    json = strcmp(run->settings.log_format, "json") == 0;
    if (!log_level_parse(run->settings.log_level, &level) ||
        (!json && strcmp(run->settings.log_format, "text") != 0)) {
        (void)fprintf(stderr, "HR_LOG_LEVEL or HR_LOG_FORMAT: not one of the known names\n");
        return RC_CONFIG;
    }
    log_init(run->spec->name, level, json);
    return RC_OK;
}

// A connection is a descriptor, and the usual soft limit is 1,024.
static void allow_many_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("run.files", "reason=\"the limit of open files cannot be raised\"");
}

int run_program(int argc, char **argv, const struct run_spec *spec, void *app)
{
    struct run run = {.spec = spec, .app = app};
    static const int numbers[2] = {SIGTERM, SIGINT};
    int status = read_arguments(argc, argv, spec);
    enum rc rc;

    if (status >= 0)
        return status;
    if (load_settings(&run) != RC_OK)
        return EXIT_BAD_CONFIG;
    (void)mallopt(M_ARENA_MAX, 2); // a few threads of libnats; an arena each would only cost memory
    (void)signal(SIGPIPE, SIG_IGN);
    allow_many_files();
    (void)rules_of(&hr__packet__descriptor, 0); // builds its index before there is a second thread
    if (uv_loop_init(&run.loop) != 0)
        return EXIT_GAVE_UP;
    for (size_t i = 0; i < 2; i++) {
        uv_signal_init(&run.loop, &run.signals[i]);
        run.signals[i].data = &run;
        uv_signal_start(&run.signals[i], on_signal, numbers[i]);
    }
    uv_timer_init(&run.loop, &run.drain_timer);
    run.drain_timer.data = &run;
    uv_timer_init(&run.loop, &run.connect_timer);
    run.connect_timer.data = &run;
    rc = open_health(&run);
    if (rc == RC_OK)
        on_connect_timer(&run.connect_timer);
    else
        run_give_up(&run, rc);
    uv_run(&run.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&run.loop);
    conn_library_close();
    log_info("run.stopped", "status=%d", run.status);
    return run.status;
}
