/* value.h: one value of a field, in memory: what a filter compares, a statement binds and a hook
 * reads.
 *
 * Everything numeric is a 64-bit integer, scaled where decimals are; see field_type in catalog.h
 * for how each type of field is held. Text points into an arena or a statement; it is never owned
 * by the value. */
#ifndef STORE_VALUE_H
#define STORE_VALUE_H

#include "base/str.h"

#include <stdint.h>

enum value_type {
    VALUE_NULL,
    VALUE_NUMBER,   /* i, scaled by 10^scale: integer, decimal, money, percent */
    VALUE_BOOL,     /* i: 0, 1 */
    VALUE_DATE,     /* i: days since 1970-01-01 */
    VALUE_DATETIME, /* i: milliseconds since 1970-01-01 UTC */
    VALUE_ID,       /* i: a record */
    VALUE_TEXT,     /* s: text, option, code of a setting, JSON */
    VALUE_SET       /* s: a JSON array, of texts or of ids in their text form: options, refs */
};

struct value {
    enum value_type type;
    int scale;
    int64_t i;
    struct str s;
};

static inline struct value value_null(void)
{
    return (struct value){.type = VALUE_NULL};
}
static inline struct value value_number(int64_t scaled, int scale)
{
    return (struct value){.type = VALUE_NUMBER, .i = scaled, .scale = scale};
}
static inline struct value value_of(enum value_type type, int64_t i)
{
    return (struct value){.type = type, .i = i};
}
static inline struct value value_text(struct str s)
{
    return (struct value){.type = VALUE_TEXT, .s = s};
}

/* Same type and same content (numbers by value, whatever their scale). NULL equals NULL. */
bool value_same(struct value a, struct value b);

#endif
