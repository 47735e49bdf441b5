/* load_util.c: see load_util.h. */
#include "script/load_util.h"

#include "script/state.h"

void *load_alloc(struct loader *l, size_t count, size_t size)
{
    void *p = arena_array(l->arena, count ? count : 1, size);
    if (!p) l->failed = true;
    return p;
}

void load_fail(struct loader *l, struct place p, struct str suggestion, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(l->error->arena, format, args);
    va_end(args);
    const char *near = suggestion.p ? arena_dup(l->error->arena, suggestion) : NULL;
    struct error_entry *entry =
        error_add(l->error, NULL, "script_error", "%s%s%s%s", "%s%s%s%s", text ? text : "",
                  near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    entry->file = p.file ? arena_dup(l->error->arena, str_of(p.file)) : NULL;
    entry->line = p.line;
    entry->suggestion = near;
    l->mistakes++;
}

const char *load_text(struct loader *l, int t, const char *name)
{
    const char *out = NULL;
    if (lua_getfield(l->L, t, name) == LUA_TSTRING) {
        size_t n;
        const char *p = lua_tolstring(l->L, -1, &n);
        out = arena_dup(l->arena, (struct str){p, n});
        if (!out) l->failed = true;
    }
    lua_pop(l->L, 1);
    return out;
}

int64_t load_int(struct loader *l, int t, const char *name, int64_t absent)
{
    lua_getfield(l->L, t, name);
    int64_t v = lua_isinteger(l->L, -1)  ? lua_tointeger(l->L, -1)
                : lua_isnumber(l->L, -1) ? (int64_t)lua_tonumber(l->L, -1)
                                         : absent;
    lua_pop(l->L, 1);
    return v;
}

bool load_bool(struct loader *l, int t, const char *name)
{
    lua_getfield(l->L, t, name);
    bool v = lua_toboolean(l->L, -1);
    lua_pop(l->L, 1);
    return v;
}

struct label load_label(struct loader *l, int t, const char *name)
{
    struct label out = {{"", ""}};
    if (lua_getfield(l->L, t, name) == LUA_TTABLE) {
        int at = lua_gettop(l->L);
        for (enum lang lang = LANG_EN; lang < LANG_COUNT; lang++) {
            const char *text = load_text(l, at, lang_code(lang));
            out.text[lang] = text ? text : "";
        }
    }
    lua_pop(l->L, 1);
    return out;
}

struct place load_place(struct loader *l, int t)
{
    return (struct place){load_text(l, t, "file"), (int)load_int(l, t, "line", 0)};
}

size_t load_list(struct loader *l, int t, const char *name)
{
    return lua_getfield(l->L, t, name) == LUA_TTABLE ? lua_rawlen(l->L, -1) : 0;
}

const char **load_texts(struct loader *l, int t, const char *name, size_t *count)
{
    size_t n = load_list(l, t, name);
    const char **out = n ? load_alloc(l, n, sizeof *out) : NULL;
    *count = 0;
    for (size_t i = 1; out && i <= n; i++) {
        lua_rawgeti(l->L, -1, (lua_Integer)i);
        const char *text = lua_tostring(l->L, -1);
        out[*count] = text ? arena_dup(l->arena, str_of(text)) : NULL;
        if (out[*count]) ++*count;
        lua_pop(l->L, 1);
    }
    lua_pop(l->L, 1);
    return out;
}

static bool is_kind(lua_State *L, const char *kind)
{
    lua_getfield(L, -1, "kind");
    bool yes = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), kind) == 0;
    lua_pop(L, 1);
    return yes;
}

void load_each(struct loader *l, const char *kind, void (*each)(struct loader *l, int t))
{
    lua_State *L = l->L;
    luaL_checkstack(L, 20, "declarations");
    lua_getfield(L, LUA_REGISTRYINDEX, REGISTRY_DECLARED);
    size_t n = lua_rawlen(L, -1);
    for (size_t i = 1; i <= n && !l->failed; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i);
        if (is_kind(L, kind)) each(l, lua_gettop(L));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

size_t load_count(struct loader *l, const char *kind)
{
    lua_State *L = l->L;
    size_t found = 0;
    lua_getfield(L, LUA_REGISTRYINDEX, REGISTRY_DECLARED);
    size_t n = lua_rawlen(L, -1);
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i);
        found += is_kind(L, kind);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return found;
}

struct str load_near_entity(struct loader *l, const char *name)
{
    struct suggest s;
    suggest_start(&s, str_of(name));
    for (size_t i = 0; i < l->catalog->entity_count; i++)
        suggest_try(&s, str_of(l->catalog->entities[i]->name));
    return s.best;
}

struct str load_near_pipeline(struct loader *l, const char *name)
{
    struct suggest s;
    suggest_start(&s, str_of(name));
    for (size_t i = 0; i < l->catalog->pipeline_count; i++)
        suggest_try(&s, str_of(l->catalog->pipelines[i].name));
    return s.best;
}

struct str load_near_role(struct loader *l, const char *name)
{
    struct suggest s;
    suggest_start(&s, str_of(name));
    for (size_t i = 0; i < l->catalog->role_count; i++)
        suggest_try(&s, str_of(l->catalog->roles[i].code));
    return s.best;
}

struct str load_near_field(struct loader *l, const struct entity *e, const char *name)
{
    struct suggest s;
    (void)l;
    suggest_start(&s, str_of(name));
    for (size_t i = 0; i < e->field_count; i++)
        suggest_try(&s, str_of(e->fields[i]->name));
    return s.best;
}

const struct entity *load_entity_named(struct loader *l, struct place p, const char *word, const char *name)
{
    const struct entity *e = name ? catalog_entity(l->catalog, str_of(name)) : NULL;
    if (!e)
        load_fail(l, p, name ? load_near_entity(l, name) : (struct str){NULL, 0},
                  "%s: there is no entity \"%s\"", word, name ? name : "");
    return e;
}

const struct field *load_field_named(struct loader *l, struct place p, const char *word,
                                     const struct entity *e, const char *name)
{
    const struct field *f = entity_field(e, str_of(name));
    if (!f) load_fail(l, p, load_near_field(l, e, name), "%s: %s has no field \"%s\"", word, e->name, name);
    return f;
}

const struct filter *load_filter(struct loader *l, struct place p, const char *what, const struct entity *e,
                                 const char *text)
{
    if (!text || !e) return NULL;
    struct error mine;
    error_init(&mine, l->error->arena, LANG_EN);
    const struct filter *f = filter_parse(l->arena, l->catalog, e, str_of(text), what, NULL, 0, NULL, &mine);
    if (f) return f;
    struct str near =
        mine.first && mine.first->suggestion ? str_of(mine.first->suggestion) : (struct str){NULL, 0};
    load_fail(l, p, near, "%s: %s", what, mine.detail ? mine.detail : "the filter is wrong");
    return NULL;
}
