/* load_role.c: roles and their rules. One allow { {"create", "read"}, {"a", "b"} } becomes a rule for each
 * pair. */
#include "script/load_util.h"

static bool action_named(const char *name, enum action_kind *out)
{
    for (enum action_kind a = ACTION_CREATE; a < ACTION_KIND_COUNT; a++)
        if (strcmp(action_kind_name(a), name) == 0) return *out = a, true;
    return false;
}

/* Which fields a rule speaks of, by index; NULL: all. */
static const bool *take_field_mask(struct loader *l, const struct entity *e, struct place place,
                                   const char **names, size_t n, bool listed, bool except)
{
    if (!listed) return NULL;
    bool *mask = load_alloc(l, e->field_count, sizeof *mask);
    for (size_t i = 0; mask && i < e->field_count; i++)
        mask[i] = except;
    for (size_t i = 0; mask && i < n; i++) {
        const struct field *f = load_field_named(l, place, "allow", e, names[i]);
        if (f) mask[f->index] = !except;
    }
    return mask;
}

struct rule_shape {
    struct place place;
    const char *where, *follow, *of;
    const char **to;
    size_t to_count;
    const char **fields;
    size_t field_count;
    bool listed, except;
};

static void take_follow(struct loader *l, struct rule *r, const struct rule_shape *s)
{
    r->follow = load_field_named(l, s->place, "follow", r->entity, s->follow);
    if (r->follow && r->follow->type != FIELD_REF)
        load_fail(l, s->place, (struct str){0}, "follow: \"%s\" is not a reference", s->follow);
    if (!s->to_count || !r->follow) return;
    if (!r->follow->any)
        load_fail(l, s->place, (struct str){0}, "to: \"%s\" leads to one kind of record only", s->follow);
    r->follow_to = load_alloc(l, s->to_count, sizeof *r->follow_to);
    for (size_t i = 0; r->follow_to && i < s->to_count; i++) {
        const struct entity *to = load_entity_named(l, s->place, "to", s->to[i]);
        if (to) r->follow_to[r->follow_to_count++] = to;
    }
}

/* "opportunity.company" */
static void take_of(struct loader *l, struct rule *r, const struct rule_shape *s)
{
    struct str rest = str_of(s->of), name = str_cut(&rest, '.');
    const char *entity = arena_dup(l->arena, name), *field = rest.n ? arena_dup(l->arena, rest) : "";
    if (!entity || !field) {
        l->failed = true;
        return;
    }
    r->of_entity = load_entity_named(l, s->place, "of", entity);
    r->of = r->of_entity ? load_field_named(l, s->place, "of", r->of_entity, field) : NULL;
    if (r->of && (r->of->type != FIELD_REF || r->of->to != r->entity))
        load_fail(l, s->place, (struct str){0}, "of: \"%s\" does not refer to one record of \"%s\"", s->of,
                  r->entity->name);
}

static void add_rule(struct loader *l, struct role *role, struct rule *rules, enum action_kind action,
                     const struct entity *e, const struct rule_shape *s)
{
    struct rule *r = &rules[role->rule_count++];
    *r =
        (struct rule){.role = role, .action = action, .entity = e, .where_text = s->where, .place = s->place};
    r->where = load_filter(l, s->place, "where", e, s->where);
    r->fields = take_field_mask(l, e, s->place, s->fields, s->field_count, s->listed, s->except);
    if (s->follow) take_follow(l, r, s);
    if (s->of) take_of(l, r, s);
}

/* Rules of the member on top of the stack: actions × entities. With rules NULL only counts. */
static size_t expand(struct loader *l, struct role *role, struct rule *rules)
{
    int t = lua_gettop(l->L);
    size_t actions, entities;
    const char **a = load_texts(l, t, "actions", &actions), **e = load_texts(l, t, "entities", &entities);
    if (!rules) return actions * entities;
    struct rule_shape s = {.place = load_place(l, t),
                           .where = load_text(l, t, "where"),
                           .follow = load_text(l, t, "follow"),
                           .of = load_text(l, t, "of"),
                           .except = load_bool(l, t, "except")};
    s.to = load_texts(l, t, "to", &s.to_count);
    s.fields = load_texts(l, t, "fields", &s.field_count);
    s.listed = lua_getfield(l->L, t, "fields") == LUA_TTABLE;
    lua_pop(l->L, 1);
    if (entities == 0)
        load_fail(l, s.place, (struct str){0}, "allow names no entity: allow { \"read\", \"opportunity\" }");
    for (size_t i = 0; i < entities; i++) {
        const struct entity *entity = catalog_resource(l->catalog, str_of(e[i]));
        if (!entity) entity = load_entity_named(l, s.place, "allow", e[i]); /* tells of the mistake */
        for (size_t k = 0; entity && k < actions; k++) {
            enum action_kind action;
            if (action_named(a[k], &action)) add_rule(l, role, rules, action, entity, &s);
        }
    }
    return 0;
}

static void take_role(struct loader *l, int t)
{
    struct catalog *c = l->catalog;
    struct role *r = (struct role *)(uintptr_t)&c->roles[c->role_count];
    const char *all = load_text(l, t, "all");
    *r = (struct role){.code = load_text(l, t, "code"),
                       .label = load_label(l, t, "label"),
                       .place = load_place(l, t),
                       .index = (int)c->role_count};
    r->all_write = all && strcmp(all, "write") == 0;
    r->all_read = all != NULL;
    r->partner = load_bool(l, t, "partner");
    if (catalog_role(c, str_of(r->code))) {
        load_fail(l, r->place, (struct str){0}, "role \"%s\" is declared twice", r->code);
        return;
    }
    size_t members = load_list(l, t, "rules"), n = 0;
    for (size_t pass = 0; pass < 2 && !l->failed; pass++) {
        if (pass == 1) r->rules = load_alloc(l, n, sizeof *r->rules);
        for (size_t i = 1; i <= members && !l->failed; i++) {
            lua_rawgeti(l->L, -1, (lua_Integer)i);
            n += expand(l, r, pass ? (struct rule *)(uintptr_t)r->rules : NULL);
            lua_pop(l->L, 1);
        }
    }
    lua_pop(l->L, 1);
    c->role_count++;
}

void load_roles(struct loader *l)
{
    l->catalog->roles = load_alloc(l, load_count(l, "role"), sizeof *l->catalog->roles);
    if (!l->failed) load_each(l, "role", take_role);
}
