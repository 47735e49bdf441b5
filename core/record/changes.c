/* changes.c: what the log says of a change: {"field":[old,new],…}, with values as the API writes them. */
#include "record/internal.h"

#include "base/json.h"

struct str changes_json(struct context *c, const struct record *now, const struct record *before,
                        const bool *changed)
{
    const struct entity *e = now ? now->entity : before->entity;
    struct buf b;
    buf_init(&b, 16 << 20);
    json_object(&b);
    for (size_t i = SYSTEM_ACTIVE; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (!field_stored(f) || (changed && !changed[i])) continue;
        struct value old = before ? before->values[i] : value_null();
        struct value new = now ? now->values[i] : value_null();
        if (!changed && value_empty(old) && value_empty(new)) continue;
        json_key(&b, str_of(f->name));
        json_array(&b);
        record_write_value(&b, f, old, LANG_EN);
        record_write_value(&b, f, new, LANG_EN);
        json_end_array(&b);
    }
    json_end_object(&b);
    struct str out = b.failed ? (struct str){NULL, 0} : arena_str(c->arena, buf_view(&b));
    buf_free(&b);
    if (!out.p) error_no_memory(c->error);
    return out;
}
