/* files.c: see files.h. */
#include "record/files.h"

#include "record/internal.h"

#include <sodium.h>

static bool row_allowed(struct context *c, const struct entity *e, int64_t id, enum action_kind action,
                        bool *yes)
{
    const struct field *denied;
    if (c->trusted) return *yes = true;
    return access_check(c->db, c->who, e, id, action, NULL, &c->env, c->arena, yes, &denied, c->error);
}

/* A record that the caller may read, with a field of theirs that names the file. */
static bool through_field(struct context *c, const struct entity *e, const struct field *f, int64_t file,
                          bool *yes)
{
    enum access_field may = c->trusted ? ACCESS_ALWAYS : access_field(c->who, e, f, ACTION_READ);
    if (may == ACCESS_NEVER) return true;
    struct sql q;
    sql_init(&q, c->arena);
    sql_printf(&q, "SELECT 1 FROM %s AS t WHERE t.%s = ? AND ", e->table, f->column);
    bool ok = c->trusted             ? (sql_add(&q, "1"), true)
              : may == ACCESS_ALWAYS ? access_row_sql(c->who, e, ACTION_READ, "t", &q)
                                     : access_field_sql(c->who, e, f, ACTION_READ, "t", &q);
    sql_add(&q, " LIMIT 1");
    struct stmt *s =
        ok && !q.failed && !q.text.failed ? db_prepare(c->db, buf_view(&q.text), c->error) : NULL;
    sql_free(&q);
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_int(s, 1, file);
    ok = sql_bind_all(s, 2, q.binds, q.bind_count, &c->env, c->arena);
    enum step step = ok ? stmt_step(s, c->error) : STEP_ERROR;
    db_release(s);
    *yes = step == STEP_ROW;
    return ok ? step != STEP_ERROR : error_no_memory(c->error);
}

bool record_file_readable(struct context *c, const struct file_row *f, bool *yes)
{
    const struct entity *document = c->catalog->document;
    *yes = c->trusted || (!f->document && (f->created_by == c->who->id || c->who->all_read));
    if (!*yes && f->document && document && !row_allowed(c, document, f->document, ACTION_READ, yes))
        return false;
    for (size_t i = 0; i < c->catalog->entity_count && !*yes; i++) {
        const struct entity *e = c->catalog->entities[i];
        if (e == document || !(c->trusted || access_may(c->who, e, ACTION_READ))) continue;
        for (size_t k = SYSTEM_FIELD_COUNT; k < e->field_count && !*yes; k++)
            if (e->fields[k]->type == FIELD_FILE && !through_field(c, e, e->fields[k], f->id, yes))
                return false;
    }
    return true;
}

/* ---- documents ---- */

struct fields {
    struct value *values;
    const char **any;
    bool *touched;
};

static bool set(struct context *c, struct fields *s, const char *name, struct value v, const char *any)
{
    const struct field *f = entity_field(c->catalog->document, str_of(name));
    if (!f) return true; /* the declaration does without it */
    s->values[f->index] = v;
    s->any[f->index] = any;
    return s->touched[f->index] = true;
}

static bool fields_new(struct context *c, struct fields *s)
{
    size_t n = c->catalog->document->field_count;
    s->values = arena_array(c->arena, n, sizeof *s->values);
    s->any = arena_array(c->arena, n, sizeof *s->any);
    s->touched = arena_array(c->arena, n, sizeof *s->touched);
    return (s->values && s->any && s->touched) || error_no_memory(c->error);
}

static bool describe(struct context *c, struct fields *s, const struct file_row *f)
{
    char *hex = arena_alloc(c->arena, 2 * FILES_HASH + 1);
    if (!hex) return error_no_memory(c->error);
    sodium_bin2hex(hex, 2 * FILES_HASH + 1, f->hash, FILES_HASH);
    return set(c, s, "edition", value_number(f->edition, 0), NULL) &&
           set(c, s, "size", value_number(f->size, 0), NULL) &&
           set(c, s, "hash", value_text(str_of(hex)), NULL) &&
           set(c, s, "file", value_of(VALUE_ID, f->id), NULL);
}

static bool find_document(struct context *c, const struct file_row *f, int64_t *id, int64_t *edition)
{
    const struct entity *d = c->catalog->document;
    const struct field *record = entity_field(d, STR("record")), *kind = entity_field(d, STR("kind")),
                       *name = entity_field(d, STR("name")), *ed = entity_field(d, STR("edition"));
    *id = *edition = 0;
    if (!record || !kind || !name) return true;
    char *sql = arena_printf(c->arena,
                             "SELECT id, %s FROM %s WHERE %s = ? AND %s = ? AND %s = ? AND active = 1"
                             " ORDER BY id LIMIT 1",
                             ed ? ed->column : "1", d->table, record->column, kind->column, name->column);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_int(s, 1, f->record);
    stmt_bind_text(s, 2, f->kind);
    stmt_bind_text(s, 3, f->name);
    enum step step = stmt_step(s, c->error);
    if (step == STEP_ROW) {
        *id = stmt_int(s, 0);
        *edition = stmt_int(s, 1);
    }
    db_release(s);
    return step != STEP_ERROR;
}

/* A document that was made by hand has no file yet: its first upload is its first edition. */
static bool next_edition(struct context *c, struct file_row *f, int64_t edition)
{
    int64_t newest;
    if (!file_newest(c->db, f->document, 0, &newest, c->error)) return false;
    f->edition = newest ? edition + 1 : 1;
    return true;
}

static bool write_document(struct context *c, const struct entity *e, struct file_row *f)
{
    struct record *out;
    struct fields s;
    int64_t edition;
    if (!find_document(c, f, &f->document, &edition) || !fields_new(c, &s)) return false;
    bool known = f->document != 0;
    /* One that is not theirs to change stays as it is: theirs is another document. */
    if (known && !row_allowed(c, c->catalog->document, f->document, ACTION_UPDATE, &known)) return false;
    if (!known) f->document = 0;
    f->edition = 1;
    if (known && !next_edition(c, f, edition)) return false;
    if (!describe(c, &s, f)) return false;
    if (known)
        return record_change(c, c->catalog->document, f->document, s.values, s.any, s.touched, 0, &out);
    set(c, &s, "name", value_text(f->name), NULL);
    set(c, &s, "kind", value_text(f->kind), NULL);
    set(c, &s, "record", value_of(VALUE_ID, f->record), e->name);
    if (!record_create(c, c->catalog->document, s.values, s.any, s.touched, &out)) return false;
    f->document = out->id;
    return true;
}

bool record_file_attach(struct context *c, const struct entity *e, int64_t id, struct file_row *f)
{
    if (!c->catalog->document)
        return error_set(c->error, ERROR_CONFLICT, "no documents are declared", "документы не объявлены");
    f->record = id;
    f->entity = str_of(e->name);
    c->vouched = true;
    bool ok = write_document(c, e, f);
    c->vouched = false;
    return ok && file_add(c->db, f, c->error);
}

/* ---- taking one away ---- */

static bool fall_back(struct context *c, const struct file_row *f)
{
    struct file_row before;
    struct record *out;
    struct fields s;
    int64_t newest;
    bool found = false;
    const struct entity *d = c->catalog->document;
    const struct field *file = entity_field(d, STR("file"));
    struct record *now = record_load(c, d, f->document);
    if (!now || !file_newest(c->db, f->document, f->id, &newest, c->error)) return false;
    if (file && now->values[file->index].type == VALUE_ID && now->values[file->index].i != f->id && newest)
        return true; /* an older edition: the document's file is another one */
    if (!newest) return record_delete(c, d, f->document, 0);
    if (!file_get(c->db, newest, c->arena, &before, &found, c->error) || !found || !fields_new(c, &s))
        return false;
    if (!describe(c, &s, &before)) return false;
    c->vouched = true;
    bool ok = record_change(c, d, f->document, s.values, s.any, s.touched, 0, &out);
    c->vouched = false;
    return ok;
}

bool record_file_remove(struct context *c, const struct file_row *f)
{
    const struct entity *d = c->catalog->document;
    bool yes = !f->document && (f->created_by == c->who->id || c->who->all_write);
    if (f->document && d && !row_allowed(c, d, f->document, ACTION_DELETE, &yes)) return false;
    if (!yes)
        return error_set(c->error, ERROR_FORBIDDEN, "your roles do not allow you to delete this file",
                         "ваши роли не позволяют удалить этот файл");
    return (!f->document || fall_back(c, f)) && file_delete(c->db, f->id, c->error);
}
