/* imports.h: what the database knows of imports: one row each, and what was wrong with which row of the file.
 * The file itself lies under DIR/imports until the import is done. Progress is saved in the transaction that
 * writes the records, so after a crash it is exactly what was done. */
#ifndef STORE_IMPORTS_H
#define STORE_IMPORTS_H

#include "store/db.h"

#define IMPORT_ERRORS_MAX 10000 /* rows whose mistakes are kept; the rest is counted */

struct import_state {
    int64_t id, user;
    struct str entity;  /* "" for master data */
    struct str options; /* JSON */
    struct str state;   /* queued, running, done, failed, undoing, undone */
    int64_t position, line;
    int64_t done, total; /* rows; total -1: not counted yet */
    int64_t created, updated, unchanged, failed;
    int64_t restored, removed, kept; /* by the undo */
    struct str detail;               /* why it failed, in the importer's language; .p NULL */
    struct str collections;          /* JSON of the counts of master data; .p NULL */
    int64_t first_seq, last_seq;     /* its part of the log; 0: none */
    int64_t undo_seq;                /* entries from here on were looked at by the undo; 0: not begun */
    int64_t created_at, started_at, finished_at; /* ms; 0: not yet */
};

struct import_mistake {
    int64_t row, line;
    struct str pointer; /* .p NULL: the whole row */
    struct str code, message;
    int64_t record; /* 0 */
};

enum import_phase { IMPORT_PHASE_RUN, IMPORT_PHASE_UNDO };

bool imports_add(struct db *d, const struct import_state *s, struct error *e);
/* Everything that changes while it runs. */
bool imports_save(struct db *d, const struct import_state *s, struct error *e);
/* *found false: there is none. Strings are in `arena`. */
bool imports_get(struct db *d, int64_t id, struct arena *arena, struct import_state *out, bool *found,
                 struct error *e);
/* The oldest that is queued, running or being undone; 0: none. */
bool imports_pending(struct db *d, int64_t *id, struct error *e);
/* Ids of the imports of `user` (0: of everybody) that are older than `before` (0: all), newest first. */
bool imports_list(struct db *d, int64_t user, int64_t before, int64_t *ids, size_t most, size_t *n,
                  struct error *e);

/* `n` numbers the mistakes of a phase from 0. */
bool imports_mistake(struct db *d, int64_t import, enum import_phase phase, int64_t n,
                     const struct import_mistake *m, struct error *e);
/* How many mistakes of a phase are kept. */
bool imports_mistake_count(struct db *d, int64_t import, enum import_phase phase, int64_t *n,
                           struct error *e);
bool imports_mistakes(struct db *d, int64_t import, enum import_phase phase, int64_t from, int64_t limit,
                      bool (*each)(void *ctx, const struct import_mistake *m), void *ctx, struct error *e);

#endif
