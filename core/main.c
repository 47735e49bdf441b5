/* main.c: the door: `perigee COMMAND …`. */
#include "cli/cli.h"

#include <stdio.h>

static const struct command *const commands[] = {
    &command_serve, &command_check,  &command_plan,   &command_migrate, &command_import,
    &command_user,  &command_token,  &command_backup, &command_restore, &command_access,
    &command_audit, &command_doctor, &command_reload, &command_version};

#define COMMANDS (sizeof commands / sizeof *commands)

static int usage(FILE *to)
{
    fputs("usage: perigee COMMAND …\n\n", to);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-9s %s\n", commands[i]->name, commands[i]->help);
    fputs("\nperigee COMMAND --help says more.\n", to);
    return to == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
    if (argc < 2) return usage(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) return usage(stdout);
    for (size_t i = 0; i < COMMANDS; i++) {
        const struct command *c = commands[i];
        if (strcmp(argv[1], c->name) != 0) continue;
        for (int k = 2; k < argc; k++) {
            if (strcmp(argv[k], "--help") != 0) continue;
            printf("usage: perigee %s %s\n\n%s\n", c->name, c->usage, c->help);
            return 0;
        }
        return c->run(argc - 2, argv + 2);
    }
    fprintf(stderr, "perigee: there is no command \"%s\"\n", argv[1]);
    return usage(stderr);
}
