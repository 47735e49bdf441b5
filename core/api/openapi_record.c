/* openapi_record.c: the schemas of an entity's records: as they are read, and as they are written. Fields
 * that the caller may not read or write are not in them. */
#include "api/openapi.h"

static void text_schema(struct buf *b, const struct field *f, bool write)
{
    if (f->localized) {
        json_raw(b, STR("{\"$ref\":\"#/components/schemas/api.localized\"}"));
        return;
    }
    json_object(b);
    json_key(b, STR("type"));
    json_raw(b, STR("[\"string\",\"null\"]"));
    if (write && f->has_max) {
        json_key(b, STR("maxLength"));
        json_int(b, f->max);
    }
    json_end_object(b);
}

static void number_schema(struct buf *b, const struct field *f, enum field_type type, bool write)
{
    json_object(b);
    json_key(b, STR("type"));
    json_raw(b, type == FIELD_INTEGER ? STR("[\"integer\",\"null\"]") : STR("[\"number\",\"null\"]"));
    if (write && f->has_min) {
        json_key(b, STR("minimum"));
        json_decimal(b, f->min, f->scale);
    }
    if (write && f->has_max) {
        json_key(b, STR("maximum"));
        json_decimal(b, f->max, f->scale);
    }
    json_end_object(b);
}

/* A stored value may be of an option that is no longer declared: only a body is held to the list. */
static void option_schema(struct buf *b, const struct field *f, bool write, bool null)
{
    json_object(b);
    json_key(b, STR("type"));
    json_raw(b, null ? STR("[\"string\",\"null\"]") : STR("\"string\""));
    if (write) {
        json_key(b, STR("enum"));
        json_array(b);
        for (size_t i = 0; i < f->option_count; i++)
            json_cstr(b, f->options[i].value);
        if (null) json_null(b);
        json_end_array(b);
    }
    json_end_object(b);
}

static void field_schema(struct buf *b, const struct field *f, bool write)
{
    enum field_type t = f->type == FIELD_FORMULA ? f->formula_type : f->type;
    switch (t) {
    case FIELD_INTEGER:
    case FIELD_DECIMAL:
    case FIELD_MONEY:
    case FIELD_PERCENT: number_schema(b, f, t, write); break;
    case FIELD_BOOLEAN: json_raw(b, STR("{\"type\":[\"boolean\",\"null\"]}")); break;
    case FIELD_DATE: json_raw(b, STR("{\"type\":[\"string\",\"null\"],\"format\":\"date\"}")); break;
    case FIELD_DATETIME: json_raw(b, STR("{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}")); break;
    case FIELD_JSON:
    case FIELD_COMPUTED: json_raw(b, STR("{}")); break;
    case FIELD_OPTION: option_schema(b, f, write, true); break;
    case FIELD_OPTIONS:
        json_raw(b, STR("{\"type\":[\"array\",\"null\"],\"items\":"));
        option_schema(b, f, write, false);
        buf_char(b, '}');
        break;
    case FIELD_REFS:
        json_raw(b, STR("{\"type\":[\"array\",\"null\"],\"items\":{\"$ref\":\"#/components/schemas/"
                        "api.reference\"}}"));
        break;
    case FIELD_REF:
    case FIELD_STAGE:
        json_raw(b,
                 STR("{\"anyOf\":[{\"$ref\":\"#/components/schemas/api.reference\"},{\"type\":\"null\"}]}"));
        break;
    default: text_schema(b, f, write); break;
    }
}

bool openapi_writable(const struct call *c, const struct entity *e, const struct field *f)
{
    bool fixed = f->type == FIELD_FORMULA || f->type == FIELD_COMPUTED || f->readonly || f->hidden ||
                 (f->system && f->index != SYSTEM_ACTIVE);
    return !fixed && (access_field(c->who, e, f, ACTION_CREATE) != ACCESS_NEVER ||
                      access_field(c->who, e, f, ACTION_UPDATE) != ACCESS_NEVER);
}

static bool readable(const struct call *c, const struct entity *e, const struct field *f)
{
    return !f->hidden && access_field(c->who, e, f, ACTION_READ) != ACCESS_NEVER;
}

/* components/schemas/opportunity and opportunity.write */
void openapi_record(struct call *c, const struct entity *e, bool write)
{
    struct buf *b = c->out;
    const char *name = write ? arena_printf(c->arena, "%s.write", e->name) : e->name;
    json_key(b, str_of(name ? name : e->name));
    json_object(b);
    json_key(b, STR("type"));
    json_cstr(b, "object");
    json_key(b, STR("properties"));
    json_object(b);
    for (size_t i = 0; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (!(write ? openapi_writable(c, e, f) : readable(c, e, f))) continue;
        json_key(b, str_of(f->name));
        if (i == SYSTEM_ID)
            json_raw(b, STR("{\"$ref\":\"#/components/schemas/api.id\"}"));
        else
            field_schema(b, f, write);
    }
    if (!write) {
        json_key(b, STR("created"));
        json_raw(b, STR("{\"$ref\":\"#/components/schemas/api.created\"}"));
    }
    json_end_object(b);
    if (!write) {
        json_key(b, STR("required"));
        json_raw(b, STR("[\"id\"]"));
    }
    json_key(b, STR("additionalProperties"));
    json_bool(b, false);
    json_end_object(b);
}
