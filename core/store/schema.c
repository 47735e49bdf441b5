/* schema.c: what would have to change in the database, and doing it. perigee_schema remembers from what each
 * table, column, link table, index and search index was made; a difference there is a step of the plan. */
#include "store/schema.h"

#include "base/clock.h"
#include "store/filter.h"
#include "store/schema_sql.h"
#include "store/search.h"

#include <inttypes.h>

struct known { /* a row of perigee_schema */
    struct known *next;
    const char *kind, *entity, *name, *made_from;
    bool wanted;
};

struct planner {
    struct db *db;
    const struct catalog *catalog;
    struct arena *arena;
    struct schema_plan *plan;
    struct schema_step *last;
    struct known *known;
    struct error *error;
    size_t mistakes;
};

static bool read_known(struct planner *p)
{
    struct stmt *s =
        db_prepare(p->db, STR("SELECT kind, entity, name, made_from FROM perigee_schema"), p->error);
    if (!s) return false;
    enum step step;
    bool ok = true;
    while (ok && (step = stmt_step(s, p->error)) == STEP_ROW) {
        struct known *k = arena_alloc(p->arena, sizeof *k);
        ok = k != NULL;
        if (!ok) break;
        k->kind = arena_dup(p->arena, stmt_text(s, 0));
        k->entity = arena_dup(p->arena, stmt_text(s, 1));
        k->name = arena_dup(p->arena, stmt_text(s, 2));
        k->made_from = arena_dup(p->arena, stmt_text(s, 3));
        ok = k->kind && k->entity && k->name && k->made_from;
        k->next = p->known;
        p->known = k;
    }
    db_release(s);
    return ok ? step == STEP_DONE : error_no_memory(p->error);
}

static struct known *find(struct planner *p, const char *kind, const char *entity, const char *name)
{
    for (struct known *k = p->known; k; k = k->next)
        if (strcmp(k->kind, kind) == 0 && strcmp(k->entity, entity) == 0 && strcmp(k->name, name) == 0)
            return k;
    return NULL;
}

static struct schema_step *add(struct planner *p, const char *kind, const char *entity, const char *name,
                               const char *made_from, const char *sql, const char *words)
{
    struct schema_step *s = arena_alloc(p->arena, sizeof *s);
    if (!s || !sql || !words) {
        error_no_memory(p->error);
        return NULL;
    }
    *s = (struct schema_step){
        .kind = kind, .entity = entity, .name = name, .made_from = made_from, .sql = sql, .words = words};
    if (p->last)
        p->last->next = s;
    else
        p->plan->first = s;
    p->last = s;
    p->plan->count++;
    return s;
}

static void drop(struct planner *p, const struct known *k, const char *sql, const char *words, bool loses)
{
    struct schema_step *s = add(p, k->kind, k->entity, k->name, NULL, sql, words);
    if (!s) return;
    s->loses = loses;
    p->plan->losing += loses;
}

/* ---- tables and columns ---- */

static void refuse(struct planner *p, const struct entity *e, const struct field *f, const char *code,
                   const char *en, const char *ru)
{
    struct error_entry *entry = error_add(p->error, NULL, code, "field %s.%s %s", "поле %s.%s %s", e->name,
                                          f->name, p->error->lang == LANG_RU ? ru : en);
    entry->file = f->place.file;
    entry->line = f->place.line;
    p->mistakes++;
}

static void type_changed(struct planner *p, const struct entity *e, const struct field *f)
{
    refuse(p, e, f, "type_changed",
           "has another kind of content in the database: give the new field another name",
           "в базе хранится иначе: дайте новому полю другое имя");
}

/* Whether the table has rows; a failure counts as yes and is in the error. */
static bool has_rows(struct planner *p, const struct entity *e)
{
    char *sql = arena_printf(p->arena, "SELECT 1 FROM %s LIMIT 1", e->table);
    struct stmt *s = sql ? db_prepare(p->db, str_of(sql), p->error) : NULL;
    enum step step = s ? stmt_step(s, p->error) : STEP_ERROR;
    db_release(s);
    return step != STEP_DONE;
}

/* The field's default as an SQL literal, for rows that are there already; NULL: it has none that suits them
 * all. */
static const char *default_literal(struct planner *p, const struct field *f)
{
    struct filter_env env = {.now = clock_now(),
                             .my_directions = STR("[]"),
                             .my_groups = STR("[]"),
                             .my_reports = STR("[]"),
                             .my_roles = STR("[]")};
    struct value v;
    struct error ignored;
    error_init(&ignored, p->arena, p->error->lang);
    if (!f->default_expr || strncmp(f->default_expr, "@my", 3) == 0 ||
        !filter_parse_value(f, str_of(f->default_expr), &env, p->arena, &v, &ignored) || v.type == VALUE_NULL)
        return NULL;
    if (v.type != VALUE_TEXT && v.type != VALUE_SET) return arena_printf(p->arena, "%" PRId64, v.i);
    struct buf b;
    buf_init(&b, 65536);
    buf_cstr(&b, "'");
    for (size_t i = 0; i < v.s.n; i++)
        buf_add(&b, v.s.p[i] == '\'' ? "''" : v.s.p + i, v.s.p[i] == '\'' ? 2 : 1);
    buf_cstr(&b, "'");
    const char *out = b.failed ? NULL : arena_dup(p->arena, buf_view(&b));
    buf_free(&b);
    return out;
}

/* ADD COLUMN takes one column at a time (an `any` reference has a second one), and none that refers to
 * something with a default (https://www.sqlite.org/lang_altertable.html): such a one is filled by a second
 * statement. */
static const char *add_column(struct planner *p, const struct entity *e, const struct field *f, bool required,
                              const char *fallback)
{
    bool pointing = f->type == FIELD_REF || f->type == FIELD_STAGE, filled = fallback && pointing;
    const char *column = schema_column(p->arena, f, required && !filled, filled ? NULL : fallback);
    const char *comma = column && f->any ? strstr(column, ", \"") : NULL;
    const char *first = comma ? arena_dup(p->arena, (struct str){column, (size_t)(comma - column)}) : column;
    if (!first) return NULL;
    if (comma)
        return arena_printf(p->arena, "ALTER TABLE %s ADD COLUMN %s; ALTER TABLE %s ADD COLUMN %s", e->table,
                            first, e->table, comma + 2);
    if (filled)
        return arena_printf(p->arena, "ALTER TABLE %s ADD COLUMN %s; UPDATE %s SET %s = %s", e->table, first,
                            e->table, f->column, fallback);
    return arena_printf(p->arena, "ALTER TABLE %s ADD COLUMN %s", e->table, first);
}

static void plan_column(struct planner *p, const struct entity *e, const struct field *f, bool new_table)
{
    const char *made = arena_printf(p->arena, "%d %s %s", (int)field_value_type(f),
                                    f->to && !f->any ? f->to->name : "-", f->any ? "any" : "-");
    struct known *k = find(p, "column", e->name, f->name);
    if (k) k->wanted = true;
    if (!made) {
        error_no_memory(p->error);
        return;
    }
    if (new_table) {
        add(p, "column", e->name, f->name, made, "", "");
        return;
    }
    if (k && strcmp(k->made_from, made) != 0) type_changed(p, e, f);
    if (k) return;
    bool required = schema_required(f), rows = required && has_rows(p, e);
    const char *fallback = rows ? default_literal(p, f) : NULL;
    if (rows && !fallback)
        refuse(p, e, f, "required",
               "is required, but there are records without it: give it a default, or require it later",
               "обязательно, но уже есть записи без него: задайте значение по умолчанию или сделайте поле "
               "обязательным позже");
    add(p, "column", e->name, f->name, made, add_column(p, e, f, required, fallback),
        arena_printf(p->arena, "add field %s.%s (%s)", e->name, f->name, field_type_name(f->type)));
}

static void plan_order(struct planner *p, const struct entity *e, const struct field *f, bool new_table)
{
    struct known *k = find(p, "order", e->name, f->name);
    if (k) k->wanted = true;
    if (k) return;
    add(p, "order", e->name, f->name, "1",
        new_table
            ? ""
            : arena_printf(
                  p->arena,
                  "ALTER TABLE %s ADD COLUMN \"%s~order\" TEXT; UPDATE %s SET \"%s~order\" = order_key(%s)",
                  e->table, f->name, e->table, f->name, f->column),
        new_table ? "" : arena_printf(p->arena, "write down the order of %s.%s", e->name, f->name));
}

static void plan_link(struct planner *p, const struct entity *e, const struct field *f)
{
    const char *sql = schema_link(p->arena, e, f);
    struct known *k = find(p, "link", e->name, f->name);
    if (k) k->wanted = true;
    if (k && sql && strcmp(k->made_from, sql) != 0) type_changed(p, e, f);
    if (k) return;
    add(p, "link", e->name, f->name, sql, sql,
        arena_printf(p->arena, "add field %s.%s (many %s)", e->name, f->name, f->to->plural.text[LANG_EN]));
    const char *index = arena_printf(p->arena, "CREATE INDEX \"ix_%s.%s\" ON %s (target, owner)", e->name,
                                     f->name, f->link_table);
    add(p, "link_index", e->name, f->name, index, index, "");
}

static void plan_table(struct planner *p, const struct entity *e)
{
    struct known *k = find(p, "table", e->name, "");
    if (k)
        k->wanted = true;
    else
        add(p, "table", e->name, "", "1", schema_table(p->arena, e),
            arena_printf(p->arena, "create table %s", e->name));
    for (size_t i = 0; i < e->field_count; i++)
        if (schema_has_column(e->fields[i])) plan_column(p, e, e->fields[i], !k);
    if (e->title && field_has_order(e, e->title)) plan_order(p, e, e->title, !k);
}

static void plan_links(struct planner *p, const struct entity *e)
{
    for (size_t i = 0; i < e->field_count; i++) {
        struct known *k = find(p, "link_index", e->name, e->fields[i]->name);
        if (e->fields[i]->type != FIELD_REFS) continue;
        if (k) k->wanted = true;
        plan_link(p, e, e->fields[i]);
    }
}

/* ---- indices ---- */

static void plan_index(struct planner *p, const struct entity *e, const char *name, const char *sql)
{
    if (!name || !sql) {
        error_no_memory(p->error);
        return;
    }
    struct known *k = find(p, "index", e->name, name);
    if (k && strcmp(k->made_from, sql) == 0) {
        k->wanted = true;
        return;
    }
    if (k) {
        drop(p, k, arena_printf(p->arena, "DROP INDEX IF EXISTS \"%s\"", name), "", false);
        k->wanted = true;
    }
    add(p, "index", e->name, name, sql, sql, arena_printf(p->arena, "create index %s", name));
}

static void put_index(void *ctx, const struct entity *e, const char *name, const char *columns, bool unique)
{
    struct planner *p = ctx;
    const char *n = name ? arena_dup(p->arena, str_of(name)) : NULL;
    plan_index(p, e, n,
               n && columns ? arena_printf(p->arena, "CREATE %sINDEX \"%s\" ON %s (%s)",
                                           unique ? "UNIQUE " : "", n, e->table, columns)
                            : NULL);
}

/* ---- search ---- */

static void plan_search(struct planner *p, const struct entity *e)
{
    const char *sql = schema_search(p->arena, e);
    struct known *k = find(p, "search", e->name, "");
    if (k && sql && strcmp(k->made_from, sql) == 0) {
        k->wanted = true;
        return;
    }
    if (k) {
        drop(p, k, arena_printf(p->arena, "DROP TABLE \"search_%s\"", e->name), "", false);
        k->wanted = true;
    }
    if (!sql) return;
    struct schema_step *s =
        add(p, "search", e->name, "", sql, sql, arena_printf(p->arena, "index %s for search", e->name));
    if (s) s->reindex = e;
}

/* ---- what is no longer declared ---- */

static void plan_unwanted(struct planner *p, const struct known *k)
{
    struct arena *a = p->arena;
    if (strcmp(k->kind, "index") == 0)
        drop(p, k, arena_printf(a, "DROP INDEX IF EXISTS \"%s\"", k->name),
             arena_printf(a, "drop index %s", k->name), false);
    else if (strcmp(k->kind, "search") == 0)
        drop(p, k, arena_printf(a, "DROP TABLE IF EXISTS \"search_%s\"", k->entity),
             arena_printf(a, "no longer search %s", k->entity), false);
    else if (strcmp(k->kind, "order") == 0 && catalog_entity(p->catalog, str_of(k->entity)))
        drop(p, k,
             arena_printf(
                 a, "DROP INDEX IF EXISTS \"ix_%s_%s_order\"; ALTER TABLE \"%s\" DROP COLUMN \"%s~order\"",
                 k->entity, k->name, k->entity, k->name),
             "", false);
    else if (strcmp(k->kind, "link") == 0)
        drop(p, k, arena_printf(a, "DROP TABLE IF EXISTS \"%s.%s\"", k->entity, k->name),
             arena_printf(a, "DROP field %s.%s with its data", k->entity, k->name), true);
    else if (strcmp(k->kind, "table") == 0)
        drop(p, k, arena_printf(a, "DROP TABLE IF EXISTS \"%s\"", k->entity),
             arena_printf(a, "DROP table %s with its data", k->entity), true);
    else if (strcmp(k->kind, "column") == 0 && catalog_entity(p->catalog, str_of(k->entity)))
        drop(p, k, arena_printf(a, "ALTER TABLE \"%s\" DROP COLUMN \"%s\"", k->entity, k->name),
             arena_printf(a, "DROP field %s.%s with its data", k->entity, k->name), true);
    else
        drop(p, k, "", "", true); /* goes with its table */
}

bool schema_plan(struct db *d, const struct catalog *c, struct arena *arena, struct schema_plan *plan,
                 struct error *e)
{
    *plan = (struct schema_plan){0};
    struct planner p = {.db = d, .catalog = c, .arena = arena, .plan = plan, .error = e};
    if (!read_known(&p)) return false;
    for (size_t i = 0; i < c->entity_count; i++)
        plan_table(&p, c->entities[i]);
    for (size_t i = 0; i < c->entity_count; i++)
        plan_links(&p, c->entities[i]);
    for (size_t i = 0; i < c->entity_count; i++) {
        schema_indexes(c, c->entities[i], &(struct index_sink){&p, put_index});
        plan_search(&p, c->entities[i]);
    }
    for (struct known *k = p.known; k; k = k->next)
        if (!k->wanted) plan_unwanted(&p, k);
    if (p.mistakes)
        error_set(e, ERROR_SCRIPT_ERROR, "the database cannot follow the scripts",
                  "база данных не может последовать за сценариями");
    return e->kind == ERROR_NONE;
}

/* ---- doing it ---- */

static bool remember(struct db *d, const struct schema_step *s, struct error *e)
{
    struct str sql =
        s->made_from
            ? STR("INSERT OR REPLACE INTO perigee_schema (kind, entity, name, made_from) VALUES (?, ?, ?, ?)")
            : STR("DELETE FROM perigee_schema WHERE kind = ? AND entity = ? AND name = ?");
    struct stmt *q = db_prepare(d, sql, e);
    if (!q) return false;
    stmt_bind_text(q, 1, str_of(s->kind));
    stmt_bind_text(q, 2, str_of(s->entity));
    stmt_bind_text(q, 3, str_of(s->name));
    if (s->made_from) stmt_bind_text(q, 4, str_of(s->made_from));
    enum step step = stmt_step(q, e);
    db_release(q);
    return step == STEP_DONE;
}

static bool execute(struct db *d, const struct schema_step *s, struct error *e)
{
    if (!s->sql[0] || db_exec(d, s->sql, e)) return true;
    if (e->kind == ERROR_DUPLICATE)
        error_add(e, NULL, "not_unique", "cannot %s: there are records with the same value",
                  "нельзя выполнить (%s): есть записи с одинаковым значением", s->words);
    return false;
}

bool schema_apply(struct db *d, const struct catalog *c, const struct schema_plan *plan, bool allow_drop,
                  struct error *e)
{
    for (const struct schema_step *s = plan->first; s; s = s->next) {
        if (s->loses && !allow_drop) continue;
        if (!execute(d, s, e) || !remember(d, s, e)) return false;
        if (s->reindex && !search_rebuild(d, s->reindex, e)) return false;
    }
    return schema_seed(d, c, e);
}

bool schema_indexed(struct db *d, const struct entity *e, const struct field *f, struct arena *arena)
{
    struct error ignored;
    if (f->index == SYSTEM_ID) return true;
    error_init(&ignored, arena, LANG_EN);
    struct stmt *s = db_prepare(d,
                                STR("SELECT 1 FROM pragma_index_list(?) AS l, pragma_index_info(l.name) AS i "
                                    "WHERE i.seqno = 0 AND i.name = ? LIMIT 1"),
                                &ignored);
    if (!s) return false;
    stmt_bind_text(s, 1, str_of(e->name));
    stmt_bind_text(s, 2, str_of(f->name));
    bool yes = stmt_step(s, &ignored) == STEP_ROW;
    db_release(s);
    return yes;
}
