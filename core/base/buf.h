/* buf.h: a growing byte buffer with a hard bound.
 *
 * Appending never returns an error: a failure (no memory, past the bound) is remembered in `failed`, later
 * appends do nothing, and the caller looks once, at the end. Owned by whoever calls buf_init; malloc'd. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"

#include <stdarg.h>
#include <stdint.h>

struct buf {
    char *p;
    size_t n, cap;
    size_t toobig; /* the bound in bytes */
    bool failed;
};

void buf_init(struct buf *b, size_t toobig);
void buf_free(struct buf *b);
void buf_reset(struct buf *b); /* empty again, memory kept, `failed` cleared */

bool buf_grow(struct buf *b, size_t more); /* of buf_reserve */

/* Makes room for `more` bytes; false (and `failed`) when it cannot. */
static inline bool buf_reserve(struct buf *b, size_t more)
{
    return (!b->failed && b->cap - b->n >= more) || buf_grow(b, more);
}

static inline void buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || !buf_reserve(b, n)) return;
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

static inline void buf_char(struct buf *b, char c)
{
    if (buf_reserve(b, 1)) b->p[b->n++] = c;
}

static inline void buf_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

static inline void buf_cstr(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_int(struct buf *b, int64_t n);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline struct str buf_view(const struct buf *b)
{
    return (struct str){b->p, b->n};
}

#endif
