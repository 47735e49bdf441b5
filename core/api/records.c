/* records.c: /api/v1/{collection} and /api/v1/{collection}/{id}: the five things one does with records. */
#include "api/app.h"

struct query records_query(struct call *c)
{
    return (struct query){
        .entity = c->entity,
        .filter = call_parameter(c, "filter"),
        .sort = call_parameter(c, "sort"),
        .fields = call_parameter(c, "fields"),
        .expand = call_parameter(c, "expand"),
        .cursor = call_parameter(c, "cursor"),
        .q = call_parameter(c, "q"),
    };
}

static bool list(struct call *c)
{
    struct query q = records_query(c);
    struct str count = call_parameter(c, "count");
    if (count.p && !str_is(count, "exact")) {
        error_add(&c->error, "count", "bad_value", "count may only be \"exact\"",
                  "count может быть только «exact»");
        return error_set(&c->error, ERROR_BAD_REQUEST, "count may only be \"exact\"",
                         "count может быть только «exact»");
    }
    q.count = count.p != NULL;
    if (!call_number(c, "limit", 1, 500, 50, &q.limit) || !query_list(&c->context, &q, c->out)) return false;
    return call_json(c, 200);
}

/* JSON unless something else is wanted more. */
static bool list_or_export(struct call *c)
{
    struct str accept = call_header(c, "accept");
    int json = accept_media(accept, "application/json"), csv = accept_media(accept, "text/csv"),
        lines = accept_media(accept, "application/x-ndjson");
    if (c->x && (csv > json || lines > json)) return export_begin(c, csv >= lines);
    call_field(c, "Vary", STR("Accept"));
    return list(c);
}

static bool get(struct call *c)
{
    int64_t version = 0;
    struct str expand = call_parameter(c, "expand");
    if (!query_get(&c->context, c->entity, c->id, call_parameter(c, "fields"), expand, c->out, &version))
        return false;
    call_etag(c, version);
    /* With other records inside, the version of this one does not say that nothing changed. */
    struct str known = call_header(c, "if-none-match");
    if (known.p && !expand.p && c->fields && http_etag_listed(known, c->fields->value, true))
        return call_empty(c, 304);
    return call_json(c, 200);
}

/* ── Writing ─────────────────────────────────────────────────────────────────────────────────── */

struct change {
    struct value *values;
    const char **any_entity;
    bool *touched;
};

/* What is wrong with a body is said to those alone who may do what they ask: 404 and 403 come first. */
static bool refuse_body(struct call *c, enum action_kind action)
{
    struct error wrong = c->error;
    error_clear(&c->error);
    if (record_permits(&c->context, c->entity, c->id, action)) c->error = wrong;
    return false;
}

static bool read_change(struct call *c, enum action_kind action, struct change *change)
{
    size_t n = c->entity->field_count;
    if (c->body->type != JSON_OBJECT)
        return error_set(&c->error, ERROR_BAD_REQUEST, "the body must be a JSON object",
                         "тело запроса: объект JSON");
    change->values = arena_array(c->arena, n, sizeof *change->values);
    change->any_entity = arena_array(c->arena, n, sizeof *change->any_entity);
    change->touched = arena_array(c->arena, n, sizeof *change->touched);
    if (!change->values || !change->any_entity || !change->touched) return error_no_memory(&c->error);
    return record_read_json(&c->context, c->entity, c->body, change->values, change->any_entity,
                            change->touched) ||
           refuse_body(c, action);
}

static bool create(struct call *c)
{
    struct change change;
    if (!read_change(c, ACTION_CREATE, &change) ||
        !record_create(&c->context, c->entity, change.values, change.any_entity, change.touched, NULL))
        return false;
    return call_record(c, 201, c->entity, c->context.created->id);
}

static bool patch(struct call *c)
{
    struct change change;
    struct record *made;
    int64_t expected;
    if (!read_change(c, ACTION_UPDATE, &change) || !call_expected(c, c->entity, c->id, &expected) ||
        !record_change(&c->context, c->entity, c->id, change.values, change.any_entity, change.touched,
                       expected, &made))
        return false;
    return call_record(c, 200, c->entity, c->id);
}

static bool destroy(struct call *c)
{
    int64_t expected;
    if (!call_expected(c, c->entity, c->id, &expected) ||
        !record_delete(&c->context, c->entity, c->id, expected))
        return false;
    return call_empty(c, 204);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/api/v1/{collection}", LANE_READ, 0, "filter sort fields expand limit cursor count q",
     list_or_export, "List, filter, sort, search; as CSV or NDJSON the whole result", NULL, "list", 200},
    {HTTP_METHOD_POST, "/api/v1/{collection}", LANE_WRITE, BODY, "fields expand", create, "Create a record",
     "create", "record", 201},
    {HTTP_METHOD_GET, "/api/v1/{collection}/{id}", LANE_READ, 0, "fields expand", get, "Read a record", NULL,
     "record", 200},
    {HTTP_METHOD_PATCH, "/api/v1/{collection}/{id}", LANE_WRITE, BODY | PATCHES, "fields expand", patch,
     "Change a record (JSON Merge Patch)", "update", "record", 200},
    {HTTP_METHOD_DELETE, "/api/v1/{collection}/{id}", LANE_WRITE, 0, "", destroy,
     "Delete a record, or deactivate it where the entity says so", NULL, NULL, 204},
};

const struct endpoint_table records_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
