/* context.c: setting up what every operation on records carries with it. */
#include "record/record.h"

#include "base/clock.h"

void context_init(struct context *c, const struct catalog *catalog, struct db *db,
                  const struct principal *who, struct arena *arena, struct error *error)
{
    *c = (struct context){.catalog = catalog,
                          .db = db,
                          .who = who,
                          .arena = arena,
                          .error = error,
                          .env = who->env,
                          .automation = true};
    c->env.now = clock_now();
    c->env.lang = error->lang;
}
