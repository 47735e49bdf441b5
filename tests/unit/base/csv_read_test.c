/* csv_read_test.c: what the CSV reader makes of what spreadsheets write. */
#include "base/csv_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct source {
    struct str rest;
    size_t step; /* bytes handed out at once */
};

static int64_t read_some(void *ctx, char *to, size_t n)
{
    struct source *s = ctx;
    if (s->step && n > s->step) n = s->step;
    if (n > s->rest.n) n = s->rest.n;
    memcpy(to, s->rest.p, n);
    s->rest.p += n;
    s->rest.n -= n;
    return (int64_t)n;
}

/* Rows as "a|b/c|d", with "!n" for a row with mistake n. */
static struct buf read_all(struct str text, char delimiter, enum csv_charset charset, size_t step)
{
    struct source s = {text, step};
    struct csv_reader r;
    struct csv_row row;
    struct buf out;
    buf_init(&out, 1 << 24);
    assert_true(csv_reader_init(&r, read_some, &s, delimiter, charset, 0, 1));
    while (csv_next(&r, &row)) {
        if (out.n) buf_char(&out, '/');
        if (row.mistake) buf_printf(&out, "!%d", (int)row.mistake);
        for (size_t i = 0; i < row.count && !row.mistake; i++) {
            if (i) buf_char(&out, '|');
            buf_str(&out, row.cells[i]);
        }
    }
    assert_false(r.failed);
    csv_reader_free(&r);
    return out;
}

static void expect(const char *csv, char delimiter, const char *rows)
{
    for (size_t step = 0; step < 4; step++) {
        struct buf got = read_all(str_of(csv), delimiter, CSV_UTF8, step);
        buf_char(&got, '\0');
        assert_string_equal(got.p, rows);
        buf_free(&got);
    }
}

static void test_rows_and_quotes(void **state)
{
    (void)state;
    expect("a,b\nc,d\n", ',', "a|b/c|d");
    expect("a,b\r\nc,d", ',', "a|b/c|d");
    expect("a,b\rc,d\r", ',', "a|b/c|d");
    expect("\"a,b\",\"c\"\"d\"\n", ',', "a,b|c\"d");
    expect("\"a\r\nb\";c\n", ';', "a\r\nb|c");
    expect("a\"b,c\n", ',', "a\"b|c");
    expect("\"\"\n", ',', "");
    expect(",\n,,\n", ',', "|/||");
    expect("", ',', "");
    expect("\n\r\n\n", ',', "");
    expect("a\n\n\nb\n", ',', "a/b");
    expect("\xEF\xBB\xBF\"name\",b\n", ',', "name|b");
    expect("a\tb\n", '\t', "a|b");
}

static void test_mistakes_are_of_one_row(void **state)
{
    (void)state;
    expect("a\n\"b\"c,d\ne\n", ',', "a/!4/e");
    expect("a\n\"b\n", ',', "a/!3");
    expect("a\n\xff\nb\n", ',', "a/!5/b");
    expect("\xCE,\xA9\n", ',', "!5");
}

static void test_a_row_that_is_too_long_is_skipped(void **state)
{
    (void)state;
    size_t n = CSV_ROW_MAX + 100;
    char *text = malloc(n + 3);
    assert_non_null(text);
    memset(text, 'x', n);
    memcpy(text + n, "\na", 3);
    struct buf got = read_all((struct str){text, n + 2}, ',', CSV_UTF8, 0);
    assert_true(str_is(buf_view(&got), "!1/a"));
    buf_free(&got);
    memset(text, ',', n);
    got = read_all((struct str){text, n + 2}, ',', CSV_UTF8, 0);
    assert_true(str_is(buf_view(&got), "!2/a"));
    buf_free(&got);
    free(text);
}

static void test_lines_and_ends_lead_back_to_the_same_rows(void **state)
{
    (void)state;
    struct str text = STR("\xEF\xBB\xBFh\r\n\"one\r\ntwo\"\r\n\r\nthree\nfour");
    static const int64_t lines[] = {1, 2, 5, 6};
    static const char *const rows[] = {"h", "one\r\ntwo", "three", "four"};
    int64_t end = 0, line = 1;
    for (size_t i = 0; i < 4; i++) {
        struct source s = {{text.p + end, text.n - (size_t)end}, 1};
        struct csv_reader r;
        struct csv_row row;
        assert_true(csv_reader_init(&r, read_some, &s, ',', CSV_UTF8, end, line));
        assert_true(csv_next(&r, &row));
        assert_true(str_is(row.cells[0], rows[i]));
        assert_int_equal(row.line, lines[i]);
        end = row.end;
        line = r.line;
        csv_reader_free(&r);
    }
    assert_int_equal(end, (int64_t)text.n);
}

static void test_windows_1251_becomes_utf8(void **state)
{
    (void)state;
    struct buf got = read_all(STR("\xCE\xCE\xCE;\xAB\xB8\xA8\xBB;\xB9\x88\n"), ';', CSV_WINDOWS_1251, 1);
    assert_true(str_is(buf_view(&got), "ООО|«ёЁ»|№€"));
    buf_free(&got);
}

static void test_the_delimiter_is_the_one_that_stands_most_often(void **state)
{
    (void)state;
    assert_int_equal(csv_delimiter(STR("a,b,c\n;;;;")), ',');
    assert_int_equal(csv_delimiter(STR("a;b;c,d\n")), ';');
    assert_int_equal(csv_delimiter(STR("\"a,b,c\";d")), ';');
    assert_int_equal(csv_delimiter(STR("a\tb")), '\t');
    assert_int_equal(csv_delimiter(STR("name")), ',');
}

/* ---- what is written is what is read ---- */

static void write_cell(struct buf *out, struct str s, char delimiter, bool quote)
{
    for (size_t i = 0; i < s.n; i++)
        quote = quote || s.p[i] == delimiter || s.p[i] == '"' || s.p[i] == '\n' || s.p[i] == '\r';
    if (!quote) {
        buf_str(out, s);
        return;
    }
    buf_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"') buf_char(out, '"');
        buf_char(out, s.p[i]);
    }
    buf_char(out, '"');
}

static uint64_t seed;

static unsigned pick(unsigned n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % n;
}

static void random_cell(struct buf *b)
{
    static const char *const pieces[] = {"a",  "Ё", ",", ";", "\"", "\n", "\r\n",
                                         "\r", " ", "'", "=", "\t", "日"};
    for (unsigned n = pick(6); n > 0; n--)
        buf_cstr(b, pieces[pick(sizeof pieces / sizeof *pieces)]);
}

static void check_table(uint64_t from)
{
    struct buf cells[40], csv;
    char delimiter = ",;\t"[pick(3)];
    size_t rows = 1 + pick(6), columns = 1 + pick(6);
    buf_init(&csv, 1 << 20);
    for (size_t i = 0; i < rows * columns; i++) {
        buf_init(&cells[i], 1 << 16);
        random_cell(&cells[i]);
        /* a row with one empty cell looks like an empty line: writers quote it */
        write_cell(&csv, buf_view(&cells[i]), delimiter, (columns == 1 && cells[i].n == 0) || pick(4) == 0);
        bool last = i % columns == columns - 1;
        buf_cstr(&csv, !last ? (char[]){delimiter, 0} : pick(2) ? "\r\n" : "\n");
    }
    struct source s = {buf_view(&csv), pick(5)};
    struct csv_reader r;
    struct csv_row row;
    assert_true(csv_reader_init(&r, read_some, &s, delimiter, CSV_UTF8, 0, 1));
    for (size_t i = 0; i < rows; i++) {
        bool same = csv_next(&r, &row) && row.count == columns && row.mistake == CSV_FINE;
        for (size_t k = 0; same && k < columns; k++)
            same = str_eq(row.cells[k], buf_view(&cells[i * columns + k]));
        if (!same)
            fail_msg("seed %llu, row %zu of:\n%.*s", (unsigned long long)from, i, STR_ARG(buf_view(&csv)));
    }
    assert_false(csv_next(&r, &row));
    csv_reader_free(&r);
    for (size_t i = 0; i < rows * columns; i++)
        buf_free(&cells[i]);
    buf_free(&csv);
}

static void test_what_is_written_is_read_again(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 20000; i++) {
        seed = i;
        check_table(i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_and_quotes),
        cmocka_unit_test(test_mistakes_are_of_one_row),
        cmocka_unit_test(test_a_row_that_is_too_long_is_skipped),
        cmocka_unit_test(test_lines_and_ends_lead_back_to_the_same_rows),
        cmocka_unit_test(test_windows_1251_becomes_utf8),
        cmocka_unit_test(test_the_delimiter_is_the_one_that_stands_most_often),
        cmocka_unit_test(test_what_is_written_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
