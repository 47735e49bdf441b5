/* path.c: following relation paths of one record in memory, for direct evaluation of filters. */
#include "record/internal.h"

#include "base/id.h"

struct path_reader {
    struct context *c;
    struct record *record;
};

static bool code_of(void *ctx, const struct entity *setting, int64_t id, struct str *out, struct error *e)
{
    struct context *c = ((struct path_reader *)ctx)->c;
    char *sql =
        arena_printf(c->arena, "SELECT %s FROM %s WHERE id = ?", setting->code->column, setting->table);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), e) : NULL;
    *out = (struct str){NULL, 0};
    if (!s) return e->kind == ERROR_NONE ? error_no_memory(e) : false;
    stmt_bind_int(s, 1, id);
    enum step step = stmt_step(s, e);
    if (step == STEP_ROW) *out = arena_str(c->arena, stmt_text(s, 0));
    bool lost = step == STEP_ROW && !out->p;
    db_release(s);
    return lost ? error_no_memory(e) : step != STEP_ERROR;
}

static struct record *load_by_code(struct context *c, const struct entity *e, struct str code)
{
    char *sql = arena_printf(c->arena, "SELECT id FROM %s WHERE %s = ?", e->table, e->code->column);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) {
        if (c->error->kind == ERROR_NONE) error_no_memory(c->error);
        return NULL;
    }
    stmt_bind_text(s, 1, code);
    int64_t id = stmt_step(s, c->error) == STEP_ROW ? stmt_int(s, 0) : 0;
    db_release(s);
    return id ? record_load(c, e, id) : NULL;
}

/* The formula's value of a record, computed by the same expression that SQL uses. */
static bool formula_value(struct context *c, struct record *r, const struct field *f, struct value *out)
{
    struct filter_record get = record_filter(c, r);
    return formula_eval(f->formula, &get, &c->env, c->arena, out, c->error);
}

static bool read_path(void *ctx, const struct field *const *path, size_t length, struct value *out,
                      struct error *e)
{
    struct path_reader *p = ctx;
    struct record *r = p->record;
    *out = value_null();
    for (size_t i = 0; i + 1 < length; i++) {
        const struct field *f = path[i];
        struct value v = r->values[f->index];
        if (value_empty(v)) return true;
        const struct entity *to = f->type == FIELD_STAGE ? p->c->catalog->stage : f->to;
        r = v.type == VALUE_ID ? record_load(p->c, to, v.i) : load_by_code(p->c, to, v.s);
        if (!r && e->kind == ERROR_NOT_FOUND) error_clear(e);
        if (!r) return e->kind == ERROR_NONE;
    }
    const struct field *last = path[length - 1];
    if (last->type == FIELD_FORMULA) return formula_value(p->c, r, last, out);
    *out = r->values[last->index];
    return true;
}

static bool no_memory(void *ctx, const struct field *const *path, size_t length, struct value *out,
                      struct error *e)
{
    (void)ctx, (void)path, (void)length;
    *out = value_null();
    return error_no_memory(e);
}

struct filter_record record_filter(struct context *c, struct record *r)
{
    struct path_reader *p = arena_alloc(c->arena, sizeof *p);
    if (!p) return (struct filter_record){NULL, no_memory, NULL};
    *p = (struct path_reader){c, r};
    return (struct filter_record){p, read_path, code_of};
}
