/* csv_fuzz.c: bytes into the CSV reader. Bytes that come at once and bytes that come one by one must be the
 * same rows, and reading that goes on behind any row must see the rows that follow it. The first byte chooses
 * delimiter and charset. */
#include "base/csv_read.h"
#include "base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX 4096
#define ROWS_MAX 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
    struct str rest;
    size_t step;
};

static void require(bool condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

static int64_t read_some(void *ctx, char *to, size_t n)
{
    struct source *s = ctx;
    if (n > s->step) n = s->step;
    if (n > s->rest.n) n = s->rest.n;
    if (n) memcpy(to, s->rest.p, n);
    s->rest.p += n;
    s->rest.n -= n;
    return (int64_t)n;
}

static void open_reader(struct csv_reader *r, struct source *s, uint8_t how, int64_t offset, int64_t line)
{
    require(csv_reader_init(r, read_some, s, ",;\t"[how % 3], how & 4 ? CSV_WINDOWS_1251 : CSV_UTF8, offset,
                            line),
            "there is memory");
}

static void same_row(const struct csv_row *a, const struct csv_row *b)
{
    require(a->mistake == b->mistake && a->count == b->count, "pieces do not change a row");
    require(a->line == b->line && a->end == b->end, "pieces do not change where a row is");
    for (size_t i = 0; i < a->count; i++)
        require(str_eq(a->cells[i], b->cells[i]), "pieces do not change a cell");
}

static void check_row(const struct csv_row *row, int64_t before, size_t size)
{
    require(row->end > before && row->end <= (int64_t)size, "every row moves on");
    require(row->count > 0 || row->mistake, "a row has a cell");
    for (size_t i = 0; i < row->count && !row->mistake; i++)
        require(text_valid(row->cells[i]), "cells are UTF-8");
}

/* The rows behind `end`, read anew, are those that the first reader goes on to. */
static void check_resume(struct csv_reader *first, struct str text, uint8_t how, int64_t end, int64_t line)
{
    struct source s = {{text.p + end, text.n - (size_t)end}, 7};
    struct csv_reader r;
    struct csv_row a, b;
    open_reader(&r, &s, how, end, line);
    for (bool more = true; more;) {
        more = csv_next(first, &a);
        require(csv_next(&r, &b) == more, "reading goes on behind a row");
        if (more) same_row(&a, &b);
    }
    csv_reader_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_MAX) return 0;
    uint8_t how = data[0];
    struct str text = {(const char *)data + 1, size - 1};
    struct source whole = {text, SIZE_MAX}, single = {text, 1};
    struct csv_reader a, b;
    struct csv_row row, other;
    int64_t before = 0;
    open_reader(&a, &whole, how, 0, 1);
    open_reader(&b, &single, how, 0, 1);
    size_t rows = 0, stop = how >> 3;
    (void)csv_delimiter(text);
    while (csv_next(&a, &row) && rows++ < ROWS_MAX) {
        require(csv_next(&b, &other), "pieces do not hide a row");
        same_row(&row, &other);
        check_row(&row, before, text.n);
        before = row.end;
        if (rows == stop) {
            check_resume(&a, text, how, row.end, a.line);
            break;
        }
    }
    require(!a.failed && !b.failed, "reading does not fail");
    csv_reader_free(&a);
    csv_reader_free(&b);
    return 0;
}
