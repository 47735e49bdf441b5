/* files.h: files at records: a document is the record that stands for a file at another record; each upload
 * of the same name and kind is its next edition. Access to a file follows what it hangs on. */
#ifndef RECORD_FILES_H
#define RECORD_FILES_H

#include "record/record.h"
#include "store/files.h"

/* May the caller read it? Through its document (which follows its record), through a record of theirs that
 * refers to it by a field of type file, or because it is their own and hangs on nothing. */
bool record_file_readable(struct context *c, const struct file_row *f, bool *yes);

/* Makes the upload a document of record `id`, or the next edition of the one with this name and kind, with
 * the caller's rights; adds the row. Fills document and edition. */
bool record_file_attach(struct context *c, const struct entity *e, int64_t id, struct file_row *f);

/* Takes one edition away: the one before becomes the document's file; without one the document is
 * deactivated. Needs the right to delete the document. */
bool record_file_remove(struct context *c, const struct file_row *f);

#endif
