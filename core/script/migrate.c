/* migrate.c: see migrate.h. */
#include "script/migrate.h"

#include "base/clock.h"
#include "script/state.h"
#include "store/migrations.h"

#define FOLDER "/migrations/"

/* "plugins/NAME/migrations/001.lua" → plugin NAME, name "001.lua" */
static bool is_migration(const struct source *f, struct str *plugin, struct str *name)
{
    const char *at = f->plugin ? strstr(f->name, FOLDER) : NULL;
    if (!at) return false;
    *plugin = str_of(f->plugin);
    *name = str_of(at + strlen(FOLDER));
    return true;
}

static bool any(const struct script_set *set)
{
    struct str plugin, name;
    for (size_t i = 0; i < set->sources->count; i++)
        if (is_migration(&set->sources->all[i], &plugin, &name)) return true;
    return false;
}

struct migration {
    const char *file, *plugin;
};

static int body(lua_State *L)
{
    struct migration *m = lua_touserdata(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, REGISTRY_CORE);
    lua_getfield(L, -1, "run_migration");
    lua_pushstring(L, m->plugin);
    lua_pushstring(L, m->file);
    lua_call(L, 2, 0);
    return 0;
}

static bool run_one(struct script_state *s, struct context *c, const struct source *f, struct str plugin,
                    struct str name)
{
    struct migration m = {f->name, f->plugin};
    bool done;
    if (!migration_done(c->db, plugin, name, &done, c->error)) return false;
    if (done) return true;
    c->origin = str_of(f->name);
    return script_run(s, c, SCRIPT_JOB, body, &m, c->error) &&
           migration_mark(c->db, plugin, name, c->env.now, c->error);
}

bool script_migrate(struct script_set *set, struct db *db, struct error *e)
{
    struct context c;
    struct arena arena;
    struct str plugin, name;
    if (!any(set)) return true;
    struct script_state *s = script_state_new(set, e);
    struct principal *system = s ? principal_system(set->catalog, e) : NULL;
    bool ok = system != NULL;
    arena_init(&arena, (size_t)256 << 20);
    if (ok) {
        context_init(&c, set->catalog, db, system, &arena, e);
        c.hooks = &script_hooks;
        c.script = s;
        c.trusted = true;
        c.automation = true;
        c.env.now = clock_now();
    }
    for (size_t i = 0; ok && i < set->sources->count; i++)
        if (is_migration(&set->sources->all[i], &plugin, &name))
            ok = run_one(s, &c, &set->sources->all[i], plugin, name);
    if (!ok && e->file) { /* told as a mistake of that file */
        struct error_entry *entry =
            e->first ? e->first
                     : error_add(e, NULL, "script_error", "%s", "%s", e->detail ? e->detail : "it failed");
        entry->file = e->file;
        entry->line = e->line;
    }
    principal_unref(system);
    script_state_free(s);
    arena_free(&arena);
    return ok;
}

bool script_migrations_pending(struct script_set *set, struct db *db,
                               void (*each)(void *ctx, const char *file), void *ctx, struct error *e)
{
    struct str plugin, name;
    for (size_t i = 0; i < set->sources->count; i++) {
        bool done;
        if (!is_migration(&set->sources->all[i], &plugin, &name)) continue;
        if (!migration_done(db, plugin, name, &done, e)) return false;
        if (!done) each(ctx, set->sources->all[i].name);
    }
    return true;
}
