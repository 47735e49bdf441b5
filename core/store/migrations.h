/* migrations.h: which migrations of plugins have run (table perigee_migration). */
#ifndef STORE_MIGRATIONS_H
#define STORE_MIGRATIONS_H

#include "store/db.h"

bool migration_done(struct db *d, struct str plugin, struct str name, bool *done, struct error *e);
/* In the transaction in which it ran. */
bool migration_mark(struct db *d, struct str plugin, struct str name, int64_t at, struct error *e);

#endif
