/* job.h: a function of a script that may wait for the outside world: it looks synchronous and yields.
 *
 *   script_job_new ─► script_job_run ─┬─► SCRIPT_JOB_ASKS  what for: script_job_asked ─► (somebody does it)
 *                        ▲            │        └── script_job_run(answer) ◄──────────────────┘
 *                        └────────────┼────────────────────────────────
 *                                     ├─► SCRIPT_JOB_DONE   script_job_result
 *                                     └─► SCRIPT_JOB_FAILED script_job_error
 *
 * In a job, crm.get and crm.find read at once; everything that writes, http, mail and sharepoint ask. A job
 * has the rights of the system; each of its writes is a change of its own. Steps (crm.step) that an earlier
 * attempt finished give the result recorded then. One thread: that of the state. */
#ifndef SCRIPT_JOB_H
#define SCRIPT_JOB_H

#include "script/script.h"

struct script_job;

enum script_job_state { SCRIPT_JOB_ASKS, SCRIPT_JOB_DONE, SCRIPT_JOB_FAILED };

struct script_asked {
    const char *name;              /* "crm.create", "http.request", "step", … */
    const struct json_value *args; /* an object */
};

struct script_answer {
    const char *error; /* words: raised where the script asked; NULL: it went well */
    struct str json;   /* the result; empty: nil */
    struct str raw;    /* bytes that become its field `body`; .p NULL: none */
};

/* `args` and `steps` are JSON (`steps` an object: name → result). `who` and `db` (reading) must outlive the
 * job. NULL with `e` filled. */
struct script_job *script_job_new(struct script_state *s, script_fn fn, struct place place, struct db *db,
                                  struct principal *who, struct str args, struct str steps, struct error *e);
void script_job_free(struct script_job *j); /* NULL is allowed */

/* `answer` NULL at first. Texts in it are copied. */
enum script_job_state script_job_run(struct script_job *j, const struct script_answer *answer);

/* Valid until the next run. */
const struct script_asked *script_job_asked(const struct script_job *j);
struct str script_job_result(const struct script_job *j); /* JSON; "" when the function returned nothing */
const struct error *script_job_error(const struct script_job *j);
struct place script_job_place(const struct script_job *j); /* where it was declared */
struct arena *script_job_arena(struct script_job *j);      /* lives as long as the job */

/* The set that its state was made from. */
const struct script_set *script_state_set(const struct script_state *s);

#endif
