/* trail.h: the one ordered log (design §7): who, when, what, old, new, why, which script; chained
 * by hash.
 *
 *   hash(n) = BLAKE2b-256(hash(n-1) ‖ seq ‖ at ‖ who ‖ entity ‖ record ‖ action ‖ changes ‖ why ‖
 * script ‖ request) each part preceded by its length as 8 bytes, little endian; hash(0) = 32 zero
 * bytes.
 */
#ifndef STORE_TRAIL_H
#define STORE_TRAIL_H

#include "store/db.h"

struct trail_entry {
    int64_t seq;        /* set by trail_append */
    int64_t at;         /* ms */
    int64_t who;        /* user id; 0: the system */
    struct str entity;  /* "opportunity"; "" for what concerns no record (sign-in, reload) */
    int64_t record;     /* 0 */
    struct str action;  /* "create", "update", "delete", "move", "comment", "sign_in", … */
    struct str changes; /* JSON {"field":[old,new],…}, or {} */
    struct str why;     /* reason given, or "" */
    struct str script;  /* "workflows/sales.lua:31" that did it, or "" */
    struct str request; /* request id, or "" */
};

/* What an action is called to those who are told of it ("update" → "updated"); NULL: nobody is told of it by
 * a name of its own. */
const char *trail_event(struct str action);

/* Appends inside the caller's write transaction. */
bool trail_append(struct db *d, struct trail_entry *entry, struct error *e);

/* Forgets the remembered last hash; call after a rollback of the transaction or savepoint that
 * appended. */
void trail_forget(struct db *d);

/* Walks from `from` (1: all). *bad is the first seq that does not follow from the one before, or is missing
 * at the end, or is there although nobody wrote it; 0 when all is well. *count how many were read. False only
 * when the log cannot be read. */
bool trail_verify(struct db *d, int64_t from, int64_t *bad, int64_t *count, struct error *e);

/* Calls `each` for entries with seq > after in order, at most `limit`; stops when it returns false.
 */
bool trail_read(struct db *d, int64_t after, int limit,
                bool (*each)(void *ctx, const struct trail_entry *entry), void *ctx, struct error *e);

/* Entries of one request with seq >= from and seq < before, newest first, at most `limit`. */
bool trail_back(struct db *d, struct str request, int64_t from, int64_t before, int limit,
                bool (*each)(void *ctx, const struct trail_entry *entry), void *ctx, struct error *e);

/* Entries of one record with seq >= from, oldest first. */
bool trail_record(struct db *d, struct str entity, int64_t record, int64_t from,
                  bool (*each)(void *ctx, const struct trail_entry *entry), void *ctx, struct error *e);

/* The first and last positions of the log; 0 and 0 when it is empty. */
bool trail_range(struct db *d, int64_t *first, int64_t *last, struct error *e);

#endif
