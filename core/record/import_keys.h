/* import_keys.h: which keys a file has shown already: a set of 64-bit keyed hashes, 11 to 21 bytes for each
 * row, so that a million rows need 16 MiB. Two different keys share a hash once in 10^7 files of a million
 * rows. */
#ifndef RECORD_IMPORT_KEYS_H
#define RECORD_IMPORT_KEYS_H

#include "base/str.h"

struct import_keys;

struct import_keys *import_keys_new(void);
void import_keys_free(struct import_keys *k);
/* *seen: it was there. False: no memory. */
bool import_keys_add(struct import_keys *k, struct str key, bool *seen);

#endif
