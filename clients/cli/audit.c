// handoffrail audit: what can be done with the audit log from outside.
#include "clients/cli/audit/report.h"
#include "clients/cli/audit/source.h"
#include "clients/cli/commands.h"

#include "broker/base/log.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

// Exit statuses: what a script branches on.
enum { EXIT_SOUND = 0, EXIT_TAMPERED = 1, EXIT_UNKNOWN = 2 };

enum {
    OPTION_DATABASE = 'd',
    OPTION_EXPORT = 'e',
    OPTION_KEYS = 'k',
    OPTION_HEADS = 'H',
    OPTION_TENANT = 't',
    OPTION_JSON = 'j'
};

struct options {
    const char *database;
    const char *export;
    const char *keys;
    const char *heads;
    const char *tenant;
    bool json;
};

static const struct argp_option option_table[] = {
    {"database",                                           OPTION_DATABASE, "URL", 0, "Check the log in this Postgres, as libpq names it", 0},
    {"export",                                               OPTION_EXPORT, "FILE", 0,
     "Check a whole export, NDJSON or CSV; - is standard input, and what is checked without an "
     "option", 0},
    {"key-file", OPTION_KEYS, "FILE", 0, "The keys that sealed the log: HR_AUDIT_KEY_FILE", 0},
    {"heads",                                                    OPTION_HEADS, "FILE", 0,
     "Signed heads: HR_AUDIT_HEADS_FILE, or what the stream HR_AUDIT_HEADS holds. Only with them "
     "are "
     "rows missed that were cut off at the end of an export", 0},
    {"tenant",OPTION_TENANT, "ID", 0, "Only this tenant", 0},
    {"json",                                                   OPTION_JSON, NULL, 0, "Answer with one JSON object", 0},
    {0                                                  },
};

static error_t on_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case OPTION_DATABASE:
        options->database = arg;
        return 0;
    case OPTION_EXPORT:
        options->export = arg;
        return 0;
    case OPTION_KEYS:
        options->keys = arg;
        return 0;
    case OPTION_HEADS:
        options->heads = arg;
        return 0;
    case OPTION_TENANT:
        options->tenant = arg;
        return 0;
    case OPTION_JSON:
        options->json = true;
        return 0;
    case ARGP_KEY_END:
        if (options->keys == NULL)
            argp_error(state, "--key-file is needed");
        if (options->database != NULL && options->export != NULL)
            argp_error(state, "--database and --export exclude each other");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static enum rc read_source(struct verify *verify, const struct options *options, uint64_t *forged,
                           struct progress *progress)
{
    enum rc rc = RC_OK;

    if (options->heads != NULL)
        rc = source_heads(verify, options->heads, options->tenant, forged);
    if (rc != RC_OK)
        return rc;
    progress_begin(progress);
    if (options->database != NULL)
        rc = source_database(verify, options->database, options->tenant, progress);
    else
        rc = source_export(verify, options->export != NULL ? options->export : "-", progress);
    progress_end(progress);
    if (rc == RC_OK && progress->rows == 0 && options->database == NULL &&
        options->tenant == NULL) {
        (void)fprintf(stderr, "there are no rows; --tenant would say whose they should be\n");
        rc = RC_NOT_FOUND;
    }
    return rc;
}

static int verify_main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = option_table,
        .parser = on_option,
        .doc = "Finds out whether the audit log is what was stored: all of it, unchanged and in "
               "order.\vExit status: 0 it is; 1 it is not, and the first wrong sequence of each "
               "tenant is named; 2 it could not be read.",
    };
    struct options options = {0};
    struct progress progress = {0};
    struct keyring *ring = NULL;
    struct verify *verify = NULL;
    uint64_t forged = 0;
    int status = EXIT_UNKNOWN;

    if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
        return EXIT_UNKNOWN;
    if (keyring_open(&ring, options.keys) != RC_OK)
        return EXIT_UNKNOWN;
    verify = verify_create(ring);
    if (read_source(verify, &options, &forged, &progress) == RC_OK) {
        double seconds = progress_seconds(&progress);

        verify_finish(verify, options.database != NULL || options.tenant != NULL);
        status = (options.json ? report_json(verify, forged, seconds)
                               : report_text(verify, forged, seconds))
                     ? EXIT_SOUND
                     : EXIT_TAMPERED;
        if (fflush(stdout) != 0)
            status = EXIT_UNKNOWN;
    }
    verify_destroy(verify);
    keyring_close(ring);
    return status;
}

int audit_main(int argc, char **argv)
{
    log_init("handoffrail", LOG_WARN, false);
    if (argc > 1 && strcmp(argv[1], "verify") == 0) {
        argv[1] = (char *)(uintptr_t) "handoffrail audit verify";
        return verify_main(argc - 1, argv + 1);
    }
    (void)fprintf(argc > 1 && strcmp(argv[1], "--help") == 0 ? stdout : stderr,
                  "Usage: handoffrail audit verify [OPTION...]\n"
                  "'handoffrail audit verify --help' says more.\n");
    return argc > 1 && strcmp(argv[1], "--help") == 0 ? EXIT_SOUND : EXIT_UNKNOWN;
}
