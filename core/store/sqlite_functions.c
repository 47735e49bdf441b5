/* sqlite_functions.c: what SQL may call: the one order of text, folded searches, exact decimals, localized
 * texts. Each has its twin in the direct evaluation of filters, and both stand on the same functions of
 * base/. */
#include "store/engine.h"

#include "base/calendar.h"
#include "base/decimal.h"
#include "base/id.h"
#include "base/json_parse.h"
#include "base/text.h"
#include "base/timezone.h"

#include <limits.h>
#include <stdlib.h>

#define FOLDED_MAX (64u << 20)

static struct str text_of(sqlite3_value *v)
{
    const char *p = (const char *)sqlite3_value_text(v);
    return (struct str){p, p ? (size_t)sqlite3_value_bytes(v) : 0};
}

static int collate(void *ctx, int an, const void *a, int bn, const void *b)
{
    (void)ctx;
    return text_compare((struct str){a, (size_t)an}, (struct str){b, (size_t)bn});
}

/* ---- text ---- */

static void fn_fold(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    struct str s = text_of(v[0]);
    if (!s.p) return;
    struct buf b;
    buf_init(&b, FOLDED_MAX);
    text_fold(&b, s);
    if (b.failed) {
        buf_free(&b);
        sqlite3_result_error_nomem(c);
    } else if (b.n == 0) {
        buf_free(&b);
        sqlite3_result_text(c, "", 0, SQLITE_STATIC);
    } else {
        sqlite3_result_text64(c, b.p, b.n, free, SQLITE_UTF8); /* the buffer is malloc'd and now SQLite's */
    }
}

/* The place of a text in the order of texts, for comparing by bytes: folded, then a byte below all others,
 * then the text itself, which has the last word (text_compare). UTF-8 keeps the order of code points. */
static void fn_order_key(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    struct str s = text_of(v[0]);
    if (!s.p) return;
    struct buf b;
    buf_init(&b, FOLDED_MAX);
    text_fold(&b, s);
    buf_char(&b, '\x01');
    buf_str(&b, s);
    if (!b.failed) {
        sqlite3_result_text64(c, b.p, b.n, free, SQLITE_UTF8);
        return;
    }
    buf_free(&b);
    sqlite3_result_error_nomem(c);
}

static void test(sqlite3_context *c, sqlite3_value **v, bool (*holds)(struct str, struct str))
{
    struct str s = text_of(v[0]), part = text_of(v[1]);
    sqlite3_result_int(c, s.p && part.p && holds(s, part));
}

static void fn_contains(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    test(c, v, text_contains);
}

static void fn_starts(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    test(c, v, text_starts);
}

static void fn_ends(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    test(c, v, text_ends);
}

/* label('{"en":"New","ru":"Новая"}', 'ru'): the text in that language, else in any; a plain text is itself.
 */
static struct str label_in(struct arena *arena, struct str text, struct str lang)
{
    struct error e;
    error_init(&e, arena, LANG_EN);
    const struct json_value *json = json_parse(arena, text, &e);
    if (!json || json->type != JSON_OBJECT) return text;
    const struct json_value *found = json_member(json, lang);
    for (const struct json_value *m = json->first; m && !(found && found->type == JSON_STRING); m = m->next)
        found = m;
    return found && found->type == JSON_STRING ? found->text : text;
}

static void fn_label(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    struct db *d = sqlite3_user_data(c);
    struct str text = text_of(v[0]);
    if (!text.p) return;
    if (text.n > 0 && text.p[0] == '{') text = label_in(&d->scratch, text, text_of(v[1]));
    sqlite3_result_text64(c, text.p, text.n, SQLITE_TRANSIENT, SQLITE_UTF8);
    arena_reset(&d->scratch);
}

static void fn_id_text(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    int64_t id = sqlite3_value_int64(v[0]);
    char text[ID_TEXT + 1];
    if (sqlite3_value_type(v[0]) == SQLITE_NULL || id <= 0) return;
    id_format(id, text);
    sqlite3_result_text(c, text, ID_TEXT, SQLITE_TRANSIENT);
}

static void fn_id_parse(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    struct str text = text_of(v[0]);
    int64_t id;
    if (text.p && id_parse(text, &id)) sqlite3_result_int64(c, id);
}

/* ---- calendar ---- */

static void fn_local_day(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    if (sqlite3_value_type(v[0]) == SQLITE_NULL) return;
    struct str zone = text_of(v[1]);
    sqlite3_result_int64(c, timezone_day(zone.p ? timezone_find(zone) : NULL, sqlite3_value_int64(v[0])));
}

static void fn_period_start(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    struct str unit = text_of(v[1]);
    if (sqlite3_value_type(v[0]) == SQLITE_NULL || unit.n != 1) return;
    sqlite3_result_int64(c, calendar_start(sqlite3_value_int64(v[0]), unit.p[0]));
}

/* ---- decimals ---- */

/* A missing value makes the result missing; scales are literals of ours, so a bad one is a bug and gives NULL
 * too. */
static bool integers(int n, sqlite3_value **v, int64_t *out)
{
    for (int i = 0; i < n; i++) {
        if (sqlite3_value_type(v[i]) != SQLITE_INTEGER) return false;
        out[i] = sqlite3_value_int64(v[i]);
    }
    return true;
}

static bool scale_ok(int64_t scale)
{
    return scale >= 0 && scale <= DECIMAL_SCALE_MAX;
}

static void calculate(sqlite3_context *c, sqlite3_value **v,
                      bool (*op)(int64_t, int, int64_t, int, int, int64_t *))
{
    int64_t a[5], r;
    if (integers(5, v, a) && scale_ok(a[1]) && scale_ok(a[3]) && scale_ok(a[4]) &&
        op(a[0], (int)a[1], a[2], (int)a[3], (int)a[4], &r))
        sqlite3_result_int64(c, r);
}

static void fn_add(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    calculate(c, v, decimal_add);
}

static void fn_sub(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    calculate(c, v, decimal_sub);
}

static void fn_mul(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    calculate(c, v, decimal_mul);
}

static void fn_div(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    calculate(c, v, decimal_div);
}

/* dec_calc(v, scale, op, v, scale, scale of the result, op, …): from left to right. */
static void fn_calc(sqlite3_context *c, int n, sqlite3_value **v)
{
    int64_t a[2], b[3], r;
    if (n < 2 || (n - 2) % 4 != 0 || !integers(2, v, a) || !scale_ok(a[1])) return;
    for (int i = 2; i < n; i += 4) {
        struct str op = text_of(v[i]);
        if (op.n != 1 || !integers(3, v + i + 1, b) || !scale_ok(b[1]) || !scale_ok(b[2])) return;
        bool (*apply)(int64_t, int, int64_t, int, int, int64_t *) = op.p[0] == '+'   ? decimal_add
                                                                    : op.p[0] == '-' ? decimal_sub
                                                                    : op.p[0] == '*' ? decimal_mul
                                                                                     : decimal_div;
        if (!apply(a[0], (int)a[1], b[0], (int)b[1], (int)b[2], &r)) return;
        a[0] = r;
        a[1] = b[2];
    }
    sqlite3_result_int64(c, a[0]);
}

static void fn_round(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    int64_t a[4], r;
    if (!integers(4, v, a) || !scale_ok(a[1]) || !scale_ok(a[2]) || !scale_ok(a[3])) return;
    int coarse = a[2] < a[1] ? (int)a[2] : (int)a[1]; /* more digits than there are change nothing */
    if (decimal_rescale(a[0], (int)a[1], coarse, &r) && decimal_rescale(r, coarse, (int)a[3], &r))
        sqlite3_result_int64(c, r);
}

static void fn_scale(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    int64_t a[3], r;
    if (integers(3, v, a) && scale_ok(a[1]) && scale_ok(a[2]) &&
        decimal_rescale(a[0], (int)a[1], (int)a[2], &r))
        sqlite3_result_int64(c, r);
}

/* ---- exact sum ---- */

struct sum {
    bool some, overflow;
    int64_t total;
};

static void sum_step(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    struct sum *s = sqlite3_aggregate_context(c, sizeof *s);
    if (!s || sqlite3_value_type(v[0]) == SQLITE_NULL) return;
    s->some = true;
    if (__builtin_add_overflow(s->total, sqlite3_value_int64(v[0]), &s->total)) s->overflow = true;
}

static void sum_final(sqlite3_context *c)
{
    const struct sum *s = sqlite3_aggregate_context(c, 0);
    if (!s || !s->some) return;
    if (s->overflow)
        sqlite3_result_error(c, "integer overflow", -1);
    else
        sqlite3_result_int64(c, s->total);
}

/* ---- table ---- */

static const struct {
    const char *name;
    int arguments;
    void (*call)(sqlite3_context *, int, sqlite3_value **);
} functions[] = {
    {"fold", 1, fn_fold},           {"contains_fold", 2, fn_contains},
    {"starts_fold", 2, fn_starts},  {"ends_fold", 2, fn_ends},
    {"label", 2, fn_label},         {"id_text", 1, fn_id_text},
    {"dec_add", 5, fn_add},         {"dec_sub", 5, fn_sub},
    {"dec_mul", 5, fn_mul},         {"id_parse", 1, fn_id_parse},
    {"local_day", 2, fn_local_day}, {"period_start", 2, fn_period_start},
    {"dec_div", 5, fn_div},         {"dec_round", 4, fn_round},
    {"dec_scale", 3, fn_scale},     {"dec_calc", -1, fn_calc},
    {"order_key", 1, fn_order_key},
};

bool engine_functions(struct db *d)
{
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    int code = sqlite3_create_collation_v2(d->handle, "perigee", SQLITE_UTF8, NULL, collate, NULL);
    for (size_t i = 0; i < sizeof functions / sizeof *functions && code == SQLITE_OK; i++)
        code = sqlite3_create_function_v2(d->handle, functions[i].name, functions[i].arguments, flags, d,
                                          functions[i].call, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_create_function_v2(d->handle, "dec_sum", 1, flags, d, NULL, sum_step, sum_final, NULL);
    return code == SQLITE_OK;
}
