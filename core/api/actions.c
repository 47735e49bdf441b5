/* actions.c: what may be done with a record now, and doing it. "move" is built in; the others are declared by
 * scripts. */
#include "api/app.h"

static struct str text(const char *s)
{
    return str_of(s ? s : "");
}

static void write_field(struct buf *b, const struct field *f, bool required, enum lang lang)
{
    json_object(b);
    json_key(b, STR("name"));
    json_cstr(b, f->name);
    json_key(b, STR("label"));
    json_cstr(b, f->label.text[lang]);
    json_key(b, STR("type"));
    json_cstr(b, field_type_name(f->type));
    json_key(b, STR("required"));
    json_bool(b, required);
    if (f->to) {
        json_key(b, STR("to"));
        json_cstr(b, f->to->name);
    }
    if (f->option_count) {
        json_key(b, STR("options"));
        json_array(b);
        for (size_t i = 0; i < f->option_count; i++) {
            json_object(b);
            json_key(b, STR("value"));
            json_cstr(b, f->options[i].value);
            json_key(b, STR("label"));
            json_cstr(b, f->options[i].label.text[lang]);
            json_end_object(b);
        }
        json_end_array(b);
    }
    json_end_object(b);
}

static void open_action(struct buf *b, const char *name, const char *label, bool enabled, const char *reason)
{
    json_object(b);
    json_key(b, STR("name"));
    json_cstr(b, name);
    json_key(b, STR("label"));
    json_cstr(b, label);
    json_key(b, STR("enabled"));
    json_bool(b, enabled);
    json_key(b, STR("reason"));
    if (enabled)
        json_null(b);
    else
        json_str(b, text(reason));
    json_key(b, STR("fields"));
    json_array(b);
}

/* Which rules said yes or no, for those who may know the scripts. */
static bool write_rules(struct call *c, enum action_kind right)
{
    if (!c->app->options->dev && !call_is_admin(c) && !c->data) return true;
    struct access_reason *first =
        access_why(c->worker->db, c->who, c->entity, c->id, right, &c->context.env, c->arena, &c->error);
    if (!first) return false;
    json_key(c->out, STR("rules"));
    json_array(c->out);
    for (const struct access_reason *r = first; r; r = r->next) {
        json_object(c->out);
        json_key(c->out, STR("right"));
        json_cstr(c->out, action_kind_name(right));
        json_key(c->out, STR("matched"));
        json_bool(c->out, r->matched);
        json_key(c->out, STR("words"));
        json_cstr(c->out, r->words);
        if (r->place.file) {
            json_key(c->out, STR("role"));
            json_cstr(c->out, r->role->code);
            json_key(c->out, STR("file"));
            json_cstr(c->out, r->place.file);
            json_key(c->out, STR("line"));
            json_int(c->out, r->place.line);
        }
        json_end_object(c->out);
    }
    json_end_array(c->out);
    return true;
}

static bool close_action(struct call *c, enum action_kind right)
{
    json_end_array(c->out);
    bool ok = write_rules(c, right);
    json_end_object(c->out);
    return ok;
}

static bool may(struct call *c, enum action_kind right, bool *yes)
{
    const struct field *denied;
    return access_check(c->worker->db, c->who, c->entity, c->id, right, NULL, &c->context.env, c->arena, yes,
                        &denied, &c->error);
}

static bool has_role(const struct call *c, const struct action_decl *a)
{
    bool yes = a->role_count == 0 || c->who->all_write;
    for (size_t i = 0; i < a->role_count; i++)
        yes = yes || principal_has_role(c->who, str_of(a->roles[i]));
    return yes;
}

static const char *say(const struct call *c, const char *en, const char *ru)
{
    return c->lang == LANG_RU ? ru : en;
}

static bool write_declared(struct call *c, const struct action_decl *a, struct record *r)
{
    bool allowed = false, when = true, by = true;
    if (!may(c, a->right, &allowed)) return false;
    allowed = allowed && has_role(c, a);
    struct filter_record get = record_filter(&c->context, r);
    if (allowed && a->by && !filter_eval(a->by, &get, &c->context.env, c->arena, &by, &c->error))
        return false;
    allowed = allowed && by;
    if (allowed && a->when && !filter_eval(a->when, &get, &c->context.env, c->arena, &when, &c->error))
        return false;
    const char *reason = !allowed ? say(c, "your rights do not allow it", "у вас нет прав на это")
                         : c->lang == LANG_RU
                             ? arena_printf(c->arena, "нужно: %s", a->when_text ? a->when_text : "")
                             : arena_printf(c->arena, "it needs: %s", a->when_text ? a->when_text : "");
    open_action(c->out, a->name, a->label.text[c->lang], allowed && when, reason);
    for (size_t i = 0; i < a->field_count; i++)
        write_field(c->out, &a->fields[i], a->fields[i].required, c->lang);
    return close_action(c, a->right);
}

/* Moving writes the stage, and the pipeline says who moves. */
static bool write_move(struct call *c, struct record *r)
{
    const struct field *stage = c->entity->stage, *denied;
    const struct pipeline *p = c->entity->pipeline;
    bool writable = false, mover = false;
    bool *touched = arena_array(c->arena, c->entity->field_count, sizeof *touched);
    if (!touched) return error_no_memory(&c->error);
    touched[stage->index] = true;
    if (!access_check(c->worker->db, c->who, c->entity, c->id, ACTION_UPDATE, touched, &c->context.env,
                      c->arena, &writable, &denied, &c->error) ||
        !record_may_move(&c->context, r, &mover))
        return false;
    const char *words = p && p->move_text ? p->move_text : "";
    const char *reason = !writable ? say(c, "your rights do not allow it", "у вас нет прав на это")
                         : c->lang == LANG_RU ? arena_printf(c->arena, "нужно: %s", words)
                                              : arena_printf(c->arena, "it needs: %s", words);
    open_action(c->out, "move", say(c, "Move to a stage", "Перевести на этап"), writable && mover, reason);
    write_field(c->out, stage, true, c->lang);
    return close_action(c, ACTION_UPDATE);
}

/* ?user={id}: an administrator asks what somebody else may do, and why. From here on the call is theirs;
 * c->data keeps in mind who asked. */
static bool take_user(struct call *c)
{
    static bool asked = true;
    struct str text = call_parameter(c, "user");
    int64_t id = 0;
    if (!text.p) return true;
    if (!call_is_admin(c))
        return error_set(&c->error, ERROR_FORBIDDEN, "only an administrator asks for another",
                         "за другого спрашивает только администратор");
    if (!id_parse(text, &id)) {
        error_add(&c->error, "user", "bad_id", "\"%.*s\" is not an id", "«%.*s» не идентификатор",
                  STR_ARG(text));
        return error_set(&c->error, ERROR_BAD_REQUEST, "user is not an id", "user: не идентификатор");
    }
    struct principal *p = principal_load(c->worker->db, c->context.catalog, id, &c->error);
    if (!p) return false;
    principal_unref(c->who);
    c->who = p;
    c->data = &asked;
    call_context(c);
    return true;
}

static bool list(struct call *c)
{
    bool readable = false;
    c->data = NULL;
    if (!take_user(c) || !may(c, ACTION_READ, &readable)) return false;
    if (!readable && !c->data)
        return error_set(&c->error, ERROR_NOT_FOUND, "there is no such record", "нет такой записи");
    struct record *r = record_load(&c->context, c->entity, c->id);
    if (!r) return false;
    json_array(c->out);
    if (c->entity->stage && !write_move(c, r)) return false;
    const struct catalog *catalog = c->context.catalog;
    for (size_t i = 0; i < catalog->action_count; i++)
        if (catalog->actions[i].entity == c->entity && !write_declared(c, &catalog->actions[i], r))
            return false;
    json_end_array(c->out);
    return call_json(c, 200);
}

static bool write_created(struct call *c, const struct created *m)
{
    const struct field *denied;
    bool readable = false;
    if (!access_check(c->worker->db, c->who, m->entity, m->id, ACTION_READ, NULL, &c->context.env, c->arena,
                      &readable, &denied, &c->error))
        return false;
    if (!readable) return true;
    json_object(c->out);
    json_key(c->out, STR("entity"));
    json_cstr(c->out, m->entity->name);
    json_key(c->out, STR("id"));
    json_id(c->out, m->id);
    json_end_object(c->out);
    return true;
}

/* The record, with what was made besides under "created", as far as the caller may know of it. */
static bool answer(struct call *c)
{
    if (!call_record(c, 200, c->entity, c->id)) return false;
    if (c->minimal || !c->context.created || c->out->n == 0 || c->out->p[c->out->n - 1] != '}') return true;
    c->out->n--;
    json_key(c->out, STR("created"));
    json_array(c->out);
    for (const struct created *m = c->context.created; m; m = m->next)
        if (!write_created(c, m)) return false;
    json_end_array(c->out);
    json_end_object(c->out);
    return true;
}

static bool move(struct call *c)
{
    struct str stage, reason;
    int64_t expected;
    struct record *out;
    if (!call_members(c, "stage reason") || !call_text(c, "stage", true, 200, &stage) ||
        !call_text(c, "reason", false, 2000, &reason) || !call_expected(c, c->entity, c->id, &expected))
        return false;
    if (reason.p) c->context.why = reason;
    return record_move(&c->context, c->entity, c->id, stage, expected, &out) && answer(c);
}

static bool no_action(struct call *c, struct str name)
{
    struct suggest near;
    const struct catalog *catalog = c->context.catalog;
    suggest_start(&near, name);
    for (size_t i = 0; i < catalog->action_count; i++)
        if (catalog->actions[i].entity == c->entity) suggest_try(&near, str_of(catalog->actions[i].name));
    if (near.best.p)
        return error_set(&c->error, ERROR_NOT_FOUND, "there is no action %.*s; there is %.*s",
                         "нет действия %.*s; есть %.*s", STR_ARG(name), STR_ARG(near.best));
    return error_set(&c->error, ERROR_NOT_FOUND, "there is no action %.*s", "нет действия %.*s",
                     STR_ARG(name));
}

static bool perform(struct call *c)
{
    struct str name = call_capture(c, "name");
    int64_t expected;
    struct record *out;
    if (str_is(name, "move") && c->entity->stage) return move(c);
    const struct action_decl *a = catalog_action(c->context.catalog, c->entity, name);
    if (!a) return no_action(c, name);
    return call_expected(c, c->entity, c->id, &expected) &&
           record_action(&c->context, c->entity, c->id, a, c->body, expected, &out) && answer(c);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/api/v1/{collection}/{id}/actions", LANE_READ, 0, "user", list,
     "What may be done with the record now, and why not; administrators: by whom", NULL, "actions", 200},
    {HTTP_METHOD_POST, "/api/v1/{collection}/{id}/actions/{name}", LANE_WRITE, BODY_MAY, "fields expand",
     perform, "Do it: move, or what scripts declare", "object", "record", 200},
};

const struct endpoint_table actions_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
