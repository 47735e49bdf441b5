/* schema.h: the database follows the catalog (design §2). A plan is the list of statements that
 * lead from the tables as they are to the catalog as it is, each with words for a person and
 * whether data would be lost. */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include "store/catalog.h"
#include "store/db.h"

struct schema_step {
    struct schema_step *next;
    const char *words; /* "add field opportunity.margin (money)" */
    const char *sql;
    bool loses;                   /* drops a column, link table or table */
    const struct entity *reindex; /* its search index is filled again after the statement; NULL */
    const char *kind, *entity, *name, *made_from; /* what perigee_schema remembers; made_from NULL: forgets */
};

struct schema_plan {
    struct schema_step *first;
    size_t count, losing;
};

/* Compares; steps live in `arena`. Changes that cannot be made (a type change, a new required field
 * without default over existing rows, a unique set that the data violates) are errors that name
 * entity, field and script line. */
bool schema_plan(struct db *d, const struct catalog *c, struct arena *arena, struct schema_plan *plan,
                 struct error *e);

/* Applies the plan inside the caller's write transaction; losing steps only with `allow_drop`
 * (otherwise they are left out: the column stays, unused). Also creates the records of roles,
 * stages, chains and chain steps that scripts name and the data lacks, and writes stated attributes
 * into them. */
bool schema_apply(struct db *d, const struct catalog *c, const struct schema_plan *plan, bool allow_drop,
                  struct error *e);

/* Creates the records of roles, stages, chains and chain steps that scripts name and the data lacks, and
 * writes stated attributes that differ. Attributes that refer to a record which is not there yet wait for the
 * next time. In the caller's write transaction. */
bool schema_seed(struct db *d, const struct catalog *c, struct error *e);

/* Whether some index of the entity's table begins with that field, so that a filter or an order by it need
 * not look at every record. False also when the database cannot be asked. Any thread, with its own
 * connection. */
bool schema_indexed(struct db *d, const struct entity *e, const struct field *f, struct arena *arena);

#endif
