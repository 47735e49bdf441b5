/* arena.h: memory that lives as long as a request (or a catalog) and is freed at once.
 *
 *   arena ──► chunk ──► chunk ──► NULL      newest first; an allocation is a pointer bump
 *
 * Every arena has a limit in bytes, so no input can grow memory without end. One thread at a time. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

#include <stdarg.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *head;
    size_t used;  /* bytes handed out since the last reset */
    size_t limit; /* allocations past it return NULL */
};

void arena_init(struct arena *a, size_t limit);

/* Forgets everything; keeps the oldest (first) chunk for the next request. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

/* 16-byte aligned, zeroed. NULL when out of memory or past the limit. */
void *arena_alloc(struct arena *a, size_t size);

/* `count` × `size` with the product checked. */
void *arena_array(struct arena *a, size_t count, size_t size);

/* Copies that end in NUL. NULL on failure. */
char *arena_dup(struct arena *a, struct str s);
struct str arena_str(struct arena *a, struct str s); /* .p == NULL on failure */
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *format, va_list args);

#endif
