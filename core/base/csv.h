/* csv.h: cells of CSV (RFC 4180) that no spreadsheet takes for a formula, and back.
 *
 * A text that begins with = + - @ TAB or CR is run as a formula by spreadsheets. It gets an apostrophe in
 * front, which they take for "this is text"; so does a text that begins with apostrophes and goes on like
 * that, so that taking one off is always right. A text that is nothing but a number ("-5", "+79161234567") is
 * harmless and stays.
 *
 *     =1+1 → '=1+1      '=1+1 → ''=1+1      'tis → 'tis      -5 → -5 */
#ifndef BASE_CSV_H
#define BASE_CSV_H

#include "base/buf.h"

/* A text that people wrote. */
void csv_text(struct buf *out, struct str s);
/* What the server makes itself (numbers, dates, ids, names of fields): quoted where needed, never guarded. */
void csv_plain(struct buf *out, struct str s);
/* The text that csv_text was given, from an unquoted cell: what imports read. */
struct str csv_unguard(struct str cell);

#endif
