/* value.c: see value.h. */
#include "store/value.h"

#include "base/decimal.h"

bool value_same(struct value a, struct value b)
{
    if (a.type != b.type) return false;
    switch (a.type) {
    case VALUE_NULL: return true;
    case VALUE_NUMBER: return decimal_compare(a.i, a.scale, b.i, b.scale) == 0;
    case VALUE_TEXT:
    case VALUE_SET: return str_eq(a.s, b.s);
    default: return a.i == b.i;
    }
}
