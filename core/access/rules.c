/* rules.c: see rules.h. A rule's condition is compiled where it is needed; statements are kept by their text,
 * and core/record keeps the texts by role_key, so nothing of this runs twice on the hot path. */
#include "access/rules.h"

#include <stdio.h>

#define FOLLOW_DEPTH 4

static bool fine(const struct sql *q)
{
    return !q->failed && !q->text.failed;
}

static bool everything(const struct principal *p, const struct entity *e, enum action_kind action)
{
    if (action == ACTION_READ) return p->all_read;
    return p->all_write && !e->server;
}

static bool concerns(const struct rule *r, const struct entity *e, enum action_kind action)
{
    return r->entity == e && r->action == action;
}

static bool grants(const struct rule *r, const struct field *f)
{
    return !r->fields || f->index <= SYSTEM_ACTIVE || r->fields[f->index];
}

/* Calls `each` for the rules of p for an action; stops when it returns false. */
typedef bool rule_visitor(void *ctx, const struct rule *r);

static bool visit(const struct principal *p, const struct entity *e, enum action_kind action,
                  rule_visitor *each, void *ctx)
{
    for (size_t i = 0; i < p->role_count; i++)
        for (size_t k = 0; k < p->roles[i]->rule_count; k++) {
            const struct rule *r = &p->roles[i]->rules[k];
            if (concerns(r, e, action) && !each(ctx, r)) return false;
        }
    return true;
}

static bool stop(void *ctx, const struct rule *r)
{
    (void)ctx, (void)r;
    return false;
}

bool access_may(const struct principal *p, const struct entity *e, enum action_kind action)
{
    if (everything(p, e, action)) return true;
    if (e->server && action != ACTION_READ) return false;
    return !visit(p, e, action, stop, NULL);
}

/* ---- rows ---- */

static bool rows(const struct principal *p, const struct entity *e, enum action_kind action,
                 const char *alias, struct sql *q, const struct field *field, int depth);

/* Reading follows reading, all else follows changing. */
static enum action_kind followed(const struct rule *r)
{
    return r->action == ACTION_READ ? ACTION_READ : ACTION_UPDATE;
}

/* The record that a reference leads to, under its own rules. */
static bool follow_one(const struct principal *p, const struct rule *r, const struct entity *to,
                       const char *alias, struct sql *q, int depth)
{
    char inner[24];
    snprintf(inner, sizeof inner, "f%d", q->next_alias++);
    sql_printf(q, "EXISTS (SELECT 1 FROM %s AS %s WHERE %s.%s = %s.%s AND ", to->table, inner, inner,
               to->setting ? to->code->column : "id", alias, r->follow->column);
    if (!rows(p, to, followed(r), inner, q, NULL, depth + 1)) return false;
    sql_add(q, ")");
    return fine(q);
}

static bool hangs_on_any(const struct entity *e)
{
    for (size_t i = 0; i < e->field_count; i++)
        if (e->fields[i]->any) return true;
    return false;
}

static bool may_follow_to(const struct rule *r, const struct entity *to)
{
    for (size_t i = 0; i < r->follow_to_count; i++)
        if (r->follow_to[i] == to) return true;
    return !r->follow_to && !to->setting && !to->server;
}

/* A comment on a task on a deal is followed twice; what hangs on hanging things no further, or the statement
 * would grow with a power of the number of entities. */
static bool follow_any(const struct principal *p, const struct rule *r, const char *alias, struct sql *q,
                       int depth)
{
    size_t count = 0;
    for (size_t i = 0; i < p->catalog->entity_count; i++) {
        const struct entity *to = p->catalog->entities[i];
        if (to == r->entity || !may_follow_to(r, to) || (depth > 0 && hangs_on_any(to)) ||
            !access_may(p, to, followed(r)))
            continue;
        if (count++ == 0) sql_printf(q, "(CASE %s.\"%s_entity\"", alias, r->follow->name);
        sql_printf(q, " WHEN '%s' THEN ", to->name);
        if (!follow_one(p, r, to, alias, q, depth)) return false;
    }
    sql_add(q, count ? " ELSE 0 END)" : "0");
    return fine(q);
}

static bool follow_sql(const struct principal *p, const struct rule *r, const char *alias, struct sql *q,
                       int depth)
{
    if (depth < FOLLOW_DEPTH)
        return r->follow->any ? follow_any(p, r, alias, q, depth)
                              : follow_one(p, r, r->follow->to, alias, q, depth);
    sql_add(q, "0");
    return fine(q);
}

/* What some readable record refers to: the company of a deal that one may see. Asked once for the statement,
 * not once for each row: whoever has such a rule sees few deals, and there may be many companies. */
static bool of_sql(const struct principal *p, const struct rule *r, const char *alias, struct sql *q,
                   int depth)
{
    char inner[24];
    if (depth >= FOLLOW_DEPTH) {
        sql_add(q, "0");
        return fine(q);
    }
    snprintf(inner, sizeof inner, "f%d", q->next_alias++);
    sql_printf(q, "%s.%s IN (SELECT %s.%s FROM %s AS %s WHERE %s.%s IS NOT NULL AND ", alias,
               r->entity->setting ? r->entity->code->column : "id", inner, r->of->column, r->of_entity->table,
               inner, inner, r->of->column);
    if (!rows(p, r->of_entity, ACTION_READ, inner, q, NULL, depth + 1)) return false;
    sql_add(q, ")");
    return fine(q);
}

static bool unconditional_rule(const struct rule *r)
{
    return !r->where && !r->follow && !r->of;
}

static bool rule_sql(const struct principal *p, const struct rule *r, const char *alias, struct sql *q,
                     int depth)
{
    sql_add(q, unconditional_rule(r) ? "(1" : "(");
    if (r->where && !filter_sql(q, r->where, alias, NULL)) return false;
    if (r->where && (r->follow || r->of)) sql_add(q, " AND ");
    if (r->follow && !follow_sql(p, r, alias, q, depth)) return false;
    if (r->follow && r->of) sql_add(q, " AND ");
    if (r->of && !of_sql(p, r, alias, q, depth)) return false;
    sql_add(q, ")");
    return fine(q);
}

/* Roles share lists of rules: each of somebody's roles has its own copy of the same ones. */
static bool says_the_same(const struct rule *a, const struct rule *b)
{
    bool where = a->where_text && b->where_text ? strcmp(a->where_text, b->where_text) == 0
                                                : a->where_text == b->where_text;
    bool fields = a->fields && b->fields
                      ? memcmp(a->fields, b->fields, a->entity->field_count * sizeof *a->fields) == 0
                      : a->fields == b->fields;
    if (!where || !fields || a->follow != b->follow || a->of != b->of ||
        a->follow_to_count != b->follow_to_count)
        return false;
    for (size_t i = 0; i < a->follow_to_count; i++)
        if (a->follow_to[i] != b->follow_to[i]) return false;
    return true;
}

/* Said already by a rule before `r`? Said twice it would be compiled twice, and where rules follow rules,
 * that is a power of the number of roles. */
static bool repeats(const struct principal *p, const struct rule *r)
{
    for (size_t i = 0; i < p->role_count; i++)
        for (size_t k = 0; k < p->roles[i]->rule_count; k++) {
            const struct rule *before = &p->roles[i]->rules[k];
            if (before == r) return false;
            if (concerns(before, r->entity, r->action) && says_the_same(before, r)) return true;
        }
    return false;
}

struct rows_state {
    const struct principal *p;
    const char *alias;
    struct sql *q;
    const struct field *field;
    int depth;
    size_t count;
    bool failed;
};

static bool add_rule(void *ctx, const struct rule *r)
{
    struct rows_state *s = ctx;
    if ((s->field && !grants(r, s->field)) || repeats(s->p, r)) return true;
    if (s->count++) sql_add(s->q, " OR ");
    s->failed = !rule_sql(s->p, r, s->alias, s->q, s->depth);
    return !s->failed;
}

static bool unconditional(void *ctx, const struct rule *r)
{
    const struct field *field = ctx;
    bool all = unconditional_rule(r) && (!field || grants(r, field));
    return !all; /* stops at the first */
}

static bool rows(const struct principal *p, const struct entity *e, enum action_kind action,
                 const char *alias, struct sql *q, const struct field *field, int depth)
{
    void *f = (void *)(uintptr_t)field;
    if (everything(p, e, action) ||
        (!(e->server && action != ACTION_READ) && !visit(p, e, action, unconditional, f))) {
        sql_add(q, "1");
        return fine(q);
    }
    if (e->server && action != ACTION_READ) {
        sql_add(q, "0");
        return fine(q);
    }
    struct rows_state s = {.p = p, .alias = alias, .q = q, .field = field, .depth = depth};
    sql_add(q, "(");
    visit(p, e, action, add_rule, &s);
    if (s.count == 0) sql_add(q, "0");
    sql_add(q, ")");
    return !s.failed && fine(q);
}

bool access_row_sql(const struct principal *p, const struct entity *e, enum action_kind action,
                    const char *alias, struct sql *q)
{
    return rows(p, e, action, alias, q, NULL, 0);
}

/* ---- fields ---- */

struct field_state {
    const struct field *field;
    bool some, all;
    bool unconditional;
};

static bool look_at_field(void *ctx, const struct rule *r)
{
    struct field_state *s = ctx;
    bool granted = grants(r, s->field);
    s->some = s->some || granted;
    s->all = s->all && granted;
    s->unconditional = s->unconditional || (granted && unconditional_rule(r));
    return true;
}

enum access_field access_field(const struct principal *p, const struct entity *e, const struct field *f,
                               enum action_kind action)
{
    if (f->hidden) return ACCESS_NEVER;
    if (everything(p, e, action)) return ACCESS_ALWAYS;
    struct field_state s = {.field = f, .all = true};
    visit(p, e, action, look_at_field, &s);
    if (!s.some) return ACCESS_NEVER;
    return s.all || s.unconditional ? ACCESS_ALWAYS : ACCESS_SOMETIMES;
}

bool access_reads_all(const struct principal *p, const struct entity *e)
{
    for (size_t i = 0; !p->all_read && i < e->field_count; i++)
        if (!e->fields[i]->hidden && access_field(p, e, e->fields[i], ACTION_READ) == ACCESS_NEVER)
            return false;
    return true;
}

bool access_field_sql(const struct principal *p, const struct entity *e, const struct field *f,
                      enum action_kind action, const char *alias, struct sql *q)
{
    return rows(p, e, action, alias, q, f, 0);
}

/* ---- the scope of what a caller writes ---- */

static bool scope_see(void *ctx, const struct entity *e, const struct field *f)
{
    return access_field(ctx, e, f, ACTION_READ) != ACCESS_NEVER;
}

static bool scope_row(void *ctx, const struct entity *e, const char *alias, struct sql *out)
{
    return access_row_sql(ctx, e, ACTION_READ, alias, out);
}

static bool scope_field(void *ctx, const struct entity *e, const struct field *f, const char *alias,
                        struct sql *out)
{
    if (access_field(ctx, e, f, ACTION_READ) != ACCESS_SOMETIMES) return false;
    sql_add(out, "(CASE WHEN ");
    bool ok = access_field_sql(ctx, e, f, ACTION_READ, alias, out);
    sql_add(out, " THEN ");
    ok = ok && field_sql(out, e, f, alias, NULL);
    sql_add(out, " END)");
    if (!ok) out->failed = true;
    return true;
}

struct filter_scope access_scope(const struct principal *p)
{
    return (struct filter_scope){(void *)(uintptr_t)p, scope_see, scope_row, scope_field};
}

/* ---- one record ---- */

/* SELECT (rows), (field conditions…) FROM t WHERE id = ?. Without fields it is always the same for a
 * principal, and asked before and after every write: so it is kept with them. */
struct check_text {
    struct str sql; /* .p NULL: not yet */
    uint64_t hash;
    struct bind *binds;
    size_t count;
};

static struct check_text *kept_text(struct principal *p, const struct entity *e, enum action_kind action)
{
    size_t entities = p->catalog->entity_count, at = (size_t)e->index;
    bool ours = pthread_equal(p->thread, pthread_self());
    if (!ours || at >= entities || p->catalog->entities[at] != e) return NULL;
    if (!p->checks) p->checks = arena_array(&p->arena, entities * ACTION_KIND_COUNT, sizeof *p->checks);
    return p->checks ? &p->checks[at * ACTION_KIND_COUNT + action] : NULL;
}

static bool write_check(struct sql *q, const struct principal *p, const struct entity *e,
                        enum action_kind action, const bool *fields)
{
    sql_add(q, "SELECT ");
    bool ok = access_row_sql(p, e, action, "t", q);
    for (size_t i = 0; ok && fields && i < e->field_count; i++) {
        if (!fields[i] || access_field(p, e, e->fields[i], action) != ACCESS_SOMETIMES) continue;
        sql_add(q, ", ");
        ok = access_field_sql(p, e, e->fields[i], action, "t", q);
    }
    sql_printf(q, " FROM %s AS t WHERE t.id = ?", e->table);
    return ok && fine(q);
}

/* The texts among the binds are the catalog's, which lives longer. */
static void keep_check(struct principal *p, struct check_text *kept, const struct check_text *once)
{
    struct check_text mine = *once;
    mine.sql = arena_str(&p->arena, once->sql);
    if (once->count) mine.binds = arena_array(&p->arena, once->count, sizeof *mine.binds);
    if (!mine.sql.p || (once->count && !mine.binds)) return; /* full: written each time */
    if (once->count) memcpy(mine.binds, once->binds, once->count * sizeof *mine.binds);
    *kept = mine;
}

static struct stmt *start_check(struct db *d, const struct check_text *t, int64_t id,
                                const struct filter_env *env, struct arena *arena, struct error *error)
{
    struct stmt *s = db_prepare_hashed(d, t->sql, t->hash, error);
    if (!s) return NULL;
    if (!sql_bind_all(s, 1, t->binds, t->count, env, arena)) {
        db_release(s);
        return error_no_memory(error), NULL;
    }
    stmt_bind_int(s, (int)t->count + 1, id);
    return s;
}

static struct stmt *check_stmt(struct db *d, const struct principal *p, const struct entity *e, int64_t id,
                               enum action_kind action, const bool *fields, const struct filter_env *env,
                               struct arena *arena, struct error *error)
{
    /* The memory of the statements is no part of what a principal is. */
    struct principal *mine = (struct principal *)(uintptr_t)p;
    struct check_text *kept = fields ? NULL : kept_text(mine, e, action), once;
    if (kept && kept->sql.p) return start_check(d, kept, id, env, arena, error);
    struct sql q;
    sql_init(&q, arena);
    q.env = env;
    struct stmt *s = NULL;
    if (write_check(&q, p, e, action, fields)) {
        once = (struct check_text){buf_view(&q.text), str_hash(buf_view(&q.text)), q.binds, q.bind_count};
        s = start_check(d, &once, id, env, arena, error);
    } else if (error->kind == ERROR_NONE) {
        error_no_memory(error);
    }
    if (s && kept) keep_check(mine, kept, &once);
    sql_free(&q);
    return s;
}

bool access_check(struct db *d, const struct principal *p, const struct entity *e, int64_t id,
                  enum action_kind action, const bool *fields, const struct filter_env *env,
                  struct arena *arena, bool *allowed, const struct field **denied, struct error *error)
{
    *allowed = false;
    *denied = NULL;
    struct stmt *s = check_stmt(d, p, e, id, action, fields, env, arena, error);
    if (!s) return false;
    enum step step = stmt_step(s, error);
    *allowed = step == STEP_ROW && stmt_int(s, 0) != 0;
    int at = 1;
    for (size_t i = 0; *allowed && fields && i < e->field_count; i++) {
        if (!fields[i]) continue;
        enum access_field may = access_field(p, e, e->fields[i], action);
        bool no = may == ACCESS_NEVER || (may == ACCESS_SOMETIMES && stmt_int(s, at++) == 0);
        if (!no) continue;
        *denied = e->fields[i];
        *allowed = false;
    }
    db_release(s);
    return step != STEP_ERROR;
}

/* ---- why ---- */

static bool rule_matches(struct db *d, const struct principal *p, const struct rule *r, int64_t id,
                         const struct filter_env *env, struct arena *arena, bool *yes, struct error *error)
{
    struct sql q;
    sql_init(&q, arena);
    sql_add(&q, "SELECT 1 FROM ");
    sql_printf(&q, "%s AS t WHERE ", r->entity->table);
    bool ok = rule_sql(p, r, "t", &q, 0);
    sql_add(&q, " AND t.id = ?");
    struct stmt *s = ok && fine(&q) ? db_prepare(d, buf_view(&q.text), error) : NULL;
    sql_free(&q);
    if (!s) return error->kind == ERROR_NONE ? error_no_memory(error) : false;
    ok = sql_bind_all(s, 1, q.binds, q.bind_count, env, arena);
    stmt_bind_int(s, (int)q.bind_count + 1, id);
    enum step step = ok ? stmt_step(s, error) : STEP_ERROR;
    db_release(s);
    *yes = step == STEP_ROW;
    return ok ? step != STEP_ERROR : error_no_memory(error);
}

static struct access_reason *add_reason(struct arena *arena, struct access_reason ***last, struct place place,
                                        const struct role *role, const char *words, bool matched)
{
    struct access_reason *reason = arena_alloc(arena, sizeof *reason);
    if (!reason) return NULL;
    *reason = (struct access_reason){.role = role, .place = place, .words = words, .matched = matched};
    **last = reason;
    *last = &reason->next;
    return reason;
}

const char *access_words(const struct rule *r, struct arena *arena)
{
    if (unconditional_rule(r)) return "every record";
    const char *where = r->where_text ? r->where_text : "";
    const char *and = r->where_text ? ", and " : "";
    if (r->follow) return arena_printf(arena, "as the record under \"%s\"%s%s", r->follow->name, and, where);
    if (r->of)
        return arena_printf(arena, "what a readable %s has as \"%s\"%s%s", r->of_entity->name, r->of->name,
                            and, where);
    return where;
}

struct access_reason *access_why(struct db *d, const struct principal *p, const struct entity *e, int64_t id,
                                 enum action_kind action, const struct filter_env *env, struct arena *arena,
                                 struct error *error)
{
    struct access_reason *first = NULL, **last = &first;
    bool ok = true;
    for (size_t i = 0; ok && i < p->role_count; i++) {
        const struct role *role = p->roles[i];
        bool all = action == ACTION_READ ? role->all_read : role->all_write && !e->server;
        if (all) ok = add_reason(arena, &last, role->place, role, "covers every record of every kind", true);
        for (size_t k = 0; ok && k < role->rule_count; k++) {
            const struct rule *r = &role->rules[k];
            bool yes = false;
            if (!concerns(r, e, action)) continue;
            if (!rule_matches(d, p, r, id, env, arena, &yes, error)) return NULL;
            const char *words = access_words(r, arena);
            struct access_reason *reason =
                words ? add_reason(arena, &last, r->place, role, words, yes) : NULL;
            if (reason) reason->rule = r;
            ok = reason != NULL;
        }
    }
    if (ok && !first) {
        const char *words = e->server && action != ACTION_READ ? "only the server itself writes these records"
                                                               : "no rule of these roles speaks of it";
        ok = add_reason(arena, &last, (struct place){0}, NULL, words, false);
    }
    return ok ? first : (error_no_memory(error), NULL);
}
