/* search.h: full-text search by FTS5, one virtual table for each entity with searchable fields
 * ("search_<entity>": a column for each field; rowid = record id; contentless or external as the
 * engine likes), tokenised on text that was folded (case, ё/е), with prefix indices from two
 * letters (prefix='2 3'). */
#ifndef STORE_SEARCH_H
#define STORE_SEARCH_H

#include "store/catalog.h"
#include "store/db.h"
#include "store/filter.h"

/* Called by the writer after a record changed; values by field index, old NULL for a new record.
 * Reindexes when a searchable field differs. */
bool search_update(struct db *d, const struct entity *entity, int64_t id, const struct value *old_values,
                   const struct value *new_values, struct error *e);
bool search_remove(struct db *d, const struct entity *entity, int64_t id, struct error *e);

/* Inside a transaction the index learns all this at COMMIT, or when this is called: before a search in the
 * same transaction. */
bool search_flush(struct db *d, struct error *e);

/* Turns what a person typed into an FTS5 query over the columns of `fields` only (all words must
 * occur, each as a prefix; a word of one letter matches as a whole word; operators and quotes of
 * FTS5 lose their meaning). .p == NULL when nothing is left. */
struct str search_query(struct arena *arena, const struct entity *entity, const struct field *const *fields,
                        size_t n, struct str typed);

/* Appends `"search_…" AS s CROSS JOIN <table> AS <alias> ON <alias>.id = s.rowid`: hits come one by one in
 * the order of s.rowid, so that a page of them does not read them all. Then, in WHERE: the test that names
 * them. */
void search_from(struct sql *q, const struct entity *e, const char *alias);
void search_match(struct sql *q, const struct entity *e, struct str fts_query);

/* Appends `<alias>.id IN (SELECT rowid FROM "search_…" WHERE … MATCH ?)`. */
void search_sql(struct sql *q, const struct entity *entity, const char *alias, struct str fts_query);

/* Rebuilds the index of an entity from its table. */
bool search_rebuild(struct db *d, const struct entity *entity, struct error *e);

#endif
