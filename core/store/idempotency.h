/* idempotency.h: answers kept for a day, so that a POST that is repeated under the same Idempotency-Key is
 * answered again and not done again (api.md §5). Written in the transaction of the change itself. */
#ifndef STORE_IDEMPOTENCY_H
#define STORE_IDEMPOTENCY_H

#include "store/db.h"

#define IDEMPOTENCY_KEY_MAX 255
#define IDEMPOTENCY_KEEP_MS INT64_C(86400000)

struct idempotency_answer {
    unsigned char request[32]; /* hash of method, path and body */
    int status;
    struct str headers; /* JSON object */
    struct str body;
};

/* What was answered to this user under this key since `now` minus a day; *found false when nothing was. Texts
 * are copied into `arena`. Writer's connection. */
bool idempotency_find(struct db *d, int64_t user, struct str key, int64_t now, struct arena *arena,
                      struct idempotency_answer *out, bool *found, struct error *e);

/* Keeps an answer and forgets a few that are too old. */
bool idempotency_keep(struct db *d, int64_t user, struct str key, int64_t now,
                      const struct idempotency_answer *answer, struct error *e);

#endif
