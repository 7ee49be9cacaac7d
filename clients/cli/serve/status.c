// Writes and reads run/children.json.
#include "clients/cli/serve/status.h"

#include "broker/base/buf.h"
#include "broker/base/timestamp.h"
#include "clients/cli/serve/say.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STATUS_FILE "run/children.json"
#define PID_MEMBER "\"pid\":"
#define BIRTH_MEMBER "\"birth\":" // the line of serve itself has none
#define LEFTOVERS_MAX 256
#define PATIENCE_NS 3000000000LL
#define ROUND_NS 10000000L

struct leftover {
    pid_t pid;
    unsigned long long birth;
};

void status_write(const struct datadir *dir, const struct child_group *group, const char *url,
                  const char *nats_url)
{
    struct buf text = {0};
    bool is_first = true;

    buf_printf(&text, "{\"pid\":%ld,\"url\":\"%s\",\"nats\":\"%s\",\"children\":[", (long)getpid(),
               url, nats_url);
    for (const struct child *child = child_first(group); child != NULL; child = child_next(child)) {
        pid_t pid = child_pid(child);

        if (pid == 0 && !child_is_lasting(child))
            continue;
        // One child a line: read_leftovers() counts on it.
        buf_printf(&text,
                   "%s\n{\"name\":\"%s\"," PID_MEMBER "%ld," BIRTH_MEMBER
                   "%llu,\"restarts\":%d,\"deaf\":%d}",
                   is_first ? "" : ",", child_name(child), (long)pid,
                   pid != 0 ? child_birth(pid) : 0, child_restarts(child), child_deaf_ends(child));
        is_first = false;
    }
    buf_puts(&text, "\n]}\n");
    if (datadir_write(dir, STATUS_FILE, buf_text(&text), 0644) != RC_OK)
        say(LOG_WARN, "status.stale", "handoffrail", STATUS_FILE " is out of date");
    buf_fini(&text);
}

// 0 when the line does not have it.
static unsigned long long number_behind(const char *line, const char *member)
{
    const char *at = strstr(line, member);

    return at != NULL ? strtoull(at + strlen(member), NULL, 10) : 0;
}

static size_t read_leftovers(const struct datadir *dir, struct leftover *leftovers)
{
    FILE *file = fopen(datadir_join(dir, STATUS_FILE), "re");
    size_t count = 0;
    char line[512];

    if (file == NULL)
        return 0;
    while (count < LEFTOVERS_MAX && fgets(line, sizeof line, file) != NULL) {
        unsigned long long pid = number_behind(line, PID_MEMBER);
        unsigned long long birth = number_behind(line, BIRTH_MEMBER);

        if (pid > 0 && pid <= INT_MAX && birth > 0)
            leftovers[count++] = (struct leftover){.pid = (pid_t)pid, .birth = birth};
    }
    (void)fclose(file);
    return count;
}

static bool is_alive(const struct leftover *leftover)
{
    return child_birth(leftover->pid) == leftover->birth;
}

void status_end_leftovers(const struct datadir *dir)
{
    const struct timespec round = {.tv_nsec = ROUND_NS};
    struct leftover leftovers[LEFTOVERS_MAX];
    size_t count = read_leftovers(dir, leftovers);
    int64_t deadline_ns = clock_now_ns() + PATIENCE_NS;
    bool told = false;

    for (size_t i = 0; i < count; i++) {
        while (is_alive(&leftovers[i]) && clock_now_ns() < deadline_ns) {
            if (!told)
                say(LOG_INFO, "leftovers.wait", "handoffrail",
                    "waiting for processes of an earlier run to end");
            told = true;
            (void)nanosleep(&round, NULL);
        }
        if (!is_alive(&leftovers[i]))
            continue;
        say(LOG_WARN, "leftovers.kill", "handoffrail", "killing pid %ld of an earlier run",
            (long)leftovers[i].pid);
        (void)kill(leftovers[i].pid, SIGKILL);
        for (int tries = 0; is_alive(&leftovers[i]) && tries < 100; tries++)
            (void)nanosleep(&round, NULL);
    }
}
