/* make.c: commands that write files for people who write scripts: `new plugin NAME`, `lua-meta`. */
#include "base/log.h"
#include "cli/cli.h"
#include "script/tool.h"
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FILE_MAX ((size_t)1 << 20)

static bool read_text(struct arena *arena, const char *path, struct str *out)
{
    char *text = malloc(FILE_MAX);
    FILE *f = fopen(path, "rb");
    size_t n = f && text ? fread(text, 1, FILE_MAX, f) : 0;
    bool ok = f && text && !ferror(f) && n < FILE_MAX;
    if (f) fclose(f);
    *out = ok ? arena_str(arena, (struct str){text, n}) : (struct str){NULL, 0};
    free(text);
    if (!out->p) fprintf(stderr, "perigee: %s cannot be read\n", path);
    return out->p != NULL;
}

/* ---- new plugin ---- */

static bool good_name(const char *name)
{
    size_t n = strlen(name);
    if (n < 2 || n > 30 || name[0] < 'a' || name[0] > 'z') return false;
    for (size_t i = 0; i < n; i++)
        if (!(name[i] >= 'a' && name[i] <= 'z') && !(name[i] >= '0' && name[i] <= '9') && name[i] != '_')
            return false;
    return true;
}

/* The text with every NAME replaced. */
static bool fill(struct buf *b, struct str text, const char *name)
{
    while (text.n) {
        const char *at = memmem(text.p, text.n, "NAME", 4);
        size_t before = at ? (size_t)(at - text.p) : text.n;
        buf_add(b, text.p, before);
        if (at) buf_cstr(b, name);
        before += at ? 4 : 0;
        text.p += before;
        text.n -= before;
    }
    return !b->failed;
}

static bool write_file(const char *path, struct str text)
{
    FILE *f = fopen(path, "wbx");
    bool ok = f && fwrite(text.p, 1, text.n, f) == text.n;
    if (f && fclose(f) != 0) ok = false;
    if (!ok) fprintf(stderr, "perigee: %s: %s\n", path, strerror(errno));
    return ok;
}

static bool make_folder(const char *path)
{
    if (mkdir(path, 0777) == 0) return true;
    fprintf(stderr, "perigee: %s: %s\n", path, strerror(errno));
    return false;
}

static bool make_one(struct arena *arena, const char *from, const char *folder, const char *file,
                     const char *name)
{
    struct buf to, text;
    struct str template;
    char *source = arena_printf(arena, "%s/%s", from, file);
    buf_init(&to, 4096);
    buf_init(&text, FILE_MAX);
    buf_printf(&to, "%s/", folder);
    bool ok = source && read_text(arena, source, &template) && fill(&to, str_of(file), name) &&
              fill(&text, template, name);
    char *path = ok ? arena_dup(arena, buf_view(&to)) : NULL;
    ok = path && write_file(path, buf_view(&text));
    buf_free(&to);
    buf_free(&text);
    return ok;
}

static int new_plugin(const struct serve_options *s, const char *name)
{
    static const char *const folders[] = {"", "/locale", "/tests"};
    static const char *const files[] = {"plugin.lua",          "main.lua", "locale/en.lua", "locale/ru.lua",
                                        "tests/NAME_test.lua", "README.md"};
    struct arena arena;
    struct stat st;
    arena_init(&arena, (size_t)16 << 20);
    char *from = arena_printf(&arena, "%s/plugin", s->scripts.scripts),
         *folder = arena_printf(&arena, "%s/%s", s->scripts.plugins, name);
    bool ok = from && folder && (stat(s->scripts.plugins, &st) == 0 || make_folder(s->scripts.plugins));
    for (size_t i = 0; ok && i < sizeof folders / sizeof *folders; i++) {
        char *path = arena_printf(&arena, "%s%s", folder, folders[i]);
        ok = path && make_folder(path);
    }
    for (size_t i = 0; ok && i < sizeof files / sizeof *files; i++)
        ok = make_one(&arena, from, folder, files[i], name);
    if (ok)
        printf("%s\nenable it in config.lua: plugins = { \"%s\" }; try it: perigee test %s\n", folder, name,
               folder);
    arena_free(&arena);
    return ok ? 0 : 1;
}

static int new (int argc, char **argv)
{
    struct options o;
    struct serve_options s;
    if (!options_parse(argc, argv, "config= +2", &o) || !settings_read(&o, &s)) return 2;
    if (o.word_count != 2 || strcmp(o.words[0], "plugin") != 0) {
        fprintf(stderr, "usage: perigee %s %s\n", command_new.name, command_new.usage);
        return 2;
    }
    if (!good_name(o.words[1])) {
        fprintf(stderr, "perigee: \"%s\" is not a good name: use small letters, digits and _\n", o.words[1]);
        return 2;
    }
    return new_plugin(&s, o.words[1]);
}

/* ---- lua-meta ---- */

static int lua_meta(int argc, char **argv)
{
    struct options o;
    struct serve_options s;
    struct arena arena;
    struct error e;
    struct context c;
    struct str tool, out;
    if (!options_parse(argc, argv, "config= workflows=", &o) || !settings_read(&o, &s)) return 2;
    arena_init(&arena, (size_t)64 << 20);
    error_init(&e, &arena, say_language());
    struct script_set *set = script_load(&s.scripts, &e);
    struct script_state *state = set ? script_state_new(set, &e) : NULL;
    struct principal *system = state ? principal_system(set->catalog, &e) : NULL;
    char *path = settings_join(s.scripts.scripts, "lua_meta.lua");
    bool ok = system && read_text(&arena, path, &tool);
    if (ok) {
        error_clear(&e); /* warnings are for `check` */
        context_init(&c, set->catalog, NULL, system, &arena, &e);
        ok = script_tool(state, &c, tool, "@scripts/lua_meta.lua", STR(""), &out);
    }
    if (ok) fwrite(out.p, 1, out.n, stdout);
    if (!ok) say_mistakes(&e);
    int code = ok ? 0 : set ? 1 : 2;
    principal_unref(system);
    script_state_free(state);
    script_set_unref(set);
    arena_free(&arena);
    return code;
}

const struct command command_new = {"new", "plugin NAME [--config FILE]", "a plugin that passes its own test",
                                    new};
const struct command command_lua_meta = {
    "lua-meta", "[--config FILE] [--workflows DIR]",
    "definitions for editors (LuaCATS), from the bindings and the catalog", lua_meta};
