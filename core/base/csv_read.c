/* csv_read.c: see csv_read.h. */
#include "base/csv_read.h"

#include "base/text.h"

#include <stdlib.h>

#define WINDOW ((size_t)64 << 10)

/* windows-1251, 0x80 … 0xBF (https://encoding.spec.whatwg.org/index-windows-1251.txt); from 0xC0 on the
 * Russian letters follow each other from U+0410. */
static const uint16_t upper_1251[64] = {
    0x0402, 0x0403, 0x201A, 0x0453, 0x201E, 0x2026, 0x2020, 0x2021, 0x20AC, 0x2030, 0x0409, 0x2039, 0x040A,
    0x040C, 0x040B, 0x040F, 0x0452, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x0098, 0x2122,
    0x0459, 0x203A, 0x045A, 0x045C, 0x045B, 0x045F, 0x00A0, 0x040E, 0x045E, 0x0408, 0x00A4, 0x0490, 0x00A6,
    0x00A7, 0x0401, 0x00A9, 0x0404, 0x00AB, 0x00AC, 0x00AD, 0x00AE, 0x0407, 0x00B0, 0x00B1, 0x0406, 0x0456,
    0x0491, 0x00B5, 0x00B6, 0x00B7, 0x0451, 0x2116, 0x0454, 0x00BB, 0x0458, 0x0405, 0x0455, 0x0457};

void csv_from_1251(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char b = (unsigned char)s.p[i];
        if (b < 0x80)
            buf_char(out, (char)b);
        else
            text_put(out, b < 0xC0 ? upper_1251[b - 0x80] : (uint32_t)(0x0410 + b - 0xC0));
    }
}

char csv_delimiter(struct str start)
{
    size_t comma = 0, semicolon = 0, tab = 0;
    bool quoted = false;
    for (size_t i = 0; i < start.n; i++) {
        char c = start.p[i];
        if (c == '"') quoted = !quoted;
        if (quoted) continue;
        if (c == '\n' || c == '\r') break;
        comma += c == ',';
        semicolon += c == ';';
        tab += c == '\t';
    }
    if (semicolon > comma && semicolon >= tab) return ';';
    return tab > comma ? '\t' : ',';
}

/* ---- the window ---- */

bool csv_reader_init(struct csv_reader *r, csv_source *source, void *ctx, char delimiter,
                     enum csv_charset charset, int64_t offset, int64_t line)
{
    *r = (struct csv_reader){.source = source,
                             .ctx = ctx,
                             .delimiter = delimiter,
                             .charset = charset,
                             .offset = offset,
                             .line = line};
    buf_init(&r->text, CSV_ROW_MAX);
    r->window = malloc(WINDOW);
    r->ends = calloc(CSV_CELLS_MAX, sizeof *r->ends);
    r->cells = calloc(CSV_CELLS_MAX, sizeof *r->cells);
    r->failed = !r->window || !r->ends || !r->cells;
    return !r->failed;
}

void csv_reader_free(struct csv_reader *r)
{
    buf_free(&r->text);
    free(r->window);
    free(r->ends);
    free(r->cells);
    r->window = NULL;
    r->ends = NULL;
    r->cells = NULL;
}

/* The next byte without taking it; -1 at the end. */
static int peek(struct csv_reader *r)
{
    if (r->at < r->filled) return (unsigned char)r->window[r->at];
    if (r->ended || r->failed) return -1;
    r->offset += (int64_t)r->filled;
    r->at = r->filled = 0;
    int64_t n = r->source(r->ctx, r->window, WINDOW);
    r->failed = n < 0;
    r->ended = n <= 0;
    if (n <= 0) return -1;
    r->filled = (size_t)n;
    return (unsigned char)r->window[0];
}

static void skip_mark(struct csv_reader *r)
{
    static const unsigned char mark[3] = {0xEF, 0xBB, 0xBF};
    if (r->offset != 0 || r->at != 0 || r->charset != CSV_UTF8 || peek(r) != mark[0]) return;
    for (size_t i = 0; i < 3 && peek(r) == mark[i]; i++)
        r->at++;
}

/* ---- one row ---- */

static void put(struct csv_reader *r, const char *p, size_t n)
{
    if (r->charset == CSV_WINDOWS_1251)
        csv_from_1251(&r->text, (struct str){p, n});
    else
        buf_add(&r->text, p, n);
}

/* CRLF, LF or CR; true when one was there. */
static bool take_line_end(struct csv_reader *r)
{
    int c = peek(r);
    if (c != '\r' && c != '\n') return false;
    r->at++;
    if (c == '\r' && peek(r) == '\n') r->at++;
    r->line++;
    return true;
}

/* Behind an opening quote, up to and with the closing one. False: the file ended first. */
static bool quoted_cell(struct csv_reader *r)
{
    while (peek(r) >= 0) {
        const char *start = r->window + r->at, *end = r->window + r->filled;
        const char *quote = memchr(start, '"', (size_t)(end - start));
        size_t n = (size_t)((quote ? quote : end) - start);
        for (const char *p = start; (p = memchr(p, '\n', (size_t)(start + n - p))); p++)
            r->line++;
        put(r, start, n);
        r->at += n;
        if (!quote) continue;
        r->at++;
        if (peek(r) != '"') return true;
        r->at++;
        buf_char(&r->text, '"');
    }
    return false;
}

static bool plain(const struct csv_reader *r, char c)
{
    return c != r->delimiter && c != '\n' && c != '\r';
}

/* Up to the delimiter or the line's end, which stay. */
static void plain_cell(struct csv_reader *r)
{
    while (peek(r) >= 0) {
        size_t start = r->at;
        while (r->at < r->filled && plain(r, r->window[r->at]))
            r->at++;
        put(r, r->window + start, r->at - start);
        if (r->at < r->filled) return;
    }
}

static enum csv_mistake cell(struct csv_reader *r)
{
    if (peek(r) != '"') {
        plain_cell(r);
        return CSV_FINE;
    }
    r->at++;
    if (!quoted_cell(r)) return CSV_UNCLOSED;
    int c = peek(r);
    if (c < 0 || !plain(r, (char)c)) return CSV_FINE;
    plain_cell(r);
    return CSV_AFTER_QUOTE;
}

static void cut_cells(struct csv_reader *r, struct csv_row *row)
{
    size_t start = 0;
    for (size_t i = 0; i < row->count; i++) {
        r->cells[i] = (struct str){r->text.p + start, r->ends[i] - start};
        start = r->ends[i];
        /* each by itself: two halves of a character in neighbouring cells are no character */
        if (row->mistake == CSV_FINE && r->charset == CSV_UTF8 && !text_valid(r->cells[i]))
            row->mistake = CSV_NOT_UTF8;
    }
    row->cells = r->cells;
}

static void read_row(struct csv_reader *r, struct csv_row *row)
{
    *row = (struct csv_row){.line = r->line};
    buf_reset(&r->text);
    buf_reserve(&r->text, 1); /* so that cells of an empty row point somewhere */
    for (;;) {
        enum csv_mistake mistake = cell(r);
        if (row->mistake == CSV_FINE) row->mistake = mistake;
        if (row->count == CSV_CELLS_MAX && row->mistake == CSV_FINE) row->mistake = CSV_TOO_WIDE;
        if (row->count < CSV_CELLS_MAX) r->ends[row->count++] = r->text.n;
        if (peek(r) != (unsigned char)r->delimiter) break;
        r->at++;
    }
    take_line_end(r);
    row->end = r->offset + (int64_t)r->at;
    if (r->text.failed) {
        row->mistake = CSV_TOO_LONG;
        row->count = 0;
        return;
    }
    cut_cells(r, row);
}

bool csv_next(struct csv_reader *r, struct csv_row *row)
{
    skip_mark(r);
    while (take_line_end(r)) {
    }
    if (peek(r) < 0) return false;
    read_row(r, row);
    return !r->failed;
}
