/* openapi.c: GET /openapi.json: OpenAPI 3.1 for the caller, from the table of endpoints and the catalog.
 * "{collection}" becomes the collections that the caller may use, each with the schema of its own records. */
#include "api/app.h"

static void schema_of(struct buf *b, const struct field *f)
{
    enum field_type t = f->type == FIELD_FORMULA || f->type == FIELD_COMPUTED ? f->formula_type : f->type;
    switch (t) {
    case FIELD_INTEGER: json_raw(b, STR("{\"type\":[\"integer\",\"null\"]}")); break;
    case FIELD_DECIMAL:
    case FIELD_MONEY:
    case FIELD_PERCENT: json_raw(b, STR("{\"type\":[\"number\",\"null\"]}")); break;
    case FIELD_BOOLEAN: json_raw(b, STR("{\"type\":[\"boolean\",\"null\"]}")); break;
    case FIELD_DATE: json_raw(b, STR("{\"type\":[\"string\",\"null\"],\"format\":\"date\"}")); break;
    case FIELD_DATETIME: json_raw(b, STR("{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}")); break;
    case FIELD_JSON: json_raw(b, STR("{}")); break;
    case FIELD_OPTIONS: json_raw(b, STR("{\"type\":\"array\",\"items\":{\"type\":\"string\"}}")); break;
    case FIELD_REFS:
        json_raw(b, STR("{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/reference\"}}"));
        break;
    case FIELD_REF:
    case FIELD_STAGE:
        json_raw(b, STR("{\"anyOf\":[{\"$ref\":\"#/components/schemas/reference\"},{\"type\":\"null\"}]}"));
        break;
    default:
        json_raw(b, f->localized ? STR("{\"type\":[\"string\",\"object\",\"null\"]}")
                                 : STR("{\"type\":[\"string\",\"null\"]}"));
        break;
    }
}

static bool writable(const struct call *c, const struct entity *e, const struct field *f)
{
    bool fixed = f->type == FIELD_FORMULA || f->type == FIELD_COMPUTED || f->readonly ||
                 (f->system && f->index != SYSTEM_ACTIVE);
    return !fixed && (access_field(c->who, e, f, ACTION_CREATE) != ACCESS_NEVER ||
                      access_field(c->who, e, f, ACTION_UPDATE) != ACCESS_NEVER);
}

/* components/schemas/opportunity and opportunity_write */
static void record_schema(struct call *c, const struct entity *e, bool write)
{
    struct buf *b = c->out;
    const char *name = write ? arena_printf(c->arena, "%s_write", e->name) : e->name;
    json_key(b, str_of(name ? name : e->name));
    json_object(b);
    json_key(b, STR("type"));
    json_cstr(b, "object");
    json_key(b, STR("properties"));
    json_object(b);
    for (size_t i = 0; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (f->hidden ||
            (write ? !writable(c, e, f) : access_field(c->who, e, f, ACTION_READ) == ACCESS_NEVER))
            continue;
        json_key(b, str_of(f->name));
        if (i == SYSTEM_ID)
            json_raw(b, STR("{\"$ref\":\"#/components/schemas/id\"}"));
        else
            schema_of(b, f);
    }
    if (!write) {
        json_key(b, STR("created"));
        json_raw(b, STR("{\"type\":\"array\"}"));
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

static const char fixed_schemas[] =
    "\"id\":{\"type\":\"string\",\"pattern\":\"^[0-9a-hjkmnp-tv-z]{13}$\"},"
    "\"reference\":{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"object\",\"properties\":{\"id\":{\"$ref\":"
    "\"#/components/schemas/id\"},\"code\":{\"type\":\"string\"},"
    "\"name\":{\"type\":[\"string\",\"null\"]}},\"required\":[\"id\"],\"additionalProperties\":false}]},"
    "\"object\":{\"type\":\"object\"},"
    "\"problem\":{\"type\":\"object\",\"properties\":{\"type\":{\"type\":\"string\"},\"title\":{\"type\":"
    "\"string\"},\"status\":{\"type\":\"integer\"},\"code\":{\"type\":"
    "\"string\"},\"detail\":{\"type\":\"string\"},\"errors\":{\"type\":\"array\",\"items\":{\"type\":"
    "\"object\",\"properties\":{\"pointer\":{\"type\":\"string\"},\"code\":{"
    "\"type\":\"string\"},\"message\":{\"type\":\"string\"},\"offset\":{\"type\":\"integer\"},\"expected\":{"
    "\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"suggestion\":{"
    "\"type\":\"string\"},\"file\":{\"type\":\"string\"},\"line\":{\"type\":\"integer\"}},\"required\":["
    "\"code\",\"message\"],\"additionalProperties\":false}},\"request_id\":{"
    "\"type\":\"string\"},\"current\":{\"type\":\"object\"},\"file\":{\"type\":\"string\"},\"line\":{"
    "\"type\":\"integer\"}},\"required\":[\"type\",\"title\",\"status\",\"code\","
    "\"detail\",\"request_id\"]},"
    "\"board\":{\"type\":\"object\",\"properties\":{\"columns\":{\"type\":\"array\",\"items\":{\"type\":"
    "\"object\",\"properties\":{\"key\":{},\"label\":{},\"count\":{\"type\":"
    "\"integer\"},\"sum\":{\"type\":\"object\"},\"items\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}"
    "},\"next\":{\"type\":\"string\"}},\"required\":[\"key\",\"label\","
    "\"count\",\"sum\",\"items\"],\"additionalProperties\":false}}},\"required\":[\"columns\"],"
    "\"additionalProperties\":false},"
    "\"aggregate\":{\"type\":\"object\",\"properties\":{\"groups\":{\"type\":\"array\",\"items\":{\"type\":"
    "\"object\",\"properties\":{\"key\":{\"type\":\"object\"},\"count\":{"
    "\"type\":\"integer\"},\"sum\":{\"type\":\"object\"},\"avg\":{\"type\":\"object\"},\"min\":{\"type\":"
    "\"object\"},\"max\":{\"type\":\"object\"}},\"required\":[\"key\"],"
    "\"additionalProperties\":false}}},\"required\":[\"groups\"],\"additionalProperties\":false},"
    "\"timeline\":{\"type\":\"object\",\"properties\":{\"items\":{\"type\":\"array\",\"items\":{\"type\":"
    "\"object\",\"required\":[\"type\",\"at\",\"changes\"]}},\"next\":{\"type\":"
    "\"string\"}},\"required\":[\"items\"],\"additionalProperties\":false},"
    "\"actions\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":"
    "\"string\"},\"label\":{\"type\":\"string\"},\"enabled\":{\"type\":\"boolean\"},"
    "\"reason\":{\"type\":[\"string\",\"null\"]},\"fields\":{\"type\":\"array\"},\"rules\":{"
    "\"type\":\"array\"}},\"required\":[\"name\","
    "\"label\",\"enabled\",\"reason\",\"fields\"],\"additionalProperties\":"
    "false}},"
    "\"me\":{\"type\":\"object\",\"required\":[\"id\",\"login\",\"name\",\"language\",\"time_zone\","
    "\"roles\",\"groups\",\"directions\",\"partner\",\"rights\"]},"
    "\"session\":{\"type\":\"object\",\"required\":[\"user\"]},"
    "\"sign_in\":{\"type\":\"object\",\"properties\":{\"login\":{\"type\":\"string\"},\"password\":{\"type\":"
    "\"string\"}},\"required\":[\"login\",\"password\"]},"
    "\"token_make\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"scope\":{\"type\":"
    "\"string\"},\"expires_at\":{\"type\":[\"string\",\"null\"]}}},"
    "\"token_made\":{\"type\":\"object\",\"required\":[\"id\",\"name\",\"scope\",\"token\"]},"
    "\"tokens\":{\"type\":\"object\",\"properties\":{\"items\":{\"type\":\"array\",\"items\":{\"type\":"
    "\"object\",\"required\":[\"id\",\"user\",\"name\",\"scope\",\"created_at\",\"expires_at\","
    "\"last_used_at\"],\"not\":{\"required\":[\"token\"]}}}},\"required\":[\"items\"],"
    "\"additionalProperties\":false},"
    "\"password\":{\"type\":\"object\"},"
    "\"comment\":{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\"}},\"required\":[\"text\"]"
    "},"
    "\"batch\":{\"type\":\"object\"}";

static void reference(struct buf *b, const char *name)
{
    buf_printf(b, "{\"$ref\":\"#/components/schemas/%s\"}", name);
}

/* The schema of an answer, as JSON. */
static void answer_schema(struct buf *b, const struct endpoint *p, const struct entity *e)
{
    if (strcmp(p->answer, "record") == 0 && e)
        reference(b, e->name);
    else if (strcmp(p->answer, "list") == 0 && e)
        buf_printf(
            b,
            "{\"type\":\"object\",\"properties\":{\"items\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/"
            "components/schemas/%s\"}},\"next\":{\"type\":\"string\"},"
            "\"total\":{\"type\":\"integer\"}},\"required\":[\"items\"],\"additionalProperties\":false}",
            e->name);
    else
        reference(b,
                  strcmp(p->answer, "record") == 0 || strcmp(p->answer, "list") == 0 ? "object" : p->answer);
}

static void request_schema(struct call *c, const struct endpoint *p, const struct entity *e)
{
    struct buf *b = c->out;
    bool record = strcmp(p->request, "create") == 0 || strcmp(p->request, "update") == 0;
    json_key(b, STR("requestBody"));
    buf_printf(b, "{\"required\":%s,\"content\":{\"application/json\":{\"schema\":",
               p->flags & BODY ? "true" : "false");
    const char *name = record && e ? arena_printf(c->arena, "%s_write", e->name)
                       : record    ? "object"
                                   : p->request;
    reference(b, name ? name : "object");
    buf_cstr(b, "}}}");
}

static void parameters(struct buf *b, const struct endpoint *p, const char *path)
{
    json_key(b, STR("parameters"));
    json_array(b);
    for (const char *at = strchr(path, '{'); at; at = strchr(at + 1, '{'))
        buf_printf(b,
                   "%s{\"name\":\"%.*s\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":\"string\"}}",
                   b->p[b->n - 1] == '[' ? "" : ",", (int)(strchr(at, '}') - at - 1), at + 1);
    struct str rest = strcmp(p->parameters, "*") == 0 ? (struct str){NULL, 0} : str_of(p->parameters);
    while (rest.p && rest.n) {
        struct str name = str_cut(&rest, ' ');
        buf_printf(b, "%s{\"name\":\"%.*s\",\"in\":\"query\",\"schema\":{\"type\":\"%s\"}}",
                   b->p[b->n - 1] == '[' ? "" : ",", STR_ARG(name),
                   str_is(name, "limit") ? "integer" : "string");
    }
    json_end_array(b);
}

static void operation(struct call *c, const struct endpoint *p, const char *path, const struct entity *e)
{
    static const char *const names[] = {"get", "head", "post", "put", "patch", "delete", "options"};
    struct buf *b = c->out;
    json_key(b, str_of(names[p->method]));
    json_object(b);
    json_key(b, STR("summary"));
    json_cstr(b, p->words);
    if (e) {
        json_key(b, STR("tags"));
        json_array(b);
        json_cstr(b, e->collection);
        json_end_array(b);
    }
    parameters(b, p, path);
    if (p->request) request_schema(c, p, e);
    json_key(b, STR("responses"));
    buf_printf(b, "{\"%d\":{\"description\":\"Done\"", p->status);
    if (p->answer) {
        buf_cstr(b, ",\"content\":{\"application/json\":{\"schema\":");
        answer_schema(b, p, e);
        buf_cstr(b, "}}");
    }
    buf_cstr(b, "},\"default\":{\"description\":\"A "
                "problem\",\"content\":{\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/"
                "schemas/problem\"}}}}}");
    if (p->flags & OPEN) {
        json_key(b, STR("security"));
        json_raw(b, STR("[]"));
    }
    json_end_object(b);
}

static bool first_of_path(size_t n, const struct endpoint *p)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(routes_nth(i)->path, p->path) == 0) return false;
    return true;
}

static enum action_kind right_of(const struct endpoint *p)
{
    return p->method == HTTP_METHOD_POST && p->status == 201 ? ACTION_CREATE
           : p->method == HTTP_METHOD_PATCH                  ? ACTION_UPDATE
           : p->method == HTTP_METHOD_DELETE                 ? ACTION_DELETE
                                                             : ACTION_READ;
}

/* All methods of a pattern, for one entity (or none). */
static void path_item(struct call *c, const struct endpoint *first, size_t n, const struct entity *e)
{
    const char *rest = e ? first->path + strlen("/api/v1/{collection}") : NULL;
    const char *path = e ? arena_printf(c->arena, "/api/v1/%s%s", e->collection, rest) : first->path;
    if (!path) return;
    json_key(c->out, str_of(path));
    json_object(c->out);
    const struct endpoint *p;
    for (size_t i = n; (p = routes_nth(i)); i++) {
        if (strcmp(p->path, first->path) != 0) continue;
        bool whole = e && strcmp(rest, "/{id}") != 0 && rest[0] != '\0';
        if (e && !whole && !access_may(c->who, e, right_of(p))) continue;
        operation(c, p, path, e);
    }
    json_end_object(c->out);
}

static void paths(struct call *c)
{
    const struct catalog *catalog = c->context.catalog;
    const struct endpoint *p;
    json_key(c->out, STR("paths"));
    json_object(c->out);
    for (size_t n = 0; (p = routes_nth(n)); n++) {
        if (p->flags & HIDDEN || !first_of_path(n, p)) continue;
        if (strncmp(p->path, "/api/v1/{collection}", strlen("/api/v1/{collection}")) != 0) {
            path_item(c, p, n, NULL);
            continue;
        }
        bool passwords = strstr(p->path, "/password") != NULL;
        for (size_t i = 0; i < catalog->entity_count; i++) {
            const struct entity *e = catalog->entities[i];
            if (access_may(c->who, e, ACTION_READ) && (!passwords || e == catalog->user))
                path_item(c, p, n, e);
        }
    }
    json_end_object(c->out);
}

static bool openapi(struct call *c)
{
    const struct catalog *catalog = c->context.catalog;
    struct buf *b = c->out;
    json_object(b);
    json_key(b, STR("openapi"));
    json_cstr(b, "3.1.0");
    json_key(b, STR("info"));
    json_raw(b, STR("{\"title\":\"Perigee\",\"version\":\"1\"}"));
    json_key(b, STR("servers"));
    json_raw(b, STR("[{\"url\":\"/\"}]"));
    json_key(b, STR("security"));
    json_raw(b, STR("[{\"token\":[]},{\"cookie\":[]}]"));
    paths(c);
    json_key(b, STR("components"));
    json_object(b);
    json_key(b, STR("securitySchemes"));
    json_raw(b, STR("{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\"},\"cookie\":{\"type\":\"apiKey\","
                    "\"in\":\"cookie\",\"name\":\"perigee_session\"}}"));
    json_key(b, STR("schemas"));
    json_object(b);
    buf_cstr(b, fixed_schemas);
    for (size_t i = 0; i < catalog->entity_count; i++) {
        const struct entity *e = catalog->entities[i];
        if (!access_may(c->who, e, ACTION_READ)) continue;
        record_schema(c, e, false);
        record_schema(c, e, true);
    }
    json_end_object(b);
    json_end_object(b);
    json_end_object(b);
    return call_json(c, 200);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/api/v1/openapi.json", LANE_SLOW, 0, "", openapi, "This description, for the caller",
     NULL, "object", 200},
};

const struct endpoint_table openapi_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
