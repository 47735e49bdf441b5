/* masterdata.h: the file of domain.md §7: settings, keyed by code, imported all or nothing and as often as
 * one likes. */
#ifndef RECORD_MASTERDATA_H
#define RECORD_MASTERDATA_H

#include "record/record.h"

struct masterdata_count {
    size_t created, updated, unchanged;
};

/* A record is known again by its id where the file states one, else by its code, login, the fields that are
 * unique together or alone, or its name. A reference may lead further down the file. With the context's
 * automation off and system rights, a file may also carry the past: ids, numbers, created_at, history.
 *
 * Reads {"format":"perigee.masterdata/1","version","collections":{…}} and creates or changes each record, in
 * the order of the file; `each` is told the counts of a collection. In the caller's transaction, with the
 * context's rights; stage gates are not asked. Every mistake is an entry whose pointer is
 * "collections.stages[3].probability". */
bool masterdata_import(struct context *c, struct str text,
                       void (*each)(void *ctx, const char *collection, const struct masterdata_count *count),
                       void *ctx);

#endif
