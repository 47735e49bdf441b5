/* sql.c: SQL text under construction and its binds. */
#include "store/filter_tree.h"

#include <stdio.h>

#define SQL_MAX ((size_t)2 << 20)

void sql_init(struct sql *q, struct arena *arena)
{
    *q = (struct sql){.arena = arena};
    buf_init(&q->text, SQL_MAX);
}

void sql_free(struct sql *q)
{
    buf_free(&q->text);
}

void sql_add(struct sql *q, const char *text)
{
    buf_cstr(&q->text, text);
}

void sql_str(struct sql *q, struct str text)
{
    buf_str(&q->text, text);
}

void sql_printf(struct sql *q, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    if (n < 0)
        q->failed = true;
    else if (buf_reserve(&q->text, (size_t)n + 1)) {
        vsnprintf(q->text.p + q->text.n, (size_t)n + 1, format, again);
        q->text.n += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void sql_bind(struct sql *q, struct bind b)
{
    if (q->bind_count == q->bind_cap) {
        size_t cap = q->bind_cap ? q->bind_cap * 2 : 16;
        struct bind *more = arena_array(q->arena, cap, sizeof *more);
        if (!more) {
            q->failed = true;
            return;
        }
        if (q->bind_count) memcpy(more, q->binds, q->bind_count * sizeof *more);
        q->binds = more;
        q->bind_cap = cap;
    }
    q->binds[q->bind_count++] = b;
    sql_add(q, "?");
}

void sql_bind_value(struct sql *q, struct value v)
{
    sql_bind(q, (struct bind){.kind = BIND_VALUE, .value = v});
}

bool sql_bind_all(struct stmt *s, int first, const struct bind *binds, size_t n, const struct filter_env *env,
                  struct arena *arena)
{
    for (size_t i = 0; i < n; i++) {
        struct value v;
        if (!bind_resolve(&binds[i], env, arena, &v)) return false;
        stmt_bind_value(s, first + (int)i, v);
    }
    return true;
}
