/* openapi.c: GET /openapi.json: OpenAPI 3.1 for the caller, from the table of endpoints, the routes of
 * scripts and the catalog. "{collection}" becomes the collections that the caller may use, each with the
 * schema of its own records; what does not depend on the catalog is in openapi_schemas.c. */
#include "api/openapi.h"

#include <ctype.h>
#include <stdio.h>

static void reference(struct buf *b, const char *name)
{
    buf_printf(b, "{\"$ref\":\"#/components/schemas/%s\"}", name);
}

static bool is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

/* ---- one operation ---- */

static bool may_read(const struct call *c, const struct entity *e)
{
    return e && access_may(c->who, e, ACTION_READ);
}

static void list_schema(struct buf *b, const struct entity *e)
{
    buf_printf(b,
               "{\"type\":\"object\",\"properties\":{\"items\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/"
               "components/schemas/%s\"}},\"next\":{\"type\":\"string\"},\"total\":{\"type\":\"integer\"}},"
               "\"required\":[\"items\"],\"additionalProperties\":false}",
               e->name);
}

static void board_schema(struct buf *b, const struct entity *e)
{
    buf_printf(
        b,
        "{\"type\":\"object\",\"properties\":{\"columns\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
        "\"properties\":{\"key\":{\"type\":[\"string\",\"boolean\",\"null\"]},"
        "\"label\":{\"type\":[\"string\",\"null\"]},"
        "\"count\":{\"type\":\"integer\"},\"sum\":{\"$ref\":\"#/components/schemas/api.numbers\"},"
        "\"items\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/%s\"}},"
        "\"next\":{\"type\":\"string\"}},\"required\":[\"key\",\"label\",\"count\",\"sum\",\"items\"],"
        "\"additionalProperties\":false}}},\"required\":[\"columns\"],\"additionalProperties\":false}",
        e->name);
}

static void answer_schema(struct call *c, const char *answer, const struct entity *e)
{
    struct buf *b = c->out;
    if (is(answer, "made_comment")) {
        answer = "record";
        e = c->context.catalog->comment;
    }
    if (is(answer, "record"))
        reference(b, may_read(c, e) ? e->name : "api.made");
    else if (is(answer, "list") && e)
        list_schema(b, e);
    else if (is(answer, "board") && e)
        board_schema(b, e);
    else
        buf_printf(b, "{\"$ref\":\"#/components/schemas/api.%s\"}", answer);
}

static void content(struct buf *b, const char *type, const char *schema)
{
    json_key(b, str_of(type));
    buf_printf(b, "{\"schema\":%s}", schema);
}

/* What is not JSON: "bytes" any, "csv", "events". */
static bool plain_content(struct buf *b, const char *name)
{
    if (is(name, "bytes"))
        content(b, "*/*", "{\"type\":\"string\",\"format\":\"binary\"}");
    else if (is(name, "csv"))
        content(b, "text/csv", "{\"type\":\"string\"}");
    else if (is(name, "events"))
        content(b, "text/event-stream", "{\"type\":\"string\"}");
    else
        return false;
    return true;
}

static void answer_content(struct call *c, const struct endpoint *p, const struct entity *e)
{
    struct buf *b = c->out;
    json_key(b, STR("content"));
    json_object(b);
    if (!plain_content(b, p->answer)) {
        json_key(b, STR("application/json"));
        buf_cstr(b, "{\"schema\":");
        answer_schema(c, p->answer, e);
        buf_char(b, '}');
    }
    if (is(p->answer, "list")) {
        plain_content(b, "csv");
        content(b, "application/x-ndjson", "{\"type\":\"string\"}");
    }
    json_end_object(b);
}

/* What a new record needs besides what it is made of. */
static void create_schema(struct call *c, const struct entity *e)
{
    struct buf *b = c->out;
    bool some = false;
    json_object(b);
    json_key(b, STR("$ref"));
    buf_printf(b, "\"#/components/schemas/%s.write\"", e->name);
    for (size_t i = 0; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (!f->required || f->default_expr || f->when || f->type == FIELD_STAGE ||
            !openapi_writable(c, e, f))
            continue;
        if (!some) {
            json_key(b, STR("required"));
            json_array(b);
        }
        some = true;
        json_cstr(b, f->name);
    }
    if (some) json_end_array(b);
    json_end_object(b);
}

static void request_body(struct call *c, const struct endpoint *p, const struct entity *e)
{
    struct buf *b = c->out;
    json_key(b, STR("requestBody"));
    json_object(b);
    json_key(b, STR("required"));
    json_bool(b, (p->flags & (BODY | UPLOAD)) != 0);
    json_key(b, STR("content"));
    json_object(b);
    if (is(p->request, "rows")) {
        content(b, "text/csv", "{\"type\":\"string\"}");
        content(b, "application/x-ndjson", "{\"type\":\"string\"}");
        content(b, "application/json", "{\"type\":[\"array\",\"object\"]}");
    }
    for (int merge = 0; merge <= (p->flags & PATCHES ? 1 : 0); merge++) {
        if (is(p->request, "rows") || plain_content(b, p->request)) break;
        json_key(b, merge ? STR("application/merge-patch+json") : STR("application/json"));
        buf_cstr(b, "{\"schema\":");
        if (is(p->request, "create") && e)
            create_schema(c, e);
        else if (is(p->request, "update") && e)
            buf_printf(b, "{\"$ref\":\"#/components/schemas/%s.write\"}", e->name);
        else
            buf_printf(b, "{\"$ref\":\"#/components/schemas/api.%s\"}", p->request);
        buf_char(b, '}');
    }
    json_end_object(b);
    json_end_object(b);
}

static void parameter(struct buf *b, struct str name, const char *in, const char *schema)
{
    json_object(b);
    json_key(b, STR("name"));
    json_str(b, name);
    json_key(b, STR("in"));
    json_cstr(b, in);
    if (is(in, "path")) {
        json_key(b, STR("required"));
        json_bool(b, true);
    }
    json_key(b, STR("schema"));
    json_raw(b, str_of(schema));
    json_end_object(b);
}

static const char *parameter_schema(struct str name, const struct endpoint *p)
{
    if (str_is(name, "limit")) return "{\"type\":\"integer\",\"minimum\":1,\"maximum\":500}";
    if (str_is(name, "dry_run")) return "{\"type\":\"boolean\"}";
    if (str_is(name, "count") && is(p->answer, "list")) return "{\"enum\":[\"exact\"]}";
    return "{\"type\":\"string\"}";
}

static void header_parameters(struct buf *b, const struct endpoint *p)
{
    static const char *const text = "{\"type\":\"string\"}";
    bool record = is(p->answer, "record") || is(p->answer, "made_comment");
    bool changes =
        strstr(p->path, "{id}") && (p->method == HTTP_METHOD_PATCH || p->method == HTTP_METHOD_DELETE ||
                                    strstr(p->path, "/actions/{name}"));
    if (p->method == HTTP_METHOD_POST) parameter(b, STR("Idempotency-Key"), "header", text);
    if (changes) parameter(b, STR("If-Match"), "header", text);
    if (record && p->method == HTTP_METHOD_GET) parameter(b, STR("If-None-Match"), "header", text);
    if (record && p->method != HTTP_METHOD_GET) parameter(b, STR("Prefer"), "header", text);
    if (is(p->answer, "events")) parameter(b, STR("Last-Event-ID"), "header", text);
}

static void parameters(struct buf *b, const struct endpoint *p, const char *path)
{
    json_key(b, STR("parameters"));
    json_array(b);
    for (const char *at = strchr(path, '{'); at; at = strchr(at + 1, '{'))
        parameter(b, (struct str){at + 1, (size_t)(strchr(at, '}') - at - 1)}, "path",
                  "{\"type\":\"string\"}");
    struct str rest = is(p->parameters, "*") ? (struct str){NULL, 0} : str_of(p->parameters);
    bool dry_run = false;
    while (rest.p && rest.n) {
        struct str name = str_cut(&rest, ' ');
        dry_run = dry_run || str_is(name, "dry_run");
        parameter(b, name, "query", parameter_schema(name, p));
    }
    if (p->method != HTTP_METHOD_GET && !dry_run)
        parameter(b, STR("dry_run"), "query", "{\"type\":\"boolean\"}");
    header_parameters(b, p);
    json_end_array(b);
}

static void bare_response(struct buf *b, const char *status, const char *words)
{
    json_key(b, str_of(status));
    json_object(b);
    json_key(b, STR("description"));
    json_cstr(b, words);
    json_end_object(b);
}

static void problem_response(struct buf *b, const char *status)
{
    json_key(b, str_of(status));
    json_raw(b, STR("{\"$ref\":\"#/components/responses/problem\"}"));
}

static void problem_responses(struct buf *b, const struct endpoint *p)
{
    bool write = p->method != HTTP_METHOD_GET, body = p->flags & (BODY | BODY_MAY | UPLOAD);
    problem_response(b, "400");
    if (!(p->flags & OPEN)) {
        problem_response(b, "401");
        problem_response(b, "403");
    }
    if (strchr(p->path, '{') || !(p->flags & OPEN)) problem_response(b, "404");
    if (write) problem_response(b, "409");
    if (write && strstr(p->path, "{id}")) problem_response(b, "412");
    if (body) {
        problem_response(b, "413");
        problem_response(b, "415");
    }
    if (!(p->flags & OPEN) || write) problem_response(b, "422");
    if (write && strstr(p->path, "{id}")) problem_response(b, "428");
    if (p->flags & OPEN && write) {
        problem_response(b, "401");
        problem_response(b, "403");
    }
    problem_response(b, "429");
    problem_response(b, "500");
    problem_response(b, "503");
    problem_response(b, "default");
}

static void responses(struct call *c, const struct endpoint *p, const struct entity *e)
{
    struct buf *b = c->out;
    char status[12];
    snprintf(status, sizeof status, "%d", p->status);
    bool record = is(p->answer, "record");
    json_key(b, STR("responses"));
    json_object(b);
    json_key(b, str_of(status));
    json_object(b);
    json_key(b, STR("description"));
    json_cstr(b, "Done");
    if (record || p->status == 201) {
        json_key(b, STR("headers"));
        json_object(b);
        if (record) {
            json_key(b, STR("ETag"));
            json_raw(b, STR("{\"schema\":{\"type\":\"string\"}}"));
        }
        if (p->status == 201) {
            json_key(b, STR("Location"));
            json_raw(b, STR("{\"schema\":{\"type\":\"string\"}}"));
        }
        json_end_object(b);
    }
    if (p->answer) answer_content(c, p, e);
    json_end_object(b);
    if (record && p->status == 200)
        p->method == HTTP_METHOD_GET
            ? bare_response(b, "304", "Not changed since the version in If-None-Match")
            : bare_response(b, "204", "Done; Prefer: return=minimal");
    problem_responses(b, p);
    json_end_object(b);
}

/* "get.companies.-id": unique, because it is the path. */
static void operation_id(struct buf *b, const char *method, const char *path)
{
    json_key(b, STR("operationId"));
    buf_printf(b, "\"%s", method);
    if (strncmp(path, "/api/v1", 7) == 0) path += 7;
    for (; *path; path++)
        if (*path == '/')
            buf_char(b, '.');
        else if (*path == '{')
            buf_char(b, '-');
        else if (*path != '}')
            buf_char(b, isalnum((unsigned char)*path) || *path == '_' || *path == '.' ? *path : '-');
    buf_char(b, '"');
}

static void begin_operation(struct buf *b, const char *method, const char *path, const char *words,
                            const char *tag)
{
    json_key(b, str_of(method));
    json_object(b);
    json_key(b, STR("summary"));
    json_cstr(b, words);
    operation_id(b, method, path);
    json_key(b, STR("tags"));
    json_array(b);
    json_cstr(b, tag);
    json_end_array(b);
}

static const char *const method_names[] = {"get", "head", "post", "put", "patch", "delete", "options"};

static void operation(struct call *c, const struct endpoint *p, const char *path, const struct entity *e)
{
    struct buf *b = c->out;
    begin_operation(b, method_names[p->method], path, p->words, e ? e->collection : "server");
    parameters(b, p, path);
    if (p->request) request_body(c, p, e);
    responses(c, p, e);
    if (p->flags & OPEN) {
        json_key(b, STR("security"));
        json_raw(b, STR("[]"));
    }
    json_end_object(b);
}

/* ---- paths ---- */

static bool first_of_path(size_t n, const struct endpoint *p)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(routes_nth(i)->path, p->path) == 0) return false;
    return true;
}

static bool has_actions(const struct catalog *catalog, const struct entity *e)
{
    for (size_t i = 0; i < catalog->action_count; i++)
        if (catalog->actions[i].entity == e) return true;
    return e->stage != NULL;
}

/* Whether the caller may use an endpoint of records with records of that kind at all. */
static bool offered(const struct call *c, const struct endpoint *p, const struct entity *e)
{
    const struct catalog *catalog = c->context.catalog;
    const char *rest = p->path + strlen("/api/v1/{collection}");
    if (rest[0] == '\0' && p->method == HTTP_METHOD_POST) return access_may(c->who, e, ACTION_CREATE);
    if (!may_read(c, e)) return false;
    if (strcmp(rest, "/{id}") == 0 && p->method == HTTP_METHOD_PATCH)
        return access_may(c->who, e, ACTION_UPDATE);
    if (strcmp(rest, "/{id}") == 0 && p->method == HTTP_METHOD_DELETE)
        return access_may(c->who, e, ACTION_DELETE);
    if (strstr(rest, "/password")) return e == catalog->user;
    if (strstr(rest, "/actions/")) return has_actions(catalog, e);
    if (strstr(rest, "/comments"))
        return catalog->comment && access_may(c->who, catalog->comment, ACTION_CREATE);
    return true;
}

/* All methods of a pattern, for one entity (or none). */
static void path_item(struct call *c, const struct endpoint *first, size_t n, const struct entity *e)
{
    const char *rest = e ? first->path + strlen("/api/v1/{collection}") : NULL;
    const char *path = e ? arena_printf(c->arena, "/api/v1/%s%s", e->collection, rest) : first->path;
    const struct endpoint *p;
    bool some = false;
    for (size_t i = n; path && (p = routes_nth(i)); i++) {
        if (strcmp(p->path, first->path) != 0 || (e && !offered(c, p, e))) continue;
        if (!some) {
            json_key(c->out, str_of(path));
            json_object(c->out);
        }
        some = true;
        operation(c, p, path, e);
    }
    if (some) json_end_object(c->out);
}

static bool route_allowed(const struct call *c, const struct route *r)
{
    bool allowed = c->who->all_write;
    for (size_t i = 0; i < r->role_count; i++)
        allowed = allowed || is(r->roles[i], "*") || principal_has_role(c->who, str_of(r->roles[i]));
    return allowed;
}

/* A script answers what it likes, so only that it is JSON can be said. */
static void script_operation(struct call *c, const struct route *r)
{
    for (int m = 0; m < HTTP_METHOD_COUNT; m++) {
        if (!str_is(http_method_text((enum http_method)m), r->method)) continue;
        begin_operation(c->out, method_names[m], r->path, "A route of a script", "scripts");
        if (m != HTTP_METHOD_GET) {
            json_key(c->out, STR("requestBody"));
            json_raw(c->out, STR("{\"content\":{\"application/json\":{\"schema\":{}}}}"));
        }
        json_key(c->out, STR("responses"));
        json_raw(c->out,
                 STR("{\"default\":{\"description\":\"What the script answers, or a problem\",\"content\":"
                     "{\"application/json\":{\"schema\":{}},\"application/problem+json\":{\"schema\":"
                     "{\"$ref\":\"#/components/schemas/api.problem\"}}}}}"));
        json_end_object(c->out);
    }
}

static void script_paths(struct call *c)
{
    const struct catalog *catalog = c->context.catalog;
    for (size_t i = 0; i < catalog->route_count; i++) {
        bool some = false;
        for (size_t k = 0; k < i && !some; k++) /* shown with the first of its path */
            some =
                is(catalog->routes[k].path, catalog->routes[i].path) && route_allowed(c, &catalog->routes[k]);
        if (some || !route_allowed(c, &catalog->routes[i])) continue;
        json_key(c->out, str_of(catalog->routes[i].path));
        json_object(c->out);
        for (size_t k = i; k < catalog->route_count; k++)
            if (is(catalog->routes[k].path, catalog->routes[i].path) && route_allowed(c, &catalog->routes[k]))
                script_operation(c, &catalog->routes[k]);
        json_end_object(c->out);
    }
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
        for (size_t i = 0; i < catalog->entity_count; i++)
            path_item(c, p, n, catalog->entities[i]);
    }
    script_paths(c);
    json_end_object(c->out);
}

static void components(struct call *c)
{
    const struct catalog *catalog = c->context.catalog;
    struct buf *b = c->out;
    json_key(b, STR("components"));
    json_object(b);
    json_key(b, STR("securitySchemes"));
    json_raw(b, STR("{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\"},\"cookie\":{\"type\":\"apiKey\","
                    "\"in\":\"cookie\",\"name\":\"perigee_session\"}}"));
    json_key(b, STR("responses"));
    json_raw(b, STR("{\"problem\":{\"description\":\"A problem (RFC "
                    "9457)\",\"content\":{\"application/problem+json\":"
                    "{\"schema\":{\"$ref\":\"#/components/schemas/api.problem\"}}}}}"));
    json_key(b, STR("schemas"));
    json_object(b);
    size_t count;
    const struct openapi_schema *fixed = openapi_schemas(&count);
    for (size_t i = 0; i < count; i++) {
        const char *name = arena_printf(c->arena, "api.%s", fixed[i].name);
        if (!name) continue;
        json_key(b, str_of(name));
        json_raw(b, str_of(fixed[i].json));
    }
    for (size_t i = 0; i < catalog->entity_count; i++) {
        const struct entity *e = catalog->entities[i];
        bool reads = may_read(c, e);
        if (reads) openapi_record(c, e, false);
        if (reads || access_may(c->who, e, ACTION_CREATE)) openapi_record(c, e, true);
    }
    json_end_object(b);
    json_end_object(b);
}

static bool openapi(struct call *c)
{
    struct buf *b = c->out;
    json_object(b);
    json_key(b, STR("openapi"));
    json_cstr(b, "3.1.0");
    json_key(b, STR("info"));
    json_raw(b, STR("{\"title\":\"Perigee\",\"version\":\"1\",\"description\":\"What the caller may use. "
                    "HEAD and OPTIONS are answered wherever GET is.\"}"));
    json_key(b, STR("servers"));
    json_raw(b, STR("[{\"url\":\"/\"}]"));
    json_key(b, STR("security"));
    json_raw(b, STR("[{\"token\":[]},{\"cookie\":[]}]"));
    paths(c);
    components(c);
    json_end_object(b);
    return call_json(c, 200);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/api/v1/openapi.json", LANE_SLOW, 0, "", openapi, "This description, for the caller",
     NULL, "openapi", 200},
};

const struct endpoint_table openapi_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
