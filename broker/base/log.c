// Log lines, as text for people or as JSON for collectors.
#include "broker/base/log.h"

#include "broker/base/timestamp.h"
#include "broker/base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 2048
#define MEMBER_BYTES_MIN 16 // with less room a member of a JSON line would be nothing but quotes

static const char *const level_names[LOG_LEVELS] = {"debug", "info", "warn", "error"};

static struct {
    const char *program;
    enum log_level level;
    bool json;
} config = {.program = "handoffrail", .level = LOG_INFO};

struct line {
    char text[LINE_BYTES];
    size_t len;
};

void log_init(const char *program, enum log_level level, bool json)
{
    config.program = program;
    config.level = level;
    config.json = json;
}

bool log_level_parse(const char *name, enum log_level *level)
{
    for (int i = 0; i < LOG_LEVELS; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

// Less what the closing brace and the newline take.
static size_t room(const struct line *line)
{
    return sizeof line->text - 4 - line->len;
}

static void put(struct line *line, const char *text, size_t len)
{
    if (len > room(line))
        len = room(line);
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

// The length of the character at the start of text, 0 if it is not UTF-8.
static size_t character(const char *text, size_t len)
{
    unsigned char c = (unsigned char)text[0];
    size_t need = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    return need <= len && utf8_is_valid(text, need) ? need : 0;
}

// Cuts the text so that it ends with its quote and keep more bytes fit behind it.
static void put_json_string(struct line *line, const char *text, size_t len, size_t keep)
{
    size_t step;

    put_text(line, "\"");
    for (size_t i = 0; i < len; i += step) {
        unsigned char c = (unsigned char)text[i];
        char escape[8] = {'\\', (char)c, '\0'};
        const char *piece = &text[i];
        size_t piece_len;

        step = character(piece, len - i);
        piece_len = step;
        if (step == 0) {
            step = 1;
            piece = "?";
            piece_len = 1;
        } else if (c == '"' || c == '\\') {
            piece = escape;
            piece_len = 2;
        } else if (c < 0x20) {
            (void)snprintf(escape, sizeof escape, "\\u%04x", c);
            piece = escape;
            piece_len = strlen(escape);
        }
        if (piece_len + 1 + keep > room(line))
            break;
        put(line, piece, piece_len);
    }
    put_text(line, "\"");
}

// Splits key=value and key="value" pairs into members, as many as fit; from the first word without
// '=' on, the rest is the member "message".
static void put_json_pairs(struct line *line, const char *text)
{
    const char *at = text;

    while (*at != '\0' && room(line) >= MEMBER_BYTES_MIN) {
        const char *key = at;
        size_t key_len = strcspn(at, "= ");
        const char *value = at + key_len + 1;
        size_t len;

        if (at[key_len] != '=') {
            key = "message";
            key_len = strlen(key);
            value = at;
            len = strlen(at);
            at += len;
        } else if (*value == '"') {
            value++;
            len = strcspn(value, "\"");
            at = value + len + (value[len] == '"' ? 1 : 0);
        } else {
            len = strcspn(value, " ");
            at = value + len;
        }
        put_text(line, ",");
        put_json_string(line, key, key_len, sizeof ":\"\"" - 1);
        put_text(line, ":");
        put_json_string(line, value, len, 0);
        at += strspn(at, " ");
    }
}

__attribute__((format(printf, 3, 0))) static void
write_line(enum log_level level, const char *event, const char *format, va_list args)
{
    struct line line = {.len = 0};
    char detail[LINE_BYTES / 2];
    char stamp[TIMESTAMP_TEXT_BYTES];
    char pid[32];
    int saved_errno = errno;

    if (vsnprintf(detail, sizeof detail, format, args) < 0)
        detail[0] = '\0';
    for (char *at = detail; *at != '\0'; at++) {
        if (*at == '\n' || *at == '\r')
            *at = ' ';
    }
    timestamp_format(stamp, timestamp_now_us());
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());

    if (config.json) {
        put_text(&line, "{\"time\":\"");
        put_text(&line, stamp);
        put_text(&line, "\",\"level\":\"");
        put_text(&line, level_names[level]);
        put_text(&line, "\",\"program\":\"");
        put_text(&line, config.program);
        put_text(&line, "\",\"pid\":");
        put_text(&line, pid);
        put_text(&line, ",\"event\":");
        put_json_string(&line, event, strlen(event), 0);
        put_json_pairs(&line, detail);
        line.text[line.len++] = '}';
    } else {
        put_text(&line, stamp);
        put_text(&line, " ");
        put_text(&line, level_names[level]);
        put_text(&line, " ");
        put_text(&line, config.program);
        put_text(&line, "[");
        put_text(&line, pid);
        put_text(&line, "] ");
        put_text(&line, event);
        put_text(&line, " ");
        put_text(&line, detail);
    }
    line.text[line.len++] = '\n';
    if (write(STDERR_FILENO, line.text, line.len) < 0) {
        // Nobody is left to tell.
    }
    errno = saved_errno;
}

void log_write(enum log_level level, const char *event, const char *format, ...)
{
    va_list args;

    assert(level < LOG_LEVELS);
    if (level < config.level)
        return;
    va_start(args, format);
    write_line(level, event, format, args);
    va_end(args);
}

// --- bounds --------------------------------------------------------------------------------------

// Events are few and fixed in our programs. Should there ever be more than places, those that find
// none share the last one.
#define PLACES 256
#define SECOND_NS 1000000000LL

static struct place {
    const char *event; // NULL: free
    int64_t since_ns;  // when its second began
    unsigned written;  // in it
    unsigned long suppressed;
} places[PLACES];

static pthread_mutex_t places_lock = PTHREAD_MUTEX_INITIALIZER;

static struct place *place_of(const char *event)
{
    size_t i = 0;

    while (i < PLACES - 1 && places[i].event != NULL && strcmp(places[i].event, event) != 0)
        i++;
    if (places[i].event == NULL)
        places[i].event = event;
    return &places[i];
}

// Takes the count of one event whose second is over. False: there is none.
static bool take_suppressed(int64_t now_ns, struct place *taken)
{
    for (size_t i = 0; i < PLACES && places[i].event != NULL; i++) {
        if (places[i].suppressed > 0 && now_ns - places[i].since_ns >= SECOND_NS) {
            *taken = places[i];
            places[i].suppressed = 0;
            return true;
        }
    }
    return false;
}

void log_bounded(enum log_level level, const char *event, const char *format, ...)
{
    int64_t now_ns;
    struct place *place;
    struct place taken = {0};
    bool has_taken;
    bool is_allowed;
    va_list args;

    assert(level < LOG_LEVELS);
    if (level < config.level)
        return;
    now_ns = clock_now_ns();
    (void)pthread_mutex_lock(&places_lock);
    has_taken = take_suppressed(now_ns, &taken);
    place = place_of(event);
    if (now_ns - place->since_ns >= SECOND_NS) {
        place->since_ns = now_ns;
        place->written = 0;
    }
    is_allowed = place->written < LOG_PER_SECOND;
    if (is_allowed)
        place->written++;
    else
        place->suppressed++;
    (void)pthread_mutex_unlock(&places_lock);

    if (has_taken)
        log_write(LOG_WARN, "log.suppressed", "of=%s count=%lu", taken.event, taken.suppressed);
    if (!is_allowed)
        return;
    va_start(args, format);
    write_line(level, event, format, args);
    va_end(args);
}
