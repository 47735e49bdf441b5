/* filter_macro.c: what macros and durations mean at the moment of asking, for both back ends. */
#include "base/calendar.h"
#include "base/id.h"
#include "store/filter_tree.h"

#include <stdlib.h>

const char *const macro_names[] = {"me",         "my.company",  "my.directions", "my.groups",  "my.reports",
                                   "my.absent",  "my.levels",   "my.roles",      "now",        "today",
                                   "week_start", "month_start", "quarter_start", "year_start", NULL};

bool macro_find(struct str name, struct bind *b, enum value_type *type, bool *set)
{
    static const struct {
        const char *name;
        enum bind_kind kind;
        char unit;
        enum value_type type;
        bool set;
    } macros[] = {
        {"me", BIND_ME, 0, VALUE_ID, false},
        {"my.company", BIND_MY_COMPANY, 0, VALUE_ID, false},
        {"my.directions", BIND_MY_DIRECTIONS, 0, VALUE_SET, true},
        {"my.groups", BIND_MY_GROUPS, 0, VALUE_SET, true},
        {"my.reports", BIND_MY_REPORTS, 0, VALUE_SET, true},
        {"my.absent", BIND_MY_ABSENT, 0, VALUE_SET, true},
        {"my.levels", BIND_MY_LEVELS, 0, VALUE_SET, true},
        {"my.roles", BIND_MY_ROLES, 0, VALUE_SET, true},
        {"now", BIND_NOW, 0, VALUE_DATETIME, false},
        {"today", BIND_DAY_START, 'd', VALUE_DATE, false},
        {"week_start", BIND_DAY_START, 'w', VALUE_DATE, false},
        {"month_start", BIND_DAY_START, 'm', VALUE_DATE, false},
        {"quarter_start", BIND_DAY_START, 'q', VALUE_DATE, false},
        {"year_start", BIND_DAY_START, 'y', VALUE_DATE, false},
    };
    for (size_t i = 0; i < sizeof macros / sizeof *macros; i++) {
        if (!str_is(name, macros[i].name)) continue;
        *b = (struct bind){.kind = macros[i].kind, .unit = macros[i].unit};
        *type = macros[i].type;
        *set = macros[i].set;
        return true;
    }
    return false;
}

bool duration_add(struct str text, bool minus, struct bind *b)
{
    int64_t n = 0;
    size_t i = 0;
    for (; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++) {
        n = n * 10 + (text.p[i] - '0');
        if (n > 1000000) return false;
    }
    struct str unit = {text.p + i, text.n - i};
    if (i == 0) return false;
    if (minus) n = -n;
    if (str_is(unit, "m"))
        b->add_ms += n * 60000;
    else if (str_is(unit, "h"))
        b->add_ms += n * 3600000;
    else if (str_is(unit, "d"))
        b->add_days += n;
    else if (str_is(unit, "w"))
        b->add_days += n * 7;
    else if (str_is(unit, "mo"))
        b->add_months += n;
    else if (str_is(unit, "y"))
        b->add_months += n * 12;
    else
        return false;
    /* ten thousand years either way, all durations together: no sum of them leaves 64 bits */
    return llabs(b->add_months) <= 120000 && llabs(b->add_days) <= 3660000 &&
           llabs(b->add_ms) <= 3660000 * DAY_MS;
}

static int64_t add_to_day(int64_t day, const struct bind *b)
{
    if (b->add_months) day = calendar_add_months(day, b->add_months);
    return day + b->add_days;
}

/* Days and months move the local day and keep the local time of day. */
static int64_t add_to_instant(int64_t ms, const struct bind *b, const struct timezone_data *zone)
{
    if (b->add_days || b->add_months) {
        int64_t day = timezone_day(zone, ms);
        int64_t time = ms + timezone_offset(zone, ms) * INT64_C(1000) - day * DAY_MS;
        ms = timezone_instant(zone, add_to_day(day, b) * DAY_MS + time);
    }
    return ms + b->add_ms;
}

/* "@today + 30h" is tomorrow, "@today - 1h" yesterday. */
static int64_t whole_days(int64_t ms)
{
    return (ms >= 0 ? ms : ms - DAY_MS + 1) / DAY_MS;
}

static struct value day_value(const struct bind *b, const struct filter_env *env, int64_t day)
{
    day = add_to_day(day, b);
    if (!b->as_datetime) return value_of(VALUE_DATE, day + whole_days(b->add_ms));
    return value_of(VALUE_DATETIME, timezone_day_start(env->zone, day) + b->add_ms);
}

/* 2026-01-31 + 1mo */
static struct value moved(const struct bind *b, const struct filter_env *env)
{
    struct value v = b->value;
    if (v.type == VALUE_DATETIME) v.i = add_to_instant(v.i, b, env->zone);
    if (v.type == VALUE_DATE) v.i = add_to_day(v.i, b) + whole_days(b->add_ms);
    return v;
}

static struct value set_value(struct str json)
{
    return (struct value){.type = VALUE_SET, .s = json.n ? json : STR("[]")};
}

/* ---- sets, element by element ---- */

#define ELEMENTS_MAX 16

static struct str set_of(enum bind_kind kind, const struct filter_env *env)
{
    switch (kind) {
    case BIND_MY_DIRECTIONS: return env->my_directions;
    case BIND_MY_GROUPS: return env->my_groups;
    case BIND_MY_REPORTS: return env->my_reports;
    case BIND_MY_ABSENT: return env->my_absent;
    case BIND_MY_LEVELS: return env->my_levels;
    case BIND_MY_ROLES: return env->my_roles;
    default: return (struct str){NULL, 0};
    }
}

/* Sets hold texts; without an escape in them two quotes stand around each. */
int set_elements(const struct bind *b, const struct filter_env *env)
{
    struct str json = set_of(b->kind, env);
    int quotes = 0;
    for (size_t i = 0; i < json.n; i++) {
        if (json.p[i] == '\\') return -1;
        quotes += json.p[i] == '"';
    }
    if (quotes == 0 && json.n > 2) return -1;
    return quotes / 2 <= ELEMENTS_MAX ? quotes / 2 : -1;
}

static struct str element_of(struct str json, int nth)
{
    const char *end = json.p + json.n, *from = json.p;
    for (;; nth--) {
        const char *open = from < end ? memchr(from, '"', (size_t)(end - from)) : NULL;
        const char *close = open ? memchr(open + 1, '"', (size_t)(end - open - 1)) : NULL;
        if (!close) return (struct str){NULL, 0};
        if (nth == 1) return (struct str){open + 1, (size_t)(close - open - 1)};
        from = close + 1;
    }
}

/* NULL when there are fewer, which equals nothing. */
static struct value element_value(const struct bind *b, const struct filter_env *env)
{
    struct str text = element_of(set_of(b->kind, env), b->element);
    int64_t id;
    if (!text.p) return value_null();
    if (!b->id) return value_text(text);
    return id_parse(text, &id) ? value_of(VALUE_ID, id) : value_null();
}

void filter_shape(const struct filter_env *env, char shape[FILTER_SHAPE])
{
    static const enum bind_kind sets[] = {BIND_MY_DIRECTIONS, BIND_MY_GROUPS, BIND_MY_REPORTS,
                                          BIND_MY_ABSENT,     BIND_MY_LEVELS, BIND_MY_ROLES};
    for (size_t i = 0; i < FILTER_SHAPE - 1; i++)
        shape[i] = (char)('b' + set_elements(&(struct bind){.kind = sets[i]}, env)); /* 'a': as JSON */
    shape[FILTER_SHAPE - 1] = '\0';
}

static bool has_role(struct str roles, struct str code, struct arena *arena)
{
    char *quoted = arena_printf(arena, "\"%.*s\"", STR_ARG(code));
    return quoted && roles.n && memmem(roles.p, roles.n, quoted, strlen(quoted));
}

static bool id_text_value(struct arena *arena, struct value *v)
{
    char text[ID_TEXT + 1];
    if (v->type != VALUE_ID) return true;
    id_format(v->i, text);
    *v = value_text(arena_str(arena, str_of(text)));
    return v->s.p != NULL;
}

bool bind_resolve(const struct bind *b, const struct filter_env *env, struct arena *arena, struct value *out)
{
    if (b->element) {
        *out = element_value(b, env);
        return true;
    }
    *out = value_null();
    switch (b->kind) {
    case BIND_VALUE: *out = moved(b, env); break;
    case BIND_NOW:
        *out = value_of(VALUE_DATETIME, add_to_instant(env->now, b, env->zone));
        if (!b->as_datetime) *out = value_of(VALUE_DATE, timezone_day(env->zone, out->i));
        break;
    case BIND_ME:
        if (env->me) *out = value_of(VALUE_ID, env->me);
        break;
    case BIND_MY_COMPANY:
        if (env->my_company) *out = value_of(VALUE_ID, env->my_company);
        break;
    case BIND_MY_DIRECTIONS: *out = set_value(env->my_directions); break;
    case BIND_MY_GROUPS: *out = set_value(env->my_groups); break;
    case BIND_MY_REPORTS: *out = set_value(env->my_reports); break;
    case BIND_MY_ABSENT: *out = set_value(env->my_absent); break;
    case BIND_MY_LEVELS: *out = set_value(env->my_levels); break;
    case BIND_MY_ROLES: *out = set_value(env->my_roles); break;
    case BIND_DAY_START:
        *out = day_value(b, env, calendar_start(timezone_day(env->zone, env->now), b->unit));
        break;
    case BIND_DATE_START:
        *out = value_of(VALUE_DATETIME, timezone_day_start(env->zone, add_to_day(b->value.i, b)) + b->add_ms);
        break;
    case BIND_INSTANT_DAY:
        *out = value_of(VALUE_DATE, timezone_day(env->zone, add_to_instant(b->value.i, b, env->zone)));
        break;
    case BIND_LANG: *out = value_text(str_of(lang_code(env->lang))); break;
    case BIND_ZONE: *out = value_text(env->zone ? str_of(timezone_name(env->zone)) : STR("UTC")); break;
    case BIND_ROLE: *out = value_of(VALUE_BOOL, has_role(env->my_roles, b->value.s, arena)); break;
    }
    return !b->id_text || id_text_value(arena, out);
}
