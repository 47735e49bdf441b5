/* outbox.h: what must happen in the outside world, written in the transaction that wants it (design
 * §3). */
#ifndef STORE_OUTBOX_H
#define STORE_OUTBOX_H

#include "store/db.h"

/* Adds a job; with a `key` that waits already, it is not added twice (*id is then the waiting one).
 * `args` is JSON. */
bool outbox_add(struct db *d, struct str job, struct str args, struct str key, int64_t due_at, int64_t by,
                int64_t *id, struct error *e);

struct outbox_depth {
    int64_t waiting, dead;
};
bool outbox_depth(struct db *d, struct outbox_depth *out, struct error *e);

#endif
