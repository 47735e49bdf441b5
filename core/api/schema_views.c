/* schema_views.c: the views of an entity as one caller may see them: fields that they may not read are left
 * out, labels are in their language. A view is whatever the script declared, so it is walked, not
 * interpreted. */
#include "api/app.h"

struct walk {
    struct call *c;
    const struct entity *entity;
};

/* A text that is the name of a field which the caller may not read. */
static bool hidden(const struct walk *w, const struct json_value *v)
{
    const struct field *f = v->type == JSON_STRING ? entity_field(w->entity, v->text) : NULL;
    return f && (f->hidden || access_field(w->c->who, w->entity, f, ACTION_READ) == ACCESS_NEVER);
}

/* {"en":…,"ru":…} and nothing else */
static bool is_label(const struct json_value *v)
{
    if (v->type != JSON_OBJECT || !v->first) return false;
    for (const struct json_value *m = v->first; m; m = m->next) {
        enum lang lang;
        if (m->type != JSON_STRING || !lang_parse(m->key, &lang)) return false;
    }
    return true;
}

static void write_value(const struct walk *w, const struct json_value *v)
{
    struct buf *b = w->c->out;
    if (is_label(v)) {
        const struct json_value *mine = json_member(v, str_of(lang_code(w->c->lang)));
        json_str(b, mine ? mine->text : v->first->text);
    } else if (v->type == JSON_OBJECT) {
        json_object(b);
        for (const struct json_value *m = v->first; m; m = m->next) {
            if (!str_is(m->key, "label") && hidden(w, m)) continue;
            json_key_any(b, m->key);
            write_value(w, m);
        }
        json_end_object(b);
    } else if (v->type == JSON_ARRAY) {
        json_array(b);
        for (const struct json_value *i = v->first; i; i = i->next)
            if (!hidden(w, i)) write_value(w, i);
        json_end_array(b);
    } else {
        json_value_write(b, v);
    }
}

bool schema_views(struct call *c, const struct entity *e)
{
    struct json_value *views = json_parse(c->arena, str_of(e->views_json ? e->views_json : "{}"), &c->error);
    if (!views) return false;
    json_key(c->out, STR("views"));
    write_value(&(struct walk){c, e}, views);
    return true;
}
