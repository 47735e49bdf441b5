/* bind_job.h: how a binding asks for what its thread cannot do at once (job.h). Private to core/script.
 *
 *     if (job_running(L)) return job_ask(L, "crm.move", &args, job_then);
 *
 * The script goes on in `then` when the answer is there. */
#ifndef SCRIPT_BIND_JOB_H
#define SCRIPT_BIND_JOB_H

#include "script/state.h"

/* True inside a job, also in functions that it calls. */
bool job_running(lua_State *L);

/* Yields with a question; `args` is a JSON object and is freed. Raises an error inside a coroutine of the
 * script. */
int job_ask(lua_State *L, const char *name, struct buf *args, lua_KFunction then);

/* Pushes the answer to the last question (1), or raises it. */
int job_push_answer(lua_State *L);

/* The recorded result of a step; NULL when it has not been finished. */
const struct json_value *job_step(lua_State *L, struct str name);

/* Adds `http`, `mail` and `sharepoint` to the table on top of the stack. */
void bind_job_open(lua_State *L);

/* crm.step(name, f): f() once; a later attempt gets the result that was recorded. */
int crm_step(lua_State *L);
/* crm.retry(after, why): ends this attempt; the next one begins not before `after` ("5m"). */
int crm_retry(lua_State *L);

#endif
