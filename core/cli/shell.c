/* shell.c: the command `shell`: a Lua prompt inside the CRM. What is done there is rolled back at the end
 * unless
 * `:commit` is said. The transaction begins to hold the database when something is written: until then, and
 * after :commit or :rollback, a server beside it writes as it likes. */
#include "base/clock.h"
#include "base/log.h"
#include "cli/cli.h"
#include "script/tool.h"
#include "store/trail.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TOOL_MAX ((size_t)1 << 20)

struct shell {
    struct desk desk;
    struct principal *who;
    struct arena arena; /* of what was given out since the last :commit or :rollback */
    struct error error;
    struct str tool;
    bool at_terminal;
};

static bool read_tool(struct shell *s)
{
    char *path = settings_join(s->desk.settings.scripts.scripts, "shell.lua");
    char *text = settings_owned(malloc(TOOL_MAX));
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(text, 1, TOOL_MAX, f) : 0;
    bool ok = f && !ferror(f) && n < TOOL_MAX;
    if (f) fclose(f);
    s->tool = (struct str){text, n};
    return ok ? true
              : error_set(&s->desk.error, ERROR_NOT_FOUND, "%s cannot be read", "%s не читается", path);
}

static bool become(struct shell *s, const char *login)
{
    struct desk *d = &s->desk;
    if (!login) return true;
    int64_t id = desk_user(d, login);
    s->who = id ? principal_load(d->db, d->set->catalog, id, &d->error) : NULL;
    if (!s->who) return false;
    d->context.who = s->who;
    d->context.env = s->who->env;
    d->context.trusted = false;
    return true;
}

static void say(const struct shell *s)
{
    const struct error *e = &s->error;
    fprintf(stderr, "%s%s%s\n", e->file ? e->file : "", e->file ? ": " : "",
            e->first && e->kind == ERROR_SCRIPT_ERROR ? e->first->message
            : e->detail                               ? e->detail
                                                      : "it failed");
    for (const struct error_entry *i = e->first; i && e->kind != ERROR_SCRIPT_ERROR; i = i->next)
        fprintf(stderr, "  %s%s%s\n", i->pointer ? i->pointer : "", i->pointer ? ": " : "", i->message);
}

/* In a savepoint: a line that fails leaves nothing. */
static void run_line(struct shell *s, struct str line)
{
    struct desk *d = &s->desk;
    struct str out;
    error_init(&s->error, &s->arena, say_language());
    d->context.arena = &s->arena;
    d->context.error = &s->error;
    d->context.env.now = clock_now();
    d->context.created = NULL;
    if (!db_in_transaction(d->db) && !db_begin(d->db, false, &s->error)) {
        say(s);
        return;
    }
    bool ok = db_savepoint(d->db, &s->error) &&
              script_tool(d->script, &d->context, s->tool, "@scripts/shell.lua", line, &out) &&
              db_savepoint_release(d->db, &s->error);
    if (ok && out.n)
        printf("%.*s\n", STR_ARG(out));
    else if (!ok) {
        db_savepoint_rollback(d->db);
        trail_forget(d->db);
        say(s);
    }
}

static void forget(struct shell *s)
{
    script_tool_forget(s->desk.script);
    arena_reset(&s->arena);
    error_init(&s->error, &s->arena, say_language());
}

/* false: leave the prompt. */
static bool command(struct shell *s, struct str line)
{
    struct desk *d = &s->desk;
    if (str_is(line, ":quit") || str_is(line, ":q")) return false;
    error_init(&s->error, &s->arena, say_language());
    if (str_is(line, ":commit")) {
        if (!db_in_transaction(d->db) || db_commit(d->db, &s->error))
            puts("committed"), forget(s);
        else
            say(s);
    } else if (str_is(line, ":rollback")) {
        db_rollback(d->db);
        trail_forget(d->db);
        puts("rolled back");
        forget(s);
    } else
        fputs(":commit, :rollback, :quit; anything else is Lua: crm.find(\"company\", \"name starts 'A'\")\n",
              stderr);
    return true;
}

static void prompt(struct shell *s)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    for (;;) {
        if (s->at_terminal) fputs("perigee> ", stdout), fflush(stdout);
        if ((n = getline(&line, &size, stdin)) < 0) break;
        struct str text = str_trim((struct str){line, (size_t)n});
        if (text.n && text.p[0] == ':' ? !command(s, text) : false) break;
        if (text.n && text.p[0] != ':') run_line(s, text);
        fflush(stdout);
    }
    free(line);
}

static int shell(int argc, char **argv)
{
    struct options o;
    struct shell s = {0};
    if (!options_parse(argc, argv, "data= config= workflows= user=", &o)) return 2;
    int code = desk_open(&s.desk, &o, false);
    arena_init(&s.arena, (size_t)256 << 20);
    log_configure(LOG_WARN, false);
    s.at_terminal = isatty(STDIN_FILENO);
    if (code == 0 && (!read_tool(&s) || !become(&s, option(&o, "user", NULL)))) code = desk_fail(&s.desk);
    if (code == 0) {
        if (s.at_terminal) puts("A prompt inside the CRM. Nothing stays unless :commit; :quit ends.");
        prompt(&s);
        db_rollback(s.desk.db);
    }
    principal_unref(s.who);
    desk_close(&s.desk);
    arena_free(&s.arena);
    return code;
}

const struct command command_shell = {"shell", "--data DIR [--user LOGIN] [--config FILE]",
                                      "a Lua prompt inside the CRM; rolled back unless :commit", shell};
