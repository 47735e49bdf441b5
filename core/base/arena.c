/* arena.c: see arena.h. Chunks grow from 4 KiB to 64 KiB; what is larger gets a chunk of its own. */
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK_MIN 4096
#define CHUNK_MAX 65536
#define ALIGN 16

struct arena_chunk {
    struct arena_chunk *next;
    size_t size, used;
    _Alignas(ALIGN) char bytes[];
};

void arena_init(struct arena *a, size_t limit)
{
    *a = (struct arena){.limit = limit};
}

static void free_chunks(struct arena_chunk *c, const struct arena_chunk *keep)
{
    while (c && c != keep) {
        struct arena_chunk *next = c->next;
        free(c);
        c = next;
    }
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *first = a->head;
    while (first && first->next)
        first = first->next;
    if (first && first->size > CHUNK_MAX) first = NULL; /* a giant is not worth keeping */
    free_chunks(a->head, first);
    a->head = first;
    a->used = 0;
    if (first) first->used = 0;
}

void arena_free(struct arena *a)
{
    free_chunks(a->head, NULL);
    a->head = NULL;
    a->used = 0;
}

static struct arena_chunk *new_chunk(struct arena *a, size_t size)
{
    size_t want = a->head ? a->head->size * 2 : CHUNK_MIN;
    if (want > CHUNK_MAX) want = CHUNK_MAX;
    if (want < size) want = size;
    struct arena_chunk *c = malloc(sizeof *c + want);
    if (!c) return NULL;
    c->size = want;
    c->used = 0;
    c->next = a->head;
    a->head = c;
    return c;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > a->limit || size > SIZE_MAX - ALIGN) return NULL;
    size = size ? (size + ALIGN - 1) & ~(size_t)(ALIGN - 1) : ALIGN;
    if (a->used + size > a->limit) return NULL;
    struct arena_chunk *c = a->head;
    if (!c || c->size - c->used < size) c = new_chunk(a, size);
    if (!c) return NULL;
    void *p = c->bytes + c->used;
    c->used += size;
    a->used += size;
    return memset(p, 0, size);
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size) return NULL;
    return arena_alloc(a, count * size);
}

char *arena_dup(struct arena *a, struct str s)
{
    if (s.n == SIZE_MAX) return NULL;
    char *p = arena_alloc(a, s.n + 1);
    if (p && s.n) memcpy(p, s.p, s.n);
    return p;
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = arena_dup(a, s);
    return (struct str){p, p ? s.n : 0};
}

char *arena_vprintf(struct arena *a, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p) vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    return p;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *p = arena_vprintf(a, format, args);
    va_end(args);
    return p;
}
