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

#define REGISTRY_CORE "perigee.core"           /* the table of core.h */
#define REGISTRY_FUNCTIONS "perigee.functions" /* array: 1 … function_count */
#define REGISTRY_DECLARED "perigee.declared"   /* array of {kind=…, …} */
#define REGISTRY_MISTAKES "perigee.mistakes"   /* array of {file, line, message, suggestion, warning} */

enum script_abort {
    ABORT_NONE,
    ABORT_TIME,
    ABORT_MEMORY,
    ABORT_ROWS,
    ABORT_QUERIES,
    ABORT_BUSY /* the read's budget is spent: the call runs again in the slow lane */
};

#define SCRIPT_DEPTH_MAX 8 /* scripts in scripts, through hooks of records */

/* Where something was raised. In the state, because it is filled where nothing may be allocated. */
struct script_spot {
    char file[200];
    int line; /* 0: not known */
};

struct script_state {
    lua_State *L;
    struct script_set *set; /* held; NULL while loading */
    const struct script_sources *sources;
    size_t memory, memory_max;
    struct context *context;               /* of the call that runs; NULL outside */
    uint64_t runs;                         /* entries into Lua so far */
    uint64_t call;                         /* number of the call: objects of an earlier one are dead */
    struct script_job *job;                /* that runs; NULL outside of jobs */
    uint64_t jobs;                         /* made so far */
    int jobs_alive;                        /* their coroutines live in L */
    int depth;                             /* calls nested through record hooks */
    struct place frames[SCRIPT_DEPTH_MAX]; /* the scripts that run, outermost first */
    int frame_count;
    enum script_kind kind;
    uint64_t deadline;             /* clock_mono */
    uint64_t allowed, busy;        /* ns: the limit; what the thread had run when it began */
    volatile sig_atomic_t aborted; /* enum script_abort; while set, no pcall swallows */
    lua_State *volatile running;   /* the coroutine that runs */
    int64_t rows, queries;         /* left */
    int log_lines;                 /* left */
    struct script_spot spot;       /* of the abort or of the error raised last */
    struct buf scratch;            /* for JSON: malloc'd, so it is the state's and no Lua error loses it */
    struct script_state *outer;    /* whose deadline this thread watches when this call has ended */
    bool timer_made;
    pid_t timer_thread; /* whom the timer tells */
    timer_t timer;
    bool loading;              /* declarations are taken */
    const struct source *file; /* being loaded */
    unsigned char *called;     /* by number of function: has it run (tester.h); NULL: nobody asks */
    lua_Integer functions;     /* registered so far */
    struct script_stats stats[SCRIPT_KIND_COUNT];
    void (*noted)(void *ctx, const struct script_ended *call); /* NULL: nobody observes */
    void *noted_ctx;
};

/* The state behind an L. */
struct script_state *state_of(lua_State *L);

/* A fresh state that has run every source once. Mistakes are in the registry and, when fatal to a file, there
 * too: the caller looks at REGISTRY_MISTAKES. NULL only when there is no memory or the sandbox itself is
 * broken. */
struct script_state *state_open(const struct script_sources *sources, const struct script_limits *limits,
                                struct error *e);
/* The same later: the Lua state is made by state_ready, before the first entry (a moment of ten milliseconds,
 * that a thread which never runs a script never has). */
struct script_state *state_reserve(struct script_set *set, struct error *e);
bool state_ready(struct script_state *s, struct error *e);
void state_close(struct script_state *s);

/* Makes the same state anew after its Lua state has been spoiled (file-level tables that ate all memory).
 * The old Lua state stays when that fails. Only between calls. */
void state_renew(struct script_state *s);

/* call.c: runs `body` with `data` as light userdata under the limits of `kind`: it pushes arguments, calls
 * functions of scripts and reads results, all of it protected. false: `e` is set (rejections, limits, script
 * errors with file and line). */
bool script_run(struct script_state *s, struct context *c, enum script_kind kind, lua_CFunction body,
                void *data, struct error *e);
/* Pushes registered function `fn`. */
void script_push_fn(lua_State *L, script_fn fn);

/* limits.c: arms and disarms the deadline. */
bool limits_start(struct script_state *s, int64_t time_ms);
void limits_stop(struct script_state *s);
/* Raises the abort when a limit was crossed (for C functions that loop). */
void script_check(lua_State *L);
/* Crosses a limit: from now on nothing that a script does goes on. Does not return. */
void script_abort(lua_State *L, enum script_abort why);
/* The innermost line of a user's file that runs (not of the words, not C) into s->spot. Allocates nothing. */
void script_spot_here(lua_State *L);

/* protect.c: pcall, xpcall and coroutines that let an abort through; into the table on top of the stack. */
void protect_library(lua_State *L);
/* After a protected call inside a binding: an abort or an exhausted memory goes on; does not return then. */
void protect_status(lua_State *L, int status);

/* library.c: functions of the standard libraries whose work in C no deadline would reach, bounded; into the
 * table on top of the stack as text, list, codes, load. */
void library_bounded(lua_State *L);
/* Compiles a text (never bytecode), looking at the deadline as it goes. Status as lua_load. */
int library_compile(lua_State *L, struct str text, const char *name);

/* pattern.c: find, match, gmatch, gsub with a bound on steps; pushes a table with them. */
void pattern_library(lua_State *L);

/* refusal.c: an error of ours on its way through Lua: a value with code, message, field and errors that a
 * script may catch and look at. Takes the error out of the context; does not return. */
int refusal_raise(lua_State *L, struct context *c);
/* The error that the value at `at` carries; NULL when it is none or of a call that has ended. */
const struct error *refusal_error(lua_State *L, int at);
void refusal_open(lua_State *L);

/* bind_record.c */
void bind_record_open(lua_State *L);
/* Pushes a record; writable ones may be assigned to. */
void bind_record_push(lua_State *L, struct record *r, bool writable);
/* The record at a stack index; raises a Lua error when it is none, or dead. */
struct record *bind_record_check(lua_State *L, int at);
/* The record at a stack index; NULL when it is something else. Raises an error when it is dead. */
struct record *bind_record_test(lua_State *L, int at);

/* bind_value.c */
void bind_push_value(lua_State *L, const struct field *f, struct value v);
/* Reads a Lua value for a field; raises a Lua error with the field's name when it does not fit. */
struct value bind_to_value(lua_State *L, int at, const struct field *f, struct record *r);
/* JSON ↔ Lua. Tables with 1…n keys are arrays; crm.json.null is null. bind_json writes into the state's
 * scratch buffer: the text is good until the next call; raises a Lua error when it is too large. */
void bind_push_json(lua_State *L, const struct json_value *v);
struct str bind_json(lua_State *L, int at);
/* Text of a script for people: cut at `max` bytes, made valid UTF-8. In `arena`. */
struct str bind_clean(struct arena *arena, struct str s, size_t max);

/* bind_crm.c: pushes the `crm` table. */
void bind_crm_open(lua_State *L);
int crm_create(lua_State *L); /* crm.create(entity, fields) */
/* bind_work.c: adds its functions to the table on top. */
void bind_work_open(lua_State *L);
/* bind_merge.c: the same. */
void bind_merge_open(lua_State *L);
/* bind_find.c: crm.get and crm.find; what the files of `crm` share. */
int bind_crm_get(lua_State *L);
int bind_crm_find(lua_State *L);
int bind_crm_record(lua_State *L);
struct context *bind_context(lua_State *L);
struct context *bind_query(lua_State *L);
const struct entity *bind_entity(lua_State *L, int at);
int64_t bind_id(lua_State *L, int at, const struct entity *e);
/* A record that the caller may read, or nil. */
int bind_push_readable(lua_State *L, struct context *c, const struct entity *e, int64_t id);
struct str bind_option(lua_State *L, int at, const char *name);
/* The table of options at `at` has no other names than these (separated by spaces). */
void bind_options(lua_State *L, int at, const char *word, const char *known);

#endif
