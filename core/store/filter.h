/* filter.h: the one filter language (api.md §3; design §4): parse once, check against the catalog,
 * then either write SQL (for sets) or evaluate directly (one record in memory). A property test
 * holds the two together.
 *
 * Two values of logic: a test on a missing value is false; its negation true. Formulas are the same
 * grammar with arithmetic and give a value or nothing.
 *
 * A `struct filter` is immutable and lives in the arena it was parsed in. */
#ifndef STORE_FILTER_H
#define STORE_FILTER_H

#include "base/timezone.h"
#include "store/catalog.h"
#include "store/db.h"
#include "store/value.h"

#define FILTER_LENGTH_MAX 8192 /* characters */
#define FILTER_DEPTH_MAX 50    /* nesting */
#define FILTER_TERMS_MAX 250
#define FILTER_PATH_MAX 6 /* names in a path */

/* What a macro means now. Sets are JSON arrays as VALUE_SET holds them (ids in text form; codes for
 * settings). */
struct filter_env {
    int64_t now; /* ms */
    const struct timezone_data *zone;
    enum lang lang;
    int64_t me;                                                /* user id; 0: nobody (system) */
    int64_t my_company;                                        /* partner id of partner staff; 0 */
    struct str my_directions, my_groups, my_reports, my_roles; /* JSON arrays; "[]" when empty */
    struct str my_absent;                                      /* users that I stand in for now */
    struct str my_levels; /* of partners: that of my company and those below */
};

/* Which fields exist for whoever asks. NULL functions: everything does, unconditionally.
 * `see_field`: false makes the field unknown. `row_sql`: appends a condition (may add binds) under
 * which a row of `e`, with table alias `alias`, is readable; used inside relation paths so that
 * hidden rows read as missing. `field_sql`: appends the SQL of a field that is visible only on some
 * rows (CASE WHEN …), returns false when it is visible on all. */
struct sql;
struct filter_scope {
    void *ctx;
    bool (*see_field)(void *ctx, const struct entity *e, const struct field *f);
    bool (*row_sql)(void *ctx, const struct entity *e, const char *alias, struct sql *out);
    bool (*field_sql)(void *ctx, const struct entity *e, const struct field *f, const char *alias,
                      struct sql *out);
};

/* Parses and checks `text` for `entity`. NULL with ERROR_BAD_FILTER whose first entry has pointer
 * "filter" (or `pointer`), offset in characters, code ("syntax", "unknown_field", "unknown_macro",
 * "bad_value", "type_mismatch", "too_long", "too_deep", "too_many_terms"), expected and suggestion.
 * Literals are converted to the field's type at parse time ("2026-13-01" for a date is an error
 * there). `params`: values for $1…$n (scripts), may be NULL/0. A reference to a setting takes a
 * code or an id (given as text; ids of settings are looked up when bound, in SQL). @role.<code> is
 * a boolean macro. */
const struct filter *filter_parse(struct arena *arena, const struct catalog *c, const struct entity *entity,
                                  struct str text, const char *pointer, const struct value *params,
                                  size_t param_count, const struct filter_scope *scope, struct error *e);

/* A formula: value expression with + - * /, coalesce, round, days, if. `type` is the declared type
 * of the result: the value is rounded to its scale. */
const struct filter *filter_parse_formula(struct arena *arena, const struct catalog *c,
                                          const struct entity *entity, struct str text, enum field_type type,
                                          int scale, struct error *e);

/* A literal or macro (with + - duration) that stands for a value of `field`: defaults. */
bool filter_parse_value(const struct field *field, struct str text, const struct filter_env *env,
                        struct arena *arena, struct value *out, struct error *e);

/* True when the filter names that field of its own entity anywhere. */
bool filter_names(const struct filter *f, const struct field *field);

/* ---- SQL ---- */

enum bind_kind {
    BIND_VALUE,
    BIND_NOW,
    BIND_ME,
    BIND_MY_COMPANY,
    BIND_MY_DIRECTIONS,
    BIND_MY_GROUPS,
    BIND_MY_REPORTS,
    BIND_MY_ABSENT,
    BIND_MY_LEVELS,
    BIND_MY_ROLES,
    BIND_DAY_START,
    BIND_DATE_START,  /* value: a day; the instant at which it starts for the user */
    BIND_INSTANT_DAY, /* value: an instant; its day for the user */
    BIND_LANG,
    BIND_ZONE, /* the name of the user's time zone */
    BIND_ROLE
};

struct bind {
    enum bind_kind kind;
    struct value value; /* BIND_VALUE; BIND_ROLE: the code */
    char unit;          /* BIND_DAY_START (@today, @week_start, …): 'd','w','m','q','y' */
    bool as_datetime;   /* BIND_DAY_START: the instant at which that day starts for the user, in ms;
                           else the day */
    bool id_text;       /* an id is bound in its text form (elements of JSON sets) */
    bool id;            /* `element`: an id, given in its text form */
    int element;        /* of a set: which one, from 1; 0: the set itself */
    int64_t add_ms, add_days, add_months; /* macro + duration */
};

/* SQL text under construction with its binds in order ("?" each). `failed` as in buf. */
struct sql {
    struct buf text;
    struct bind *binds;
    size_t bind_count, bind_cap;
    int next_alias; /* to make table aliases unique inside one statement */
    const struct filter_env
        *env;         /* whose sets (@my.directions, …) are written out as IN (?, ?), which an index
                         serves best; NULL: as JSON. The text then depends on filter_shape. */
    bool from_people; /* a path to a person is asked from the person's end, through indices: for reading the
                         few rows of somebody, not for looking at a row that is known */
    struct arena *arena;
    bool failed;
    bool searches;  /* asks the search index: search_flush first */
    bool by_search; /* the search index, as "s", stands first in FROM and gives the order */
};

void sql_init(struct sql *q, struct arena *arena);

/* How many elements each set of `env` has, as far as SQL depends on it: equal shapes, equal SQL. */
#define FILTER_SHAPE 7
void filter_shape(const struct filter_env *env, char shape[FILTER_SHAPE]);

void sql_free(struct sql *q); /* the text; the rest is the arena's */
void sql_add(struct sql *q, const char *text);
void sql_str(struct sql *q, struct str text);
void sql_printf(struct sql *q, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sql_bind(struct sql *q, struct bind b); /* adds "?" and the bind */
void sql_bind_value(struct sql *q, struct value v);
/* What a bind means now; texts made here live in the arena. False: no memory. */
bool bind_resolve(const struct bind *b, const struct filter_env *env, struct arena *arena, struct value *out);
/* Binds all, resolving macros against env. Values computed here live in `arena`. */
bool sql_bind_all(struct stmt *s, int first, const struct bind *binds, size_t n, const struct filter_env *env,
                  struct arena *arena);

/* The SQL expression of field `f` of a row of table alias `alias` (formula expanded, localized text
 * in the reader's language, refs as a JSON array subquery), under `scope` (may be NULL). */
bool field_sql(struct sql *q, const struct entity *entity, const struct field *f, const char *alias,
               const struct filter_scope *scope);

/* A condition (0/1, never NULL at top level where it matters: usable after WHERE and after NOT). */
bool filter_sql(struct sql *q, const struct filter *f, const char *alias, const struct filter_scope *scope);
/* A value, for formulas. */
bool formula_sql(struct sql *q, const struct filter *f, const char *alias, const struct filter_scope *scope);

/* ---- direct evaluation ---- */

/* Gives the value of `path` (fields from the record outwards) for the record being tested; false on
 * failure (`e`). `code` gives the code of the setting with that id: .p NULL when there is none. */
struct filter_record {
    void *ctx;
    bool (*get)(void *ctx, const struct field *const *path, size_t length, struct value *out,
                struct error *e);
    bool (*code)(void *ctx, const struct entity *setting, int64_t id, struct str *out, struct error *e);
};

bool filter_eval(const struct filter *f, const struct filter_record *r, const struct filter_env *env,
                 struct arena *arena, bool *result, struct error *e);
bool formula_eval(const struct filter *f, const struct filter_record *r, const struct filter_env *env,
                  struct arena *arena, struct value *result, struct error *e);

#endif
