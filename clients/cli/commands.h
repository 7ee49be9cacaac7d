// The sub-commands of the program handoffrail, one file each.
#ifndef CLIENTS_CLI_COMMANDS_H
#define CLIENTS_CLI_COMMANDS_H

// Exit statuses: 0 done as asked, 1 gave up, 2 called wrongly.
enum {
    EXIT_DONE = 0,
    EXIT_GAVE_UP = 1,
    EXIT_USAGE = 2,
};

// argv[0] is what the command is called in its help ("handoffrail serve"). Each returns the exit
// status of the program, or exits itself after printing its help.
int serve_main(int argc, char **argv);
int audit_main(int argc, char **argv);
int restore_main(int argc, char **argv);

#endif
