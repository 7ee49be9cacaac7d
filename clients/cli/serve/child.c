// One SIGCHLD watcher for the group, one timer a child for its next start.
#define _GNU_SOURCE // setgroups, close_range

#include "clients/cli/serve/child.h"

#include "broker/base/timestamp.h"
#include "clients/cli/serve/say.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_FIRST_MS 100
#define BACKOFF_LAST_MS 5000
#define SETTLED_AFTER_NS 30000000000LL // of life; then the next death is a first one again
#define LIVED_NS 2000000000LL          // long enough to say that it works
#define STILLBIRTHS_MAX 5
#define CONFIG_STATUS 2
#define LOG_BYTES_MAX 8000000L // then a log file makes room for a new one
#define LOG_KEPT_BYTES 1000000 // of one that is written to

struct child {
    struct child_spec spec;
    struct child_group *group;
    struct child *next;
    uv_timer_t timer; // until the next start
    pid_t pid;        // 0: not running
    int64_t started_at_ns;
    int64_t backoff_ms;
    int deaths;
    int restarts;
    int deaf_ends;
    bool has_lived; // once for LIVED_NS
    bool stopping;  // not to be started again
};

struct child_group {
    struct child_events events;
    uv_loop_t *loop;
    uv_signal_t sigchld;
    struct child *first;
    struct child *last;
    bool given_up;
    bool closing;
};

// The ends of a child that concern its start.
struct ends {
    int input;
    int output;
    int error; // an errno goes in when exec fails; closed by exec
};

unsigned long long child_birth(pid_t pid)
{
    char text[1024];
    unsigned long long birth = 0;
    const char *at;
    FILE *file;
    size_t len;

    (void)snprintf(text, sizeof text, "/proc/%ld/stat", (long)pid);
    file = fopen(text, "re");
    if (file == NULL)
        return 0;
    len = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    at = strrchr(text, ')'); // the name of the program may hold anything
    if (at == NULL || at[1] == '\0' || at[2] == 'Z')
        return 0; // a zombie does nothing any more
    // The name is field 2, the moment of birth field 22.
    for (int field = 2; field < 22 && at != NULL; field++)
        at = strchr(at + 1, ' ');
    if (at != NULL)
        birth = strtoull(at, NULL, 10);
    return birth;
}

// In the new process, between fork and exec: only what a signal handler may do too.
static _Noreturn void become(const struct child_spec *spec, const struct ends *ends, pid_t parent)
{
    const struct sigaction fresh = {.sa_handler = SIG_DFL};
    sigset_t none;
    int error;

    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &fresh, NULL);
    // A session of its own: Ctrl-C reaches us alone, and we stop the children in order.
    (void)setsid();
    (void)umask(077);
    if (chdir("/") != 0 || dup2(ends->input, STDIN_FILENO) < 0 ||
        dup2(ends->output, STDOUT_FILENO) < 0 || dup2(ends->output, STDERR_FILENO) < 0 ||
        close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC) != 0)
        goto out;
    if (spec->uid != geteuid() &&
        (setgroups(1, &spec->gid) != 0 || setgid(spec->gid) != 0 || setuid(spec->uid) != 0))
        goto out;
    // After the change of user, which clears it.
    if (prctl(PR_SET_PDEATHSIG, spec->death_signal) != 0)
        goto out;
    if (getppid() != parent)
        _exit(0); // it died before the line above
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execve(spec->argv[0], spec->argv, spec->env);
out:
    error = errno;
    if (write(ends->error, &error, sizeof error) < 0) {
        // Then the exit status alone has to tell.
    }
    _exit(127);
}

// A log that has grown too long is kept once.
static int open_log(const char *path)
{
    struct stat info;
    char old[PATH_MAX];

    if (stat(path, &info) == 0 && info.st_size > LOG_BYTES_MAX) {
        (void)snprintf(old, sizeof old, "%s.old", path);
        (void)rename(path, old);
    }
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static int open_input(const char *text)
{
    int ends[2];
    size_t len;

    if (text == NULL)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    len = strlen(text);
    assert(len <= PIPE_BUF); // a pipe holds that much before anybody reads
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    if (write(ends[1], text, len) != (ssize_t)len) {
        (void)close(ends[0]);
        ends[0] = -1;
    }
    (void)close(ends[1]);
    return ends[0];
}

static void close_end(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

// Returns 0 and sets *pid, or returns an errno.
static int spawn(const struct child_spec *spec, pid_t *pid)
{
    int errors[2] = {-1, -1};
    struct ends ends = {.input = open_input(spec->input), .output = STDERR_FILENO};
    pid_t parent = getpid();
    sigset_t all;
    sigset_t before;
    int error = 0;

    if (spec->log_path != NULL)
        ends.output = open_log(spec->log_path);
    if (ends.input < 0 || ends.output < 0 || pipe2(errors, O_CLOEXEC) != 0) {
        error = errno;
        goto out;
    }
    ends.error = errors[1];
    // Until the new process has its own handlers, a signal would run ours in it.
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    *pid = fork();
    if (*pid == 0)
        become(spec, &ends, parent);
    error = *pid < 0 ? errno : 0;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        goto out;
    (void)close(errors[1]);
    errors[1] = -1;
    if (read(errors[0], &error, sizeof error) == (ssize_t)sizeof error)
        (void)waitpid(*pid, NULL, 0);
    else
        error = 0;
out:
    close_end(ends.input);
    if (spec->log_path != NULL)
        close_end(ends.output);
    close_end(errors[0]);
    close_end(errors[1]);
    return error;
}

static void on_timer(uv_timer_t *timer)
{
    struct child *child = timer->data;

    child->restarts++;
    child_start(child);
}

static void changed(const struct child_group *group)
{
    if (!group->closing)
        group->events.on_change(group->events.ctx);
}

void child_give_up(struct child_group *group)
{
    if (group->given_up || group->closing)
        return;
    group->given_up = true;
    group->events.on_give_up(group->events.ctx);
}

// how: what happened to it, for people.
static void start_again(struct child *child, const char *how)
{
    struct child_group *group = child->group;
    int64_t lived_ns = clock_now_ns() - child->started_at_ns;

    if (lived_ns > SETTLED_AFTER_NS)
        child->backoff_ms = 0;
    if (lived_ns > LIVED_NS)
        child->has_lived = true;
    child->deaths++;
    if (!child->has_lived && child->deaths >= STILLBIRTHS_MAX) {
        say(LOG_ERROR, "child.hopeless", child->spec.name, "%s, %d times in a row; giving up", how,
            child->deaths);
        if (child->spec.log_path != NULL)
            say_tail(child->spec.log_path);
        child_give_up(group);
        return;
    }
    child->backoff_ms = child->backoff_ms == 0 ? BACKOFF_FIRST_MS : 2 * child->backoff_ms;
    if (child->backoff_ms > BACKOFF_LAST_MS)
        child->backoff_ms = BACKOFF_LAST_MS;
    say(LOG_WARN, "child.died", child->spec.name, "%s, starting it again in %lld ms", how,
        (long long)child->backoff_ms);
    (void)uv_timer_start(&child->timer, on_timer, (uint64_t)child->backoff_ms, 0);
}

void child_start(struct child *child)
{
    char how[128];
    int error;

    assert(child->pid == 0);
    if (child->group->given_up || child->group->closing || child->stopping)
        return;
    if (child->spec.stale_path != NULL)
        (void)unlink(child->spec.stale_path);
    child->started_at_ns = clock_now_ns();
    error = spawn(&child->spec, &child->pid);
    if (error != 0) {
        child->pid = 0;
        (void)snprintf(how, sizeof how, "cannot start %.80s: %s", child->spec.argv[0],
                       strerror(error));
        start_again(child, how);
        return;
    }
    say(LOG_INFO, "child.started", child->spec.name, "started, pid %ld", (long)child->pid);
    changed(child->group);
}

static void describe(char *how, size_t cap, int status)
{
    if (WIFSIGNALED(status))
        (void)snprintf(how, cap, "died of signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    else
        (void)snprintf(how, cap, "ended with exit status %d", WEXITSTATUS(status));
}

static void ended(struct child *child, int status)
{
    struct child_group *group = child->group;
    char how[128];

    child->pid = 0;
    describe(how, sizeof how, status);
    if (child->stopping || group->given_up || group->closing) {
        say(LOG_DEBUG, "child.stopped", child->spec.name, "%s", how);
    } else if (child->spec.on_end != NULL) {
        child->spec.on_end(child->spec.ctx, status);
    } else if (child->spec.is_ours && WIFEXITED(status) && WEXITSTATUS(status) == CONFIG_STATUS) {
        say(LOG_ERROR, "child.config", child->spec.name,
            "does not accept its configuration (the reason stands above); giving up");
        child_give_up(group);
    } else {
        start_again(child, how);
    }
    changed(group);
}

static void on_sigchld(uv_signal_t *signal, int number)
{
    struct child_group *group = signal->data;

    (void)number;
    for (struct child *child = group->first; child != NULL; child = child->next) {
        int status;

        if (child->pid != 0 && waitpid(child->pid, &status, WNOHANG) == child->pid)
            ended(child, status);
    }
}

enum rc child_group_create(struct child_group **group, uv_loop_t *loop,
                           const struct child_events *events)
{
    struct child_group *made = calloc(1, sizeof *made);
    int status;

    if (made == NULL)
        abort();
    made->events = *events;
    made->loop = loop;
    status = uv_signal_init(loop, &made->sigchld);
    if (status == 0) {
        made->sigchld.data = made;
        status = uv_signal_start(&made->sigchld, on_sigchld, SIGCHLD);
    }
    if (status != 0) {
        say(LOG_ERROR, "child.watch", "handoffrail", "cannot watch children: %s",
            uv_strerror(status));
        free(made);
        return RC_IO;
    }
    *group = made;
    return RC_OK;
}

void child_group_destroy(struct child_group *group)
{
    if (group == NULL)
        return;
    group->closing = true;
    for (struct child *child = group->first; child != NULL; child = child->next) {
        if (child->pid != 0) {
            (void)kill(child->pid, SIGKILL);
            (void)waitpid(child->pid, NULL, 0);
        }
        uv_close((uv_handle_t *)&child->timer, NULL);
    }
    uv_close((uv_handle_t *)&group->sigchld, NULL);
    (void)uv_run(group->loop, UV_RUN_DEFAULT); // lets libuv take leave of the handles
    while (group->first != NULL) {
        struct child *child = group->first;

        group->first = child->next;
        free(child);
    }
    free(group);
}

struct child *child_add(struct child_group *group, const struct child_spec *spec)
{
    struct child *child = calloc(1, sizeof *child);

    if (child == NULL)
        abort();
    child->spec = *spec;
    child->group = group;
    (void)uv_timer_init(group->loop, &child->timer); // cannot fail
    child->timer.data = child;
    if (group->last != NULL)
        group->last->next = child;
    else
        group->first = child;
    group->last = child;
    return child;
}

void child_group_start(struct child_group *group, enum child_rank rank)
{
    for (struct child *child = group->first; child != NULL; child = child->next) {
        if (child->spec.rank == rank)
            child_start(child);
    }
}

void child_group_stop(struct child_group *group, enum child_rank rank)
{
    for (struct child *child = group->first; child != NULL; child = child->next) {
        if (child->spec.rank != rank)
            continue;
        child->stopping = true;
        (void)uv_timer_stop(&child->timer);
        if (child->pid != 0)
            (void)kill(child->pid, child->spec.stop_signal);
    }
}

void child_group_hurry(struct child_group *group, enum child_rank rank, bool kill_now)
{
    for (struct child *child = group->first; child != NULL; child = child->next) {
        if (child->spec.rank != rank || child->pid == 0)
            continue;
        say(LOG_WARN, "child.slow", child->spec.name, "does not stop, %s",
            kill_now ? "killing it" : "urging it");
        (void)kill(child->pid, kill_now ? SIGKILL : child->spec.hurry_signal);
    }
}

// The child goes on writing to the same file, and appends, so the file itself is cut.
static void bound_log(const char *path)
{
    static char part[LOG_KEPT_BYTES];
    char old[PATH_MAX];
    struct stat info;
    ssize_t len;
    int from;
    int to;

    if (stat(path, &info) != 0 || info.st_size <= LOG_BYTES_MAX)
        return;
    from = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (from < 0)
        return;
    (void)snprintf(old, sizeof old, "%s.old", path);
    to = open(old, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    len = pread(from, part, sizeof part, info.st_size - LOG_KEPT_BYTES);
    if (to >= 0 && len > 0 && write(to, part, (size_t)len) != len)
        say(LOG_WARN, "child.log", path, "its last part cannot be kept: %s", strerror(errno));
    close_end(to);
    if (ftruncate(from, 0) == 0)
        say(LOG_WARN, "child.log", path, "had grown to %lld bytes; its last part is in %s",
            (long long)info.st_size, old);
    (void)close(from);
}

void child_group_bound_logs(const struct child_group *group)
{
    for (const struct child *child = group->first; child != NULL; child = child->next) {
        if (child->pid != 0 && child->spec.log_path != NULL)
            bound_log(child->spec.log_path);
    }
}

void child_end_deaf(struct child *child, int step)
{
    int number = step == 0 ? child->spec.stop_signal : child->spec.hurry_signal;

    if (child->pid == 0)
        return;
    // Ours lose nothing when they are killed. Others are asked first, and get one more chance.
    if (child->spec.is_ours || step > 1)
        number = SIGKILL;
    if (step == 0)
        child->deaf_ends++;
    else
        say(LOG_WARN, "child.deaf", child->spec.name, "does not end either, sending signal %d",
            number);
    (void)kill(child->pid, number);
}

size_t child_group_running(const struct child_group *group, enum child_rank rank)
{
    size_t count = 0;

    for (const struct child *child = group->first; child != NULL; child = child->next)
        count += child->spec.rank == rank && child->pid != 0;
    return count;
}

struct child *child_first(const struct child_group *group)
{
    return group->first;
}

struct child *child_next(const struct child *child)
{
    return child->next;
}

const char *child_name(const struct child *child)
{
    return child->spec.name;
}

pid_t child_pid(const struct child *child)
{
    return child->pid;
}

int child_restarts(const struct child *child)
{
    return child->restarts;
}

bool child_is_lasting(const struct child *child)
{
    return child->spec.on_end == NULL;
}

int child_deaf_ends(const struct child *child)
{
    return child->deaf_ends;
}

const char *child_health_path(const struct child *child)
{
    return child->spec.health_path;
}

bool child_is_stopping(const struct child *child)
{
    return child->stopping;
}
