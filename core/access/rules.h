/* rules.h: what a principal may do, as SQL and as answers (design §5). Default deny; the union of
 * the rules of all roles.
 *
 * Row rules become conditions inside the statement that reads; field rules become a mask of
 * columns, or CASE WHEN where a field is granted by some rules only. `follow` rules become EXISTS
 * over the referenced record under its own rules (depth-bounded). */
#ifndef ACCESS_RULES_H
#define ACCESS_RULES_H

#include "access/principal.h"

/* Some rule exists at all (false: the entity does not exist for them, or 403 for a write). */
bool access_may(const struct principal *p, const struct entity *e, enum action_kind action);

/* Appends the row condition for an action: "1" when every row, "0" when none. */
bool access_row_sql(const struct principal *p, const struct entity *e, enum action_kind action,
                    const char *alias, struct sql *q);

enum access_field { ACCESS_NEVER, ACCESS_ALWAYS, ACCESS_SOMETIMES };

/* Whether a field may be read (or written, for create/update) on no, every, or only some of the
 * permitted rows. */
enum access_field access_field(const struct principal *p, const struct entity *e, const struct field *f,
                               enum action_kind action);

/* No field of the entity is hidden from them on every row. */
bool access_reads_all(const struct principal *p, const struct entity *e);

/* For ACCESS_SOMETIMES: the condition on the row under which the field is granted. */
bool access_field_sql(const struct principal *p, const struct entity *e, const struct field *f,
                      enum action_kind action, const char *alias, struct sql *q);

/* The scope for parsing and compiling what this caller wrote: hidden fields are unknown, hidden
 * rows are missing. Borrowed: `p` must outlive it. */
struct filter_scope access_scope(const struct principal *p);

/* Does the row with this id, as it is in the database now, permit the action? *allowed. For update,
 * `fields` (by index, may be NULL) are those that the caller wants to write: *denied gets the first
 * that is not granted on this row (then *allowed is false). */
bool access_check(struct db *d, const struct principal *p, const struct entity *e, int64_t id,
                  enum action_kind action, const bool *fields, const struct filter_env *env,
                  struct arena *arena, bool *allowed, const struct field **denied, struct error *error);

/* Why (not): each rule of the caller's roles for that action, with file and line, and whether it
 * matched the record; a role that covers everything is one entry. Never empty. */
struct access_reason {
    struct access_reason *next;
    const struct role *role; /* NULL: no role has a say */
    const struct rule *rule; /* NULL: the whole role, or none */
    struct place place;      /* file NULL: nowhere */
    const char *words;       /* the condition */
    bool matched;
};
/* The condition of a rule in words. NULL: no memory. */
const char *access_words(const struct rule *r, struct arena *arena);
struct access_reason *access_why(struct db *d, const struct principal *p, const struct entity *e, int64_t id,
                                 enum action_kind action, const struct filter_env *env, struct arena *arena,
                                 struct error *error);

#endif
