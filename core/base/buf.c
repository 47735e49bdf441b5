/* buf.c: see buf.h. */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t toobig)
{
    *b = (struct buf){.toobig = toobig};
}

void buf_free(struct buf *b)
{
    free(b->p);
    *b = (struct buf){.toobig = b->toobig};
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->failed = false;
}

bool buf_grow(struct buf *b, size_t more)
{
    if (b->failed) return false;
    if (b->cap - b->n >= more) return true;
    if (more > b->toobig || b->n > b->toobig - more) {
        b->failed = true;
        return false;
    }
    size_t cap = b->cap ? b->cap : b->toobig < 256 ? b->toobig : 256;
    while (cap - b->n < more)
        cap = cap > b->toobig / 2 ? b->toobig : cap * 2;
    char *p = realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

void buf_int(struct buf *b, int64_t v)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        digits[--at] = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0) digits[--at] = '-';
    buf_add(b, digits + at, sizeof digits - at);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    if (n < 0)
        b->failed = true;
    else if (buf_reserve(b, (size_t)n + 1)) {
        vsnprintf(b->p + b->n, (size_t)n + 1, format, again);
        b->n += (size_t)n;
    }
    va_end(again);
    va_end(args);
}
