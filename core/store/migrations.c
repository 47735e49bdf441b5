/* migrations.c: see migrations.h. */
#include "store/migrations.h"

bool migration_done(struct db *d, struct str plugin, struct str name, bool *done, struct error *e)
{
    struct stmt *s = db_prepare(d, STR("SELECT 1 FROM perigee_migration WHERE plugin = ? AND name = ?"), e);
    if (!s) return false;
    stmt_bind_text(s, 1, plugin);
    stmt_bind_text(s, 2, name);
    enum step step = stmt_step(s, e);
    *done = step == STEP_ROW;
    db_release(s);
    return step != STEP_ERROR;
}

bool migration_mark(struct db *d, struct str plugin, struct str name, int64_t at, struct error *e)
{
    struct stmt *s =
        db_prepare(d, STR("INSERT INTO perigee_migration (plugin, name, at) VALUES (?, ?, ?)"), e);
    if (!s) return false;
    stmt_bind_text(s, 1, plugin);
    stmt_bind_text(s, 2, name);
    stmt_bind_int(s, 3, at);
    enum step step = stmt_step(s, e);
    db_release(s);
    return step == STEP_DONE;
}
