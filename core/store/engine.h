/* engine.h: what the files of store/ may know of a connection beyond db.h: its SQLite handle, its kept
 * statements, and the little that the log remembers between two appends. Nobody outside core/store includes
 * this. */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H

#include "store/db.h"

#include <sqlite3.h>

#define STATEMENTS_KEPT 512
#define STATEMENT_BUCKETS 1024 /* a power of two */

/*   bucket[hash] ─► stmt ─► stmt        idle ones only, found by text
 *   newest ◄─► … ◄─► oldest             the same ones by age: past STATEMENTS_KEPT the oldest goes
 *   used   ◄─► …                        handed out, in nobody's bucket */
struct stmt {
    struct db *db;
    sqlite3_stmt *handle;
    uint64_t hash;
    size_t length; /* of the SQL text */
    struct stmt *same_bucket;
    struct stmt *newer, *older;
};

struct stmt_list {
    struct stmt *newest, *oldest;
};

/* The last link of the log, true only inside the transaction that read it (another process may write between
 * two). */
struct trail_memory {
    bool known;
    bool appended; /* this transaction has added entries, so that its end is to be sealed */
    int64_t seq;
    unsigned char hash[32];
};

/* What store_settings_version knows: `known` inside the transaction that read the epoch; `bumped`: this
 * transaction has raised it, so that taking it back is a change too. */
struct settings_memory {
    bool known, bumped;
    int64_t epoch;
    uint64_t version;
};

/* search_queue.c: words that wait for the COMMIT. */
struct search_queue {
    struct search_op **ops;
    size_t n, cap, bytes;
    bool written; /* some of them are in the index already */
};

struct db {
    sqlite3 *handle;
    enum db_mode mode;
    struct stmt *bucket[STATEMENT_BUCKETS];
    struct stmt_list idle, used;
    size_t idle_count;
    int savepoints;
    uint64_t deadline; /* clock_mono; 0: none */
    bool deadline_hard;
    char constraint[256];
    int trouble;          /* the last result code that was the machine's fault, not the request's; 0 */
    struct arena scratch; /* of one call of an SQL function */
    struct trail_memory trail;
    struct search_queue search;
    struct settings_memory settings;
};

/* search_queue.c: adds what the index has to learn about a record (outside a transaction: at once); the end
 * of savepoint `level` (the outermost is 1) and of the transaction. */
struct entity;
struct buf;
bool engine_search_queue(struct db *d, const struct entity *e, int64_t id, bool remove,
                         const struct buf *texts, size_t n, struct error *error);
void engine_search_released(struct db *d, int level);
void engine_search_undone(struct db *d, int level);
void engine_search_clear(struct db *d);
void engine_search_free(struct db *d);

/* trail.c: before a COMMIT: writes down where the log ends now, when the transaction added to it. */
bool engine_seal_trail(struct db *d, struct error *e);

/* sqlite_functions.c */
bool engine_functions(struct db *d);

/* sqlite_error.c: turns a result code into words; always false. `sql` goes to the log only (may be NULL). */
bool engine_fail(struct db *d, int code, const char *sql, struct error *e);

/* The words alone for a full disk, a lock, an I/O error …: `code` as SQLite gave it. Always false. */
bool engine_fail_environment(int code, struct error *e);

/* The words when a commit failed in a way that leaves open whether it will be found after a restart. Always
 * false. */
bool engine_fail_in_doubt(struct error *e);

/* The words for opening, where `path` is worth telling. Always false. */
bool engine_fail_open(sqlite3 *handle, int code, const char *path, struct error *e);

#endif
