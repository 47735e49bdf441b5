/* write.c: what jobs write, done by the writer: each a change of its own, by the path of every other
 * (core/record), with the rights of the system and the job as its origin. */
#include "base/decimal.h"
#include "courier/internal.h"

#include <stdio.h>

struct place_text {
    char text[300];
};

static struct place_text origin_of(const struct run *r)
{
    struct place p = script_job_place(r->script);
    struct place_text out;
    snprintf(out.text, sizeof out.text, "%s:%d", p.file ? p.file : "", p.line);
    return out;
}

struct change {
    const struct entity *entity;
    int64_t id;
    struct value *values;
    const char **any;
    bool *touched;
};

static bool read_change(struct context *c, const struct json_value *args, struct change *out)
{
    struct str name = arg_text(args, "entity"), id = arg_text(args, "id");
    out->entity = catalog_entity(c->catalog, name);
    if (!out->entity)
        return error_set(c->error, ERROR_NOT_FOUND, "there is no entity %.*s", "нет сущности %.*s",
                         STR_ARG(name));
    if (id.p) id_parse(id, &out->id);
    const struct json_value *fields = json_member(args, STR("fields"));
    if (!fields) return true;
    size_t n = out->entity->field_count;
    out->values = arena_array(c->arena, n, sizeof *out->values);
    out->any = arena_array(c->arena, n, sizeof *out->any);
    out->touched = arena_array(c->arena, n, sizeof *out->touched);
    if (!out->values || !out->any || !out->touched) return error_no_memory(c->error);
    return record_read_json(c, out->entity, fields, out->values, out->any, out->touched);
}

static bool change(struct context *c, const char *verb, const struct json_value *args, struct change *ch)
{
    struct record *r = NULL;
    int64_t comment;
    if (strcmp(verb, "crm.create") == 0) {
        if (!record_create(c, ch->entity, ch->values, ch->any, ch->touched, &r)) return false;
        ch->id = r->id;
        return true;
    }
    if (strcmp(verb, "crm.update") == 0)
        return record_change(c, ch->entity, ch->id, ch->values, ch->any, ch->touched, 0, &r);
    if (strcmp(verb, "crm.move") == 0)
        return record_move(c, ch->entity, ch->id, arg_text(args, "stage"), 0, &r);
    if (strcmp(verb, "crm.remove") == 0) return record_delete(c, ch->entity, ch->id, 0);
    if (strcmp(verb, "crm.comment") == 0)
        return record_comment(c, ch->entity, ch->id, arg_text(args, "text"), &comment);
    return error_set(c->error, ERROR_INTERNAL, "%s is not known here", "%s здесь неизвестно", verb);
}

/* A context of the system on the writer's thread. `who` is for the caller to unref. */
static bool enter(struct task *t, struct db *d, void *thread_data, struct context *c, struct principal **who)
{
    struct courier *courier = t->courier;
    const struct catalog *catalog;
    struct script_state *script;
    struct plan_cache *plans;
    if (!courier->config.lend(courier->config.ctx, thread_data, &catalog, &script, &plans))
        return error_no_memory(&t->error);
    *who = principal_system(catalog, &t->error);
    if (!*who) return false;
    context_init(c, catalog, d, *who, &t->arena, &t->error);
    c->hooks = &script_hooks;
    c->script = script;
    c->plans = plans;
    c->trusted = true;
    return true;
}

bool write_notification(struct task *t, struct db *d, void *thread_data, int64_t user, const char *en,
                        const char *ru)
{
    struct context c;
    struct principal *system;
    struct record *r;
    struct buf text;
    struct change ch = {0};
    char id[ID_TEXT + 1];
    id_format(user, id);
    if (!enter(t, d, thread_data, &c, &system)) return false;
    bool declared = catalog_entity(c.catalog, STR("notification")) != NULL;
    buf_init(&text, 8192);
    json_object(&text);
    json_key(&text, STR("entity"));
    json_cstr(&text, "notification");
    json_key(&text, STR("fields"));
    json_object(&text);
    json_key(&text, STR("user"));
    json_cstr(&text, id);
    json_key(&text, STR("text"));
    json_object(&text);
    json_key(&text, STR("en"));
    json_cstr(&text, en);
    json_key(&text, STR("ru"));
    json_cstr(&text, ru);
    json_end_object(&text);
    json_end_object(&text);
    json_end_object(&text);
    struct str copy = text.failed ? (struct str){NULL, 0} : arena_str(&t->arena, buf_view(&text));
    buf_free(&text);
    const struct json_value *args = copy.p ? json_parse(&t->arena, copy, &t->error) : NULL;
    bool ok = !declared || (args && read_change(&c, args, &ch) &&
                            record_create(&c, ch.entity, ch.values, ch.any, ch.touched, &r));
    principal_unref(system);
    return ok || (t->error.kind == ERROR_NONE && error_no_memory(&t->error));
}

static bool write_act(struct task *t, struct db *d, void *thread_data)
{
    struct context c;
    struct principal *system;
    struct change ch = {0};
    if (!enter(t, d, thread_data, &c, &system)) return false;
    struct place_text origin = origin_of(t->run);
    c.origin = str_of(origin.text);
    bool ok = read_change(&c, t->args, &ch) && change(&c, t->verb, t->args, &ch);
    if (ok && strcmp(t->verb, "crm.remove") != 0) {
        json_object(&t->result);
        json_key(&t->result, STR("entity"));
        json_cstr(&t->result, ch.entity->name);
        json_key(&t->result, STR("id"));
        json_id(&t->result, ch.id);
        json_end_object(&t->result);
    }
    principal_unref(system);
    return ok;
}

static bool enqueue_act(struct task *t, struct db *d, void *thread_data)
{
    (void)thread_data;
    const struct json_value *due = json_member(t->args, STR("due"));
    int64_t id, at = clock_now();
    if (due && due->type == JSON_NUMBER) decimal_parse(due->text, 0, &at);
    return outbox_add(d, arg_text(t->args, "job"), arg_text(t->args, "args"), arg_text(t->args, "key"), at, 0,
                      &id, &t->error);
}

static void write_back(struct task *t)
{
    const struct error *e = &t->error;
    if (t->ok)
        run_answer(t->run, &(struct script_answer){.json = buf_view(&t->result)});
    else if (e->first)
        run_refuse(t->run, "%s (%s: %s)", e->detail ? e->detail : "refused",
                   e->first->pointer ? e->first->pointer : "", e->first->message);
    else
        run_refuse(t->run, "%s", e->detail ? e->detail : "refused");
    task_free(t);
}

void ask_write(struct run *r, const struct script_asked *asked)
{
    bool enqueue = strcmp(asked->name, "crm.enqueue") == 0;
    struct task *t = task_new(r->courier, r, enqueue ? enqueue_act : write_act, write_back);
    if (!t) {
        run_refuse(r, "out of memory");
        return;
    }
    t->args = asked->args; /* of the job's arena: the job waits for this task */
    t->verb = asked->name;
    task_submit(t);
}
