/* text.c: see text.h. Folding is towlower of the C library's C.UTF-8 locale, put into a table for the basic
 * plane once. */
#include "base/text.h"

#include <locale.h>
#include <pthread.h>
#include <wctype.h>

#define BAD 0xFFFDu
#define PLANE 0x10000u

static uint16_t folded[PLANE];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    for (uint32_t c = 0; c < PLANE; c++) {
        uint32_t f = c < 0x80 ? (c >= 'A' && c <= 'Z' ? c + 32 : c)
                     : utf8   ? (uint32_t)towlower_l((wint_t)c, utf8)
                              : c;
        if (f == 0x451) f = 0x435; /* ё as е */
        folded[c] = (uint16_t)(f < PLANE ? f : c);
    }
    if (utf8) freelocale(utf8);
}

uint32_t text_fold_char(uint32_t c)
{
    if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
    pthread_once(&once, make_table);
    return c < PLANE ? folded[c] : c;
}

/* RFC 3629: the length by the first byte, then the ranges that exclude surrogates and overlong forms. */
static size_t decode(const unsigned char *p, size_t n, uint32_t *out)
{
    unsigned char c = p[0];
    if (c < 0x80) {
        *out = c;
        return 1;
    }
    size_t need = c >= 0xC2 && c <= 0xDF ? 2 : c >= 0xE0 && c <= 0xEF ? 3 : c >= 0xF0 && c <= 0xF4 ? 4 : 0;
    if (need == 0 || n < need) return 0;
    uint32_t v = c & (0x7Fu >> need);
    for (size_t i = 1; i < need; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        v = v << 6 | (p[i] & 0x3Fu);
    }
    bool overlong = (need == 3 && v < 0x800) || (need == 4 && v < 0x10000);
    if (overlong || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF)) return 0;
    *out = v;
    return need;
}

bool text_valid(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0; i < s.n;) {
        uint32_t c;
        uint64_t eight;
        if (s.n - i >= sizeof eight) { /* most text is ASCII: eight bytes at a time */
            memcpy(&eight, p + i, sizeof eight);
            if (!(eight & UINT64_C(0x8080808080808080))) {
                i += sizeof eight;
                continue;
            }
        }
        size_t n = decode(p + i, s.n - i, &c);
        if (n == 0) return false;
        i += n;
    }
    return true;
}

size_t text_length(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

uint32_t text_next(struct str *s)
{
    uint32_t c = BAD;
    size_t n = decode((const unsigned char *)s->p, s->n, &c);
    if (n == 0) {
        n = 1;
        c = BAD;
    }
    s->p += n;
    s->n -= n;
    return c;
}

void text_put(struct buf *b, uint32_t c)
{
    if (c < 0x80) {
        buf_char(b, (char)c);
    } else if (c < 0x800) {
        buf_char(b, (char)(0xC0 | c >> 6));
        buf_char(b, (char)(0x80 | (c & 0x3F)));
    } else if (c < 0x10000) {
        buf_char(b, (char)(0xE0 | c >> 12));
        buf_char(b, (char)(0x80 | (c >> 6 & 0x3F)));
        buf_char(b, (char)(0x80 | (c & 0x3F)));
    } else {
        buf_char(b, (char)(0xF0 | c >> 18));
        buf_char(b, (char)(0x80 | (c >> 12 & 0x3F)));
        buf_char(b, (char)(0x80 | (c >> 6 & 0x3F)));
        buf_char(b, (char)(0x80 | (c & 0x3F)));
    }
}

void text_fold(struct buf *out, struct str s)
{
    while (s.n)
        text_put(out, text_fold_char(text_next(&s)));
}

int text_compare(struct str a, struct str b)
{
    struct str x = a, y = b;
    while (x.n && y.n) {
        uint32_t c = text_fold_char(text_next(&x)), d = text_fold_char(text_next(&y));
        if (c != d) return c < d ? -1 : 1;
    }
    if (x.n || y.n) return x.n ? 1 : -1;
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

/* Takes `part` off the front of *s, folded on both sides. */
static bool take_prefix(struct str *s, struct str part)
{
    while (part.n) {
        if (s->n == 0) return false;
        if (text_fold_char(text_next(s)) != text_fold_char(text_next(&part))) return false;
    }
    return true;
}

bool text_starts(struct str s, struct str part)
{
    return take_prefix(&s, part);
}

bool text_contains(struct str s, struct str part)
{
    for (;;) {
        struct str at = s;
        if (take_prefix(&at, part)) return true;
        if (s.n == 0) return false;
        text_next(&s);
    }
}

bool text_ends(struct str s, struct str part)
{
    for (;;) {
        struct str at = s;
        if (take_prefix(&at, part) && at.n == 0) return true;
        if (s.n == 0) return false;
        text_next(&s);
    }
}
