/* filter_lex.c: the tokens of the filter language (api.md §3). */
#include "base/text.h"
#include "store/filter_tree.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && is_digit(c));
}

static struct token bad(struct token t, size_t at, const char *en, const char *ru)
{
    t.kind = TOKEN_BAD;
    t.bad_at = at;
    t.bad = en;
    t.bad_ru = ru;
    return t;
}

static int hex(char c)
{
    return is_digit(c)            ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool unicode(struct str s, size_t *i, uint32_t *c)
{
    *c = 0;
    for (int n = 0; n < 4; n++, ++*i) {
        int v = *i < s.n ? hex(s.p[*i]) : -1;
        if (v < 0) return false;
        *c = *c << 4 | (uint32_t)v;
    }
    return *c != 0;
}

/* Behind "\u": one code point, of two escapes when it is a surrogate pair. */
static bool unicode_escape(struct str s, size_t *i, struct buf *out)
{
    uint32_t c, low;
    if (!unicode(s, i, &c)) return false;
    if (c >= 0xDC00 && c <= 0xDFFF) return false;
    if (c >= 0xD800 && c <= 0xDBFF) {
        if (*i + 1 >= s.n || s.p[*i] != '\\' || s.p[*i + 1] != 'u') return false;
        *i += 2;
        if (!unicode(s, i, &low) || low < 0xDC00 || low > 0xDFFF) return false;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    text_put(out, c);
    return true;
}

static struct token quoted(struct arena *arena, struct str s, size_t *i, struct token t)
{
    char quote = s.p[(*i)++];
    struct buf b;
    buf_init(&b, s.n + 8);
    bool closed = false, ok = true;
    size_t escape = 0;
    while (*i < s.n && ok && !closed) {
        char c = s.p[(*i)++];
        escape = *i - 1;
        if (c == quote)
            closed = true;
        else if (c != '\\')
            buf_char(&b, c);
        else if (*i >= s.n)
            break;
        else {
            char e = s.p[(*i)++];
            if (e == 'n')
                buf_char(&b, '\n');
            else if (e == 't')
                buf_char(&b, '\t');
            else if (e == '\\' || e == '"' || e == '\'')
                buf_char(&b, e);
            else if (e == 'u')
                ok = unicode_escape(s, i, &b);
            else
                ok = false;
        }
    }
    t.kind = TOKEN_STRING;
    t.text = arena_str(arena, buf_view(&b));
    bool memory = !b.failed && t.text.p;
    buf_free(&b);
    if (!ok)
        return bad(t, escape, "unknown escape in the string",
                   "неизвестная последовательность после \\ в строке");
    if (!closed) return bad(t, t.at, "the string does not end", "строка не закончена");
    return memory ? t : bad(t, t.at, "no memory left", "не хватает памяти");
}

static bool date_at(struct str s, size_t i)
{
    static const char shape[] = "dddd-dd-dd";
    if (s.n - i < 10) return false;
    for (size_t k = 0; k < 10; k++)
        if (shape[k] == 'd' ? !is_digit(s.p[i + k]) : s.p[i + k] != '-') return false;
    return true;
}

static struct token date(struct str s, size_t *i, struct token t)
{
    size_t start = *i;
    *i += 10;
    t.kind = TOKEN_DATE;
    if (*i < s.n && (s.p[*i] == 'T' || s.p[*i] == 't')) {
        t.kind = TOKEN_DATETIME;
        for (++*i; *i < s.n && (is_digit(s.p[*i]) || strchr(":.Zz+-", s.p[*i])); ++*i) {
        }
    }
    t.text = (struct str){s.p + start, *i - start};
    return t;
}

static struct token number(struct str s, size_t *i, struct token t)
{
    size_t start = *i;
    if (s.p[*i] == '-') ++*i;
    while (*i < s.n && is_digit(s.p[*i]))
        ++*i;
    if (*i + 1 < s.n && s.p[*i] == '.' && is_digit(s.p[*i + 1]))
        for (++*i; *i < s.n && is_digit(s.p[*i]); ++*i) {
        }
    t.kind = TOKEN_NUMBER;
    size_t e = *i;
    if (e < s.n && (s.p[e] == 'e' || s.p[e] == 'E')) {
        e += e + 1 < s.n && (s.p[e + 1] == '-' || s.p[e + 1] == '+') ? 2 : 1;
        while (e < s.n && is_digit(s.p[e]))
            *i = ++e;
    }
    if (*i < s.n && is_name(s.p[*i], true)) {
        t.kind = TOKEN_DURATION;
        while (*i < s.n && is_name(s.p[*i], false))
            ++*i;
    }
    t.text = (struct str){s.p + start, *i - start};
    return t;
}

static struct token name(struct str s, size_t *i, struct token t, enum token_kind kind, bool dots)
{
    size_t start = *i;
    while (*i < s.n && (is_name(s.p[*i], false) || (dots && s.p[*i] == '.')))
        ++*i;
    t.kind = kind;
    t.text = (struct str){s.p + start, *i - start};
    return t;
}

struct token filter_lex(struct arena *arena, struct str s, size_t at, size_t *next)
{
    size_t i = at;
    while (i < s.n && strchr(" \t\r\n", s.p[i]))
        i++;
    struct token t = {.kind = TOKEN_END, .at = i};
    if (i >= s.n) {
        *next = s.n;
        return t;
    }
    char c = s.p[i], d = i + 1 < s.n ? s.p[i + 1] : '\0';
    *next = i;
    if (c == '"' || c == '\'') return quoted(arena, s, next, t);
    if (is_digit(c)) return date_at(s, i) ? date(s, next, t) : number(s, next, t);
    if (is_name(c, true)) return name(s, next, t, TOKEN_NAME, false);
    if (c == '@') return ++*next, name(s, next, t, TOKEN_MACRO, true);
    if (c == '$' && is_digit(d)) return ++*next, name(s, next, t, TOKEN_PARAM, false);
    size_t length = (d == '=' && strchr("!<>", c)) ? 2 : 1;
    if (length == 1 && !strchr("=<>(),.+-*/", c)) {
        *next = i + 1;
        return bad(t, i, "this character means nothing here", "этот символ здесь ничего не значит");
    }
    *next = i + length;
    t.kind = TOKEN_SYMBOL;
    t.text = (struct str){s.p + i, length};
    return t;
}
