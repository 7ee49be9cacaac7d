// Progress lines.
#include "clients/cli/serve/say.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 1024
#define TAIL_BYTES 1500 // the last ten lines or so

static struct {
    bool json;
    bool colour;
} config;

void say_init(bool json)
{
    config.json = json;
    config.colour = isatty(STDERR_FILENO) != 0;
    log_init("handoffrail", LOG_INFO, json);
}

static void write_line(enum log_level level, const char *who, const char *message)
{
    static const char *const marks[LOG_LEVELS] = {"\033[2m", "\033[32m", "\033[33m", "\033[31m"};
    char line[LINE_BYTES + 128];
    int len;

    if (config.colour)
        len = snprintf(line, sizeof line, "%s%-20s\033[0m %s\n", marks[level], who, message);
    else
        len = snprintf(line, sizeof line, "%-20s %s\n", who, message);
    if (len < 0)
        return;
    if ((size_t)len >= sizeof line) {
        len = (int)sizeof line;
        line[sizeof line - 1] = '\n';
    }
    if (write(STDERR_FILENO, line, (size_t)len) < 0) {
        // Nobody is left to tell.
    }
}

void say(enum log_level level, const char *event, const char *who, const char *format, ...)
{
    char message[LINE_BYTES];
    va_list args;

    va_start(args, format);
    if (vsnprintf(message, sizeof message, format, args) < 0)
        message[0] = '\0';
    va_end(args);
    if (config.json)
        log_write(level, event, "name=\"%s\" %s", who, message);
    else if (level > LOG_DEBUG)
        write_line(level, who, message);
}

void say_tail(const char *path)
{
    char text[TAIL_BYTES + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size;
    ssize_t len;

    if (fd < 0)
        return;
    size = lseek(fd, 0, SEEK_END);
    len = pread(fd, text, TAIL_BYTES, size > TAIL_BYTES ? size - TAIL_BYTES : 0);
    (void)close(fd);
    if (len <= 0)
        return;
    text[len] = '\0';
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        say(LOG_ERROR, "log.tail", "  |", "%s", line);
}
