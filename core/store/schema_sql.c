/* schema_sql.c: see schema_sql.h. Every entity is a STRICT table. Foreign keys are immediate: a deferred one
 * would fail at COMMIT, and with it everybody else's writes of the same batch. Options and bounds are checked
 * by core/record, since they change more often than a table should be rebuilt. */
#include "store/schema_sql.h"

#include "base/buf.h"

bool schema_has_column(const struct field *f)
{
    return f->index != SYSTEM_ID && f->column && f->type != FIELD_FORMULA && f->type != FIELD_COMPUTED &&
           f->type != FIELD_REFS && !(f->system && f->hidden);
}

static bool is_text(const struct field *f)
{
    enum value_type t = field_value_type(f);
    return t == VALUE_TEXT || t == VALUE_SET;
}

static void column(struct buf *b, const struct field *f, bool required, const char *fallback)
{
    bool stamped = f->index == SYSTEM_CREATED_AT || f->index == SYSTEM_UPDATED_AT;
    buf_printf(b, "%s %s", f->column, is_text(f) ? "TEXT" : "INTEGER");
    if (f->index == SYSTEM_VERSION || f->index == SYSTEM_ACTIVE)
        buf_cstr(b, " NOT NULL DEFAULT 1");
    else if (required || stamped)
        buf_cstr(b, " NOT NULL");
    if (fallback) buf_printf(b, " DEFAULT %s", fallback);
    if (f->type == FIELD_BOOLEAN) buf_printf(b, " CHECK (%s IN (0, 1))", f->column);
    if (f->type == FIELD_PERCENT && !f->has_min && !f->has_max)
        buf_printf(b, " CHECK (%s BETWEEN 0 AND 10000)", f->column);
    if (f->type == FIELD_REF && f->to && !f->any) {
        if (f->to->setting)
            buf_printf(b, " REFERENCES %s(%s) ON UPDATE CASCADE", f->to->table, f->to->code->column);
        else
            buf_printf(b, " REFERENCES %s(id)", f->to->table);
    }
    if (f->type == FIELD_STAGE) buf_cstr(b, " REFERENCES \"stage\"(\"code\") ON UPDATE CASCADE");
    if (f->any) buf_printf(b, ", \"%s_entity\" TEXT", f->name);
}

static const char *keep(struct arena *arena, struct buf *b)
{
    const char *text = b->failed ? NULL : arena_dup(arena, buf_view(b));
    buf_free(b);
    return text;
}

bool schema_required(const struct field *f)
{
    return f->required && !f->when;
}

const char *schema_column(struct arena *arena, const struct field *f, bool required, const char *fallback)
{
    struct buf b;
    buf_init(&b, 4096);
    column(&b, f, required, fallback);
    return keep(arena, &b);
}

const char *schema_table(struct arena *arena, const struct entity *e)
{
    struct buf b;
    buf_init(&b, 262144);
    buf_printf(&b, "CREATE TABLE %s (id INTEGER PRIMARY KEY", e->table);
    for (size_t i = 0; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (!schema_has_column(f)) continue;
        buf_cstr(&b, ", ");
        column(&b, f, schema_required(f), NULL);
        if (field_has_order(e, f)) buf_printf(&b, ", \"%s~order\" TEXT", f->name);
        if (f == e->code) buf_cstr(&b, " UNIQUE"); /* the parent key of references to a setting */
    }
    buf_cstr(&b, ") STRICT");
    return keep(arena, &b);
}

const char *schema_link(struct arena *arena, const struct entity *e, const struct field *f)
{
    if (f->to->setting)
        return arena_printf(arena,
                            "CREATE TABLE %s (owner INTEGER NOT NULL REFERENCES %s(id) ON DELETE CASCADE, "
                            "target TEXT NOT NULL REFERENCES %s(%s) "
                            "ON UPDATE CASCADE, PRIMARY KEY (owner, target)) STRICT, WITHOUT ROWID",
                            f->link_table, e->table, f->to->table, f->to->code->column);
    return arena_printf(arena,
                        "CREATE TABLE %s (owner INTEGER NOT NULL REFERENCES %s(id) ON DELETE CASCADE, target "
                        "INTEGER NOT NULL REFERENCES %s(id), "
                        "PRIMARY KEY (owner, target)) STRICT, WITHOUT ROWID",
                        f->link_table, e->table, f->to->table);
}

const char *schema_search(struct arena *arena, const struct entity *e)
{
    struct buf b;
    size_t n = 0;
    buf_init(&b, 65536);
    buf_printf(&b, "CREATE VIRTUAL TABLE \"search_%s\" USING fts5(", e->name);
    for (size_t i = 0; i < e->field_count; i++) {
        if (!e->fields[i]->search) continue;
        buf_printf(&b, "%s\"%s\"", n++ ? ", " : "", e->fields[i]->name);
    }
    buf_cstr(&b, ", content='', tokenize='unicode61 remove_diacritics 0', prefix='2 3')");
    const char *text = keep(arena, &b);
    return n ? text : NULL;
}
