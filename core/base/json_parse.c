/* json_parse.c: see json_parse.h. A recursive descent, bounded by JSON_DEPTH. */
#include "base/json_parse.h"

#include "base/json.h"

#include "base/text.h"

#include <stdint.h>

struct parser {
    struct arena *arena;
    struct error *error;
    struct str text;
    size_t at;
    int depth;
    size_t most, values;
};

static bool fail(struct parser *p, const char *en, const char *ru)
{
    long line = 1, column = 1;
    for (size_t i = 0; i < p->at && i < p->text.n; i++) {
        unsigned char c = (unsigned char)p->text.p[i];
        if (c == '\n')
            line++, column = 1;
        else if ((c & 0xC0) != 0x80)
            column++;
    }
    return error_set(p->error, ERROR_BAD_REQUEST, "JSON, line %ld, column %ld: %s",
                     "JSON, строка %ld, позиция %ld: %s", line, column, p->error->lang == LANG_RU ? ru : en);
}

static int peek(const struct parser *p)
{
    return p->at < p->text.n ? (unsigned char)p->text.p[p->at] : -1;
}

static void skip_space(struct parser *p)
{
    for (int c = peek(p); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(p))
        p->at++;
}

static bool take(struct parser *p, char c)
{
    if (peek(p) != (unsigned char)c) return false;
    p->at++;
    return true;
}

static bool hex4(struct parser *p, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        int c = peek(p);
        int v = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (v < 0)
            return fail(p, "four hexadecimal digits expected after \\u",
                        "после \\u нужны четыре шестнадцатеричные цифры");
        *out = *out << 4 | (uint32_t)v;
        p->at++;
    }
    return true;
}

static bool unicode_escape(struct parser *p, struct buf *out)
{
    uint32_t c, low;
    if (!hex4(p, &c)) return false;
    if (c == 0) return fail(p, "\\u0000 is not allowed", "\\u0000 не допускается");
    if (c >= 0xD800 && c <= 0xDBFF) {
        if (!take(p, '\\') || !take(p, 'u') || !hex4(p, &low) || low < 0xDC00 || low > 0xDFFF)
            return fail(p, "half of a surrogate pair is missing", "не хватает половины суррогатной пары");
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    } else if (c >= 0xDC00 && c <= 0xDFFF) {
        return fail(p, "half of a surrogate pair is missing", "не хватает половины суррогатной пары");
    }
    text_put(out, c);
    return true;
}

static bool escape(struct parser *p, struct buf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    int c = peek(p);
    if (c == 'u') {
        p->at++;
        return unicode_escape(p, out);
    }
    const char *at = c > 0 ? strchr(from, c) : NULL;
    if (!at) return fail(p, "unknown escape in a string", "неизвестная последовательность после \\ в строке");
    buf_char(out, to[at - from]);
    p->at++;
    return true;
}

static bool slow_string(struct parser *p, size_t start, struct str *out)
{
    struct buf b;
    buf_init(&b, p->text.n + 16);
    buf_add(&b, p->text.p + start, p->at - start);
    bool ok = true;
    while (ok) {
        int c = peek(p);
        if (c < 0)
            ok = fail(p, "the string does not end", "строка не закончена");
        else if (c < 0x20)
            ok = fail(p, "control character in a string", "управляющий символ в строке");
        else if (c == '"')
            break;
        else if (c == '\\')
            p->at++, ok = escape(p, &b);
        else
            buf_char(&b, (char)c), p->at++;
    }
    if (ok) {
        p->at++;
        *out = arena_str(p->arena, buf_view(&b));
        if (b.failed || !out->p) ok = error_no_memory(p->error);
    }
    buf_free(&b);
    return ok;
}

/* Behind the opening quote. Without escapes the string is a view into the text. */
static bool string(struct parser *p, struct str *out)
{
    size_t start = p->at;
    for (;; p->at++) {
        int c = peek(p);
        if (c == '\\' || c < 0x20) return slow_string(p, start, out);
        if (c != '"') continue;
        *out = (struct str){p->text.p + start, p->at - start};
        p->at++;
        return true;
    }
}

static bool run_of_digits(struct parser *p)
{
    size_t start = p->at;
    while (peek(p) >= '0' && peek(p) <= '9')
        p->at++;
    return p->at > start;
}

static bool number(struct parser *p, struct str *out)
{
    size_t start = p->at;
    take(p, '-');
    bool ok = take(p, '0') ? !(peek(p) >= '0' && peek(p) <= '9') : run_of_digits(p);
    if (ok && take(p, '.')) ok = run_of_digits(p);
    if (ok && (peek(p) == 'e' || peek(p) == 'E')) {
        p->at++;
        if (!take(p, '+')) take(p, '-');
        ok = run_of_digits(p);
    }
    if (!ok) return fail(p, "not a number", "не число");
    *out = (struct str){p->text.p + start, p->at - start};
    return true;
}

static bool word(struct parser *p, const char *w)
{
    size_t n = strlen(w);
    if (p->text.n - p->at < n || memcmp(p->text.p + p->at, w, n) != 0)
        return fail(p, "a value expected", "ожидалось значение");
    p->at += n;
    return true;
}

static bool value(struct parser *p, struct json_value *v);

static struct json_value *child(struct parser *p, struct json_value *parent, struct json_value **last)
{
    struct json_value *v = p->values++ < p->most ? arena_alloc(p->arena, sizeof *v) : NULL;
    if (!v) {
        if (p->values > p->most)
            error_set(p->error, ERROR_PAYLOAD_TOO_LARGE, "more than %zu values in one body",
                      "больше %zu значений в одном теле запроса", p->most);
        error_no_memory(p->error);
        return NULL;
    }
    if (*last)
        (*last)->next = v;
    else
        parent->first = v;
    *last = v;
    parent->count++;
    return v;
}

/* Few keys: compare with each before. Many: that would be quadratic, so objects are bounded. */
#define KEYS_MAX 1000

static bool key(struct parser *p, const struct json_value *object, struct json_value *v)
{
    skip_space(p);
    if (!take(p, '"')) return fail(p, "a name in double quotes expected", "ожидалось имя в двойных кавычках");
    if (!string(p, &v->key)) return false;
    for (const struct json_value *o = object->first; o != v; o = o->next)
        if (str_eq(o->key, v->key))
            return fail(p, "the same name twice in one object", "одно имя дважды в одном объекте");
    if (object->count > KEYS_MAX)
        return fail(p, "more than 1000 names in one object", "больше 1000 имён в одном объекте");
    skip_space(p);
    return take(p, ':') ? true : fail(p, "a colon expected", "ожидалось двоеточие");
}

static bool members(struct parser *p, struct json_value *v, char close)
{
    struct json_value *last = NULL;
    if (++p->depth > JSON_DEPTH) return fail(p, "nested too deeply", "слишком большая вложенность");
    skip_space(p);
    bool empty = take(p, close);
    while (!empty) {
        struct json_value *c = child(p, v, &last);
        if (!c || (close == '}' && !key(p, v, c)) || !value(p, c)) return false;
        skip_space(p);
        if (take(p, close)) break;
        if (!take(p, ','))
            return fail(p, close == '}' ? "a comma or } expected" : "a comma or ] expected",
                        close == '}' ? "ожидалась запятая или }" : "ожидалась запятая или ]");
    }
    p->depth--;
    return true;
}

static bool value(struct parser *p, struct json_value *v)
{
    skip_space(p);
    switch (peek(p)) {
    case '{':
        p->at++;
        v->type = JSON_OBJECT;
        return members(p, v, '}');
    case '[':
        p->at++;
        v->type = JSON_ARRAY;
        return members(p, v, ']');
    case '"':
        p->at++;
        v->type = JSON_STRING;
        return string(p, &v->text);
    case 't': v->type = JSON_TRUE; return word(p, "true");
    case 'f': v->type = JSON_FALSE; return word(p, "false");
    case 'n': v->type = JSON_NULL; return word(p, "null");
    case -1: return fail(p, "it ends too early", "текст обрывается");
    default: v->type = JSON_NUMBER; return number(p, &v->text);
    }
}

struct json_value *json_parse(struct arena *arena, struct str text, struct error *e)
{
    return json_parse_bounded(arena, text, SIZE_MAX - 1, e);
}

struct json_value *json_parse_bounded(struct arena *arena, struct str text, size_t most, struct error *e)
{
    struct parser p = {.arena = arena, .error = e, .text = text, .most = most};
    if (!text_valid(text)) {
        error_set(e, ERROR_BAD_REQUEST, "the body is not UTF-8", "тело запроса не в кодировке UTF-8");
        return NULL;
    }
    struct json_value *v = arena_alloc(arena, sizeof *v);
    if (!v) {
        error_no_memory(e);
        return NULL;
    }
    if (!value(&p, v)) return NULL;
    skip_space(&p);
    if (p.at == text.n) return v;
    fail(&p, "something follows the value", "после значения есть лишнее");
    return NULL;
}

const struct json_value *json_member(const struct json_value *object, struct str name)
{
    if (!object || object->type != JSON_OBJECT) return NULL;
    for (const struct json_value *m = object->first; m; m = m->next)
        if (str_eq(m->key, name)) return m;
    return NULL;
}

void json_value_write(struct buf *b, const struct json_value *v)
{
    switch (v ? v->type : JSON_NULL) {
    case JSON_NULL: json_null(b); break;
    case JSON_FALSE: json_bool(b, false); break;
    case JSON_TRUE: json_bool(b, true); break;
    case JSON_NUMBER: json_raw(b, v->text); break;
    case JSON_STRING: json_str(b, v->text); break;
    case JSON_ARRAY:
        json_array(b);
        for (const struct json_value *m = v->first; m; m = m->next)
            json_value_write(b, m);
        json_end_array(b);
        break;
    case JSON_OBJECT:
        json_object(b);
        for (const struct json_value *m = v->first; m; m = m->next) {
            json_key_any(b, m->key);
            json_value_write(b, m);
        }
        json_end_object(b);
        break;
    }
}
