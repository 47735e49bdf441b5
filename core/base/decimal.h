/* decimal.h: exact decimals as scaled 64-bit integers: 12.50 at scale 2 is 1250. Division and scaling
 * round half away from zero. Every operation is checked; false means overflow or division by zero. */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include "base/str.h"

#include <stdint.h>

#define DECIMAL_SCALE_MAX 9

enum decimal_result { DECIMAL_OK, DECIMAL_SYNTAX, DECIMAL_TOO_PRECISE, DECIMAL_OVERFLOW };

/* Reads a JSON number (exponents too). DECIMAL_TOO_PRECISE when digits other than 0 follow `scale`. */
enum decimal_result decimal_parse(struct str s, int scale, int64_t *scaled);

/* Reads a number with the smallest scale that holds it (0 … DECIMAL_SCALE_MAX). */
enum decimal_result decimal_parse_any(struct str s, int64_t *scaled, int *scale);

/* Shortest form, e.g. "-12.5". Needs at most 24 bytes with the NUL; returns the length. */
size_t decimal_format(int64_t scaled, int scale, char out[24]);

bool decimal_rescale(int64_t v, int from, int to, int64_t *out);
bool decimal_add(int64_t a, int sa, int64_t b, int sb, int sr, int64_t *out);
bool decimal_sub(int64_t a, int sa, int64_t b, int sb, int sr, int64_t *out);
bool decimal_mul(int64_t a, int sa, int64_t b, int sb, int sr, int64_t *out);
bool decimal_div(int64_t a, int sa, int64_t b, int sb, int sr, int64_t *out);
int decimal_compare(int64_t a, int sa, int64_t b, int sb); /* -1, 0, 1; never overflows */

#endif
