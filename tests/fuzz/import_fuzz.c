/* import_fuzz.c: bytes as a file to import (CSV, NDJSON, JSON). Whatever comes: reading ends, every row moves
 * on, rows and keys are bounded and UTF-8 or named as mistakes, and reading that begins behind a row sees the
 * rows that follow it. The first byte chooses the format. */
#include "base/json_parse.h"
#include "base/text.h"
#include "record/import_read.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define INPUT_MAX 4096
#define ROWS_MAX 5000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

struct reading {
    struct arena arena;
    struct error error;
    struct import_reader *reader;
};

static bool begin(struct reading *r, const char *path, enum import_format format, struct import_place from)
{
    arena_init(&r->arena, 1 << 20);
    error_init(&r->error, &r->arena, LANG_EN);
    r->reader = import_reader_open(path, format, ',', CSV_UTF8, from, &r->error);
    require(r->reader || r->error.kind == ERROR_BAD_REQUEST, "a file is refused with words");
    return r->reader != NULL;
}

static void end(struct reading *r)
{
    import_reader_close(r->reader);
    arena_free(&r->arena);
}

static void check_row(const struct import_row *row, int64_t before, size_t size)
{
    require(row->after.position > before && row->after.position <= (int64_t)size, "every row moves on");
    require(!row->code == !row->mistake[LANG_EN] && !row->code == !row->mistake[LANG_RU],
            "a mistake has words in both languages");
    for (size_t i = 0; i < row->count && !row->code; i++)
        require(text_valid(row->cells[i]), "cells are UTF-8");
    if (!row->json.p || row->code) return;
    struct arena arena;
    struct error e;
    arena_init(&arena, 1 << 20);
    error_init(&e, &arena, LANG_EN);
    require(json_parse(&arena, row->json, &e) || e.kind != ERROR_NONE,
            "a value is JSON, or refused with words");
    arena_free(&arena);
}

static void same(const struct import_row *a, const struct import_row *b)
{
    require(a->number == b->number && a->line == b->line && a->count == b->count, "the same row");
    require(a->after.position == b->after.position && !a->code == !b->code, "at the same place");
    require(str_eq(a->json, b->json), "with the same value");
    for (size_t i = 0; i < a->count; i++)
        require(str_eq(a->cells[i], b->cells[i]), "with the same cells");
}

static void check_resume(struct reading *first, const char *path, enum import_format format,
                         struct import_place from)
{
    struct reading r;
    struct import_row a, b;
    require(begin(&r, path, format, from), "reading goes on");
    for (bool more = true; more;) {
        more = import_read(first->reader, &a, &first->error);
        require(import_read(r.reader, &b, &r.error) == more, "for as many rows");
        if (more) same(&a, &b);
    }
    require(first->error.kind == r.error.kind, "to the same end");
    end(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_MAX) return 0;
    enum import_format format = data[0] % 3;
    size_t stop = data[0] / 3, rows = 0;
    char path[32];
    struct reading r;
    struct import_row row;
    int64_t before = 0;
    bool yes;
    int fd = memfd_create("import", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)(size - 1), "there is a file");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (begin(&r, path, format, (struct import_place){0})) {
        require(import_is_utf8(path, &yes, &r.error), "the charset is found");
        require(yes == text_valid((struct str){(const char *)data + 1, size - 1}), "and is right");
        while (import_read(r.reader, &row, &r.error) && rows++ < ROWS_MAX) {
            check_row(&row, before, size - 1);
            before = row.after.position;
            if (rows != stop) continue;
            check_resume(&r, path, format, row.after);
            break;
        }
    }
    end(&r);
    close(fd);
    return 0;
}
