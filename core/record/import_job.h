/* import_job.h: one import from its first row to its last, a chunk at a time, whoever drives it: the server
 * (chunks as jobs of the writer), the command line and dry runs (a connection of their own).
 *
 *   import_job_open ─► import_job_read: a chunk from the file ─► import_job_apply: in a transaction, until
 * its time is used up ─┬─ rows left ─► apply again        (progress is saved in the same transaction) └─ none
 * left ─► read … ─► end of file: state "done"
 *
 * Reading may run on one thread while applying runs on another, as long as they take turns on a chunk. */
#ifndef RECORD_IMPORT_JOB_H
#define RECORD_IMPORT_JOB_H

#include "record/import.h"
#include "store/imports.h"

struct import_chunk;

struct import_job {
    struct arena arena; /* lives as long as the job */
    struct import_state state;
    struct import_options options;
    bool dry_run;
    enum lang lang;
    struct str request; /* of its entries in the log */

    /* the reading side */
    struct import_reader *reader;
    struct import *mine; /* compiled by whoever opened the job: for keys */
    const struct catalog *my_catalog;
    struct import_keys *keys;
    bool ended;

    /* the applying side */
    struct arena compiled; /* `there` lives in it */
    struct import *there;
    const struct catalog *catalog; /* of `there`, held */
    int64_t user_epoch;            /* of the principal for whom it was compiled */
    size_t group;                  /* rows that share a savepoint: more while all goes well */
    struct import_state next;      /* `state` when what was applied is committed */
};

/* Options as they are kept in the row of the import, and back. */
bool import_options_write(struct buf *b, const struct import_options *o, bool dry_run, enum lang lang);
bool import_options_read(struct str json, struct arena *arena, struct import_options *o, bool *dry_run,
                         enum lang *lang, struct error *e);

/* Decides charset and delimiter of the file at `path` and maps its header, without reading the rows: what is
 * wrong with the whole file. `charset` "" means: find out. */
bool import_probe(struct context *c, const struct entity *e, const char *path, struct str charset,
                  struct import_options *o);

/* Opens import `id`, whose file is at `path`, to go on where it stopped; counts its rows the first time.
 * `c`: any thread's, for rights and names. NULL: c->error. */
struct import_job *import_job_open(struct context *c, int64_t id, const char *path);
void import_job_close(struct import_job *j);

struct import_chunk *import_chunk_new(void);
void import_chunk_free(struct import_chunk *k);
/* The next rows of the file into an empty chunk; an empty chunk is the end. False: the import has failed. */
bool import_job_read(struct import_job *j, struct import_chunk *k, struct error *e);
bool import_chunk_empty(const struct import_chunk *k);

/* Applies rows of the chunk until `budget_ns` is used up or none is left (*left false), then saves progress.
 * `c` is a context of the importing user with everything but arena, error and request. False: nothing of it
 * may be committed, and `e` says why (the disk, the transaction, the user is gone). */
bool import_job_apply(struct import_job *j, struct import_chunk *k, const struct context *c,
                      uint64_t budget_ns, bool *left, struct error *e);

/* What was applied last is committed. Without this call it is applied again. */
void import_job_committed(struct import_job *j, struct import_chunk *k);

/* The last chunk is done, or the import cannot go on (`why` set): state and time of the end. In a
 * transaction.
 */
bool import_job_finish(struct import_job *j, struct db *d, const struct error *why, struct error *e);

/* The `request` of the import's entries in the log, "import:<id>". A client's X-Request-Id has no colon, so
 * that nobody can pass a change of their own off as an import's. */
struct str import_request(int64_t id, struct arena *arena);

#endif
