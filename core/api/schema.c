/* schema.c: GET /schema: the catalog as the caller may see it: what a desk is built from. */
#include "api/app.h"

#include <stdio.h>

static void write_options(struct buf *b, const struct field *f, enum lang lang)
{
    json_key(b, STR("options"));
    json_array(b);
    for (size_t i = 0; i < f->option_count; i++) {
        json_object(b);
        json_key(b, STR("value"));
        json_cstr(b, f->options[i].value);
        json_key(b, STR("label"));
        json_cstr(b, f->options[i].label.text[lang]);
        json_end_object(b);
    }
    json_end_array(b);
}

static void flag(struct buf *b, const char *key, bool v)
{
    json_key(b, str_of(key));
    json_bool(b, v);
}

static void write_field(struct call *c, const struct entity *e, const struct field *f)
{
    struct buf *b = c->out;
    bool calculated = f->type == FIELD_FORMULA || f->type == FIELD_COMPUTED;
    bool fixed = calculated || f->readonly || (f->system && f->index != SYSTEM_ACTIVE);
    bool write = !fixed && (access_field(c->who, e, f, ACTION_UPDATE) != ACCESS_NEVER ||
                            access_field(c->who, e, f, ACTION_CREATE) != ACCESS_NEVER);
    json_key(b, str_of(f->name));
    json_object(b);
    json_key(b, STR("type"));
    json_cstr(b, field_type_name(f->type));
    json_key(b, STR("label"));
    json_cstr(b, f->label.text[c->lang]);
    json_key(b, STR("help"));
    json_cstr(b, f->help.text[c->lang]);
    flag(b, "required", f->required);
    flag(b, "unique", f->unique);
    flag(b, "read", true);
    flag(b, "write", write);
    flag(b, "search", f->search);
    flag(b, "localized", f->localized);
    if (f->to) {
        json_key(b, STR("to"));
        json_cstr(b, f->to->name);
    } else if (f->any) {
        json_key(b, STR("to"));
        json_cstr(b, "any");
    }
    if (calculated) {
        json_key(b, STR("result"));
        json_cstr(b, field_type_name(f->formula_type));
    }
    if (f->currency) {
        json_key(b, STR("currency"));
        json_cstr(b, f->currency);
    }
    if (f->when_text) {
        json_key(b, STR("when"));
        json_cstr(b, f->when_text);
    }
    if (f->pipeline) {
        json_key(b, STR("pipeline"));
        json_cstr(b, f->pipeline->name);
    }
    if (f->option_count) write_options(b, f, c->lang);
    json_end_object(b);
}

static void write_actions(struct call *c, const struct entity *e)
{
    const struct catalog *catalog = c->context.catalog;
    json_key(c->out, STR("actions"));
    json_array(c->out);
    if (e->stage) json_cstr(c->out, "move");
    for (size_t i = 0; i < catalog->action_count; i++)
        if (catalog->actions[i].entity == e) json_cstr(c->out, catalog->actions[i].name);
    json_end_array(c->out);
}

static bool write_entity(struct call *c, const struct entity *e)
{
    struct buf *b = c->out;
    json_key(b, str_of(e->name));
    json_object(b);
    json_key(b, STR("collection"));
    json_cstr(b, e->collection);
    json_key(b, STR("label"));
    json_cstr(b, e->label.text[c->lang]);
    json_key(b, STR("plural"));
    json_cstr(b, e->plural.text[c->lang]);
    json_key(b, STR("title"));
    json_cstr(b, e->title && access_field(c->who, e, e->title, ACTION_READ) != ACCESS_NEVER ? e->title->name
                                                                                            : "id");
    flag(b, "setting", e->setting);
    json_key(b, STR("fields"));
    json_object(b);
    for (size_t i = 0; i < e->field_count; i++)
        if (!e->fields[i]->hidden && access_field(c->who, e, e->fields[i], ACTION_READ) != ACCESS_NEVER)
            write_field(c, e, e->fields[i]);
    json_end_object(b);
    if (!schema_views(c, e)) return false;
    write_actions(c, e);
    json_end_object(b);
    return true;
}

/* A list of names, whatever an administrator once wrote there. */
static void write_names(struct call *c, struct str text)
{
    struct error ignored;
    error_init(&ignored, c->arena, LANG_EN);
    const struct json_value *all = text.n ? json_parse(c->arena, text, &ignored) : NULL;
    json_array(c->out);
    for (const struct json_value *n = all && all->type == JSON_ARRAY ? all->first : NULL; n; n = n->next)
        if (n->type == JSON_STRING) json_str(c->out, n->text);
    json_end_array(c->out);
}

static bool write_stages(struct call *c, const struct pipeline *p)
{
    const struct entity *e = c->context.catalog->stage;
    struct buf *b = c->out;
    json_key(b, STR("stages"));
    json_array(b);
    if (e && access_may(c->who, e, ACTION_READ)) {
        struct query q = {.entity = e, .limit = 200, .sort = STR("order")};
        const char *filter = arena_printf(c->arena, "pipeline = '%s'", p->name);
        int64_t *ids;
        size_t n;
        q.filter = str_of(filter);
        if (!query_ids(&c->context, &q, &ids, &n)) return false;
        for (size_t i = 0; i < n; i++) {
            struct record *r = record_load(&c->context, e, ids[i]);
            if (!r) return false;
            static const char *const names[] = {"code",    "name",      "lifecycle_step", "probability",
                                                "require", "documents", "chain"};
            static const char *const keys[] = {"code",    "label",     "lifecycle_step", "probability",
                                               "require", "documents", "chain"};
            json_object(b);
            for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
                const struct field *f = entity_field(e, str_of(names[k]));
                if (!f) continue;
                struct value v = record_get(r, f);
                json_key(b, str_of(keys[k]));
                if (f->type == FIELD_JSON)
                    write_names(c, v.s);
                else if (f->localized && v.s.n && v.s.p[0] == '{') {
                    struct json_value *all = json_parse(c->arena, v.s, &c->error);
                    const struct json_value *m = all ? json_member(all, str_of(lang_code(c->lang))) : NULL;
                    m = m ? m : all ? all->first : NULL; /* the language that it has */
                    json_str(b, m ? m->text : v.s);
                } else
                    record_write_value(b, f, v, c->lang);
            }
            json_end_object(b);
        }
    }
    json_end_array(b);
    return true;
}

static bool schema(struct call *c)
{
    const struct catalog *catalog = c->context.catalog;
    struct buf *b = c->out;
    char version[24];
    snprintf(version, sizeof version, "%016llx", (unsigned long long)catalog->version);
    json_object(b);
    json_key(b, STR("version"));
    json_cstr(b, version);
    json_key(b, STR("entities"));
    json_object(b);
    for (size_t i = 0; i < catalog->entity_count; i++)
        if (access_may(c->who, catalog->entities[i], ACTION_READ) && !write_entity(c, catalog->entities[i]))
            return false;
    json_end_object(b);
    json_key(b, STR("pipelines"));
    json_object(b);
    for (size_t i = 0; i < catalog->pipeline_count; i++) {
        const struct pipeline *p = &catalog->pipelines[i];
        if (!p->entity || !access_may(c->who, p->entity, ACTION_READ)) continue;
        json_key(b, str_of(p->name));
        json_object(b);
        json_key(b, STR("entity"));
        json_cstr(b, p->entity->name);
        if (!write_stages(c, p)) return false;
        json_end_object(b);
    }
    json_end_object(b);
    json_end_object(b);
    return call_json(c, 200);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/api/v1/schema", LANE_READ, 0, "", schema, "The catalog as the caller may see it",
     NULL, "schema", 200},
};

const struct endpoint_table schema_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
