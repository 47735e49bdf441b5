/* call.c: what a handler asks of its request and says as its answer. Runs on whatever thread runs the call.
 */
#include "api/app.h"

/* ── The request ─────────────────────────────────────────────────────────────────────────────── */

struct str call_parameter(const struct call *c, const char *name)
{
    for (const struct parameter *p = c->parameters; p; p = p->next)
        if (str_is(p->name, name)) return p->value;
    return (struct str){0};
}

struct str call_capture(const struct call *c, const char *name)
{
    for (size_t i = 0; i < c->match.capture_count; i++)
        if (strcmp(c->match.captures[i].name, name) == 0) return c->match.captures[i].value;
    return (struct str){0};
}

struct str call_header(const struct call *c, const char *name)
{
    if (c->x) return http_field(c->x, str_of(name));
    if (!c->headers) return (struct str){0};
    for (const struct json_value *h = c->headers->first; h; h = h->next)
        if (h->type == JSON_STRING && str_eq_nocase(h->key, str_of(name))) return h->text;
    return (struct str){0};
}

bool call_flag(struct call *c, const char *name, bool *value)
{
    struct str text = call_parameter(c, name);
    *value = str_is(text, "true") || str_is(text, "1");
    if (*value || !text.p || str_is(text, "false") || str_is(text, "0")) return true;
    error_add(&c->error, name, "bad_value", "%s is true or false", "%s: true или false", name);
    return error_set(&c->error, ERROR_BAD_REQUEST, "%s is true or false", "%s: true или false", name);
}

static bool read_number(struct str text, int64_t *value)
{
    int64_t n = 0;
    if (text.n == 0 || text.n > 18) return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return false;
        n = n * 10 + (text.p[i] - '0');
    }
    *value = n;
    return true;
}

bool call_number(struct call *c, const char *name, int64_t least, int64_t most, int64_t missing,
                 int64_t *value)
{
    struct str text = call_parameter(c, name);
    *value = missing;
    if (!text.p || (read_number(text, value) && *value >= least && *value <= most)) return true;
    error_add(&c->error, name, "bad_value", "%s is a whole number from %lld to %lld",
              "%s: целое число от %lld до %lld", name, (long long)least, (long long)most);
    return error_set(&c->error, ERROR_BAD_REQUEST, "%s is a whole number from %lld to %lld",
                     "%s: целое число от %lld до %lld", name, (long long)least, (long long)most);
}

bool call_text(struct call *c, const char *member, bool required, size_t most, struct str *value)
{
    const struct json_value *v = json_member(c->body, str_of(member));
    *value = (struct str){0};
    const char *pointer = arena_printf(c->arena, "/%s", member);
    if (!v || v->type == JSON_NULL) {
        if (!required) return true;
        error_add(&c->error, pointer, "required", "%s is required", "не указано: %s", member);
        return error_set(&c->error, ERROR_VALIDATION_FAILED, "%s is missing", "не указано: %s", member);
    }
    if (v->type != JSON_STRING || v->text.n > most || (required && v->text.n == 0)) {
        error_add(&c->error, pointer, "bad_value", "%s is a text of at most %zu bytes",
                  "%s: текст не длиннее %zu байт", member, most);
        return error_set(&c->error, ERROR_VALIDATION_FAILED, "%s is a text of at most %zu bytes",
                         "%s: текст не длиннее %zu байт", member, most);
    }
    *value = v->text;
    return true;
}

static bool listed(const char *names, struct str name, struct suggest *near)
{
    struct str rest = str_of(names);
    while (rest.p && rest.n) {
        struct str one = str_cut(&rest, ' ');
        if (str_eq(one, name)) return true;
        if (near) suggest_try(near, one);
    }
    return false;
}

bool call_members(struct call *c, const char *known)
{
    if (!c->body) return true;
    if (c->body->type != JSON_OBJECT)
        return error_set(&c->error, ERROR_BAD_REQUEST, "the body must be a JSON object",
                         "тело запроса: объект JSON");
    for (const struct json_value *v = c->body->first; v; v = v->next) {
        struct suggest near;
        suggest_start(&near, v->key);
        if (listed(known, v->key, &near)) continue;
        const char *pointer = json_pointer(c->arena, v->key);
        struct error_entry *entry =
            error_add(&c->error, pointer, "unknown_field", "there is no field %.*s here",
                      "здесь нет поля %.*s", STR_ARG(v->key));
        entry->suggestion = near.best.p ? arena_dup(c->arena, near.best) : NULL;
        error_set(&c->error, ERROR_UNKNOWN_FIELD, "there is no field %.*s here", "здесь нет поля %.*s",
                  STR_ARG(v->key));
    }
    return c->error.kind == ERROR_NONE;
}

#define BODY_VALUES 50000 /* in one body: some 4 MB of the request's memory */

/* ── Preparing ───────────────────────────────────────────────────────────────────────────────── */

static bool unknown_parameter(struct call *c, struct str name, struct suggest *near)
{
    const char *pointer = arena_dup(c->arena, name);
    struct error_entry *entry =
        error_add(&c->error, pointer, "unknown_parameter", "there is no query parameter %.*s here",
                  "здесь нет параметра %.*s", STR_ARG(name));
    entry->suggestion = near->best.p ? arena_dup(c->arena, near->best) : NULL;
    return error_set(&c->error, ERROR_BAD_REQUEST, "there is no query parameter %.*s here",
                     "здесь нет параметра %.*s", STR_ARG(name));
}

static bool keep_parameter(struct call *c, struct str name, struct str value)
{
    struct suggest near;
    suggest_start(&near, name);
    bool writes = c->endpoint->lane == LANE_WRITE || c->endpoint->method != HTTP_METHOD_GET;
    bool any = strcmp(c->endpoint->parameters, "*") == 0;
    if (!any && !listed(c->endpoint->parameters, name, &near) &&
        !(writes && listed("dry_run reason", name, &near)))
        return unknown_parameter(c, name, &near);
    if (!any && call_parameter(c, arena_dup(c->arena, name)).p) {
        error_add(&c->error, arena_dup(c->arena, name), "repeated", "%.*s is given twice",
                  "%.*s указан дважды", STR_ARG(name));
        return error_set(&c->error, ERROR_BAD_REQUEST, "%.*s is given twice", "%.*s указан дважды",
                         STR_ARG(name));
    }
    struct parameter *p = arena_alloc(c->arena, sizeof *p);
    if (!p) return error_no_memory(&c->error);
    *p = (struct parameter){.next = c->parameters, .name = name, .value = value};
    c->parameters = p;
    return true;
}

bool call_prepare(struct call *c, struct str query)
{
    for (;;) {
        struct str name, value;
        switch (http_query_next(&query, c->arena, &name, &value)) {
        case HTTP_QUERY_PAIR:
            if (!keep_parameter(c, name, value)) return false;
            continue;
        case HTTP_QUERY_BAD:
            return error_set(&c->error, ERROR_BAD_REQUEST,
                             "the query has a bad escape or bytes that are not UTF-8",
                             "в строке запроса ошибка в %%-записи или байты не в UTF-8");
        case HTTP_QUERY_NO_MEMORY: return error_no_memory(&c->error);
        case HTTP_QUERY_END: break;
        }
        break;
    }
    struct str prefer = call_header(c, "prefer");
    for (struct str one = str_cut(&prefer, ','); one.p; one = str_cut(&prefer, ',')) {
        struct str preference = str_trim(str_cut(&one, ';')); /* its parameters mean nothing here */
        c->minimal = c->minimal || str_eq_nocase(preference, STR("return=minimal"));
    }
    bool writes = c->method != HTTP_METHOD_GET && c->method != HTTP_METHOD_HEAD;
    return !writes || call_flag(c, "dry_run", &c->dry_run);
}

static bool json_type(struct call *c, struct str type)
{
    struct str media = str_trim(str_cut(&type, ';'));
    bool good = str_eq_nocase(media, STR("application/json")) ||
                (c->endpoint->flags & PATCHES && str_eq_nocase(media, STR("application/merge-patch+json")));
    if (!good) return false;
    for (struct str one = str_cut(&type, ';'); one.p; one = str_cut(&type, ';')) {
        struct str part = str_trim(one), name = str_cut(&part, '=');
        if (str_eq_nocase(name, STR("charset")) && !str_eq_nocase(part, STR("utf-8")) &&
            !str_eq_nocase(part, STR("\"utf-8\"")))
            return false;
    }
    return true;
}

bool call_parse_body(struct call *c)
{
    if (!(c->endpoint->flags & (BODY | BODY_MAY))) return true;
    if (c->body) return true; /* an operation of a batch came parsed */
    struct str type = call_header(c, "content-type");
    if (c->body_text.n == 0 && c->endpoint->flags & BODY_MAY) return true;
    if ((type.p || c->body_text.n) && c->x && !json_type(c, type))
        return error_set(&c->error, ERROR_UNSUPPORTED_MEDIA_TYPE,
                         "the body must be application/json in UTF-8",
                         "тело запроса должно быть application/json в UTF-8");
    if (c->body_text.n == 0)
        return error_set(&c->error, ERROR_BAD_REQUEST, "a JSON body is needed", "нужно тело запроса в JSON");
    c->body = json_parse_bounded(c->arena, c->body_text, BODY_VALUES, &c->error);
    return c->body != NULL;
}

/* ── The answer ──────────────────────────────────────────────────────────────────────────────── */

void call_field(struct call *c, const char *name, struct str value)
{
    struct answer_field *f = arena_alloc(c->arena, sizeof *f);
    struct str kept = arena_str(c->arena, value);
    if (!f || !kept.p) return; /* the arena is full: the answer goes without */
    *f = (struct answer_field){.next = c->fields, .name = str_of(name), .value = kept};
    c->fields = f;
}

void call_etag(struct call *c, int64_t version)
{
    const char *tag = arena_printf(c->arena, "\"%lld\"", (long long)version);
    if (tag) call_field(c, "ETag", str_of(tag));
}

bool call_empty(struct call *c, int status)
{
    buf_reset(c->out);
    c->status = status;
    c->content_type = NULL;
    return true;
}

bool call_json(struct call *c, int status)
{
    c->status = status;
    c->content_type = "application/json";
    return true;
}

bool call_fits(struct call *c)
{
    if (!c->out->failed) return true;
    return error_set(&c->error, ERROR_QUERY_LIMIT,
                     "the answer would be larger than %zu MiB: ask for less at once",
                     "ответ был бы больше %zu МиБ: запросите меньше за один раз", ANSWER_MAX >> 20);
}

bool call_continue(struct call *c, enum lane lane, bool (*handle)(struct call *c))
{
    c->then_lane = lane;
    c->then = handle;
    return true;
}

bool call_is_admin(const struct call *c)
{
    return c->who && (c->who->all_write || principal_has_role(c->who, STR("crm_admin")));
}

/* The caller made or changed the record, yet may not be allowed to read it: then the answer says no
 * more than its id. */
static bool unreadable(struct call *c, int64_t id)
{
    error_clear(&c->error);
    buf_reset(c->out);
    json_object(c->out);
    json_key(c->out, STR("id"));
    json_id(c->out, id);
    json_end_object(c->out);
    return true;
}

bool call_record(struct call *c, int status, const struct entity *entity, int64_t id)
{
    int64_t version = 0;
    /* Nobody will see the fields of a minimal answer: computed ones are not asked for. */
    struct str fields = c->minimal ? STR("id") : call_parameter(c, "fields");
    buf_reset(c->out);
    if (!query_get(&c->context, entity, id, fields, call_parameter(c, "expand"), c->out, &version) &&
        !(c->error.kind == ERROR_NOT_FOUND && unreadable(c, id)))
        return false;
    if (version) call_etag(c, version);
    if (status == 201) {
        char text[ID_TEXT + 1];
        id_format(id, text);
        const char *location = arena_printf(c->arena, "/api/v1/%s/%s", entity->collection, text);
        if (location) call_field(c, "Location", str_of(location));
    }
    if (!c->minimal) return call_json(c, status);
    call_field(c, "Preference-Applied", STR("return=minimal"));
    return call_empty(c, status == 201 ? 201 : 204);
}

static bool version_of_tag(struct str tag, int64_t *version)
{
    if (tag.n < 3 || tag.p[0] != '"' || tag.p[tag.n - 1] != '"' || tag.p[1] == '0') return false;
    return read_number((struct str){tag.p + 1, tag.n - 2}, version) && *version > 0;
}

/* Of several tags the one that is the record's version now, if it is among them. */
static bool version_among(struct call *c, const struct entity *entity, int64_t id, struct str list,
                          int64_t *version)
{
    struct record *r = record_load(&c->context, entity, id);
    if (!r && c->error.kind != ERROR_NOT_FOUND) return false;
    error_clear(&c->error); /* not there: the change itself says so, under its rights */
    *version = -1;
    if (!r) return true;
    int64_t now = r->values[SYSTEM_VERSION].i;
    const char *tag = arena_printf(c->arena, "\"%lld\"", (long long)now);
    if (!tag) return error_no_memory(&c->error);
    if (http_etag_listed(list, str_of(tag), false)) *version = now;
    return true;
}

bool call_expected(struct call *c, const struct entity *entity, int64_t id, int64_t *version)
{
    struct str tags = str_trim(call_header(c, "if-match"));
    *version = 0;
    if (!tags.p || str_is(tags, "*") || version_of_tag(tags, version)) return true;
    return version_among(c, entity, id, tags, version);
}
