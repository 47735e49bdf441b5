/* cli.h: what the commands share: options, the data folder opened for work, and telling people. Exit codes: 0
 * done, 1 failed, 2 wrong usage or broken scripts. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "api/serve.h"
#include "record/record.h"

struct command {
    const char *name;
    const char *usage; /* behind "perigee NAME " */
    const char *help;
    int (*run)(int argc, char **argv); /* without program and command name */
};

extern const struct command command_serve, command_check, command_plan, command_migrate, command_import,
    command_user, command_token, command_backup, command_restore, command_access, command_audit,
    command_doctor, command_reload, command_version;

/* Options "--name value" and flags "--name", and the words between them. */
struct options {
    const char *words[8];
    size_t word_count;
    const char *names[24], *values[24];
    size_t count;
};

/* `known`: "data= config= dev": a "=" behind the name means that a value follows. False: said on stderr. */
bool options_parse(int argc, char **argv, const char *known, struct options *out);
const char *option(const struct options *o, const char *name, const char *absent);
bool option_given(const struct options *o, const char *name);

/* Defaults, then config.lua (--config), then the flags. False: said on stderr. Strings live as long as the
 * process. */
bool settings_read(const struct options *o, struct serve_options *out);

/* A data folder opened for work beside a server that may run. */
struct desk {
    struct arena arena;
    struct error error;
    struct serve_options settings;
    const char *path;
    struct db *db;
    struct script_set *set;
    struct script_state *script;
    struct principal *system;
    struct context context; /* the system's rights */
};

/* Loads the scripts, opens (and with `migrate` creates and migrates) the database. Returns the exit code, 0
 * when open. */
int desk_open(struct desk *d, const struct options *o, bool migrate);
void desk_close(struct desk *d);
/* Says the desk's error on stderr; gives 1 (2 for scripts). */
int desk_fail(struct desk *d);
/* The id of a user; 0 with an error when there is none. */
int64_t desk_user(struct desk *d, const char *login);

/* Mistakes as "file:line: message". */
void say_mistakes(const struct error *e);
enum lang say_language(void);

#endif
