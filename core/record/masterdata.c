/* masterdata.c: see masterdata.h. Records go through record_create and record_change like everybody's, so
 * what a client may not write wrong, a file may not either. */
#include "record/masterdata.h"

#include "base/id.h"
#include "base/suggest.h"

#include <stdio.h>

#define KEYS_MAX 8

/* A reference to a record that stands further down the file: set when everything has been made. */
struct later {
    struct later *next;
    const struct entity *entity;
    int64_t id;
    struct value *values;
    bool *touched;
    size_t index;
};

/* Records of this collection that the file has named already: ids and the places of their lines. Open
 * addressing; the length is a power of two, and a slot with id 0 is free. */
struct seen {
    struct seen_slot {
        int64_t id;
        size_t index;
    } * slots;
    size_t length, count;
};

struct importer {
    struct context *c;
    const struct entity *entity;
    const struct field *keys[KEYS_MAX]; /* by which a record is known again */
    size_t key_count;
    size_t index, mistakes;
    struct masterdata_count count;
    struct later *later;
    struct seen seen;
};

/* What an operation on one record needs. */
struct draft {
    struct value *values;
    const char **any;
    bool *touched;
};

static void mistake(struct importer *i, const char *en, const char *ru, const char *what)
{
    const char *pointer = arena_printf(i->c->arena, "collections.%s[%zu]", i->entity->collection, i->index);
    error_add(i->c->error, pointer, "bad_record", "%s %s", "%s %s", i->c->error->lang == LANG_RU ? ru : en,
              what);
    i->mistakes++;
}

/* What record_* found, under the place in the file. */
static void relate(struct importer *i, const struct error *found)
{
    for (const struct error_entry *e = found->first; e; e = e->next) {
        const char *field = e->pointer && e->pointer[0] == '/' ? e->pointer + 1
                            : e->pointer                       ? e->pointer
                                                               : "";
        const char *pointer = arena_printf(i->c->arena, "collections.%s[%zu]%s%s", i->entity->collection,
                                           i->index, *field ? "." : "", field);
        error_add(i->c->error, pointer, e->code, "%s", "%s", e->message)->suggestion = e->suggestion;
    }
    if (!found->first) mistake(i, "", "", found->detail ? found->detail : "");
    i->mistakes++;
}

static struct seen_slot *slot_of(const struct seen *s, int64_t id)
{
    uint64_t hash = (uint64_t)id * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(hash >> 32) & (s->length - 1);
    while (s->slots[at].id && s->slots[at].id != id)
        at = (at + 1) & (s->length - 1);
    return &s->slots[at];
}

static bool grow(struct importer *i)
{
    struct seen more = {.length = i->seen.length ? i->seen.length * 2 : 64, .count = i->seen.count};
    more.slots = arena_array(i->c->arena, more.length, sizeof *more.slots);
    if (!more.slots) return error_no_memory(i->c->error);
    for (size_t k = 0; k < i->seen.length; k++)
        if (i->seen.slots[k].id) *slot_of(&more, i->seen.slots[k].id) = i->seen.slots[k];
    i->seen = more;
    return true;
}

/* A record that stands twice in a file would be changed to and fro by each import. */
static bool remember(struct importer *i, int64_t id)
{
    if (i->seen.count * 2 >= i->seen.length && !grow(i)) return false;
    struct seen_slot *slot = slot_of(&i->seen, id);
    if (slot->id) {
        char first[24];
        snprintf(first, sizeof first, "[%zu]", slot->index);
        mistake(i, "is the same record as", "та же запись, что и", first);
        return true;
    }
    *slot = (struct seen_slot){id, i->index};
    i->seen.count++;
    return true;
}

static bool lookup(struct importer *i, const struct draft *d, int64_t *id)
{
    struct sql q;
    sql_init(&q, i->c->arena);
    sql_printf(&q, "SELECT id FROM %s WHERE 1", i->entity->table);
    for (size_t k = 0; k < i->key_count; k++) {
        sql_printf(&q, " AND %s = ", i->keys[k]->column);
        sql_bind_value(&q, d->values[i->keys[k]->index]);
    }
    struct stmt *s = q.failed || q.text.failed ? NULL : db_prepare(i->c->db, buf_view(&q.text), i->c->error);
    sql_free(&q);
    if (!s) return i->c->error->kind == ERROR_NONE ? error_no_memory(i->c->error) : false;
    bool bound = sql_bind_all(s, 1, q.binds, q.bind_count, &i->c->env, i->c->arena);
    enum step step = bound ? stmt_step(s, i->c->error) : STEP_ERROR;
    *id = step == STEP_ROW ? stmt_int(s, 0) : 0;
    db_release(s);
    return bound ? step != STEP_ERROR : error_no_memory(i->c->error);
}

static bool exists(struct context *c, const struct entity *e, int64_t id, bool *yes)
{
    char *sql = arena_printf(c->arena, "SELECT 1 FROM %s WHERE id = ?", e->table);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_int(s, 1, id);
    enum step step = stmt_step(s, c->error);
    *yes = step == STEP_ROW;
    db_release(s);
    return step != STEP_ERROR;
}

/* Whether everything that the field refers to is there already. */
static bool all_there(struct context *c, const struct field *f, struct value v, bool *yes)
{
    *yes = true;
    if (v.type == VALUE_ID) return exists(c, f->to, v.i, yes);
    struct json_value *set = v.type == VALUE_SET && v.s.n ? json_parse(c->arena, v.s, c->error) : NULL;
    for (struct json_value *m = set ? set->first : NULL; m && *yes; m = m->next) {
        int64_t id;
        if (id_parse(m->text, &id) && !exists(c, f->to, id, yes)) return false;
    }
    return true;
}

/* Takes the references that lead further down the file out of the draft. */
static bool postpone(struct importer *i, struct draft *d, struct later **out)
{
    const struct entity *e = i->entity;
    *out = NULL;
    for (size_t k = SYSTEM_FIELD_COUNT; k < e->field_count; k++) {
        const struct field *f = e->fields[k];
        bool refers =
            (f->type == FIELD_REF || f->type == FIELD_REFS) && f->to && !f->to->setting && !f->required;
        bool there;
        if (!d->touched[k] || !refers) continue;
        if (!all_there(i->c, f, d->values[k], &there)) return false;
        if (there) continue;
        struct later *l = *out;
        if (!l) {
            l = arena_alloc(i->c->arena, sizeof *l);
            if (!l) return error_no_memory(i->c->error);
            *l = (struct later){.entity = e,
                                .values = arena_array(i->c->arena, e->field_count, sizeof *l->values),
                                .touched = arena_array(i->c->arena, e->field_count, sizeof *l->touched),
                                .index = i->index};
            if (!l->values || !l->touched) return error_no_memory(i->c->error);
            *out = l;
        }
        l->values[k] = d->values[k];
        l->touched[k] = true;
        d->touched[k] = false;
        d->values[k] = value_null();
    }
    return true;
}

static bool write(struct importer *i, struct draft *d, int64_t id, struct context *c)
{
    struct record *before = id ? record_load(c, i->entity, id) : NULL, *now;
    struct later *later;
    if ((id && !before) || !postpone(i, d, &later)) return false;
    if (!id) {
        i->count.created++;
        if (!record_create(c, i->entity, d->values, d->any, d->touched, &now)) return false;
        if (!remember(i, now->id)) return false;
    } else {
        d->touched[SYSTEM_ID] = d->touched[SYSTEM_NUMBER] = false; /* keys, not changes */
        if (!record_change(c, i->entity, id, d->values, d->any, d->touched, 0, &now)) return false;
        bool changed = now->values[SYSTEM_VERSION].i != before->values[SYSTEM_VERSION].i;
        i->count.updated += changed;
        i->count.unchanged += !changed;
    }
    if (!later) return true;
    later->id = now->id;
    later->next = i->later;
    i->later = later;
    return true;
}

static bool read_draft(struct importer *i, const struct json_value *json, struct context *c, struct draft *d)
{
    size_t n = i->entity->field_count;
    *d = (struct draft){arena_array(c->arena, n, sizeof *d->values), arena_array(c->arena, n, sizeof *d->any),
                        arena_array(c->arena, n, sizeof *d->touched)};
    if (!d->values || !d->any || !d->touched) return error_no_memory(c->error);
    return record_read_json(c, i->entity, json, d->values, d->any, d->touched);
}

/* The id of the record that the draft speaks of, 0 for a new one; false when its key is missing (told). */
static bool identify(struct importer *i, const struct draft *d, int64_t *id)
{
    *id = 0;
    if (d->touched[SYSTEM_ID] && d->values[SYSTEM_ID].type == VALUE_ID) {
        bool there;
        if (!exists(i->c, i->entity, d->values[SYSTEM_ID].i, &there)) return false;
        *id = there ? d->values[SYSTEM_ID].i : 0;
        return true;
    }
    for (size_t k = 0; k < i->key_count; k++) {
        if (d->values[i->keys[k]->index].type != VALUE_NULL) continue;
        mistake(i, "has no", "не имеет поля", i->keys[k]->name);
        return true;
    }
    return lookup(i, d, id);
}

static bool one(struct importer *i, const struct json_value *json)
{
    struct context mine = *i->c;
    struct error found;
    struct draft d;
    int64_t id;
    size_t mistakes = i->mistakes;
    if (json->type != JSON_OBJECT) return mistake(i, "is not an object", "не объект", ""), true;
    error_init(&found, i->c->arena, i->c->error->lang);
    mine.error = &found;
    mine.lenient = true;
    if (read_draft(i, json, &mine, &d)) {
        if (!identify(i, &d, &id) || (id && !remember(i, id))) return false;
        if (i->mistakes > mistakes || write(i, &d, id, &mine)) return i->c->error->kind == ERROR_NONE;
    }
    if (found.kind == ERROR_NONE) return false;
    if (found.kind == ERROR_INTERNAL || found.kind == ERROR_UNAVAILABLE)
        return error_set(i->c->error, found.kind, "%s", "%s", found.detail);
    relate(i, &found);
    return true;
}

/* A code, a login, the fields that are unique together or alone, the name. */
static void choose_keys(struct importer *i)
{
    const struct entity *e = i->entity;
    const struct field *login = entity_field(e, STR("login")), *name = entity_field(e, STR("name"));
    i->key_count = 0;
    if (e->code || login) {
        i->keys[i->key_count++] = e->code ? e->code : login;
        return;
    }
    for (size_t k = 0; e->unique_count && k < e->unique[0].count && k < KEYS_MAX; k++)
        i->keys[i->key_count++] = e->unique[0].fields[k];
    for (size_t k = SYSTEM_FIELD_COUNT; !i->key_count && k < e->field_count; k++)
        if (e->fields[k]->unique && e->fields[k]->required && e->fields[k]->column)
            i->keys[i->key_count++] = e->fields[k];
    if (!i->key_count && name && name->column) i->keys[i->key_count++] = name;
}

/* References that led further down the file. */
static bool set_later(struct context *c, struct later *all, size_t *mistakes)
{
    for (struct later *l = all; l; l = l->next) {
        struct importer i = {.c = c, .entity = l->entity, .index = l->index};
        struct context mine = *c;
        struct error found;
        struct record *now;
        error_init(&found, c->arena, c->error->lang);
        mine.error = &found;
        mine.lenient = true;
        if (record_change(&mine, l->entity, l->id, l->values, NULL, l->touched, 0, &now)) continue;
        if (found.kind == ERROR_INTERNAL || found.kind == ERROR_UNAVAILABLE)
            return error_set(c->error, found.kind, "%s", "%s", found.detail);
        relate(&i, &found);
        *mistakes += i.mistakes;
    }
    return true;
}

static bool collection(struct context *c, const struct json_value *list, size_t *mistakes,
                       struct later **later,
                       void (*each)(void *ctx, const char *collection, const struct masterdata_count *count),
                       void *ctx)
{
    struct importer i = {.c = c, .entity = catalog_collection(c->catalog, list->key)};
    if (!i.entity) {
        struct suggest s;
        suggest_start(&s, list->key);
        for (size_t k = 0; k < c->catalog->entity_count; k++)
            suggest_try(&s, str_of(c->catalog->entities[k]->collection));
        const char *pointer = arena_printf(c->arena, "collections.%.*s", STR_ARG(list->key));
        struct error_entry *e = error_add(c->error, pointer, "unknown_collection",
                                          "there is no such collection", "нет такой коллекции");
        e->suggestion = s.best.p ? arena_dup(c->arena, s.best) : NULL;
        ++*mistakes;
        return true;
    }
    choose_keys(&i);
    i.later = *later;
    if (list->type != JSON_ARRAY) {
        error_add(c->error, arena_printf(c->arena, "collections.%s", i.entity->collection), "bad_collection",
                  "is not a list of records", "не список записей");
        ++*mistakes;
        return true;
    }
    for (const struct json_value *r = list->first; r; r = r->next, i.index++)
        if (!one(&i, r)) return false;
    *later = i.later;
    *mistakes += i.mistakes;
    if (i.mistakes == 0 && each) each(ctx, i.entity->collection, &i.count);
    return true;
}

bool masterdata_import(struct context *c, struct str text,
                       void (*each)(void *ctx, const char *collection, const struct masterdata_count *count),
                       void *ctx)
{
    if (str_starts(text, STR("\xEF\xBB\xBF"))) text.p += 3, text.n -= 3;
    struct json_value *root = json_parse(c->arena, text, c->error);
    if (!root) return false;
    const struct json_value *format = json_member(root, STR("format")),
                            *collections = json_member(root, STR("collections"));
    if (!format || format->type != JSON_STRING || !str_is(format->text, "perigee.masterdata/1"))
        return error_set(c->error, ERROR_BAD_REQUEST,
                         "the file is not master data: \"format\" must be \"perigee.masterdata/1\"",
                         "это не файл мастер-данных: format должен быть «perigee.masterdata/1»");
    for (const struct json_value *m = root->first; m; m = m->next)
        if (!str_is(m->key, "format") && !str_is(m->key, "version") && !str_is(m->key, "collections"))
            return error_set(c->error, ERROR_BAD_REQUEST, "master data has no \"%.*s\"",
                             "в мастер-данных нет «%.*s»", STR_ARG(m->key));
    if (!collections || collections->type != JSON_OBJECT)
        return error_set(c->error, ERROR_BAD_REQUEST, "\"collections\" must be an object of lists",
                         "collections должен быть объектом со списками");
    size_t mistakes = 0;
    struct later *later = NULL;
    for (const struct json_value *list = collections->first; list; list = list->next)
        if (!collection(c, list, &mistakes, &later, each, ctx)) return false;
    if (!set_later(c, later, &mistakes)) return false;
    if (mistakes)
        return error_set(c->error, ERROR_VALIDATION_FAILED, "the master data has mistakes: %zu",
                         "в мастер-данных есть ошибки: %zu", mistakes);
    return true;
}
