/* load.c: the order in which declarations become the catalog: names first, then what refers to them. */
#include "script/load.h"

#include "script/load_util.h"
#include "script/state.h"

#include <stdlib.h>

#define CATALOG_MAX ((size_t)64 << 20)

static void find_known(struct catalog *c)
{
    const struct {
        const struct entity **slot;
        const char *name;
    } known[] = {{&c->user, "user"},
                 {&c->group, "group"},
                 {&c->role_entity, "role"},
                 {&c->direction, "direction"},
                 {&c->stage, "stage"},
                 {&c->chain, "chain"},
                 {&c->chain_step, "chain_step"},
                 {&c->task, "task"},
                 {&c->stage_change, "stage_change"},
                 {&c->comment, "comment"},
                 {&c->document, "document"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        *known[i].slot = catalog_entity(c, str_of(known[i].name));
}

const struct catalog *catalog_build(lua_State *L, uint64_t version, struct error *e)
{
    struct catalog *c = calloc(1, sizeof *c);
    if (!c) return error_no_memory(e), NULL;
    atomic_init(&c->references, 1);
    arena_init(&c->arena, CATALOG_MAX);
    c->version = version;
    struct loader l = {.L = L, .catalog = c, .arena = &c->arena, .error = e};
    load_entities(&l);
    find_known(c);
    load_pipelines(&l);
    load_fields(&l);
    load_entity_details(&l);
    load_pipeline_details(&l);
    load_chains(&l);
    load_roles(&l);
    load_behaviour(&l);
    lua_getfield(L, LUA_REGISTRYINDEX, REGISTRY_FUNCTIONS);
    c->function_count = (script_fn)lua_rawlen(L, -1);
    lua_pop(L, 1);
    if (l.failed) error_no_memory(e);
    if (!l.failed && l.mistakes == 0) return c;
    error_set(e, ERROR_SCRIPT_ERROR, "the scripts have mistakes", "в сценариях есть ошибки");
    catalog_unref(c);
    return NULL;
}
