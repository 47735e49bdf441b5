/* load_util.h: reading declarations (Lua tables) into the catalog's arena. Private to load*.c. A loader never
 * stops at a mistake: it adds an entry and goes on. Memory that is out sets `failed` and everything after it
 * does little. */
#ifndef SCRIPT_LOAD_UTIL_H
#define SCRIPT_LOAD_UTIL_H

#include "script/load.h"

#include "base/suggest.h"
#include "store/filter.h"

#include <lauxlib.h>

struct loader {
    lua_State *L;
    struct catalog *catalog;
    struct arena *arena; /* the catalog's */
    struct error *error;
    size_t mistakes;
    bool failed;
};

/* Zeroed; never NULL to the caller when `failed` is looked at: NULL means failed. */
void *load_alloc(struct loader *l, size_t count, size_t size);

/* Adds a mistake at a place. */
void load_fail(struct loader *l, struct place p, struct str suggestion, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Members of the table at stack index `t`. Missing ones give NULL, 0, false. */
const char *load_text(struct loader *l, int t, const char *name);
int64_t load_int(struct loader *l, int t, const char *name, int64_t absent);
bool load_bool(struct loader *l, int t, const char *name);
struct label load_label(struct loader *l, int t, const char *name);
struct place load_place(struct loader *l, int t);
/* A list of texts; NULL and 0 when it is not there. */
const char **load_texts(struct loader *l, int t, const char *name, size_t *count);
/* Pushes member `name` and gives its length as a list; the caller pops it. 0 when it is no table. */
size_t load_list(struct loader *l, int t, const char *name);

/* Calls `each` for the declarations of a kind, the declaration on top of the stack. */
void load_each(struct loader *l, const char *kind, void (*each)(struct loader *l, int t));
size_t load_count(struct loader *l, const char *kind);

/* Names that are nearly right. */
struct str load_near_entity(struct loader *l, const char *name);
struct str load_near_pipeline(struct loader *l, const char *name);
struct str load_near_role(struct loader *l, const char *name);
struct str load_near_field(struct loader *l, const struct entity *e, const char *name);
/* The entity of that name, or a mistake. */
const struct entity *load_entity_named(struct loader *l, struct place p, const char *word, const char *name);
const struct field *load_field_named(struct loader *l, struct place p, const char *word,
                                     const struct entity *e, const char *name);
/* A filter's text, compiled; NULL for NULL or after a mistake. */
const struct filter *load_filter(struct loader *l, struct place p, const char *what, const struct entity *e,
                                 const char *text);

/* load_entity.c */
void load_entities(struct loader *l);       /* names, so that references find them */
void load_fields(struct loader *l);         /* fields of all */
void load_entity_details(struct loader *l); /* what refers to fields: sets, formulas, filters */
void load_fill_field(struct loader *l, int t, struct field *f, const struct entity *e);
/* load_pipeline.c */
void load_pipelines(struct loader *l); /* before fields of type stage are linked */
void load_pipeline_details(struct loader *l);
void load_chains(struct loader *l);
/* load_role.c */
void load_roles(struct loader *l);
/* load_behaviour.c */
void load_behaviour(struct loader *l);

#endif
