/* csv_read.h: reading CSV (RFC 4180 and what spreadsheets make of it) in pieces, row after row.
 *
 *   bytes ─ read ─► window (64 KiB) ─► quotes, delimiter, charset ─► one row: cells in UTF-8
 *
 * Lines end in LF or CRLF (a bare CR is a line end too); a quoted cell may hold delimiters, line ends and
 * doubled quotes; a quote inside an unquoted cell is that character. Empty lines are skipped. Memory is
 * bounded by CSV_ROW_MAX whatever comes: a row that is wrong or too long is reported with its line, and
 * reading goes on behind it. One thread at a time. */
#ifndef BASE_CSV_READ_H
#define BASE_CSV_READ_H

#include "base/buf.h"

#define CSV_ROW_MAX ((size_t)1 << 20) /* bytes of one row in UTF-8 */
#define CSV_CELLS_MAX 1000

enum csv_charset { CSV_UTF8, CSV_WINDOWS_1251 };

enum csv_mistake {
    CSV_FINE,
    CSV_TOO_LONG,    /* the row has more than CSV_ROW_MAX bytes */
    CSV_TOO_WIDE,    /* more than CSV_CELLS_MAX cells */
    CSV_UNCLOSED,    /* a quoted cell does not end before the file does */
    CSV_AFTER_QUOTE, /* something else than a delimiter or the line's end follows a closing quote */
    CSV_NOT_UTF8
};

struct csv_row {
    const struct str *cells; /* live until the next row is read */
    size_t count;
    int64_t line; /* of its first character, from 1 */
    int64_t end;  /* offset in the file behind its line end: where reading may go on */
    enum csv_mistake mistake;
};

/* Fills `to` with at most n bytes; 0 at the end; -1 failed. */
typedef int64_t csv_source(void *ctx, char *to, size_t n);

struct csv_reader {
    csv_source *source;
    void *ctx;
    char delimiter;
    enum csv_charset charset;
    char *window;
    size_t at, filled;
    int64_t offset; /* of window[0] in the file */
    int64_t line;   /* of the next character */
    struct buf text;
    size_t *ends;
    struct str *cells;
    bool ended, failed; /* failed: no memory, or the source said so */
};

/* Begins at `offset` (a row's end, or 0: then a byte order mark is skipped) with the number of its line.
 * False: no memory. Free with csv_reader_free either way. */
bool csv_reader_init(struct csv_reader *r, csv_source *source, void *ctx, char delimiter,
                     enum csv_charset charset, int64_t offset, int64_t line);
void csv_reader_free(struct csv_reader *r);

/* False at the end, or when reading failed (r->failed). */
bool csv_next(struct csv_reader *r, struct csv_row *row);

/* The delimiter (comma, semicolon or tab) that stands most often outside quotes in the first line of `start`.
 */
char csv_delimiter(struct str start);

/* Appends windows-1251 text as UTF-8. */
void csv_from_1251(struct buf *out, struct str s);

#endif
