/* masterdata.c: see masterdata.h. Records go through record_create and record_change like everybody's, so
 * what a client may not write wrong, a file may not either. */
#include "record/masterdata.h"

#include "base/suggest.h"

struct importer {
    struct context *c;
    const struct entity *entity;
    const char *key; /* "code", "login" */
    size_t index, mistakes;
    struct masterdata_count count;
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
        error_add(i->c->error, pointer, e->code, "%s", "%s", e->message);
    }
    if (!found->first) mistake(i, "", "", found->detail ? found->detail : "");
    i->mistakes++;
}

static bool find(struct importer *i, struct str key, int64_t *id)
{
    const struct field *f = entity_field(i->entity, str_of(i->key));
    char *sql = arena_printf(i->c->arena, "SELECT id FROM %s WHERE %s = ?", i->entity->table, f->column);
    struct stmt *s = sql ? db_prepare(i->c->db, str_of(sql), i->c->error) : NULL;
    if (!s) return i->c->error->kind == ERROR_NONE ? error_no_memory(i->c->error) : false;
    stmt_bind_text(s, 1, key);
    enum step step = stmt_step(s, i->c->error);
    *id = step == STEP_ROW ? stmt_int(s, 0) : 0;
    db_release(s);
    return step != STEP_ERROR;
}

static bool write(struct importer *i, const struct json_value *json, int64_t id, struct context *c)
{
    size_t n = i->entity->field_count;
    struct value *values = arena_array(c->arena, n, sizeof *values);
    const char **any = arena_array(c->arena, n, sizeof *any);
    bool *touched = arena_array(c->arena, n, sizeof *touched);
    struct record *before = id ? record_load(c, i->entity, id) : NULL, *now;
    if (!values || !any || !touched) return error_no_memory(c->error);
    if ((id && !before) || !record_read_json(c, i->entity, json, values, any, touched)) return false;
    if (!id) {
        i->count.created++;
        return record_create(c, i->entity, values, any, touched, &now);
    }
    if (!record_change(c, i->entity, id, values, any, touched, 0, &now)) return false;
    bool changed = now->values[SYSTEM_VERSION].i != before->values[SYSTEM_VERSION].i;
    i->count.updated += changed;
    i->count.unchanged += !changed;
    return true;
}

static bool one(struct importer *i, const struct json_value *json)
{
    const struct json_value *key = json_member(json, str_of(i->key));
    int64_t id;
    if (json->type != JSON_OBJECT) return mistake(i, "is not an object", "не объект", ""), true;
    if (!key || key->type != JSON_STRING || key->text.n == 0)
        return mistake(i, "has no", "не имеет поля", i->key), true;
    if (!find(i, key->text, &id)) return false;
    struct context mine = *i->c;
    struct error found;
    error_init(&found, i->c->arena, i->c->error->lang);
    mine.error = &found;
    mine.lenient = true;
    if (write(i, json, id, &mine)) return true;
    if (found.kind == ERROR_INTERNAL || found.kind == ERROR_UNAVAILABLE)
        return error_set(i->c->error, found.kind, "%s", "%s", found.detail);
    relate(i, &found);
    return true;
}

static bool collection(struct context *c, const struct json_value *list, size_t *mistakes,
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
    i.key = i.entity->code ? "code" : entity_field(i.entity, STR("login")) ? "login" : "name";
    if (list->type != JSON_ARRAY || !entity_field(i.entity, str_of(i.key))) {
        mistake(&i, "is not a list of records with a", "не список записей с полем", i.key);
        *mistakes += i.mistakes;
        return true;
    }
    for (const struct json_value *r = list->first; r; r = r->next, i.index++)
        if (!one(&i, r)) return false;
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
    for (const struct json_value *list = collections->first; list; list = list->next)
        if (!collection(c, list, &mistakes, each, ctx)) return false;
    if (mistakes)
        return error_set(c->error, ERROR_VALIDATION_FAILED, "the master data has mistakes",
                         "в мастер-данных есть ошибки");
    return true;
}
