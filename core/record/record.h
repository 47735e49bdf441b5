/* record.h: records: the one path by which everything reads and writes them: HTTP, CLI, imports and
 * scripts alike. Rights, types, defaults, hooks, gates, chains, versions, search index and log are
 * all here, so that no writer can go round them.
 *
 *   record_create/change/delete/move:  rights on the old row → types → defaults → before-hooks →
 * validation and gates → row, links, search, log → rights on the new row → chain, on_enter,
 * after-hooks
 */
#ifndef RECORD_RECORD_H
#define RECORD_RECORD_H

#include "access/rules.h"
#include "base/json_parse.h"

struct record {
    const struct entity *entity;
    int64_t id;
    struct value *values;    /* by field index; in an arena. refs are VALUE_SET; formula and computed
                                stay NULL until asked */
    const char **any_entity; /* by field index: entity name of an `any` reference; NULL array when
                                the entity has none */
};

struct script_state; /* of core/script; opaque here */
struct context;

/* What scripts add, given by core/script; a NULL member means no script has a say. All run inside
 * the caller's transaction; false with `c->error` set refuses the write. */
struct record_hooks {
    bool (*hook)(struct context *c, const struct hook *hook, struct record *now, const struct record *before);
    bool (*validate)(struct context *c, const struct field *f, const struct record *r, const char **message);
    bool (*computed)(struct context *c, const struct field *f, const struct record *r, struct buf *json);
    bool (*gate)(struct context *c, const struct stage_decl *s, script_fn fn, struct record *r,
                 struct str from);
    bool (*assignee)(struct context *c, script_fn fn, const struct record *r, int64_t *user);
    bool (*done)(struct context *c, script_fn fn, struct record *task, struct record *record);
    bool (*action)(struct context *c, const struct action_decl *a, struct record *r,
                   const struct json_value *args);
};

/* Everything an operation needs to know; lives for one request (or one script call) on one thread.
 */
struct context {
    const struct catalog *catalog;
    struct db *db;
    const struct principal *who;
    struct arena *arena;
    struct error *error;
    const struct record_hooks *hooks;
    struct script_state *script;  /* this thread's; NULL where none runs */
    struct filter_env env;        /* who->env with `now` set */
    struct str request;           /* id, for the log */
    struct str why;               /* reason given by the caller, or "" */
    struct str origin;            /* "file:line" of the script that writes; "" for a client */
    int depth;                    /* of hooks in hooks */
    bool trusted;                 /* rights are not asked: the server's own consequences, crm.system */
    struct plan_cache *plans;     /* this thread's compiled reads (query.h); NULL: compile each time */
    bool patient;                 /* a read's second try, with time: it may try several ways */
    struct result_cache *results; /* counts of all readers (results.h); NULL: count each time */
    bool automation;              /* hooks and chains run (false: import with automation off) */
    bool lenient;                 /* master data: stage gates and `fixed` are not asked */
    bool vouched;                 /* fields that only the server writes are taken from `values`: uploads, and
                                     imports that keep ids */
    struct created *created; /* what the operation made besides, newest first (answered under `created`) */
};

struct created {
    struct created *next;
    const struct entity *entity;
    int64_t id;
};

void context_init(struct context *c, const struct catalog *catalog, struct db *db,
                  const struct principal *who, struct arena *arena, struct error *error);

/* Reads the whole row without asking for rights. NULL: ERROR_NOT_FOUND or worse. */
struct record *record_load(struct context *c, const struct entity *e, int64_t id);
/* The name of the entity whose record has that id (ids are unique over all); NULL when there is none. Rights
 * are not asked. */
bool record_find_any(struct context *c, int64_t id, const char **entity);
struct value record_get(const struct record *r, const struct field *f);
/* For filter_eval: follows paths by loading what is referenced (cached in the arena). */
struct filter_record record_filter(struct context *c, struct record *r);

/* JSON of a client ↔ values. record_read_json checks types and names, reports every wrong field;
 * touched[i] is set for the fields present. */
bool record_read_json(struct context *c, const struct entity *e, const struct json_value *body,
                      struct value *values, const char **any_entity, bool *touched);
/* Whether the caller may do this to the record (create: to any) at all: ERROR_NOT_FOUND before
 * ERROR_FORBIDDEN. The changes below ask it themselves. */
bool record_permits(struct context *c, const struct entity *e, int64_t id, enum action_kind action);
bool record_value_json(struct context *c, const struct field *f, const struct json_value *json,
                       const char *pointer, struct value *out, const char **any_entity);
void record_write_value(struct buf *b, const struct field *f, struct value v, enum lang lang);

/* The four changes. `values`/`touched` by field index. expected_version 0: any. On success *out is
 * the new record (record_create: `out` NULL when nobody wants to read it; c->created names it). */
bool record_create(struct context *c, const struct entity *e, struct value *values, const char **any_entity,
                   const bool *touched, struct record **out);
bool record_change(struct context *c, const struct entity *e, int64_t id, struct value *values,
                   const char **any_entity, const bool *touched, int64_t expected_version,
                   struct record **out);
bool record_delete(struct context *c, const struct entity *e, int64_t id, int64_t expected_version);
/* Whether the pipeline lets the caller move this record at all; the gates of a stage are asked by the move.
 */
bool record_may_move(struct context *c, struct record *r, bool *yes);
bool record_move(struct context *c, const struct entity *e, int64_t id, struct str stage,
                 int64_t expected_version, struct record **out);
bool record_comment(struct context *c, const struct entity *e, int64_t id, struct str text, int64_t *comment);
bool record_action(struct context *c, const struct entity *e, int64_t id, const struct action_decl *a,
                   const struct json_value *args, int64_t expected_version, struct record **out);

#endif
