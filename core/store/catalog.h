/* catalog.h: the one description of everything (design §2), as the C side sees it.
 *
 * Built by core/script from what the scripts declare, then immutable and reference-counted; all
 * threads share it by pointer. All memory is in its arena. Names are interned NUL-terminated
 * strings. Functions that scripts gave (hooks, gates, actions, …) are numbers: every Lua state runs
 * the same scripts in the same order, so the n-th function registered is the same function in each
 * of them. 0 means "none".
 *
 *   catalog ─┬─ entities ── fields (system fields first)
 *            ├─ pipelines ── stages      ├─ roles ── rules (allow)
 *            ├─ chains ── steps          └─ hooks, actions, routes, timers, jobs, portals
 */
#ifndef STORE_CATALOG_H
#define STORE_CATALOG_H

#include "base/arena.h"
#include "base/error.h"
#include "store/value.h"

#include <stdatomic.h>
#include <stdint.h>

struct filter; /* filter.h */

struct place {
    const char *file; /* "workflows/sales.lua" */
    int line;
};

struct label {
    const char *text[LANG_COUNT]; /* never NULL: the other language or the name stands in */
};

typedef int script_fn; /* index of a registered Lua function; 0: none */

/* How each type is stored (SQLite) → struct value. */
enum field_type {
    FIELD_TEXT,     /* TEXT → VALUE_TEXT */
    FIELD_LONGTEXT, /* TEXT */
    FIELD_INTEGER,  /* INTEGER → VALUE_NUMBER scale 0 */
    FIELD_DECIMAL,  /* INTEGER scaled by field.scale → VALUE_NUMBER */
    FIELD_MONEY,    /* INTEGER scaled by 2 */
    FIELD_PERCENT,  /* INTEGER scaled by 2 */
    FIELD_BOOLEAN,  /* INTEGER 0/1 → VALUE_BOOL */
    FIELD_DATE,     /* INTEGER days → VALUE_DATE */
    FIELD_DATETIME, /* INTEGER ms → VALUE_DATETIME */
    FIELD_EMAIL,    /* TEXT, checked, lower-cased domain */
    FIELD_PHONE,    /* TEXT, normalised to +digits */
    FIELD_URL,      /* TEXT, http(s) only */
    FIELD_OPTION,   /* TEXT, one of options */
    FIELD_OPTIONS,  /* TEXT: JSON array of option values in declared order → VALUE_SET */
    FIELD_REF,      /* INTEGER id → VALUE_ID; TEXT code → VALUE_TEXT when the target is a setting */
    FIELD_REFS,     /* link table (owner, target, by id or code) → VALUE_SET */
    FIELD_STAGE,    /* TEXT: code of a record of entity "stage" of the field's pipeline → VALUE_TEXT */
    FIELD_FILE,     /* INTEGER id of a row of the files table → VALUE_ID */
    FIELD_JSON,     /* TEXT: minified JSON → VALUE_TEXT */
    FIELD_FORMULA,  /* no column: an SQL expression; type of its result in formula_type */
    FIELD_COMPUTED, /* no column: a Lua function, shown only */
    FIELD_TYPE_COUNT
};

const char *field_type_name(enum field_type type); /* "text", … */

/* Every entity's first fields, in this order, made by the loader; same meaning for all. */
enum system_field {
    SYSTEM_ID,         /* VALUE_ID */
    SYSTEM_NUMBER,     /* text; only when entity.number_prefix, else the field is hidden */
    SYSTEM_CREATED_AT, /* datetime */
    SYSTEM_CREATED_BY, /* ref user */
    SYSTEM_UPDATED_AT,
    SYSTEM_UPDATED_BY,
    SYSTEM_VERSION, /* integer */
    SYSTEM_ACTIVE,  /* boolean */
    SYSTEM_FIELD_COUNT
};

struct option {
    const char *value;
    struct label label;
};

struct field {
    const char *name;         /* API name and column name */
    const char *column;       /* quoted SQL identifier of the column: "\"amount\""; NULL without a column */
    struct label label, help; /* help texts may be "" */
    struct place place;
    const char *plugin;   /* who added it; NULL: the entity's own script */
    enum field_type type; /* */
    int index;            /* position in entity.fields */
    int scale;            /* decimals: 2 for money and percent, field's own for decimal, else 0 */
    bool system;          /* one of enum system_field: never written by a client, except active */
    bool hidden;          /* not part of the entity's face (number without a prefix) */
    bool required, unique, readonly, search;
    bool localized; /* text: stored plain or as {"en":…,"ru":…}; shown in the reader's language */
    bool any;       /* ref to a record of any entity (task.record); column <name>_entity beside it */
    bool fixed;     /* may be given at creation only (code of a setting) */
    bool has_min, has_max;
    int64_t min, max;                /* text: length in characters; numbers: scaled; */
    const struct entity *to;         /* ref, refs, stage, file(NULL) */
    const struct pipeline *pipeline; /* stage */
    const char *currency;            /* money: name of the field beside it; NULL */
    const struct option *options;
    size_t option_count;
    const char *default_expr;  /* literal or macro as in the filter language ("@me", "'open'", "0"); NULL */
    const struct filter *when; /* shown and required only under it; NULL always */
    const char *when_text;
    script_fn validate;           /* f(value, record): nil or message */
    const struct filter *formula; /* compiled expression (filter_parse_formula) */
    const char *formula_text;
    enum field_type formula_type; /* formula, computed: type of the result */
    script_fn computed;           /* f(record): value */
    const char *link_table;       /* refs: quoted name of the link table: columns owner, target */
};

struct field_set { /* unique = {{…}}, index = {{…}} */
    const struct field **fields;
    size_t count;
};

enum delete_mode { DELETE_DEACTIVATE, DELETE_ALLOW, DELETE_FORBID };

struct entity {
    const char *name;       /* "opportunity" */
    const char *collection; /* "opportunities" */
    const char *table;      /* quoted: "\"opportunity\"" */
    struct label label, plural;
    struct place place;
    const char *plugin;
    int index;
    bool setting;              /* has a unique field `code`; references to it are codes */
    bool server;               /* the server's own records: read-only through the API (stage_change) */
    const char *number_prefix; /* "OPP"; NULL */
    const struct field *title; /* what stands for the record in `name` of an expanded reference */
    const struct field *code;  /* settings */
    const struct field *stage; /* the field of type stage, if any */
    const struct pipeline *pipeline;
    enum delete_mode delete_mode;
    const struct field **fields;
    size_t field_count;
    const struct field_set *unique, *indexes;
    size_t unique_count, index_count;
    const char *views_json;           /* declared views, serialized at load: "{}" */
    bool searchable;                  /* some field has search = true */
    const struct field *search_first; /* */
};

/* What a script states about a stage wins over the record and locks it (design §6). */
struct stage_decl {
    const char *code;
    struct place place;
    const char *attributes_json; /* stated attributes as record fields: {"probability":20,…} */
    const char **attribute_names;
    size_t attribute_count;
    script_fn gate, on_enter, on_leave;
    const char *chain; /* code; NULL */
};

struct pipeline {
    const char *name;
    struct place place;
    const struct entity *entity;
    const char *move_text;          /* who may move; "" anybody who may update */
    const struct filter *move;      /* may use @role.x */
    const struct filter *back_move; /* who may move back; NULL: as `back` says */
    bool skip, back;
    const struct filter *skip_by; /* who may skip although skip = false; NULL nobody */
    const struct stage_decl *stages;
    size_t stage_count;
};

struct chain_step_decl {
    const char *code;
    struct place place;
    const char *attributes_json; /* as stage_decl */
    const char **attribute_names;
    size_t attribute_count;
    script_fn on_done, assignee;
};

struct chain_decl {
    const char *code;
    struct place place;
    const char *attributes_json;
    const char **attribute_names;
    size_t attribute_count;
    const struct chain_step_decl *steps;
    size_t step_count;
};

/* ACTION_IMPORT comes on top of create or update: which rows may be written by an import. */
enum action_kind {
    ACTION_CREATE,
    ACTION_READ,
    ACTION_UPDATE,
    ACTION_DELETE,
    ACTION_IMPORT,
    ACTION_KIND_COUNT
};

const char *action_kind_name(enum action_kind kind); /* "create" … */

struct rule { /* one allow { … } */
    const struct role *role;
    enum action_kind action;
    const struct entity *entity;
    const char *where_text;          /* NULL: every row */
    const struct filter *where;      /* NULL: every row */
    const struct field *follow;      /* a ref field: the rule holds where the referenced record allows
                                        (read for read, update for the rest); NULL */
    const struct entity **follow_to; /* for a reference to anything: only to these; NULL: to all */
    size_t follow_to_count;
    const struct entity *of_entity; /* the rule holds for what a readable record of `of_entity` … */
    const struct field *of;         /* … refers to by this field; NULL */
    const bool *fields;             /* by field index; NULL: all fields */
    struct place place;
};

struct role {
    const char *code;
    struct label label;
    struct place place;
    int index;
    const struct rule *rules;
    size_t rule_count;
    bool all_read, all_write; /* crm_read_admin, crm_admin: every entity, plugins included */
    bool partner;             /* for staff of partners, who can hold no other */
};

enum hook_point {
    HOOK_BEFORE_CREATE,
    HOOK_AFTER_CREATE,
    HOOK_BEFORE_CHANGE,
    HOOK_AFTER_CHANGE,
    HOOK_BEFORE_DELETE,
    HOOK_AFTER_DELETE,
    HOOK_POINT_COUNT
};

struct hook {
    const struct entity *entity;
    enum hook_point point;
    bool rule; /* holds for every writer, also where automation is off; not asked of master data */
    script_fn fn;
    struct place place;
};

struct action_decl {
    const struct entity *entity;
    const char *name;
    struct label label;
    const char *when_text;
    const struct filter *when; /* in which state of the record; NULL always */
    const char *by_text;
    const struct filter
        *by; /* by whom, as a condition on the record and the caller; NULL whoever has the right */
    const struct field *fields; /* arguments; only name, label, type, required, options, to are used */
    size_t field_count;
    enum action_kind right; /* what the caller must be allowed on the record; default update */
    const char **roles;     /* only these roles; empty: anybody with the right */
    size_t role_count;
    script_fn fn;
    struct place place;
};

struct route {
    const char *method, *path;
    const char **roles; /* who may call; at least one, or "*" for everybody signed in */
    size_t role_count;
    script_fn fn;
    struct place place;
};

struct timer { /* every(spec, name, fn) */
    const char *spec, *name;
    const char *cron;  /* "30 6 * * 1-5" (base/cron.h); NULL: period_ms and at_minutes say when */
    int64_t period_ms; /* of "1d", "15m", … */
    int at_minutes;    /* local time of day for "… at 06:00"; -1 */
    script_fn fn;
    struct place place;
};

struct job {
    const char *name;
    int64_t retry_min_ms, retry_max_ms;
    int attempts;
    int64_t age_ms; /* since it was enqueued; past it no further attempt */
    script_fn fn;
    struct place place;
};

struct portal {
    const char *code, *path, *direction;
    struct label label;
    const char *audience_text;
    const char *settings_json; /* the rest, serialized */
    struct place place;
};

struct catalog {
    atomic_size_t references;
    struct arena arena;
    uint64_t version; /* hash of all sources read; changes when any script does */
    const struct entity **entities;
    size_t entity_count;
    const struct pipeline *pipelines;
    size_t pipeline_count;
    const struct chain_decl *chains;
    size_t chain_count;
    const struct role *roles;
    size_t role_count;
    const struct hook *hooks; /* in the order in which they run */
    size_t hook_count;
    const struct action_decl *actions;
    size_t action_count;
    const struct route *routes;
    size_t route_count;
    const struct timer *timers;
    size_t timer_count;
    const struct job *jobs;
    size_t job_count;
    const struct portal *portals;
    size_t portal_count;
    script_fn function_count; /* functions are 1 … function_count */
    const struct entity *user, *group, *role_entity, *direction, *stage, *chain, *chain_step, *task,
        *stage_change, *comment, *document; /* the ones C knows by name; NULL when not declared */
};

const struct catalog *catalog_ref(const struct catalog *c);
void catalog_unref(const struct catalog *c); /* the last one frees arena and struct; NULL is allowed */

/* NULL when there is none. */
const struct entity *catalog_entity(const struct catalog *c, struct str name);
/* What rules can speak of although it is no entity: what the server keeps by itself, reached through
 * endpoints of its own: token, webhook, job, import, audit. A declared entity of that name comes first. */
const struct entity *catalog_resource(const struct catalog *c, struct str name);
const struct entity *catalog_resource_nth(size_t n); /* NULL past the end */
const struct entity *catalog_collection(const struct catalog *c, struct str collection);
const struct pipeline *catalog_pipeline(const struct catalog *c, struct str name);
const struct stage_decl *pipeline_stage(const struct pipeline *p, struct str code);
const struct chain_decl *catalog_chain(const struct catalog *c, struct str code);
const struct chain_step_decl *chain_step_find(const struct chain_decl *c, struct str code);
const struct role *catalog_role(const struct catalog *c, struct str code);
const struct field *entity_field(const struct entity *e, struct str name); /* hidden ones too */
const struct action_decl *catalog_action(const struct catalog *c, const struct entity *e, struct str name);

/* The value type of a field in memory. */
enum value_type field_value_type(const struct field *f);

/* The title of a plain entity has a second column, "name~order", in which its place in the order of texts is
 * written down (order_key of db.h): an index on it needs no collation of ours, so that any SQLite can check
 * and use the file. */
bool field_has_order(const struct entity *e, const struct field *f);

#endif
