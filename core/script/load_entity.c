/* load_entity.c: entities and their fields. */
#include "base/decimal.h"
#include "script/load_util.h"

#define FIELDS_MAX 300

/* ---- names ---- */

static struct entity *writable(const struct entity *e)
{
    return (struct entity *)(uintptr_t)e; /* the catalog is ours until it is handed out */
}

static void take_entity(struct loader *l, int t)
{
    struct catalog *c = l->catalog;
    struct place place = load_place(l, t);
    const char *name = load_text(l, t, "name"), *collection = load_text(l, t, "collection");
    const struct entity *other = catalog_entity(c, str_of(name));
    if (other) {
        load_fail(l, place, (struct str){0}, "entity \"%s\" is declared already in %s line %d", name,
                  other->place.file, other->place.line);
        return;
    }
    other = catalog_collection(c, str_of(collection));
    if (other) {
        load_fail(l, place, (struct str){0}, "entity \"%s\": the path \"%s\" belongs to \"%s\" already", name,
                  collection, other->name);
        return;
    }
    struct entity *e = load_alloc(l, 1, sizeof *e);
    if (!e) return;
    const char *mode = load_text(l, t, "delete");
    *e = (struct entity){.name = name,
                         .collection = collection,
                         .table = arena_printf(l->arena, "\"%s\"", name),
                         .label = load_label(l, t, "label"),
                         .plural = load_label(l, t, "plural"),
                         .place = place,
                         .plugin = load_text(l, t, "plugin"),
                         .index = (int)c->entity_count,
                         .setting = load_bool(l, t, "setting"),
                         .server = load_bool(l, t, "server"),
                         .number_prefix = load_text(l, t, "number"),
                         .views_json = load_text(l, t, "views"),
                         .delete_mode = mode && strcmp(mode, "allow") == 0    ? DELETE_ALLOW
                                        : mode && strcmp(mode, "forbid") == 0 ? DELETE_FORBID
                                                                              : DELETE_DEACTIVATE};
    if (!e->table) l->failed = true;
    c->entities[c->entity_count++] = e;
}

/* A record with a unique, required code is a setting: what refers to it says its code. */
static bool has_code(struct loader *l, int t)
{
    bool found = false;
    size_t n = load_list(l, t, "fields");
    for (size_t i = 1; i <= n && !found; i++) {
        lua_rawgeti(l->L, -1, (lua_Integer)i);
        int f = lua_gettop(l->L);
        const char *name = load_text(l, f, "name");
        found = name && strcmp(name, "code") == 0 && load_bool(l, f, "unique") && load_bool(l, f, "required");
        lua_pop(l->L, 1);
    }
    lua_pop(l->L, 1);
    return found;
}

static void mark_setting(struct loader *l, int t)
{
    const struct entity *e = catalog_entity(l->catalog, str_of(load_text(l, t, "name")));
    bool code = has_code(l, t);
    if (e && e->setting && !code)
        load_fail(l, e->place, (struct str){0},
                  "entity \"%s\" is a setting: it needs code = text { required = true, unique = true }",
                  e->name);
    if (e) writable(e)->setting = code;
}

void load_entities(struct loader *l)
{
    l->catalog->entities = load_alloc(l, load_count(l, "entity"), sizeof *l->catalog->entities);
    if (l->failed) return;
    load_each(l, "entity", take_entity);
    load_each(l, "entity", mark_setting);
}

/* ---- fields ---- */

static enum field_type type_named(const char *name)
{
    enum field_type t = FIELD_TEXT;
    while (t < FIELD_TYPE_COUNT && name && strcmp(field_type_name(t), name) != 0)
        t++;
    return t;
}

static int scale_of(enum field_type type, int64_t own)
{
    if (type == FIELD_MONEY || type == FIELD_PERCENT) return 2;
    return type == FIELD_DECIMAL ? (int)own : 0;
}

static void take_bound(struct loader *l, int t, const char *name, struct field *f, bool *has, int64_t *out)
{
    lua_getfield(l->L, t, name);
    *has = lua_isnumber(l->L, -1);
    if (*has) {
        int64_t scaled = 0;
        const char *text =
            lua_isinteger(l->L, -1) ? NULL : lua_pushfstring(l->L, "%f", lua_tonumber(l->L, -1));
        if (!text)
            decimal_rescale(lua_tointeger(l->L, -1), 0, f->scale, &scaled);
        else {
            scaled = (int64_t)(lua_tonumber(l->L, -2) * (f->scale == 2 ? 100 : 1));
            lua_pop(l->L, 1);
        }
        *out = scaled;
    }
    lua_pop(l->L, 1);
}

static void take_options(struct loader *l, int t, struct field *f)
{
    size_t n = load_list(l, t, "options");
    struct option *options = n ? load_alloc(l, n, sizeof *options) : NULL;
    for (size_t i = 0; options && i < n; i++) {
        lua_rawgeti(l->L, -1, (lua_Integer)i + 1);
        int o = lua_gettop(l->L);
        options[i] = (struct option){load_text(l, o, "value"), load_label(l, o, "label")};
        for (size_t k = 0; k < i; k++)
            if (strcmp(options[k].value, options[i].value) == 0)
                load_fail(l, f->place, (struct str){0}, "option \"%s\" stands twice", options[i].value);
        lua_pop(l->L, 1);
    }
    lua_pop(l->L, 1);
    f->options = options;
    f->option_count = options ? n : 0;
}

static void take_target(struct loader *l, int t, struct field *f)
{
    const char *to = load_text(l, t, "to");
    if (!to) return;
    f->any = f->type == FIELD_REF && strcmp(to, "any") == 0;
    if (!f->any) f->to = load_entity_named(l, f->place, f->name, to);
}

void load_fill_field(struct loader *l, int t, struct field *f, const struct entity *e)
{
    const char *result = load_text(l, t, "result");
    f->name = load_text(l, t, "name");
    f->place = load_place(l, t);
    f->label = load_label(l, t, "label");
    f->help = load_label(l, t, "help");
    f->type = type_named(load_text(l, t, "type"));
    f->formula_type = result ? type_named(result) : FIELD_TEXT;
    f->scale = scale_of(f->type == FIELD_FORMULA || f->type == FIELD_COMPUTED ? f->formula_type : f->type,
                        load_int(l, t, "scale", 4));
    f->required = load_bool(l, t, "required");
    f->unique = load_bool(l, t, "unique");
    f->readonly = load_bool(l, t, "readonly");
    f->search = load_bool(l, t, "search");
    f->localized = load_bool(l, t, "localized");
    f->fixed = load_bool(l, t, "fixed");
    f->currency = load_text(l, t, "currency");
    f->default_expr = load_text(l, t, "default");
    f->when_text = load_text(l, t, "when");
    f->validate = (script_fn)load_int(l, t, "validate", 0);
    f->computed = (script_fn)load_int(l, t, "fn", 0);
    f->formula_text = f->type == FIELD_FORMULA ? load_text(l, t, "expr") : NULL;
    if (f->scale < 0 || f->scale > 6) load_fail(l, f->place, (struct str){0}, "\"scale\" is from 0 to 6");
    take_bound(l, t, "min", f, &f->has_min, &f->min);
    take_bound(l, t, "max", f, &f->has_max, &f->max);
    take_options(l, t, f);
    take_target(l, t, f);
    const char *pipeline = load_text(l, t, "pipeline");
    if (f->type == FIELD_STAGE && pipeline) {
        f->pipeline = catalog_pipeline(l->catalog, str_of(pipeline));
        if (!f->pipeline)
            load_fail(l, f->place, load_near_pipeline(l, pipeline), "there is no pipeline \"%s\"", pipeline);
        f->to = l->catalog->stage;
        if (!f->to)
            load_fail(l, f->place, (struct str){0}, "a field of type stage needs the entity \"stage\"");
    }
    bool stored = f->type != FIELD_FORMULA && f->type != FIELD_COMPUTED && f->type != FIELD_REFS;
    f->column = stored ? arena_printf(l->arena, "\"%s\"", f->name) : NULL;
    if (f->type == FIELD_REFS && e) f->link_table = arena_printf(l->arena, "\"%s.%s\"", e->name, f->name);
}

static const struct {
    const char *name, *en, *ru;
    enum field_type type;
} system_fields[SYSTEM_FIELD_COUNT] = {
    [SYSTEM_ID] = {"id", "Id", "Идентификатор", FIELD_REF},
    [SYSTEM_NUMBER] = {"number", "Number", "Номер", FIELD_TEXT},
    [SYSTEM_CREATED_AT] = {"created_at", "Created", "Создано", FIELD_DATETIME},
    [SYSTEM_CREATED_BY] = {"created_by", "Created by", "Кто создал", FIELD_REF},
    [SYSTEM_UPDATED_AT] = {"updated_at", "Changed", "Изменено", FIELD_DATETIME},
    [SYSTEM_UPDATED_BY] = {"updated_by", "Changed by", "Кто изменил", FIELD_REF},
    [SYSTEM_VERSION] = {"version", "Version", "Версия", FIELD_INTEGER},
    [SYSTEM_ACTIVE] = {"active", "Active", "Действует", FIELD_BOOLEAN},
};

static void system_field(struct loader *l, struct entity *e, int i)
{
    struct field *f = load_alloc(l, 1, sizeof *f);
    if (!f) return;
    *f = (struct field){.name = system_fields[i].name,
                        .column = arena_printf(l->arena, "\"%s\"", system_fields[i].name),
                        .label = {{system_fields[i].en, system_fields[i].ru}},
                        .help = {{"", ""}},
                        .place = e->place,
                        .type = system_fields[i].type,
                        .index = i,
                        .system = true,
                        .hidden = i == SYSTEM_NUMBER && !e->number_prefix,
                        .search = i == SYSTEM_NUMBER && e->number_prefix};
    if (i == SYSTEM_CREATED_BY || i == SYSTEM_UPDATED_BY) f->to = l->catalog->user;
    e->fields[e->field_count++] = f;
}

static void add_fields(struct loader *l, int t, struct entity *e, const char *plugin)
{
    size_t n = load_list(l, t, "fields");
    for (size_t i = 1; i <= n && !l->failed; i++) {
        lua_rawgeti(l->L, -1, (lua_Integer)i);
        struct field *f = load_alloc(l, 1, sizeof *f);
        if (f) {
            load_fill_field(l, lua_gettop(l->L), f, e);
            f->plugin = plugin;
            f->index = (int)e->field_count;
            if (entity_field(e, str_of(f->name)))
                load_fail(l, f->place, (struct str){0}, "field \"%s\" of %s is declared twice", f->name,
                          e->name);
            else if (e->field_count == FIELDS_MAX)
                load_fail(l, f->place, (struct str){0}, "%s has more than %d fields", e->name, FIELDS_MAX);
            else
                e->fields[e->field_count++] = f;
        }
        lua_pop(l->L, 1);
    }
    lua_pop(l->L, 1);
}

static void take_fields(struct loader *l, int t)
{
    const struct entity *found = catalog_entity(l->catalog, str_of(load_text(l, t, "name")));
    if (!found || found->fields) return;
    struct entity *e = writable(found);
    e->fields = load_alloc(l, FIELDS_MAX, sizeof *e->fields);
    for (int i = 0; e->fields && i < SYSTEM_FIELD_COUNT; i++)
        system_field(l, e, i);
    if (!l->failed) add_fields(l, t, e, e->plugin);
}

static void take_extend(struct loader *l, int t)
{
    struct place place = load_place(l, t);
    const struct entity *e = load_entity_named(l, place, "extend", load_text(l, t, "name"));
    if (e) add_fields(l, t, writable(e), load_text(l, t, "plugin"));
}

void load_fields(struct loader *l)
{
    load_each(l, "entity", take_fields);
    load_each(l, "extend", take_extend);
}

/* ---- what refers to fields ---- */

static struct field_set *take_sets(struct loader *l, int t, const char *name, const struct entity *e,
                                   size_t *count)
{
    size_t n = load_list(l, t, name);
    struct field_set *sets = n ? load_alloc(l, n, sizeof *sets) : NULL;
    *count = 0;
    for (size_t i = 1; sets && i <= n; i++) {
        lua_rawgeti(l->L, -1, (lua_Integer)i);
        size_t fields = lua_rawlen(l->L, -1);
        struct field_set *s = &sets[*count];
        s->fields = load_alloc(l, fields, sizeof *s->fields);
        for (size_t k = 1; s->fields && k <= fields; k++) {
            lua_rawgeti(l->L, -1, (lua_Integer)k);
            const char *text = lua_tostring(l->L, -1);
            const struct field *f = text ? load_field_named(l, e->place, name, e, text) : NULL;
            if (f && f->column)
                s->fields[s->count++] = f;
            else if (f)
                load_fail(l, e->place, (struct str){0}, "%s: \"%s\" is not stored in a column", name,
                          f->name);
            lua_pop(l->L, 1);
        }
        if (s->count) ++*count;
        lua_pop(l->L, 1);
    }
    lua_pop(l->L, 1);
    return sets;
}

static void choose_title(struct loader *l, int t, struct entity *e)
{
    const char *title = load_text(l, t, "title");
    if (title) e->title = load_field_named(l, e->place, "title", e, title);
    static const char *const usual[] = {"name", "title", "subject", "code", "login"};
    for (size_t i = 0; !title && i < sizeof usual / sizeof *usual && !e->title; i++)
        e->title = entity_field(e, str_of(usual[i]));
    if (!e->title && !title && e->number_prefix) e->title = e->fields[SYSTEM_NUMBER];
}

static void take_details(struct loader *l, int t)
{
    const struct entity *found = catalog_entity(l->catalog, str_of(load_text(l, t, "name")));
    if (!found || !found->fields) return;
    struct entity *e = writable(found);
    choose_title(l, t, e);
    e->unique = take_sets(l, t, "unique", e, &e->unique_count);
    e->indexes = take_sets(l, t, "index", e, &e->index_count);
    e->code = e->setting ? entity_field(e, STR("code")) : NULL;
    if (e->code) ((struct field *)(uintptr_t)e->code)->fixed = true;
    for (size_t i = 0; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        e->searchable = e->searchable || f->search;
        if (f->search && !e->search_first) e->search_first = f;
        if (f->search && field_value_type(f) != VALUE_TEXT)
            load_fail(l, f->place, (struct str){0}, "\"%s\" is not text: it cannot be searched", f->name);
        if (f->type != FIELD_STAGE || !f->pipeline) continue;
        if (e->stage) load_fail(l, f->place, (struct str){0}, "%s has two fields of type stage", e->name);
        e->stage = f;
        e->pipeline = f->pipeline;
    }
}

static void compile_formula(struct loader *l, const struct entity *e, struct field *f)
{
    struct error mine;
    error_init(&mine, l->error->arena, LANG_EN);
    f->formula = filter_parse_formula(l->arena, l->catalog, e, str_of(f->formula_text), f->formula_type,
                                      f->scale, &mine);
    struct str near =
        mine.first && mine.first->suggestion ? str_of(mine.first->suggestion) : (struct str){NULL, 0};
    if (!f->formula)
        load_fail(l, f->place, near, "formula \"%s\": %s", f->name, mine.detail ? mine.detail : "wrong");
}

/* A default is tried once, so that a wrong one is told now and not at the first record. */
static void try_default(struct loader *l, const struct field *f)
{
    struct error mine;
    struct value v;
    struct filter_env env = {
        .my_directions = STR("[]"), .my_groups = STR("[]"), .my_reports = STR("[]"), .my_roles = STR("[]")};
    if (strcmp(f->default_expr, "@my.direction") == 0) return;
    error_init(&mine, l->error->arena, LANG_EN);
    if (filter_parse_value(f, str_of(f->default_expr), &env, l->arena, &v, &mine)) return;
    load_fail(l, f->place, (struct str){0}, "default of \"%s\": %s", f->name,
              mine.detail ? mine.detail : "wrong");
}

/* A reference to any entity keeps the entity's name in a column beside its own. */
static void check_companion(struct loader *l, const struct entity *e, const struct field *f)
{
    char *beside = f->any ? arena_printf(l->arena, "%s_entity", f->name) : NULL;
    const struct field *other = beside ? entity_field(e, str_of(beside)) : NULL;
    if (other)
        load_fail(l, other->place, (struct str){0},
                  "field \"%s\" of %s: the reference \"%s\" keeps its entity under that name", beside,
                  e->name, f->name);
}

void load_entity_details(struct loader *l)
{
    load_each(l, "entity", take_details);
    for (size_t i = 0; i < l->catalog->entity_count && !l->failed; i++) {
        const struct entity *e = l->catalog->entities[i];
        for (size_t k = SYSTEM_FIELD_COUNT; e->fields && k < e->field_count; k++) {
            check_companion(l, e, e->fields[k]);
            struct field *f = (struct field *)(uintptr_t)e->fields[k];
            if (f->formula_text) compile_formula(l, e, f);
            if (f->when_text) f->when = load_filter(l, f->place, "when", e, f->when_text);
            if (f->default_expr) try_default(l, f);
            if (f->currency && !entity_field(e, str_of(f->currency)))
                load_fail(l, f->place, load_near_field(l, e, f->currency),
                          "currency of \"%s\": there is no field \"%s\"", f->name, f->currency);
        }
    }
}
