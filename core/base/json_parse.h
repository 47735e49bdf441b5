/* json_parse.h: reading JSON (RFC 8259) into a tree inside an arena.
 *
 * Strict: UTF-8 only, no duplicate keys, no trailing bytes, at most `JSON_DEPTH` deep. Numbers keep their
 * text, so that money is never rounded through binary floating point. */
#ifndef BASE_JSON_PARSE_H
#define BASE_JSON_PARSE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

#define JSON_DEPTH 64

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_value {
    enum json_type type;
    struct str text; /* number as written; string unescaped (may contain NUL bytes: "\u0000" is refused) */
    struct json_value *first; /* children in order */
    struct json_value *next;  /* the next sibling */
    struct str key;           /* when the parent is an object */
    size_t count;             /* of children */
};

/* NULL with ERROR_BAD_REQUEST naming line and column of the first mistake. Strings may point into `text`. */
struct json_value *json_parse(struct arena *arena, struct str text, struct error *e);
/* The same for a text from outside: ERROR_PAYLOAD_TOO_LARGE past `most` values, since each takes far more
 * memory than its text. */
struct json_value *json_parse_bounded(struct arena *arena, struct str text, size_t most, struct error *e);

/* Member of an object; NULL when absent (or `object` is not one). */
const struct json_value *json_member(const struct json_value *object, struct str key);

/* Writes it out again, minified. NULL writes null. */
void json_value_write(struct buf *b, const struct json_value *v);

#endif
