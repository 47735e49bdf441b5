/* str.h: a string as pointer and length. Views never own; the bytes need not end in NUL. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
/* For printf's "%.*s": printf("%.*s", STR_ARG(s)). */
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_of(const char *c)
{
    return (struct str){c, c ? strlen(c) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_is(struct str a, const char *c)
{
    return str_eq(a, str_of(c));
}

static inline bool str_starts(struct str a, struct str prefix)
{
    return a.n >= prefix.n && memcmp(a.p, prefix.p, prefix.n) == 0;
}

/* For tables of our own (no defence against chosen keys): eight bytes a step, since texts of a list query are
 * a kilobyte long and are looked up for every request. */
uint64_t str_hash(struct str s);

/* ASCII only, for HTTP tokens. */
bool str_eq_nocase(struct str a, struct str b);

/* Without ASCII white space at both ends. */
struct str str_trim(struct str s);

/* Cuts `*rest` at the first `sep`: returns the part before it and moves `*rest` behind it. Without a
 * `sep` the whole is returned and `*rest` becomes empty with p == NULL. */
struct str str_cut(struct str *rest, char sep);

#endif
