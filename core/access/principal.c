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
    p->thread = pthread_self();
    p->valid_until = INT64_MAX;
    p->env.my_directions = p->env.my_groups = p->env.my_reports = p->env.my_roles = STR("[]");
    p->env.my_absent = p->env.my_levels = STR("[]");
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

/* Whom a set is about: the user, or the user and those they stand in for. */
#define ME "?1"
#define ME_AND_ABSENT "SELECT ?1 UNION SELECT id_parse(value) FROM json_each(?2)"

/* Runs a statement whose one column is the JSON array wanted. ?1 is the user, ?2 (where the text has it) the
 * absent. */
static bool read_set(struct principal *p, struct db *d, const char *sql, struct str *out, struct error *e)
{
    struct stmt *s = sql ? db_prepare(d, str_of(sql), e) : NULL;
    if (!s) return e->kind == ERROR_NONE ? error_no_memory(e) : false;
    stmt_bind_int(s, 1, p->id);
    if (strstr(sql, "?2")) stmt_bind_text(s, 2, p->env.my_absent);
    enum step step = stmt_step(s, e);
    if (step == STEP_ROW) *out = column_text(p, s, 0);
    db_release(s);
    if (step != STEP_ROW || !out->p) return e->kind == ERROR_NONE ? error_no_memory(e) : false;
    return true;
}

/* The ids of the active groups of `owners`, as a subquery. */
static const char *group_ids(struct principal *p, const char *owners)
{
    const struct field *groups = user_field(p->catalog, "groups");
    if (!groups || !groups->link_table || !p->catalog->group) return NULL;
    return arena_printf(&p->arena,
                        "SELECT g.id FROM %s AS g JOIN %s AS l ON l.target = g.%s WHERE l.owner IN (%s) AND "
                        "g.active = 1",
                        groups->to->table, groups->link_table,
                        groups->to->setting ? groups->to->code->column : "id", owners);
}

static bool read_groups(struct principal *p, struct db *d, struct error *e)
{
    const char *ids = group_ids(p, ME);
    if (!ids) return true;
    const struct entity *group = p->catalog->group;
    const char *x =
        group->setting ? group->code->column : "id_text(id)"; /* as references to groups are written */
    const char *sql = arena_printf(
        &p->arena, "SELECT json_group_array(x) FROM (SELECT %s AS x FROM %s WHERE id IN (%s) ORDER BY id)", x,
        group->table, ids);
    if (!read_set(p, d, sql, &p->env.my_groups, e)) return false;
    p->groups_json = p->env.my_groups;
    return true;
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
    const char *a = union_part(p, c->user, "direction", ME_AND_ABSENT),
               *b = union_part(p, c->user, "directions", ME_AND_ABSENT),
               *g = union_part(p, c->group, "direction", group_ids(p, ME_AND_ABSENT));
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
                                   "WITH RECURSIVE r(id) AS (SELECT id FROM %s WHERE %s IN (" ME_AND_ABSENT
                                   ") UNION SELECT u.id FROM %s AS u JOIN r ON u.%s = r.id) "
                                   "SELECT json_group_array(id_text(id)) FROM r WHERE id <> ?1",
                                   table, manager->column, table, manager->column);
    return read_set(p, d, sql, &p->env.my_reports, e);
}

/* ---- absences ---- */

/* Now within the days from … to? The next moment at which that changes bounds how long p is valid. */
static bool absent_now(struct principal *p, const struct timezone_data *zone, bool has_from, int64_t from,
                       bool has_to, int64_t to, int64_t now)
{
    int64_t begin = has_from ? timezone_day_start(zone, from) : INT64_MIN,
            end = has_to ? timezone_day_start(zone, to + 1) : INT64_MAX;
    if (now < begin && begin < p->valid_until) p->valid_until = begin;
    if (now < begin || now >= end) return false;
    if (end < p->valid_until) p->valid_until = end;
    return true;
}

static bool read_absent(struct principal *p, struct db *d, int64_t now, struct error *e)
{
    const struct catalog *c = p->catalog;
    const struct field *deputy = user_field(c, "deputy"), *from = user_field(c, "absent_from"),
                       *to = user_field(c, "absent_to");
    if (!deputy || !from || !to) return true;
    char *sql = arena_printf(&p->arena,
                             "SELECT id, %s, %s, %s FROM %s WHERE %s = ? AND id <> ? AND active = 1 AND "
                             "coalesce(%s, %s) IS NOT NULL ORDER BY id",
                             from->column, to->column, column_of(user_field(c, "time_zone")), c->user->table,
                             deputy->column, from->column, to->column);
    struct stmt *s = sql ? db_prepare(d, str_of(sql), e) : NULL;
    if (!s) return e->kind == ERROR_NONE ? error_no_memory(e) : false;
    stmt_bind_int(s, 1, p->id);
    stmt_bind_int(s, 2, p->id);
    struct buf list;
    buf_init(&list, 1 << 20);
    json_array(&list);
    enum step step;
    while ((step = stmt_step(s, e)) == STEP_ROW) {
        const struct timezone_data *zone = stmt_null(s, 3) ? NULL : timezone_find(stmt_text(s, 3));
        if (absent_now(p, zone, !stmt_null(s, 1), stmt_int(s, 1), !stmt_null(s, 2), stmt_int(s, 2), now))
            json_id(&list, stmt_int(s, 0));
    }
    db_release(s);
    json_end_array(&list);
    bool ok = step == STEP_DONE;
    p->env.my_absent = list.failed ? (struct str){NULL, 0} : arena_str(&p->arena, buf_view(&list));
    buf_free(&list);
    return ok && !p->env.my_absent.p ? error_no_memory(e) : ok;
}

/* ---- the level of my company ---- */

/* Levels are the options of partner.level, from the least on: mine and those before it. */
static bool read_levels(struct principal *p, struct db *d, struct error *e)
{
    const struct field *company = user_field(p->catalog, "partner"),
                       *level = company && company->to ? entity_field(company->to, STR("level")) : NULL;
    if (!level || level->type != FIELD_OPTION || p->env.my_company == 0) return true;
    char *sql = arena_printf(&p->arena, "SELECT %s FROM %s WHERE id = ?", level->column, company->to->table);
    struct stmt *s = sql ? db_prepare(d, str_of(sql), e) : NULL;
    if (!s) return e->kind == ERROR_NONE ? error_no_memory(e) : false;
    stmt_bind_int(s, 1, p->env.my_company);
    enum step step = stmt_step(s, e);
    struct str mine = step == STEP_ROW ? column_text(p, s, 0) : STR("");
    db_release(s);
    if (step == STEP_ERROR) return false;
    struct buf list;
    bool known = false;
    buf_init(&list, 65536);
    json_array(&list);
    for (size_t i = 0; i < level->option_count && !known; i++) {
        known = str_is(mine, level->options[i].value);
        json_cstr(&list, level->options[i].value);
    }
    json_end_array(&list);
    p->env.my_levels = known && !list.failed ? arena_str(&p->arena, buf_view(&list)) : STR("[]");
    bool ok = !list.failed && p->env.my_levels.p;
    buf_free(&list);
    return ok ? true : error_no_memory(e);
}

/* ---- roles ---- */

/* Staff of a partner never hold a role of the vendor's, whoever granted it and by whatever way. */
static bool counts(const struct principal *p, const struct role *role)
{
    return role && (p->env.my_company == 0 || role->partner);
}

static bool keep_roles(struct principal *p, struct str granted, struct error *e)
{
    struct json_value *codes = json_parse(&p->arena, granted, e);
    if (!codes) return false;
    struct buf key, list;
    buf_init(&key, 65536);
    buf_init(&list, 65536);
    p->roles = arena_array(&p->arena, codes->count + 1, sizeof *p->roles);
    json_array(&list);
    for (struct json_value *i = codes->first; p->roles && i; i = i->next) {
        const struct role *role = catalog_role(p->catalog, i->text);
        if (!counts(p, role)) continue; /* nor does a record without a script grant anything */
        if (p->role_count) buf_char(&key, ',');
        buf_str(&key, i->text);
        json_str(&list, i->text);
        p->roles[p->role_count++] = role;
        p->all_read = p->all_read || role->all_read || role->all_write;
        p->all_write = p->all_write || role->all_write;
    }
    json_end_array(&list);
    char shape[FILTER_SHAPE];
    p->env.my_roles = list.failed ? STR("[]") : buf_view(&list);
    filter_shape(&p->env, shape);
    buf_char(&key, ' ');
    buf_cstr(&key, shape);
    bool ok = p->roles && !key.failed && !list.failed;
    p->role_key = ok ? arena_str(&p->arena, buf_view(&key)) : (struct str){NULL, 0};
    p->roles_json = p->env.my_roles = ok ? arena_str(&p->arena, buf_view(&list)) : (struct str){NULL, 0};
    buf_free(&key);
    buf_free(&list);
    return p->role_key.p && p->roles_json.p ? true : error_no_memory(e);
}

static bool read_roles(struct principal *p, struct db *d, struct error *e)
{
    const struct catalog *c = p->catalog;
    const char *own = union_part(p, c->user, "roles", ME),
               *of_groups = union_part(p, c->group, "roles", group_ids(p, ME)), *active = "";
    if (c->role_entity && c->role_entity->code)
        active = arena_printf(&p->arena, " AND x IN (SELECT %s FROM %s WHERE active = 1)",
                              c->role_entity->code->column, c->role_entity->table);
    if (!own || !of_groups || !active) return error_no_memory(e);
    const char *sql = arena_printf(&p->arena,
                                   "SELECT json_group_array(x) FROM (SELECT x FROM (SELECT NULL AS x%s%s) "
                                   "WHERE x IS NOT NULL%s ORDER BY x)",
                                   own, of_groups, active);
    struct str granted;
    return read_set(p, d, sql, &granted, e) && keep_roles(p, granted, e);
}

struct principal *principal_load(struct db *d, const struct catalog *c, int64_t id, struct error *e)
{
    return principal_load_at(d, c, id, clock_now(), e);
}

struct principal *principal_load_at(struct db *d, const struct catalog *c, int64_t id, int64_t now,
                                    struct error *e)
{
    if (!c->user)
        return error_set(e, ERROR_INTERNAL, "no entity \"user\" is declared", "не объявлена сущность user"),
               NULL;
    struct principal *p = principal_new(c, e);
    if (!p) return NULL;
    bool ok = store_epoch(d, &p->epoch, e) && read_user(p, d, id, e) && read_absent(p, d, now, e) &&
              read_groups(p, d, e) && read_directions(p, d, e) && read_reports(p, d, e) &&
              read_levels(p, d, e) && read_roles(p, d, e);
    if (ok) return p;
    principal_unref(p);
    return NULL;
}
