/* query.c: reading one record and lists of them. Pages follow keys, never offsets: page 100,000 costs what
 * the first does. */
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "record/internal.h"
#include "record/plan.h"
#include "record/results.h"
#include "store/search.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX 500

/* ---- one record ---- */

static bool finish_sql(struct context *c, struct plan *p, struct sql *q)
{
    bool ok = !q->failed && !q->text.failed;
    if (ok) {
        p->sql = arena_str(&p->arena, buf_view(&q->text));
        p->binds = q->binds;
        p->bind_count = q->bind_count;
        p->hash = str_hash(p->sql);
        p->searches = q->searches;
    }
    sql_free(q);
    if (!ok) return sql_too_large(c->error);
    return p->sql.p ? true : error_no_memory(c->error);
}

static struct plan *compile_get(struct context *c, const struct entity *e, struct str key, struct str fields,
                                struct str expand)
{
    struct plan *p = plan_new(c, key);
    if (!p) return NULL;
    struct sql q;
    sql_init(&q, &p->arena);
    q.env = &c->env;
    bool ok = select_columns(c, p, &q, e, fields, expand);
    sql_printf(&q, " FROM %s AS t WHERE t.id = ", e->table);
    p->id_bind = (int)q.bind_count;
    sql_bind_value(&q, value_null());
    sql_add(&q, " AND ");
    if (c->trusted)
        sql_add(&q, "1");
    else
        ok = ok && access_row_sql(c->who, e, ACTION_READ, "t", &q);
    if (ok && finish_sql(c, p, &q)) return p;
    if (!ok) sql_free(&q);
    plan_drop(p);
    sql_too_large(c->error); /* unless more is known */
    return NULL;
}

bool query_get(struct context *c, const struct entity *e, int64_t id, struct str fields, struct str expand,
               struct buf *out, int64_t *version)
{
    struct str parts[] = {STR("get"), str_of(e->name), fields, expand};
    struct str key = plan_key(c, parts, sizeof parts / sizeof *parts);
    if (!key.p) return error_no_memory(c->error);
    struct plan *p = plan_find(c, key), *made = p ? NULL : compile_get(c, e, key, fields, expand);
    if (!p) p = made;
    struct stmt *s = p ? plan_start(c, p) : NULL;
    bool ok = false;
    if (s) {
        stmt_bind_int(s, p->id_bind + 1, id);
        enum step step = stmt_step(s, c->error);
        if (step == STEP_DONE)
            error_set(c->error, ERROR_NOT_FOUND, "there is no such record: %s", "нет такой записи: %s",
                      e->label.text[c->error->lang]);
        if (step == STEP_ROW) {
            *version = stmt_int(s, 1);
            ok = select_write_row(c, p, e, s, out);
        }
        db_release(s);
    }
    if (made && c->plans)
        plan_keep(c, made);
    else
        plan_drop(made);
    return ok;
}

/* ---- lists ---- */

/* The order of the field is written down in a column that an index has; not so where some rows hide the
 * field. */
static bool keyed(const struct context *c, const struct entity *e, const struct sort_term *t)
{
    return t->folded && field_has_order(e, t->field) &&
           (c->trusted || access_field(c->who, e, t->field, ACTION_READ) == ACCESS_ALWAYS);
}

static const char *collate(const struct context *c, const struct entity *e, const struct sort_term *t)
{
    return t->folded && !keyed(c, e, t) ? " COLLATE perigee" : "";
}

static bool sort_key_sql(struct context *c, const struct plan *p, struct sql *q, const struct entity *e,
                         const struct sort_term *t)
{
    if (p->start == START_RULES)
        sql_add(q, "+"); /* no index for the order: it would pass the whole table by */
    if (keyed(c, e, t)) {
        sql_printf(q, "t.\"%s~order\"", t->field->name);
        return true;
    }
    return read_sql(c, q, e, t->field, "t");
}

static void bind_cursor(struct plan *p, struct sql *q, int key)
{
    p->cursor_bind[p->cursor_count] = (int)q->bind_count;
    p->cursor_key[p->cursor_count++] = key;
    sql_bind_value(q, value_null());
}

/* "Behind the cursor" from term i on; see the header of the file for missing values: they are the greatest.
 */
static bool after_sql(struct context *c, struct plan *p, struct sql *q, const struct entity *e,
                      const struct cursor *cursor, size_t i)
{
    if (i == p->sort.count) {
        sql_add(q, q->by_search ? "s.rowid" : "t.id");
        sql_add(q, p->sort.id_descending ? " < " : " > ");
        bind_cursor(p, q, -1);
        return true;
    }
    const struct sort_term *t = &p->sort.terms[i];
    bool null = cursor->keys[i].type == VALUE_NULL, ok = true;
    sql_add(q, "(");
    if (null) {
        if (t->descending) {
            ok = sort_key_sql(c, p, q, e, t);
            sql_add(q, " IS NOT NULL OR ");
        }
        sql_add(q, "(");
        ok = ok && sort_key_sql(c, p, q, e, t);
        sql_add(q, " IS NULL AND ");
    } else {
        ok = sort_key_sql(c, p, q, e, t);
        sql_add(q, t->descending ? " < " : " > ");
        bind_cursor(p, q, (int)i);
        sql_printf(q, "%s OR ", collate(c, e, t));
        if (!t->descending && t->nullable && i > 0) {
            ok = ok && sort_key_sql(c, p, q, e, t);
            sql_add(q, " IS NULL OR ");
        }
        sql_add(q, "(");
        ok = ok && sort_key_sql(c, p, q, e, t);
        sql_add(q, " = ");
        bind_cursor(p, q, (int)i);
        sql_add(q, " AND ");
    }
    ok = ok && after_sql(c, p, q, e, cursor, i + 1);
    sql_add(q, "))");
    return ok;
}

/* Where the first key may be missing, the list is read in two phases, so that each of them is one range of an
 * index: those that have it (0) and those that have not (1). */
static bool phase_sql(struct context *c, struct plan *p, struct sql *q, const struct entity *e, int phase,
                      const struct cursor *cursor)
{
    const struct sort_term *first = p->sort.count ? &p->sort.terms[0] : NULL;
    bool ok = true;
    if (first && first->nullable) {
        sql_add(q, " AND ");
        ok = sort_key_sql(c, p, q, e, first);
        sql_add(q, phase ? " IS NULL" : " IS NOT NULL");
    }
    bool resumes = cursor->given && cursor->phase == phase;
    if (!resumes) return ok;
    if (first && phase == 0) { /* the range that an index can start from */
        sql_add(q, " AND ");
        ok = ok && sort_key_sql(c, p, q, e, first);
        sql_add(q, first->descending ? " <= " : " >= ");
        bind_cursor(p, q, 0);
        sql_add(q, collate(c, e, first));
    }
    sql_add(q, " AND ");
    return ok && after_sql(c, p, q, e, cursor, 0);
}

static bool order_sql(struct context *c, struct plan *p, struct sql *q, const struct entity *e, int phase)
{
    bool ok = true;
    sql_add(q, " ORDER BY ");
    for (size_t i = phase ? 1 : 0; i < p->sort.count; i++) {
        const struct sort_term *t = &p->sort.terms[i];
        ok = ok && sort_key_sql(c, p, q, e, t);
        sql_add(q, collate(c, e, t));
        sql_add(q, t->descending ? " DESC" : " ASC");
        if (i > 0 && t->nullable) sql_add(q, t->descending ? " NULLS FIRST" : " NULLS LAST");
        sql_add(q, ", ");
    }
    if (p->start == START_RULES) sql_add(q, "+");
    sql_add(q, q->by_search ? "s.rowid" : "t.id");
    sql_add(q, p->sort.id_descending ? " DESC" : " ASC");
    return ok;
}

static bool group_sql(struct context *c, struct plan *p, struct sql *q, const struct entity *e,
                      const struct group *g)
{
    if (!g) return true;
    sql_add(q, " AND ");
    bool ok = read_sql(c, q, e, g->field, "t");
    sql_add(q, " IS ");
    p->group_bind = (int)q->bind_count;
    sql_bind_value(q, g->key);
    return ok;
}

struct plan *list_plan(struct context *c, const struct query *query, const struct sort *sort,
                       const struct cursor *cursor, int phase, const struct group *g, enum start start,
                       struct str key)
{
    const struct entity *e = query->entity;
    struct plan *p = plan_new(c, key);
    if (!p) return NULL;
    p->sort = *sort;
    p->start = start;
    struct sql q;
    sql_init(&q, &p->arena);
    q.env = &c->env;
    q.from_people = start == START_RULES;
    /* What the filter binds must live as long as the plan. */
    struct context mine = *c;
    mine.arena = &p->arena;
    bool ok = select_columns(&mine, p, &q, e, query->fields, query->expand);
    for (size_t i = 0; ok && i < sort->count; i++) {
        sql_add(&q, ", ");
        ok = sort_key_sql(&mine, p, &q, e, &sort->terms[i]);
    }
    sql_add(&q, " FROM ");
    /* Where another way of beginning is tried, it is without this one. */
    if (query->q.n && e->searchable && sort->count == 0 && start == START_FILTER)
        search_from(&q, e, "t");
    else
        sql_printf(&q, "%s AS t", e->table);
    ok = ok && select_where(&mine, &q, query, start) && group_sql(&mine, p, &q, e, g) &&
         phase_sql(&mine, p, &q, e, phase, cursor) && order_sql(&mine, p, &q, e, phase);
    sql_add(&q, " LIMIT ");
    p->limit_bind = (int)q.bind_count;
    sql_bind_value(&q, value_null());
    if (ok && finish_sql(c, p, &q)) return p;
    if (!ok) sql_free(&q);
    plan_drop(p);
    sql_too_large(c->error); /* unless more is known */
    return NULL;
}

/* Which keys of the cursor are missing decides the SQL, what they are does not. */
static struct str list_key(struct context *c, const struct query *q, const struct sort *sort,
                           const struct cursor *cursor, int phase, const struct group *g, enum start start)
{
    char shape[SORT_MAX + 4] = "-";
    if (q->param_count) return STR(""); /* scripts' parameters are bound as constants: compiled each time */
    if (cursor->given && cursor->phase == phase) {
        size_t n = 0;
        shape[n++] = 'c';
        for (size_t i = 0; i < sort->count; i++)
            shape[n++] = cursor->keys[i].type == VALUE_NULL ? '0' : '1';
    }
    size_t length = strlen(shape);
    shape[length++] = (char)('0' + start);
    shape[length] = (char)('0' + phase);
    struct str parts[] = {STR("list"),
                          str_of(q->entity->name),
                          {shape, length + 1},
                          str_of(g ? g->field->name : NULL),
                          q->filter,
                          q->sort,
                          q->fields,
                          q->expand,
                          q->q};
    return plan_key(c, parts, sizeof parts / sizeof *parts);
}

struct page {
    struct buf *out;
    int64_t limit, count;
    bool more;
    struct cursor last;
};

bool query_read_keys(struct context *c, const struct plan *p, struct stmt *s, int phase, struct cursor *out)
{
    *out = (struct cursor){.given = true, .phase = phase, .id = stmt_int(s, 0)};
    for (size_t i = 0; i < p->sort.count; i++) {
        int at = p->sort_at + (int)i;
        if (stmt_null(s, at)) continue;
        if (!p->sort.terms[i].text)
            out->keys[i] = value_of(VALUE_ID, stmt_int(s, at));
        else
            out->keys[i] = value_text(arena_str(c->arena, stmt_text(s, at)));
        if (p->sort.terms[i].text && !out->keys[i].s.p) return error_no_memory(c->error);
    }
    return true;
}

static bool run_rows(struct context *c, const struct plan *p, const struct entity *e, struct stmt *s,
                     int phase, struct page *page)
{
    enum step step;
    while ((step = stmt_step(s, c->error)) == STEP_ROW) {
        if (page->count == page->limit) {
            page->more = true;
            return true;
        }
        if (!select_write_row(c, p, e, s, page->out)) return false;
        page->count++;
        if (page->count == page->limit && !query_read_keys(c, p, s, phase, &page->last)) return false;
    }
    return step == STEP_DONE;
}

static bool run_phase_from(struct context *c, const struct query *query, const struct sort *sort,
                           const struct cursor *cursor, int phase, const struct group *g, enum start start,
                           struct page *page)
{
    struct str key = list_key(c, query, sort, cursor, phase, g, start);
    if (!key.p) return error_no_memory(c->error);
    bool keep = c->plans && key.n;
    struct plan *p = keep ? plan_find(c, key) : NULL, *made = NULL;
    if (!p) p = made = list_plan(c, query, sort, cursor, phase, g, start, key);
    struct stmt *s = p ? plan_start(c, p) : NULL;
    bool ok = false;
    if (s) {
        plan_bind_cursor(p, s, cursor);
        if (g) stmt_bind_value(s, p->group_bind + 1, g->key);
        stmt_bind_int(s, p->limit_bind + 1, page->limit - page->count + 1);
        ok = run_rows(c, p, query->entity, s, phase, page);
        db_release(s);
    }
    if (made && keep)
        plan_keep(c, made);
    else
        plan_drop(made);
    return ok;
}

/* One way for a while. *spent: it did not get ready, and there is time for another; then nothing has
 * happened. */
static bool try_way(struct context *c, const struct query *query, const struct sort *sort,
                    const struct cursor *cursor, int phase, const struct group *g, enum start start,
                    uint64_t ns, struct page *page, bool *spent)
{
    struct page before = *page;
    size_t written = page->out->n;
    struct db_budget whole = db_budget_tighten(c->db, clock_mono() + ns);
    bool ok = run_phase_from(c, query, sort, cursor, phase, g, start, page);
    db_budget_restore(c->db, whole);
    *spent = !ok && c->error->kind == ERROR_QUERY_LIMIT && (!whole.deadline || clock_mono() < whole.deadline);
    if (!*spent) return ok;
    error_clear(c->error);
    *page = before;
    page->out->n = written;
    return false;
}

#define GOOD_NS 3000000    /* quick enough not to look for a better way */
#define KNOWN_NS 400000000 /* for a way that was the best once */

/* In the slow lane: the way that is known, or all of them one after the other. The quickest is remembered,
 * and its page is the answer: they all give the same. */
static bool run_phase_patiently(struct context *c, const struct query *query, const struct sort *sort,
                                const struct cursor *cursor, int phase, const struct group *g,
                                struct str list, struct page *page)
{
    static const uint64_t patience[] = {
        [START_FILTER] = 40000000, [START_ORDER] = 60000000, [START_RULES] = 100000000};
    int known = results_way(c, list), best = -1;
    struct page before = *page, found = *page;
    size_t written = page->out->n;
    uint64_t best_ns = UINT64_MAX;
    struct str bytes = {NULL, 0};
    bool spent;
    if (known) {
        bool ok = try_way(c, query, sort, cursor, phase, g, (enum start)(known - 1), KNOWN_NS, page, &spent);
        if (!spent) return ok;
    }
    for (int way = START_FILTER; way <= START_RULES && best_ns > GOOD_NS; way++) {
        uint64_t begun = clock_mono(), limit = best_ns < patience[way] ? best_ns : patience[way];
        if (try_way(c, query, sort, cursor, phase, g, (enum start)way, limit, page, &spent)) {
            best = way;
            best_ns = clock_mono() - begun;
            found = *page;
            bytes = arena_str(c->arena, (struct str){page->out->p + written, page->out->n - written});
            if (!bytes.p) return error_no_memory(c->error);
            *page = before;
            page->out->n = written;
        } else if (!spent) {
            return false;
        }
    }
    if (best < 0) return run_phase_from(c, query, sort, cursor, phase, g, START_FILTER, page);
    results_remember_way(c, list, best + 1);
    *page = found;
    buf_str(page->out, bytes);
    return true;
}

static bool run_phase(struct context *c, const struct query *query, const struct sort *sort,
                      const struct cursor *cursor, int phase, const struct group *g, struct page *page)
{
    struct str list = list_key(c, query, sort, cursor, phase, g, START_FILTER);
    if (!list.p) return error_no_memory(c->error);
    if (c->patient) return run_phase_patiently(c, query, sort, cursor, phase, g, list, page);
    int known = results_way(c, list);
    return run_phase_from(c, query, sort, cursor, phase, g, known ? (enum start)(known - 1) : START_FILTER,
                          page);
}

static bool run_list(struct context *c, const struct query *query, const struct group *g, struct page *page,
                     struct sort *sort)
{
    struct cursor cursor;
    if (!sort_parse(c, query->entity, query->sort, sort) || !cursor_parse(c, query, sort, &cursor))
        return false;
    bool two = sort->count && sort->terms[0].nullable;
    int first = two && sort->terms[0].descending ? 1 : 0;
    for (int i = 0; i < (two ? 2 : 1); i++) {
        int phase = i == 0 ? first : 1 - first;
        if (cursor.given && i == 0 && cursor.phase != phase) continue; /* that phase is behind us */
        if (!run_phase(c, query, sort, &cursor, phase, g, page)) return false;
        if (page->more) break;
        if (page->count == page->limit && i == 0 &&
            two) { /* full exactly at the border: look whether the next phase has any */
            struct page probe = {.out = page->out, .limit = 0};
            if (!run_phase(c, query, sort, &cursor, 1 - phase, g, &probe)) return false;
            page->more = probe.more;
            break;
        }
    }
    return true;
}

static bool check_limit(struct context *c, const struct query *q)
{
    if (q->limit >= 0 && q->limit <= LIMIT_MAX) return true;
    error_add(c->error, "limit", "bad_limit", "limit is from 1 to %d", "limit: от 1 до %d", LIMIT_MAX);
    return error_set(c->error, ERROR_BAD_REQUEST, "limit is from 1 to %d", "limit: от 1 до %d", LIMIT_MAX);
}

bool query_readable(struct context *c, const struct entity *e)
{
    if (c->trusted || access_may(c->who, e, ACTION_READ)) return true;
    return error_set(c->error, ERROR_FORBIDDEN, "your roles do not let you read this: %s",
                     "ваши роли не позволяют это читать: %s", e->plural.text[c->error->lang]);
}

static bool take_total(void *ctx, const struct value *row)
{
    *(int64_t *)ctx = row[0].i;
    return true;
}

static bool count_rows(struct context *c, const struct query *query, int64_t *total)
{
    struct sql q;
    sql_init(&q, c->arena);
    q.env = &c->env;
    q.from_people = true;
    sql_printf(&q, "SELECT count(*) FROM %s AS t", query->entity->table);
    return results_each(c, &q, select_where(c, &q, query, START_FILTER), "i", take_total, total);
}

bool query_list(struct context *c, const struct query *q, struct buf *out)
{
    struct sort sort;
    int64_t total = 0;
    if (!query_readable(c, q->entity) || !check_limit(c, q)) return false;
    struct page page = {.out = out, .limit = q->limit ? q->limit : LIMIT_DEFAULT};
    json_object(out);
    json_key(out, STR("items"));
    json_array(out);
    if (!run_list(c, q, NULL, &page, &sort)) return false;
    json_end_array(out);
    if (page.more) {
        json_key(out, STR("next"));
        if (!cursor_write(c, q, &sort, &page.last, out)) return false;
    }
    if (q->count) {
        if (!count_rows(c, q, &total)) return false;
        json_key(out, STR("total"));
        json_int(out, total);
    }
    json_end_object(out);
    return out->failed ? error_no_memory(c->error) : true;
}

bool query_group_page(struct context *c, const struct query *q, const struct field *field, struct value key,
                      struct buf *out)
{
    struct sort sort;
    struct group g = {field, key};
    struct query mine = *q;
    struct buf part;
    buf_init(&part, 65536);
    buf_cstr(&part, field->name);
    buf_char(&part, '=');
    record_write_value(&part, field, key, c->env.lang);
    mine.part = arena_str(c->arena, buf_view(&part));
    bool lost = part.failed || !mine.part.p;
    buf_free(&part);
    if (lost) return error_no_memory(c->error);
    q = &mine;
    struct page page = {.out = out, .limit = q->limit ? q->limit : 20};
    json_key(out, STR("items"));
    json_array(out);
    if (!run_list(c, q, &g, &page, &sort)) return false;
    json_end_array(out);
    if (!page.more) return true;
    json_key(out, STR("next"));
    return cursor_write(c, q, &sort, &page.last, out);
}

bool query_ids(struct context *c, const struct query *q, int64_t **ids, size_t *count)
{
    struct query mine = *q;
    struct buf out;
    mine.fields = STR("id");
    buf_init(&out, 4 << 20);
    bool ok = query_list(c, &mine, &out);
    struct str text = ok ? arena_str(c->arena, buf_view(&out)) : (struct str){NULL, 0};
    buf_free(&out);
    if (!text.p) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    struct json_value *root = json_parse(c->arena, text, c->error);
    const struct json_value *items = root ? json_member(root, STR("items")) : NULL;
    if (!items) return false;
    *count = 0;
    *ids = arena_array(c->arena, items->count + 1, sizeof **ids);
    if (!*ids) return error_no_memory(c->error);
    for (struct json_value *i = items->first; i; i = i->next)
        if (id_parse(i->first->text, &(*ids)[*count])) ++*count;
    return true;
}
