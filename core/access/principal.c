/* principal.c: reading who somebody is: roles of their own and of their groups, directions, reports, company.
 */
#include "access/principal.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/json_parse.h"

#include <stdlib.h>

#define ARENA_MAX ((size_t)4 << 20)

static const struct field *user_field(const struct catalog *c, const char *name)
{
    return c->user ? entity_field(c->user, str_of(name)) : NULL;
}

static struct principal *principal_new(const struct catalog *c, struct error *e)
{
    struct principal *p = calloc(1, sizeof *p);
    if (!p) return error_no_memory(e), NULL;
    atomic_init(&p->references, 1);
    arena_init(&p->arena, ARENA_MAX);
    p->catalog = catalog_ref(c);
    p->env.my_directions = p->env.my_groups = p->env.my_reports = p->env.my_roles = STR("[]");
    p->roles_json = p->groups_json = p->directions_json = STR("[]");
    return p;
}

struct principal *principal_ref(struct principal *p)
{
    atomic_fetch_add(&p->references, 1);
    return p;
}

void principal_unref(struct principal *p)
{
    if (!p || atomic_fetch_sub(&p->references, 1) != 1) return;
    catalog_unref(p->catalog);
    arena_free(&p->arena);
    free(p);
}

struct principal *principal_system(const struct catalog *c, struct error *e)
{
    struct principal *p = principal_new(c, e);
    if (!p) return NULL;
    p->active = p->all_read = p->all_write = true;
    p->login = p->name = STR("system");
    p->role_key = STR("*");
    return p;
}

bool principal_has_role(const struct principal *p, struct str code)
{
    for (size_t i = 0; i < p->role_count; i++)
        if (str_is(code, p->roles[i]->code)) return true;
    return false;
}

/* ---- the user's own row ---- */

static const char *column_of(const struct field *f)
{
    return f && f->column ? f->column : "NULL";
}

static struct str column_text(struct principal *p, struct stmt *s, int at)
{
    return stmt_null(s, at) ? (struct str){"", 0} : arena_str(&p->arena, stmt_text(s, at));
}

static bool read_user(struct principal *p, struct db *d, int64_t id, struct error *e)
{
    const struct catalog *c = p->catalog;
    char *sql = arena_printf(&p->arena, "SELECT %s, %s, %s, %s, %s, active FROM %s WHERE id = ?",
                             column_of(user_field(c, "login")), column_of(user_field(c, "name")),
                             column_of(user_field(c, "language")), column_of(user_field(c, "time_zone")),
                             column_of(user_field(c, "partner")), c->user->table);
    struct stmt *s = sql ? db_prepare(d, str_of(sql), e) : NULL;
    if (!s) return e->kind == ERROR_NONE ? error_no_memory(e) : false;
    stmt_bind_int(s, 1, id);
    enum step step = stmt_step(s, e);
    if (step == STEP_ROW) {
        p->id = p->env.me = id;
        p->login = column_text(p, s, 0);
        p->name = column_text(p, s, 1);
        p->env.lang = LANG_EN;
        lang_parse(stmt_text(s, 2), &p->env.lang);
        p->env.zone = stmt_null(s, 3) ? NULL : timezone_find(stmt_text(s, 3));
        p->env.my_company = stmt_int(s, 4);
        p->active = stmt_int(s, 5) != 0;
    }
    db_release(s);
    if (step == STEP_DONE) error_set(e, ERROR_NOT_FOUND, "there is no such user", "нет такого пользователя");
    return step == STEP_ROW;
}

/* ---- sets ---- */

/* Runs a statement whose one column is the JSON array wanted; parameter 1 is the user, as often as it occurs
 * (?1). */
static bool read_set(struct principal *p, struct db *d, const char *sql, struct str *out, struct error *e)
{
    struct stmt *s = sql ? db_prepare(d, str_of(sql), e) : NULL;
    if (!s) return e->kind == ERROR_NONE ? error_no_memory(e) : false;
    stmt_bind_int(s, 1, p->id);
    enum step step = stmt_step(s, e);
    if (step == STEP_ROW) *out = column_text(p, s, 0);
    db_release(s);
    if (step != STEP_ROW || !out->p) return e->kind == ERROR_NONE ? error_no_memory(e) : false;
    return true;
}

/* "x" of a target: its code, or its id as text. */
static const char *shown(const struct field *f, const char *expression, struct arena *a)
{
    return f->to && f->to->setting ? arena_printf(a, "%s", expression)
                                   : arena_printf(a, "id_text(%s)", expression);
}

static bool read_groups(struct principal *p, struct db *d, struct error *e)
{
    const struct field *groups = user_field(p->catalog, "groups");
    if (!groups || !groups->link_table) return true;
    const char *x = shown(groups, "target", &p->arena);
    const char *sql =
        x ? arena_printf(
                &p->arena,
                "SELECT json_group_array(%s) FROM (SELECT target FROM %s WHERE owner = ?1 ORDER BY target)",
                x, groups->link_table)
          : NULL;
    if (!read_set(p, d, sql, &p->env.my_groups, e)) return false;
    p->groups_json = p->env.my_groups;
    return true;
}

/* The ids of the user's groups, as a subquery. */
static const char *group_ids(struct principal *p)
{
    const struct field *groups = user_field(p->catalog, "groups");
    if (!groups || !groups->link_table || !p->catalog->group) return NULL;
    if (!groups->to->setting)
        return arena_printf(&p->arena, "SELECT target FROM %s WHERE owner = ?1", groups->link_table);
    return arena_printf(&p->arena,
                        "SELECT g.id FROM %s AS g JOIN %s AS l ON l.target = g.%s WHERE l.owner = ?1",
                        groups->to->table, groups->link_table, groups->to->code->column);
}

/* One field of a user and the same of their groups: refs through link tables, a ref through its column. */
static const char *union_part(struct principal *p, const struct entity *e, const char *name,
                              const char *owners)
{
    const struct field *f = e ? entity_field(e, str_of(name)) : NULL;
    if (!f || !owners) return "";
    if (f->type == FIELD_REFS)
        return arena_printf(&p->arena, " UNION SELECT target FROM %s WHERE owner IN (%s)", f->link_table,
                            owners);
    return arena_printf(&p->arena, " UNION SELECT %s FROM %s WHERE id IN (%s) AND %s IS NOT NULL", f->column,
                        e->table, owners, f->column);
}

static bool read_directions(struct principal *p, struct db *d, struct error *e)
{
    const struct catalog *c = p->catalog;
    const char *groups = group_ids(p);
    const char *a = union_part(p, c->user, "direction", "?1"),
               *b = union_part(p, c->user, "directions", "?1"),
               *g = union_part(p, c->group, "direction", groups);
    if (!a || !b || !g) return error_no_memory(e);
    /* One's own direction comes first: it is the default of new records. */
    const struct field *own = entity_field(c->user, STR("direction"));
    const char *sql = arena_printf(
        &p->arena,
        "SELECT json_group_array(x) FROM (SELECT x FROM (SELECT NULL AS x%s%s%s) WHERE x IS NOT NULL "
        "ORDER BY x IS NOT (SELECT %s FROM %s WHERE id = ?1), x)",
        a, b, g, column_of(own), c->user->table);
    if (!read_set(p, d, sql, &p->env.my_directions, e)) return false;
    p->directions_json = p->env.my_directions;
    return true;
}

static bool read_reports(struct principal *p, struct db *d, struct error *e)
{
    const struct field *manager = user_field(p->catalog, "manager");
    if (!manager || !manager->column) return true;
    const char *table = p->catalog->user->table;
    const char *sql = arena_printf(&p->arena,
                                   "WITH RECURSIVE r(id) AS (SELECT id FROM %s WHERE %s = ?1 UNION SELECT "
                                   "u.id FROM %s AS u JOIN r ON u.%s = r.id) "
                                   "SELECT json_group_array(id_text(id)) FROM r WHERE id <> ?1",
                                   table, manager->column, table, manager->column);
    return read_set(p, d, sql, &p->env.my_reports, e);
}

/* ---- roles ---- */

static bool keep_roles(struct principal *p, struct error *e)
{
    struct json_value *codes = json_parse(&p->arena, p->env.my_roles, e);
    if (!codes) return false;
    p->roles = arena_array(&p->arena, codes->count + 1, sizeof *p->roles);
    char *key = arena_alloc(&p->arena, p->env.my_roles.n + 1);
    if (!p->roles || !key) return error_no_memory(e);
    size_t at = 0;
    for (struct json_value *i = codes->first; i; i = i->next) {
        const struct role *role = catalog_role(p->catalog, i->text);
        if (!role) continue; /* a record without a script grants nothing */
        p->roles[p->role_count++] = role;
        p->all_read = p->all_read || role->all_read || role->all_write;
        p->all_write = p->all_write || role->all_write;
        if (at) key[at++] = ',';
        memcpy(key + at, i->text.p, i->text.n);
        at += i->text.n;
    }
    p->role_key = (struct str){key, at};
    return true;
}

static bool read_roles(struct principal *p, struct db *d, struct error *e)
{
    const struct catalog *c = p->catalog;
    const char *own = union_part(p, c->user, "roles", "?1"),
               *of_groups = union_part(p, c->group, "roles", group_ids(p));
    if (!own || !of_groups) return error_no_memory(e);
    const char *sql = arena_printf(&p->arena,
                                   "SELECT json_group_array(x) FROM (SELECT x FROM (SELECT NULL AS x%s%s) "
                                   "WHERE x IS NOT NULL ORDER BY x)",
                                   own, of_groups);
    if (!read_set(p, d, sql, &p->env.my_roles, e)) return false;
    p->roles_json = p->env.my_roles;
    return keep_roles(p, e);
}

struct principal *principal_load(struct db *d, const struct catalog *c, int64_t id, struct error *e)
{
    if (!c->user)
        return error_set(e, ERROR_INTERNAL, "no entity \"user\" is declared", "не объявлена сущность user"),
               NULL;
    struct principal *p = principal_new(c, e);
    if (!p) return NULL;
    bool ok = store_epoch(d, &p->epoch, e) && read_user(p, d, id, e) && read_groups(p, d, e) &&
              read_directions(p, d, e) && read_reports(p, d, e) && read_roles(p, d, e);
    if (ok) return p;
    principal_unref(p);
    return NULL;
}
