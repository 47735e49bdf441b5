/* error.h: what went wrong, said to a person in their language.
 *
 * A function that can fail returns false (or NULL) and fills a `struct error` that the caller made with
 * error_init. One error holds a kind (which HTTP status, which stable code), a detail, and entries: one
 * for each wrong field of a request, or for each mistake in a script. Texts are given in both languages at
 * the place that knows them, so that neither is forgotten:
 *
 *     return error_set(e, ERROR_NOT_FOUND, "no company %s", "нет компании %s", id);
 *     error_add(e, "/amount", "required", "Amount is required", "Не указана сумма");
 *
 * Memory is the arena's given at init; when that is exhausted the kind stays and the text is a fixed one. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "base/arena.h"

#include <stdint.h>

enum lang { LANG_EN, LANG_RU, LANG_COUNT };

/* "en", "ru" */
const char *lang_code(enum lang lang);
bool lang_parse(struct str code, enum lang *lang);

/* Order and names follow api.md §4; error_kind_* below give status, code and title. */
enum error_kind {
    ERROR_NONE,
    ERROR_BAD_REQUEST,
    ERROR_BAD_FILTER,
    ERROR_UNKNOWN_FIELD,
    ERROR_UNAUTHENTICATED,
    ERROR_FORBIDDEN,
    ERROR_FIELD_FORBIDDEN,
    ERROR_NOT_FOUND,
    ERROR_METHOD_NOT_ALLOWED,
    ERROR_CONFLICT,
    ERROR_DUPLICATE,
    ERROR_STALE,
    ERROR_PRECONDITION_REQUIRED,
    ERROR_PAYLOAD_TOO_LARGE,
    ERROR_UNSUPPORTED_MEDIA_TYPE,
    ERROR_VALIDATION_FAILED,
    ERROR_GATE_REFUSED,
    ERROR_REJECTED,
    ERROR_SCRIPT_ERROR,
    ERROR_SCRIPT_LIMIT,
    ERROR_QUERY_LIMIT,
    ERROR_FAILED_DEPENDENCY, /* an operation of a batch that another one took along */
    ERROR_TOO_MANY_REQUESTS,
    ERROR_UNAVAILABLE,
    ERROR_INTERNAL, /* 500: no memory, I/O error, broken invariant; the log has the rest */
    ERROR_BUSY,     /* internal: the read's budget is spent, run it again in the slow lane; never answered */
    ERROR_KIND_COUNT
};

struct error_entry {
    struct error_entry *next;
    const char *pointer; /* "/amount" into the body, "filter", "sort", … ; NULL: the whole */
    const char *code;    /* stable, snake_case */
    const char *message; /* in the error's language */
    long offset;         /* characters into a filter; -1 without meaning */
    const char *
        expected; /* what the parser wanted here, with spaces between ("field value"); NULL: nothing to say */
    const char *suggestion; /* the nearest name; NULL */
    const char *file;       /* the script that said no, for developers; NULL */
    int line;
};

struct error {
    enum error_kind kind;
    enum lang lang;
    const char *detail; /* never NULL once kind is set */
    struct error_entry *first, *last;
    size_t count;
    const char *file; /* the script's place, for developers; NULL */
    int line;
    int64_t retry_after;    /* seconds, for 429 and 503; 0: none */
    const char *current;    /* JSON of the record as it is now, for ERROR_STALE; NULL */
    const char *candidates; /* JSON list of what is there already, for ERROR_DUPLICATE; NULL */
    struct arena *arena;
};

void error_init(struct error *e, struct arena *arena, enum lang lang);

/* Forgets what was set, keeps arena and language. */
void error_clear(struct error *e);

/* Sets kind and detail. The first kind set wins unless it was ERROR_NONE. Always returns false. */
bool error_set(struct error *e, enum error_kind kind, const char *en, const char *ru, ...)
    __attribute__((format(printf, 3, 5), format(printf, 4, 5)));

/* Appends one entry; returns it (never NULL: a static one when memory is out) so that the caller can fill
 * offset, expected, suggestion, file. Does not set the kind. At most 100 entries are kept. */
struct error_entry *error_add(struct error *e, const char *pointer, const char *code, const char *en,
                              const char *ru, ...)
    __attribute__((format(printf, 4, 6), format(printf, 5, 6)));

/* "out of memory", ERROR_INTERNAL. Always false. */
bool error_no_memory(struct error *e);

int error_kind_status(enum error_kind kind);       /* 400 … */
const char *error_kind_code(enum error_kind kind); /* "bad_request" … */
const char *error_kind_title(enum error_kind kind, enum lang lang);

#endif
