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
    command_export, command_user, command_token, command_backup, command_restore, command_access,
    command_audit, command_doctor, command_reload, command_version, command_test, command_shell, command_new,
    command_lua_meta;

#define OPTIONS_MAX 24
#define WORDS_MAX 8

/* Options "--name value", "--name=value" and flags "--name", and the words between them. */
struct options {
    const char *words[WORDS_MAX];
    size_t word_count;
    struct str names[OPTIONS_MAX];
    const char *values[OPTIONS_MAX];
    size_t count;
};

/* `known`: "data= config= dev +1": a "=" behind the name means that a value follows, "+1" that one word may
 * stand beside the options (at most WORDS_MAX). False, said on stderr with the nearest name: an unknown
 * option, one given twice, a missing value, a word too many. */
bool options_parse(int argc, char **argv, const char *known, struct options *out);
const char *option(const struct options *o, const char *name, const char *absent);
bool option_given(const struct options *o, const char *name);
/* "login name": names every option of these that is missing, and the usage. */
bool options_need(const struct options *o, const struct command *c, const char *needed);
/* The first word when it is one of `verbs` ("create list"); NULL: said on stderr with the nearest one. */
const char *options_verb(int argc, char **argv, const char *verbs, const struct command *c);

/* Defaults, then config.lua (--config), then the flags. False: said on stderr. Strings live as long as the
 * process. */
bool settings_read(const struct options *o, struct serve_options *out);

/* config.lua into *out; false: every mistake said on stderr (config.c). */
bool config_read(const char *file, struct serve_options *out);
/* "ADDRESS:PORT" into *o; false: it is none. */
bool settings_address(struct serve_options *o, const char *given);
const char *settings_address_words(void);
/* For what lives as long as the process; memory out ends it. `join`: `name` below `folder` unless it is
 * absolute. */
void *settings_owned(void *p);
char *settings_copy(const char *s);
char *settings_join(const char *folder, const char *name);

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

/* Settings alone; the settings and a reading connection. Both give the exit code as desk_open does. */
int desk_start(struct desk *d, const struct options *o);
int desk_open_reading(struct desk *d, const struct options *o);
/* Loads the scripts, opens (and with `migrate` creates and migrates) the database. Returns the exit code, 0
 * when open. */
int desk_open(struct desk *d, const struct options *o, bool migrate);
void desk_close(struct desk *d);
/* Works with the rights of a user from here on; NULL: the system's stay. False: there is none. */
bool desk_become(struct desk *d, const char *login);
/* Says the desk's error on stderr; gives 1 (2 for scripts). */
int desk_fail(struct desk *d);
/* The id of a user; 0 with an error when there is none. */
int64_t desk_user(struct desk *d, const char *login);

/* doctor_files.c: compares uploaded files with their records; the exit code. */
int doctor_files(struct desk *d);
/* codes.c: prints what scripts mention and data lacks, and the reverse; how many. */
size_t codes_of_file(const struct catalog *c, const char *workflows, struct arena *arena);
size_t codes_of_database(struct desk *d);

/* Mistakes as "file:line: message". */
void say_mistakes(const struct error *e);
enum lang say_language(void);

#endif
