/* catalog.c: looking things up in the catalog; see catalog.h. The lists are short, so a search is a walk. */
#include "store/catalog.h"

#include <stdlib.h>

const struct catalog *catalog_ref(const struct catalog *c)
{
    atomic_fetch_add(&((struct catalog *)(uintptr_t)c)->references, 1);
    return c;
}

void catalog_unref(const struct catalog *c)
{
    struct catalog *mine = (struct catalog *)(uintptr_t)c;
    if (!mine || atomic_fetch_sub(&mine->references, 1) != 1) return;
    arena_free(&mine->arena);
    free(mine);
}

const struct entity *catalog_entity(const struct catalog *c, struct str name)
{
    for (size_t i = 0; i < c->entity_count; i++)
        if (str_is(name, c->entities[i]->name)) return c->entities[i];
    return NULL;
}

/* No table, no fields: a rule allows them or does not. */
static const struct entity resources[] = {
    {.name = "token"}, {.name = "webhook"}, {.name = "job"}, {.name = "import"}, {.name = "audit"}};

const struct entity *catalog_resource_nth(size_t n)
{
    return n < sizeof resources / sizeof *resources ? &resources[n] : NULL;
}

const struct entity *catalog_resource(const struct catalog *c, struct str name)
{
    const struct entity *e = catalog_entity(c, name), *r;
    for (size_t i = 0; !e && (r = catalog_resource_nth(i)); i++)
        if (str_is(name, r->name)) e = r;
    return e;
}

const struct entity *catalog_collection(const struct catalog *c, struct str collection)
{
    for (size_t i = 0; i < c->entity_count; i++)
        if (str_is(collection, c->entities[i]->collection)) return c->entities[i];
    return NULL;
}

const struct pipeline *catalog_pipeline(const struct catalog *c, struct str name)
{
    for (size_t i = 0; i < c->pipeline_count; i++)
        if (str_is(name, c->pipelines[i].name)) return &c->pipelines[i];
    return NULL;
}

const struct stage_decl *pipeline_stage(const struct pipeline *p, struct str code)
{
    for (size_t i = 0; i < p->stage_count; i++)
        if (str_is(code, p->stages[i].code)) return &p->stages[i];
    return NULL;
}

const struct chain_decl *catalog_chain(const struct catalog *c, struct str code)
{
    for (size_t i = 0; i < c->chain_count; i++)
        if (str_is(code, c->chains[i].code)) return &c->chains[i];
    return NULL;
}

const struct chain_step_decl *chain_step_find(const struct chain_decl *c, struct str code)
{
    for (size_t i = 0; i < c->step_count; i++)
        if (str_is(code, c->steps[i].code)) return &c->steps[i];
    return NULL;
}

const struct role *catalog_role(const struct catalog *c, struct str code)
{
    for (size_t i = 0; i < c->role_count; i++)
        if (str_is(code, c->roles[i].code)) return &c->roles[i];
    return NULL;
}

const struct field *entity_field(const struct entity *e, struct str name)
{
    for (size_t i = 0; i < e->field_count; i++) { /* without a strlen for each */
        const char *known = e->fields[i]->name;
        if (name.n && known[0] == name.p[0] && strncmp(known, name.p, name.n) == 0 && known[name.n] == '\0')
            return e->fields[i];
    }
    return NULL;
}

const struct action_decl *catalog_action(const struct catalog *c, const struct entity *e, struct str name)
{
    for (size_t i = 0; i < c->action_count; i++)
        if (c->actions[i].entity == e && str_is(name, c->actions[i].name)) return &c->actions[i];
    return NULL;
}

const char *action_kind_name(enum action_kind kind)
{
    static const char *const names[] = {"create", "read", "update", "delete", "import"};
    return kind < ACTION_KIND_COUNT ? names[kind] : "?";
}

const char *field_type_name(enum field_type type)
{
    static const char *const names[] = {"text",    "longtext", "integer",  "decimal", "money", "percent",
                                        "boolean", "date",     "datetime", "email",   "phone", "url",
                                        "option",  "options",  "ref",      "refs",    "stage", "file",
                                        "json",    "formula",  "computed"};
    return type < FIELD_TYPE_COUNT ? names[type] : "?";
}

enum value_type field_value_type(const struct field *f)
{
    enum field_type t = f->type == FIELD_FORMULA || f->type == FIELD_COMPUTED ? f->formula_type : f->type;
    switch (t) {
    case FIELD_INTEGER:
    case FIELD_DECIMAL:
    case FIELD_MONEY:
    case FIELD_PERCENT: return VALUE_NUMBER;
    case FIELD_BOOLEAN: return VALUE_BOOL;
    case FIELD_DATE: return VALUE_DATE;
    case FIELD_DATETIME: return VALUE_DATETIME;
    case FIELD_OPTIONS:
    case FIELD_REFS: return VALUE_SET;
    case FIELD_REF: return f->index == SYSTEM_ID || !f->to || !f->to->setting ? VALUE_ID : VALUE_TEXT;
    case FIELD_FILE: return VALUE_ID;
    default: return VALUE_TEXT;
    }
}

bool field_has_order(const struct entity *e, const struct field *f)
{
    return f == e->title && f->type == FIELD_TEXT && f->column && !f->localized && !e->setting &&
           !e->server && f->index >= SYSTEM_FIELD_COUNT;
}
