/* id.h: identifiers: 63 bits, ordered by time, from which no count can be guessed.
 *
 *   62            21 20                0
 *   | milliseconds  | random, rising    |     milliseconds since 2024-01-01, 42 bits (139 years)
 *
 * Inside one millisecond each id is the one before plus a random step, so ids rise but neither their number
 * nor the next one can be told. Shown as 13 characters of Crockford's base 32 in lower case
 * (0-9 a-z without i l o u), whose order as text is the order of the numbers. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include "base/str.h"

#include <stdint.h>

#define ID_TEXT 13 /* characters, without NUL */

/* A fresh id, > 0, never the same twice in this process; unique across processes with overwhelming
 * probability (the primary key has the last word). Thread-safe. */
int64_t id_next(void);

/* Writes ID_TEXT characters and a NUL. */
void id_format(int64_t id, char text[ID_TEXT + 1]);

/* False unless `s` is exactly what id_format writes for some id > 0. */
bool id_parse(struct str s, int64_t *id);

#endif
