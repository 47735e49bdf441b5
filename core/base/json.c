/* json.c: see json.h. */
#include "base/json.h"

#include "base/calendar.h"
#include "base/decimal.h"
#include "base/id.h"
#include "base/text.h"

/* A comma unless the value is the first of its object, array or document, or follows its key. */
static void separate(struct buf *b)
{
    if (b->n == 0) return;
    char before = b->p[b->n - 1];
    if (before != '{' && before != '[' && before != ':' && before != ',' && before != '\n') buf_char(b, ',');
}

void json_object(struct buf *b)
{
    separate(b);
    buf_char(b, '{');
}

void json_end_object(struct buf *b)
{
    buf_char(b, '}');
}

void json_array(struct buf *b)
{
    separate(b);
    buf_char(b, '[');
}

void json_end_array(struct buf *b)
{
    buf_char(b, ']');
}

void json_key(struct buf *b, struct str key)
{
    if (!buf_reserve(b, key.n + 4)) return;
    separate(b);
    b->p[b->n++] = '"';
    memcpy(b->p + b->n, key.p, key.n);
    b->n += key.n;
    b->p[b->n++] = '"';
    b->p[b->n++] = ':';
}

/* 0: as it is; 'u': \u00XX; 'x': not ASCII, look closer; else the letter of a short escape. */
static const char escapes[256] = {
    ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
    [0] = 'u',   [1] = 'u',     [2] = 'u',    [3] = 'u',    [4] = 'u',    [5] = 'u',    [6] = 'u',
    [7] = 'u',   [11] = 'u',    [14] = 'u',   [15] = 'u',   [16] = 'u',   [17] = 'u',   [18] = 'u',
    [19] = 'u',  [20] = 'u',    [21] = 'u',   [22] = 'u',   [23] = 'u',   [24] = 'u',   [25] = 'u',
    [26] = 'u',  [27] = 'u',    [28] = 'u',   [29] = 'u',   [30] = 'u',   [31] = 'u',   [127] = 'u',
};

static void escaped(struct buf *b, struct str s)
{
    static const char hex[] = "0123456789abcdef";
    size_t start = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        char e = escapes[c];
        if (!e) continue;
        buf_add(b, s.p + start, i - start);
        start = i + 1;
        buf_char(b, '\\');
        buf_char(b, e);
        if (e == 'u') {
            char code[4] = {'0', '0', hex[c >> 4], hex[c & 15]};
            buf_add(b, code, 4);
        }
    }
    buf_add(b, s.p + start, s.n - start);
}

/* Has one of eight bytes a need to be looked at: below 0x20, '"', '\\', 0x7f, or not ASCII? (The tests may
 * see one too many, never one too few: https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord) */
static bool eight_plain(const char *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    uint64_t w;
    memcpy(&w, p, sizeof w);
    uint64_t quote = w ^ ones * '"', slash = w ^ ones * '\\', del = w ^ ones * 0x7f;
    uint64_t bad = (w - ones * 0x20) | (quote - ones) | (slash - ones) | (del - ones) | w;
    return (bad & high) == 0;
}

/* The length of what stands in front and needs no escape: ASCII, and the two-byte letters of UTF-8. */
static size_t plain_length(struct str s)
{
    size_t i = 0;
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x80) {
            if (i + 8 <= s.n && eight_plain(s.p + i))
                i += 8;
            else if (!escapes[c])
                i++;
            else
                break;
        } else if (c >= 0xC2 && c <= 0xDF && i + 1 < s.n && ((unsigned char)s.p[i + 1] & 0xC0) == 0x80) {
            i += 2;
        } else {
            break;
        }
    }
    return i;
}

static void string_slowly(struct buf *b, struct str s)
{
    if (text_valid(s)) {
        escaped(b, s);
        return;
    }
    struct buf clean;
    buf_init(&clean, b->toobig);
    while (s.n)
        text_put(&clean, text_next(&s));
    escaped(b, buf_view(&clean));
    b->failed = b->failed || clean.failed;
    buf_free(&clean);
}

static void string(struct buf *b, struct str s)
{
    if (!buf_reserve(b, s.n + 2)) return;
    size_t plain = plain_length(s);
    b->p[b->n++] = '"';
    if (plain) memcpy(b->p + b->n, s.p, plain);
    b->n += plain;
    if (plain < s.n) string_slowly(b, (struct str){s.p + plain, s.n - plain});
    buf_char(b, '"');
}

void json_key_any(struct buf *b, struct str key)
{
    separate(b);
    string(b, key);
    buf_char(b, ':');
}

void json_quote(struct buf *b, struct str s)
{
    string(b, s);
}

void json_str(struct buf *b, struct str s)
{
    separate(b);
    string(b, s);
}

void json_cstr(struct buf *b, const char *s)
{
    if (s)
        json_str(b, str_of(s));
    else
        json_null(b);
}

void json_int(struct buf *b, int64_t n)
{
    separate(b);
    buf_int(b, n);
}

void json_bool(struct buf *b, bool v)
{
    json_raw(b, v ? STR("true") : STR("false"));
}

void json_null(struct buf *b)
{
    json_raw(b, STR("null"));
}

void json_raw(struct buf *b, struct str json)
{
    separate(b);
    buf_str(b, json);
}

void json_id(struct buf *b, int64_t id)
{
    if (id == 0) {
        json_null(b);
        return;
    }
    char text[ID_TEXT + 3] = "\"";
    id_format(id, text + 1);
    text[ID_TEXT + 1] = '"';
    json_raw(b, (struct str){text, ID_TEXT + 2});
}

void json_datetime(struct buf *b, int64_t ms)
{
    char text[40] = "\"";
    calendar_format_datetime(ms, text + 1);
    size_t n = strlen(text);
    text[n] = '"';
    json_raw(b, (struct str){text, n + 1});
}

void json_time(struct buf *b, struct str key, int64_t ms)
{
    json_key(b, key);
    if (ms)
        json_datetime(b, ms);
    else
        json_null(b);
}

void json_date(struct buf *b, int64_t days)
{
    char text[24] = "\"";
    calendar_format_date(days, text + 1);
    size_t n = strlen(text);
    text[n] = '"';
    json_raw(b, (struct str){text, n + 1});
}

void json_decimal(struct buf *b, int64_t scaled, int scale)
{
    char text[24];
    size_t n = decimal_format(scaled, scale, text);
    json_raw(b, (struct str){text, n});
}

char *json_pointer(struct arena *arena, struct str name)
{
    size_t n = 1;
    for (size_t i = 0; i < name.n; i++)
        n += name.p[i] == '~' || name.p[i] == '/' ? 2 : 1;
    char *out = arena_alloc(arena, n + 1);
    if (!out) return NULL;
    char *at = out;
    *at++ = '/';
    for (size_t i = 0; i < name.n; i++) {
        bool escape = name.p[i] == '~' || name.p[i] == '/';
        *at++ = escape ? '~' : name.p[i];
        if (escape) *at++ = name.p[i] == '~' ? '0' : '1';
    }
    *at = 0;
    return out;
}
