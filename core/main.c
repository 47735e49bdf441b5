/* main.c: the door: `perigee COMMAND …`. */
#include "base/suggest.h"
#include "cli/cli.h"

#include <stdio.h>

static const struct command *const commands[] = {
    &command_serve,  &command_check, &command_plan,   &command_migrate, &command_import,
    &command_export, &command_user,  &command_token,  &command_backup,  &command_restore,
    &command_access, &command_audit, &command_doctor, &command_reload,  &command_version,
    &command_test,   &command_shell, &command_new,    &command_lua_meta};

#define COMMANDS (sizeof commands / sizeof *commands)

static int usage(FILE *to)
{
    fputs("usage: perigee COMMAND …\n\n", to);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-9s %s\n", commands[i]->name, commands[i]->help);
    fputs("\nperigee COMMAND --help says more.\n", to);
    return to == stdout ? 0 : 2;
}

static int help(const struct command *c)
{
    printf("usage: perigee %s %s\n\n%s\n", c->name, c->usage, c->help);
    fputs("\nWithout --config the config.lua beside the scripts is read; without --data its `data`, else "
          "./data.\n"
          "Exit codes: 0 done, 1 failed, 2 wrong usage, settings or scripts.\n",
          stdout);
    return 0;
}

static const struct command *find(const char *name)
{
    struct suggest s;
    suggest_start(&s, str_of(name));
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(name, commands[i]->name) == 0) return commands[i];
        suggest_try(&s, str_of(commands[i]->name));
    }
    fprintf(stderr, "perigee: there is no command \"%s\"", name);
    if (s.best.p) fprintf(stderr, "; did you mean \"%.*s\"?", STR_ARG(s.best));
    fputs("\nperigee --help lists the commands\n", stderr);
    return NULL;
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* A token or a backup's name that nobody could read is a failure. */
static int written(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    perror("perigee: the standard output cannot be written");
    return code ? code : 1;
}

int main(int argc, char **argv)
{
    if (argc < 2) return usage(stderr);
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0) name = "version";
    if (asks_for_help(name) || (strcmp(name, "help") == 0 && argc == 2)) return usage(stdout);
    bool wants_help = strcmp(name, "help") == 0;
    const struct command *c = find(wants_help ? argv[2] : name);
    if (!c) return 2;
    for (int k = 2; k < argc; k++)
        wants_help = wants_help || asks_for_help(argv[k]);
    return written(wants_help ? help(c) : c->run(argc - 2, argv + 2));
}
