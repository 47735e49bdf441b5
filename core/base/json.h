/* json.h: writing JSON straight into a buffer. No tree, no allocation per field.
 *
 *     json_object(&b); json_key(&b, STR("name")); json_str(&b, name); json_end_object(&b);
 *
 * Commas are put by looking at the byte before: a value follows `{ [ : ,` directly and anything else after a
 * comma. Errors are the buffer's (buf.failed). Strings are written as UTF-8 with the escapes of RFC 8259;
 * bytes that are not UTF-8 become U+FFFD. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/arena.h"
#include "base/buf.h"

void json_object(struct buf *b);
void json_end_object(struct buf *b);
void json_array(struct buf *b);
void json_end_array(struct buf *b);

/* `key` must need no escape (our own names). */
void json_key(struct buf *b, struct str key);
/* Any key, escaped. */
void json_key_any(struct buf *b, struct str key);

void json_str(struct buf *b, struct str s);
void json_quote(struct buf *b, struct str s); /* the string alone, no comma: for texts that are not JSON */
void json_cstr(struct buf *b, const char *s); /* NULL writes null */
void json_int(struct buf *b, int64_t n);
void json_bool(struct buf *b, bool v);
void json_null(struct buf *b);
void json_raw(struct buf *b, struct str json);             /* an already serialized value */
void json_id(struct buf *b, int64_t id);                   /* id_format in quotes; 0 writes null */
void json_datetime(struct buf *b, int64_t ms);             /* RFC 3339, UTC, milliseconds */
void json_time(struct buf *b, struct str key, int64_t ms); /* a member: that, or null for 0 */
void json_date(struct buf *b, int64_t days);               /* days since 1970-01-01 */
void json_decimal(struct buf *b, int64_t scaled, int scale); /* shortest form: 1200 at 2 → 12, 1250 → 12.5 */

/* "/name" with the escapes of a JSON Pointer (RFC 6901 §3): "~" is "~0", "/" is "~1". NULL: no memory. */
char *json_pointer(struct arena *arena, struct str name);

#endif
