/* db.h: the narrow engine interface (design §3). Everything above speaks to a database through this
 * and nothing else; SQLite is the engine today (sqlite.c). A connection belongs to one thread.
 *
 * Statements are kept: db_prepare with the same text returns the same prepared statement of this
 * connection, reset and with bindings cleared. A statement in use (stepped, not yet done or reset)
 * is not handed out twice: a second one is prepared for a nested use. Release each with db_release
 * when done.
 *
 * SQL functions and the collation that this engine adds:
 *   COLLATE perigee            text_compare of base/text.h
 *   order_key(text)            its place in the order of texts, to be compared by bytes
 *   fold(text)                 text_fold; contains_fold(text, part), starts_fold, ends_fold → 0/1
 * (NULL → 0) label(text, lang)          a localized text in that language ('en', 'ru')
 *   dec_calc(a, sa, '+', b, sb, sr, …)   exact decimals from left to right, sr: scale of the step's result
 *   dec_add|sub|mul|div(a, sa, b, sb, sr)   exact decimals; NULL on overflow, missing value,
 * division by zero dec_round(a, sa, digits, sr), dec_scale(a, from, to) id_text(id) the 13
 * characters dec_sum(x)                 aggregate: exact 64-bit sum (like sum() for integers; error
 * on overflow) */
#ifndef STORE_DB_H
#define STORE_DB_H

#include "base/buf.h"
#include "base/error.h"
#include "store/value.h"

struct db;
struct stmt;

enum db_mode {
    DB_READ,  /* read-only, WAL reader */
    DB_WRITE, /* the writer: creates the file when missing; WAL, synchronous=FULL, foreign keys */
    DB_MEMORY /* for tests: private, in memory, writable */
};

/* Opens `path`. NULL with ERROR_UNAVAILABLE or ERROR_INTERNAL and words: not ours (application_id),
 * newer than this program, damaged, read-only, locked, folder not writable. */
struct db *db_open(const char *path, enum db_mode mode, struct error *e);
void db_close(struct db *d); /* finalizes everything; NULL is allowed */

struct stmt *db_prepare(struct db *d, struct str sql, struct error *e);
/* The same for who keeps str_hash(sql) beside the text. */
struct stmt *db_prepare_hashed(struct db *d, struct str sql, uint64_t hash, struct error *e);
void db_release(struct stmt *s); /* resets and gives it back to the connection; NULL is allowed */

/* Parameters count from 1. Text is NOT copied: it must live until the statement is reset or
 * released. */
void stmt_bind_int(struct stmt *s, int at, int64_t v);
void stmt_bind_text(struct stmt *s, int at, struct str v); /* v.p == NULL binds NULL */
void stmt_bind_blob(struct stmt *s, int at, const void *p, size_t n);
void stmt_bind_null(struct stmt *s, int at);
void stmt_bind_value(struct stmt *s, int at, struct value v);

enum step { STEP_ROW, STEP_DONE, STEP_ERROR };

/* STEP_ERROR fills `e`: ERROR_BUSY when the read budget is spent, ERROR_QUERY_LIMIT past the hard
 * limit, ERROR_DUPLICATE for a unique constraint (db_constraint names it), ERROR_CONFLICT for a
 * foreign key, ERROR_VALIDATION_FAILED for check and not null, ERROR_UNAVAILABLE for a full disk, a
 * locked or read-only database, ERROR_INTERNAL for the rest (logged with SQL, never shown). */
enum step stmt_step(struct stmt *s, struct error *e);
void stmt_reset(struct stmt *s);

/* Columns count from 0. Text lives until the next step, reset or release. */
bool stmt_null(struct stmt *s, int at);
/* All at once, for rows that are read by the thousand: nothing, a whole number, or else text as stmt_text
 * gives it. */
struct cell {
    bool null;
    int64_t i;
    struct str text; /* .p NULL unless it is a text */
};
struct cell stmt_cell(struct stmt *s, int at);
int64_t stmt_int(struct stmt *s, int at);
struct str stmt_text(struct stmt *s, int at);
struct str stmt_blob(struct stmt *s, int at);

/* Runs one or several statements (";" between them) whose rows nobody wants: schema changes and other rare
 * things. Not kept; what runs often is prepared. */
bool db_exec(struct db *d, const char *sql, struct error *e);

bool db_begin(struct db *d, bool write, struct error *e); /* write: BEGIN IMMEDIATE */
bool db_commit(struct db *d, struct error *e);
void db_rollback(struct db *d);
/* False when none is open; inside what was one it means that SQLite had to undo all of it (disk full, I/O
 * error, no memory). */
bool db_in_transaction(struct db *d);
/* The connection may write. */
bool db_in_write(struct db *d);
/* References between records are DEFERRED: they may dangle while a request goes on. False while one does. */
bool db_references_hold(struct db *d);
/* Savepoints nest; the level is counted by the connection. */
bool db_savepoint(struct db *d, struct error *e);
/* The release of the outermost savepoint fails with ERROR_CONFLICT while a reference dangles; it is then
 * still open. */
bool db_savepoint_release(struct db *d, struct error *e);
void db_savepoint_rollback(struct db *d); /* undoes and ends the innermost one */

int64_t db_changes(struct db *d);
/* "table.column[, table.column]" of the last unique violation; empty when unknown. */
struct str db_constraint(struct db *d);

/* Reads stop with ERROR_BUSY after `soft_ns`, or ERROR_QUERY_LIMIT when `hard` is set; 0 turns it
 * off. Counted from now. */
void db_budget(struct db *d, uint64_t ns, bool hard);
/* For reads inside a call that has a deadline of its own (clock_mono; 0: none): the earlier of both holds
 * from now on. Returns what held before, for db_budget_restore. */
struct db_budget {
    uint64_t deadline;
    bool hard;
};
struct db_budget db_budget_tighten(struct db *d, uint64_t deadline);
void db_budget_restore(struct db *d, struct db_budget before);

/* Makes a reader's next read see what others committed; number that differs when any other
 * connection wrote. */
bool db_data_version(struct db *d, int64_t *version, struct error *e);

#endif
