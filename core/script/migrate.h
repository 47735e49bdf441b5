/* migrate.h: migrations of plugins: plugins/NAME/migrations/001_fill.lua and so on: each once, in order, in
 * the transaction in which the database follows the scripts. */
#ifndef SCRIPT_MIGRATE_H
#define SCRIPT_MIGRATE_H

#include "script/script.h"

/* Runs what has not run yet, with system rights, inside the caller's write transaction and after the schema
 * was applied. false: a mistake with file and line; the caller rolls back. */
bool script_migrate(struct script_set *set, struct db *db, struct error *e);

/* Calls `each` with the file of every migration that would run. */
bool script_migrations_pending(struct script_set *set, struct db *db,
                               void (*each)(void *ctx, const char *file), void *ctx, struct error *e);

#endif
