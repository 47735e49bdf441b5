/* import_run.h: what the files of the importer share: import_run.c (the thread, real runs, undos),
 * import_dry.c (dry runs), import_step.c (jobs of the writer, for which the thread waits). */
#ifndef API_IMPORT_RUN_H
#define API_IMPORT_RUN_H

#include "api/imports.h"

#define IMPORT_BUDGET_LEAST UINT64_C(2000000)
#define IMPORT_BUDGET_MOST UINT64_C(32000000)

struct importer {
    struct app *app;
    struct worker *worker; /* opened with the first import */
    pthread_t thread;
    atomic_bool expecting;
    uint64_t budget, jobs_seen;
    unsigned quiet; /* jobs since somebody else wrote */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    bool wanted, stopping;
};

/* One write of the import, for which this thread waits. */
struct import_step {
    struct write_job job;
    struct importer *importer;
    bool (*run)(struct import_step *s, struct context *c); /* with s->error */
    int64_t user;
    struct import_job *import;
    struct import_chunk *chunk;
    struct import_state *state;
    const struct error *why;
    struct db *copy;
    uint64_t budget;
    bool inactive_too;                   /* an undo is done in the name of somebody who may have left */
    bool left, done, committed, refused; /* refused: `run` said no */
    struct arena arena;
    struct error error;
};

/* The server stops. */
bool importer_stopping(struct importer *i);
/* False: the server stops. */
bool importer_pause(struct importer *i);
/* Opens the context of a worker for somebody. */
void importer_context(struct context *c, struct worker *w, const struct principal *p, struct arena *arena,
                      struct error *e);

void import_step_init(struct import_step *s, struct importer *i, int64_t user, enum lang lang);
/* False: the writer does not take it (s->error). */
bool import_step_submit(struct import_step *s);
/* True when it was committed. */
bool import_step_wait(struct import_step *s);
/* Committed, or false: the server stops, or it cannot be done (s->error; not ERROR_UNAVAILABLE unless tried
 * long enough). */
bool import_step_until_done(struct import_step *s);

void importer_remove_file(struct importer *i, int64_t id);
/* The end of an import that cannot go on, written in the name of the system. */
void importer_fail(struct importer *i, int64_t id, const struct error *why);

/* files_orphans.c */
void importer_collect_orphans(struct importer *i);

/* import_dry.c */
void import_run_dry(struct importer *i, struct import_job *j);

#endif
