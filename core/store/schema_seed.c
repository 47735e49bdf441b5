/* schema_seed.c: records that scripts speak of: a role, stage, chain or chain step that a script names exists
 * after a migration, and what the script states about it is what the record says (design §6). */
#include "base/calendar.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "base/id.h"
#include "base/json.h"
#include "base/json_parse.h"
#include "store/schema.h"
#include "store/search.h"
#include "store/store.h"
#include "store/trail.h"

struct seed {
    struct db *db;
    const struct entity *entity;
    struct str code;
    size_t *changed; /* counts the records of this entity that were made or changed */
    struct arena arena;
    struct error *error;
};

static struct value json_text(struct seed *s, const struct json_value *v)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    json_value_write(&b, v);
    struct value out = value_text(b.failed ? (struct str){NULL, 0} : arena_str(&s->arena, buf_view(&b)));
    buf_free(&b);
    return out;
}

/* The stored form of an attribute; NULL when its type says nothing of it. */
static struct value stored(struct seed *s, const struct field *f, const struct json_value *v)
{
    int64_t n;
    if (v->type == JSON_NULL) return value_null();
    if (f->type == FIELD_JSON || v->type == JSON_OBJECT || v->type == JSON_ARRAY) return json_text(s, v);
    if (field_value_type(f) == VALUE_NUMBER && v->type == JSON_NUMBER &&
        decimal_parse(v->text, f->scale, &n) == DECIMAL_OK)
        return value_number(n, f->scale);
    if (field_value_type(f) == VALUE_BOOL) return value_of(VALUE_BOOL, v->type == JSON_TRUE);
    return v->type == JSON_STRING ? value_text(v->text) : value_null();
}

static bool step_once(struct stmt *q, bool *row, struct error *e)
{
    enum step step = stmt_step(q, e);
    *row = step == STEP_ROW;
    db_release(q);
    return step != STEP_ERROR;
}

/* The log tells of what scripts state as of every other change. */
static bool log_it(struct seed *s, const char *action)
{
    char *sql =
        arena_printf(&s->arena, "SELECT id FROM %s WHERE %s = ?", s->entity->table, s->entity->code->column);
    struct stmt *q = sql ? db_prepare(s->db, str_of(sql), s->error) : NULL;
    if (!q) return s->error->kind == ERROR_NONE ? error_no_memory(s->error) : false;
    stmt_bind_text(q, 1, s->code);
    bool found = stmt_step(q, s->error) == STEP_ROW;
    struct trail_entry entry = {.at = clock_now(),
                                .entity = str_of(s->entity->name),
                                .record = found ? stmt_int(q, 0) : 0,
                                .action = str_of(action),
                                .changes = STR("{}"),
                                .why = STR("stated by a script")};
    db_release(q);
    ++*s->changed;
    return found && trail_append(s->db, &entry, s->error);
}

static bool exists(struct seed *s, const struct entity *e, struct str code, bool *yes)
{
    char *sql = arena_printf(&s->arena, "SELECT 1 FROM %s WHERE %s = ?", e->table, e->code->column);
    struct stmt *q = sql ? db_prepare(s->db, str_of(sql), s->error) : NULL;
    if (!q) return s->error->kind == ERROR_NONE ? error_no_memory(s->error) : false;
    stmt_bind_text(q, 1, code);
    return step_once(q, yes, s->error);
}

/* What the script states of a field, or nothing. */
static const struct json_value *stated(const struct json_value *all, const struct field *f)
{
    return all ? json_member(all, str_of(f->name)) : NULL;
}

/* Required fields of a record that only a script knows are what it states (a step's chain), else texts start
 * as the code. */
static bool create(struct seed *s, const char *json)
{
    struct buf b, values;
    const struct entity *e = s->entity;
    struct json_value *all = json ? json_parse(&s->arena, str_of(json), s->error) : NULL;
    if (json && !all) return false;
    buf_init(&b, 65536);
    buf_init(&values, 65536);
    buf_printf(&b, "INSERT INTO %s (id, created_at, updated_at, %s", e->table, e->code->column);
    int next = 5;
    for (size_t i = SYSTEM_FIELD_COUNT; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (f == e->code || !f->required || f->when || f->type == FIELD_REFS) continue;
        buf_printf(&b, ", %s", f->column);
        if (stated(all, f))
            buf_printf(&values, ", ?%d", next++);
        else
            buf_cstr(&values, field_value_type(f) == VALUE_TEXT ? ", ?4" : ", 0");
    }
    buf_printf(&b, ") VALUES (?1, ?2, ?3, ?4%.*s)", STR_ARG(buf_view(&values)));
    struct stmt *q = b.failed || values.failed ? NULL : db_prepare(s->db, buf_view(&b), s->error);
    buf_free(&b);
    buf_free(&values);
    if (!q) return s->error->kind == ERROR_NONE ? error_no_memory(s->error) : false;
    int64_t now = clock_now();
    bool row;
    stmt_bind_int(q, 1, id_next());
    stmt_bind_int(q, 2, now);
    stmt_bind_int(q, 3, now);
    stmt_bind_text(q, 4, s->code);
    next = 5;
    for (size_t i = SYSTEM_FIELD_COUNT; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (f == e->code || !f->required || f->when || f->type == FIELD_REFS || !stated(all, f)) continue;
        stmt_bind_value(q, next++, stored(s, f, stated(all, f)));
    }
    return step_once(q, &row, s->error) && log_it(s, "create") && store_epoch_bump(s->db, s->error);
}

/* Writes one attribute when it differs. */
static bool write(struct seed *s, const struct field *f, struct value v, bool *changed)
{
    char *sql = arena_printf(&s->arena, "UPDATE %s SET %s = ?1 WHERE %s = ?2 AND %s IS NOT ?1",
                             s->entity->table, f->column, s->entity->code->column, f->column);
    struct stmt *q = sql ? db_prepare(s->db, str_of(sql), s->error) : NULL;
    bool row;
    if (!q) return s->error->kind == ERROR_NONE ? error_no_memory(s->error) : false;
    stmt_bind_value(q, 1, v);
    stmt_bind_text(q, 2, s->code);
    if (!step_once(q, &row, s->error)) return false;
    *changed = *changed || db_changes(s->db) > 0;
    return true;
}

static bool touch(struct seed *s)
{
    char *sql = arena_printf(&s->arena, "UPDATE %s SET version = version + 1, updated_at = ? WHERE %s = ?",
                             s->entity->table, s->entity->code->column);
    struct stmt *q = sql ? db_prepare(s->db, str_of(sql), s->error) : NULL;
    bool row;
    if (!q) return s->error->kind == ERROR_NONE ? error_no_memory(s->error) : false;
    stmt_bind_int(q, 1, clock_now());
    stmt_bind_text(q, 2, s->code);
    return step_once(q, &row, s->error) && log_it(s, "update") && store_epoch_bump(s->db, s->error);
}

static bool write_attributes(struct seed *s, const char *json)
{
    struct json_value *all = json_parse(&s->arena, str_of(json), s->error);
    bool changed = false;
    if (!all) return false;
    for (const struct json_value *m = all->first; m; m = m->next) {
        const struct field *f = entity_field(s->entity, m->key);
        if (!f || !f->column || f == s->entity->code) continue;
        struct value v = stored(s, f, m);
        bool there = true;
        if (f->type == FIELD_REF && f->to && f->to->setting && v.type == VALUE_TEXT &&
            !exists(s, f->to, v.s, &there))
            return false;
        if (there && !write(s, f, v, &changed)) return false;
    }
    return !changed || touch(s);
}

static bool seed_one(struct db *d, const struct entity *e, const char *code, const char *json,
                     size_t *changed, struct error *error)
{
    if (!e || !e->code) return true;
    struct seed s = {.db = d, .entity = e, .code = str_of(code), .changed = changed, .error = error};
    bool there = false;
    arena_init(&s.arena, (size_t)4 << 20);
    bool ok =
        exists(&s, e, s.code, &there) && (there || create(&s, json)) && (!json || write_attributes(&s, json));
    arena_free(&s.arena);
    return ok;
}

static bool seed_role(struct db *d, const struct catalog *c, const struct role *r, size_t *changed,
                      struct error *e)
{
    const struct entity *roles = c->role_entity;
    bool there = false;
    if (!roles || !roles->code) return true;
    struct seed s = {.db = d, .entity = roles, .code = str_of(r->code), .changed = changed, .error = e};
    arena_init(&s.arena, (size_t)1 << 20);
    bool ok = exists(&s, roles, s.code, &there);
    if (ok && !there) {
        struct buf b;
        buf_init(&b, 4096);
        json_object(&b);
        json_key(&b, STR("name"));
        json_object(&b);
        json_key(&b, STR("en"));
        json_cstr(&b, r->label.text[LANG_EN]);
        json_key(&b, STR("ru"));
        json_cstr(&b, r->label.text[LANG_RU]);
        json_end_object(&b);
        json_end_object(&b);
        char *json = b.failed ? NULL : arena_dup(&s.arena, buf_view(&b));
        buf_free(&b);
        ok = json ? create(&s, json) && write_attributes(&s, json) : error_no_memory(e);
    }
    arena_free(&s.arena);
    return ok;
}

static bool seed_chain(struct db *d, const struct catalog *c, const struct chain_decl *chain, size_t *chains,
                       size_t *steps, struct error *e)
{
    if (!seed_one(d, c->chain, chain->code, chain->attributes_json, chains, e)) return false;
    for (size_t k = 0; k < chain->step_count; k++)
        if (!seed_one(d, c->chain_step, chain->steps[k].code, chain->steps[k].attributes_json, steps, e))
            return false;
    return true;
}

/* Rows were written past the search index: it is made anew. */
static bool follow(struct db *d, const struct entity *entity, size_t changed, struct error *e)
{
    return changed == 0 || !entity->searchable || search_rebuild(d, entity, e);
}

bool schema_seed(struct db *d, const struct catalog *c, struct error *e)
{
    size_t roles = 0, chains = 0, steps = 0, stages = 0;
    for (size_t i = 0; i < c->role_count; i++)
        if (!seed_role(d, c, &c->roles[i], &roles, e)) return false;
    for (size_t i = 0; i < c->chain_count; i++)
        if (!seed_chain(d, c, &c->chains[i], &chains, &steps, e)) return false;
    for (size_t i = 0; i < c->pipeline_count; i++)
        for (size_t k = 0; k < c->pipelines[i].stage_count; k++)
            if (!seed_one(d, c->stage, c->pipelines[i].stages[k].code,
                          c->pipelines[i].stages[k].attributes_json, &stages, e))
                return false;
    return follow(d, c->role_entity, roles, e) && follow(d, c->chain, chains, e) &&
           follow(d, c->chain_step, steps, e) && follow(d, c->stage, stages, e);
}
