/* str.c: the few operations on borrowed strings that are not one line. */
#include "base/str.h"

uint64_t str_hash(struct str s)
{
    uint64_t h = UINT64_C(0x9e3779b97f4a7c15) ^ s.n, word;
    size_t i = 0;
    for (; i + sizeof word <= s.n; i += sizeof word) {
        memcpy(&word, s.p + i, sizeof word);
        h = (h ^ word) * UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 32;
    }
    for (word = 0; i < s.n; i++)
        word = word << 8 | (unsigned char)s.p[i];
    h = (h ^ word) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 29;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i])) return false;
    return true;
}

static bool space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n && space(s.p[0]))
        s.p++, s.n--;
    while (s.n && space(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct str str_cut(struct str *rest, char sep)
{
    const char *at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    struct str head = *rest;
    if (!at) {
        *rest = (struct str){NULL, 0};
        return head;
    }
    head.n = (size_t)(at - rest->p);
    *rest = (struct str){at + 1, rest->n - head.n - 1};
    return head;
}
