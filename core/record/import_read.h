/* import_read.h: the rows of a file to import, one after the other, in bounded memory.
 *
 *   file ─► CSV: csv_read.h            ─┐
 *        ─► NDJSON: a value for a line  ├─► struct import_row ─► import.c
 *        ─► JSON: elements of an array ─┘   (or one object)
 *
 * Each row says where the file goes on behind it, so that an interrupted import goes on there. */
#ifndef RECORD_IMPORT_READ_H
#define RECORD_IMPORT_READ_H

#include "base/csv_read.h"
#include "base/error.h"

enum import_format { IMPORT_CSV, IMPORT_NDJSON, IMPORT_JSON };

#define IMPORT_ROW_MAX CSV_ROW_MAX

struct import_place {
    int64_t position; /* offset in the file */
    int64_t line;     /* number of the line there */
    int64_t rows;     /* read before it */
};

struct import_row {
    int64_t number; /* from 1; a header is not counted */
    int64_t line;   /* of its first character */
    struct import_place after;
    const struct str *cells; /* CSV */
    size_t count;
    struct str json;        /* else; .p NULL for CSV */
    const char *mistake[2]; /* en, ru: the row cannot be read; NULL */
    const char *code;       /* of the mistake */
};

struct import_reader;

/* Opens the file at `path` for reading from `from` (all zero: the start; then the header of a CSV is behind
 * the reader and import_header gives it). NULL with words. */
struct import_reader *import_reader_open(const char *path, enum import_format format, char delimiter,
                                         enum csv_charset charset, struct import_place from, struct error *e);
void import_reader_close(struct import_reader *r); /* NULL is allowed */

/* Cells of a CSV's header; they live until the first import_read. 0 when there is none. */
size_t import_header(const struct import_reader *r, const struct str **cells);

/* False at the end, or with `e` set when reading cannot go on: I/O, or JSON that breaks off between rows. The
 * row's memory lives until the next call. */
bool import_read(struct import_reader *r, struct import_row *row, struct error *e);

/* One pass over the whole file: is all of it UTF-8? */
bool import_is_utf8(const char *path, bool *yes, struct error *e);

#endif
