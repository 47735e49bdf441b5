/* search.c: see search.h. The index holds no text of its own (content=''), so taking a record out of it needs
 * the old text: it is given by the writer, or read from the table while the record is still there. Text is
 * folded before it is indexed and before it is sought. */
#include "store/search.h"

#include "base/json_parse.h"
#include "base/text.h"
#include "store/engine.h"

#include <stdio.h>

#define TEXT_MAX ((size_t)1 << 20)

/* The words of a field: of a localized one those of every language. */
static void words(struct buf *out, const struct field *f, struct value v)
{
    if (v.type != VALUE_TEXT && v.type != VALUE_SET) return;
    if (!f->localized || v.s.n == 0 || v.s.p[0] != '{') {
        text_fold(out, v.s);
        return;
    }
    struct arena arena;
    struct error ignored;
    arena_init(&arena, TEXT_MAX);
    error_init(&ignored, &arena, LANG_EN);
    struct json_value *all = json_parse(&arena, v.s, &ignored);
    for (const struct json_value *m = all ? all->first : NULL; m; m = m->next) {
        text_fold(out, m->text);
        buf_char(out, ' ');
    }
    arena_free(&arena);
}

#define SEARCHED_MAX 64

static bool put(struct db *d, const struct entity *e, int64_t id, const struct value *values, bool remove,
                struct error *error)
{
    struct buf texts[SEARCHED_MAX];
    bool failed = false;
    size_t n = 0;
    for (size_t i = 0; i < e->field_count && n < SEARCHED_MAX; i++) {
        if (!e->fields[i]->search) continue;
        buf_init(&texts[n], TEXT_MAX);
        words(&texts[n], e->fields[i], values[i]);
        failed = failed || texts[n++].failed;
    }
    bool ok = failed ? error_no_memory(error) : engine_search_queue(d, e, id, remove, texts, n, error);
    for (size_t i = 0; i < n; i++)
        buf_free(&texts[i]);
    return ok;
}

bool search_update(struct db *d, const struct entity *e, int64_t id, const struct value *old_values,
                   const struct value *new_values, struct error *error)
{
    bool differs = !old_values;
    for (size_t i = 0; i < e->field_count && !differs; i++)
        differs = e->fields[i]->search && !value_same(old_values[i], new_values[i]);
    if (!differs) return true;
    return (!old_values || put(d, e, id, old_values, true, error)) && put(d, e, id, new_values, false, error);
}

/* Reads the searchable fields of one row, or of all (id 0), and calls put for each. */
static bool from_table(struct db *d, const struct entity *e, int64_t id, bool remove, struct error *error)
{
    struct buf sql;
    struct value values[512] = {0};
    buf_init(&sql, 65536);
    buf_cstr(&sql, "SELECT id");
    for (size_t i = 0; i < e->field_count; i++)
        if (e->fields[i]->search) buf_printf(&sql, ", %s", e->fields[i]->column);
    buf_printf(&sql, " FROM %s%s", e->table, id ? " WHERE id = ?" : "");
    struct stmt *s = sql.failed || e->field_count > 512 ? NULL : db_prepare(d, buf_view(&sql), error);
    buf_free(&sql);
    if (!s) return error->kind == ERROR_NONE ? error_no_memory(error) : false;
    if (id) stmt_bind_int(s, 1, id);
    enum step step;
    bool ok = true;
    while (ok && (step = stmt_step(s, error)) == STEP_ROW) {
        int at = 1;
        for (size_t i = 0; i < e->field_count; i++) {
            if (!e->fields[i]->search) continue;
            values[i] = stmt_null(s, at) ? value_null() : value_text(stmt_text(s, at));
            at++;
        }
        ok = put(d, e, stmt_int(s, 0), values, remove, error);
    }
    db_release(s);
    return ok && step == STEP_DONE;
}

bool search_remove(struct db *d, const struct entity *e, int64_t id, struct error *error)
{
    return from_table(d, e, id, true, error);
}

bool search_rebuild(struct db *d, const struct entity *e, struct error *error)
{
    char sql[256];
    int n = snprintf(sql, sizeof sql, "INSERT INTO \"search_%s\" (\"search_%s\") VALUES ('delete-all')",
                     e->name, e->name);
    if (n < 0 || (size_t)n >= sizeof sql)
        return error_set(error, ERROR_INTERNAL, "the entity's name is too long",
                         "слишком длинное имя сущности");
    return search_flush(d, error) && db_exec(d, sql, error) && from_table(d, e, 0, false, error) &&
           search_flush(d, error);
}

/* ---- asking ---- */

static bool is_word(uint32_t c)
{
    if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return c >= 0xC0 && !(c >= 0x2000 && c <= 0x2BFF) && c != 0xD7 && c != 0xF7 && c != 0xFFFD &&
           !(c >= 0x3000 && c <= 0x303F);
}

struct str search_query(struct arena *arena, const struct entity *e, const struct field *const *fields,
                        size_t n, struct str typed)
{
    struct buf columns, out;
    (void)e;
    buf_init(&columns, 65536);
    buf_init(&out, 65536);
    for (size_t i = 0; i < n; i++)
        buf_printf(&columns, "%s\"%s\"", i ? " " : "", fields[i]->name);
    struct buf word;
    buf_init(&word, 1024);
    size_t letters = 0, count = 0;
    for (bool more = true; more && count < 20;) {
        more = typed.n > 0;
        uint32_t c = more ? text_next(&typed) : ' ';
        if (is_word(c)) {
            text_put(&word, text_fold_char(c));
            letters++;
            continue;
        }
        if (letters)
            buf_printf(&out, "%s{%.*s} : \"%.*s\"%s", count++ ? " AND " : "", STR_ARG(buf_view(&columns)),
                       STR_ARG(buf_view(&word)), letters > 1 ? "*" : "");
        buf_reset(&word);
        letters = 0;
    }
    struct str query = count && !out.failed && !columns.failed && !word.failed
                           ? arena_str(arena, buf_view(&out))
                           : (struct str){NULL, 0};
    buf_free(&word);
    buf_free(&columns);
    buf_free(&out);
    return query;
}

void search_from(struct sql *q, const struct entity *e, const char *alias)
{
    q->by_search = true;
    sql_printf(q, "\"search_%s\" AS s CROSS JOIN %s AS %s ON %s.id = s.rowid", e->name, e->table, alias,
               alias);
}

void search_match(struct sql *q, const struct entity *e, struct str fts_query)
{
    q->searches = true;
    sql_printf(q, "s.\"search_%s\" MATCH ", e->name);
    sql_bind_value(q, value_text(fts_query));
}

void search_sql(struct sql *q, const struct entity *e, const char *alias, struct str fts_query)
{
    q->searches = true;
    sql_printf(q, "%s.id IN (SELECT rowid FROM \"search_%s\" WHERE \"search_%s\" MATCH ", alias, e->name,
               e->name);
    sql_bind_value(q, value_text(fts_query));
    sql_add(q, ")");
}
