/* head.c: the byte-by-byte check of a request's head; see head.h. */
#include "http/head.h"

#define EMPTY_LINES_MAX 4 /* bytes of CR LF that may come before a request line (RFC 9112 §2.2) */

enum state {
    STATE_START,
    STATE_START_LF,
    STATE_LINE,
    STATE_LF,
    STATE_FIELD,
    STATE_NAME,
    STATE_VALUE,
    STATE_END_LF
};

bool head_is_token(unsigned char c)
{
    static const unsigned char token[256] = {
        ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1,
        ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1,  ['0'] = 1, ['1'] = 1, ['2'] = 1,
        ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1, ['8'] = 1,  ['9'] = 1, ['A'] = 1, ['B'] = 1,
        ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1, ['G'] = 1, ['H'] = 1,  ['I'] = 1, ['J'] = 1, ['K'] = 1,
        ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1, ['P'] = 1, ['Q'] = 1,  ['R'] = 1, ['S'] = 1, ['T'] = 1,
        ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1, ['Y'] = 1, ['Z'] = 1,  ['a'] = 1, ['b'] = 1, ['c'] = 1,
        ['d'] = 1, ['e'] = 1, ['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1,  ['j'] = 1, ['k'] = 1, ['l'] = 1,
        ['m'] = 1, ['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1,  ['s'] = 1, ['t'] = 1, ['u'] = 1,
        ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1,
    };
    return token[c];
}

void head_scan_start(struct head_scan *s)
{
    *s = (struct head_scan){.state = STATE_START};
}

void head_scan_start_trailer(struct head_scan *s)
{
    *s = (struct head_scan){.state = STATE_FIELD};
}

/* The bytes of a request line: visible ASCII and single spaces (which request.c counts). */
static size_t skip_line(const unsigned char *p, size_t i, size_t n)
{
    while (i < n && p[i] >= 0x20 && p[i] <= 0x7e)
        i++;
    return i;
}

static size_t skip_value(const unsigned char *p, size_t i, size_t n)
{
    while (i < n && ((p[i] >= 0x20 && p[i] != 0x7f) || p[i] == '\t'))
        i++;
    return i;
}

static size_t skip_name(const unsigned char *p, size_t i, size_t n)
{
    while (i < n && head_is_token(p[i]))
        i++;
    return i;
}

static enum problem bad_byte(unsigned char c)
{
    return c == '\n' ? PROBLEM_BARE_LF : PROBLEM_CONTROL_BYTE;
}

/* Looks at the byte at s->pos, where the current state's run of ordinary bytes has ended. */
static enum problem step(struct head_scan *s, unsigned char c)
{
    switch ((enum state)s->state) {
    case STATE_START:
        if (c == '\r') {
            s->state = STATE_START_LF;
            return PROBLEM_NONE;
        }
        s->state = STATE_LINE;
        s->begin = s->pos;
        return head_is_token(c) ? PROBLEM_NONE : c == '\n' ? PROBLEM_BARE_LF : PROBLEM_SYNTAX;
    case STATE_START_LF:
        s->state = STATE_START;
        if (s->pos >= EMPTY_LINES_MAX) return PROBLEM_REQUEST_LINE;
        return c == '\n' ? PROBLEM_NONE : PROBLEM_BARE_CR;
    case STATE_LINE:
        if (c != '\r') return bad_byte(c);
        s->first_line = s->pos - s->begin;
        s->state = STATE_LF;
        return PROBLEM_NONE;
    case STATE_LF:
    case STATE_END_LF: return c == '\n' ? PROBLEM_NONE : PROBLEM_BARE_CR;
    case STATE_FIELD:
        if (c == '\r') {
            s->state = STATE_END_LF;
            return PROBLEM_NONE;
        }
        s->state = STATE_NAME;
        if (head_is_token(c)) return PROBLEM_NONE;
        return c == ' ' || c == '\t' ? PROBLEM_OBS_FOLD : c == '\n' ? PROBLEM_BARE_LF : PROBLEM_FIELD_NAME;
    case STATE_NAME:
        s->state = STATE_VALUE;
        return c == ':' ? PROBLEM_NONE : c == '\n' ? PROBLEM_BARE_LF : PROBLEM_FIELD_NAME;
    case STATE_VALUE:
        s->state = STATE_LF;
        s->fields++;
        return c == '\r' ? PROBLEM_NONE : bad_byte(c);
    }
    return PROBLEM_SYNTAX;
}

/* Room for the method and the version beside the target. */
static bool line_too_long(const struct head_scan *s, size_t i, const struct head_limits *limits)
{
    return s->state == STATE_LINE && i - s->begin > limits->target + 32;
}

enum head_result head_scan(struct head_scan *s, struct str bytes, const struct head_limits *limits,
                           enum problem *problem)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t n = bytes.n < limits->bytes ? bytes.n : limits->bytes;
    while (s->pos < n) {
        size_t i = s->pos;
        if (s->state == STATE_VALUE)
            i = skip_value(p, i, n);
        else if (s->state == STATE_NAME)
            i = skip_name(p, i, n);
        else if (s->state == STATE_LINE)
            i = skip_line(p, i, n);
        s->pos = i;
        if (line_too_long(s, i, limits)) return *problem = PROBLEM_TARGET_LONG, HEAD_BAD;
        if (i == n) break;
        enum state before = (enum state)s->state;
        *problem = step(s, p[i]);
        if (*problem != PROBLEM_NONE) return HEAD_BAD;
        s->pos++;
        if (before == STATE_END_LF) return HEAD_DONE;
        if (before == STATE_LF) s->state = STATE_FIELD;
        if (s->fields > limits->fields) return *problem = PROBLEM_FIELDS_MANY, HEAD_BAD;
    }
    if (s->pos >= limits->bytes) return *problem = PROBLEM_HEAD_LARGE, HEAD_BAD;
    return HEAD_MORE;
}
