/* internal.h: what the files of core/record share with each other and with nobody else. */
#ifndef RECORD_INTERNAL_H
#define RECORD_INTERNAL_H

#include "record/record.h"

/* ---- row.c: a record ↔ its row and link tables ---- */

/* Empty values for an entity; NULL when memory is out. */
struct record *record_new(struct context *c, const struct entity *e);
struct record *record_copy(struct context *c, const struct record *r);
bool row_insert(struct context *c, const struct record *r);
/* Writes the fields with changed[i] and the system columns of `r`. */
bool row_update(struct context *c, const struct record *r, const bool *changed);
bool row_delete(struct context *c, const struct record *r);
/* "SELECT …" of every stored column of an entity in field order; the same text each time. */
bool row_select_sql(struct sql *q, const struct entity *e);

/* True when the field has a column or a link table of its own. */
bool field_stored(const struct field *f);
bool field_is_text(const struct field *f);
/* Null, empty text or empty set. */
bool value_empty(struct value v);

/* Appends one entry and makes the error VALIDATION_FAILED. */
const char *field_pointer(struct context *c, const struct field *f);
const char *field_label(struct context *c, const struct field *f);

/* ---- validate.c ---- */

/* Format of one value by its type (e-mail, phone, url, bounds, option). May replace *v by its normal form. */
bool validate_value(struct context *c, const struct field *f, const char *pointer, struct value *v);
/* The whole record before it is written: required, references exist and are readable, validate functions.
 * `before` NULL: new. */
bool validate_record(struct context *c, struct record *r, const struct record *before, const bool *changed);

/* ---- stage.c, chain.c ---- */

/* Sets the first stage of the pipeline when none is given. */
bool stage_default(struct context *c, struct record *r);
/* Every rule of entering r's stage (from `before`'s, or anew); collects all that is missing. Sets the
 * lifecycle step. */
bool stage_enter_check(struct context *c, struct record *r, const struct record *before);
/* A probability below the minimum of the present stage. */
bool stage_hold_check(struct context *c, struct record *r);
/* After the row is written: history, chain, on_leave and on_enter. */
bool stage_entered(struct context *c, struct record *r, const struct record *before);

/* The tasks of a chain for a record, once. */
bool chain_start(struct context *c, struct record *r, struct str chain);
/* The same for the chain that a stage names and the chains that name the stage. */
bool chain_start_stage(struct context *c, struct record *r, struct str stage, struct str chain);
/* A task of a chain was finished (done or cancelled): opens those that wait for it, runs on_done. */
bool chain_task_done(struct context *c, struct record *task);

/* ---- write.c ---- */

bool run_hooks(struct context *c, enum hook_point point, struct record *now, const struct record *before);
/* Writes what differs between `before` and `now` by the whole path. The new row must permit `right`, and the
 * fields that the caller named (`touched`; NULL: none) must be granted on it as they were on the old one.
 * ACTION_KIND_COUNT: the new row is not asked, since a declared action decides itself what becomes of the
 * record (a lead that is reassigned is no longer one's own). */
bool record_save(struct context *c, struct record *now, const struct record *before, enum action_kind right,
                 const bool *touched, struct record **out);

/* Removes the row for good, whatever the entity says about deleting; rights are not asked. */
bool record_erase(struct context *c, struct record *r);

/* ---- changes.c: what the log says ---- */

struct str changes_json(struct context *c, const struct record *now, const struct record *before,
                        const bool *changed);

#endif
