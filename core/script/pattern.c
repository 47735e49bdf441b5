/* pattern.c: Lua's patterns (reference manual §6.4.1) with a bound on the work: the library's own matcher may
 * backtrack for hours inside C, where no deadline reaches it. Here each step is counted and the deadline
 * looked at. */
#include "script/state.h"

#include <ctype.h>
#include <stdio.h>

#define CAPTURES_MAX 32
#define DEPTH_MAX 200
#define STEPS_PER_CHECK 20000
#define PATTERN_MAX 4096 /* bytes of a pattern */
#define ESCAPE '%'
#define OPEN (-1)     /* a capture that is not closed yet */
#define POSITION (-2) /* "()" */

struct match {
    lua_State *L;
    const char *subject, *end, *pattern_end;
    int depth, level;
    size_t steps; /* until the next look at the deadline */
    struct {
        const char *start;
        ptrdiff_t length;
    } capture[CAPTURES_MAX];
};

static const char *match(struct match *m, const char *s, const char *p);

/* So much work was done: about a nanosecond or a few each. */
static void spend(struct match *m, size_t steps)
{
    if (m->steps > steps) {
        m->steps -= steps;
        return;
    }
    m->steps = STEPS_PER_CHECK;
    script_check(m->L);
}

static void step(struct match *m)
{
    spend(m, 1);
}

/* Behind one item of a pattern: a character, an escape or a set. */
static const char *class_end(struct match *m, const char *p)
{
    char c = *p++;
    if (c == ESCAPE) {
        if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 1;
    }
    if (c != '[') return p;
    if (p < m->pattern_end && *p == '^') p++;
    do { /* a "]" right behind the opening stands for itself */
        if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p++ == ESCAPE && p < m->pattern_end) p++;
    } while (p == m->pattern_end || *p != ']');
    return p + 1;
}

static bool in_class(int c, int class)
{
    bool yes;
    switch (tolower(class)) {
    case 'a': yes = isalpha(c); break;
    case 'c': yes = iscntrl(c); break;
    case 'd': yes = isdigit(c); break;
    case 'g': yes = isgraph(c); break;
    case 'l': yes = islower(c); break;
    case 'p': yes = ispunct(c); break;
    case 's': yes = isspace(c); break;
    case 'u': yes = isupper(c); break;
    case 'w': yes = isalnum(c); break;
    case 'x': yes = isxdigit(c); break;
    default: return class == c;
    }
    return isupper(class) ? !yes : yes;
}

/* p at "[", last at its "]". */
static bool in_set(int c, const char *p, const char *last)
{
    bool positive = p[1] != '^';
    if (!positive) p++;
    while (++p < last) {
        if (*p == ESCAPE) {
            if (in_class(c, (unsigned char)*++p)) return positive;
        } else if (p[1] == '-' && p + 2 < last) {
            if ((unsigned char)*p <= c && c <= (unsigned char)p[2]) return positive;
            p += 2;
        } else if ((unsigned char)*p == c)
            return positive;
    }
    return !positive;
}

static bool single(struct match *m, const char *s, const char *p, const char *after)
{
    spend(m, (size_t)(after - p));
    if (s >= m->end) return false;
    int c = (unsigned char)*s;
    switch (*p) {
    case '.': return true;
    case ESCAPE: return in_class(c, (unsigned char)p[1]);
    case '[': return in_set(c, p, after - 1);
    default: return (unsigned char)*p == c;
    }
}

static const char *balanced(struct match *m, const char *s, const char *p)
{
    if (p + 1 >= m->pattern_end) luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
    if (s >= m->end || *s != *p) return NULL;
    int open = 1;
    for (const char *at = s + 1; at < m->end; at++) {
        step(m);
        if (*at == p[1]) {
            if (--open == 0) return at + 1;
        } else if (*at == *p)
            open++;
    }
    return NULL;
}

static const char *greedy(struct match *m, const char *s, const char *p, const char *after)
{
    ptrdiff_t n = 0;
    while (single(m, s + n, p, after))
        n++;
    for (; n >= 0; n--) {
        const char *r = match(m, s + n, after + 1);
        if (r) return r;
    }
    return NULL;
}

static const char *lazy(struct match *m, const char *s, const char *p, const char *after)
{
    for (;; s++) {
        const char *r = match(m, s, after + 1);
        if (r) return r;
        if (!single(m, s, p, after)) return NULL;
    }
}

static const char *open_capture(struct match *m, const char *s, const char *p, ptrdiff_t what)
{
    if (m->level >= CAPTURES_MAX) luaL_error(m->L, "too many captures");
    m->capture[m->level].start = s;
    m->capture[m->level++].length = what;
    const char *r = match(m, s, p);
    if (!r) m->level--;
    return r;
}

static const char *close_capture(struct match *m, const char *s, const char *p)
{
    int l = m->level - 1;
    while (l >= 0 && m->capture[l].length != OPEN)
        l--;
    if (l < 0) luaL_error(m->L, "invalid pattern capture");
    m->capture[l].length = s - m->capture[l].start;
    const char *r = match(m, s, p);
    if (!r) m->capture[l].length = OPEN;
    return r;
}

static const char *back_reference(struct match *m, const char *s, int digit)
{
    int l = digit - '1';
    if (l < 0 || l >= m->level || m->capture[l].length == OPEN)
        luaL_error(m->L, "invalid capture index %%%d", l + 1);
    size_t n = (size_t)m->capture[l].length;
    spend(m, n / 16 + 1);
    if ((size_t)(m->end - s) < n || memcmp(m->capture[l].start, s, n) != 0) return NULL;
    return s + n;
}

static const char *frontier(struct match *m, const char *s, const char *p)
{
    if (p >= m->pattern_end || *p != '[') luaL_error(m->L, "missing '[' after '%%f' in pattern");
    const char *after = class_end(m, p);
    int before = s == m->subject ? 0 : (unsigned char)s[-1], now = s == m->end ? 0 : (unsigned char)*s;
    if (in_set(before, p, after - 1) || !in_set(now, p, after - 1)) return NULL;
    return match(m, s, after);
}

/* An item with what follows it: "*", "+", "-", "?" or nothing. *s and *p move on when the caller should go on
 * in its loop. */
static const char *item(struct match *m, const char **s, const char **p, bool *again)
{
    const char *after = class_end(m, *p);
    char suffix = after < m->pattern_end ? *after : '\0';
    *again = false;
    switch (suffix) {
    case '*': return greedy(m, *s, *p, after);
    case '+': return single(m, *s, *p, after) ? greedy(m, *s + 1, *p, after) : NULL;
    case '-': return lazy(m, *s, *p, after);
    case '?': {
        const char *r = single(m, *s, *p, after) ? match(m, *s + 1, after + 1) : NULL;
        if (r) return r;
        *p = after + 1;
        *again = true;
        return NULL;
    }
    default:
        if (!single(m, *s, *p, after)) return NULL;
        ++*s;
        *p = after;
        *again = true;
        return NULL;
    }
}

static const char *loop(struct match *m, const char *s, const char *p)
{
    for (;;) {
        step(m);
        if (p == m->pattern_end) return s;
        if (*p == '(')
            return p + 1 < m->pattern_end && p[1] == ')' ? open_capture(m, s, p + 2, POSITION)
                                                         : open_capture(m, s, p + 1, OPEN);
        if (*p == ')') return close_capture(m, s, p + 1);
        if (*p == '$' && p + 1 == m->pattern_end) return s == m->end ? s : NULL;
        char next = *p == ESCAPE && p + 1 < m->pattern_end ? p[1] : '\0';
        if (next == 'b') {
            s = balanced(m, s, p + 2);
            p += 4;
        } else if (next == 'f') {
            return frontier(m, s, p + 2);
        } else if (next >= '0' && next <= '9') {
            s = back_reference(m, s, next);
            p += 2;
        } else {
            bool again;
            const char *r = item(m, &s, &p, &again);
            if (!again) return r;
        }
        if (!s) return NULL;
    }
}

static const char *match(struct match *m, const char *s, const char *p)
{
    if (++m->depth > DEPTH_MAX) luaL_error(m->L, "pattern too complex");
    const char *r = loop(m, s, p);
    m->depth--;
    return r;
}

/* ---- captures ---- */

static void push_capture(struct match *m, int i, const char *s, const char *e)
{
    if (i >= m->level) {
        if (i != 0) luaL_error(m->L, "invalid capture index %%%d", i + 1);
        lua_pushlstring(m->L, s, (size_t)(e - s));
    } else if (m->capture[i].length == POSITION) {
        lua_pushinteger(m->L, m->capture[i].start - m->subject + 1);
    } else {
        if (m->capture[i].length == OPEN) luaL_error(m->L, "unfinished capture");
        lua_pushlstring(m->L, m->capture[i].start, (size_t)m->capture[i].length);
    }
}

static int push_captures(struct match *m, const char *s, const char *e)
{
    int n = m->level == 0 && s ? 1 : m->level;
    luaL_checkstack(m->L, n, "too many captures");
    for (int i = 0; i < n; i++)
        push_capture(m, i, s, e);
    return n;
}

static struct match start(lua_State *L, struct str subject, struct str pattern)
{
    if (pattern.n > PATTERN_MAX) luaL_error(L, "a pattern is at most %d bytes long", PATTERN_MAX);
    return (struct match){.L = L,
                          .steps = STEPS_PER_CHECK,
                          .subject = subject.p,
                          .end = subject.p + subject.n,
                          .pattern_end = pattern.p + pattern.n};
}

static struct str argument(lua_State *L, int at)
{
    struct str s;
    s.p = luaL_checklstring(L, at, &s.n);
    return s;
}

static size_t initial(lua_State *L, int at, size_t n)
{
    lua_Integer i = luaL_optinteger(L, at, 1);
    if (i > 0) return (size_t)i - 1;
    if (i == 0 || -i > (lua_Integer)n) return 0;
    return n - (size_t)-i;
}

/* ---- find, match ---- */

static int plain_find(lua_State *L, struct str s, struct str p, size_t from)
{
    const char *at = memmem(s.p + from, s.n - from, p.p, p.n);
    if (!at) return luaL_pushfail(L), 1;
    lua_pushinteger(L, at - s.p + 1);
    lua_pushinteger(L, at - s.p + (lua_Integer)p.n);
    return 2;
}

/* A text without them is looked for as it is: it may hold ")" and "]". */
static bool has_specials(struct str p)
{
    for (size_t i = 0; i < p.n; i++)
        if (p.p[i] && strchr("^$*+?.([%-", p.p[i])) return true;
    return false;
}

static int search(lua_State *L, bool find)
{
    struct str s = argument(L, 1), p = argument(L, 2);
    size_t from = initial(L, 3, s.n);
    if (from > s.n) return luaL_pushfail(L), 1;
    if (find && (lua_toboolean(L, 4) || !has_specials(p))) return plain_find(L, s, p, from);
    bool anchored = p.n && p.p[0] == '^';
    if (anchored) p.p++, p.n--;
    struct match m = start(L, s, p);
    for (const char *at = s.p + from; at <= m.end; at++) {
        m.level = m.depth = 0;
        const char *e = match(&m, at, p.p);
        if (e && find) {
            lua_pushinteger(L, at - s.p + 1);
            lua_pushinteger(L, e - s.p);
            return push_captures(&m, NULL, NULL) + 2;
        }
        if (e) return push_captures(&m, at, e);
        if (anchored) break;
    }
    return luaL_pushfail(L), 1;
}

static int p_find(lua_State *L)
{
    return search(L, true);
}

static int p_match(lua_State *L)
{
    return search(L, false);
}

/* ---- gmatch: upvalues: subject, pattern, next position, end of the last match ---- */

static int gmatch_next(lua_State *L)
{
    struct str s, p;
    s.p = lua_tolstring(L, lua_upvalueindex(1), &s.n);
    p.p = lua_tolstring(L, lua_upvalueindex(2), &p.n);
    lua_Integer from = lua_tointeger(L, lua_upvalueindex(3)), last = lua_tointeger(L, lua_upvalueindex(4));
    struct match m = start(L, s, p);
    for (const char *at = s.p + from; at <= m.end; at++) {
        m.level = m.depth = 0;
        const char *e = match(&m, at, p.p);
        if (!e || e - s.p == last) continue;
        lua_pushinteger(L, e - s.p);
        lua_copy(L, -1, lua_upvalueindex(3));
        lua_replace(L, lua_upvalueindex(4));
        return push_captures(&m, at, e);
    }
    return 0;
}

static int p_gmatch(lua_State *L)
{
    struct str s = argument(L, 1);
    argument(L, 2);
    size_t from = initial(L, 3, s.n);
    lua_settop(L, 2);
    lua_pushinteger(L, from > s.n ? (lua_Integer)s.n + 1 : (lua_Integer)from);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

/* ---- gsub ---- */

static void add_text(struct match *m, luaL_Buffer *b, const char *s, const char *e)
{
    size_t n;
    const char *r = lua_tolstring(m->L, 3, &n);
    spend(m, n);
    for (size_t i = 0; i < n; i++) {
        if (r[i] != ESCAPE) {
            luaL_addchar(b, r[i]);
            continue;
        }
        char c = ++i < n ? r[i] : '\0';
        if (c == ESCAPE)
            luaL_addchar(b, c);
        else if (c == '0')
            luaL_addlstring(b, s, (size_t)(e - s));
        else if (c >= '1' && c <= '9') {
            push_capture(m, c - '1', s, e);
            luaL_tolstring(m->L, -1, NULL);
            lua_remove(m->L, -2);
            luaL_addvalue(b);
        } else
            luaL_error(m->L, "invalid use of '%%' in replacement string");
    }
}

static bool add_value(struct match *m, luaL_Buffer *b, const char *s, const char *e)
{
    lua_State *L = m->L;
    int type = lua_type(L, 3);
    if (type == LUA_TSTRING || type == LUA_TNUMBER) return add_text(m, b, s, e), true;
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(m, s, e), 1);
    } else {
        push_capture(m, 0, s, e);
        lua_gettable(L, 3);
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, s, (size_t)(e - s));
        return false;
    }
    if (!lua_isstring(L, -1)) luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(b);
    return true;
}

static int p_gsub(lua_State *L)
{
    struct str s = argument(L, 1), p = argument(L, 2);
    int type = lua_type(L, 3);
    luaL_argexpected(
        L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
        "string/function/table");
    lua_Integer max = luaL_optinteger(L, 4, (lua_Integer)s.n + 1), n = 0;
    bool anchored = p.n && p.p[0] == '^';
    if (anchored) p.p++, p.n--;
    struct match m = start(L, s, p);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    const char *at = s.p, *last = NULL;
    while (n < max) {
        m.level = m.depth = 0;
        const char *e = match(&m, at, p.p);
        if (e && e != last) {
            n++;
            add_value(&m, &b, at, e);
            at = last = e;
        } else if (at < m.end) {
            luaL_addchar(&b, *at++);
        } else
            break;
        if (anchored) break;
    }
    luaL_addlstring(&b, at, (size_t)(m.end - at));
    luaL_pushresult(&b);
    lua_pushinteger(L, n);
    return 2;
}

void pattern_library(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"find", p_find}, {"match", p_match}, {"gmatch", p_gmatch}, {"gsub", p_gsub}, {NULL, NULL}};
    luaL_newlib(L, functions);
}
