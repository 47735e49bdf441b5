/* relink.h: making whatever refers to one record refer to another. */
#ifndef RECORD_RELINK_H
#define RECORD_RELINK_H

#include "record/record.h"

/* Every reference to `from`, in every entity, leads to `to` (of the same entity) afterwards; `each` is told
 * each one that was changed. Rights are not asked. A row that would then stand twice stays as it is. At most
 * 2000 rows a field. In the caller's savepoint. */
bool record_relink(struct context *c, const struct record *from, const struct record *to,
                   void (*each)(void *ctx, const struct entity *e, int64_t id, const struct field *f),
                   void *ctx);

#endif
