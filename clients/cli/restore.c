// handoffrail restore: what Postgres has goes back into the stream.
#include "clients/cli/restore/restore.h"
#include "clients/cli/commands.h"

#include "broker/base/log.h"

#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { OPTION_POSTGRES = 'p', OPTION_NATS = 'n', OPTION_DRY_RUN = 'd' };

static const struct argp_option option_table[] = {
    {"postgres-url",                              OPTION_POSTGRES, "URL", 0, "Where the audit log is (HR_POSTGRES_URL)", 0},
    {"nats-url",                                      OPTION_NATS, "URL", 0,
     "Where the stream is, with a user that may append to it (HR_NATS_URL)", 0},
    {"dry-run", OPTION_DRY_RUN, NULL, 0, "Only say what would be put back", 0},
    {0                                          },
};

static error_t on_option(int key, char *arg, struct argp_state *state)
{
    struct restore_options *options = state->input;

    switch (key) {
    case OPTION_POSTGRES:
        options->postgres_url = arg;
        return 0;
    case OPTION_NATS:
        options->nats_url = arg;
        return 0;
    case OPTION_DRY_RUN:
        options->dry_run = true;
        return 0;
    case ARGP_KEY_END:
        if (options->postgres_url == NULL)
            argp_error(state, "--postgres-url is needed");
        if (options->nats_url == NULL)
            argp_error(state, "--nats-url is needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int restore_main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = option_table,
        .parser = on_option,
        .doc = "Puts back into the stream what Postgres has of each packet and the stream has "
               "not: after the stream was lost, or the end of it.\vThe other way round nothing "
               "has to be done: an audit worker that finds an empty Postgres fills it from the "
               "stream. It may be run again, and while agents work.\n\nExit status: 0 everything "
               "is there; 1 something is not; 2 called wrongly.",
    };
    struct restore_options options = {
        .postgres_url = getenv("HR_POSTGRES_URL"),
        .nats_url = getenv("HR_NATS_URL"),
    };
    struct restore_outcome outcome;
    struct progress progress = {0};
    enum rc rc;

    if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0)
        return EXIT_USAGE;
    log_init("handoffrail", LOG_WARN, false);
    progress_begin(&progress);
    rc = restore_run(&outcome, &options, &progress);
    progress_end(&progress);
    (void)printf("%" PRIu64 " packets in Postgres: %" PRIu64 " are in the stream, %" PRIu64
                 " %s, %" PRIu64 " failed\n",
                 outcome.packets, outcome.there, outcome.restored,
                 options.dry_run ? "would be put back" : "were put back", outcome.failed);
    return rc == RC_OK && outcome.failed == 0 ? EXIT_DONE : EXIT_GAVE_UP;
}
