/* import_read.c: see import_read.h. */
#include "record/import_read.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define WINDOW ((size_t)64 << 10)

struct import_reader {
    int fd;
    enum import_format format;
    struct csv_reader csv;
    struct csv_row header;
    struct import_place place;
    /* JSON */
    char *window;
    size_t at, filled;
    struct buf text;
    bool ended, failed, array, begun;
};

static int64_t read_fd(void *ctx, char *to, size_t n)
{
    ssize_t got;
    do
        got = read(*(int *)ctx, to, n);
    while (got < 0 && errno == EINTR);
    return got;
}

/* ---- JSON: cutting values apart ---- */

static int peek(struct import_reader *r)
{
    if (r->at < r->filled) return (unsigned char)r->window[r->at];
    if (r->ended) return -1;
    int64_t n = read_fd(&r->fd, r->window, WINDOW);
    r->failed = n < 0;
    r->ended = n <= 0;
    r->at = 0;
    r->filled = n > 0 ? (size_t)n : 0;
    return n > 0 ? (unsigned char)r->window[0] : -1;
}

static void skip(struct import_reader *r)
{
    r->place.line += r->window[r->at] == '\n';
    r->place.position++;
    r->at++;
}

static int skip_space(struct import_reader *r)
{
    int c;
    while ((c = peek(r)) == ' ' || c == '\t' || c == '\r' || c == '\n')
        skip(r);
    return c;
}

static void skip_mark(struct import_reader *r)
{
    static const unsigned char mark[3] = {0xEF, 0xBB, 0xBF};
    for (size_t i = 0; i < 3 && peek(r) == mark[i]; i++)
        skip(r);
}

static void keep(struct import_reader *r, int c)
{
    buf_char(&r->text, (char)c); /* past the bound: `failed`, and the rest is only counted */
    skip(r);
}

static void take_line(struct import_reader *r)
{
    int c;
    while ((c = peek(r)) >= 0 && c != '\n')
        keep(r, c);
}

/* One value of whatever kind: to where its brackets close, or a delimiter follows. */
static void take_value(struct import_reader *r)
{
    int depth = 0, c;
    bool quoted = false, escaped = false;
    while ((c = peek(r)) >= 0) {
        if (quoted) {
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (depth == 0) return;
            depth--;
            if (depth == 0) {
                keep(r, c);
                return;
            }
        } else if (depth == 0 && (c == ',' || c == '\n')) {
            return;
        }
        keep(r, c);
    }
}

static bool broken(const struct import_reader *r, struct error *e)
{
    return error_set(e, ERROR_BAD_REQUEST,
                     "the JSON breaks off in line %lld: an array of objects is expected",
                     "JSON обрывается в строке %lld: ожидается массив объектов", (long long)r->place.line);
}

/* Before an element of an array: its bracket, or the comma behind the one before. False: the end, or broken.
 */
static bool between(struct import_reader *r, struct error *e)
{
    int c = skip_space(r);
    if (!r->begun) {
        r->begun = true;
        r->array = c == '[';
        if (!r->array) return c >= 0;
        skip(r);
        if (skip_space(r) != ']') return true;
    } else if (!r->array) {
        return c < 0 ? false : broken(r, e);
    } else if (c == ',' && r->place.rows > 0) {
        skip(r);
        c = skip_space(r);
        return c >= 0 && c != ']' && c != ',' ? true : broken(r, e);
    }
    if (peek(r) != ']') return broken(r, e);
    skip(r);
    return skip_space(r) < 0 ? false : broken(r, e);
}

static bool read_json(struct import_reader *r, struct import_row *row, struct error *e)
{
    buf_reset(&r->text);
    bool more = r->format == IMPORT_NDJSON ? skip_space(r) >= 0 : between(r, e);
    if (!more)
        return r->failed ? error_set(e, ERROR_UNAVAILABLE, "the file cannot be read", "файл не читается")
                         : false;
    *row = (struct import_row){.line = r->place.line};
    if (r->format == IMPORT_NDJSON)
        take_line(r);
    else
        take_value(r);
    if (r->text.failed) {
        *row = (struct import_row){.line = row->line, .code = "too_long"};
        row->mistake[LANG_EN] = "the record is longer than 1 MiB";
        row->mistake[LANG_RU] = "запись длиннее 1 МиБ";
        buf_free(&r->text);
        buf_init(&r->text, IMPORT_ROW_MAX);
    } else if (r->text.n == 0) {
        return broken(r, e);
    }
    row->json = r->text.n ? buf_view(&r->text) : STR("");
    return true;
}

/* ---- CSV ---- */

static void csv_mistake(struct import_row *row, enum csv_mistake m)
{
    static const struct {
        const char *code, *text[LANG_COUNT];
    } words[] = {
        [CSV_TOO_LONG] = {"too_long", {"the row is longer than 1 MiB", "строка длиннее 1 МиБ"}},
        [CSV_TOO_WIDE] = {"too_wide", {"the row has more than 1,000 cells", "в строке больше 1000 ячеек"}},
        [CSV_UNCLOSED] = {"unclosed_quote",
                          {"a quote is opened and never closed", "кавычка открыта и не закрыта"}},
        [CSV_AFTER_QUOTE] = {"after_quote",
                             {"something stands between a closing quote and the next delimiter",
                              "между закрывающей кавычкой и разделителем что-то стоит"}},
        [CSV_NOT_UTF8] = {"not_utf8", {"the row is not UTF-8", "строка не в UTF-8"}},
    };
    if (m == CSV_FINE) return;
    row->code = words[m].code;
    row->mistake[LANG_EN] = words[m].text[LANG_EN];
    row->mistake[LANG_RU] = words[m].text[LANG_RU];
}

static bool read_csv(struct import_reader *r, struct import_row *row, struct error *e)
{
    struct csv_row c;
    if (!csv_next(&r->csv, &c))
        return r->csv.failed ? error_set(e, ERROR_UNAVAILABLE, "the file cannot be read", "файл не читается")
                             : false;
    *row = (struct import_row){.line = c.line, .cells = c.cells, .count = c.count};
    csv_mistake(row, c.mistake);
    r->place.position = c.end;
    r->place.line = r->csv.line;
    return true;
}

bool import_read(struct import_reader *r, struct import_row *row, struct error *e)
{
    if (!(r->format == IMPORT_CSV ? read_csv(r, row, e) : read_json(r, row, e))) return false;
    row->number = ++r->place.rows;
    row->after = r->place;
    return true;
}

size_t import_header(const struct import_reader *r, const struct str **cells)
{
    *cells = r->header.cells;
    return r->header.count;
}

/* ---- opening ---- */

static bool seek(struct import_reader *r, struct error *e)
{
    r->at = r->filled = 0;
    r->ended = false;
    if (lseek(r->fd, r->place.position, SEEK_SET) >= 0) return true;
    return error_set(e, ERROR_UNAVAILABLE, "the file cannot be read: %s", "файл не читается: %s",
                     strerror(errno));
}

/* How the file begins says what stands between its values, wherever reading goes on. */
static bool begin_json(struct import_reader *r, struct error *e)
{
    struct import_place from = r->place;
    r->window = malloc(WINDOW);
    if (!r->window) return error_no_memory(e);
    skip_mark(r);
    if (from.position == 0) return true;
    r->begun = true;
    r->array = skip_space(r) == '[';
    r->place = from;
    return seek(r, e);
}

static bool begin_csv(struct import_reader *r, char delimiter, enum csv_charset charset, struct error *e)
{
    struct import_row row = {0};
    if (r->place.position > 0 && !seek(r, e)) return false;
    if (!csv_reader_init(&r->csv, read_fd, &r->fd, delimiter, charset, r->place.position, r->place.line))
        return error_no_memory(e);
    if (r->place.position > 0) return true;
    if (csv_next(&r->csv, &r->header)) {
        r->place.position = r->header.end;
        r->place.line = r->csv.line;
    }
    csv_mistake(&row, r->header.mistake);
    if (!row.code) return true;
    error_add(e, "header", row.code, "%s", "%s", row.mistake[e->lang]);
    return error_set(e, ERROR_BAD_REQUEST, "the header: %s", "заголовок: %s", row.mistake[e->lang]);
}

struct import_reader *import_reader_open(const char *path, enum import_format format, char delimiter,
                                         enum csv_charset charset, struct import_place from, struct error *e)
{
    struct import_reader *r = calloc(1, sizeof *r);
    if (!r) return error_no_memory(e), NULL;
    r->format = format;
    r->place = from;
    if (r->place.line == 0) r->place.line = 1;
    buf_init(&r->text, IMPORT_ROW_MAX);
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0)
        error_set(e, ERROR_UNAVAILABLE, "the file cannot be read: %s", "файл не читается: %s",
                  strerror(errno));
    else if (format == IMPORT_CSV ? begin_csv(r, delimiter, charset, e) : begin_json(r, e))
        return r;
    import_reader_close(r);
    return NULL;
}

void import_reader_close(struct import_reader *r)
{
    if (!r) return;
    if (r->fd >= 0) close(r->fd);
    csv_reader_free(&r->csv);
    buf_free(&r->text);
    free(r->window);
    free(r);
}

/* A character may be cut by the end of a piece: what is left of it goes before the next one. */
static bool all_utf8(int fd, char *window, bool *yes)
{
    size_t kept = 0;
    int64_t n = 0;
    *yes = true;
    while (*yes && (n = read_fd(&fd, window + kept, WINDOW - kept)) > 0) {
        size_t all = kept + (size_t)n, whole = all;
        for (size_t back = 1; back <= 3 && back <= all; back++) {
            unsigned char c = (unsigned char)window[all - back];
            size_t need = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
            if (c < 0xC0 && c >= 0x80) continue;
            if (need > back) whole = all - back;
            break;
        }
        *yes = text_valid((struct str){window, whole});
        kept = all - whole;
        memmove(window, window + whole, kept);
    }
    *yes = *yes && kept == 0;
    return n >= 0;
}

bool import_is_utf8(const char *path, bool *yes, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *window = malloc(WINDOW);
    bool ok = fd >= 0 && window && all_utf8(fd, window, yes);
    if (!ok) error_set(e, ERROR_UNAVAILABLE, "the file cannot be read", "файл не читается");
    if (fd >= 0) close(fd);
    free(window);
    return ok;
}
