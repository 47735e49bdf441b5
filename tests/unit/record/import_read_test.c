/* import_read_test.c: rows of files, where they go on, and what is wrong with them. */
#include "record/import_keys.h"
#include "record/import_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct file {
    char path[64];
    struct arena arena;
    struct error error;
};

static void file_make(struct file *f, struct str text)
{
    snprintf(f->path, sizeof f->path, "/tmp/perigee-test-XXXXXX");
    int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.p, text.n), (ssize_t)text.n);
    close(fd);
    arena_init(&f->arena, 1 << 20);
    error_init(&f->error, &f->arena, LANG_EN);
}

static void file_drop(struct file *f)
{
    unlink(f->path);
    arena_free(&f->arena);
}

/* Rows as "text@line", separated by "|"; a mistake as "!code@line"; what ends it badly as "#". */
static void expect(enum import_format format, const char *text, const char *wanted)
{
    struct file f;
    struct buf got;
    struct import_row row;
    file_make(&f, str_of(text));
    buf_init(&got, 65536);
    struct import_reader *r =
        import_reader_open(f.path, format, ',', CSV_UTF8, (struct import_place){0}, &f.error);
    assert_non_null(r);
    while (import_read(r, &row, &f.error)) {
        if (got.n) buf_char(&got, '|');
        if (row.code)
            buf_printf(&got, "!%s", row.code);
        else
            buf_str(&got, row.json.p ? row.json : row.cells[0]);
        buf_printf(&got, "@%lld", (long long)row.line);
    }
    if (f.error.kind) buf_char(&got, '#');
    buf_char(&got, '\0');
    assert_string_equal(got.p, wanted);
    buf_free(&got);
    import_reader_close(r);
    file_drop(&f);
}

static void test_ndjson_is_a_value_for_a_line(void **state)
{
    (void)state;
    expect(IMPORT_NDJSON, "{\"a\":1}\n\n  {\"b\":\"x\\ny\"}\r\n{", "{\"a\":1}@1|{\"b\":\"x\\ny\"}\r@3|{@4");
    expect(IMPORT_NDJSON, "\xEF\xBB\xBF{}\n", "{}@1");
    expect(IMPORT_NDJSON, "", "");
}

static void test_json_is_an_array_or_one_object(void **state)
{
    (void)state;
    expect(IMPORT_JSON, "[{\"a\":[1,{\"b\":\"]}\\\"\"}]},\n {\"c\":2}\n]\n",
           "{\"a\":[1,{\"b\":\"]}\\\"\"}]}@1|{\"c\":2}@2");
    expect(IMPORT_JSON, "\xEF\xBB\xBF\n[]", "");
    expect(IMPORT_JSON, "{\n\"a\": 1\n}\n", "{\n\"a\": 1\n}@1");
    expect(IMPORT_JSON, "[1, \"x,y\", null]", "1@1|\"x,y\"@1|null@1");
    expect(IMPORT_JSON, "", "");
}

static void test_json_that_breaks_off_is_told(void **state)
{
    (void)state;
    expect(IMPORT_JSON, "[{\"a\":1}", "{\"a\":1}@1#");
    expect(IMPORT_JSON, "[{\"a\":1},", "{\"a\":1}@1#");
    expect(IMPORT_JSON, "[{\"a\":1},]", "{\"a\":1}@1#");
    expect(IMPORT_JSON, "[,]", "#");
    expect(IMPORT_JSON, "[{} {}]", "{}@1#");
    expect(IMPORT_JSON, "[{}] []", "{}@1#");
    expect(IMPORT_JSON, "{} {}", "{}@1#");
}

static void test_csv_rows_follow_the_header(void **state)
{
    (void)state;
    expect(IMPORT_CSV, "h,i\nx,y\n\"z\nz\",1\n\"u\"v,w\nlast\n", "x@2|z\nz@3|!after_quote@5|last@6");
    expect(IMPORT_CSV, "h\n", "");
    expect(IMPORT_CSV, "", "");
}

static void test_a_record_that_is_too_long_fails_alone(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 4 << 20);
    buf_cstr(&text, "{\"a\":\"");
    for (size_t i = 0; i <= IMPORT_ROW_MAX; i++)
        buf_char(&text, 'x');
    buf_cstr(&text, "\"}\n{}");
    buf_char(&text, '\0');
    expect(IMPORT_NDJSON, text.p, "!too_long@1|{}@2");
    buf_free(&text);
}

/* Reading that begins behind any row gives the rows that follow it. */
static void check_resume(enum import_format format, struct str text)
{
    struct file f;
    struct import_row row, other;
    file_make(&f, text);
    struct import_reader *r =
        import_reader_open(f.path, format, ',', CSV_UTF8, (struct import_place){0}, &f.error);
    for (size_t n = 0; import_read(r, &row, &f.error); n++) {
        struct import_place from = row.after;
        struct import_reader *again = import_reader_open(f.path, format, ',', CSV_UTF8, from, &f.error);
        struct import_reader *whole =
            import_reader_open(f.path, format, ',', CSV_UTF8, (struct import_place){0}, &f.error);
        struct import_row skipped;
        for (size_t i = 0; i <= n; i++)
            assert_true(import_read(whole, &skipped, &f.error));
        bool more = import_read(whole, &row, &f.error);
        assert_int_equal(import_read(again, &other, &f.error), more);
        if (more) {
            assert_int_equal(other.number, row.number);
            assert_int_equal(other.line, row.line);
            assert_true(
                str_eq(other.json.p ? other.json : other.cells[0], row.json.p ? row.json : row.cells[0]));
        }
        import_reader_close(again);
        import_reader_close(whole);
    }
    assert_int_equal(f.error.kind, ERROR_NONE);
    import_reader_close(r);
    file_drop(&f);
}

static void test_reading_goes_on_behind_any_row(void **state)
{
    (void)state;
    check_resume(IMPORT_CSV, STR("\xEF\xBB\xBFh\n\"a\nb\"\n\nc\r\nd"));
    check_resume(IMPORT_NDJSON, STR("{\"a\":1}\n\n{\"b\":2}\r\n3"));
    check_resume(IMPORT_JSON, STR("[ {\"a\":1} ,\n{\"b\":[2,3]}\n,4 ]\n"));
    check_resume(IMPORT_JSON, STR("[{}]"));
    check_resume(IMPORT_JSON, STR(" {\"a\":\n1}\n"));
}

static void test_the_charset_is_looked_for_in_the_whole_file(void **state)
{
    (void)state;
    struct buf text;
    struct file f;
    bool yes;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 40000; i++)
        buf_cstr(&text, i % 7 ? "я" : "日x"); /* characters across the ends of pieces */
    file_make(&f, buf_view(&text));
    assert_true(import_is_utf8(f.path, &yes, &f.error) && yes);
    file_drop(&f);
    buf_char(&text, '\xD0');
    file_make(&f, buf_view(&text));
    assert_true(import_is_utf8(f.path, &yes, &f.error) && !yes);
    file_drop(&f);
    buf_free(&text);
}

static void test_keys_are_seen_once_each(void **state)
{
    (void)state;
    struct import_keys *k = import_keys_new();
    char key[32];
    bool seen;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < 100000; i++) {
            int n = snprintf(key, sizeof key, "key %d", i);
            assert_true(import_keys_add(k, (struct str){key, (size_t)n}, &seen));
            assert_int_equal(seen, pass == 1);
        }
    import_keys_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ndjson_is_a_value_for_a_line),
        cmocka_unit_test(test_json_is_an_array_or_one_object),
        cmocka_unit_test(test_json_that_breaks_off_is_told),
        cmocka_unit_test(test_csv_rows_follow_the_header),
        cmocka_unit_test(test_a_record_that_is_too_long_fails_alone),
        cmocka_unit_test(test_reading_goes_on_behind_any_row),
        cmocka_unit_test(test_the_charset_is_looked_for_in_the_whole_file),
        cmocka_unit_test(test_keys_are_seen_once_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
