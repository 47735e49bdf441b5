/* plan.h: a compiled read: SQL, what to bind, and how its columns become JSON. Private to core/record.
 *
 *   SELECT t.id, t.version, <columns>, <masks>, <sort keys> FROM entity AS t WHERE <rules> AND <filter> AND
 * <cursor> ORDER BY … LIMIT ?
 */
#ifndef RECORD_PLAN_H
#define RECORD_PLAN_H

#include "record/query.h"

struct column {
    const struct field *field;
    struct str key, head; /* its name; and as it stands in an object: ,"name": */
    bool raw;             /* already JSON: sets, expanded references, json */
    int mask;             /* SQL column that says whether the field is granted on this row; -1: always */
    int at;               /* SQL column of the value */
};

struct sort_term {
    const struct field *field;
    bool descending, nullable, text;
    bool folded; /* in the order of texts; numbers (capitals and digits) are in it by their bytes, which an
                    index has */
};

#define SORT_MAX 4

struct sort {
    struct sort_term terms[SORT_MAX];
    size_t count;
    bool id_descending;
};

/* Where a page begins: the sort keys and id of the last record of the page before. `phase` 1: among those
 * whose first key is missing. */
struct cursor {
    bool given;
    int phase;
    int64_t id;
    struct value keys[SORT_MAX];
};

/* What a read of a page begins with; the rest is asked of each row that it meets. SQLite has no idea how many
 * rows a value has, so it is told.
 *
 *   START_FILTER  an index that the filter names, or the order of the list: right for most
 *   START_ORDER   the order of the list alone: when the filter's index has very many rows, which would all be
 * sorted START_RULES   what the rules name: when the reader may see so little that the whole table would pass
 * by
 *
 * A page that is not found within the budget of the first is tried with the others; what found it is
 * remembered for that person and list. */
enum start { START_FILTER, START_ORDER, START_RULES };

struct plan {
    struct arena arena;
    struct str key;
    struct str sql;
    uint64_t hash; /* str_hash(sql) */
    bool searches;
    struct bind *binds;
    size_t bind_count;
    struct column *columns;
    size_t column_count;
    const struct field **computed; /* by scripts, after the row */
    size_t computed_count;
    int sort_at;                       /* SQL column of the first sort key */
    int id_bind;                       /* index of the bind of a single id; -1 */
    int limit_bind;                    /* of LIMIT; -1 */
    int group_bind;                    /* of a board column's key; -1 */
    int cursor_bind[SORT_MAX * 2 + 2]; /* binds that take cursor keys … */
    int cursor_key[SORT_MAX * 2 + 2];  /* … which: index of the key, or -1 for the id */
    size_t cursor_count;
    struct sort sort;
    enum start start;
};

/* plan.c */
/* What a plan is kept by: who asks (their roles, language, and the sizes of their sets), and these parts:
 * what is read, and the texts of the query. .p NULL: no memory. */
struct str plan_key(struct context *c, const struct str *parts, size_t n);
/* From the cache, or NULL. `key` says everything that the SQL depends on besides catalog and roles. */
struct plan *plan_find(struct context *c, struct str key);
/* A new one in its own arena, to be filled and then kept. NULL: no memory. */
struct plan *plan_new(struct context *c, struct str key);
/* Gives it to the cache (which may drop another), or to the context's arena life time when there is none. */
void plan_keep(struct context *c, struct plan *p);
void plan_drop(struct plan *p);
/* Prepares and binds. Release with db_release. */
struct stmt *plan_start(struct context *c, const struct plan *p);
/* Prepares and binds SQL that runs once, and frees its text; `ok`: building it went well. NULL with the
 * reason. Release with db_release. */
struct stmt *sql_start(struct context *c, struct sql *q, bool ok);
/* Why SQL could not be built, when nothing else was said: past the bound. Always false. */
bool sql_too_large(struct error *e);
/* Statements of whole rows: the same text each time, kept with the plans. `build` writes it (true on
 * success). NULL with the reason; release with db_release. */
enum row_statement { ROW_SELECT, ROW_INSERT, ROW_STATEMENTS };
struct stmt *plan_row(struct context *c, const struct entity *e, enum row_statement which,
                      bool (*build)(struct sql *q, const struct entity *e));
/* User `id` as principal_load gives them, kept while nobody's rights change; a reference for the caller.
 * NULL: ERROR_NOT_FOUND or worse. */
struct principal *plan_person(struct context *c, int64_t id);
/* Settings that are read for every write, kept as a block of bytes without pointers: a copy of what was kept
 * under `key`, in the arena of the context, or NULL when there is none or settings have changed since. */
void *plan_recall(struct context *c, struct str key, size_t *size);
void plan_remember(struct context *c, struct str key, const void *block, size_t size);
const unsigned char *plan_secret(const struct context *c);

/* select.c */
bool select_columns(struct context *c, struct plan *p, struct sql *q, const struct entity *e,
                    struct str fields, struct str expand);
/* One row as an object. */
bool select_write_row(struct context *c, const struct plan *p, const struct entity *e, struct stmt *s,
                      struct buf *out);
void write_column(struct buf *out, const struct field *f, struct stmt *s, int at);
/* WHERE …: rules, default active, filter, search; everything but cursor and order. */
bool select_where(struct context *c, struct sql *q, const struct query *query, enum start start);
/* A field by name that the caller may read, or NULL with ERROR_UNKNOWN_FIELD at `pointer`. */
const struct field *readable_field(struct context *c, const struct entity *e, struct str name,
                                   const char *pointer);
bool read_sql(struct context *c, struct sql *q, const struct entity *e, const struct field *f,
              const char *alias);

/* A column of a board: its key, on top of the query. */
struct group {
    const struct field *field;
    struct value key;
};

/* query.c */
/* The compiled read of one phase of a list (see query.c); `g` may be NULL. Given up with plan_drop. */
struct plan *list_plan(struct context *c, const struct query *query, const struct sort *sort,
                       const struct cursor *cursor, int phase, const struct group *g, enum start start,
                       struct str key);
/* Where the list stands: the keys and id of the row that the statement is on; texts in the context's arena.
 */
bool query_read_keys(struct context *c, const struct plan *p, struct stmt *s, int phase, struct cursor *out);
/* The values of a cursor into a statement of a plan that was made for one. */
void plan_bind_cursor(const struct plan *p, struct stmt *s, const struct cursor *cursor);
bool query_readable(struct context *c, const struct entity *e);
/* "items":[…],"next":… of one column of a board, into an open object. */
bool query_group_page(struct context *c, const struct query *q, const struct field *field, struct value key,
                      struct buf *out);

/* cursor.c */
bool sort_parse(struct context *c, const struct entity *e, struct str text, struct sort *out);
bool cursor_parse(struct context *c, const struct query *q, const struct sort *sort, struct cursor *out);
bool cursor_write(struct context *c, const struct query *q, const struct sort *sort,
                  const struct cursor *cursor, struct buf *out);

#endif
