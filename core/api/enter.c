/* enter.c: a call arrives on a worker: who asks, with that thread's connection, scripts and caches, and which
 * record it is about. Done anew in each lane, so that nothing of one thread's catalog is used on another's.
 */
#include "api/app.h"

void call_context(struct call *c)
{
    struct worker *w = c->worker;
    context_init(&c->context, w->set->catalog, w->db, c->who, c->arena, &c->error);
    c->context.hooks = &script_hooks;
    c->context.script = w->script;
    c->context.plans = w->plans;
    c->context.patient = c->lane == LANE_SLOW;
    c->context.results = w->owns_db ? w->app->results : NULL; /* the writer sees what is not committed yet */
    c->context.automation = true;
    c->context.env.lang = c->lang;
    c->context.env.now = clock_now();
    const struct call *top = c;
    while (!top->x && top->parent)
        top = top->parent;
    c->context.request = top->x ? top->x->request_id : STR("");
    struct str why = call_parameter(c, "reason"); /* for the log, and for what asks for a reason */
    if (why.n && why.n <= 2000) c->context.why = why;
}

/* Settings answer to their code as well as to their id. */
static bool id_of_code(struct call *c, struct str code)
{
    if (!c->entity->setting || code.n > 100 || memchr(code.p, '\'', code.n) || memchr(code.p, '\\', code.n))
        return false;
    const char *filter = arena_printf(c->arena, "code = '%.*s' and active in (true, false)", STR_ARG(code));
    struct query q = {.entity = c->entity, .filter = str_of(filter), .limit = 1};
    int64_t *ids = NULL;
    size_t n = 0;
    if (!filter || !query_ids(&c->context, &q, &ids, &n) || n == 0) return false;
    c->id = ids[0];
    return true;
}

static bool no_collection(struct call *c, struct str name)
{
    struct suggest near;
    suggest_start(&near, name);
    const struct catalog *catalog = c->worker->set->catalog;
    for (size_t i = 0; i < catalog->entity_count; i++)
        if (access_may(c->who, catalog->entities[i], ACTION_READ))
            suggest_try(&near, str_of(catalog->entities[i]->collection));
    if (near.best.p)
        return error_set(&c->error, ERROR_NOT_FOUND, "there is no collection %.*s; there is %.*s",
                         "нет коллекции %.*s; есть %.*s", STR_ARG(name), STR_ARG(near.best));
    return error_set(&c->error, ERROR_NOT_FOUND, "there is no collection %.*s", "нет коллекции %.*s",
                     STR_ARG(name));
}

bool call_target(struct call *c)
{
    struct str collection = call_capture(c, "collection"), id = call_capture(c, "id");
    if (!collection.p) return true;
    c->entity = catalog_collection(c->worker->set->catalog, collection);
    if (!c->entity) return no_collection(c, collection);
    if (!id.p || id_parse(id, &c->id) || id_of_code(c, id)) return true;
    if (c->error.kind == ERROR_BUSY) return false;
    error_clear(&c->error);
    return error_set(&c->error, ERROR_NOT_FOUND, "there is no record %.*s in %.*s", "записи %.*s нет в %.*s",
                     STR_ARG(id), STR_ARG(collection));
}

bool call_enter(struct call *c, struct worker *w)
{
    c->worker = w;
    if (c->endpoint->flags & OPEN) return true;
    if (!auth_check(c)) return false;
    if (!c->lang_given) {
        c->lang = c->who->env.lang;
        c->error.lang = c->lang;
    }
    call_context(c);
    return call_target(c);
}

void call_leave(struct call *c)
{
    principal_unref(c->who);
    c->who = NULL;
}
