/* sources.c: see sources.h. */
#include "script/sources.h"

#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)1 << 20)
#define FILES_MAX 2000
#define DEPTH_MAX 8

struct reader {
    struct script_sources *out;
    struct source *all;
    struct error *error;
};

static void complain(struct reader *r, const char *name, const char *en, const char *ru)
{
    struct error_entry *entry = error_add(r->error, NULL, "unreadable", "%s: %s", "%s: %s", name,
                                          r->error->lang == LANG_RU ? ru : en);
    entry->file = arena_dup(r->error->arena, str_of(name));
}

static bool read_all(int fd, char *p, size_t n)
{
    while (n) {
        ssize_t got = read(fd, p, n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

static void take_file(struct reader *r, const char *path, const char *name, enum source_kind kind,
                      const char *plugin)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        complain(r, name, "cannot be read", "не читается");
    } else if ((size_t)st.st_size > FILE_MAX) {
        complain(r, name, "is larger than 1 MiB", "больше 1 МиБ");
    } else if (r->out->count == FILES_MAX) {
        complain(r, name, "is one file too many (2000)", "слишком много файлов (2000)");
    } else {
        char *text = arena_alloc(&r->out->arena, (size_t)st.st_size + 1);
        struct source s = {.kind = kind,
                           .name = arena_dup(&r->out->arena, str_of(name)),
                           .text = {text, (size_t)st.st_size}};
        s.plugin = plugin ? arena_dup(&r->out->arena, str_of(plugin)) : NULL;
        if (!text || !s.name)
            error_no_memory(r->error);
        else if (!read_all(fd, text, s.text.n))
            complain(r, name, "cannot be read", "не читается");
        else if (!text_valid(s.text) || memchr(text, 0, s.text.n) || (s.text.n && text[0] == '\x1b'))
            complain(r, name, "is not Lua text in UTF-8", "не текст Lua в UTF-8");
        else
            r->all[r->out->count++] = s;
    }
    if (fd >= 0) close(fd);
}

static int only_scripts(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static bool lua_file(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".lua") == 0;
}

/* Folders of people and tools. */
static bool not_loaded(const char *name)
{
    return strcmp(name, "tests") == 0 || strcmp(name, "meta") == 0 || strcmp(name, "ui") == 0;
}

/* What lies there is run by whoever needs it. */
static bool is_module_folder(const char *name)
{
    return strcmp(name, "lib") == 0 || strcmp(name, "locale") == 0;
}

/* All *.lua below a folder, sorted by path. */
static void take_folder(struct reader *r, const char *folder, const char *shown, enum source_kind kind,
                        const char *plugin, bool deep, int depth)
{
    struct dirent **names = NULL;
    int n = scandir(folder, &names, only_scripts, alphasort);
    if (n < 0) {
        complain(r, shown, "there is no such folder", "нет такой папки");
        return;
    }
    for (int i = 0; i < n; i++) {
        char *path = arena_printf(&r->out->arena, "%s/%s", folder, names[i]->d_name),
             *name = arena_printf(&r->out->arena, "%s/%s", shown, names[i]->d_name);
        struct stat st;
        if (!path || !name)
            error_no_memory(r->error);
        else if (stat(path, &st) != 0)
            complain(r, name, "cannot be read", "не читается");
        else if (S_ISREG(st.st_mode) && lua_file(path))
            take_file(r, path, name, kind, plugin);
        else if (S_ISDIR(st.st_mode) && deep && depth < DEPTH_MAX && !not_loaded(names[i]->d_name))
            take_folder(r, path, name, is_module_folder(names[i]->d_name) ? SOURCE_MODULE : kind, plugin,
                        true, depth + 1);
        free(names[i]);
    }
    free(names);
}

static void take_plugin(struct reader *r, const struct script_config *config, const char *name)
{
    char *folder = arena_printf(&r->out->arena, "%s/%s", config->plugins, name),
         *shown = arena_printf(&r->out->arena, "plugins/%s", name);
    if (!folder || !shown) {
        error_no_memory(r->error);
        return;
    }
    size_t from = r->out->count;
    take_folder(r, folder, shown, SOURCE_MODULE, name, true, 0);
    for (size_t i = from; i < r->out->count; i++) {
        struct source *s = &r->all[i];
        const char *base = s->name + strlen(shown) + 1;
        if (strcmp(base, "plugin.lua") == 0) s->kind = SOURCE_MANIFEST;
        if (strcmp(base, "main.lua") == 0) s->kind = SOURCE_MAIN;
    }
}

static uint64_t hash_text(uint64_t h, struct str s)
{
    for (size_t j = 0; j <= s.n; j++)
        h = (h ^ (j < s.n ? (unsigned char)s.p[j] : 0xFFu)) * UINT64_C(1099511628211);
    return h;
}

static uint64_t hash_of(const struct script_sources *s)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < s->count; i++) {
        struct str parts[] = {str_of(s->all[i].name), s->all[i].text};
        for (int k = 0; k < 2; k++)
            h = hash_text(h, parts[k]);
    }
    return s->plugin_config ? hash_text(h, str_of(s->plugin_config)) : h;
}

struct script_sources *sources_read(const struct script_config *config, struct error *e)
{
    struct script_sources *s = calloc(1, sizeof *s);
    if (!s) return error_no_memory(e), NULL;
    arena_init(&s->arena, (size_t)64 << 20);
    struct reader r = {.out = s, .error = e, .all = arena_array(&s->arena, FILES_MAX, sizeof *r.all)};
    size_t known = e->count;
    if (!r.all)
        error_no_memory(e);
    else {
        char *words = arena_printf(&s->arena, "%s/words", config->scripts),
             *sandbox = arena_printf(&s->arena, "%s/sandbox.lua", config->scripts),
             *begin = arena_printf(&s->arena, "%s/start.lua", config->scripts),
             *library = arena_printf(&s->arena, "%s/lib", config->scripts);
        struct stat st;
        if (!words || !sandbox || !begin || !library)
            error_no_memory(e);
        else {
            take_file(&r, sandbox, "scripts/sandbox.lua", SOURCE_SANDBOX, NULL);
            take_folder(&r, words, "scripts/words", SOURCE_WORD, NULL, false, 0);
            take_file(&r, begin, "scripts/start.lua", SOURCE_START, NULL);
            if (stat(library, &st) == 0)
                take_folder(&r, library, "scripts/lib", SOURCE_LIBRARY, NULL, true, 0);
            take_folder(&r, config->workflows, "workflows", SOURCE_WORKFLOW, NULL, true, 0);
            for (const char **p = config->enabled; p && *p; p++)
                take_plugin(&r, config, *p);
        }
    }
    s->all = r.all;
    s->plugin_config = config->plugin_config;
    if (e->kind == ERROR_NONE && e->count == known) {
        s->hash = hash_of(s);
        return s;
    }
    error_set(e, ERROR_SCRIPT_ERROR, "some scripts cannot be read", "некоторые сценарии не читаются");
    sources_free(s);
    return NULL;
}

void sources_free(struct script_sources *s)
{
    if (!s) return;
    arena_free(&s->arena);
    free(s);
}
