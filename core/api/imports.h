/* imports.h: what the files about imports share: imports.c (endpoints), import_run.c (the thread that runs
 * them), import_masterdata.c. */
#ifndef API_IMPORTS_H
#define API_IMPORTS_H

#include "api/app.h"
#include "record/import_job.h"

#define IMPORT_PATH 4200

/* DIR/spool/import-<id>, where the file of an import lies until it is done. */
void import_path(const struct app *app, int64_t id, char path[IMPORT_PATH]);

/* The import as the API shows it. */
bool import_write(struct call *c, const struct import_state *s, struct buf *b);

/* Whether the import that this call asks for is a dry run. */
bool import_is_dry(const struct call *c);
/* 202, where it can be looked at, and how it looks now. */
bool import_accepted(struct call *c, int64_t id);

/* import_masterdata.c: LANE_WRITE: the uploaded file as master data, all or nothing, done with the answer. */
bool import_masterdata(struct call *c);

struct importer;
struct importer *importer_start(struct app *app, struct error *e);
void importer_stop(struct importer *i); /* NULL is allowed; before the writer stops */
void importer_free(struct importer *i); /* after it */
/* Something was committed that may be for the importer. Any thread; cheap when `importer_expect` was not
 * called before. */
void importer_expect(struct importer *i);
void importer_committed(struct importer *i);

#endif
