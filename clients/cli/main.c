// handoffrail: runs a rail on this machine, and talks to one.
#include "clients/cli/commands.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    const char *title; // "handoffrail NAME", how its help calls it
    const char *summary;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    {"serve",   "handoffrail serve",   "run a whole rail on this machine",               serve_main},
    {"audit",   "handoffrail audit",   "check the audit log",                            audit_main},
    {"restore", "handoffrail restore", "put packets from Postgres back into the stream",
     restore_main                                                                                  },
};

#define COMMANDS (sizeof commands / sizeof commands[0])

const char *argp_program_version = "handoffrail " HR_VERSION;

// Puts the table of commands behind the options.
static char *help_filter(int key, const char *text, void *input)
{
    static char list[1024];
    size_t len = 0;

    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC)
        return (char *)text;
    len += (size_t)snprintf(list + len, sizeof list - len, "Commands:\n");
    for (size_t i = 0; i < COMMANDS && len < sizeof list; i++)
        len += (size_t)snprintf(list + len, sizeof list - len, "  %-10s %s\n", commands[i].name,
                                commands[i].summary);
    if (len < sizeof list)
        (void)snprintf(list + len, sizeof list - len,
                       "\n'handoffrail COMMAND --help' says more about one.");
    return strdup(list); // argp frees what is not its own text
}

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    }
    return NULL;
}

static error_t on_option(int key, char *arg, struct argp_state *state)
{
    switch (key) {
    case ARGP_KEY_ARG:
        argp_error(state, "there is no command '%s'", arg);
        return EINVAL;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "no command given");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .parser = on_option,
        .args_doc = "COMMAND [OPTION...]",
        .doc = "Packets of work, handed from one agent to the next.\v.",
        .help_filter = help_filter,
    };

    argp_err_exit_status = EXIT_USAGE;
    if (argc > 1 && argv[1][0] != '-') {
        const struct command *command = command_find(argv[1]);

        if (command != NULL) {
            argv[1] = (char *)command->title;
            return command->run(argc - 1, argv + 1);
        }
    }
    return argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, NULL) == 0 ? EXIT_DONE : EXIT_USAGE;
}
