/* tokens.c: API tokens of the caller: shown once when made, listed without their text, taken back. */
#include "api/app.h"

#define NAME_MAX_BYTES 200

static bool read_expiry(struct call *c, int64_t *expires)
{
    struct str text;
    *expires = 0;
    if (!call_text(c, "expires_at", false, 64, &text)) return false;
    if (!text.p || (calendar_parse_datetime(text, expires) && *expires > clock_now())) return true;
    error_add(&c->error, "/expires_at", "bad_value",
              "expires_at is a time to come, like 2027-01-31T00:00:00Z",
              "expires_at: будущее время, например 2027-01-31T00:00:00Z");
    return error_set(&c->error, ERROR_VALIDATION_FAILED, "expires_at is not a time to come",
                     "expires_at: не будущее время");
}

static bool read_scope(struct call *c, struct str *scope)
{
    if (!call_text(c, "scope", false, 16, scope)) return false;
    if (!scope->p || str_is(*scope, "all")) *scope = STR("");
    if (scope->n == 0 || str_is(*scope, "read")) return true;
    error_add(&c->error, "/scope", "bad_value", "scope is \"all\" or \"read\"", "scope: «all» или «read»");
    return error_set(&c->error, ERROR_VALIDATION_FAILED, "scope is \"all\" or \"read\"",
                     "scope: «all» или «read»");
}

static void write_time(struct buf *b, struct str key, int64_t ms)
{
    json_key(b, key);
    if (ms)
        json_datetime(b, ms);
    else
        json_null(b);
}

static bool create(struct call *c)
{
    struct str name, scope;
    char text[64];
    int64_t expires, id, now = clock_now();
    if (!call_members(c, "name scope expires_at") || !call_text(c, "name", false, NAME_MAX_BYTES, &name) ||
        !read_scope(c, &scope) || !read_expiry(c, &expires))
        return false;
    if (!name.p) name = STR("token");
    if (!token_create(c->worker->db, c->who->id, name, scope, expires, now, text, &id, &c->error))
        return false;
    struct buf *b = c->out;
    json_object(b);
    json_key(b, STR("id"));
    json_id(b, id);
    json_key(b, STR("name"));
    json_str(b, name);
    json_key(b, STR("scope"));
    json_str(b, scope.n ? scope : STR("all"));
    write_time(b, STR("created_at"), now);
    write_time(b, STR("expires_at"), expires);
    json_key(b, STR("token"));
    json_cstr(b, text);
    json_end_object(b);
    return call_json(c, 201);
}

static bool destroy(struct call *c)
{
    struct str text = call_capture(c, "id");
    int64_t id;
    bool found = false;
    if (id_parse(text, &id) &&
        !token_delete(c->worker->db, id, call_is_admin(c) ? 0 : c->who->id, &found, &c->error))
        return false;
    if (found) return call_empty(c, 204);
    return error_set(&c->error, ERROR_NOT_FOUND, "there is no token %.*s", "нет токена %.*s", STR_ARG(text));
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_POST, "/api/v1/tokens", LANE_WRITE, BODY | NOT_IN_BATCH | NO_REPLAY, "", create,
     "Make an API token of one's own; shown once", "token_make", "token_made", 201},
    {HTTP_METHOD_DELETE, "/api/v1/tokens/{id}", LANE_WRITE, NOT_IN_BATCH, "", destroy, "Take a token back",
     NULL, NULL, 204},
};

const struct endpoint_table tokens_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
