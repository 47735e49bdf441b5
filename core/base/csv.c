/* csv.c: see csv.h. */
#include "base/csv.h"

static bool runs(char c)
{
    return c == '=' || c == '+' || c == '-' || c == '@' || c == '\t' || c == '\r';
}

static size_t apostrophes(struct str s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] == '\'')
        n++;
    return n;
}

/* [+-] digits [. digits] */
static bool is_number(struct str s)
{
    size_t i = s.n && (s.p[0] == '+' || s.p[0] == '-'), digits = 0;
    bool point = false;
    for (; i < s.n; i++) {
        if (s.p[i] >= '0' && s.p[i] <= '9')
            digits++;
        else if (s.p[i] == '.' && digits && !point && i + 1 < s.n)
            point = true;
        else
            return false;
    }
    return digits > 0;
}

/* Behind all apostrophes, where a formula would begin. */
static bool dangerous(struct str s, size_t quotes)
{
    struct str rest = {s.p + quotes, s.n - quotes};
    return rest.n > 0 && runs(rest.p[0]) && !is_number(rest);
}

void csv_plain(struct buf *out, struct str s)
{
    bool quote = s.n && (s.p[0] == ' ' || s.p[s.n - 1] == ' ');
    for (size_t i = 0; i < s.n && !quote; i++)
        quote = s.p[i] == ',' || s.p[i] == ';' || s.p[i] == '"' || s.p[i] == '\r' || s.p[i] == '\n' ||
                s.p[i] == '\t';
    if (!quote) {
        buf_str(out, s);
        return;
    }
    buf_char(out, '"');
    for (size_t start = 0; start < s.n;) {
        const char *at = memchr(s.p + start, '"', s.n - start);
        size_t end = at ? (size_t)(at - s.p) + 1 : s.n;
        buf_add(out, s.p + start, end - start);
        if (at) buf_char(out, '"');
        start = end;
    }
    buf_char(out, '"');
}

void csv_text(struct buf *out, struct str s)
{
    if (!dangerous(s, apostrophes(s))) {
        csv_plain(out, s);
        return;
    }
    struct buf guarded;
    buf_init(&guarded, s.n + 2);
    buf_char(&guarded, '\'');
    buf_str(&guarded, s);
    csv_plain(out, buf_view(&guarded));
    out->failed = out->failed || guarded.failed;
    buf_free(&guarded);
}

struct str csv_unguard(struct str s)
{
    size_t quotes = apostrophes(s);
    if (quotes == 0 || !dangerous(s, quotes)) return s;
    return (struct str){s.p + 1, s.n - 1};
}
