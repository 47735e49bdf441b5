/* load_pipeline.c: pipelines with their stages, chains with their tasks. */
#include "script/load_util.h"

static void take_pipeline(struct loader *l, int t)
{
    struct catalog *c = l->catalog;
    struct pipeline *p = (struct pipeline *)(uintptr_t)&c->pipelines[c->pipeline_count];
    p->name = load_text(l, t, "name");
    p->place = load_place(l, t);
    if (p->name && catalog_pipeline(c, str_of(p->name))) {
        load_fail(l, p->place, (struct str){0}, "pipeline \"%s\" is declared twice", p->name);
        return;
    }
    const char *entity = load_text(l, t, "entity");
    p->entity = entity ? load_entity_named(l, p->place, "pipeline", entity) : NULL;
    p->skip = load_bool(l, t, "skip");
    p->back = load_bool(l, t, "back");
    p->move_text = load_text(l, t, "move");
    c->pipeline_count++;
}

void load_pipelines(struct loader *l)
{
    l->catalog->pipelines = load_alloc(l, load_count(l, "pipeline"), sizeof *l->catalog->pipelines);
    if (!l->failed) load_each(l, "pipeline", take_pipeline);
}

static void take_stages(struct loader *l, int t, struct pipeline *p)
{
    size_t n = load_list(l, t, "stages");
    struct stage_decl *stages = n ? load_alloc(l, n, sizeof *stages) : NULL;
    for (size_t i = 0; stages && i < n; i++) {
        lua_rawgeti(l->L, -1, (lua_Integer)i + 1);
        int s = lua_gettop(l->L);
        struct stage_decl *d = &stages[i];
        *d = (struct stage_decl){.code = load_text(l, s, "code"),
                                 .place = load_place(l, s),
                                 .attributes_json = load_text(l, s, "json"),
                                 .gate = (script_fn)load_int(l, s, "gate", 0),
                                 .on_enter = (script_fn)load_int(l, s, "on_enter", 0),
                                 .on_leave = (script_fn)load_int(l, s, "on_leave", 0),
                                 .chain = load_text(l, s, "chain")};
        d->attribute_names = load_texts(l, s, "names", &d->attribute_count);
        size_t required;
        const char **names = load_texts(l, s, "require", &required);
        for (size_t k = 0; p->entity && k < required; k++)
            load_field_named(l, d->place, "require", p->entity, names[k]);
        lua_pop(l->L, 1);
    }
    lua_pop(l->L, 1);
    p->stages = stages;
    p->stage_count = stages ? n : 0;
}

static void take_pipeline_details(struct loader *l, int t)
{
    const struct pipeline *found = catalog_pipeline(l->catalog, str_of(load_text(l, t, "name")));
    if (!found) return;
    struct pipeline *p = (struct pipeline *)(uintptr_t)found;
    take_stages(l, t, p);
    p->move = load_filter(l, p->place, "move", p->entity, p->move_text);
    p->skip_by = load_filter(l, p->place, "skip_by", p->entity, load_text(l, t, "skip_by"));
    p->back_move = load_filter(l, p->place, "back_by", p->entity, load_text(l, t, "back_by"));
}

void load_pipeline_details(struct loader *l)
{
    load_each(l, "pipeline", take_pipeline_details);
}

/* ---- chains ---- */

static void take_chain(struct loader *l, int t)
{
    struct catalog *c = l->catalog;
    struct chain_decl *chain = (struct chain_decl *)(uintptr_t)&c->chains[c->chain_count];
    *chain = (struct chain_decl){.code = load_text(l, t, "code"),
                                 .place = load_place(l, t),
                                 .attributes_json = load_text(l, t, "json")};
    chain->attribute_names = load_texts(l, t, "names", &chain->attribute_count);
    if (chain->code && catalog_chain(c, str_of(chain->code))) {
        load_fail(l, chain->place, (struct str){0}, "chain \"%s\" is declared twice", chain->code);
        return;
    }
    size_t n = load_list(l, t, "tasks");
    struct chain_step_decl *steps = n ? load_alloc(l, n, sizeof *steps) : NULL;
    for (size_t i = 0; steps && i < n; i++) {
        lua_rawgeti(l->L, -1, (lua_Integer)i + 1);
        int s = lua_gettop(l->L);
        steps[i] = (struct chain_step_decl){.code = load_text(l, s, "full"),
                                            .place = load_place(l, s),
                                            .attributes_json = load_text(l, s, "json"),
                                            .on_done = (script_fn)load_int(l, s, "on_done", 0),
                                            .assignee = (script_fn)load_int(l, s, "pick", 0)};
        steps[i].attribute_names = load_texts(l, s, "names", &steps[i].attribute_count);
        lua_pop(l->L, 1);
    }
    lua_pop(l->L, 1);
    chain->steps = steps;
    chain->step_count = steps ? n : 0;
    c->chain_count++;
}

void load_chains(struct loader *l)
{
    l->catalog->chains = load_alloc(l, load_count(l, "chain"), sizeof *l->catalog->chains);
    if (!l->failed) load_each(l, "chain", take_chain);
    for (size_t i = 0; i < l->catalog->pipeline_count; i++) {
        const struct pipeline *p = &l->catalog->pipelines[i];
        for (size_t k = 0; k < p->stage_count; k++) {
            struct suggest s;
            const struct stage_decl *d = &p->stages[k];
            /* A chain may live in the data alone; a name that is nearly one of ours is a slip. */
            if (!d->chain || catalog_chain(l->catalog, str_of(d->chain))) continue;
            suggest_start(&s, str_of(d->chain));
            for (size_t j = 0; j < l->catalog->chain_count; j++)
                suggest_try(&s, str_of(l->catalog->chains[j].code));
            if (s.best.p)
                load_fail(l, d->place, s.best, "stage \"%s\": there is no chain \"%s\"", d->code, d->chain);
        }
    }
}
