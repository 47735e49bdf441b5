/* text.h: UTF-8 and the one order of text (api.md §3): case folded, ё as е, then code points, then exact
 * bytes. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/buf.h"
#include "base/str.h"

#include <stdint.h>

/* True when `s` is well-formed UTF-8 (no surrogates, no overlong forms). */
bool text_valid(struct str s);

/* Number of code points of a valid string. */
size_t text_length(struct str s);

/* Decodes one code point and moves *s behind it; U+FFFD for a bad byte. `s` must not be empty. */
uint32_t text_next(struct str *s);
void text_put(struct buf *b, uint32_t code_point);

/* Simple case folding, with ё → е. */
uint32_t text_fold_char(uint32_t code_point);
void text_fold(struct buf *out, struct str s);

/* <0, 0, >0: 0 only for equal bytes. Never allocates. */
int text_compare(struct str a, struct str b);

/* Position-free searches on folded text. Never allocate. */
bool text_contains(struct str s, struct str part);
bool text_starts(struct str s, struct str part);
bool text_ends(struct str s, struct str part);

#endif
