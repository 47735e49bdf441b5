/* tokens.c: API tokens of the caller: shown once when made, listed without their text, taken back. Nobody
 * sees another's, save those who may read everything; only crm_admin takes another's back. Who may have
 * tokens at all is the scripts' to say: allow { "create", "token" }. */
#include "api/app.h"

#define NAME_MAX_BYTES 200

static bool need_right(struct call *c, enum action_kind action)
{
    const struct entity *token = catalog_resource(c->context.catalog, STR("token"));
    if (token && access_may(c->who, token, action)) return true;
    return error_set(&c->error, ERROR_FORBIDDEN, "your roles do not allow API tokens",
                     "ваши роли не позволяют токены API");
}

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
    if (!scope->p) *scope = STR(TOKEN_FULL);
    if (str_is(*scope, TOKEN_FULL) || str_is(*scope, TOKEN_READ)) return true;
    error_add(&c->error, "/scope", "bad_value", "scope is \"full\" or \"read\"", "scope: «full» или «read»");
    return error_set(&c->error, ERROR_VALIDATION_FAILED, "scope is \"full\" or \"read\"",
                     "scope: «full» или «read»");
}

static void write_token(struct buf *b, const struct token_row *t, const char *secret)
{
    json_object(b);
    json_key(b, STR("id"));
    json_id(b, t->id);
    json_key(b, STR("user"));
    json_id(b, t->user);
    json_key(b, STR("name"));
    json_str(b, t->name);
    json_key(b, STR("scope"));
    json_str(b, t->scope);
    json_time(b, STR("created_at"), t->created);
    json_time(b, STR("expires_at"), t->expires);
    json_time(b, STR("last_used_at"), t->used);
    if (secret) {
        json_key(b, STR("token"));
        json_cstr(b, secret);
    }
    json_end_object(b);
}

static bool create(struct call *c)
{
    struct token_row t = {.user = c->who->id, .created = clock_now()};
    char text[64];
    if (!need_right(c, ACTION_CREATE) || !call_members(c, "name scope expires_at") ||
        !call_text(c, "name", false, NAME_MAX_BYTES, &t.name) || !read_scope(c, &t.scope) ||
        !read_expiry(c, &t.expires))
        return false;
    if (!t.name.p) t.name = STR("token");
    if (!token_create(c->worker->db, t.user, t.name, t.scope, t.expires, t.created, text, &t.id, &c->error))
        return false;
    write_token(c->out, &t, text);
    call_field(c, "Cache-Control", STR("no-store"));
    return call_json(c, 201);
}

/* Whose tokens: one's own, or with ?user= another's for those who may read everything. */
static bool whose(struct call *c, int64_t *user)
{
    struct str text = call_parameter(c, "user");
    *user = c->who->id;
    if (!text.p) return true;
    int64_t asked;
    if (id_parse(text, &asked) && (asked == c->who->id || c->who->all_read)) return *user = asked, true;
    error_add(&c->error, "user", "bad_value", "these are not your tokens", "это не ваши токены");
    return error_set(&c->error, ERROR_FORBIDDEN, "only administrators see another's tokens",
                     "чужие токены видит только администратор");
}

static bool add_token(void *ctx, const struct token_row *row)
{
    write_token(ctx, row, NULL);
    return true;
}

static bool list(struct call *c)
{
    int64_t user;
    if (!need_right(c, ACTION_READ) || !whose(c, &user)) return false;
    json_object(c->out);
    json_key(c->out, STR("items"));
    json_array(c->out);
    if (!token_list(c->worker->db, user, add_token, c->out, &c->error)) return false;
    json_end_array(c->out);
    json_end_object(c->out);
    return call_json(c, 200);
}

/* Taking back one's own needs no right: it only takes rights away. */
static bool destroy(struct call *c)
{
    struct str text = call_capture(c, "id");
    int64_t id;
    bool found = false;
    if (id_parse(text, &id) &&
        !token_delete(c->worker->db, id, c->who->all_write ? 0 : c->who->id, &found, &c->error))
        return false;
    if (found) return call_empty(c, 204);
    return error_set(&c->error, ERROR_NOT_FOUND, "there is no token %.*s", "нет токена %.*s", STR_ARG(text));
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/api/v1/tokens", LANE_READ, NOT_IN_BATCH, "user", list,
     "One's own API tokens, without their texts", NULL, "tokens", 200},
    {HTTP_METHOD_POST, "/api/v1/tokens", LANE_WRITE, BODY | NOT_IN_BATCH | NO_REPLAY, "", create,
     "Make an API token of one's own; shown once", "token_make", "token_made", 201},
    {HTTP_METHOD_DELETE, "/api/v1/tokens/{id}", LANE_WRITE, NOT_IN_BATCH, "", destroy, "Take a token back",
     NULL, NULL, 204},
};

const struct endpoint_table tokens_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
