/* state.h: one Lua state: its memory limit, sandbox, clock and the functions that scripts registered. Private
 * to core/script.
 *
 * One thread at a time. Every entry into Lua goes through script_run (call.c), which sets the limits and
 * turns errors into ours. */
#ifndef SCRIPT_STATE_H
#define SCRIPT_STATE_H

#include "script/script.h"
#include "script/sources.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <time.h>

#define REGISTRY_FUNCTIONS "perigee.functions" /* array: 1 … function_count */
#define REGISTRY_DECLARED "perigee.declared"   /* array of {kind=…, …} */
#define REGISTRY_MISTAKES "perigee.mistakes"   /* array of {file, line, message, suggestion, warning} */

enum script_abort { ABORT_NONE, ABORT_TIME, ABORT_ROWS, ABORT_QUERIES };

struct script_state {
    lua_State *L;
    struct script_set *set; /* held; NULL while loading */
    const struct script_sources *sources;
    size_t memory, memory_max;
    struct context *context; /* of the call that runs; NULL outside */
    uint64_t call;           /* number of the call: objects of an earlier one are dead */
    struct script_job *job;  /* that runs; NULL outside of jobs */
    uint64_t jobs;           /* made so far */
    int depth;               /* calls nested through record hooks */
    enum script_kind kind;
    uint64_t deadline;             /* clock_mono */
    volatile sig_atomic_t aborted; /* enum script_abort; while set, no pcall swallows */
    lua_State *volatile running;   /* the coroutine that runs */
    int64_t rows, queries;         /* left */
    bool timer_made;
    timer_t timer;
    const struct source *file; /* being loaded */
    lua_Integer functions;     /* registered so far */
    struct script_stats stats[SCRIPT_KIND_COUNT];
};

/* The state behind an L. */
struct script_state *state_of(lua_State *L);

/* A fresh state that has run every source once. Mistakes are in the registry and, when fatal to a file, there
 * too: the caller looks at REGISTRY_MISTAKES. NULL only when there is no memory or the sandbox itself is
 * broken. */
struct script_state *state_open(const struct script_sources *sources, const struct script_limits *limits,
                                struct error *e);
void state_close(struct script_state *s);

/* call.c: runs `body` with `data` as light userdata under the limits of `kind`: it pushes arguments, calls
 * functions of scripts and reads results, all of it protected. false: `e` is set (rejections, limits, script
 * errors with file and line). */
bool script_run(struct script_state *s, struct context *c, enum script_kind kind, lua_CFunction body,
                void *data, struct error *e);
/* Pushes registered function `fn`. */
void script_push_fn(struct script_state *s, script_fn fn);
/* Raises the abort when a limit was crossed (for C functions that loop). */
void script_check(lua_State *L);

/* limits.c: arms and disarms the deadline. */
bool limits_start(struct script_state *s, int64_t time_ms);
void limits_stop(struct script_state *s);
/* coroutine.create/resume/wrap that keep `running` true; pushes the library table. */
void limits_coroutine(lua_State *L);

/* pattern.c: find, match, gmatch, gsub with a bound on steps; pushes a table with them. */
void pattern_library(lua_State *L);

/* bind_record.c */
void bind_record_open(lua_State *L);
/* Pushes a record; writable ones may be assigned to. */
void bind_record_push(lua_State *L, struct record *r, bool writable);
/* The record at a stack index; raises a Lua error when it is none, or dead. */
struct record *bind_record_check(lua_State *L, int at);
void bind_push_value(lua_State *L, const struct field *f, struct value v);
/* Reads a Lua value for a field; raises a Lua error with the field's name when it does not fit. */
struct value bind_to_value(lua_State *L, int at, const struct field *f, struct record *r);
/* JSON ↔ Lua. Tables with 1…n keys are arrays; crm.json.null is null. */
void bind_push_json(lua_State *L, const struct json_value *v);
void bind_write_json(lua_State *L, int at, struct buf *out);

/* bind_crm.c: pushes the `crm` table. */
void bind_crm_open(lua_State *L);
int crm_create(lua_State *L); /* crm.create(entity, fields) */
/* bind_work.c: adds its functions to the table on top. */
void bind_work_open(lua_State *L);

#endif
