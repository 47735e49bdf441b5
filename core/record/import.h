/* import.h: rows of a file become records, each by the one path of record.h, with the rights of whoever
 * imports.
 *
 *   header + options ─ import_compile ─► struct import (which column is which field)
 *   row ─ import_row ─► savepoint: cells → values → find by key → record_create or record_change
 *
 * A compiled import belongs to one catalog and is compiled anew after a reload. What a row cannot do is its
 * own affair: it is rolled back alone and said with field and code; the rows after it go on. */
#ifndef RECORD_IMPORT_H
#define RECORD_IMPORT_H

#include "record/import_read.h"
#include "record/record.h"

/* create: only new ones. update: only existing ones. upsert: whichever it is. restore: as they were, with
 * ids, numbers, dates and authors, stage gates not asked; for crm_admin alone. */
enum import_mode { IMPORT_CREATE, IMPORT_UPDATE, IMPORT_UPSERT, IMPORT_RESTORE };

bool import_mode_named(struct str name, enum import_mode *mode);
const char *import_mode_name(enum import_mode mode);
bool import_format_named(struct str name, enum import_format *format);
const char *import_format_name(enum import_format format);

struct import_options {
    enum import_format format;
    enum import_mode mode;
    struct str match; /* name of a unique field, "id" or "number"; .n 0: none */
    bool automation;  /* hooks and chains run */
    char delimiter;   /* CSV */
    enum csv_charset charset;
};

struct import;

/* May they import that, and do the options make sense? Before the file is there. */
bool import_admit(struct context *c, const struct entity *e, const struct import_options *o);

/* Maps the columns (CSV: the header; else none) and checks the options. In c->arena, which must outlive the
 * import. NULL: ERROR_UNKNOWN_FIELD with an entry for each unknown or repeated column ("column 3"), or
 * another mistake with its pointer ("match", "mode"). */
struct import *import_compile(struct context *c, const struct entity *e, const struct import_options *o,
                              const struct str *header, size_t columns);

/* The names of the columns' fields, to compile the same import for another catalog. */
const struct str *import_names(const struct import *i, size_t *n);

enum import_outcome {
    IMPORT_CREATED,
    IMPORT_UPDATED,
    IMPORT_UNCHANGED,
    IMPORT_FAILED, /* the row is undone; c->error says why */
    IMPORT_BROKEN  /* the transaction or the disk is at fault, not the row */
};

/* Does one row inside the caller's transaction. `c` is fresh for each row: its arena and error hold what
 * becomes of it. *record: the id, 0 when it failed. */
enum import_outcome import_row(struct import *i, struct context *c, const struct import_row *row,
                               int64_t *record);

/* The same without a savepoint, for rows of which most succeed: savepoints are dear (each flushes the search
 * index). *spoilt: the row failed after it had written; the caller undoes the savepoint around all of them.
 */
enum import_outcome import_row_among(struct import *i, struct context *c, const struct import_row *row,
                                     int64_t *record, bool *spoilt);

/* The row's key (the cell of the match column), for finding repetitions; .p NULL: none. */
struct str import_key(const struct import *i, struct arena *arena, const struct import_row *row);

/* ---- import_value.c, shared with import.c alone ---- */

/* A cell of a CSV, or a value of JSON, as record_value_json wants it: numbers, dates and booleans as people
 * write them, options by label, references by code, number or a unique field. False: an entry was added, or
 * the error is set. */
bool import_cell(struct context *c, const struct field *f, const char *pointer, struct str cell,
                 struct json_value *out);
bool import_json(struct context *c, const struct field *f, const char *pointer, struct json_value *v);

#endif
