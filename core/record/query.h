/* query.h: reading sets of records under the caller's rights: from SQLite rows straight to JSON, in
 * C. */
#ifndef RECORD_QUERY_H
#define RECORD_QUERY_H

#include "record/record.h"

/* Compiled reads of one thread: the SQL and the layout of a query text under a set of roles.
 * Bounded; entries of an old catalog are dropped when a new one is seen. Holds the installation's
 * key for cursors. */
struct plan_cache;
struct plan_cache *plan_cache_new(struct db *d, size_t entries, struct error *e);
void plan_cache_free(struct plan_cache *p);

struct query { /* texts as the client sent them; .p NULL: not given */
    const struct entity *entity;
    struct str filter, sort, fields, expand, cursor, q;
    const struct value *params; /* $1…, for scripts */
    size_t param_count;
    int64_t limit;
    bool count;
    struct str
        part; /* which list of several this is (the column of a board): cursors belong to it; .p NULL */
};

/* One record as the caller may see it. ERROR_NOT_FOUND when it does not exist for them. `version`
 * for the ETag. */
bool query_get(struct context *c, const struct entity *e, int64_t id, struct str fields, struct str expand,
               struct buf *out, int64_t *version);
/* {"items":[…],"next":…,"total":…} */
bool query_list(struct context *c, const struct query *q, struct buf *out);
/* Ids only, for scripts: at most q->limit; rights apply. */
bool query_ids(struct context *c, const struct query *q, int64_t **ids, size_t *count);
/* {"columns":[…]} ; a single column's continuation when `column` is given. */
bool query_board(struct context *c, const struct query *q, struct str group_by, struct str sum,
                 struct str column, struct buf *out);

struct aggregate {
    struct str group_by, sum, avg, min, max;
    bool count;
    int64_t at_least; /* only groups of so many rows; 0: all */
};
bool query_aggregate(struct context *c, const struct query *q, const struct aggregate *a, struct buf *out);

/* {"items":[…],"next":…}: changes, comments, tasks, files, moves of a record, newest first, under
 * the caller's rights. */
bool query_timeline(struct context *c, const struct entity *e, int64_t id, int64_t limit, struct str cursor,
                    struct buf *out);

/* A whole list as CSV or NDJSON, in constant memory: rows go from the statement to the text, and the
 * statement stays open between two pieces, so that all of them are of one snapshot and one order. A snapshot
 * older than `snapshot_ns` is given up at the next piece, since the database's log cannot be cut while it is
 * held: the export goes on behind its last row in a new one, as pages do.
 *
 * `own` is a connection that nobody else uses while the export lives (not owned). Any thread may ask for the
 * next piece, one at a time. What the caller may read is decided at the start. The texts of `q` must live as
 * long as the export. */
enum export_format { EXPORT_CSV, EXPORT_NDJSON };
struct export;
struct export *export_start(struct context *c, struct db *own, const struct query *q,
                            enum export_format format, uint64_t snapshot_ns);
/* Appends rows until `out` has `enough` bytes; *done at the end. */
bool export_more(struct context *c, struct export *x, size_t enough, struct buf *out, bool *done);
void export_free(struct export *x); /* NULL is allowed */

#endif
