// Configuration from the environment.
#include "broker/base/cfg.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool load_i64(const struct cfg_key *key, const char *text, int64_t *value)
{
    char *end;
    long long parsed;

    errno = 0;
    parsed = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || parsed < key->min || parsed > key->max) {
        (void)fprintf(stderr, "%s: not a whole number from %" PRId64 " to %" PRId64 "\n", key->name,
                      key->min, key->max);
        return false;
    }
    *value = parsed;
    return true;
}

static bool load_bool(const struct cfg_key *key, const char *text, bool *value)
{
    static const char *const yes[] = {"1", "true", "yes", "on"};
    static const char *const no[] = {"0", "false", "no", "off", ""};

    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (strcmp(text, yes[i]) == 0) {
            *value = true;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        if (strcmp(text, no[i]) == 0) {
            *value = false;
            return true;
        }
    }
    (void)fprintf(stderr, "%s: not one of true, false\n", key->name);
    return false;
}

static bool load_key(const struct cfg_key *key, void *target)
{
    void *field = (char *)target + key->offset;
    const char *text = getenv(key->name);

    if (text == NULL)
        text = key->fallback;
    if (text == NULL) {
        (void)fprintf(stderr, "%s: not set (%s)\n", key->name, key->help);
        return false;
    }
    switch (key->type) {
    case CFG_TYPE_STR:
        memcpy(field, &text, sizeof text);
        return true;
    case CFG_TYPE_I64:
        return load_i64(key, text, field);
    case CFG_TYPE_BOOL:
        return load_bool(key, text, field);
    }
    return false;
}

enum rc cfg_load(const struct cfg_key *keys, void *target)
{
    bool good = true;

    for (const struct cfg_key *key = keys; key->name != NULL; key++)
        good = load_key(key, target) && good;
    return good ? RC_OK : RC_CONFIG;
}

void cfg_help(const struct cfg_key *keys, FILE *out)
{
    for (const struct cfg_key *key = keys; key->name != NULL; key++) {
        (void)fprintf(out, "  %s\n      %s", key->name, key->help);
        if (key->type == CFG_TYPE_I64)
            (void)fprintf(out, " (%" PRId64 " to %" PRId64 ")", key->min, key->max);
        if (key->fallback == NULL)
            (void)fprintf(out, ". Required.\n");
        else if (key->fallback[0] == '\0')
            (void)fprintf(out, ". Default: none.\n");
        else
            (void)fprintf(out, ". Default: %s.\n", key->fallback);
    }
}

void cfg_markdown(const struct cfg_key *keys, FILE *out)
{
    for (const struct cfg_key *key = keys; key->name != NULL; key++) {
        const char *fallback = key->fallback == NULL ? "required" : key->fallback;

        (void)fprintf(out, "| `%s` | %s%s%s | %s |\n", key->name, fallback[0] != '\0' ? "`" : "",
                      fallback, fallback[0] != '\0' ? "`" : "", key->help);
    }
}
