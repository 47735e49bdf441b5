/* load_behaviour.c: hooks, actions, routes, jobs, timers, portals. */
#include "base/cron.h"
#include "base/suggest.h"
#include "script/load_util.h"

static void take_hook(struct loader *l, int t)
{
    static const char *const points[] = {"before_create", "after_create",  "before_change",
                                         "after_change",  "before_delete", "after_delete"};
    struct catalog *c = l->catalog;
    struct hook *h = (struct hook *)(uintptr_t)&c->hooks[c->hook_count];
    const char *point = load_text(l, t, "point");
    *h = (struct hook){
        .place = load_place(l, t), .rule = load_bool(l, t, "rule"), .fn = (script_fn)load_int(l, t, "fn", 0)};
    h->entity = load_entity_named(l, h->place, "on", load_text(l, t, "entity"));
    for (int i = 0; i < HOOK_POINT_COUNT; i++)
        if (point && strcmp(points[i], point) == 0) h->point = (enum hook_point)i;
    if (h->entity) c->hook_count++;
}

/* Each state that a script names is a value of the field. */
static void take_states(struct loader *l, int t)
{
    struct place place = load_place(l, t);
    const struct entity *e = load_entity_named(l, place, "states", load_text(l, t, "entity"));
    const char *name = load_text(l, t, "field");
    const struct field *f = e ? load_field_named(l, place, "states", e, name) : NULL;
    if (!f) return;
    if (f->type != FIELD_OPTION) {
        load_fail(l, place, (struct str){0}, "states: field \"%s\" is not an option", name);
        return;
    }
    size_t n;
    const char **states = load_texts(l, t, "names", &n);
    for (size_t i = 0; i < n; i++) {
        bool known = false;
        struct suggest near;
        suggest_start(&near, str_of(states[i]));
        for (size_t k = 0; k < f->option_count; k++) {
            known = known || strcmp(f->options[k].value, states[i]) == 0;
            suggest_try(&near, str_of(f->options[k].value));
        }
        if (!known)
            load_fail(l, place, near.best, "states: \"%s\" is not a value of field \"%s\"", states[i], name);
    }
}

static void take_action(struct loader *l, int t)
{
    struct catalog *c = l->catalog;
    struct action_decl *a = (struct action_decl *)(uintptr_t)&c->actions[c->action_count];
    const char *right = load_text(l, t, "right");
    *a = (struct action_decl){.name = load_text(l, t, "name"),
                              .label = load_label(l, t, "label"),
                              .when_text = load_text(l, t, "when"),
                              .by_text = load_text(l, t, "by"),
                              .fn = (script_fn)load_int(l, t, "fn", 0),
                              .place = load_place(l, t)};
    a->entity = load_entity_named(l, a->place, "action", load_text(l, t, "entity"));
    if (!a->entity || !a->name) return;
    if (catalog_action(c, a->entity, str_of(a->name))) {
        load_fail(l, a->place, (struct str){0}, "action \"%s\" of %s is declared twice", a->name,
                  a->entity->name);
        return;
    }
    a->when = load_filter(l, a->place, "when", a->entity, a->when_text);
    a->by = load_filter(l, a->place, "by", a->entity, a->by_text);
    a->roles = load_texts(l, t, "roles", &a->role_count);
    for (enum action_kind k = ACTION_CREATE; right && k < ACTION_KIND_COUNT; k++)
        if (strcmp(action_kind_name(k), right) == 0) a->right = k;
    for (size_t i = 0; i < a->role_count; i++)
        if (!catalog_role(c, str_of(a->roles[i])))
            load_fail(l, a->place, load_near_role(l, a->roles[i]), "action: there is no role \"%s\"",
                      a->roles[i]);
    size_t n = load_list(l, t, "fields");
    struct field *fields = n ? load_alloc(l, n, sizeof *fields) : NULL;
    for (size_t i = 0; fields && i < n; i++) {
        lua_rawgeti(l->L, -1, (lua_Integer)i + 1);
        load_fill_field(l, lua_gettop(l->L), &fields[i], NULL);
        fields[i].index = SYSTEM_FIELD_COUNT + (int)i;
        lua_pop(l->L, 1);
    }
    lua_pop(l->L, 1);
    a->fields = fields;
    a->field_count = fields ? n : 0;
    c->action_count++;
}

static void take_route(struct loader *l, int t)
{
    struct catalog *c = l->catalog;
    struct route *r = (struct route *)(uintptr_t)&c->routes[c->route_count++];
    *r = (struct route){.method = load_text(l, t, "method"),
                        .path = load_text(l, t, "path"),
                        .fn = (script_fn)load_int(l, t, "fn", 0),
                        .place = load_place(l, t)};
    r->roles = load_texts(l, t, "roles", &r->role_count);
    for (size_t i = 0; i + 1 < c->route_count; i++)
        if (strcmp(c->routes[i].path, r->path) == 0 && strcmp(c->routes[i].method, r->method) == 0)
            load_fail(l, r->place, (struct str){0}, "route %s %s is declared twice", r->method, r->path);
    for (size_t i = 0; i < r->role_count; i++)
        if (strcmp(r->roles[i], "*") != 0 && !catalog_role(c, str_of(r->roles[i])))
            load_fail(l, r->place, load_near_role(l, r->roles[i]), "route: there is no role \"%s\"",
                      r->roles[i]);
}

static void take_job(struct loader *l, int t)
{
    struct catalog *c = l->catalog;
    struct job *j = (struct job *)(uintptr_t)&c->jobs[c->job_count++];
    *j = (struct job){.name = load_text(l, t, "name"),
                      .retry_min_ms = load_int(l, t, "retry_min", 10000),
                      .retry_max_ms = load_int(l, t, "retry_max", 21600000),
                      .attempts = (int)load_int(l, t, "attempts", 20),
                      .age_ms = load_int(l, t, "age", 0),
                      .fn = (script_fn)load_int(l, t, "fn", 0),
                      .place = load_place(l, t)};
    for (size_t i = 0; i + 1 < c->job_count; i++)
        if (strcmp(c->jobs[i].name, j->name) == 0)
            load_fail(l, j->place, (struct str){0}, "job \"%s\" is declared twice", j->name);
}

static void take_timer(struct loader *l, int t)
{
    struct catalog *c = l->catalog;
    struct timer *m = (struct timer *)(uintptr_t)&c->timers[c->timer_count++];
    *m = (struct timer){.spec = load_text(l, t, "spec"),
                        .name = load_text(l, t, "name"),
                        .cron = load_text(l, t, "cron"),
                        .period_ms = load_int(l, t, "period", 0),
                        .at_minutes = (int)load_int(l, t, "at", -1),
                        .fn = (script_fn)load_int(l, t, "fn", 0),
                        .place = load_place(l, t)};
    struct cron cron;
    size_t at;
    if (m->cron && !cron_parse(str_of(m->cron), &cron, &at))
        load_fail(l, m->place, (struct str){0},
                  "every: \"%s\" is no cron expression (minute hour day month weekday [zone]): see \"%s\"",
                  m->cron, m->cron + at);
    for (size_t i = 0; i + 1 < c->timer_count; i++)
        if (strcmp(c->timers[i].name, m->name) == 0)
            load_fail(l, m->place, (struct str){0}, "every \"%s\" is declared twice", m->name);
}

static void take_portal(struct loader *l, int t)
{
    struct catalog *c = l->catalog;
    struct portal *p = (struct portal *)(uintptr_t)&c->portals[c->portal_count++];
    *p = (struct portal){.code = load_text(l, t, "code"),
                         .path = load_text(l, t, "path"),
                         .direction = load_text(l, t, "direction"),
                         .label = load_label(l, t, "label"),
                         .audience_text = load_text(l, t, "audience"),
                         .settings_json = load_text(l, t, "settings"),
                         .place = load_place(l, t)};
}

void load_behaviour(struct loader *l)
{
    struct catalog *c = l->catalog;
    c->hooks = load_alloc(l, load_count(l, "hook"), sizeof *c->hooks);
    c->actions = load_alloc(l, load_count(l, "action"), sizeof *c->actions);
    c->routes = load_alloc(l, load_count(l, "route"), sizeof *c->routes);
    c->jobs = load_alloc(l, load_count(l, "job"), sizeof *c->jobs);
    c->timers = load_alloc(l, load_count(l, "timer"), sizeof *c->timers);
    c->portals = load_alloc(l, load_count(l, "portal"), sizeof *c->portals);
    if (l->failed) return;
    load_each(l, "states", take_states);
    load_each(l, "hook", take_hook);
    load_each(l, "action", take_action);
    load_each(l, "route", take_route);
    load_each(l, "job", take_job);
    load_each(l, "timer", take_timer);
    load_each(l, "portal", take_portal);
}
