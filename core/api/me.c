/* me.c: GET /me: who the caller is and what they may do. */
#include "api/app.h"

static void write_entity_rights(struct call *c, const struct entity *e, struct buf *b)
{
    bool some = false;
    int kinds = e->table ? ACTION_KIND_COUNT : ACTION_IMPORT; /* only records are imported */
    for (int a = 0; a < kinds; a++) {
        if (!access_may(c->who, e, (enum action_kind)a)) continue;
        if (!some) {
            json_key(b, str_of(e->name));
            json_array(b);
        }
        some = true;
        json_cstr(b, action_kind_name((enum action_kind)a));
    }
    if (some) json_end_array(b);
}

/* Entities, and what the server keeps by itself unless a script declared an entity of that name. */
static void write_rights(struct call *c, struct buf *b)
{
    const struct catalog *catalog = c->worker->set->catalog;
    const struct entity *r;
    json_object(b);
    for (size_t i = 0; i < catalog->entity_count; i++)
        write_entity_rights(c, catalog->entities[i], b);
    for (size_t i = 0; (r = catalog_resource_nth(i)); i++)
        if (catalog_resource(catalog, str_of(r->name)) == r) write_entity_rights(c, r, b);
    json_end_object(b);
}

/* The zone's name is the user record's; the principal only has its table. */
static bool write_zone(struct call *c, struct buf *b)
{
    const struct entity *user = c->worker->set->catalog->user;
    const struct field *f = user ? entity_field(user, STR("time_zone")) : NULL;
    struct str zone = {0};
    if (f && c->who->id) {
        struct record *r = record_load(&c->context, user, c->who->id);
        if (!r) return false;
        struct value v = record_get(r, f);
        if (v.type == VALUE_TEXT && v.s.n) zone = v.s;
    }
    json_key(b, STR("time_zone"));
    json_str(b, zone.p ? zone : str_of(c->app->options->time_zone));
    return true;
}

bool me_write(struct call *c, struct buf *b)
{
    const struct principal *p = c->who;
    json_object(b);
    json_key(b, STR("id"));
    json_id(b, p->id);
    json_key(b, STR("login"));
    json_str(b, p->login);
    json_key(b, STR("name"));
    json_str(b, p->name);
    json_key(b, STR("language"));
    json_cstr(b, lang_code(p->env.lang));
    if (!write_zone(c, b)) return false;
    json_key(b, STR("roles"));
    json_raw(b, p->roles_json.n ? p->roles_json : STR("[]"));
    json_key(b, STR("groups"));
    json_raw(b, p->groups_json.n ? p->groups_json : STR("[]"));
    json_key(b, STR("directions"));
    json_raw(b, p->directions_json.n ? p->directions_json : STR("[]"));
    json_key(b, STR("partner"));
    json_id(b, p->env.my_company);
    json_key(b, STR("rights"));
    write_rights(c, b);
    json_end_object(b);
    return true;
}

static bool me(struct call *c)
{
    return me_write(c, c->out) && call_json(c, 200);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/api/v1/me", LANE_READ, 0, "", me, "Who I am and what I may do", NULL, "me", 200},
};

const struct endpoint_table me_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
