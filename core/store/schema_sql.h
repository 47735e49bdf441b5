/* schema_sql.h: the definitions of tables, columns and indices; private to schema*.c. All texts live in
 * `arena`; NULL: no memory. */
#ifndef STORE_SCHEMA_SQL_H
#define STORE_SCHEMA_SQL_H

#include "store/catalog.h"

/* True when the field has a column in its entity's table. */
bool schema_has_column(const struct field *f);

/* True when every row must have a value. */
bool schema_required(const struct field *f);

/* `"amount" INTEGER NOT NULL DEFAULT 7 …`; `fallback` is an SQL literal or NULL. */
const char *schema_column(struct arena *arena, const struct field *f, bool required, const char *fallback);

/* CREATE TABLE … of an entity with all its columns. */
const char *schema_table(struct arena *arena, const struct entity *e);

/* CREATE TABLE "entity.field" (owner, target) */
const char *schema_link(struct arena *arena, const struct entity *e, const struct field *f);

/* CREATE VIRTUAL TABLE "search_entity"; NULL also when nothing is searchable. */
const char *schema_search(struct arena *arena, const struct entity *e);

/* Every index that an entity should have, one after the other: its name and its columns as SQL; NULL when
 * memory is out. */
struct index_sink {
    void *ctx;
    void (*put)(void *ctx, const struct entity *e, const char *name, const char *columns, bool unique);
};
void schema_indexes(const struct catalog *c, const struct entity *e, struct index_sink *to);

#endif
