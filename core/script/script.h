/* script.h: Lua inside Perigee: loading scripts into a catalog, states that run their functions
 * under limits.
 *
 *   folders ── script_load ──► script_set (sources in memory + catalog, immutable, counted)
 *   each thread ── script_state_new(set) ──► its own Lua state, every file run once, functions 1 …
 * function_count
 */
#ifndef SCRIPT_SCRIPT_H
#define SCRIPT_SCRIPT_H

#include "record/query.h"
#include "record/record.h"

enum script_kind {
    SCRIPT_LOAD,
    SCRIPT_HOOK,
    SCRIPT_ACTION,
    SCRIPT_ROUTE,
    SCRIPT_JOB,
    SCRIPT_COMPUTED,
    SCRIPT_KIND_COUNT
};

struct script_limits { /* for each kind of call */
    int64_t time_ms;
    size_t memory;   /* bytes of the whole state above which allocation fails */
    int64_t rows;    /* records handed to the script */
    int64_t queries; /* crm.find/get/create/… calls */
};

struct script_config {
    const char *scripts;       /* folder of the words */
    const char *workflows;     /* folder; every *.lua below it, sorted by path (tests/ excluded) */
    const char *plugins;       /* folder */
    const char **enabled;      /* plugin names; NULL-terminated */
    const char *plugin_config; /* JSON: {"plugin": {"key": value}}; NULL: nothing is set */
    struct script_limits limits[SCRIPT_KIND_COUNT];
};

void script_config_defaults(struct script_config *c);

struct script_sources;

struct script_set {
    atomic_size_t references;
    const struct catalog *catalog;
    struct script_config config;
    struct script_sources *sources; /* sources.h */
};

/* Runs everything once, collects all mistakes: NULL with ERROR_SCRIPT_ERROR and one entry (file,
 * line, message, suggestion) each. Warnings are entries with code "warning" on success. */
struct script_set *script_load(const struct script_config *config, struct error *e);
/* For the start of a server: plugins that are broken are left out, each with its mistakes in the log, so that
 * the rest works. NULL when the mistakes are not those of plugins. `arena` must outlive the set. */
struct script_set *script_load_without_broken(const struct script_config *config, struct arena *arena,
                                              struct error *e);
struct script_set *script_set_ref(struct script_set *s);
void script_set_unref(struct script_set *s);

/* The version that a load would have now (script_set.catalog->version), without loading; 0 when the files
 * cannot be read. */
uint64_t script_sources_hash(const struct script_config *config, struct error *e);

struct script_state;
/* The scripts run in it before its first call, not now. */
struct script_state *script_state_new(struct script_set *set, struct error *e);
void script_state_free(struct script_state *s);

/* The hooks of record.h, to be put into context.hooks together with context.script. */
extern const struct record_hooks script_hooks;

/* A declared route: request as JSON values → status and JSON body. */
bool script_route(struct context *c, const struct route *r, const char *method, struct str path,
                  struct str query, const struct json_value *body, int *status, struct buf *out);

struct script_stats { /* for /metrics: by kind */
    uint64_t calls, aborts, nanoseconds;
};
void script_stats(const struct script_state *s, struct script_stats out[SCRIPT_KIND_COUNT]);

/* One call that has ended. `place` is where the function was declared; its file may be "" or NULL. */
struct script_ended {
    enum script_kind kind;
    struct place place;
    uint64_t nanoseconds;
    bool aborted; /* a limit was crossed */
};

/* Tells `noted` of every call that ends in this state, on the state's thread; it must not enter the state. */
void script_observe(struct script_state *s, void (*noted)(void *ctx, const struct script_ended *call),
                    void *ctx);

#endif
